/* Tables that grow cell by cell, and how figures are written in them.
 * Refuses nothing: what memory does not hold is remembered as failed.
 * Read next: sheet.h. */
#include "sheet.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DASH "\xe2\x80\x93"

void rb_sheet_free(rb_sheet *g)
{
    free(g->cell);
    *g = (rb_sheet){ .n_cell = 0 };
}

int rb_sheet_rows(const rb_sheet *g)
{
    return g->n_column ? g->n_cell / g->n_column : 0;
}

void rb_sheet_column(rb_sheet *g, const char *head, bool right)
{
    g->head[g->n_column] = head;
    g->right[g->n_column++] = right;
}

/* Ends a text that was cut at a whole character. */
static void cut(char *text, size_t size)
{
    size_t n = size - 4;
    while (n && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    strcpy(text + n, "\xe2\x80\xa6");
}

void rb_sheet_put(rb_sheet *g, int id, const char *fmt, ...)
{
    if (g->n_cell == g->room) {
        const int room = g->room ? 2 * g->room : 128;
        rb_sheet_cell *cell = realloc(g->cell, (size_t)room * sizeof *cell);
        if (!cell) {
            g->failed = true;
            return;
        }
        g->cell = cell;
        g->room = room;
    }
    rb_sheet_cell *c = &g->cell[g->n_cell++];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(c->text, sizeof c->text, fmt, args);
    va_end(args);
    c->id = id;
    if (n >= (int)sizeof c->text)
        cut(c->text, sizeof c->text);
}

char *rb_figure_text(double x, char *buf, size_t size)
{
    const double m = fabs(x);
    if (!isfinite(x))
        snprintf(buf, size, DASH);
    else if (m >= 1e7 || (m > 0 && m < 1e-3))
        snprintf(buf, size, "%.3g", x);
    else
        snprintf(buf, size, "%.*f",
                 m >= 1000  ? 0
                 : m >= 100 ? 1
                 : m >= 10  ? 2
                 : m >= 0.1 ? 3
                            : 5,
                 x);
    return buf;
}

char *rb_span_text(const rb_span *s, char *buf, size_t size)
{
    char at[32], lo[32], hi[32];
    rb_figure_text(s->at, at, sizeof at);
    if (isfinite(s->at) && isfinite(s->lo) && isfinite(s->hi))
        snprintf(buf, size, "%s [%s, %s]", at, rb_figure_text(s->lo, lo, sizeof lo),
                 rb_figure_text(s->hi, hi, sizeof hi));
    else
        snprintf(buf, size, "%s", at);
    return buf;
}

void rb_sheet_number(rb_sheet *g, int id, double x)
{
    char text[32];
    rb_sheet_put(g, id, "%s", rb_figure_text(x, text, sizeof text));
}

void rb_sheet_span(rb_sheet *g, int id, const rb_span *s)
{
    char text[RB_SHEET_CELL];
    rb_sheet_put(g, id, "%s", rb_span_text(s, text, sizeof text));
}
