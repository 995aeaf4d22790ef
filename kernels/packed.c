/* Packed layouts: panels of 16 rows whose blocks lie interleaved, field by field, so that lanes are
 * rows and a panel is one stream of memory. Each is its file type's bytes in another order, which
 * one table of fields says. Refuses to pad: rows that make no whole panel stay as files have them.
 * Read next: quants.h (how kernels read panels). */
#include "blocks.h"

#include <assert.h>

/* bytes of a block from each of some places on, in pieces of `unit`, the places in turn: piece i of
 * row r comes to 16 i + r. Fifth bits of 32 elements, one after the other in a file, stand as
 * groups of four elements do in lanes: that of byte b in group g is bit g of byte b. */
typedef struct field {
    int bytes, unit, n_at;
    int at[3];
} field;

enum { MOST_FIELDS = 4, MOST_BLOCK = 210 };

/* In the order that kernels want them, since memory is read fastest line after line: scales first,
 * then what is unpacked together side by side. Halves of a pair of bf16 columns share a lane, as
 * their dot product wants. */
static const field fields[RB_FIRST_PACKED][MOST_FIELDS + 1] = {
    [RB_F32] = { { 4, 4, 1, { 0 } } },
    [RB_F16] = { { 2, 2, 1, { 0 } } },
    [RB_BF16] = { { 4, 4, 1, { 0 } } },
    [RB_Q8_0] = { { 2, 2, 1, { 0 } }, { 32, 4, 1, { 2 } } },
    [RB_Q4_0] = { { 2, 2, 1, { 0 } }, { 16, 4, 1, { 2 } } },
    [RB_Q4_1] = { { 4, 2, 1, { 0 } }, { 16, 4, 1, { 4 } } },
    [RB_Q5_0] = { { 2, 2, 1, { 0 } }, { 4, 4, 1, { 2 } }, { 16, 4, 1, { 6 } } },
    [RB_Q5_1] = { { 4, 2, 1, { 0 } }, { 4, 4, 1, { 4 } }, { 16, 4, 1, { 8 } } },
    [RB_Q2_K] = { { 4, 2, 1, { 80 } }, { 80, 4, 1, { 0 } } },
    [RB_Q3_K] = { { 2, 2, 1, { 108 } },
                  { 12, 4, 1, { 96 } },
                  { 32, 4, 2, { 0, 32 } },
                  { 32, 4, 1, { 64 } } },
    [RB_Q4_K] = { { 4, 2, 1, { 0 } }, { 140, 4, 1, { 4 } } },
    [RB_Q5_K] = { { 4, 2, 1, { 0 } },
                  { 12, 4, 1, { 4 } },
                  { 32, 4, 2, { 16, 48 } },
                  { 96, 4, 1, { 80 } } },
    [RB_Q6_K] = { { 2, 2, 1, { 208 } },
                  { 16, 4, 1, { 192 } },
                  { 32, 4, 3, { 0, 32, 128 } },
                  { 32, 4, 3, { 64, 96, 160 } } },
    [RB_IQ4_NL] = { { 2, 2, 1, { 0 } }, { 16, 4, 1, { 2 } } },
    [RB_IQ4_XS] = { { 4, 2, 1, { 0 } }, { 132, 4, 1, { 4 } } },
};

/* Bit 4 g + b comes to 8 b + g, or back. */
static uint32_t transpose_bits(uint32_t bits, bool back)
{
    uint32_t moved = 0;
    for (int g = 0; g < 8; g++)
        for (int b = 0; b < 4; b++) {
            const int from = back ? 8 * b + g : 4 * g + b, to = back ? 4 * g + b : 8 * b + g;
            moved |= (bits >> from & 1) << to;
        }
    return moved;
}

static bool is_fifth_bits(rb_dtype base, const field *f)
{
    return (base == RB_Q5_0 || base == RB_Q5_1) && f == &fields[base][1];
}

static void move_fifth_bits(uint8_t *to, const uint8_t *from, bool back)
{
    uint32_t bits;
    memcpy(&bits, from, sizeof bits);
    bits = transpose_bits(bits, back);
    memcpy(to, &bits, sizeof bits);
}

/* One block of each of 16 rows, block_step bytes apart, to a packed block, or from it back. */
static void move(uint8_t *packed, uint8_t *block, int64_t block_step, rb_dtype base, bool back)
{
    for (const field *f = fields[base]; f->bytes; f++)
        for (int i = 0; i < f->bytes * f->n_at; i += f->unit) {
            const int at = f->at[i / f->unit % f->n_at] + i / f->unit / f->n_at * f->unit;
            for (int r = 0; r < PANEL; r++, packed += f->unit) {
                uint8_t *of_row = block + r * block_step + at;
                uint8_t *to = back ? of_row : packed, *from = back ? packed : of_row;
                if (is_fifth_bits(base, f))
                    move_fifth_bits(to, from, back);
                else
                    memcpy(to, from, (size_t)f->unit);
            }
        }
}

/* A packed block and one row's share of it: of bf16 two columns, else one block of the file. */
typedef struct panel_block {
    int columns, row_bytes;
} panel_block;

static panel_block block_of(rb_dtype base)
{
    const rb_dtype_info *packed = rb_dtype_get((rb_dtype)(RB_FIRST_PACKED + base));
    return (panel_block){ packed->block / PANEL, packed->block_bytes / PANEL };
}

void rb_decode_panel(rb_dtype base, float *dst, const void *src, int64_t n)
{
    const panel_block of = block_of(base);
    uint8_t rows[PANEL * MOST_BLOCK], *b = (uint8_t *)(uintptr_t)src;
    float x[QK_K];
    for (int64_t i = 0; i < n; i += PANEL * of.columns, b += PANEL * of.row_bytes) {
        move(b, rows, of.row_bytes, base, true);
        for (int r = 0; r < PANEL; r++) {
            rb_decode_row(base, x, rows + r * of.row_bytes, of.columns);
            for (int j = 0; j < of.columns; j++)
                dst[i + PANEL * j + r] = x[j];
        }
    }
}

void rb_encode_panel(rb_dtype base, void *dst, const float *src, int64_t n)
{
    const panel_block of = block_of(base);
    uint8_t rows[PANEL * MOST_BLOCK], *b = dst;
    float x[QK_K];
    for (int64_t i = 0; i < n; i += PANEL * of.columns, b += PANEL * of.row_bytes) {
        for (int r = 0; r < PANEL; r++) {
            for (int j = 0; j < of.columns; j++)
                x[j] = src[i + PANEL * j + r];
            rb_encode_row(base, rows + r * of.row_bytes, x, of.columns);
        }
        move(b, rows, of.row_bytes, base, false);
    }
}

rb_view rb_view_packed(const rb_view *w, const rb_buffer *b)
{
    if (w->dtype >= RB_I32 || w->n[2] % PANEL != 0 || w->n[3] % block_of(w->dtype).columns != 0)
        return (rb_view){ .buffer = NULL };
    const rb_dtype packed = (rb_dtype)(RB_FIRST_PACKED + w->dtype);
    return rb_view_dense(b, packed, w->stream, 0, 1, 1, w->n[2] / PANEL, w->n[3] * PANEL);
}

void rb_pack(const rb_view *packed, const rb_view *w, int64_t first, int64_t last)
{
    const panel_block of = block_of(w->dtype);
    assert(packed->dtype == RB_FIRST_PACKED + w->dtype);
    for (int64_t p = first; p < last; p++) {
        uint8_t *to = (uint8_t *)rb_at(packed, 0, 0, p);
        uint8_t *from = (uint8_t *)rb_at(w, 0, 0, p * PANEL);
        for (int64_t k = 0; k < w->n[3]; k += of.columns)
            move(to + k / of.columns * PANEL * of.row_bytes, from + k / of.columns * of.row_bytes,
                 w->step_bytes[2], w->dtype, false);
    }
}
