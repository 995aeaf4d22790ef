/* Progress with an estimate of the time left, from the estimates of those who run the tests: it is
 * for people who wait, never for results.
 * Read next: cmd_bench.c. */
#include "progress.h"

#include <string.h>
#include <unistd.h>

static const uint64_t quiet_ns = 2000000000;

rb_progress rb_progress_make(bool wanted, bool quiet, const rb_plan *plan)
{
    bool tty = isatty(STDERR_FILENO);
    return (rb_progress){
        .line = tty && !quiet, .lines = wanted && !tty, .plan = plan, .start_ns = rb_now_ns()
    };
}

static void describe(const rb_progress *p, const rb_progress_at *at, char *text, size_t size)
{
    char name[64], left[48] = "";
    if (at->test < 0) {
        snprintf(text, size, "measuring the roofs of this machine");
        return;
    }
    if (at->left_s > 0)
        snprintf(left, sizeof left, ", about %.0f s left", at->left_s);
    const rb_test *t = &p->plan->test[at->test];
    snprintf(text, size, "round %d of %d: %s, %lld layers%s", at->round, at->n_reps,
             rb_test_name(t, name, sizeof name), (long long)t->n_layer, left);
}

void rb_progress_tell(rb_progress *p, const rb_progress_at *at)
{
    char text[160];
    const bool soon = at->test >= 0 && rb_now_ns() - p->start_ns < quiet_ns;
    describe(p, at, text, sizeof text);
    if (!soon || p->lines) /* roofs take a while, and are told at once */
        rb_progress_text(p, text);
}

void rb_progress_text(rb_progress *p, const char *text)
{
    if (!p->lines && !p->line)
        return;
    rb_progress_clear(p);
    fprintf(stderr, "%s%s", text, p->lines ? "\n" : "");
    fflush(stderr);
    p->shown = p->lines ? 0 : (int)strlen(text);
}

void rb_progress_clear(rb_progress *p)
{
    if (p->shown)
        fprintf(stderr, "\r%*s\r", p->shown, "");
    p->shown = 0;
}
