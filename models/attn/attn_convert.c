/* A model whose attention is converted: which tensor of the new one is copied, moved row by row, or
 * computed, and in which type; then layer by layer. The two forms that only move rows are here.
 * Refuses packed models. Read next: attn_pool.c (fewer heads), attn_latent.c (low ranks). */
#include "attn_reform.h"

#include <string.h>

/* ---- rows ---- */

rb_attn_parts rb_attn_parts_of(const rb_config *c, const rb_layer *l)
{
    const int64_t q = c->n_head * c->d_head_k, k = c->n_head_kv * c->d_head_k;
    const int64_t v = rb_config_n_head_v(c) * c->d_head_v;
    if (!l->wqkv.buffer)
        return (rb_attn_parts){ l->wq, l->wk, l->wv, l->bq, l->bk, l->bv };
    return (rb_attn_parts){
        rb_view_slice(l->wqkv, 2, 0, q),     rb_view_slice(l->wqkv, 2, q, k),
        rb_view_slice(l->wqkv, 2, q + k, v), rb_view_slice(l->bqkv, 3, 0, q),
        rb_view_slice(l->bqkv, 3, q, k),     rb_view_slice(l->bqkv, 3, q + k, v),
    };
}

static void move_row(const rb_view *to, int64_t to_row, const rb_view *from, int64_t from_row,
                     float *row)
{
    const int64_t cols = to->n[3];
    void *dst = rb_at(to, 0, 0, to_row);
    if (from && from->dtype == to->dtype) {
        memcpy(dst, rb_at(from, 0, 0, from_row), (size_t)rb_row_bytes(to->dtype, cols));
        return;
    }
    memset(row, 0, (size_t)cols * sizeof *row);
    if (from)
        rb_decode_row(from->dtype, row, rb_at(from, 0, 0, from_row), cols);
    rb_encode_row(to->dtype, dst, row, cols);
}

void rb_attn_move(rb_work *w, rb_linear_rows to, int64_t to_row, rb_linear_rows from,
                  int64_t from_row, int64_t n)
{
    float *row = rb_work_take(w, to.w->n[3], sizeof *row);
    for (int64_t i = 0; row && i < n; i++) {
        move_row(to.w, to_row + i, from.w, from_row + i, row);
        if (to.b->buffer)
            ((float *)rb_at(to.b, 0, 0, 0))[to_row + i] =
                from.w && from.b->buffer ? ((const float *)rb_at(from.b, 0, 0, 0))[from_row + i]
                                         : 0;
    }
}

/* ---- forms that move rows alone ---- */

/* Each head of K and V as often as it takes: grouping stays what it was. */
void rb_attn_replicate(rb_reform *r, int64_t layer)
{
    const rb_config *c = &r->from->config, *t = &r->to->config;
    const rb_attn_parts a = rb_attn_parts_of(c, &r->from->layer[layer]);
    const rb_attn_parts b = rb_attn_parts_of(t, &r->to->layer[layer]);
    const int64_t times = t->n_head_kv / c->n_head_kv, d_k = c->d_head_k, d_v = c->d_head_v;
    rb_attn_move(&r->work, (rb_linear_rows){ &b.q, &b.bq }, 0, (rb_linear_rows){ &a.q, &a.bq }, 0,
                 a.q.n[2]);
    for (int64_t h = 0; h < t->n_head_kv; h++) {
        rb_attn_move(&r->work, (rb_linear_rows){ &b.k, &b.bk }, h * d_k,
                     (rb_linear_rows){ &a.k, &a.bk }, h / times * d_k, d_k);
        rb_attn_move(&r->work, (rb_linear_rows){ &b.v, &b.bv }, h * d_v,
                     (rb_linear_rows){ &a.v, &a.bv }, h / times * d_v, d_v);
    }
}

/* Row i of head h is 1 in column `of` + i: what picks a head out of the latent. */
static void select_head(rb_work *w, const rb_view *heads, int64_t h, int64_t of)
{
    float *row = rb_work_take(w, heads->n[3], sizeof *row);
    for (int64_t i = 0; row && i < heads->n[2]; i++) {
        row[of + i] = 1;
        rb_encode_row(heads->dtype, rb_at(heads, 0, h, i), row, heads->n[3]);
        row[of + i] = 0;
    }
}

/* The latent is all of V, the shared key all of K; q of a head is zero but for the block of its K
 * head: q . k is then what it was, and so is the sum over the latent, of which W_UV picks V. */
void rb_attn_side_by_side(rb_reform *r, int64_t layer)
{
    const rb_config *c = &r->from->config;
    const rb_attn_parts a = rb_attn_parts_of(c, &r->from->layer[layer]);
    const rb_layer *to = &r->to->layer[layer];
    const int64_t group = c->n_head / c->n_head_kv, d = c->d_head_k, wide = c->n_head_kv * d;
    const rb_linear_rows q = { &to->wq, &to->bq }, kv = { &to->wkv_a, &to->bkv_a };
    rb_attn_move(&r->work, kv, 0, (rb_linear_rows){ &a.v, &a.bv }, 0, a.v.n[2]);
    rb_attn_move(&r->work, kv, a.v.n[2], (rb_linear_rows){ &a.k, &a.bk }, 0, a.k.n[2]);
    for (int64_t h = 0; h < c->n_head; h++) {
        const int64_t own = h / group;
        rb_attn_move(&r->work, q, h * wide, (rb_linear_rows){ 0 }, 0, wide);
        rb_attn_move(&r->work, q, h * wide + own * d, (rb_linear_rows){ &a.q, &a.bq }, h * d, d);
        select_head(&r->work, &to->wv_b, h, own * c->d_head_v);
    }
}

/* ---- which tensors, and their types ---- */

enum { SYNTHETIC_SEED = 1 }; /* of a preset's weights too */

/* What a tensor of the new model is. */
typedef enum {
    KEPT,     /* as in the source */
    MOVED,    /* rows of the source's */
    SELECTS,  /* zeros and ones */
    COMPUTED, /* anew */
    MADE_UP,  /* seeded, as of a preset */
} origin;

/* Where the types of its values come from: one matrix of the source, or k and v. */
typedef struct plan {
    origin origin;
    rb_view like, beside;
} plan;

/* Which attention tensors a form leaves as they are is said here. */
static plan plan_of(const rb_reform *r, const rb_tensor *t)
{
    const rb_attn_parts a = rb_attn_parts_of(&r->from->config, &r->from->layer[t->layer]);
    const rb_form form = r->form.form;
    const bool grouped = form <= RB_FORM_MQA, made_up = form == RB_FORM_GTA;
    const bool side = form == RB_FORM_MLA && !r->form.n;
    const rb_basis basis = rb_attn_late_basis(r);
    const origin moved = (grouped && r->exact) || side ? MOVED : made_up ? MADE_UP : COMPUTED;
    const struct {
        size_t place;
        plan plan;
    } all[] = {
        { offsetof(rb_layer, wq), { form == RB_FORM_LRKV ? MOVED : moved, a.q, a.q } },
        { offsetof(rb_layer, wk), { moved, a.k, a.k } },
        { offsetof(rb_layer, wv), { moved, a.v, a.v } },
        { offsetof(rb_layer, wqkv), { moved, a.q, a.q } },
        { offsetof(rb_layer, wkv_a),
          { side || basis == RB_BASIS_HEADS ? MOVED
            : basis == RB_BASIS_INPUT       ? SELECTS
                                            : COMPUTED,
            a.k, a.v } },
        { offsetof(rb_layer, wkv_b),
          { basis == RB_BASIS_INPUT   ? MOVED
            : basis == RB_BASIS_HEADS ? SELECTS
                                      : COMPUTED,
            a.k, a.v } },
        { offsetof(rb_layer, wk_b), { COMPUTED, a.k, a.k } },
        { offsetof(rb_layer, wv_b), { side ? SELECTS : moved, a.v, a.v } },
        { offsetof(rb_layer, w_attn_gate), { MADE_UP, a.q, a.q } },
        { offsetof(rb_layer, wo),
          { made_up                                         ? MADE_UP
            : (grouped && !r->exact) || form == RB_FORM_GHA ? COMPUTED
                                                            : KEPT,
            r->from->layer[t->layer].wo, r->from->layer[t->layer].wo } },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].place == t->place)
            return all[i].plan;
    return (plan){ 0 };
}

/* Not kept, though no matrix: biases of q, k, v, of a gate, and what tells of rotated pairs. */
static bool is_vector_of_attention(const rb_tensor *t)
{
    static const size_t place[] = { offsetof(rb_layer, bq),        offsetof(rb_layer, bk),
                                    offsetof(rb_layer, bv),        offsetof(rb_layer, bqkv),
                                    offsetof(rb_layer, bkv_a),     offsetof(rb_layer, b_attn_gate),
                                    offsetof(rb_layer, rope_pairs) };
    for (size_t i = 0; i < sizeof place / sizeof *place; i++)
        if (t->place == place[i])
            return true;
    return false;
}

static bool fits(rb_dtype type, int64_t cols)
{
    return cols % rb_dtype_get(type)->block == 0;
}

/* Of the types of K and V the one with more bits. */
static rb_dtype finer(rb_dtype a, rb_dtype b)
{
    enum { MANY = 256 }; /* every block divides it */
    return rb_row_bytes(a, MANY) >= rb_row_bytes(b, MANY) ? a : b;
}

static rb_dtype type_of(rb_reform *r, const rb_tensor *t, const plan *p)
{
    rb_attn_note *note = &r->to->attn;
    const rb_dtype a = p->like.dtype, b = p->beside.dtype, both = finer(a, b);
    if (p->origin == SELECTS)
        return rb_dtype_get(both)->block > 1 ? RB_F16 : both; /* of halves, 0 and 1 are */
    if (p->origin == MOVED)
        return a == b ? a : RB_F32;
    note->exact &= both == RB_F32;
    if (fits(both, t->cols))
        return both;
    if (note->n_refit++ == 0)
        snprintf(note->refit, sizeof note->refit, "%s", t->name);
    return RB_F16;
}

/* Memory for a tensor of the new model, and what is in it if it is kept or made up. */
static rb_status place(rb_reform *r, const rb_tensor *t, bool dry, rb_error *err)
{
    const bool of_layer = t->layer >= 0;
    const plan p = of_layer ? plan_of(r, t) : (plan){ 0 };
    const rb_view *old = rb_tensor_view_of(r->from, t);
    const bool kept = p.origin == KEPT && !(of_layer && is_vector_of_attention(t));
    const rb_dtype type = kept ? old->dtype : p.origin == KEPT ? RB_F32 : type_of(r, t, &p);
    const rb_status status = rb_model_place(r->to, t, type, dry, err);
    if (status != RB_OK || dry)
        return status;
    if (!kept && r->to->attn.synthetic)
        return rb_model_fill(r->to, t, SYNTHETIC_SEED, err);
    if (kept)
        memcpy(rb_tensor_view(r->to, t)->buffer->data, old->buffer->data, old->buffer->bytes);
    return status;
}

/* ---- the whole ---- */

static rb_status convert_layer(rb_reform *r, int64_t layer, rb_error *err)
{
    r->work = (rb_work){ .err = err };
    switch (r->form.form) {
    case RB_FORM_MHA:
    case RB_FORM_GQA:
    case RB_FORM_MQA:
        (r->exact ? rb_attn_replicate : rb_attn_pool)(r, layer);
        break;
    case RB_FORM_MLA:
        (r->form.n ? rb_attn_joint : rb_attn_side_by_side)(r, layer);
        break;
    case RB_FORM_LRKV:
        rb_attn_late(r, layer);
        break;
    case RB_FORM_GTA:
        break; /* place filled it */
    default:
        rb_attn_map(r, layer);
        break;
    }
    rb_work_free(&r->work);
    return r->work.status;
}

static rb_status check_packed(const rb_model *m, rb_error *err)
{
    for (int i = 0; i < RB_N_GROUP; i++) {
        const rb_group g = rb_layer_group(&m->layer[0], i);
        if (g.n && rb_dtype_get(g.w[0]->dtype)->panel_rows > 1)
            return rb_fail(err, RB_ERR_ARGUMENT,
                           "a packed model's attention is not converted: convert before packing");
    }
    return RB_OK;
}

static rb_status check_calibration(const rb_calibration *cal, const rb_config *c, rb_error *err)
{
    if (!cal || (cal->n_layer == c->n_layer && cal->n_embd == c->n_embd))
        return RB_OK;
    return rb_fail(err, RB_ERR_ARGUMENT,
                   "calibrated with %lld layers, %lld wide: the model has %lld, %lld wide",
                   (long long)cal->n_layer, (long long)cal->n_embd, (long long)c->n_layer,
                   (long long)c->n_embd);
}

static rb_status convert(rb_reform *r, rb_error *err)
{
    const rb_config *c = &r->to->config;
    const bool dry = !r->from->tok_embd.buffer->data;
    rb_status status = RB_OK;
    for (int64_t i = 0; status == RB_OK && i < rb_tensor_count(c); i++) {
        const rb_tensor t = rb_tensor_at(c, i);
        status = place(r, &t, dry, err);
    }
    for (int64_t l = 0; status == RB_OK && !dry && l < c->n_layer; l++)
        status = convert_layer(r, l, err);
    if (status == RB_OK)
        rb_model_finish(r->to);
    return status;
}

rb_status rb_attn_convert(rb_model **converted, const rb_model *from, const rb_attn_form *form,
                          const rb_calibration *cal, rb_error *err)
{
    rb_reform r = { .from = from, .form = *form, .cal = cal };
    const rb_attn_note *before = &from->attn; /* what was lost stays lost */
    rb_config config;
    *converted = NULL;
    rb_status status = rb_attn_form_config(&config, &from->config, form, err);
    if (status == RB_OK)
        status = check_packed(from, err);
    if (status == RB_OK)
        status = check_calibration(cal, &from->config, err);
    if (status == RB_OK)
        status = rb_model_new(&r.to, &config, from->format, err);
    if (status == RB_OK) {
        r.exact = rb_attn_form_is_exact(&from->config, form);
        r.to->n_threads = from->n_threads;
        r.to->attn =
            (rb_attn_note){ .converted = true,
                            .exact = r.exact && (!before->converted || before->exact),
                            .synthetic = form->form == RB_FORM_GTA,
                            .form = *form,
                            .n_calibrated =
                                cal && rb_attn_form_has_rank(form) && !r.exact ? cal->n_token : 0 };
        status = convert(&r, err);
    }
    if (status == RB_OK)
        *converted = r.to;
    else
        rb_model_close(r.to);
    return status;
}
