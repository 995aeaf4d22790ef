/* A drawing: a retained list of lines, shapes and text on a canvas, written as PNG or as SVG from
 * the same list, so that both show the same figure. The origin is at the top left, y grows
 * downwards, one unit is one pixel of an unscaled PNG. Knows nothing of plots. Read next: plot.h
 * (figures), draw_png.c and draw_svg.c (the two back ends). */
#ifndef RB_DRAW_H
#define RB_DRAW_H

#include "bench.h"

typedef uint32_t rb_color; /* 0xRRGGBBAA; alpha 0: none */

typedef struct rb_point {
    double x, y;
} rb_point;

typedef struct rb_pen {
    rb_color fill, stroke;
    double width, dash; /* of the stroke; dash: length of dashes and gaps, 0: solid */
} rb_pen;

typedef enum { RB_START, RB_MIDDLE, RB_END } rb_anchor;

typedef struct rb_type {
    double size;
    rb_color color;
    rb_anchor anchor;
    double angle; /* degrees, clockwise */
} rb_type;

typedef struct rb_draw rb_draw;

rb_draw *rb_draw_new(double width, double height); /* NULL: no memory */
void rb_draw_free(rb_draw *d);                     /* NULL is fine */

/* What is drawn from here on shows only inside; rb_draw_unclip ends that. */
void rb_draw_clip(rb_draw *d, double x0, double y0, double x1, double y1);
void rb_draw_unclip(rb_draw *d);

/* Memory that runs out is remembered and reported by rb_draw_write. */
void rb_draw_path(rb_draw *d, const rb_point *p, int n, bool closed, const rb_pen *pen);
void rb_draw_line(rb_draw *d, double x0, double y0, double x1, double y1, const rb_pen *pen);
void rb_draw_rect(rb_draw *d, double x0, double y0, double x1, double y1, const rb_pen *pen);
void rb_draw_circle(rb_draw *d, double x, double y, double r, const rb_pen *pen);
/* y: the baseline. What no XML may hold is replaced. */
void rb_draw_text(rb_draw *d, double x, double y, const char *text, const rb_type *type);
/* What the item before says when it is pointed at, where the format can show it. */
void rb_draw_tip(rb_draw *d, const char *text);
/* Bytes of the character at c that XML 1.0 can hold; 0: it can not, or it is no UTF-8. */
int rb_text_bytes(const char *c);

/* Width of text in the embedded font. */
double rb_text_width(const char *text, double size);
/* Heights above and below the baseline, per unit of size, that cover letters and digits. */
#define RB_TEXT_ABOVE 0.76
#define RB_TEXT_BELOW 0.22

/* Writes PNG (pixels: scale times the canvas, 1 to 4) or SVG, by the suffix of path. The file
 * appears under its name only when complete. */
rb_status rb_draw_write(const rb_draw *d, const char *path, int scale, rb_error *err);
/* RB_ERR_ARGUMENT if rb_draw_write cannot write such a file. */
rb_status rb_draw_check_path(const char *path, rb_error *err);

#endif
