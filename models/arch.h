/* From GGUF metadata to a config.
 * Refuses what the metadata leave out or what is not done here; reads no weights.
 * Read next: arch.c. */
#ifndef RB_ARCH_H
#define RB_ARCH_H

#include "gguf.h"
#include "model.h"

/* Fills and checks config from the metadata and from which tensors there are. */
rb_status rb_arch_config(const rb_gguf *g, rb_config *config, rb_error *err);
/* What a file that rbench wrote says of its attention; zeros of others. */
rb_status rb_arch_note(const rb_gguf *g, rb_attn_note *note, rb_error *err);

#endif
