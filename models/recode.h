/* Weights of a file streamed into another file, in chunks of bounded size: as they are, or decoded
 * and encoded again by all threads, with the error that this makes. For models/ only.
 * Knows nothing of names and metadata. Read next: recode.c. */
#ifndef RB_RECODE_H
#define RB_RECODE_H

#include "gguf.h"
#include "models.h"

typedef struct rb_recoder {
    const rb_convert_params *params;
    uint8_t *src, *dst; /* a chunk each */
    double *sum;        /* [threads][2]: of x^2, of (x - x')^2 */
} rb_recoder;

/* Takes the memory for a chunk and starts the threads; params is borrowed. Close it either way. */
rb_status rb_recoder_open(rb_recoder *r, const rb_convert_params *params, rb_error *err);
void rb_recoder_close(rb_recoder *r); /* half-open is fine */

/* Both return early, with RB_OK, when f has failed: whoever closes it says why. */
rb_status rb_recode_copy(rb_recoder *r, FILE *f, const rb_source *from, uint64_t offset,
                         uint64_t bytes, rb_error *err);
/* Tensor t of file from in type to, whose blocks divide its rows; adds to the sums of what. Fails
 * if it has values that are not finite, or that to cannot hold. */
rb_status rb_recode(rb_recoder *r, FILE *f, const rb_source *from, const rb_gguf_tensor *t,
                    rb_dtype to, rb_converted *what, rb_error *err);

#endif
