/* A drawing as PNG. Every stroke, disc and glyph becomes contours whose coverage stb_truetype
 * computes exactly, then is blended in; there is no rasteriser of our own.
 * Read next: draw_stb.c. */
#include "draw_list.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct canvas {
    const rb_draw *d;
    double scale;
    int w, h;
    uint8_t *rgb;
    rb_shape shape;
    bool failed;
} canvas;

/* ---- strokes and discs as contours, all wound the same way ---- */

static void add_disc(rb_shape *s, double x, double y, double r)
{
    int n = (int)fmin(fmax(12, 4 * r), 180);
    for (int i = 0; i < n; i++) {
        double a = 2 * 3.14159265358979323846 * i / n;
        rb_shape_add(s, i ? RB_LINE : RB_MOVE, x + r * cos(a), y + r * sin(a));
    }
}

static void add_bar(rb_shape *s, rb_point a, rb_point b, double width)
{
    double dx = b.x - a.x, dy = b.y - a.y, length = hypot(dx, dy);
    if (length <= 0)
        return;
    double nx = -dy / length * width / 2, ny = dx / length * width / 2;
    rb_shape_add(s, RB_MOVE, a.x + nx, a.y + ny);
    rb_shape_add(s, RB_LINE, a.x - nx, a.y - ny);
    rb_shape_add(s, RB_LINE, b.x - nx, b.y - ny);
    rb_shape_add(s, RB_LINE, b.x + nx, b.y + ny);
}

/* One segment as dashes; *phase runs on from segment to segment. */
static void add_dashes(rb_shape *s, rb_point a, rb_point b, double width, double dash,
                       double *phase)
{
    double length = hypot(b.x - a.x, b.y - a.y), at = 0;
    if (length <= 0)
        return;
    double ux = (b.x - a.x) / length, uy = (b.y - a.y) / length;
    while (at < length) {
        bool on = *phase < dash;
        double step = fmin((on ? dash : 2 * dash) - *phase, length - at);
        if (on)
            add_bar(s, (rb_point){ a.x + ux * at, a.y + uy * at },
                    (rb_point){ a.x + ux * (at + step), a.y + uy * (at + step) }, width);
        at += step;
        *phase += step;
        if (*phase >= 2 * dash - 1e-9)
            *phase = 0;
    }
}

static rb_point scaled(const canvas *c, rb_point p)
{
    return (rb_point){ p.x * c->scale, p.y * c->scale };
}

static void add_stroke(canvas *c, const rb_item *item)
{
    double width = item->pen.width * c->scale, dash = item->pen.dash * c->scale, phase = 0;
    for (int i = 0; i + 1 < item->n + (item->closed ? 1 : 0); i++) {
        rb_point a = scaled(c, item->point[i]), b = scaled(c, item->point[(i + 1) % item->n]);
        if (dash > 0)
            add_dashes(&c->shape, a, b, width, dash, &phase);
        else {
            add_bar(&c->shape, a, b, width);
            if (width > 1.5 * c->scale && (i || item->closed)) /* a joint */
                add_disc(&c->shape, a.x, a.y, width / 2);
        }
    }
}

/* ---- blending ---- */

static void blend(canvas *c, const uint8_t *mask, int x0, int y0, int w, int h, const rb_clip *clip,
                  rb_color color)
{
    const int alpha = (int)(color & 0xff);
    for (int y = y0; y < y0 + h; y++) {
        if (y < clip->y0 || y >= clip->y1)
            continue;
        for (int x = x0; x < x0 + w; x++) {
            int cover = mask[(size_t)(y - y0) * (size_t)w + (size_t)(x - x0)] * alpha;
            if (!cover || x < clip->x0 || x >= clip->x1)
                continue;
            uint8_t *p = &c->rgb[((size_t)y * (size_t)c->w + (size_t)x) * 3];
            for (int i = 0; i < 3; i++) {
                int to = (int)(color >> (24 - 8 * i) & 0xff);
                p[i] = (uint8_t)((p[i] * (65025 - cover) + to * cover + 32512) / 65025);
            }
        }
    }
}

static rb_clip clip_of(const canvas *c, const rb_item *item)
{
    rb_clip clip = { 0, 0, c->w, c->h };
    if (item->clip) {
        const rb_clip *own = &c->d->clip[item->clip - 1];
        clip.x0 = fmax(0, floor(own->x0 * c->scale));
        clip.y0 = fmax(0, floor(own->y0 * c->scale));
        clip.x1 = fmin(c->w, ceil(own->x1 * c->scale));
        clip.y1 = fmin(c->h, ceil(own->y1 * c->scale));
    }
    return clip;
}

/* Blends the shape in and empties it. */
static void fill_shape(canvas *c, const rb_item *item, rb_color color)
{
    rb_shape *s = &c->shape;
    float x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY;
    for (int i = 0; i < s->n; i++) {
        x0 = fminf(x0, s->at[i].x), x1 = fmaxf(x1, s->at[i].x);
        y0 = fminf(y0, s->at[i].y), y1 = fmaxf(y1, s->at[i].y);
    }
    c->failed = c->failed || s->failed;
    if (s->n && (color & 0xff) && !c->failed) {
        int left = (int)floorf(x0) - 1, top = (int)floorf(y0) - 1;
        int w = (int)ceilf(x1) + 2 - left, h = (int)ceilf(y1) + 2 - top;
        uint8_t *mask = calloc((size_t)w, (size_t)h);
        for (int i = 0; i < s->n; i++) {
            s->at[i].x -= (float)left, s->at[i].cx -= (float)left;
            s->at[i].y -= (float)top, s->at[i].cy -= (float)top;
        }
        rb_clip clip = clip_of(c, item);
        c->failed = !mask || !rb_shape_mask(s, mask, w, h);
        if (!c->failed)
            blend(c, mask, left, top, w, h, &clip, color);
        free(mask);
    }
    s->n = 0;
}

/* ---- items ---- */

static void fill_path(canvas *c, const rb_item *item)
{
    for (int i = 0; i < item->n && item->closed; i++) {
        rb_point p = scaled(c, item->point[i]);
        rb_shape_add(&c->shape, i ? RB_LINE : RB_MOVE, p.x, p.y);
    }
    fill_shape(c, item, item->pen.fill);
    add_stroke(c, item);
    fill_shape(c, item, item->pen.stroke);
}

/* A ring is a disc less a smaller one, wound the other way. */
static void fill_circle(canvas *c, const rb_item *item)
{
    rb_point at = scaled(c, item->point[0]);
    double r = item->r * c->scale, half = item->pen.width * c->scale / 2;
    add_disc(&c->shape, at.x, at.y, r);
    fill_shape(c, item, item->pen.fill);
    if (!(item->pen.stroke & 0xff))
        return;
    add_disc(&c->shape, at.x, at.y, r + half);
    int inner = c->shape.n;
    if (r > half)
        add_disc(&c->shape, at.x, at.y, r - half);
    for (int i = inner, j = c->shape.n - 1; i < j; i++, j--) {
        rb_vertex swap = c->shape.at[i];
        c->shape.at[i] = c->shape.at[j];
        c->shape.at[j] = swap;
        c->shape.at[i].type = i == inner ? RB_MOVE : RB_LINE;
        c->shape.at[j].type = RB_LINE;
    }
    fill_shape(c, item, item->pen.stroke);
}

static void fill_text(canvas *c, const rb_item *item)
{
    const rb_type *type = &item->type;
    rb_point at = scaled(c, item->point[0]);
    double size = type->size * c->scale, turn = type->angle * 3.14159265358979323846 / 180;
    double back = rb_text_width(item->text, size) * type->anchor / 2;
    rb_shape_text(&c->shape, item->text, size, at.x - back * cos(turn), at.y - back * sin(turn),
                  type->angle);
    fill_shape(c, item, type->color);
}

bool rb_draw_png(const rb_draw *d, int scale, FILE *out)
{
    canvas c = { .d = d, .scale = scale };
    c.w = (int)ceil(d->width * scale);
    c.h = (int)ceil(d->height * scale);
    size_t bytes = (size_t)c.w * (size_t)c.h * 3;
    c.rgb = malloc(bytes);
    c.failed = !c.rgb;
    if (c.rgb)
        memset(c.rgb, 0xff, bytes);
    for (int i = 0; i < d->n && !c.failed; i++) {
        const rb_item *item = &d->item[i];
        if (item->kind == RB_ITEM_PATH)
            fill_path(&c, item);
        else if (item->kind == RB_ITEM_CIRCLE)
            fill_circle(&c, item);
        else
            fill_text(&c, item);
    }
    bool done = !c.failed && rb_png_write(out, c.rgb, c.w, c.h);
    free(c.shape.at);
    free(c.rgb);
    return done;
}
