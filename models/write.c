/* Weights are written by the threads that will read them. On machines with several nodes of memory,
 * pages lie with whoever touches them first, so that a launch then reads from its own node.
 * Refuses to know layouts: kernels/packed.c has them. Read next: pack.c, model.c. */
#include "model.h"

#include <string.h>

rb_group rb_layer_group(rb_layer *l, int i)
{
    rb_view *const all[RB_N_GROUP][RB_MOST_GROUP] = {
        { &l->wq, &l->wk, &l->wv }, { &l->wqkv },   { &l->wo },
        { &l->wq_a, &l->wkv_a },    { &l->wq_b },   { &l->w_attn_gate },
        { &l->w_gate, &l->w_up },   { &l->w_down },
    };
    rb_group g = { .n = 0 };
    for (int j = 0; j < RB_MOST_GROUP && all[i][j]; j++)
        if (all[i][j]->buffer)
            g.w[g.n++] = all[i][j];
    return g;
}

typedef struct writing {
    rb_view *const *to;
    const rb_view *from;
    int n;
} writing;

static void write_rows(const rb_view *to, const rb_view *from, int64_t first, int64_t last)
{
    if (to->dtype != from->dtype) {
        rb_pack(to, from, first, last);
        return;
    }
    for (int64_t r = first; r < last; r++)
        memcpy(rb_at(to, 0, 0, r), rb_at(from, 0, 0, r), (size_t)rb_row_bytes(to->dtype, to->n[3]));
}

/* A launch splits the rows of all its matrices over the threads: so does this. */
static void write_share(int thread, int n_threads, void *arg)
{
    const writing *w = arg;
    int64_t total = 0, before = 0;
    for (int i = 0; i < w->n; i++)
        total += w->to[i]->n[2];
    const int64_t first = total * thread / n_threads, last = total * (thread + 1) / n_threads;
    for (int i = 0; i < w->n; i++) {
        const int64_t rows = w->to[i]->n[2], from = first - before, to = last - before;
        write_rows(w->to[i], &w->from[i], from > 0 ? from : 0, to < rows ? to : rows);
        before += rows;
    }
}

void rb_model_write(const rb_model *m, const rb_group *to, const rb_view *from)
{
    const int n_threads = m->n_threads > 1 ? m->n_threads : 1;
    bool one_launch = true;
    for (int i = 1; i < to->n; i++)
        one_launch &= to->w[i]->dtype == to->w[0]->dtype;
    for (int i = 0; i < to->n; i += one_launch ? to->n : 1)
        rb_on_threads(n_threads, write_share,
                      &(writing){ &to->w[i], &from[i], one_launch ? to->n : 1 });
}
