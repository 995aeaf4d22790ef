/* Claim 2 judged by sweeps over layers that are made up, and the proxy's peak by rates alone: what
 * peaks where, by counts, by the bounds of times and by printed rates.
 * Read next: paper_judge.h, ../bench/paper/claim_layers.c, ../bench/paper/rated.c. */
#include "files.h"
#include "paper_judge.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static rb_rates rates;

/* ---- sweeps ---- */

Test(paper_layers, a_peak_of_the_proxy_alone_is_an_artefact)
{
    json_t *list = json_array();
    made_sweep(list, "f16", 0, 5);
    expect(list, RB_CLAIM_LAYERS, RB_ARTEFACT, "largest of the proxy's OI in 1 of 1");
    list = json_array();
    made_sweep(list, "f16", 0, 5);
    made_sweep(list, "q8_0", 0, 4);
    expect(list, RB_CLAIM_LAYERS, RB_ARTEFACT, "in 2 of 2 sweeps, at 4 to 5 layers");
}

Test(paper_layers, a_peak_of_exact_counts_holds)
{
    json_t *list = json_array();
    made_sweep(list, "f16", 4, 5);
    expect(list, RB_CLAIM_LAYERS, RB_HOLDS, "in 1 of 1 sweeps");
    list = json_array();
    made_sweep(list, "f16", 4, 5);
    made_sweep(list, "q8_0", 0, 5);
    expect(list, RB_CLAIM_LAYERS, RB_IN_PART, "in 1 of 2 sweeps");
    list = json_array();
    made_sweep(list, "f16", 12, 5); /* a turn, but not where the paper has it */
    expect(list, RB_CLAIM_LAYERS, RB_FAILS, "between the ends in 1 (0 of them");
    list = json_array();
    made_sweep(list, "f16", 1, 5); /* the first depth is an end, not a peak */
    expect(list, RB_CLAIM_LAYERS, RB_ARTEFACT, "between the ends in 0 (0 of them");
}

/* The proxy's peak is this machine's: the claim's is 3 to 5, one depth beside allowed. */
Test(paper_layers, where_the_proxy_peaks_is_said)
{
    static const struct {
        double l_star;
        const char *says[2];
    } of[] = {
        { 2, { "at 2 to 2 layers on this machine, of these 1 at 3 to 5", "here 2 to 2 layers" } },
        { 6, { "at 6 to 6 layers on this machine, of these 1 at 3 to 5", "here 6 to 6 layers" } },
        { 8, { "at 8 to 8 layers on this machine, of these 0 at 3 to 5", "here 8 to 8 layers" } },
        { 12, { "at 12 to 12 layers on this machine, of these 0", "(95 %: 12 to 12)" } },
    };
    for (size_t i = 0; i < 2 * sizeof of / sizeof *of; i++) {
        json_t *list = json_array();
        made_sweep(list, "f16", 0, of[i / 2].l_star);
        expect(list, RB_CLAIM_LAYERS, RB_ARTEFACT, of[i / 2].says[i % 2]);
    }
    json_t *list = json_array();
    made_sweep(list, "f16", 12, 5);
    made_sweep(list, "q8_0", 0, 5); /* of this one the proxy alone has a peak */
    expect(list, RB_CLAIM_LAYERS, RB_ARTEFACT, "in 1 of 2 sweeps it has such a peak and exact OI");
    list = json_array();
    made_sweep(list, "f16", 12, 5);
    made_sweep(list, "q8_0", 0, 100);
    expect(list, RB_CLAIM_LAYERS, RB_FAILS, "both ends, in 1 of 2 sweeps");
}

Test(paper_layers, no_peak_at_all_does_not_hold)
{
    json_t *list = json_array();
    made_sweep(list, "f16", 0, 0);
    expect(list, RB_CLAIM_LAYERS, RB_FAILS, "No record says what the paper's code");
    list = json_array();
    made_sweep(list, "f16", 0, 100); /* its peak is beyond the deepest */
    expect(list, RB_CLAIM_LAYERS, RB_FAILS, "both ends, in 0 of 1 sweeps.");
}

/* At 16 layers, where the lines (most at 5) do not put it, the proxy gets the most: by so much,
 * with times known to so much. */
static json_t *made_off(double most, double sure)
{
    json_t *list = json_array(), *o;
    size_t i;
    made_sweep(list, "f16", 0, 5);
    json_array_foreach(list, i, o)
    {
        json_t *proxy = json_object_get(o, "proxy");
        const double s = json_number_value(json_object_get(proxy, "seconds"));
        if (i == 8)
            json_object_set_new(proxy, "oi", json_real(most));
        json_object_set_new(proxy, "seconds_bounds",
                            sure > 0 ? json_pack("[f,f]", s * (1 - sure), s * (1 + sure))
                                     : json_null());
    }
    return list;
}

/* At 5 layers OI is 0.025 with times at their medians. */
Test(paper_layers, a_law_that_is_off_is_judged_by_bounds)
{
    static const struct {
        double most, sure;
        const char *says;
    } of[] = {
        { 0.0275, 0.005, "in 0 of 1. In 0 it is further off, but" },
        { 0.0275, 0.005, "In 1 they are apart, in 0 there are no bounds" },
        { 0.0275, 0.1, "In 1 it is further off, but" },
        { 0.0275, 0.1, "In 0 they are apart, in 0 there are no bounds" },
        { 0.0275, 0, "In 0 they are apart, in 1 there are no bounds" },
        { 0.0275, 0.04, "In 1 they are apart" }, /* 0.0264 is above 0.0260 */
        { 0.0275, 0.05, "In 1 it is further off, but" },
        { 1e3, 0.1, "In 1 they are apart" },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        expect(made_off(of[i].most, of[i].sure), RB_CLAIM_LAYERS, RB_ARTEFACT, of[i].says);
}

/* A curve that times cannot tell from its ends has no peak to speak of. */
Test(paper_layers, a_peak_that_is_not_told_from_the_ends_is_none)
{
    /* OI at 5 layers is 0.025, at one 0.0139, at 32 0.0117 */
    expect(made_off(0.02, 0.25), RB_CLAIM_LAYERS, RB_ARTEFACT, "both ends, in 1 of 1 sweeps");
    expect(made_off(0.02, 0.35), RB_CLAIM_LAYERS, RB_FAILS, "both ends, in 0 of 1 sweeps");
}

/* ---- rates alone ---- */

static void rated_claim(rb_paper_claim *claim, const rb_rates *r)
{
    *claim = (rb_paper_claim){ .says = "" };
    rb_claim_layers_rated(claim, &claim->sheet[1], r);
}

static void check_rated(const rb_sheet *g, int row, const char *l_star, const char *best)
{
    cr_expect_str_eq(g->cell[row * g->n_column + 5].text, l_star);
    cr_expect_str_eq(g->cell[row * g->n_column + 6].text, best);
}

/* Whether each L* lies where the paper's text has peaks, by the printed L*; how many do. */
static int check_stated(const rb_sheet *g)
{
    int n = 0;
    for (int row = 0; row < rb_sheet_rows(g); row++) {
        const double l_star = atof(g->cell[row * g->n_column + 5].text);
        const char *want = l_star < 2.7 ? "below" : l_star > 5.5 ? "above" : "yes";
        cr_expect_str_eq(g->cell[row * g->n_column + 7].text, want);
        n += *want == 'y';
    }
    return n;
}

Test(paper_layers, its_own_rates_peak_at_few_layers)
{
    static const char *const best[] = { "6", "4", "6", "6" }; /* as test_paper.c has them */
    static const rb_proxy_sizes qwen = { 28, 93605888, 466747392, 466747392 };
    char l_star[32];
    rb_paper_claim claim;
    rb_error err;
    cr_assert_eq(rb_rates_read(&rates, NULL, &err), RB_OK, "%s", err.text);
    rated_claim(&claim, &rates);
    const rb_sheet *g = &claim.sheet[1];
    cr_assert_eq(rb_sheet_rows(g), rates.n * RB_N_WORKLOAD);
    for (int w = 0; w < RB_N_WORKLOAD; w++) {
        cr_expect_str_eq(g->cell[w * g->n_column].text, "Apple M1 Pro");
        cr_expect_str_eq(g->cell[w * g->n_column + 3].text, rb_workload_infos[w].name);
        const rb_proxy_law law = rb_proxy_law_of_rates(&qwen, (rb_workload)w, rates.at[0].rate[w],
                                                       rates.n_reps, rates.resident_bytes);
        check_rated(g, w, rb_figure_text(law.peak, l_star, sizeof l_star), best[w]);
    }
    cr_expect_str_eq(g->head[4], "the paper's tok/s, prefill / decode");
    cr_expect(strstr(claim.note[0], "The paper's own rates alone"), "%s", claim.note[0]);
    cr_expect(strstr(claim.note[0], "in 28 of 28 cases"), "%s", claim.note[0]);
    char says[96];
    snprintf(says, sizeof says, "states 3 to 5 layers: in %d of 28 L* lies there within 10 %% (2.7",
             check_stated(g));
    cr_expect(strstr(claim.note[0], says), "%s: %s", says, claim.note[0]);
    rb_sheet_free(&claim.sheet[1]);
}

/* Of decode alone, with nothing resident, L* is the weight bytes around the layers over those of
 * one: 466747392 / 93605888 in f16. What is resident moves it. */
Test(paper_layers, rates_of_a_user_are_told_as_such)
{
    static const char *const resident[] = { "0", "466747392", "99000000", "103500000" };
    static const char *const l_star[] = { "4.986", "7.052", "5.490", "5.511" }; /* by sqrt(2) .. */
    static const char *const best[] = { "6", "8", "6", "6" };
    const dir folder = dir_make();
    char *path = dir_file(&folder, "x.json"), json[400];
    rb_error err;
    for (int i = 0; i < 4; i++) {
        rb_paper_claim claim;
        blob b = { 0 };
        snprintf(json, sizeof json,
                 "{\"source\":\"mine\",\"repetitions\":5,\"resident_bytes\":%s,\"rates\":[{"
                 "\"device\":\"d\",\"model\":\"qwen2.5-1.5b\",\"type\":\"f16\",\"siso\":[1e9,43],"
                 "\"liso\":[1e9,43],\"silo\":[1e9,43],\"lilo\":[1e9,43]}]}",
                 resident[i]);
        blob_put(&b, json, strlen(json));
        blob_write(&b, path);
        blob_free(&b);
        cr_assert_eq(rb_rates_read(&rates, path, &err), RB_OK, "%s", err.text);
        rated_claim(&claim, &rates);
        cr_assert_eq(rb_sheet_rows(&claim.sheet[1]), 4);
        check_rated(&claim.sheet[1], RB_SILO, l_star[i], best[i]);
        cr_expect_eq(check_stated(&claim.sheet[1]), i % 2 ? 0 : 4);
        cr_expect_str_eq(claim.sheet[1].head[4], "tok/s as given, prefill / decode");
        cr_expect(strstr(claim.note[0], "The given rates alone"), "%s", claim.note[0]);
        rb_sheet_free(&claim.sheet[1]);
    }
    free(path);
    dir_remove(&folder);
}
