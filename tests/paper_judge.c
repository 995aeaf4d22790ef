/* Records become evidence under the roofs of paper_records.c, and that a verdict.
 * Aborts on what is no verdict.
 * Read next: paper_judge.h. */
#include "paper_judge.h"

#include <criterion/criterion.h>
#include <string.h>

rb_paper_verdict judge_over(json_t *list, json_t *laid, int claim, char *why, size_t size)
{
    rb_evidence e;
    rb_error err;
    rb_rates rates;
    rb_paper_claim all[RB_N_CLAIM];
    const rb_plot_set over = { laid, "laid" };
    cr_assert_eq(rb_rates_read(&rates, NULL, &err), RB_OK, "%s", err.text);
    if (json_array_size(list))
        made_roofs(list);
    cr_assert_eq(rb_evidence_read(&e, list, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_evidence_lay_over(&e, &over, laid != NULL, &err), RB_OK, "%s", err.text);
    rb_claims_judge(all, &e, &rates);
    const rb_paper_verdict v = all[claim].verdict;
    snprintf(why, size, "%s", all[claim].why);
    for (int k = 0; k < all[claim].n_note; k++)
        rb_plot_put(why, size, "\n%s", all[claim].note[k]);
    rb_claims_free(all);
    rb_evidence_free(&e);
    json_decref(list);
    json_decref(laid);
    return v;
}

void expect_over(json_t *list, json_t *laid, int claim, rb_paper_verdict want, const char *says)
{
    char why[4096];
    const rb_paper_verdict got = judge_over(list, laid, claim, why, sizeof why);
    cr_assert_eq(got, want, "%s, not %s: %s", rb_verdict_name[got], rb_verdict_name[want], why);
    cr_assert_not_null(strstr(why, says), "no \"%s\" in: %s", says, why);
}

void expect(json_t *list, int claim, rb_paper_verdict want, const char *says)
{
    expect_over(list, NULL, claim, want, says);
}
