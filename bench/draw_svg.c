/* A drawing as SVG: one element per item, text as text, so that figures can be searched and edited.
 * Numbers have two decimals whatever the locale is.
 * Read next: draw_png.c, the same list as pixels. */
#include "draw_list.h"

#include <math.h>
#include <stdlib.h>

static void put_number(FILE *out, double x)
{
    long long n = llround(x * 100);
    fprintf(out, "%s%lld", n < 0 ? "-" : "", llabs(n) / 100);
    if (n % 100)
        fprintf(out, ".%02lld", llabs(n) % 100);
}

static void put_attribute(FILE *out, const char *name, double x)
{
    fprintf(out, " %s=\"", name);
    put_number(out, x);
    fputc('"', out);
}

static void put_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            fputs("&lt;", out);
        else if (*text == '>')
            fputs("&gt;", out);
        else if (*text == '&')
            fputs("&amp;", out);
        else
            fputc(*text, out);
    }
}

/* Ends an element that has no content but its tip. */
static void end_shape(FILE *out, const rb_item *item, const char *name)
{
    if (!item->tip) {
        fputs("/>\n", out);
        return;
    }
    fputs("><title>", out);
    put_escaped(out, item->tip);
    fprintf(out, "</title></%s>\n", name);
}

/* name="#rrggbb" and, unless it is opaque, name-opacity. */
static void put_color(FILE *out, const char *name, rb_color c)
{
    if (!(c & 0xff)) {
        fprintf(out, " %s=\"none\"", name);
        return;
    }
    fprintf(out, " %s=\"#%06x\"", name, (unsigned)(c >> 8));
    if ((c & 0xff) != 0xff) {
        fprintf(out, " %s-opacity=\"", name);
        put_number(out, (c & 0xff) / 255.0);
        fputc('"', out);
    }
}

static void put_pen(FILE *out, const rb_pen *pen)
{
    put_color(out, "fill", pen->fill);
    put_color(out, "stroke", pen->stroke);
    if (!(pen->stroke & 0xff))
        return;
    put_attribute(out, "stroke-width", pen->width);
    if (pen->dash > 0)
        put_attribute(out, "stroke-dasharray", pen->dash);
}

static void put_path(FILE *out, const rb_item *item)
{
    fprintf(out, "<%s points=\"", item->closed ? "polygon" : "polyline");
    for (int i = 0; i < item->n; i++) {
        fputs(i ? " " : "", out);
        put_number(out, item->point[i].x);
        fputc(',', out);
        put_number(out, item->point[i].y);
    }
    fputc('"', out);
    put_pen(out, &item->pen);
    fputs(" stroke-linejoin=\"round\"", out);
    end_shape(out, item, item->closed ? "polygon" : "polyline");
}

static void put_text(FILE *out, const rb_item *item)
{
    static const char *const anchor[] = { "start", "middle", "end" };
    fputs("<text", out);
    put_attribute(out, "x", item->point->x);
    put_attribute(out, "y", item->point->y);
    put_attribute(out, "font-size", item->type.size);
    put_color(out, "fill", item->type.color);
    if (item->type.anchor != RB_START)
        fprintf(out, " text-anchor=\"%s\"", anchor[item->type.anchor]);
    if (item->type.angle != 0) {
        fputs(" transform=\"rotate(", out);
        put_number(out, item->type.angle);
        fputc(' ', out);
        put_number(out, item->point->x);
        fputc(' ', out);
        put_number(out, item->point->y);
        fputs(")\"", out);
    }
    fputc('>', out);
    put_escaped(out, item->text);
    fputs("</text>\n", out);
}

static void put_item(FILE *out, const rb_item *item)
{
    if (item->kind == RB_ITEM_PATH)
        put_path(out, item);
    else if (item->kind == RB_ITEM_TEXT)
        put_text(out, item);
    else {
        fputs("<circle", out);
        put_attribute(out, "cx", item->point->x);
        put_attribute(out, "cy", item->point->y);
        put_attribute(out, "r", item->r);
        put_pen(out, &item->pen);
        end_shape(out, item, "circle");
    }
}

static void put_clip_paths(FILE *out, const rb_draw *d)
{
    for (int i = 0; i < d->n_clip; i++) {
        const rb_clip *c = &d->clip[i];
        fprintf(out, "<clipPath id=\"clip%d\"><rect", i + 1);
        put_attribute(out, "x", c->x0);
        put_attribute(out, "y", c->y0);
        put_attribute(out, "width", c->x1 - c->x0);
        put_attribute(out, "height", c->y1 - c->y0);
        fputs("/></clipPath>\n", out);
    }
}

bool rb_draw_svg(const rb_draw *d, FILE *out)
{
    int clip = 0;
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\"",
          out);
    put_attribute(out, "width", d->width);
    put_attribute(out, "height", d->height);
    fprintf(out,
            " viewBox=\"0 0 %.0f %.0f\" font-family=\"DejaVu Sans, Verdana, sans-serif\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
            d->width, d->height);
    put_clip_paths(out, d);
    for (int i = 0; i < d->n; i++) {
        if (d->item[i].clip != clip) {
            fputs(clip ? "</g>\n" : "", out);
            clip = d->item[i].clip;
            if (clip)
                fprintf(out, "<g clip-path=\"url(#clip%d)\">\n", clip);
        }
        put_item(out, &d->item[i]);
    }
    fprintf(out, "%s</svg>\n", clip ? "</g>\n" : "");
    return true;
}
