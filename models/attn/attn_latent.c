/* K and V of all heads from one latent of low rank. lrkv:R keeps K as it is before its norm and its
 * rotation. mla:R (after Meng et al. 2025, TransMLA) first turns K heads into components that
 * rotate together, keeps the few rotated ones that would lose most by standing still (attn_rope.c),
 * and lets the others stand: they and V share the latent, as DeepSeek's heads do. Refuses nothing:
 * shapes were checked by attn_form.c. Read next: attn_rope.c. */
#include "attn_rope.h"

#include <math.h>

/* ---- the latent ---- */

/* x S, S what inputs look like: E[x x^T], its last row and column that of the constant 1. */
static rb_matrix seen(rb_reform *r, int64_t layer, const rb_matrix *x)
{
    const int64_t n = x->cols - 1;
    if (!r->cal)
        return *x;
    rb_matrix s = rb_matrix_new(&r->work, x->cols, x->cols);
    for (int64_t i = 0; r->work.status == RB_OK && i < n; i++)
        for (int64_t j = 0; j < n; j++)
            rb_row(&s, i)[j] = r->cal->xx[layer][i * n + j];
    if (r->work.status == RB_OK)
        rb_row(&s, n)[n] = 1;
    return rb_matrix_product(&r->work, x, &s, RB_AS_IS);
}

/* tr(x S x^T), given x S. */
static double power(const rb_matrix *x, const rb_matrix *xs)
{
    return x->rows ? rb_dot(x->at, xs->at, x->rows * x->cols) : 0;
}

/* What R columns keep of [a K; V]: the latent as a map of x, and K and V out of it. */
typedef struct latent {
    rb_matrix c;    /* R x (H + 1) */
    rb_matrix k, v; /* rows of k and of v x R */
} latent;

/* Rows of a part of the basis, each a row of K or V over R columns. */
static rb_matrix part_of_basis(rb_work *w, const rb_matrix *basis, int64_t first, int64_t n,
                               int64_t rank, double by)
{
    rb_matrix m = rb_matrix_new(w, n, rank);
    for (int64_t i = 0; w->status == RB_OK && i < n; i++)
        for (int64_t j = 0; j < rank; j++)
            rb_row(&m, i)[j] = by * rb_row(basis, j)[first + i];
    return m;
}

/* Principal components of K and V together, K weighted so that both count alike. */
static latent find_latent(rb_reform *r, int64_t layer, const rb_matrix *k, const rb_matrix *v,
                          int64_t rank)
{
    rb_work *w = &r->work;
    rb_matrix z = rb_matrix_new(w, k->rows + v->rows, v->cols);
    const rb_matrix ks = seen(r, layer, k), vs = seen(r, layer, v);
    if (w->status != RB_OK)
        return (latent){ 0 };
    const double power_k = power(k, &ks), power_v = power(v, &vs);
    const double a = power_k > 0 && power_v > 0 ? sqrt(power_v / power_k) : 1;
    for (int64_t i = 0; i < k->rows * k->cols; i++)
        z.at[i] = a * k->at[i];
    for (int64_t i = 0; i < v->rows * v->cols; i++)
        z.at[k->rows * k->cols + i] = v->at[i];
    const rb_matrix zs = seen(r, layer, &z);
    rb_matrix basis = rb_matrix_product(w, &zs, &z, RB_SECOND_TRANSPOSED);
    rb_matrix_eigen(w, &basis);
    const rb_matrix top = rb_matrix_rows(&basis, 0, rank);
    return (latent){ rb_matrix_product(w, &top, &z, RB_AS_IS),
                     part_of_basis(w, &top, 0, k->rows, rank, 1 / a),
                     part_of_basis(w, &top, k->rows, v->rows, rank, 1) };
}

/* ---- lrkv:R ---- */

rb_basis rb_attn_late_basis(const rb_reform *r)
{
    const rb_config *c = &r->from->config;
    if (r->form.form != RB_FORM_LRKV)
        return RB_BASIS_RANKED;
    if (r->form.n == c->n_head_kv * (c->d_head_k + c->d_head_v))
        return RB_BASIS_HEADS;
    return r->form.n == c->n_embd && !r->to->config.qkv_bias ? RB_BASIS_INPUT : RB_BASIS_RANKED;
}

/* Where head h's rows of K and V begin in the expansion, and in the latent of all heads. */
static int64_t head_rows(const rb_config *c, int64_t h)
{
    return h * (c->d_head_k + c->d_head_v);
}

/* n rows from `first` on, with a 1 in column first + i. */
static void write_ones(rb_work *w, const rb_view *to, int64_t first, int64_t n)
{
    float *row = rb_work_take(w, to->n[3], sizeof *row);
    for (int64_t i = first; row && i < first + n; i++) {
        row[i] = 1;
        rb_encode_row(to->dtype, rb_at(to, 0, 0, i), row, to->n[3]);
        row[i] = 0;
    }
}

/* Rows of K and V as they are: in the latent or in the expansion. */
static void move_heads(rb_reform *r, const rb_attn_parts *a, rb_linear_rows to)
{
    const rb_config *c = &r->from->config;
    for (int64_t h = 0; h < c->n_head_kv; h++) {
        rb_attn_move(&r->work, to, head_rows(c, h), (rb_linear_rows){ &a->k, &a->bk },
                     h * c->d_head_k, c->d_head_k);
        rb_attn_move(&r->work, to, head_rows(c, h) + c->d_head_k, (rb_linear_rows){ &a->v, &a->bv },
                     h * c->d_head_v, c->d_head_v);
    }
}

static void write_ranked(rb_reform *r, int64_t layer, const rb_attn_parts *a)
{
    const rb_config *c = &r->from->config;
    const rb_layer *to = &r->to->layer[layer];
    const rb_matrix k = rb_matrix_read(&r->work, &a->k, &a->bk);
    const rb_matrix v = rb_matrix_read(&r->work, &a->v, &a->bv);
    const rb_view none = { 0 };
    const latent l = find_latent(r, layer, &k, &v, r->form.n);
    if (r->work.status != RB_OK)
        return;
    rb_matrix_write(&r->work, &l.c, &to->wkv_a, 0, &to->bkv_a);
    for (int64_t h = 0; h < c->n_head_kv; h++) {
        const rb_matrix k_h = rb_matrix_rows(&l.k, h * c->d_head_k, c->d_head_k);
        const rb_matrix v_h = rb_matrix_rows(&l.v, h * c->d_head_v, c->d_head_v);
        rb_matrix_write(&r->work, &k_h, &to->wkv_b, head_rows(c, h), &none);
        rb_matrix_write(&r->work, &v_h, &to->wkv_b, head_rows(c, h) + c->d_head_k, &none);
    }
}

void rb_attn_late(rb_reform *r, int64_t layer)
{
    const rb_attn_parts a = rb_attn_parts_of(&r->from->config, &r->from->layer[layer]);
    const rb_layer *to = &r->to->layer[layer];
    const rb_basis basis = rb_attn_late_basis(r);
    const rb_view none = { 0 };
    rb_attn_move(&r->work, (rb_linear_rows){ &to->wq, &to->bq }, 0, (rb_linear_rows){ &a.q, &a.bq },
                 0, a.q.n[2]);
    if (basis == RB_BASIS_RANKED)
        write_ranked(r, layer, &a);
    else
        move_heads(r, &a,
                   basis == RB_BASIS_HEADS ? (rb_linear_rows){ &to->wkv_a, &to->bkv_a }
                                           : (rb_linear_rows){ &to->wkv_b, &none });
    if (basis != RB_BASIS_RANKED)
        write_ones(&r->work, basis == RB_BASIS_HEADS ? &to->wkv_b : &to->wkv_a, 0, r->form.n);
}

/* ---- mla:R[:d_r] ---- */

/* Rows of q: those that meet the latent as they are, those that meet the rotated key turned. */
static void write_queries(rb_reform *r, int64_t layer, const rb_rotation *rot, const rb_matrix *q)
{
    const rb_config *c = &r->from->config;
    const rb_layer *to = &r->to->layer[layer];
    const int64_t wide = r->to->config.d_head_k, group = c->n_head / c->n_head_kv;
    for (int64_t h = 0; r->work.status == RB_OK && h < c->n_head; h++) {
        const rb_matrix head = rb_matrix_rows(q, h * c->d_head_k, c->d_head_k);
        const rb_matrix turned =
            rb_rotation_queries(&r->work, rot, &r->to->config, &head, h / group);
        rb_matrix_write(&r->work, &head, &to->wq, h * wide, &to->bq);
        rb_matrix_write(&r->work, &turned, &to->wq, h * wide + c->d_head_k, &to->bq);
    }
}

/* W_UK, transposed as files have it, and W_UV of each head. */
static void write_expansion(rb_reform *r, int64_t layer, const rb_rotation *rot, const latent *l)
{
    const rb_config *c = &r->from->config;
    const rb_layer *to = &r->to->layer[layer];
    const int64_t group = c->n_head / c->n_head_kv;
    const rb_view none = { 0 };
    for (int64_t h = 0; r->work.status == RB_OK && h < c->n_head; h++) {
        const rb_matrix still = rb_rotation_still(&r->work, rot, h / group);
        const rb_matrix uk = rb_matrix_product(&r->work, &l->k, &still, RB_FIRST_TRANSPOSED);
        const rb_matrix uv = rb_matrix_rows(&l->v, h / group * c->d_head_v, c->d_head_v);
        const rb_view k_b = rb_view_slice(to->wk_b, 1, h, 1);
        const rb_view v_b = rb_view_slice(to->wv_b, 1, h, 1);
        rb_matrix_write(&r->work, &uk, &k_b, 0, &none);
        rb_matrix_write(&r->work, &uv, &v_b, 0, &none);
    }
}

void rb_attn_joint(rb_reform *r, int64_t layer)
{
    const rb_config *t = &r->to->config;
    const rb_attn_parts a = rb_attn_parts_of(&r->from->config, &r->from->layer[layer]);
    const rb_layer *to = &r->to->layer[layer];
    const rb_matrix q = rb_matrix_read(&r->work, &a.q, &a.bq);
    const rb_matrix k = rb_matrix_read(&r->work, &a.k, &a.bk);
    const rb_matrix v = rb_matrix_read(&r->work, &a.v, &a.bv);
    const rb_matrix ks = seen(r, layer, &k);
    rb_rotation rot = rb_rotation_find(&r->work, r->from, &k, &ks, t->d_rot / 2);
    const rb_matrix still = rb_rotation_keys(&r->work, &rot, t, &k, false);
    const rb_matrix turning = rb_rotation_keys(&r->work, &rot, t, &k, true);
    const latent l = find_latent(r, layer, &still, &v, t->kv_lora_rank);
    if (r->work.status != RB_OK)
        return;
    rb_matrix_write(&r->work, &l.c, &to->wkv_a, 0, &to->bkv_a);
    rb_matrix_write(&r->work, &turning, &to->wkv_a, t->kv_lora_rank, &to->bkv_a);
    write_queries(r, layer, &rot, &q);
    write_expansion(r, layer, &rot, &l);
    for (int64_t i = 0; r->work.status == RB_OK && i < t->d_rot / 2; i++)
        ((float *)rb_at(&to->rope_pairs, 0, 0, 0))[i] = (float)rot.kept[i].pair;
}
