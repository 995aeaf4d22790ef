/* Progress with an estimate of the time left, from a rough model of work: it is for people who
 * wait, never for results.
 * Read next: cmd_bench.c. */
#include "progress.h"

#include <string.h>
#include <unistd.h>

enum { QUIET_NS = 2000000000, DECODE_WEIGHT = 8 }; /* a decoded token costs several prompt tokens */

/* In tokens times layers, with the head as that many layers as it weighs. */
static double work_of(const rb_test *t, const rb_config *c)
{
    double layer = (double)c->n_embd * (double)(2 * c->n_head * c->d_head_k + 3 * c->n_ff);
    double head = (double)c->n_embd * (double)c->n_vocab / layer;
    return (double)t->n_seq * ((double)t->n_prompt * (double)t->n_layer +
                               DECODE_WEIGHT * (double)t->n_gen * ((double)t->n_layer + head));
}

rb_progress rb_progress_make(bool wanted, bool quiet, const rb_plan *plan, const rb_config *config)
{
    bool tty = isatty(STDERR_FILENO);
    rb_progress p = {
        .line = tty && !quiet, .lines = wanted && !tty, .plan = plan, .config = config
    };
    for (int i = 0; i < plan->n; i++)
        p.work_all += work_of(&plan->test[i], config);
    p.start_ns = rb_now_ns();
    return p;
}

void rb_progress_tell(void *progress, int rep, int n_reps)
{
    rb_progress *p = progress;
    uint64_t elapsed = rb_now_ns() - p->start_ns;
    if (!p->lines && (!p->line || elapsed < QUIET_NS))
        return;
    const rb_test *t = &p->plan->test[p->test];
    char name[64], text[160], left[48] = "", round[32] = "warm-up";
    double done = p->work_done + work_of(t, p->config) * (rep > 0 ? rep - 1 : 0) / n_reps;
    if (done > 0)
        snprintf(left, sizeof left, ", about %.0f s left",
                 (double)elapsed / 1e9 * (p->work_all - done) / done);
    if (rep)
        snprintf(round, sizeof round, "run %d of %d", rep, n_reps);
    snprintf(text, sizeof text, "test %d of %d: %s, %lld layers, %s%s", p->test + 1, p->plan->n,
             rb_test_name(t, name, sizeof name), (long long)t->n_layer, round, left);
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

void rb_progress_done(rb_progress *p)
{
    p->work_done += work_of(&p->plan->test[p->test], p->config);
    rb_progress_clear(p);
}
