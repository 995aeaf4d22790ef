/* experts: feed-forward networks of a mixture as one launch, the routed experts, the shared one, or
 * both. Pairs (token, choice) are grouped by expert, on ctrl alone; then panels of rows of gate and
 * up pass over the experts that were taken, then panels of down, whose products are added up by
 * their shares. Work units are panels, never experts, so that the split does not depend on routing.
 * Each expert that is taken is read and decoded once, however many tokens took it. Refuses packed
 * layouts. Read next: route.c, experts_op.c (the contract), dots.h. */
#include "dots.h"
#include "experts.h"

enum { PANEL = 16 };

/* Shared scratch. Ctrl: begin[E + 1] of each expert's pairs in pair[n k], whose numbers are token k
 * + choice. Data: the shared expert's gate[n]; hidden activations of pairs [n k][F] and tokens
 * [n][F_s]. */
typedef struct scratch {
    char *begin, *pair;
    f32 *gate, *hidden, *hidden_shared;
} scratch;

static int64_t ctrl_bytes(const rb_call *c)
{
    const int64_t n = n_experts(c) + 1 + n_pairs(c);
    return (n * (int64_t)sizeof(int32_t) + 63) / 64 * 64;
}

static scratch scratch_at(const rb_call *c, void *shared)
{
    scratch s = { .begin = shared };
    s.pair = s.begin + (n_experts(c) + 1) * (int64_t)sizeof(int32_t);
    s.gate = (f32 *)(s.begin + ctrl_bytes(c));
    s.hidden = s.gate + n_tokens(c);
    s.hidden_shared = s.hidden + n_pairs(c) * d_expert(c);
    return s;
}

static int64_t shared_bytes(const rb_call *c)
{
    const int64_t n = n_tokens(c) * (1 + d_shared(c)) + n_pairs(c) * d_expert(c);
    return ctrl_bytes(c) + n * (int64_t)sizeof(f32);
}

/* A thread's own: outputs of one panel for a tile of tokens, of gate and of up; decoded rows. */
typedef struct own_scratch {
    f32 *gate, *up, *rows;
} own_scratch;

static own_scratch own_at(void *own)
{
    own_scratch o = { .gate = own };
    o.up = o.gate + DOT_TOKENS * PANEL;
    o.rows = o.up + DOT_TOKENS * PANEL;
    return o;
}

static int64_t own_bytes(const rb_call *c)
{
    const int64_t h = 2 * c->t[X].n[3], f = d_expert(c) > d_shared(c) ? d_expert(c) : d_shared(c);
    const int64_t rows = n_tokens(c) > 1 || n_pairs(c) > 1 ? PANEL * (h > f ? h : f) : 0;
    return (2 * DOT_TOKENS * PANEL + rows) * (int64_t)sizeof(f32);
}

/* ---- grouping, and the shared expert's gate ---- */

static void group(const rb_call *c, const scratch *s)
{
    const void *id = rb_at(&c->t[ID], 0, 0, 0);
    const int64_t n = n_experts(c);
    for (int64_t e = 0; e <= n; e++)
        c_store(s->begin, e, 0);
    for (int64_t i = 0; i < n_pairs(c); i++)
        c_store(s->begin, c_load(id, i) + 1, c_load(s->begin, c_load(id, i) + 1) + 1);
    for (int64_t e = 0; e < n; e++)
        c_store(s->begin, e + 1, c_load(s->begin, e + 1) + c_load(s->begin, e));
    /* filling moves each beginning to its end, which is the next one's beginning */
    for (int64_t i = 0; i < n_pairs(c); i++) {
        const int64_t e = c_load(id, i);
        c_store(s->pair, c_load(s->begin, e), (int32_t)i);
        c_store(s->begin, e, c_load(s->begin, e) + 1);
    }
    for (int64_t e = n; e > 0; e--)
        c_store(s->begin, e, c_load(s->begin, e - 1));
    c_store(s->begin, 0, 0);
}

static const f32 *x_row(const rb_call *c, int64_t token)
{
    return (const f32 *)rb_at(&c->t[X], 0, token, 0);
}

/* gate[t] = sigmoid(inp . x[t]) */
static void shared_gate(const rb_call *c, int64_t token, const scratch *s)
{
    sf dot;
    dot_rows(&dot, rb_at(&c->t[INP], 0, 0, 0), 0, 1, x_row(c, token), c->t[X].n[3], RB_F32);
    const sf one = s_const(1.0);
    s_store(s->gate + token, s_div(one, s_add(s_exp(s_neg(dot)), one)));
}

/* ---- one expert with its tokens ---- */

/* Which rows of x and of hidden an expert has: pairs first .. first + n of the list, or (routed
 * false) tokens 0 .. n - 1. */
typedef struct party {
    const rb_call *c;
    const scratch *s;
    bool routed;
    int64_t expert, first, n;
} party;

static party routed_party(const rb_call *c, const scratch *s, int64_t expert)
{
    const int64_t first = c_load(s->begin, expert);
    return (party){ c, s, true, expert, first, c_load(s->begin, expert + 1) - first };
}

static party shared_party(const rb_call *c, const scratch *s)
{
    return (party){ c, s, false, 0, 0, n_tokens(c) };
}

static int64_t pair_of(const party *p, int64_t i)
{
    return c_load(p->s->pair, p->first + i);
}

static int64_t token_of(const party *p, int64_t i)
{
    return p->routed ? pair_of(p, i) / p->c->t[ID].n[3] : i;
}

static f32 *hidden_of(const party *p, int64_t i)
{
    return p->routed ? p->s->hidden + (p->first + i) * d_expert(p->c)
                     : p->s->hidden_shared + i * d_shared(p->c);
}

/* Rows m .. m + n - 1 of an expert's matrix, cols wide. */
typedef struct panel {
    const char *base;
    int64_t step, cols;
    rb_dtype dtype;
    int n;
} panel;

static panel panel_at(const party *p, int arg, int64_t m, int64_t cols, int64_t n_rows)
{
    const rb_view *v = &p->c->t[arg];
    const int64_t step = rb_row_bytes(v->dtype, cols);
    return (panel){ rb_at(v, 0, 0, p->routed ? p->expert : 0) + m * step, step, cols, v->dtype,
                    n_rows - m < PANEL ? (int)(n_rows - m) : PANEL };
}

/* The panel's rows as f32, decoded to scratch unless they are. */
static void decode_panel(const f32 *row[PANEL], const panel *w, f32 *to)
{
    rows_as_f32(row, w->base, w->step, w->n, w->cols, w->dtype, to);
}

/* out[i][r] = row r . x[i] */
static void panel_tile(f32 *out, const f32 *const row[PANEL], const panel *w,
                       const f32 *const x[DOT_TOKENS], int n_tok)
{
    for (int r = 0, n_row; r < w->n; r += n_row) {
        dot_tile t;
        n_row = r + DOT_ROWS <= w->n ? DOT_ROWS : 1;
        for (int i = 0, n; i < n_tok; i += n) {
            n = (int)dot_tokens(n_row, n_tok - i);
            dot_tile_any(&t, row + r, x + i, w->cols, n_row, n);
            for (int k = 0; k < n; k++)
                for (int j = 0; j < n_row; j++)
                    s_store(out + (i + k) * PANEL + r + j, t.sum[j][k]);
        }
    }
}

/* The only token: rows are decoded in registers. */
static void panel_token(f32 *out, const panel *w, const f32 *x)
{
    sf sum[PANEL];
    dot_rows(sum, w->base, w->step, w->n, x, w->cols, w->dtype);
    for (int r = 0; r < w->n; r++)
        s_store(out + r, sum[r]);
}

static void activate(f32 *hidden, const f32 *gate, const f32 *up, int64_t n)
{
    for (int64_t i = 0; i < n; i += V_LANES) {
        const int64_t m = lanes_at(i, n);
        v_store_n(hidden + i, silu_gate(v_load_n(gate + i, m), v_load_n(up + i, m)), m);
    }
}

/* hidden[..][m ..] = silu(gate x) up x for every token of the party. */
static void gate_up_panel(const party *p, int gate_arg, int up_arg, int64_t m, own_scratch o)
{
    const int64_t f = p->routed ? d_expert(p->c) : d_shared(p->c), h = p->c->t[X].n[3];
    const panel gate = panel_at(p, gate_arg, m, h, f), up = panel_at(p, up_arg, m, h, f);
    if (p->n == 1) {
        const f32 *only = x_row(p->c, token_of(p, 0));
        panel_token(o.gate, &gate, only);
        panel_token(o.up, &up, only);
        activate(hidden_of(p, 0) + m, o.gate, o.up, gate.n);
        return;
    }
    const f32 *gate_row[PANEL], *up_row[PANEL];
    decode_panel(gate_row, &gate, o.rows);
    decode_panel(up_row, &up, o.rows + PANEL * h);
    for (int64_t t = 0; t < p->n; t += DOT_TOKENS) {
        const int n = p->n - t < DOT_TOKENS ? (int)(p->n - t) : DOT_TOKENS;
        const f32 *x[DOT_TOKENS];
        for (int i = 0; i < n; i++)
            x[i] = x_row(p->c, token_of(p, t + i));
        panel_tile(o.gate, gate_row, &gate, x, n);
        panel_tile(o.up, up_row, &up, x, n);
        for (int i = 0; i < n; i++)
            activate(hidden_of(p, t + i) + m, o.gate + i * PANEL, o.up + i * PANEL, gate.n);
    }
}

/* y += share z of a routed expert; y = z, y = gate z, y += z or y += gate z of the shared one. */
static void add_up(const party *p, int64_t i, int64_t m, const f32 *z, int64_t n)
{
    const rb_call *c = p->c;
    f32 *y = (f32 *)rb_at(&c->t[Y], 0, token_of(p, i), 0) + m;
    const f32 *by = p->routed ? (const f32 *)rb_at(&c->t[SHARE], 0, 0, 0) : NULL;
    if (p->routed) {
        const int64_t k = c->t[ID].n[3], pair = pair_of(p, i);
        by = (const f32 *)rb_at(&c->t[SHARE], 0, pair / k, 0) + pair % k;
    } else if (c->t[INP].buffer) {
        by = p->s->gate + i;
    }
    const bool adds = p->routed || c->t[GATE].buffer;
    for (int64_t j = 0; j < n; j += V_LANES) {
        const int64_t lanes = lanes_at(j, n);
        const vf zv = v_load_n(z + j, lanes);
        vf sum = zv;
        if (by && adds)
            sum = v_fma(zv, v_bcast(by), v_load_n(y + j, lanes));
        else if (by)
            sum = v_mul(zv, v_bcast(by));
        else if (adds)
            sum = v_add(zv, v_load_n(y + j, lanes));
        v_store_n(y + j, sum, lanes);
    }
}

static void down_panel(const party *p, int arg, int64_t m, own_scratch o)
{
    const int64_t f = p->routed ? d_expert(p->c) : d_shared(p->c);
    const panel down = panel_at(p, arg, m, f, p->c->t[X].n[3]);
    if (p->n == 1) {
        panel_token(o.gate, &down, hidden_of(p, 0));
        add_up(p, 0, m, o.gate, down.n);
        return;
    }
    const f32 *row[PANEL];
    decode_panel(row, &down, o.rows);
    for (int64_t t = 0; t < p->n; t += DOT_TOKENS) {
        const int n = p->n - t < DOT_TOKENS ? (int)(p->n - t) : DOT_TOKENS;
        const f32 *x[DOT_TOKENS];
        for (int i = 0; i < n; i++)
            x[i] = hidden_of(p, t + i);
        panel_tile(o.gate, row, &down, x, n);
        for (int i = 0; i < n; i++)
            add_up(p, t + i, m, o.gate + i * PANEL, down.n);
    }
}

/* ---- phases ---- */

static int64_t panels(int64_t rows)
{
    return (rows + PANEL - 1) / PANEL;
}

enum { GROUP_PHASE, UP_PHASE, DOWN_PHASE, N_PHASE };

static int64_t units(const rb_call *c, int phase)
{
    if (phase == UP_PHASE)
        return panels(d_expert(c)) + panels(d_shared(c));
    if (phase == DOWN_PHASE)
        return panels(c->t[X].n[3]);
    return (c->t[GATE].buffer != NULL) + (c->t[INP].buffer ? n_tokens(c) : 0);
}

/* Experts are outermost, so that each one's rows stream by in order. */
static void run_up(const rb_call *c, int64_t first, int64_t last, const scratch *s, own_scratch o)
{
    const int64_t routed = panels(d_expert(c)), end = last < routed ? last : routed;
    for (int64_t e = 0; first < end && e < n_experts(c); e++) {
        const party p = routed_party(c, s, e);
        for (int64_t u = first; p.n > 0 && u < end; u++)
            gate_up_panel(&p, GATE, UP, u * PANEL, o);
    }
    const party all = shared_party(c, s);
    for (int64_t u = first > routed ? first : routed; u < last; u++)
        gate_up_panel(&all, SHARED_GATE, SHARED_UP, (u - routed) * PANEL, o);
}

static void clear_y(const rb_call *c, int64_t from, int64_t to)
{
    for (int64_t t = 0; t < n_tokens(c); t++) {
        f32 *y = (f32 *)rb_at(&c->t[Y], 0, t, 0);
        for (int64_t i = from; i < to; i += V_LANES)
            v_store_n(y + i, v_zero(), lanes_at(i, to));
    }
}

static void run_down(const rb_call *c, int64_t first, int64_t last, const scratch *s, own_scratch o)
{
    const int64_t h = c->t[X].n[3];
    if (c->t[GATE].buffer)
        clear_y(c, first * PANEL, last * PANEL < h ? last * PANEL : h);
    for (int64_t e = 0; e < n_experts(c); e++) {
        const party p = routed_party(c, s, e);
        for (int64_t u = first; p.n > 0 && u < last; u++)
            down_panel(&p, DOWN, u * PANEL, o);
    }
    const party all = shared_party(c, s);
    for (int64_t u = first; c->t[SHARED_GATE].buffer && u < last; u++)
        down_panel(&all, SHARED_DOWN, u * PANEL, o);
}

static void run(const rb_call *c, int phase, int64_t first, int64_t last, void *shared, void *own)
{
    const scratch s = scratch_at(c, shared);
    const int64_t groups = c->t[GATE].buffer != NULL;
    if (phase == UP_PHASE)
        run_up(c, first, last, &s, own_at(own));
    else if (phase == DOWN_PHASE)
        run_down(c, first, last, &s, own_at(own));
    for (int64_t u = first; phase == GROUP_PHASE && u < last; u++) {
        if (u < groups)
            group(c, &s);
        else
            shared_gate(c, u - groups, &s);
    }
}

/* ---- issued bytes ---- */

/* One expert of f hidden columns with its n tokens: gate and up to scratch and from there to
 * hidden; down to scratch and from there to y, which adds to what is there or not, by a factor or
 * not. */
static rb_issued expert_issued(const rb_call *c, int gate, int64_t f, int64_t n, bool adds, bool by)
{
    const int64_t h = c->t[X].n[3], vectors = (h + V_LANES - 1) / V_LANES;
    rb_issued sum = { 0 };
    issue_part(&sum, 1, dots_issued(c->t[gate].dtype, f, h, n));
    issue_part(&sum, 1, dots_issued(c->t[gate + 1].dtype, f, h, n));
    issue(&sum, n, f32_bytes(2 * f), f32_bytes(3 * f));
    issue_part(&sum, 1, dots_issued(c->t[gate + 2].dtype, h, f, n));
    issue(&sum, n, f32_bytes(h + (adds ? h : 0) + (by ? vectors : 0)), f32_bytes(2 * h));
    return sum;
}

static rb_issued routed_issued(const rb_call *c, int64_t n)
{
    return expert_issued(c, GATE, d_expert(c), n, true, true);
}

/* Routed experts add to a y of zeros; inp is dotted with each token. */
static rb_issued issued(const rb_call *c)
{
    const int64_t h = c->t[X].n[3], n = n_tokens(c);
    const bool routed = c->t[GATE].buffer, gated = c->t[INP].buffer;
    rb_issued sum = { 0 };
    if (routed) {
        issue(&sum, n, 0, f32_bytes(h));
        issue_part(&sum, 1, rb_issued_over_rows(&c->t[ID], n_experts(c), c, routed_issued));
    }
    if (c->t[SHARED_GATE].buffer)
        issue_part(&sum, 1, expert_issued(c, SHARED_GATE, d_shared(c), n, routed, gated));
    if (gated)
        issue(&sum, n, f32_bytes(2 * h), f32_bytes(1));
    return sum;
}

static const rb_kernel rows[] = { {
    .op = &rb_experts_op,
    .isa = RB_ISA_ID,
    .dtype = RB_NO_DTYPE,
    .n_phase = N_PHASE,
    .units = units,
    .run = run,
    .shared_bytes = shared_bytes,
    .own_bytes = own_bytes,
    .issued = issued,
    .decode = { { GATE, rb_experts_matrix },
                { UP, rb_experts_matrix },
                { DOWN, rb_experts_matrix },
                { SHARED_GATE, rb_experts_shared },
                { SHARED_UP, rb_experts_shared },
                { SHARED_DOWN, rb_experts_shared } },
} };
RB_EXPORT(experts, rows);
