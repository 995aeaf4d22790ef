/* Fewer heads, by means: of K and V (Ainslie et al. 2023), once they were turned towards each
 * other, and of attention maps with values of their own or shared (Sun et al. 2025).
 * Refuses nothing: shapes were checked by attn_form.c. Read next: attn_align.c. */
#include "attn_reform.h"

/* All of a layer's attention, by heads. Heads of q, k and v hold a column more, their biases. */
typedef struct heads {
    rb_matrix *q, *k, *v, *o;
    double *q_norm, *k_norm;
} heads;

/* Heads of d rows each. */
static rb_matrix *split(rb_work *w, const rb_matrix *all, int64_t n)
{
    rb_matrix *head = rb_work_take(w, n, sizeof *head);
    for (int64_t h = 0; head && h < n; h++)
        head[h] = rb_matrix_rows(all, h * (all->rows / n), all->rows / n);
    return head;
}

/* Columns of W_o by heads of q. */
static rb_matrix *split_columns(rb_work *w, const rb_matrix *all, int64_t n, int64_t d)
{
    rb_matrix *head = rb_work_take(w, n, sizeof *head);
    for (int64_t h = 0; head && h < n; h++) {
        head[h] = rb_matrix_new(w, all->rows, d);
        for (int64_t r = 0; w->status == RB_OK && r < all->rows; r++)
            for (int64_t i = 0; i < d; i++)
                rb_row(&head[h], r)[i] = rb_row(all, r)[h * d + i];
    }
    return head;
}

static double *read_norm(rb_work *w, const rb_view *v)
{
    double *x = v->buffer ? rb_work_take(w, v->n[3], sizeof *x) : NULL;
    for (int64_t i = 0; x && i < v->n[3]; i++)
        x[i] = (double)((const float *)rb_at(v, 0, 0, 0))[i];
    return x;
}

static heads read_heads(rb_reform *r, int64_t layer)
{
    const rb_config *c = &r->from->config;
    const rb_layer *l = &r->from->layer[layer];
    const rb_attn_parts a = rb_attn_parts_of(c, l);
    const rb_matrix q = rb_matrix_read(&r->work, &a.q, &a.bq);
    const rb_matrix k = rb_matrix_read(&r->work, &a.k, &a.bk);
    const rb_matrix v = rb_matrix_read(&r->work, &a.v, &a.bv);
    const rb_matrix o = rb_matrix_read(&r->work, &l->wo, &(rb_view){ 0 });
    return (heads){ .q = split(&r->work, &q, c->n_head),
                    .k = split(&r->work, &k, c->n_head_kv),
                    .v = split(&r->work, &v, c->n_head_kv),
                    .o = split_columns(&r->work, &o, c->n_head, c->d_head_v),
                    .q_norm = read_norm(&r->work, &l->q_norm),
                    .k_norm = read_norm(&r->work, &l->k_norm) };
}

/* Adds x / n to the mean. */
static void add_share(const rb_matrix *mean, const rb_matrix *x, int64_t n)
{
    for (int64_t i = 0; i < x->rows * x->cols; i++)
        mean->at[i] += x->at[i] / (double)n;
}

/* Head by head, by the numbers of W_o's columns, in the order of `at`. */
static void write_output(rb_reform *r, int64_t layer, const heads *h, const int64_t *at)
{
    const rb_config *c = &r->from->config;
    const int64_t d = c->d_head_v;
    const rb_view *o = &r->to->layer[layer].wo;
    const rb_matrix all = rb_matrix_new(&r->work, o->n[2], o->n[3] + 1);
    for (int64_t i = 0; r->work.status == RB_OK && i < c->n_head; i++)
        for (int64_t row = 0; row < all.rows; row++)
            for (int64_t j = 0; j < d; j++)
                rb_row(&all, row)[i * d + j] = rb_row(&h->o[at ? at[i] : i], row)[j];
    if (r->work.status == RB_OK)
        rb_matrix_write(&r->work, &all, o, 0, &(rb_view){ 0 });
}

/* ---- fewer heads of K and V ---- */

static void pool_group(rb_reform *r, const rb_attn_parts *to, const heads *h, int64_t group)
{
    const rb_config *c = &r->from->config;
    const int64_t n = c->n_head_kv / r->to->config.n_head_kv, first = group * n;
    const int64_t n_q = c->n_head / c->n_head_kv;
    rb_head_group g = { .c = c,
                        .k_norm = h->k_norm,
                        .q_norm = h->q_norm,
                        .n = n,
                        .n_q = n_q,
                        .k = &h->k[first],
                        .v = &h->v[first],
                        .q = &h->q[first * n_q],
                        .o = &h->o[first * n_q] };
    const rb_matrix k = rb_matrix_new(&r->work, c->d_head_k, c->n_embd + 1);
    const rb_matrix v = rb_matrix_new(&r->work, c->d_head_v, c->n_embd + 1);
    if (r->work.status == RB_OK)
        rb_attn_align(&r->work, &g);
    for (int64_t i = 0; r->work.status == RB_OK && i < n; i++) {
        add_share(&k, &g.k[i], n);
        add_share(&v, &g.v[i], n);
    }
    rb_matrix_write(&r->work, &k, &to->k, group * c->d_head_k, &to->bk);
    rb_matrix_write(&r->work, &v, &to->v, group * c->d_head_v, &to->bv);
}

void rb_attn_pool(rb_reform *r, int64_t layer)
{
    const rb_config *c = &r->from->config, *t = &r->to->config;
    const rb_attn_parts to = rb_attn_parts_of(t, &r->to->layer[layer]);
    const heads h = read_heads(r, layer);
    if (!h.q || !h.k || !h.v || !h.o)
        return;
    for (int64_t group = 0; r->work.status == RB_OK && group < t->n_head_kv; group++)
        pool_group(r, &to, &h, group);
    for (int64_t i = 0; r->work.status == RB_OK && i < c->n_head; i++)
        rb_matrix_write(&r->work, &h.q[i], &to.q, i * c->d_head_k, &to.bq);
    write_output(r, layer, &h, NULL);
}

/* ---- fewer maps ---- */

/* Where map m goes: maps that meet the same values follow each other, as grouped heads do. */
static int64_t place_of_map(const rb_config *t, int64_t m)
{
    const int64_t kinds = rb_config_n_head_v(t);
    return m % kinds * (t->n_head / kinds) + m / kinds;
}

/* One head of V of the source, or where G are left the mean of those that v stands for. */
static void write_value(rb_reform *r, const rb_attn_parts *to, const heads *h, int64_t v)
{
    const rb_config *c = &r->from->config;
    const bool shared = r->form.form == RB_FORM_GHA;
    const int64_t step = shared ? r->form.n : c->n_head, n = c->n_head / step;
    const int64_t group = c->n_head / c->n_head_kv;
    const rb_matrix mean = rb_matrix_new(&r->work, c->d_head_v, c->n_embd + 1);
    for (int64_t i = v; r->work.status == RB_OK && i < c->n_head; i += step)
        add_share(&mean, &h->v[i / group], n);
    rb_matrix_write(&r->work, &mean, &to->v, v * c->d_head_v, &to->bv);
}

static void write_map(rb_reform *r, const rb_attn_parts *to, const heads *h, int64_t m)
{
    const rb_config *c = &r->from->config, *t = &r->to->config;
    const int64_t n = c->n_head / t->n_head, group = c->n_head / c->n_head_kv;
    const int64_t at = place_of_map(t, m) * c->d_head_k;
    const rb_matrix q = rb_matrix_new(&r->work, c->d_head_k, c->n_embd + 1);
    const rb_matrix k = rb_matrix_new(&r->work, c->d_head_k, c->n_embd + 1);
    for (int64_t i = m * n; r->work.status == RB_OK && i < (m + 1) * n; i++) {
        add_share(&q, &h->q[i], n);
        add_share(&k, &h->k[i / group], n);
    }
    rb_matrix_write(&r->work, &q, &to->q, at, &to->bq);
    rb_matrix_write(&r->work, &k, &to->k, at, &to->bk);
}

void rb_attn_map(rb_reform *r, int64_t layer)
{
    const rb_config *c = &r->from->config, *t = &r->to->config;
    const rb_attn_parts to = rb_attn_parts_of(t, &r->to->layer[layer]);
    const heads h = read_heads(r, layer);
    const int64_t each = c->n_head / t->n_head, n_v = rb_config_n_head_v(t) * each;
    int64_t *at = rb_work_take(&r->work, c->n_head, sizeof *at);
    if (!h.q || !h.k || !h.v || !h.o)
        return;
    for (int64_t m = 0; r->work.status == RB_OK && m < t->n_head; m++)
        write_map(r, &to, &h, m);
    for (int64_t v = 0; r->work.status == RB_OK && v < n_v; v++)
        write_value(r, &to, &h, v);
    for (int64_t i = 0; at && i < c->n_head; i++)
        at[place_of_map(t, i / each) * each + i % each] = i;
    if (r->form.form == RB_FORM_GHA)
        write_output(r, layer, &h, at);
}
