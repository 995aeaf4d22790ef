/* Records of the same command on other machines, beside those of this one: which of their tests are
 * the same, and whether exact counts of the same test are equal, as they have to be on any machine.
 * Refuses records of no part of the paper. Read next: evidence.h, claim_ridges.c. */
#include "evidence.h"
#include "report.h"

#include "../record.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* What a row ran, on whatever machine, as text; to be freed. NULL: no memory. */
static char *work_of(const rb_paper_row *r)
{
    static const char *const of_machine[] = { "isa", "n_threads", "blas" };
    json_t *o = json_copy((json_t *)r->json);
    bool whole;
    for (size_t i = 0; i < sizeof of_machine / sizeof *of_machine; i++)
        json_object_set_new(o, of_machine[i], json_integer(0));
    char *id = rb_record_identity(o, &whole);
    json_t *work = json_pack("[s?,s,s,s]", id, rb_row_part_name[r->part], r->model, r->type);
    char *text = id ? json_dumps(work, JSON_COMPACT) : NULL;
    json_decref(work);
    json_decref(o);
    free(id);
    return text;
}

/* Rows by what they ran; to be released. */
static json_t *index_of(const rb_evidence *e)
{
    json_t *index = json_object();
    for (int i = 0; i < e->n_all; i++) {
        char *work = work_of(&e->row[i]);
        if (work)
            json_object_set_new(index, work, json_integer(i));
        free(work);
    }
    return index;
}

/* The experts that tokens choose depend on rounding, and so do bytes of their weights. */
static bool same_counts(const json_t *a, const json_t *b)
{
    static const char *const count[] = { "flops", "int_macs", "bf16_macs", "bytes" };
    const size_t n = json_object_get(a, "experts") ? 3 : 4;
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_object_get(a, count[i]), *y = json_object_get(b, count[i]);
        if ((x || y) && !json_equal(x, y))
            return false;
    }
    return true;
}

static rb_status find_twins(const rb_evidence *e, rb_evidence *other, rb_error *err)
{
    other->twin = calloc((size_t)e->n_all + 1, sizeof *other->twin);
    if (!other->twin)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory for the report");
    json_t *index = index_of(other);
    for (int i = 0; i < e->n_all; i++) {
        char *work = work_of(&e->row[i]);
        const json_t *at = work ? json_object_get(index, work) : NULL;
        free(work);
        other->twin[i] = at ? &other->row[json_integer_value(at)] : NULL;
        if (!at)
            continue;
        other->n_twin++;
        if (same_counts(e->row[i].json, other->twin[i]->json))
            continue;
        if (!other->n_differ++)
            other->differs = e->row[i].id;
    }
    json_decref(index);
    return RB_OK;
}

/* Its CPU; with threads and ISA, then a number, where that is another's too. */
static void name_machine(const rb_evidence *e, int i)
{
    rb_evidence *o = &e->overlay[i];
    const char *cpu = rb_field_text(o->machine, "cpu_info");
    bool again = !strcmp(cpu, rb_field_text(e->machine, "cpu_info"));
    for (int k = 0; k < e->n_overlay; k++)
        again |= k != i && !strcmp(cpu, rb_field_text(e->overlay[k].machine, "cpu_info"));
    snprintf(o->name, sizeof o->name, again ? "%.24s #%d" : "%.40s", cpu[0] ? cpu : "unknown CPU",
             i + 2);
}

rb_status rb_evidence_lay_over(rb_evidence *e, const rb_plot_set *set, int n, rb_error *err)
{
    if (!n)
        return RB_OK;
    rb_status st = RB_OK;
    e->overlay = calloc((size_t)n, sizeof *e->overlay);
    if (!e->overlay)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory for the report");
    for (int i = 0; i < n && st == RB_OK; i++) {
        st = rb_paper_can_lay_over(&set[i], err);
        if (st == RB_OK)
            st = rb_evidence_read(&e->overlay[i], set[i].records, err);
        e->n_overlay += st == RB_OK;
        if (st == RB_OK)
            st = find_twins(e, &e->overlay[i], err);
    }
    for (int i = 0; i < e->n_overlay; i++)
        name_machine(e, i);
    return st;
}

rb_status rb_paper_can_lay_over(const rb_plot_set *set, rb_error *err)
{
    rb_evidence e;
    const rb_status st = rb_evidence_read(&e, set->records, NULL);
    if (st != RB_OK)
        return rb_fail(err, st, "%.300s: no record is of a part of the paper", set->name);
    rb_evidence_free(&e);
    return RB_OK;
}

const rb_paper_row *rb_row_on(const rb_evidence *other, const rb_evidence *e, const rb_paper_row *r)
{
    return other->twin[r - e->row];
}

int rb_evidence_n_differ(const rb_evidence *e)
{
    int n = 0;
    for (int i = 0; i < e->n_overlay; i++)
        n += e->overlay[i].n_differ;
    return n;
}
