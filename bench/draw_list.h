/* The list behind a drawing and what its back ends share. Private to draw*.c.
 * Nothing here decides what a figure looks like.
 * Read next: draw.h. */
#ifndef RB_DRAW_LIST_H
#define RB_DRAW_LIST_H

#include "draw.h"

typedef enum { RB_ITEM_PATH, RB_ITEM_CIRCLE, RB_ITEM_TEXT } rb_item_kind;

typedef struct rb_item {
    rb_item_kind kind;
    int clip; /* index, 0: the whole canvas */
    rb_pen pen;
    bool closed;
    int n;           /* of points */
    rb_point *point; /* PATH: all; CIRCLE: the centre; TEXT: the anchor */
    double r;
    rb_type type;
    char *text, *tip; /* tip: NULL or what it says when it is pointed at */
} rb_item;

typedef struct rb_clip {
    double x0, y0, x1, y1;
} rb_clip;

struct rb_draw {
    double width, height;
    rb_item *item;
    int n, room;
    rb_clip *clip;
    int n_clip, clip_room, clip_now;
    bool failed; /* out of memory */
};

/* Both return false if there is no memory; errors of the stream are the caller's to ask for. */
bool rb_draw_svg(const rb_draw *d, FILE *out);
bool rb_draw_png(const rb_draw *d, int scale, FILE *out);

/* ---- what stb does ---- */

enum { RB_MOVE = 1, RB_LINE = 2, RB_CURVE = 3 };

/* A contour starts with RB_MOVE; c: the control point of a quadratic curve. */
typedef struct rb_vertex {
    float x, y, cx, cy, cx1, cy1;
    unsigned char type, padding;
} rb_vertex;

/* Contours in pixels. Where two overlap they must be wound the same way. */
typedef struct rb_shape {
    rb_vertex *at;
    int n, room;
    bool failed;
} rb_shape;

/* Appends a vertex in pixels, type as stb has it; without memory the shape has failed. */
void rb_shape_add(rb_shape *s, int type, double x, double y);
/* The outlines of a text whose pen starts at (x, y) and runs at angle (degrees, clockwise). */
void rb_shape_text(rb_shape *s, const char *text, double size, double x, double y, double angle);
/* Coverage of a shape that lies inside w x h pixels, 0 to 255 each. False if there is no memory. */
bool rb_shape_mask(const rb_shape *s, uint8_t *mask, int w, int h);
/* rgb: w * h * 3 bytes. False if there is no memory. */
bool rb_png_write(FILE *out, const uint8_t *rgb, int w, int h);

#endif
