/* The roofs are kernels too: loops that do one thing as fast as an ISA can, launched, counted and
 * proven like all others. fma: y = a y + b again and again; exp likewise; read: sums of rows;
 * copy; triad; launch: nothing but a store a thread, to time the door and its barriers. Each
 * repeats its work p.reps times inside a launch, so that a cache level can be timed. Refuses to be
 * part of a model. Read next: ../bench/roofs.c, which picks shapes and times them. */
#include "rows.h"

enum { Y, X, Z };
enum { ROWS, COLUMNS, REPS };
enum { CHAINS = 12, DOT_CHAINS = 6, EXP_CHAINS = 4, LAUNCH_PHASES = RB_ROOF_PHASES };

static int64_t reps(const rb_call *c)
{
    return c->p.reps;
}

static int64_t units(const rb_call *c, int phase)
{
    (void)phase;
    return c->t[Y].n[1];
}

static bool is_rows(const rb_view *v)
{
    return v->n[0] == 1 && v->n[2] == 1;
}

static const char *check_rows(const rb_call *c)
{
    if (c->p.reps < 1)
        return "at least one repetition is wanted";
    for (int a = Y; a <= Z; a++)
        if (c->t[a].buffer && (!is_rows(&c->t[a]) || c->t[a].n[1] != c->t[Y].n[1]))
            return "as many rows in each operand are wanted";
    return NULL;
}

/* Loops have no tails: rows are whole steps of all of them, whatever V_LANES is. */
static bool is_whole(const rb_view *v)
{
    return v->n[3] % RB_ROOF_COLUMNS == 0;
}

static const char *check_same(const rb_call *c)
{
    for (int a = Y; a <= Z; a++)
        if (c->t[a].buffer && (c->t[a].n[3] != c->t[Y].n[3] || !is_whole(&c->t[a])))
            return "rows of one length, of whole steps, are wanted";
    return check_rows(c);
}

static const char *check_read(const rb_call *c)
{
    const int s = c->p.streams;
    return s != 1 && s != 2 && s != 4 ? "1, 2 or 4 streams are wanted"
           : !is_whole(&c->t[X])      ? "rows of whole steps are wanted"
           : c->t[Y].n[3] != 1        ? "y has one column"
                                      : check_rows(c);
}

static f32 *row_of(const rb_call *c, int arg, int64_t row)
{
    return (f32 *)rb_at(&c->t[arg], 0, row, 0);
}

/* ---- compute ---- */

RB_INLINE void fma_chains(vf *y, int n, int64_t n_reps)
{
    const vf a = v_set(s_const(0.5)), b = v_set(s_const(0.75));
    for (int64_t r = 0; r < n_reps; r++) {
        UNROLL
        for (int i = 0; i < n; i++)
            y[i] = v_fma(y[i], a, b);
    }
}

RB_INLINE void exp_chains(vf *y, int n, int64_t n_reps)
{
    for (int64_t r = 0; r < n_reps; r++) {
        UNROLL
        for (int i = 0; i < n; i++)
            y[i] = v_exp(v_neg(y[i]));
    }
}

/* Columns of a row in groups of independent chains that stay in registers. */
RB_INLINE void run_chains(const rb_call *c, int64_t first, int64_t last, int n,
                          void (*chains)(vf *y, int n, int64_t n_reps))
{
    const int64_t columns = c->t[Y].n[3];
    for (int64_t u = first; u < last; u++) {
        f32 *row = row_of(c, Y, u);
        vf y[CHAINS];
        for (int64_t i = 0; i < columns; i += n * V_LANES) {
            UNROLL
            for (int j = 0; j < n; j++)
                y[j] = v_load(row + i + j * V_LANES);
            chains(y, n, c->p.reps);
            UNROLL
            for (int j = 0; j < n; j++)
                v_store(row + i + j * V_LANES, y[j]);
        }
    }
}

static void run_fma(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                    void *own)
{
    (void)phase, (void)shared, (void)own;
    run_chains(c, first, last, CHAINS, fma_chains);
}

static void run_exp(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                    void *own)
{
    (void)phase, (void)shared, (void)own;
    run_chains(c, first, last, EXP_CHAINS, exp_chains);
}

/* Own scratch of dot_i8: a row as bytes; the block of x, whose first four count; its bias. */
enum { X_BYTES = 32, BIAS_BYTES = 4 };

static int64_t dot_own_bytes(const rb_call *c)
{
    return c->t[Y].n[3] + X_BYTES + BIAS_BYTES;
}

/* Bytes of the row; x, its first four, negative ones as 0; what each sum begins with: the
 * bias once a repetition. */
static vi prepare_dot(const rb_call *c, f32 *row, u8 *bytes)
{
    const int64_t columns = c->t[Y].n[3];
    u8 *x = bytes + columns, *bias = x + X_BYTES;
    int log2_reps = 0;
    while ((int64_t)1 << log2_reps < c->p.reps)
        log2_reps++;
    for (int64_t i = 0; i < columns; i += V_LANES)
        v_store_s8(bytes + i, v_load(row + i));
    for (int64_t i = 0; i < X_BYTES; i += V_LANES)
        v_store_s8(x + i, v_zero());
    for (int64_t i = 0; i < 4; i += V_LANES)
        v_store_s8(x + i, v_max_n(v_zero(), v_load(row + i), 4 < V_LANES ? 4 : V_LANES));
    bias_store(bias, x);
    return vi_shl(vi_dot4_begin(bias), log2_reps);
}

/* Four bytes are a lane's share of a dot product with x. Each sum is kept as four columns. */
static void run_dot_i8(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                       void *own)
{
    (void)phase, (void)shared;
    const int64_t columns = c->t[Y].n[3], sums = columns / 4;
    u8 *bytes = own;
    for (int64_t u = first; u < last; u++) {
        f32 *row = row_of(c, Y, u);
        const vi begin = prepare_dot(c, row, bytes);
        for (int64_t i = 0; i < sums; i += DOT_CHAINS * V_LANES) {
            vi acc[DOT_CHAINS], w[DOT_CHAINS];
            UNROLL
            for (int j = 0; j < DOT_CHAINS; j++) {
                acc[j] = begin;
                w[j] = vi_load4(bytes + 4 * (i + j * V_LANES));
            }
            for (int64_t r = 0; r < c->p.reps; r++) {
                /* x may be another one: else its products, or their sum, leave the loop */
                __asm__ volatile("" ::: "memory");
                UNROLL
                for (int j = 0; j < DOT_CHAINS; j++)
                    acc[j] = vi_dot4(acc[j], w[j], bytes + columns);
            }
            UNROLL
            for (int j = 0; j < DOT_CHAINS; j++)
                for (int k = 0; k < 4; k++)
                    v_store(row + k * sums + i + j * V_LANES, v_cvt(acc[j]));
        }
    }
}

/* A row once as chains, before and after its repetitions. */
static rb_issued issued_chains(const rb_call *c)
{
    rb_issued sum = { 0 };
    issue(&sum, rb_view_elements(&c->t[Y]), f32_bytes(1), f32_bytes(1));
    return sum;
}

/* A row as bytes, x of its first, the bias; bytes again, and x for each group of them and
 * repetition; the row. */
static rb_issued issued_dot(const rb_call *c)
{
    const int64_t n = c->t[Y].n[3], vectors = n / 4 / V_LANES;
    const int64_t first = 4 < V_LANES ? V_LANES : 4;
    rb_issued row = { 0 }, sum = { 0 };
    issue(&row, 1, f32_bytes(n + first), n + X_BYTES + first);
    issue(&row, V_BIASED, X_BYTES + BIAS_BYTES, BIAS_BYTES);
    issue(&row, 1, n + vectors * c->p.reps * 4, f32_bytes(n));
    issue_part(&sum, units(c, 0), row);
    return sum;
}

static const char *check_dot(const rb_call *c)
{
    return c->p.reps & (c->p.reps - 1) ? "repetitions are a power of two" : check_same(c);
}

/* ---- memory ---- */

enum { VECTORS = 8, AHEAD = 512 }; /* vectors a step, over all streams; columns of prefetch */

/* Sum of one row, read as n_stream parts side by side. */
RB_INLINE vf sum_row(const f32 *row, int64_t columns, int n_stream, bool prefetch)
{
    vf acc[VECTORS];
    const int each = VECTORS / n_stream;
    const int64_t part = columns / n_stream, step = (int64_t)each * V_LANES;
    UNROLL
    for (int j = 0; j < VECTORS; j++)
        acc[j] = v_zero();
    for (int64_t i = 0; i < part; i += step) {
        UNROLL
        for (int s = 0; s < n_stream; s++) {
            const f32 *p = row + s * part + i;
            UNROLL
            for (int j = 0; j < each; j++) {
                if (prefetch && j * V_LANES % 16 == 0)
                    v_prefetch(p + j * V_LANES + AHEAD);
                acc[s * each + j] = v_add(acc[s * each + j], v_load(p + j * V_LANES));
            }
        }
    }
    for (int j = 1; j < VECTORS; j++)
        acc[0] = v_join(acc[0], acc[j]);
    return acc[0];
}

RB_INLINE void read_rows(const rb_call *c, int64_t first, int64_t last, int n_stream, bool prefetch)
{
    for (int64_t u = first; u < last; u++) {
        for (int64_t r = 0; r < c->p.reps; r++)
            s_store(row_of(c, Y, u),
                    v_hsum(sum_row(row_of(c, X, u), c->t[X].n[3], n_stream, prefetch)));
    }
}

static void run_read(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                     void *own)
{
    (void)phase, (void)shared, (void)own;
    switch (2 * c->p.streams + c->p.prefetch) {
    case 2:
        read_rows(c, first, last, 1, false);
        break;
    case 3:
        read_rows(c, first, last, 1, true);
        break;
    case 4:
        read_rows(c, first, last, 2, false);
        break;
    case 5:
        read_rows(c, first, last, 2, true);
        break;
    case 8:
        read_rows(c, first, last, 4, false);
        break;
    default:
        read_rows(c, first, last, 4, true);
        break;
    }
}

static void run_copy(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                     void *own)
{
    (void)phase, (void)shared, (void)own;
    const int64_t columns = c->t[Y].n[3];
    for (int64_t u = first; u < last; u++) {
        f32 *y = row_of(c, Y, u);
        const f32 *x = row_of(c, X, u);
        for (int64_t r = 0; r < c->p.reps; r++) {
            for (int64_t i = 0; i < columns; i += V_LANES)
                v_store(y + i, v_load(x + i));
        }
    }
}

static void run_triad(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                      void *own)
{
    (void)phase, (void)shared, (void)own;
    const int64_t columns = c->t[Y].n[3];
    const vf scale = v_set(s_const(c->p.scale));
    for (int64_t u = first; u < last; u++) {
        f32 *y = row_of(c, Y, u);
        const f32 *x = row_of(c, X, u), *z = row_of(c, Z, u);
        for (int64_t r = 0; r < c->p.reps; r++) {
            for (int64_t i = 0; i < columns; i += V_LANES)
                v_store(y + i, v_fma(v_load(z + i), scale, v_load(x + i)));
        }
    }
}

/* As many rows as are read, and y's. */
static rb_issued issued_streams(const rb_call *c)
{
    const int64_t streams = c->t[Z].buffer ? 2 : 1;
    rb_issued sum = { 0 };
    issue(&sum, rb_view_elements(&c->t[X]) * c->p.reps, f32_bytes(streams), 0);
    issue(&sum, rb_view_elements(&c->t[Y]) * c->p.reps, 0, f32_bytes(1));
    return sum;
}

/* ---- the door itself ---- */

static void run_launch(const rb_call *c, int phase, int64_t first, int64_t last, void *shared,
                       void *own)
{
    (void)phase, (void)shared, (void)own;
    for (int64_t u = first; u < last; u++)
        s_store(row_of(c, Y, u), s_const(0.0));
}

/* Repetitions are phases here. */
static rb_issued issued_launch(const rb_call *c)
{
    rb_issued sum = { 0 };
    issue(&sum, units(c, 0) * c->p.reps, 0, f32_bytes(1));
    return sum;
}

static bool one_phase(const rb_call *c)
{
    return c->p.reps == 1;
}

/* ---- contracts ---- */

static const rb_term nothing[] = { { 0 } };
static const rb_term once[] = { { 1, { ROWS, COLUMNS, REPS } }, { 0 } };
static const rb_term twice[] = { { 2, { ROWS, COLUMNS, REPS } }, { 0 } };

#define OUT(mode)                                                                                  \
    {                                                                                              \
        "y", mode, RB_ROWS_ALL, -1, RB_IS_ACT, 0                                                   \
    }
#define IN(name)                                                                                   \
    {                                                                                              \
        name, 'r', RB_ROWS_ALL, -1, RB_IS_ACT, 0                                                   \
    }
#define OVER(a)                                                                                    \
    .token_arg = Y, .key_arg = Y,                                                                  \
    .dim = { { "rows", Y, 1, NULL }, { "columns", a, 3, NULL }, { "reps", Y, 0, reps } }

static const rb_op fma_op = { .id = RB_OP_ROOF_FMA,
                              .name = "roof_fma",
                              .arg = { OUT('u') },
                              OVER(Y),
                              .flops = twice,
                              .special = nothing,
                              .check = check_same };
static const rb_op dot_i8_op = { .id = RB_OP_ROOF_DOT_I8,
                                 .name = "roof_dot_i8",
                                 .arg = { OUT('u') },
                                 OVER(Y),
                                 .flops = twice,
                                 .special = nothing,
                                 .check = check_dot };
static const rb_op exp_op = { .id = RB_OP_ROOF_EXP,
                              .name = "roof_exp",
                              .arg = { OUT('u') },
                              OVER(Y),
                              .flops = once,
                              .special = once,
                              .check = check_same };
static const rb_op read_op = { .id = RB_OP_ROOF_READ,
                               .name = "roof_read",
                               .arg = { OUT('w'), IN("x") },
                               OVER(X),
                               .flops = once,
                               .special = nothing,
                               .check = check_read };
static const rb_op copy_op = { .id = RB_OP_ROOF_COPY,
                               .name = "roof_copy",
                               .arg = { OUT('w'), IN("x") },
                               OVER(Y),
                               .flops = nothing,
                               .special = nothing,
                               .check = check_same };
static const rb_op triad_op = { .id = RB_OP_ROOF_TRIAD,
                                .name = "roof_triad",
                                .arg = { OUT('w'), IN("x"), IN("z") },
                                OVER(Y),
                                .flops = twice,
                                .special = nothing,
                                .check = check_same };
static const rb_op launch_op = { .id = RB_OP_ROOF_LAUNCH,
                                 .name = "roof_launch",
                                 .arg = { OUT('w') },
                                 OVER(Y),
                                 .flops = nothing,
                                 .special = nothing,
                                 .check = check_rows };

#define ROW(its_op, its_run, its_issued)                                                           \
    .op = (its_op), .isa = RB_ISA_ID, .dtype = RB_F32, .units = units, .run = (its_run),           \
    .issued = (its_issued)
static const rb_kernel rows[] = {
    { ROW(&fma_op, run_fma, issued_chains), .n_phase = 1 },
    { ROW(&dot_i8_op, run_dot_i8, issued_dot), .n_phase = 1, .own_bytes = dot_own_bytes,
      .int_macs = once },
    { ROW(&exp_op, run_exp, issued_chains), .n_phase = 1 },
    { ROW(&read_op, run_read, issued_streams), .n_phase = 1 },
    { ROW(&copy_op, run_copy, issued_streams), .n_phase = 1 },
    { ROW(&triad_op, run_triad, issued_streams), .n_phase = 1 },
    { ROW(&launch_op, run_launch, issued_launch), .n_phase = 1, .accepts = one_phase },
    { ROW(&launch_op, run_launch, issued_launch), .n_phase = LAUNCH_PHASES, .variant = "phases" },
};
RB_EXPORT(roof, rows);
