/* The vocabulary of the whole project: status, dtype, buffer, view.
 * A view says which storage units of which buffer an operand covers; it never owns memory and the
 * memory may be absent (a dry run). Includes libc only, and host.h.
 * Read next: cost.h (what a launch costs), op.h (what a kernel is). */
#ifndef RB_TYPES_H
#define RB_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "host.h"

/* ---- errors: a status for the program, one clear line for the user ---- */

typedef enum {
    RB_OK = 0,
    RB_ERR_FORMAT,      /* a file that is malformed, truncated or hostile */
    RB_ERR_UNSUPPORTED, /* well formed, but nothing we can run */
    RB_ERR_ARGUMENT,    /* a caller's number is out of range */
    RB_ERR_MEMORY,
    RB_ERR_IO,
} rb_status;

typedef struct rb_error {
    rb_status status;
    char text[512]; /* one line: what, where, what to do; no trailing newline */
} rb_error;

/* Says so in a line on stderr and ends the process with exit code 1: for what has no error to
 * return, such as the launch door. */
__attribute__((noreturn)) void rb_out_of_memory(void);

/* Fills err (which may be NULL) and returns status, so that callers write `return rb_fail(...)`. */
rb_status rb_fail(rb_error *err, rb_status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- dtypes: one row each, the only place that knows their bytes ---- */

/* The types that files have. Whoever has something for each of them walks a list. */
#define RB_PLAIN_DTYPES(X) X(RB_F32) X(RB_F16) X(RB_BF16)
#define RB_QUANT_DTYPES(X)                                                                         \
    X(RB_Q8_0)                                                                                     \
    X(RB_Q4_0)                                                                                     \
    X(RB_Q4_1)                                                                                     \
    X(RB_Q5_0)                                                                                     \
    X(RB_Q5_1) X(RB_Q2_K) X(RB_Q3_K) X(RB_Q4_K) X(RB_Q5_K) X(RB_Q6_K) X(RB_IQ4_NL) X(RB_IQ4_XS)
#define RB_FILE_DTYPES(X) RB_PLAIN_DTYPES(X) RB_QUANT_DTYPES(X)

/* Each file type has a packed layout, in memory only: see rb_dtype_info.panel_rows. */
#define RB_AS_ENUM(t)     t,
#define RB_AS_P16_ENUM(t) t##_P16,
typedef enum {
    RB_FILE_DTYPES(RB_AS_ENUM) RB_I32,
    RB_FIRST_PACKED,
    RB_LAST_UNPACKED = RB_FIRST_PACKED - 1,
    RB_FILE_DTYPES(RB_AS_P16_ENUM) RB_N_DTYPE,
    RB_NO_DTYPE = RB_N_DTYPE, /* a registry key that does not apply */
} rb_dtype;

/* Operations that decoding one block costs, by the canonical scalar algorithm. */
typedef struct rb_dequant {
    uint32_t integer, conversion, flt;
} rb_dequant;

/* Rows of a panel of the packed layouts. */
enum { RB_PANEL_ROWS = 16 };

typedef struct rb_dtype_info {
    const char *name;
    int block, block_bytes; /* q8_0: 32 elements in 34 bytes */
    int gguf_id;            /* ggml_type number in GGUF files */
    rb_dequant dq;
    /* Of a file type, n a multiple of block: see rb_decode_row. */
    void (*decode)(float *dst, const void *src, int64_t n);
    void (*encode)(void *dst, const float *src, int64_t n);
    /* A packed layout holds panels of panel_rows rows of base, interleaved: a matrix M x K is the
     * view {1, 1, M / panel_rows, panel_rows K}, one row of it a panel, whose element k panel_rows
     * + r is element k of row r. Exactly base's bytes in another order. The file's own: 1. */
    int panel_rows;
    rb_dtype base;
} rb_dtype_info;

/* The row of a dtype in the table. */
const rb_dtype_info *rb_dtype_get(rb_dtype dtype);
/* By name ("q8_0"); RB_NO_DTYPE if unknown, or a packed layout: no file holds one. */
rb_dtype rb_dtype_by_name(const char *name);
rb_dtype rb_dtype_by_gguf_id(uint32_t id);
/* Bytes of n elements; n must be a multiple of the block. */
int64_t rb_row_bytes(rb_dtype dtype, int64_t n);
/* n elements, a multiple of the block, of any dtype but i32. Reference code: exact, slow, used by
 * tests, synth, conversion and lookups. */
void rb_decode_row(rb_dtype dtype, float *dst, const void *src, int64_t n);
void rb_encode_row(rb_dtype dtype, void *dst, const float *src, int64_t n);

/* Exact where nothing else is said. */
float rb_f16_to_f32(uint16_t h);
uint16_t rb_f32_to_f16(float f); /* round to nearest even */
float rb_bf16_to_f32(uint16_t h);
uint16_t rb_f32_to_bf16(float f); /* round to nearest even, NaN stays NaN */

/* ---- memory ---- */

/* One allocation. Its address is its identity: two views overlap only if they share the buffer.
 * data is NULL in a dry run. */
typedef struct rb_buffer {
    void *data;
    size_t bytes;
} rb_buffer;

/* Zeroed private pages, 64-byte aligned; dry: no memory at all. Fails with RB_ERR_MEMORY. */
rb_status rb_buffer_alloc(rb_buffer *b, size_t bytes, bool dry, rb_error *err);
void rb_buffer_free(rb_buffer *b); /* NULL and empty are fine */
/* What it holds is lost, and its memory, as far as it fills whole huge pages, becomes that of the
 * threads that next write it: pages come to the node of whoever touches them first. */
void rb_buffer_forget(rb_buffer *b);

/* ---- views ---- */

typedef enum { RB_WEIGHT, RB_ACT, RB_KV, RB_CTRL, RB_N_STREAM } rb_stream;
extern const char *const rb_stream_name[RB_N_STREAM];

/* [sequence][token][head][column]; unused leading extents are 1. Columns are dense. */
typedef struct rb_view {
    const rb_buffer *buffer; /* NULL: operand absent */
    rb_dtype dtype;
    rb_stream stream;
    int64_t offset_bytes;
    int64_t n[4];
    int64_t step_bytes[3]; /* of the first three axes; 0 where shared */
} rb_view;

/* A dense view of n0 x n1 x n2 x n3 elements at offset_bytes. */
rb_view rb_view_dense(const rb_buffer *b, rb_dtype dtype, rb_stream stream, int64_t offset_bytes,
                      int64_t n0, int64_t n1, int64_t n2, int64_t n3);
/* Elements [first, first + count) of one axis. Axis 3 wants whole blocks. */
rb_view rb_view_slice(rb_view v, int axis, int64_t first, int64_t count);
/* The same dense storage seen with other extents. */
rb_view rb_view_reshape(rb_view v, int64_t n0, int64_t n1, int64_t n2, int64_t n3);
/* A dense matrix {1, 1, M, K} as packed panels in buffer b, from its first byte on; buffer NULL if
 * rows make no whole number of panels or columns none of packed blocks (nothing is padded). */
rb_view rb_view_packed(const rb_view *matrix, const rb_buffer *b);
/* Moves the bytes of panels [first, last) of a dense matrix into its packed view. */
void rb_pack(const rb_view *packed, const rb_view *matrix, int64_t first, int64_t last);
bool rb_view_is_dense(const rb_view *v);
int64_t rb_view_elements(const rb_view *v);
bool rb_view_same_shape(const rb_view *a, const rb_view *b);

/* Address of row (i0, i1, i2), for kernels; the buffer must have memory. */
static inline char *rb_at(const rb_view *v, int64_t i0, int64_t i1, int64_t i2)
{
    return (char *)v->buffer->data + v->offset_bytes + i0 * v->step_bytes[0] +
           i1 * v->step_bytes[1] + i2 * v->step_bytes[2];
}

#endif
