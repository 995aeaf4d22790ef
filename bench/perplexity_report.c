/* What perplexity found, as a table and as records. Nothing is computed here but means.
 * Refuses to call a variant exact: it shows how far logits are apart.
 * Read next: perplexity.c. */
#include "record.h"
#include "table.h"

#include <errno.h>
#include <string.h>

enum { MODEL, VARIANT, TOKENS, RATE, PPL, SE, KL, KL_SE, KL_MAX, SAME, LOGITS, N_COLUMN };
static const char *const heads[N_COLUMN] = { "model",      "variant",  "tokens",   "tok/s",
                                             "PPL",        "+-",       "KL, nats", "+-",
                                             "largest KL", "same top", "logits" };

static void fill(const rb_judged_row *r, bool reference, rb_cells cells)
{
    const rb_judged *j = r->judged;
    const char *slash = strrchr(r->model, '/');
    memset(cells, 0, sizeof(rb_cells));
    snprintf(cells[MODEL], RB_CELL, "%.80s", slash && slash[1] ? slash + 1 : r->model);
    snprintf(cells[VARIANT], RB_CELL, "%.60s", r->variant);
    snprintf(cells[TOKENS], RB_CELL, "%lld", (long long)j->n);
    snprintf(cells[PPL], RB_CELL, "%.4f", rb_judged_ppl(j));
    snprintf(cells[SE], RB_CELL, "%.4f", rb_judged_ppl_se(j));
    snprintf(cells[RATE], RB_CELL, "%.1f", j->ns ? (double)j->n_run * 1e9 / (double)j->ns : 0);
    if (reference)
        return;
    snprintf(cells[KL], RB_CELL, "%.6f", rb_judged_kl(j) < 0 ? 0 : rb_judged_kl(j)); /* rounding */
    snprintf(cells[KL_SE], RB_CELL, "%.6f", rb_judged_kl_se(j));
    snprintf(cells[KL_MAX], RB_CELL, "%.4f", j->kl_max);
    snprintf(cells[SAME], RB_CELL, "%.2f %%", 100 * (double)j->n_same / (double)j->n);
    snprintf(cells[LOGITS], RB_CELL, "%.1e", j->logit_max > 0 ? j->dlogit_max / j->logit_max : 0);
}

static rb_status flushed(FILE *out, rb_error *err)
{
    return fflush(out) || ferror(out)
               ? rb_fail(err, RB_ERR_IO, "cannot write the perplexity: %s", strerror(errno))
               : RB_OK;
}

rb_status rb_perplexity_table(FILE *out, const rb_perplexity_told *told, rb_error *err)
{
    rb_table t = { 0 };
    rb_cells cells;
    for (int i = 0; i < (told->n_row > 1 ? N_COLUMN : KL); i++)
        rb_table_column(&t, heads[i], i >= TOKENS, 0);
    for (int pass = 0; pass < 2; pass++) {
        if (pass)
            rb_table_head(out, &t);
        for (int i = 0; i < told->n_row; i++) {
            fill(&told->row[i], i == 0, cells);
            if (pass)
                rb_table_row(out, &t, cells);
            else
                rb_table_fit(&t, cells);
        }
    }
    return flushed(out, err);
}

static json_t *record_of(const rb_perplexity_told *told, int i)
{
    const rb_judged_row *r = &told->row[i];
    const rb_judged *j = r->judged;
    json_t *o = json_pack(
        "{s:i,s:s,s:o,s:s,s:o,s:s,s:s,s:s,s:s,s:i,s:I,s:I,s:I,s:o,s:o,s:I,s:I}", "schema_version",
        RB_SCHEMA_VERSION, "build_commit", told->commit, "model_filename", rb_json_name(r->model),
        "attn_variant", r->variant, "text_filename", rb_json_name(told->text), "isa", told->isa,
        "type_k", told->type_k, "type_v", told->type_v, "act", told->act, "n_threads",
        told->n_threads, "n_ctx", (json_int_t)told->n_ctx, "n_text", (json_int_t)told->n_ids,
        "n_scored", (json_int_t)j->n, "ppl", rb_json_number(rb_judged_ppl(j)), "ppl_se",
        rb_json_number(rb_judged_ppl_se(j)), "n_run", (json_int_t)j->n_run, "ns",
        (json_int_t)j->ns);
    if (!o || i == 0)
        return o;
    json_object_set_new(o, "reference", rb_json_name(told->row[0].model));
    json_object_set_new(o, "reference_variant", json_string(told->row[0].variant));
    json_object_set_new(o, "kl", rb_json_number(rb_judged_kl(j)));
    json_object_set_new(o, "kl_se", rb_json_number(rb_judged_kl_se(j)));
    json_object_set_new(o, "kl_max", rb_json_number(j->kl_max));
    json_object_set_new(o, "same_top", rb_json_number((double)j->n_same / (double)j->n));
    json_object_set_new(o, "dlogit_max", rb_json_number(j->dlogit_max));
    json_object_set_new(o, "logit_max", rb_json_number(j->logit_max));
    return o;
}

rb_status rb_perplexity_json(FILE *out, const rb_perplexity_told *told, rb_error *err)
{
    for (int i = 0; i < told->n_row; i++) {
        json_t *o = record_of(told, i);
        if (!o)
            return rb_fail(err, RB_ERR_MEMORY, "no memory for a record");
        json_dumpf(o, out, JSON_COMPACT);
        fputs("\n", out);
        json_decref(o);
    }
    return flushed(out, err);
}
