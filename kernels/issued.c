/* Issued bytes of calls that follow an index: by how often each row is named, which is all that a
 * form may know of data. Refuses to read anything else. Read next: issued.h; experts.c, which asks.
 */
#include "issued.h"

#include <stdlib.h>

/* Of rows that are drawn as evenly as can be. */
static rb_issued over_even_rows(int64_t n_rows, int64_t n_draws, const rb_call *call,
                                rb_issued (*of)(const rb_call *call, int64_t n))
{
    rb_issued sum = { 0 };
    const int64_t more = n_draws % n_rows;
    issue_part(&sum, n_rows - more, of(call, n_draws / n_rows));
    if (more)
        issue_part(&sum, more, of(call, n_draws / n_rows + 1));
    return sum;
}

rb_issued rb_issued_over_rows(const rb_view *index, int64_t n_rows, const rb_call *call,
                              rb_issued (*of)(const rb_call *call, int64_t n))
{
    const int64_t n_draws = rb_view_elements(index);
    bool assumed = false;
    if (!index->buffer->data)
        return over_even_rows(rb_distinct_rows(index, n_rows, &assumed), n_draws, call, of);
    rb_issued sum = { 0 };
    const int32_t *id = (const int32_t *)rb_at(index, 0, 0, 0);
    int64_t *n = calloc((size_t)n_rows, sizeof *n);
    if (!n)
        rb_out_of_memory(); /* a number for each expert of a layer */
    for (int64_t i = 0; i < n_draws; i++)
        n[id[i]]++;
    for (int64_t r = 0; r < n_rows; r++)
        if (n[r])
            issue_part(&sum, 1, of(call, n[r]));
    free(n);
    return sum;
}
