/* Which rows of the registry on which shapes: walks the registry for the dtypes that an op has rows
 * for, makes the problem of each shape without memory, and asks the door which row it takes, or
 * takes all that accept it. No list of dtypes stands here.
 * Refuses shapes and types that no row accepts. Read next: ../kernels/shaped.h, kernel_run.c. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

/* ---- dtypes ---- */

rb_dtype rb_storage_by_name(const char *name)
{
    for (int d = 0; d < RB_N_DTYPE; d++)
        if (!strcmp(rb_dtype_get((rb_dtype)d)->name, name))
            return (rb_dtype)d;
    return RB_NO_DTYPE;
}

static bool is_packed(rb_dtype d)
{
    return rb_dtype_get(d)->panel_rows > 1;
}

static bool has_row(rb_op_id op, rb_dtype d)
{
    for (int i = 0; i < rb_registry_size(); i++) {
        const rb_kernel *row = rb_registry_row(i);
        if (row->op->id == op && row->isa < RB_ISA_COUNT1 && row->dtype == d)
            return true;
    }
    return false;
}

/* Whether an op has problems of a type. Experts name none in the registry: their matrices are of
 * any that matmul reads as files have it. */
static bool takes(rb_op_id id, rb_dtype d)
{
    const rb_op *op = rb_op_get(id);
    if (op->key_arg >= 0)
        return has_row(id, d);
    if (id == RB_OP_EXPERTS)
        return d != RB_NO_DTYPE && !is_packed(d) && has_row(RB_OP_MATMUL, d);
    for (int i = 0; i < RB_MAX_ARG && op->arg[i].name; i++)
        if (op->arg[i].flags & RB_CACHED)
            return d != RB_NO_DTYPE && rb_is_cache_dtype(d);
    return d == RB_NO_DTYPE;
}

/* ---- what is asked for ---- */

/* The place among the types asked for that dtype d is of; -1: of none. */
static int asked(const rb_kernel_query *q, rb_dtype d, bool exactly)
{
    for (int i = 0; i < q->n_type; i++)
        if (q->type[i] == d || (!exactly && q->type[i] == rb_dtype_get(d)->base))
            return i;
    return -1;
}

/* Packed layouts come by way of what they pack, unless named. */
static bool is_wanted(const rb_kernel_query *q, rb_dtype d)
{
    if (!takes(q->op, d) || (q->n_type && asked(q, d, false) < 0))
        return false;
    return q->all || d == RB_NO_DTYPE || !is_packed(d) || asked(q, d, true) >= 0;
}

/* ---- rows of one problem ---- */

typedef struct planning {
    rb_kernel_plan *plan;
    const rb_kernel_query *q;
    rb_team *door;                /* dry: asked what it would take */
    bool wanted[RB_NO_DTYPE + 1]; /* of all types */
    bool *has_type;               /* of the types asked for */
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
    if (k->op->id != q->op || k->isa >= RB_ISA_COUNT1 || (k->act != RB_ACT_F32 && q->act_f32))
        return false;
    if (k->isa == RB_ISA_BLAS ? q->capped : k->isa > q->isa)
        return false;
    return rb_kernel_supported(k) && rb_kernel_fits(k, call);
}

static rb_status add_rows(planning *p, rb_dtype type, const rb_sizes *shape, const rb_call *call)
{
    const rb_kernel *door = rb_select(p->door, p->q->op, call);
    rb_kernel_job job = { .type = type, .shape = *shape, .n_threads = p->q->n_threads };
    const int place = p->q->n_type ? asked(p->q, type, false) : -1;
    rb_status st = RB_OK;
    for (int i = 0; i < rb_registry_size() && st == RB_OK; i++) {
        job.kernel = rb_registry_row(i);
        job.chosen = job.kernel == door;
        if (!job.chosen && !(p->q->all && may_run(p->q, job.kernel, call)))
            continue;
        st = add_job(p, &job);
        if (place >= 0)
            p->has_type[place] = true;
    }
    return st;
}

/* As sessions have weights: packed, where the layout exists and the door has a row for it. */
static rb_dtype as_sessions(const planning *p, const rb_sizes *shape, const rb_call *call,
                            rb_dtype type)
{
    rb_shaped packed;
    if (p->q->op != RB_OP_MATMUL || p->q->all || is_packed(type))
        return type;
    const rb_view *w = &call->t[rb_op_get(p->q->op)->key_arg];
    const rb_view v = rb_view_packed(w, w->buffer);
    if (v.buffer && rb_shaped_make(&packed, p->q->op, v.dtype, shape, NULL) == RB_OK &&
        rb_select(p->door, p->q->op, &packed.call))
        return v.dtype;
    return type;
}

static rb_status plan_one(planning *p, rb_dtype type, const rb_sizes *shape, rb_error *why)
{
    rb_shaped problem;
    rb_status st = rb_shaped_make(&problem, p->q->op, type, shape, why);
    if (st != RB_OK)
        return st == RB_ERR_ARGUMENT ? RB_OK : st; /* another type may do */
    type = as_sessions(p, shape, &problem.call, type);
    st = rb_shaped_make(&problem, p->q->op, type, shape, why);
    return st == RB_OK ? add_rows(p, type, shape, &problem.call) : st;
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

static rb_status plan_shape(planning *p, const rb_sizes *shape)
{
    const int before = p->plan->n;
    rb_error why = { 0 };
    rb_status st = RB_OK;
    memset(p->has_type, 0, (size_t)p->q->n_type * sizeof *p->has_type);
    for (int d = 0; d <= RB_NO_DTYPE && st == RB_OK; d++)
        if (p->wanted[d])
            st = plan_one(p, (rb_dtype)d, shape, &why);
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
    rb_status st;
    p.has_type = calloc((size_t)q->n_type + 1, sizeof *p.has_type);
    if (!p.has_type) {
        st = rb_fail(err, RB_ERR_MEMORY, "no memory for a plan of kernels");
        goto end;
    }
    for (int d = 0; d <= RB_NO_DTYPE; d++)
        p.wanted[d] = is_wanted(q, (rb_dtype)d);
    st = rb_team_open(&p.door, &params, err);
    for (int s = 0; s < q->n_shape && st == RB_OK; s++)
        st = plan_shape(&p, &q->shape[s]);
end:
    rb_team_close(p.door);
    free(p.has_type);
    return st;
}

void rb_kernel_plan_free(rb_kernel_plan *plan)
{
    free(plan->job);
    *plan = (rb_kernel_plan){ 0 };
}
