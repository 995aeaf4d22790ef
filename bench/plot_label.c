/* Labels that collide with nothing: every label, mark and line on a figure is a slab, a rectangle
 * turned about its centre, and a label is put only where its slab meets no other.
 * There is no optimisation: positions are tried in order, the first free one is taken.
 * Read next: plot_roofline.c. */
#include "plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double degree = 3.14159265358979323846 / 180;

/* Half the extent of s along a direction. */
static double reach_along(const rb_slab *s, double ux, double uy)
{
    double c = cos(s->angle * degree), n = sin(s->angle * degree);
    return s->half_w * fabs(ux * c + uy * n) + s->half_h * fabs(uy * c - ux * n);
}

/* Separating axes: two rectangles are apart if they are along one of their four sides' normals. */
bool rb_slabs_meet(const rb_slab *a, const rb_slab *b)
{
    double dx = b->x - a->x, dy = b->y - a->y;
    const double angle[4] = { a->angle, a->angle + 90, b->angle, b->angle + 90 };
    for (int i = 0; i < 4; i++) {
        double ux = cos(angle[i] * degree), uy = sin(angle[i] * degree);
        if (fabs(dx * ux + dy * uy) >= reach_along(a, ux, uy) + reach_along(b, ux, uy))
            return false;
    }
    return true;
}

void rb_placer_free(rb_placer *p)
{
    free(p->at);
    p->at = NULL;
    p->n = p->room = 0;
}

void rb_placer_block(rb_placer *p, rb_slab slab)
{
    if (p->n == p->room) {
        int room = p->room ? 2 * p->room : 128;
        rb_slab *at = realloc(p->at, (size_t)room * sizeof *at);
        if (!at) {
            p->failed = true;
            return;
        }
        p->at = at;
        p->room = room;
    }
    p->at[p->n++] = slab;
}

static rb_slab line_slab(double x0, double y0, double x1, double y1, double width)
{
    return (rb_slab){ (x0 + x1) / 2,
                      (y0 + y1) / 2,
                      hypot(x1 - x0, y1 - y0) / 2,
                      width / 2,
                      atan2(y1 - y0, x1 - x0) / degree,
                      false };
}

void rb_placer_block_line(rb_placer *p, double x0, double y0, double x1, double y1, double width)
{
    rb_placer_block(p, line_slab(x0, y0, x1, y1, width));
}

static bool is_free(const rb_placer *p, const rb_slab *slab)
{
    double w = reach_along(slab, 1, 0), h = reach_along(slab, 0, 1);
    if (slab->x - w < p->x0 || slab->x + w > p->x1 || slab->y - h < p->y0 || slab->y + h > p->y1)
        return false;
    for (int i = 0; i < p->n; i++) {
        if (rb_slabs_meet(slab, &p->at[i]))
            return false;
    }
    return true;
}

bool rb_placer_take(rb_placer *p, rb_slab slab)
{
    if (!is_free(p, &slab))
        return false;
    rb_placer_block(p, slab);
    return true;
}

rb_slab rb_label_slab(const char *text, double size, double x, double y, double angle)
{
    return (rb_slab){ x,
                      y,
                      rb_text_width(text, size) / 2 + 2,
                      size * (RB_TEXT_ABOVE + RB_TEXT_BELOW) / 2 + 1,
                      angle,
                      true };
}

void rb_label_draw(rb_draw *d, const char *text, double size, rb_color color, const rb_slab *slab)
{
    double down = size * (RB_TEXT_ABOVE - RB_TEXT_BELOW) / 2, turn = slab->angle * degree;
    const rb_type type = {
        .size = size, .color = color, .anchor = RB_MIDDLE, .angle = slab->angle
    };
    rb_draw_text(d, slab->x - down * sin(turn), slab->y + down * cos(turn), text, &type);
}

/* The line from a label to the rim of its mark. */
static void leader_of(const rb_slab *label, const rb_mark_spot *m, rb_point *from, rb_point *to)
{
    to->x = fmin(fmax(m->x, label->x - label->half_w), label->x + label->half_w);
    to->y = fmin(fmax(m->y, label->y - label->half_h), label->y + label->half_h);
    double length = hypot(to->x - m->x, to->y - m->y), rim = length > m->rim ? m->rim / length : 1;
    from->x = m->x + (to->x - m->x) * rim;
    from->y = m->y + (to->y - m->y) * rim;
}

/* Leaders may cross lines and marks, but no label and no other leader. */
static bool leader_is_free(const rb_placer *p, const rb_slab *leader)
{
    for (int i = 0; i < p->n; i++) {
        if (p->at[i].firm && rb_slabs_meet(leader, &p->at[i]))
            return false;
    }
    return true;
}

static bool place(rb_draw *d, rb_placer *p, const rb_slab *label, const rb_mark_spot *m,
                  bool stands_off)
{
    rb_point from, to;
    if (!is_free(p, label))
        return false;
    leader_of(label, m, &from, &to);
    rb_slab leader = line_slab(from.x, from.y, to.x, to.y, 1);
    leader.firm = true;
    if (stands_off && !leader_is_free(p, &leader))
        return false;
    rb_placer_block(p, *label);
    if (!stands_off)
        return true;
    rb_placer_block(p, leader);
    rb_draw_line(d, from.x, from.y, to.x, to.y, &(rb_pen){ .stroke = 0x6e6e6eff, .width = 0.9 });
    return true;
}

/* From touching outwards, in larger steps once a leader is needed anyway. */
static double gap_of(int step)
{
    return step < 4 ? 3 + 3 * step : 12 + 8 * (step - 3);
}

bool rb_label_beside(rb_draw *d, rb_placer *p, const char *text, rb_color color,
                     const rb_mark_spot *mark, double reach)
{
    enum { DIRECTIONS = 16, SIZE = 13 };
    /* to the right first, then left, above, below and between */
    static const int order[DIRECTIONS] = { 0, 8, 12, 4, 14, 2, 10, 6, 15, 1, 13, 3, 9, 7, 11, 5 };
    rb_slab slab = rb_label_slab(text, SIZE, 0, 0, 0);
    for (int step = 0; gap_of(step) <= reach + 3; step++) {
        double gap = gap_of(step);
        for (int i = 0; i < DIRECTIONS; i++) {
            double ux = cos(order[i] * 22.5 * degree), uy = sin(order[i] * 22.5 * degree);
            int side = fabs(ux) < 0.1 ? 0 : ux > 0 ? 1 : -1;
            slab.x = mark->x + ux * (mark->r + gap) + slab.half_w * side;
            slab.y = mark->y + uy * (mark->r + gap) + slab.half_h * uy;
            if (!place(d, p, &slab, mark, gap > 9))
                continue;
            rb_label_draw(d, text, SIZE, color, &slab);
            return true;
        }
    }
    return false;
}
