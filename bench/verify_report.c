/* What checks found, as lines for people or as one JSON object.
 * Refuses to judge.
 * Read next: verify.h. */
#include "record.h"

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

void rb_red_write(FILE *out, const rb_red *red)
{
    fputs("| fault | caught by | expected | claimed | where |\n| :--- | :--- | ---: | ---: | :--- "
          "|\n",
          out);
    for (int i = RB_FAULT_NONE + 1; i < RB_N_FAULT; i++) {
        const rb_red *r = &red[i];
        const rb_finding *f = &r->found;
        const bool caught = r->verdict == RB_FAILED;
        fprintf(out, "| %s | %s | %s | %s | %s%s%s |\n", rb_fault_name[i],
                caught                     ? rb_check_name[r->by]
                : r->verdict == RB_SKIPPED ? "not injected"
                                           : "NOTHING",
                caught ? f->expected : "-", caught ? f->claimed : "-", caught ? r->on : "",
                caught ? ": " : "", caught || r->verdict == RB_SKIPPED ? f->text : "it survived");
    }
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
