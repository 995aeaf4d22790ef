/* Which records a report rests on, where they are of several runs: those of one machine (CPU,
 * threads and ISA), and of one test the last that was finished. Refuses to mix times of two
 * machines, and to count one test twice. Read next: evidence.h, ../store.c (what makes two records
 * one test). */
#include "evidence.h"

#include "../record.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static bool same_text(const json_t *a, const json_t *b, const char *key)
{
    return !strcmp(rb_field_text(a, key), rb_field_text(b, key));
}

static bool same_machine(const json_t *a, const json_t *b)
{
    return same_text(a, b, "cpu_info") && same_text(a, b, "isa") &&
           rb_field_int(a, "n_threads") == rb_field_int(b, "n_threads");
}

/* The test of a row in its part, as text; to be freed. NULL: no memory. */
static char *test_of(const rb_paper_row *r)
{
    bool whole;
    char *id = rb_record_identity(r->json, &whole);
    json_t *test = json_pack("[s?,s,s,s]", id, rb_row_part_name[r->part], r->model, r->type);
    char *text = id ? json_dumps(test, JSON_COMPACT) : NULL;
    json_decref(test);
    free(id);
    return text;
}

/* Of the rows the last that was finished, else the last. */
static const rb_paper_row *last_of(const rb_paper_row *row, int n)
{
    for (int i = n - 1; i >= 0; i--)
        if (rb_record_finished(row[i].json))
            return &row[i];
    return &row[n - 1];
}

/* Takes for each test the place of its best row. */
static json_t *places_of(const rb_evidence *e)
{
    json_t *places = json_object();
    for (int i = 0; i < e->n_all; i++) {
        char *test = test_of(&e->row[i]);
        const json_t *old = test ? json_object_get(places, test) : NULL;
        if (test && (!old || rb_record_finished(e->row[i].json) ||
                     !rb_record_finished(e->row[json_integer_value(old)].json)))
            json_object_set_new(places, test, json_integer(i));
        free(test);
    }
    return places;
}

static bool is_place(const json_t *places, const rb_paper_row *r, int i)
{
    char *test = test_of(r);
    const json_t *at = test ? json_object_get(places, test) : NULL;
    free(test);
    return !at || json_integer_value(at) == i;
}

void rb_evidence_choose(rb_evidence *e)
{
    int n = 0;
    if (!e->n_all)
        return;
    e->machine = last_of(e->row, e->n_all)->json;
    for (int i = 0; i < e->n_all; i++)
        if (same_machine(e->row[i].json, e->machine))
            e->row[n++] = e->row[i];
    e->n_other = e->n_all - n;
    e->n_all = n;
    json_t *places = places_of(e);
    n = 0;
    for (int i = 0; i < e->n_all; i++)
        if (is_place(places, &e->row[i], i))
            e->row[n++] = e->row[i];
    e->n_again = e->n_all - n;
    e->n_all = n;
    json_decref(places);
}

json_t *rb_evidence_own(const rb_evidence *e, const json_t *records)
{
    json_t *own = json_array(), *o;
    size_t i;
    json_array_foreach(records, i, o)
    {
        if (same_machine(o, e->machine))
            json_array_append(own, o);
    }
    return own;
}
