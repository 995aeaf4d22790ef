/* The list of a drawing, and its file, which a full disk never leaves half written. Formats are the
 * back ends' matter.
 * Read next: draw_png.c, draw_svg.c. */
#include "draw_list.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

rb_draw *rb_draw_new(double width, double height)
{
    rb_draw *d = calloc(1, sizeof *d);
    if (d) {
        d->width = width;
        d->height = height;
    }
    return d;
}

void rb_draw_free(rb_draw *d)
{
    if (!d)
        return;
    for (int i = 0; i < d->n; i++) {
        free(d->item[i].point);
        free(d->item[i].text);
        free(d->item[i].tip);
    }
    free(d->item);
    free(d->clip);
    free(d);
}

/* ---- the list ---- */

/* Room for one more in a list; false (and remembered) if there is no memory. */
static bool reserve(rb_draw *d, void **list, int n, int *room, size_t size)
{
    if (n < *room)
        return true;
    int more = *room ? 2 * *room : 64;
    void *grown = realloc(*list, (size_t)more * size);
    if (!grown) {
        d->failed = true;
        return false;
    }
    *list = grown;
    *room = more;
    return true;
}

void rb_draw_clip(rb_draw *d, double x0, double y0, double x1, double y1)
{
    if (!reserve(d, (void **)&d->clip, d->n_clip, &d->clip_room, sizeof *d->clip))
        return;
    d->clip[d->n_clip++] = (rb_clip){ x0, y0, x1, y1 };
    d->clip_now = d->n_clip;
}

void rb_draw_unclip(rb_draw *d)
{
    d->clip_now = 0;
}

/* Appends an item with a copy of its points; NULL if there is no memory. */
static rb_item *append(rb_draw *d, rb_item_kind kind, const rb_point *p, int n)
{
    if (n < 1 || !reserve(d, (void **)&d->item, d->n, &d->room, sizeof *d->item))
        return NULL;
    rb_point *copy = malloc((size_t)n * sizeof *copy);
    if (!copy) {
        d->failed = true;
        return NULL;
    }
    for (int i = 0; i < n; i++) { /* nothing further out can be seen, or has to be rasterised */
        copy[i].x = fmin(fmax(p[i].x, -d->width), 2 * d->width);
        copy[i].y = fmin(fmax(p[i].y, -d->height), 2 * d->height);
    }
    rb_item *item = &d->item[d->n++];
    *item = (rb_item){ .kind = kind, .clip = d->clip_now, .point = copy, .n = n };
    return item;
}

void rb_draw_path(rb_draw *d, const rb_point *p, int n, bool closed, const rb_pen *pen)
{
    rb_item *item = append(d, RB_ITEM_PATH, p, n);
    if (item) {
        item->pen = *pen;
        item->closed = closed;
    }
}

void rb_draw_line(rb_draw *d, double x0, double y0, double x1, double y1, const rb_pen *pen)
{
    rb_draw_path(d, (rb_point[]){ { x0, y0 }, { x1, y1 } }, 2, false, pen);
}

void rb_draw_rect(rb_draw *d, double x0, double y0, double x1, double y1, const rb_pen *pen)
{
    rb_draw_path(d, (rb_point[]){ { x0, y0 }, { x1, y0 }, { x1, y1 }, { x0, y1 } }, 4, true, pen);
}

void rb_draw_circle(rb_draw *d, double x, double y, double r, const rb_pen *pen)
{
    rb_item *item = append(d, RB_ITEM_CIRCLE, &(rb_point){ x, y }, 1);
    if (item) {
        item->pen = *pen;
        item->r = fmin(fmax(r, 0), d->width);
    }
}

/* Not malformed UTF-8, control characters, surrogates, U+FFFE and U+FFFF. */
int rb_text_bytes(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;
    int n = *c < 0x80 ? 1 : *c >= 0xf0 ? 4 : *c >= 0xe0 ? 3 : 2;
    if (n == 1)
        return *c >= 0x20 && *c != 0x7f;
    if (*c < 0xc2 || *c > 0xf4 || (*c == 0xe0 && c[1] < 0xa0) || (*c == 0xed && c[1] >= 0xa0) ||
        (*c == 0xf0 && c[1] < 0x90) || (*c == 0xf4 && c[1] >= 0x90))
        return 0;
    for (int i = 1; i < n; i++) {
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    }
    return *c == 0xef && c[1] == 0xbf && c[2] >= 0xbe ? 0 : n;
}

/* A copy with '?' in place of what cannot be written. */
static char *printable(const char *text)
{
    char *copy = strdup(text);
    for (char *c = copy; c && *c;) {
        int n = rb_text_bytes(c);
        if (!n)
            *c = '?';
        c += n ? n : 1;
    }
    return copy;
}

void rb_draw_text(rb_draw *d, double x, double y, const char *text, const rb_type *type)
{
    rb_item *item = text[0] ? append(d, RB_ITEM_TEXT, &(rb_point){ x, y }, 1) : NULL;
    if (!item)
        return;
    item->type = *type;
    item->text = printable(text);
    d->failed = d->failed || !item->text;
}

void rb_draw_tip(rb_draw *d, const char *text)
{
    if (!d->n || !text[0] || d->item[d->n - 1].tip)
        return;
    d->item[d->n - 1].tip = printable(text);
    d->failed = d->failed || !d->item[d->n - 1].tip;
}

/* ---- the file ---- */

static bool has_extension(const char *path, const char *extension)
{
    const char *dot = strrchr(path, '.');
    return dot && dot > path && !strcasecmp(dot, extension);
}

bool rb_plot_can_write(const char *path)
{
    return has_extension(path, ".png") || has_extension(path, ".svg");
}

rb_status rb_draw_check_path(const char *path, rb_error *err)
{
    if (rb_plot_can_write(path))
        return RB_OK;
    return rb_fail(err, RB_ERR_ARGUMENT, "%.300s: figures are .png or .svg", path);
}

typedef struct writing {
    const rb_draw *d;
    const char *path;
    int scale;
} writing;

static rb_status put_figure(FILE *out, void *arg, rb_error *err)
{
    const writing *w = arg;
    const bool svg = has_extension(w->path, ".svg");
    if (svg ? rb_draw_svg(w->d, out) : rb_draw_png(w->d, w->scale, out))
        return RB_OK;
    return rb_fail(err, RB_ERR_MEMORY, "%.300s: out of memory for the figure", w->path);
}

rb_status rb_draw_write(const rb_draw *d, const char *path, int scale, rb_error *err)
{
    struct stat st;
    rb_status status = rb_draw_check_path(path, err);
    if (status != RB_OK)
        return status;
    if (d->failed)
        return rb_fail(err, RB_ERR_MEMORY, "%.300s: out of memory for the figure", path);
    if (!stat(path, &st) && !S_ISREG(st.st_mode))
        return rb_fail(err, RB_ERR_IO, "%.300s: not a regular file", path);
    writing w = { d, path, scale };
    return rb_replace_file(path, &(rb_content){ .put = put_figure, .arg = &w }, err);
}
