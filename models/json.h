/* One JSON object out of a file, as jansson has it.
 * Refuses what is no object, what names a key twice and what is longer than its kind may be.
 * Read next: safetensors.c, hf_config.c. */
#ifndef RB_JSON_H
#define RB_JSON_H

#include "source.h"

#include <jansson.h>

/* The n bytes at offset; NULL and err if they are more than most, or no object. */
json_t *rb_json_read(const rb_source *src, uint64_t offset, uint64_t n, uint64_t most,
                     rb_error *err);

#endif
