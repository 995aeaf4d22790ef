/* What checks found, as lines for people or as one JSON object.
 * Refuses to judge.
 * Read next: verify.h. */
#include "record.h"
#include "table.h"

#include <errno.h>
#include <string.h>

static const char *const verdict_name[] = {
    [RB_PASSED] = "ok", [RB_FAILED] = "FAILED", [RB_SKIPPED] = "skipped"
};

void rb_finding_write(FILE *out, rb_check check, const rb_finding *f)
{
    fprintf(out, "%s: %s: %s\n", rb_check_name[check], verdict_name[f->verdict], f->text);
    fflush(out);
}

static void fill(const rb_red *r, rb_cells cells)
{
    const rb_finding *f = &r->found;
    const bool caught = r->verdict == RB_FAILED;
    memset(cells, 0, sizeof(rb_cells));
    snprintf(cells[0], RB_CELL, "%s", rb_fault_name[r->fault]);
    snprintf(cells[1], RB_CELL, "%s",
             caught                     ? rb_check_name[r->by]
             : r->verdict == RB_SKIPPED ? "not injected"
                                        : "NOTHING");
    snprintf(cells[2], RB_CELL, "%s", caught ? f->expected : "-");
    snprintf(cells[3], RB_CELL, "%s", caught ? f->claimed : "-");
    snprintf(cells[4], RB_CELL, "%s", r->on);
    snprintf(cells[5], RB_CELL, "%.95s", caught ? f->where : f->text);
}

void rb_red_write(FILE *out, const rb_red *red)
{
    static const char *const head[] = { "fault",   "caught by", "expected",
                                        "claimed", "model",     "where" };
    enum { N_COLUMN = sizeof head / sizeof *head };
    rb_table t = { 0 };
    rb_cells cells;
    int n[RB_SKIPPED + 1] = { 0 };
    for (int c = 0; c < N_COLUMN; c++)
        rb_table_column(&t, head[c], c == 2 || c == 3, 0);
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1)
            rb_table_head(out, &t);
        for (int i = RB_FAULT_NONE + 1; i < RB_N_FAULT; i++) {
            fill(&red[i], cells);
            pass ? rb_table_row(out, &t, cells) : rb_table_fit(&t, cells);
            n[red[i].verdict] += pass;
        }
    }
    fprintf(out, "\nfaults: %d caught, %d survived, %d not injected\n", n[RB_FAILED], n[RB_PASSED],
            n[RB_SKIPPED]);
    fflush(out);
}

/* ---- JSON ---- */

static json_t *finding(const char *key, const char *name, const rb_finding *f)
{
    json_t *o =
        json_pack("{s:s,s:s,s:s}", key, name, "verdict", verdict_name[f->verdict], "text", f->text);
    if (f->verdict == RB_FAILED && f->expected[0]) {
        json_object_set_new(o, "expected", json_string(f->expected));
        json_object_set_new(o, "claimed", json_string(f->claimed));
    }
    return o;
}

static json_t *faults(const rb_red *red)
{
    json_t *list = json_array();
    for (int i = RB_FAULT_NONE + 1; i < RB_N_FAULT; i++) {
        const rb_red *r = &red[i];
        const bool caught = r->verdict == RB_FAILED;
        json_t *o = json_pack("{s:s,s:b}", "fault", rb_fault_name[i], "caught", caught);
        if (caught) {
            json_t *by = finding("check", rb_check_name[r->by], &r->found);
            json_object_del(by, "verdict");
            json_object_update(o, by);
            json_decref(by);
            json_object_set_new(o, "model", json_string(r->on));
        } else if (r->verdict == RB_SKIPPED) {
            json_object_set_new(o, "skipped", json_string(r->found.text));
        }
        json_array_append_new(list, o);
    }
    return list;
}

static const char *selfcheck(const rb_finding *found)
{
    for (int c = 0; c < RB_N_CHECK; c++)
        if (found[c].verdict == RB_FAILED)
            return rb_check_name[c];
    return "ok";
}

rb_status rb_verified_json(FILE *out, const rb_verified *v, rb_error *err)
{
    const rb_config *c = &v->shape->config;
    json_t *checks = json_array();
    for (int i = 0; i < RB_N_CHECK; i++)
        json_array_append_new(checks, finding("check", rb_check_name[i], &v->found[i]));
    json_t *o = json_pack("{s:i,s:s,s:s,s:s,s:s,s:i,s:s,s:o}", "schema_version", RB_SCHEMA_VERSION,
                          "build_commit", v->commit, "model_filename", v->filename, "arch",
                          rb_arch_name[c->arch], "isa", rb_isa_name[v->params->isa], "n_threads",
                          v->params->n_threads, "selfcheck", selfcheck(v->found), "checks", checks);
    if (!o)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a record");
    if (v->red)
        json_object_set_new(o, "faults", faults(v->red));
    json_dumpf(o, out, JSON_COMPACT);
    fputs("\n", out);
    json_decref(o);
    return fflush(out) || ferror(out)
               ? rb_fail(err, RB_ERR_IO, "cannot write what was found: %s", strerror(errno))
               : RB_OK;
}
