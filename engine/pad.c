/* The scratchpad: activations of the largest micro-batch, sized by what the model and its attention
 * need, and the table of rotary angles. Refuses sizes whose product overflows.
 * Read next: session.c, which opens it; forward.c, which uses it. */
#include "session.h"

/* Nothing but buffers. */
enum { N_BUFFER = sizeof(rb_scratchpad) / sizeof(rb_buffer) };
_Static_assert(N_BUFFER * sizeof(rb_buffer) == sizeof(rb_scratchpad), "a pad holds buffers only");

rb_view rb_pad_rows(const rb_session *s, const rb_buffer *b, int64_t columns)
{
    return rb_view_dense(b, RB_F32, RB_ACT, 0, 1, s->params.n_seq * s->batch.n_tok, 1, columns);
}

rb_view rb_pad_heads(const rb_session *s, const rb_buffer *b, int64_t heads, int64_t d)
{
    return rb_view_dense(b, RB_F32, RB_ACT, 0, s->params.n_seq, s->batch.n_tok, heads, d);
}

static int64_t most_rows(const rb_session *s)
{
    return s->params.n_seq * s->params.n_ubatch;
}

rb_view rb_pad_attn_input(const rb_session *s, int64_t layer)
{
    const int64_t columns = s->model->config.n_embd;
    if (!s->params.keep_inputs)
        return rb_pad_rows(s, &s->pad.normed, columns);
    const int64_t before = layer * most_rows(s) * columns * (int64_t)sizeof(float);
    return rb_view_dense(&s->pad.attn_in, RB_F32, RB_ACT, before, 1,
                         s->params.n_seq * s->batch.n_tok, 1, columns);
}

/* One for all layers, but where each tells which angles are its own. */
static int64_t n_tables(const rb_session *s)
{
    return s->model->config.d_freq ? s->params.n_layer : 1;
}

rb_view rb_pad_rope_table(const rb_session *s, int64_t layer)
{
    const rb_view all = rb_view_dense(&s->pad.rope_table, RB_F32, RB_ACT, 0, 1, n_tables(s),
                                      s->params.n_ctx, s->model->config.d_rot);
    return rb_view_slice(all, 1, n_tables(s) > 1 ? layer : 0, 1);
}

rb_view rb_pad_positions(const rb_session *s)
{
    return rb_view_dense(&s->pad.pos, RB_I32, RB_CTRL, 0, 1, 1, 1,
                         s->params.n_seq * s->batch.n_tok);
}

rb_view rb_pad_key_positions(const rb_session *s)
{
    return rb_view_dense(&s->pad.key_pos, RB_I32, RB_CTRL, 0, 1, 1, 1,
                         s->params.n_seq * (s->n_past + s->batch.n_tok));
}

/* A buffer of rows x columns f32, refused when the product is absurd. */
static rb_status open_rows(const rb_session *s, rb_buffer *b, int64_t rows, int64_t columns,
                           rb_error *err)
{
    size_t bytes;
    if (columns == 0)
        return RB_OK;
    if (__builtin_mul_overflow((size_t)rows, (size_t)columns * sizeof(float), &bytes))
        return rb_fail(err, RB_ERR_MEMORY, "activations of %lld x %lld do not fit in memory",
                       (long long)rows, (long long)columns);
    return rb_buffer_alloc(b, bytes, s->params.dry, err);
}

typedef struct want {
    rb_buffer *buffer;
    int64_t rows, columns;
} want;

static rb_status open_all(const rb_session *s, const want *w, size_t n, rb_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const rb_status status = open_rows(s, w[i].buffer, w[i].rows, w[i].columns, err);
        if (status != RB_OK)
            return status;
    }
    return RB_OK;
}

/* Columns of attention's output, in whatever order calls may take. */
static int64_t widest_out(const rb_session *s)
{
    const rb_config *c = &s->model->config;
    int64_t widest = 0;
    for (int i = 0; rb_attn_possible(s, i) < RB_N_ATTN; i++) {
        const int64_t d = rb_attn_variant_of(s, rb_attn_possible(s, i))->geom(c).d_out;
        widest = d > widest ? d : widest;
    }
    return c->n_head * widest;
}

static rb_status open_own(rb_session *s, int64_t rows, rb_error *err)
{
    const rb_attn_geom g = s->params.variant->geom(&s->model->config);
    rb_status status = RB_OK;
    for (int i = 0; i < RB_MAX_PAD && status == RB_OK; i++)
        status = open_rows(s, &s->pad.own[i], rows, g.pad[i], err);
    return status;
}

static bool may_run(const rb_session *s, rb_attn attn)
{
    for (int i = 0; rb_attn_possible(s, i) < RB_N_ATTN; i++)
        if (rb_attn_possible(s, i) == attn)
            return true;
    return false;
}

static rb_status open_plain(rb_session *s, int64_t rows, rb_error *err)
{
    const rb_config *c = &s->model->config;
    rb_scratchpad *p = &s->pad;
    const int64_t q = c->n_head * c->d_head_k, k = c->n_head_kv * c->d_head_k;
    const int64_t v = rb_config_n_head_v(c) * c->d_head_v;
    const want one[] = { { &p->qkv, rows, q + k + v } };
    const int64_t decoded = c->n_head * c->d_value_up;
    const want apart[] = { { &p->q, rows, q },
                           { &p->k, rows, k },
                           { &p->v, rows, v },
                           { &p->attn_gate, rows, decoded },
                           { &p->o_head, rows, decoded } };
    return c->linear_bias ? open_all(s, one, 1, err)
                          : open_all(s, apart, sizeof apart / sizeof *apart, err);
}

static rb_status open_latent(rb_session *s, int64_t rows, rb_error *err)
{
    const rb_config *c = &s->model->config;
    rb_scratchpad *p = &s->pad;
    const bool absorbed = may_run(s, RB_ATTN_MLA_ABSORBED);
    const bool latent = c->late_rope || may_run(s, RB_ATTN_MLA_NAIVE_LATENT);
    const int64_t wide = absorbed ? c->n_head * c->kv_lora_rank : 0;
    const int64_t expanded = c->n_head_kv * (rb_config_d_nope(c) + c->d_head_v);
    const want w[] = {
        { &p->q, rows, c->n_head * c->d_head_k },
        { &p->q_a, rows, c->q_lora_rank },
        { &p->kv_a, rows, c->kv_lora_rank + rb_config_d_shared(c) },
        { &p->kv, latent ? s->params.n_seq * s->params.n_ctx : rows,
          latent || may_run(s, RB_ATTN_MLA_NAIVE_FULL) ? expanded : 0 },
        { &p->q_latent, rows, rb_config_d_nope(c) ? wide : 0 },
        { &p->o_head, rows, absorbed ? c->n_head * c->d_head_v : 0 },
    };
    return open_all(s, w, sizeof w / sizeof *w, err);
}

static rb_status open_experts(rb_session *s, int64_t rows, rb_error *err)
{
    const rb_config *c = &s->model->config;
    rb_scratchpad *p = &s->pad;
    const want w[] = {
        { &p->router, rows, c->n_expert },
        { &p->share, rows, c->n_expert_used },
        { &p->expert, rows, c->n_expert_used }, /* i32, as wide as f32 */
        { &p->shared, rows, s->params.no_fuse && c->n_ff_shared ? c->n_embd : 0 },
    };
    return open_all(s, w, sizeof w / sizeof *w, err);
}

rb_status rb_pad_open(rb_session *s, rb_error *err)
{
    const rb_config *c = &s->model->config;
    const rb_session_params *p = &s->params;
    const int64_t rows = most_rows(s), heads = p->n_seq * p->n_logits;
    const int64_t n_ff = !rb_config_is_moe(c, 0) ? c->n_ff : 0; /* dense layers lead */
    rb_scratchpad *pad = &s->pad;
    const want w[] = {
        { &pad->x, rows, c->n_embd },
        { &pad->normed, rows, c->n_embd },
        { &pad->attn_in, rows * p->n_layer, p->keep_inputs ? c->n_embd : 0 },
        { &pad->y, rows, c->n_embd },
        { &pad->o, rows, widest_out(s) },
        { &pad->gate, rows, c->ffn == RB_FFN_SWIGLU ? n_ff : 0 },
        { &pad->up, rows, n_ff },
        { &pad->last, heads, c->n_embd },
        { &pad->logits, heads, c->n_vocab },
        { &pad->rope_table, n_tables(s) * p->n_ctx, c->d_rot },
    };
    rb_status status = open_all(s, w, sizeof w / sizeof *w, err);
    if (status == RB_OK)
        status = p->variant        ? open_own(s, rows, err)
                 : c->kv_lora_rank ? open_latent(s, rows, err)
                                   : open_plain(s, rows, err);
    if (status == RB_OK && c->n_expert)
        status = open_experts(s, rows, err);
    if (status == RB_OK)
        status = rb_buffer_alloc(&pad->ids, (size_t)rows * sizeof(int32_t), false, err);
    if (status == RB_OK)
        status = rb_buffer_alloc(&pad->pos, (size_t)rows * sizeof(int32_t), false, err);
    if (status == RB_OK && c->late_rope)
        status = rb_buffer_alloc(&pad->key_pos, (size_t)(p->n_seq * p->n_ctx) * sizeof(int32_t),
                                 false, err);
    s->no_ids = (rb_buffer){ NULL, pad->ids.bytes };
    return status;
}

void rb_pad_close(rb_session *s)
{
    for (int i = 0; i < N_BUFFER; i++)
        rb_buffer_free((rb_buffer *)&s->pad + i);
}

int64_t rb_pad_bytes(const rb_session *s)
{
    int64_t sum = 0;
    for (int i = 0; i < N_BUFFER; i++)
        sum += (int64_t)((const rb_buffer *)&s->pad)[i].bytes;
    return sum;
}

void rb_rope_fill(rb_session *s)
{
    const rb_config *c = &s->model->config;
    float *table = s->pad.rope_table.data;
    for (int64_t i = 0; !s->params.dry && i < n_tables(s); i++, table += s->params.n_ctx * c->d_rot)
        for (int64_t j = 0; j < c->d_rot / 2; j++)
            rb_rope_pair(table, s->params.n_ctx, c->d_rot, j, rb_rope_step(s->model, i, j),
                         rb_rope_magnitude(c));
}
