/* The verdict on a claim, of records that are made up and released then.
 * Aborts on what is no verdict.
 * Read next: paper_records.h, ../bench/paper/claims.h. */
#ifndef RB_TEST_PAPER_JUDGE_H
#define RB_TEST_PAPER_JUDGE_H

#include "../bench/paper/claims.h"
#include "paper_records.h"

/* laid: records of another machine, or NULL. why: what decided, and notes. */
rb_paper_verdict judge_over(json_t *list, json_t *laid, int claim, char *why, size_t size);
/* Wants the verdict, and says within what decided and notes. */
void expect(json_t *list, int claim, rb_paper_verdict want, const char *says);
void expect_over(json_t *list, json_t *laid, int claim, rb_paper_verdict want, const char *says);

#endif
