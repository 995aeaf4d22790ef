/* The prompt of `rbench generate` as token ids: -p or -f, as it stands or in a chat's template.
 * Refuses to know what becomes of it.
 * Read next: prompt.c. */
#ifndef RB_PROMPT_H
#define RB_PROMPT_H

#include "options.h"

/* Ids of the prompt, allocated, with room for n_more behind them; at least one. Uses -p, -f, --chat
 * and --system. */
rb_status rb_prompt_ids(const rb_args *args, const rb_tokenizer *t, int64_t n_more, int32_t **ids,
                        int64_t *n, rb_error *err);

#endif
