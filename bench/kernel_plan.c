/* Which rows of the registry on which shapes: walks the registry for the dtypes that an op has rows
 * for, makes the problem of each shape without memory, and asks the door which row it takes, or
 * takes all that accept it. No list of dtypes stands here.
 * Refuses shapes and types that no row accepts. Read next: ../kernels/shaped.h, kernel_run.c. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_KEYS = 512 };

typedef struct keys {
    rb_dtype at[MAX_KEYS][RB_MAX_KEY];
    int n;
} keys;

/* ---- dtypes ---- */

rb_dtype rb_storage_by_name(const char *name)
{
    for (int d = 0; d < RB_N_DTYPE; d++)
        if (!strcmp(rb_dtype_get((rb_dtype)d)->name, name))
            return (rb_dtype)d;
    return RB_NO_DTYPE;
}

/* Keeps them in the order of the dtype table. */
static void add_key(keys *k, const rb_dtype key[RB_MAX_KEY])
{
    int i = k->n;
    for (int j = 0; j < k->n; j++)
        if (!memcmp(k->at[j], key, sizeof k->at[j]))
            return;
    if (k->n == MAX_KEYS)
        return;
    for (; i > 0; i--) {
        int d = 0;
        while (d + 1 < RB_MAX_KEY && k->at[i - 1][d] == key[d])
            d++;
        if (k->at[i - 1][d] < key[d])
            break;
        memcpy(k->at[i], k->at[i - 1], sizeof k->at[i]);
    }
    memcpy(k->at[i], key, sizeof k->at[i]);
    k->n++;
}

/* Experts have no key: their matrices are of any type that matmul reads as files have it. */
static void list_keys(rb_op_id op, keys *k)
{
    const rb_op *known = rb_op_get(op);
    const bool unkeyed = known->key_arg[0] < 0;
    k->n = 0;
    for (int i = 0; i < rb_registry_size(); i++) {
        const rb_kernel *row = rb_registry_row(i);
        if (row->isa >= RB_ISA_COUNT1 || row->op->id != (unkeyed ? RB_OP_MATMUL : op))
            continue;
        if (!unkeyed || rb_dtype_get(row->key[0])->panel_rows == 1)
            add_key(k, row->key);
    }
}

/* ---- what is asked for ---- */

static bool is_packed(rb_dtype d)
{
    return rb_dtype_get(d)->panel_rows > 1;
}

/* The place among the types asked for that dtype d is of; -1: of none. */
static int asked(const rb_kernel_query *q, rb_dtype d, bool exactly)
{
    for (int i = 0; i < q->n_type; i++)
        if (q->type[i] == d || (!exactly && q->type[i] == rb_dtype_get(d)->base))
            return i;
    return -1;
}

/* Keys as sessions have them: caches of one type, K and V in two pieces; f32 activations. Packed
 * layouts come by way of what they pack, unless named. */
static bool is_usual(const rb_kernel_query *q, const rb_dtype key[RB_MAX_KEY])
{
    switch (q->op) {
    case RB_OP_ATTEND: /* whether K has two pieces is the shape's business */
        return key[0] == key[2] && (key[1] == key[0] || key[1] == RB_NO_DTYPE);
    case RB_OP_KV_STORE:
        return key[0] == key[1] && key[2] == RB_NO_DTYPE;
    case RB_OP_MATMUL_HEADS:
        return key[1] == RB_F32;
    default:
        return !is_packed(key[0]) || asked(q, key[0], true) >= 0;
    }
}

static bool is_wanted(const rb_kernel_query *q, const rb_dtype key[RB_MAX_KEY])
{
    if (q->n_type && asked(q, key[0], false) < 0)
        return false;
    return q->all || is_usual(q, key);
}

/* ---- rows of one problem ---- */

typedef struct planning {
    rb_kernel_plan *plan;
    const rb_kernel_query *q;
    rb_team *door;  /* dry: asked what it would take */
    bool *has_type; /* of the types asked for */
    rb_error *err;
} planning;

static rb_status add_job(planning *p, const rb_kernel_job *job)
{
    rb_kernel_plan *plan = p->plan;
    if ((plan->n & (plan->n - 1)) == 0) { /* grows at powers of two */
        const size_t n = plan->n ? 2 * (size_t)plan->n : 1;
        rb_kernel_job *grown = realloc(plan->job, n * sizeof *grown);
        if (!grown)
            return rb_fail(p->err, RB_ERR_MEMORY, "no memory for a plan of kernels");
        plan->job = grown;
    }
    plan->job[plan->n++] = *job;
    return RB_OK;
}

/* Whether all rows that accept a call may be taken, this one among them. */
static bool may_run(const rb_kernel_query *q, const rb_kernel *k, const rb_call *call)
{
    if (k->op->id != q->op || k->isa >= RB_ISA_COUNT1 || (k->act_i8 && q->act_f32))
        return false;
    if (k->isa == RB_ISA_BLAS ? q->capped : k->isa > q->isa)
        return false;
    return rb_kernel_supported(k) && rb_kernel_fits(k, call);
}

static rb_status add_rows(planning *p, const rb_dtype key[RB_MAX_KEY], const rb_sizes *shape,
                          const rb_call *call)
{
    const rb_kernel *door = rb_select(p->door, p->q->op, call);
    rb_kernel_job job = { .shape = *shape, .n_threads = p->q->n_threads };
    const int type = p->q->n_type ? asked(p->q, key[0], false) : -1;
    rb_status st = RB_OK;
    memcpy(job.key, key, sizeof job.key);
    for (int i = 0; i < rb_registry_size() && st == RB_OK; i++) {
        job.kernel = rb_registry_row(i);
        job.chosen = job.kernel == door;
        if (!job.chosen && !(p->q->all && may_run(p->q, job.kernel, call)))
            continue;
        st = add_job(p, &job);
        if (type >= 0)
            p->has_type[type] = true;
    }
    return st;
}

/* As sessions have weights: packed, where the layout exists and the door has a row for it. */
static void pack_key(const planning *p, const rb_sizes *shape, const rb_call *call,
                     rb_dtype key[RB_MAX_KEY])
{
    rb_shaped packed;
    rb_dtype other[RB_MAX_KEY] = { RB_NO_DTYPE, RB_NO_DTYPE, RB_NO_DTYPE };
    const int w = rb_op_get(p->q->op)->key_arg[0];
    if (p->q->op != RB_OP_MATMUL || p->q->all || is_packed(key[0]))
        return;
    const rb_view v = rb_view_packed(&call->t[w], call->t[w].buffer);
    other[0] = v.dtype;
    if (v.buffer && rb_shaped_make(&packed, p->q->op, other, shape, NULL) == RB_OK &&
        rb_select(p->door, p->q->op, &packed.call))
        key[0] = v.dtype;
}

static rb_status plan_one(planning *p, const rb_dtype own[RB_MAX_KEY], const rb_sizes *shape,
                          rb_error *why)
{
    rb_shaped problem;
    rb_dtype key[RB_MAX_KEY];
    rb_status st = rb_shaped_make(&problem, p->q->op, own, shape, why);
    if (st != RB_OK)
        return st == RB_ERR_ARGUMENT ? RB_OK : st; /* another type may do */
    memcpy(key, own, sizeof key);
    pack_key(p, shape, &problem.call, key);
    st = rb_shaped_make(&problem, p->q->op, key, shape, why);
    return st == RB_OK ? add_rows(p, key, shape, &problem.call) : st;
}

/* ---- a query ---- */

static rb_status none_for(const planning *p, const char *type, const rb_sizes *shape,
                          const rb_error *why)
{
    char text[160];
    const char *op = rb_op_get(p->q->op)->name;
    if (why->text[0])
        return rb_fail(p->err, RB_ERR_ARGUMENT, "%s: %.400s", op, why->text);
    return rb_fail(p->err, RB_ERR_ARGUMENT, "%s: no kernel of %s takes %s", op, type,
                   rb_sizes_text(p->q->op, shape, text, sizeof text));
}

static rb_status plan_shape(planning *p, const keys *k, const rb_sizes *shape)
{
    const int before = p->plan->n;
    rb_error why = { 0 };
    rb_status st = RB_OK;
    memset(p->has_type, 0, (size_t)p->q->n_type * sizeof *p->has_type);
    for (int i = 0; i < k->n && st == RB_OK; i++)
        if (is_wanted(p->q, k->at[i]))
            st = plan_one(p, k->at[i], shape, &why);
    for (int t = 0; t < p->q->n_type && st == RB_OK; t++)
        if (!p->has_type[t])
            return none_for(p, rb_dtype_get(p->q->type[t])->name, shape, &why);
    return st == RB_OK && p->plan->n == before ? none_for(p, "any type", shape, &why) : st;
}

rb_status rb_kernel_plan_add(rb_kernel_plan *plan, const rb_kernel_query *q, rb_error *err)
{
    const rb_team_params params = {
        .n_threads = 1, .isa = q->isa, .capped = q->capped, .dry = true, .act_f32 = q->act_f32
    };
    planning p = { .plan = plan, .q = q, .err = err };
    keys *k = malloc(sizeof *k);
    rb_status st;
    p.has_type = calloc((size_t)q->n_type + 1, sizeof *p.has_type);
    if (!k || !p.has_type) {
        st = rb_fail(err, RB_ERR_MEMORY, "no memory for a plan of kernels");
        goto end;
    }
    list_keys(q->op, k);
    st = rb_team_open(&p.door, &params, err);
    for (int s = 0; s < q->n_shape && st == RB_OK; s++)
        st = plan_shape(&p, k, &q->shape[s]);
end:
    rb_team_close(p.door);
    free(p.has_type);
    free(k);
    return st;
}

void rb_kernel_plan_free(rb_kernel_plan *plan)
{
    free(plan->job);
    *plan = (rb_kernel_plan){ 0 };
}
