/* The tensors that a config calls for: their GGUF names, shapes and places in rb_model.
 * One list serves readers, synthesis, the writer and the totals, so they cannot disagree.
 * Read next: tensors.c. */
#ifndef RB_TENSORS_H
#define RB_TENSORS_H

#include "models.h"

typedef enum {
    RB_TENSOR_NORM,
    RB_TENSOR_BIAS,
    RB_TENSOR_FREQS,
    RB_TENSOR_PAIRS,
    RB_TENSOR_VECTOR, /* with values as a matrix has them */
    RB_TENSOR_EMBD,
    RB_TENSOR_MATRIX,
    RB_TENSOR_ROUTER, /* a matrix that is kept in f32 */
} rb_tensor_kind;

typedef struct rb_tensor {
    char name[48];      /* "blk.3.attn_q.weight" */
    const char *suffix; /* without the layer: "attn_q.weight" */
    rb_tensor_kind kind;
    int64_t rows, cols; /* rows is 1 for vectors; GGUF's ne is {cols, rows, stack} */
    int64_t stack;  /* how many such matrices, one after the other; 0: one, and no axis for it */
    bool by_expert; /* of a stack: its view has one matrix a row */
    int64_t layer;  /* -1: not of a layer */
    size_t place;   /* of the rb_view, in rb_layer or rb_model */
} rb_tensor;

/* The tensors of all layers and of none; config was checked. */
int64_t rb_tensor_count(const rb_config *config);
rb_tensor rb_tensor_at(const rb_config *config, int64_t i);
/* By suffix; layer is ignored where it does not apply. False if config has no such tensor there. */
bool rb_tensor_find(const rb_config *config, const char *suffix, int64_t layer, rb_tensor *tensor);

/* Embeddings and matrices have a dtype of their own; vectors are f32 always. */
static inline bool rb_tensor_is_matrix(const rb_tensor *t)
{
    return t->kind >= RB_TENSOR_EMBD;
}
/* Its view in a buffer that holds nothing else. */
rb_view rb_tensor_in(const rb_tensor *t, const rb_buffer *buffer, rb_dtype dtype);
int64_t rb_tensor_bytes(const rb_tensor *t, rb_dtype dtype);
static inline int64_t rb_tensor_rows(const rb_tensor *t)
{
    return (t->stack ? t->stack : 1) * t->rows;
}
rb_view *rb_tensor_view(rb_model *model, const rb_tensor *tensor);
const rb_view *rb_tensor_view_of(const rb_model *model, const rb_tensor *tensor);

#endif
