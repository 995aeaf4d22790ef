/* Workloads of the paper from a few tests: the rate of the prompt, and decode steps summed over the
 * contexts that follow it. Refuses steps that no test is near, as rb_integrate_time does.
 * Read next: evidence.h, integrate.h. */
#include "evidence.h"

#include "integrate.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_CONTEXTS = 64 };

/* Decode tests of the subject by rising context, the last of those at one. */
static int decode_rows(const rb_evidence *e, const rb_paper_row *subject,
                       const rb_paper_row *at[MOST_CONTEXTS])
{
    int n = 0;
    for (const rb_paper_row *r = e->row; r < e->row + e->n; r++) {
        if (r->part != subject->part || !rb_same_subject(r, subject) || !r->decode ||
            r->n_layer != subject->n_layer)
            continue;
        int to = n;
        while (to > 0 && rb_row_context(at[to - 1]) >= rb_row_context(r))
            to--;
        const bool again = to < n && rb_row_context(at[to]) == rb_row_context(r);
        if (!again && n == MOST_CONTEXTS)
            continue;
        for (int i = n; i > to && !again; i--)
            at[i] = at[i - 1];
        at[to] = r;
        n += !again;
    }
    return n;
}

typedef double count_fn(const rb_paper_row *r);
static double flops_of(const rb_paper_row *r)
{
    return (double)r->flops;
}
static double bytes_of(const rb_paper_row *r)
{
    return (double)r->bytes;
}

/* Counts are affine in context, so lines from test to test are exact where attention has one order.
 */
static double sum_counts(const rb_paper_row *const *at, int n, const rb_workload_info *w,
                         count_fn *count)
{
    rb_step_time s[MOST_CONTEXTS];
    rb_steps_time sum;
    rb_error err;
    for (int i = 0; i < n; i++) {
        const double x = count(at[i]) / (double)at[i]->n_gen;
        s[i] = (rb_step_time){ rb_row_context(at[i]), x, x, x };
    }
    return rb_integrate_time(s, n, w->n_prompt, w->n_gen, &sum, &err) == RB_OK ? sum.ns : NAN;
}

/* Of n tests those that lie within the steps, if they suffice: what ran for other workloads says
 * less of these. */
static int within(const rb_paper_row **at, int n, const rb_workload_info *w)
{
    const double first = (double)w->n_prompt, end = first + (double)w->n_gen;
    int from = 0, to = n;
    while (from < to && (double)at[from]->n_depth < first)
        from++;
    while (to > from && (double)(at[to - 1]->n_depth + at[to - 1]->n_gen) > end)
        to--;
    if (!isfinite(sum_counts(at + from, to - from, w, flops_of)))
        return n;
    for (int i = from; i < to; i++)
        at[i - from] = at[i];
    return to - from;
}

static void add_decode(rb_workload_sum *sum, const rb_paper_row *const *at, int n,
                       const rb_workload_info *w)
{
    rb_step_time s[MOST_CONTEXTS];
    rb_steps_time t;
    rb_error err;
    bool all = true;
    if (!n)
        return;
    for (int i = 0; i < n; i++) {
        const double steps = (double)at[i]->n_gen, ns = at[i]->ns.at / steps;
        const bool sure = isfinite(at[i]->ns.lo);
        all = all && sure;
        s[i] = (rb_step_time){ rb_row_context(at[i]), ns, sure ? at[i]->ns.lo / steps : ns,
                               sure ? at[i]->ns.hi / steps : ns };
    }
    if (rb_integrate_time(s, n, w->n_prompt, w->n_gen, &t, &err) != RB_OK)
        return;
    const double tokens = (double)w->n_gen * 1e9;
    sum->has_decode = true;
    sum->decode_id = at[0]->id;
    sum->decode = (rb_span){ tokens / t.ns, all ? tokens / t.hi : NAN, all ? tokens / t.lo : NAN };
    sum->decode_ns = t.ns;
    sum->bend = t.bend;
    sum->decode_flops = sum_counts(at, n, w, flops_of);
    sum->decode_bytes = sum_counts(at, n, w, bytes_of);
}

/* The workload in one test, over the sum of its parts. */
static void add_whole(rb_workload_sum *sum, const rb_evidence *e, const rb_paper_row *subject,
                      const rb_workload_info *w)
{
    const double parts = sum->prefill_ns + sum->decode_ns;
    for (const rb_paper_row *r = e->row + e->n; r < e->row + e->n_all; r++)
        if (r->part == subject->part && rb_same_subject(r, subject) && !r->n_depth &&
            r->n_layer == subject->n_layer && r->n_prompt == w->n_prompt && r->n_gen == w->n_gen &&
            sum->has_prefill && sum->has_decode) {
            sum->whole = (rb_span){ r->ns.at / parts, r->ns.lo / parts, r->ns.hi / parts };
            sum->whole_id = r->id;
        }
}

rb_workload_sum rb_workload_of(const rb_evidence *e, const rb_paper_row *subject, rb_workload w)
{
    const rb_workload_info *info = &rb_workload_infos[w];
    const rb_paper_row *at[MOST_CONTEXTS];
    rb_workload_sum sum = { .bend = NAN, .whole = { NAN, NAN, NAN } };
    const int n = decode_rows(e, subject, at);
    add_decode(&sum, at, within(at, n, info), info);
    for (const rb_paper_row *r = e->row; r < e->row + e->n; r++) {
        if (r->part != subject->part || !rb_same_subject(r, subject) || r->decode || r->n_depth ||
            r->n_prompt != info->n_prompt || r->n_layer != subject->n_layer || !isfinite(r->ns.at))
            continue;
        sum.has_prefill = true;
        sum.prefill_id = r->id;
        sum.prefill = r->tps;
        sum.prefill_ns = r->ns.at;
        sum.prefill_flops = (double)r->flops;
        sum.prefill_bytes = (double)r->bytes;
    }
    add_whole(&sum, e, subject, info);
    return sum;
}
