/* The fifth check: what memory controllers count, where they can be read, holds at least one pass
 * over memory that no cache holds. They count whole sockets, so that others may add to it, and
 * nothing can take from it. Refuses to judge machines that show no counters: the check is skipped
 * there. Read next: pmu.h. */
#include "pmu.h"
#include "verify_parts.h"

#include <string.h>

/* What the last cache may still hold of the pass, and counters may miss at its ends. */
static const double least = 0.9;

static uint64_t pass_over(const rb_buffer *b)
{
    const uint64_t *word = b->data;
    uint64_t sum = 0;
    for (size_t i = 0; i < b->bytes / sizeof *word; i++)
        sum ^= word[i];
    return sum;
}

/* Sixteen times the last cache, within a quarter of the memory that is free. */
static size_t pass_bytes(const rb_evidence *e)
{
    const uint64_t wanted = 16 * rb_last_cache_bytes(e->params.n_threads), some = 256u << 20;
    const uint64_t bytes = wanted > some ? wanted : some, available = rb_host_available();
    return (size_t)(available && bytes > available / 4 ? available / 4 : bytes);
}

rb_status rb_controllers_gather(rb_evidence *e, rb_error *err)
{
    rb_controllers *c = &e->controllers;
    rb_buffer b = { 0 };
    rb_pmu_bytes none;
    rb_pmu *p = rb_pmu_open("", &rb_pmu_kernel);
    rb_status status = rb_evidence_step(e, err, "counters of memory controllers");
    snprintf(c->text, sizeof c->text, "%s", rb_pmu_text(p));
    rb_pmu_begin(p);
    none = rb_pmu_end(p);
    if (status == RB_OK && none.counted > 0) {
        status = rb_buffer_alloc(&b, pass_bytes(e), false, err);
        if (status == RB_OK) {
            memset(b.data, 1, b.bytes);
            rb_pmu_begin(p);
            c->sum = pass_over(&b);
            c->counted = rb_pmu_end(p);
            c->passed = b.bytes;
        }
        rb_buffer_free(&b);
    }
    rb_pmu_close(p);
    return status;
}

void rb_controllers_judge(const rb_controllers *c, rb_fault fault, rb_finding *found)
{
    rb_pmu_bytes claim = c->counted;
    char expected[48], claimed[48];
    rb_fault_counted(fault, &claim);
    const double reads = (double)claim.read + (double)claim.either, passed = (double)c->passed;
    *found = (rb_finding){ .verdict = RB_SKIPPED };
    if (claim.counted <= 0) {
        snprintf(found->text, sizeof found->text, "%s", c->text);
        return;
    }
    if (reads < least * passed) {
        snprintf(expected, sizeof expected, "%.0f bytes", least * passed);
        snprintf(claimed, sizeof claimed, "%.0f bytes", reads);
        rb_finding_fail(found, c->text, expected, claimed,
                        "a pass over %.0f bytes of memory, and %s read", passed, claimed);
        return;
    }
    rb_finding_pass(found, "%s: a pass over %.0f bytes of memory, %.2f times that were read",
                    c->text, passed, reads / passed);
}
