/* stb: outlines and widths of the embedded font, coverage of shapes, PNG. stb is compiled here and
 * nowhere else; the font is part of the program, so that no file is needed when it runs.
 * Only our own font is ever read. Read next: draw_png.c. */
#include "draw_list.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

/* What stb takes during one call, in pieces that are freed together after it. It does not look at
 * what it gets: where there is none it is left by a jump. */
typedef struct piece {
    struct piece *before;
    size_t room, used;
    _Alignas(16) unsigned char at[];
} piece;

typedef struct scratch {
    jmp_buf out;
    piece *last;
} scratch;

static _Thread_local scratch *stb; /* of the call under way */

static void *take(size_t n)
{
    enum { ROOM = 1 << 18 };
    n = (n + 15) & ~(size_t)15;
    piece *p = stb->last;
    if (!p || n > p->room - p->used) {
        const size_t room = n > ROOM ? n : ROOM;
        if (!(p = malloc(sizeof *p + room)))
            longjmp(stb->out, 1);
        *p = (piece){ .before = stb->last, .room = room };
        stb->last = p;
    }
    p->used += n;
    return p->at + p->used - n;
}

/* Whether work had all the memory that it wanted. */
static bool in_scratch(void (*work)(void *arg), void *arg)
{
    scratch s = { .last = NULL };
    stb = &s;
    const bool done = setjmp(s.out) == 0;
    if (done)
        work(arg);
    for (piece *p = s.last, *before; p; p = before) {
        before = p->before;
        free(p);
    }
    stb = NULL;
    return done;
}

#define STBTT_malloc(n, user)          ((void)(user), take(n))
#define STBTT_free(p, user)            ((void)(p), (void)(user))
#define STBIW_MALLOC(n)                take(n)
#define STBIW_REALLOC_SIZED(p, was, n) take_more(p, was, n)
#define STBIW_FREE(p)                  ((void)(p))
#define STBTT_assert(x)                ((void)0)
#define stbtt_vertex                   rb_vertex /* in floats: also our own shapes */
#define stbtt_vertex_type              float
#define STBTT_STATIC
#define STB_TRUETYPE_IMPLEMENTATION
#include <stb/stb_truetype.h>
#ifndef __clang_analyzer__ /* it finds things in there that are not ours to mend */
static void *take_more(const void *was, size_t n_was, size_t n)
{
    void *p = take(n);
    if (was)
        memcpy(p, was, n_was);
    return p;
}

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#endif
#include <stb/stb_image_write.h>

/* ---- the font ---- */

/* The Makefile says in which folder. */
__asm__(".pushsection .rodata\n"
        ".balign 16\n"
        ".globl rb_font_file\n"
        "rb_font_file: .incbin \"DejaVuSans.ttf\"\n"
        ".popsection\n");
extern const unsigned char rb_font_file[];

/* Code point at *text, which advances; malformed UTF-8 becomes U+FFFD. */
static int code_point(const char **text)
{
    const unsigned char *p = (const unsigned char *)*text;
    int n = *p < 0x80 ? 0 : *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : *p >= 0xc0 ? 1 : -1;
    int c = n < 0 ? 0xfffd : n ? *p & (0x3f >> n) : *p;
    *text += 1;
    for (int i = 1; i <= n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0xfffd;
        c = c << 6 | (p[i] & 0x3f);
        *text += 1;
    }
    return c;
}

/* Calls outline (if not NULL) for each glyph with its pen position; returns the whole advance. */
typedef void glyph_fn(void *arg, const stbtt_fontinfo *font, int glyph, double x);

static double walk(const char *text, double size, glyph_fn *outline, void *arg)
{
    stbtt_fontinfo font;
    if (!stbtt_InitFont(&font, rb_font_file, 0))
        return 0;
    double scale = stbtt_ScaleForMappingEmToPixels(&font, 1) * size, x = 0;
    int before = 0;
    while (*text) {
        int glyph = stbtt_FindGlyphIndex(&font, code_point(&text)), advance, bearing;
        stbtt_GetGlyphHMetrics(&font, glyph, &advance, &bearing);
        x += before ? scale * stbtt_GetGlyphKernAdvance(&font, before, glyph) : 0;
        if (outline)
            outline(arg, &font, glyph, x);
        x += scale * advance;
        before = glyph;
    }
    return x;
}

double rb_text_width(const char *text, double size)
{
    return walk(text, size, NULL, NULL);
}

/* ---- shapes ---- */

void rb_shape_add(rb_shape *s, int type, double x, double y)
{
    if (s->n == s->room) {
        int room = s->room ? 2 * s->room : 64;
        rb_vertex *at = realloc(s->at, (size_t)room * sizeof *at);
        if (!at) {
            s->failed = true;
            return;
        }
        s->at = at;
        s->room = room;
    }
    s->at[s->n++] = (rb_vertex){ .x = (float)x, .y = (float)y, .type = (unsigned char)type };
}

typedef struct pen {
    rb_shape *shape;
    double x, y, scale, cos, sin;
} pen;

static void add_glyph(void *arg, const stbtt_fontinfo *font, int glyph, double x)
{
    const pen *p = arg;
    rb_vertex *v = NULL;
    int n = stbtt_GetGlyphShape(font, glyph, &v);
    for (int i = 0; i < n; i++) {
        double gx = x + p->scale * v[i].x, gy = -p->scale * v[i].y;
        double hx = x + p->scale * v[i].cx, hy = -p->scale * v[i].cy;
        int before = p->shape->n;
        rb_shape_add(p->shape, v[i].type, p->x + gx * p->cos - gy * p->sin,
                     p->y + gx * p->sin + gy * p->cos);
        if (p->shape->n > before) {
            p->shape->at[before].cx = (float)(p->x + hx * p->cos - hy * p->sin);
            p->shape->at[before].cy = (float)(p->y + hx * p->sin + hy * p->cos);
        }
    }
    stbtt_FreeShape(font, v);
}

typedef struct line {
    const char *text;
    double size;
    pen pen;
} line;

static void outline(void *arg)
{
    line *l = arg;
    walk(l->text, l->size, add_glyph, &l->pen);
}

void rb_shape_text(rb_shape *s, const char *text, double size, double x, double y, double angle)
{
    stbtt_fontinfo font;
    double turn = angle * 3.14159265358979323846 / 180;
    if (!stbtt_InitFont(&font, rb_font_file, 0))
        return;
    const double scale = stbtt_ScaleForMappingEmToPixels(&font, 1) * size;
    line l = { text, size, { s, x, y, scale, cos(turn), sin(turn) } };
    if (!in_scratch(outline, &l))
        s->failed = true;
}

typedef struct cover {
    const rb_shape *shape;
    stbtt__bitmap bitmap;
} cover;

static void rasterize(void *arg)
{
    cover *c = arg;
    stbtt_Rasterize(&c->bitmap, 0.2f, c->shape->at, c->shape->n, 1, 1, 0, 0, 0, 0, 0, NULL);
}

bool rb_shape_mask(const rb_shape *s, uint8_t *mask, int w, int h)
{
    cover c = { s, { .w = w, .h = h, .stride = w, .pixels = mask } };
    return in_scratch(rasterize, &c);
}

/* ---- PNG ---- */

typedef struct picture {
    FILE *out;
    const uint8_t *rgb;
    int w, h;
} picture;

static void put_bytes(void *arg, void *data, int size)
{
    fwrite(data, 1, (size_t)size, arg);
}

static void write_png(void *arg)
{
    const picture *p = arg;
    stbi_write_png_to_func(put_bytes, p->out, p->w, p->h, 3, p->rgb, p->w * 3);
}

bool rb_png_write(FILE *out, const uint8_t *rgb, int w, int h)
{
    picture p = { out, rgb, w, h };
    return in_scratch(write_png, &p);
}
