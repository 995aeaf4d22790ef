/* Fuzzes the report of the paper: records become evidence, claims, tables and figures, written to
 * memory as a page in both formats. build/fuzz/evidence is the corpus.
 * Read next: fuzz_records.h, ../bench/paper/evidence.c. */
#define _GNU_SOURCE
#include "fuzz_json.h"
#include "fuzz_records.h"

#include "../bench/draw_list.h"
#include "../bench/paper/figures.h"
#include "../bench/paper/page.h"
#include "../bench/paper/report.h"
#include "../bench/paper/tables.h"

enum { MAX_INPUT = 8192 };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_record_seeds(fuzz_corpus(argc, argv, "evidence", MAX_INPUT));
    return 0;
}

/* One of them, as the length of the input has it: they take most of the time. */
static void put_figure(FILE *out, const rb_evidence *e, size_t size)
{
    static rb_figure_fn *const figures[RB_N_FIGURE] = { rb_figure_roofline, rb_figure_devices,
                                                        rb_figure_phi,      rb_figure_layers,
                                                        rb_figure_context,  rb_figure_types,
                                                        rb_figure_attention };
    char caption[900] = "";
    rb_draw *d = rb_draw_new(1000, 800);
    if (figures[size % RB_N_FIGURE](d, e, caption, sizeof caption) && !rb_draw_svg(d, out))
        abort();
    rb_draw_free(d);
}

static void put_tables(rb_page *p, const rb_evidence *e, const rb_rates *rates)
{
    rb_sheet g[4] = { 0 };
    rb_table_of_devices(&g[0], e);
    rb_table_of_roofs(&g[1], e);
    rb_table_of_records(&g[2], e);
    rb_table_of_rates(&g[3], e, rates);
    for (int i = 0; i < 4; i++) {
        rb_page_table(p, "table", &g[i], i == 2);
        rb_sheet_free(&g[i]);
    }
}

/* Without rates: models that they name take most of the time, and fuzz_rates.c opens them. */
static void put_claims(rb_page *p, const rb_evidence *e)
{
    rb_paper_claim claim[RB_N_CLAIM];
    rb_claims_judge(claim, e, NULL);
    for (int i = 0; i < RB_N_CLAIM; i++) {
        rb_page_verdict(p, (int)claim[i].verdict, "verdict", claim[i].why);
        for (int n = 0; n < claim[i].n_note; n++)
            rb_page_item(p, claim[i].note[n]);
        for (int s = 0; s < RB_CLAIM_SHEETS; s++)
            rb_page_table(p, claim[i].title[s] ? claim[i].title[s] : "", &claim[i].sheet[s], false);
    }
    rb_claims_free(claim);
}

static void report(const rb_evidence *e, size_t size)
{
    static rb_rates rates;
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    if (!out || (!rates.n && rb_rates_read(&rates, NULL, NULL) != RB_OK))
        abort();
    for (int html = 0; html < 2; html++) {
        rb_page p = { .out = out, .html = html, .dir = "." };
        rb_page_begin(&p, "title");
        put_claims(&p, e);
        put_tables(&p, e, html ? &rates : NULL);
        rb_page_end(&p);
    }
    put_figure(out, e, size);
    fclose(out);
    free(text);
}

/* Takes the records behind the middle out. */
static json_t *second_half(json_t *records)
{
    json_t *half = json_array();
    for (size_t from = (json_array_size(records) + 1) / 2; from < json_array_size(records);) {
        json_array_append(half, json_array_get(records, from));
        json_array_remove(records, from);
    }
    return half;
}

/* One machine's, or those of two, as the length of the input has it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *records = fuzz_records(data, size, true);
    json_t *other = records && size / RB_N_FIGURE % 2 ? second_half(records) : NULL;
    rb_evidence e;
    rb_error err = { 0 };
    rb_status status = records ? rb_evidence_read(&e, records, &err) : RB_ERR_FORMAT;
    if (status == RB_OK) {
        status = rb_evidence_lay_over(&e, &(rb_plot_set){ other, "other" }, other != NULL, &err);
        if (status == RB_OK)
            report(&e, size);
        rb_evidence_free(&e);
    }
    if (records && status != RB_OK && !err.text[0])
        abort(); /* a refusal says why */
    json_decref(records);
    json_decref(other);
    return 0;
}
