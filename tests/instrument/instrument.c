/* What counting and timing cost: decodes the same tokens with launches booked and unbooked, in
 * turns of a few tokens in one process, on the build whose door can leave booking out. Prints the
 * median ratio of neighbouring blocks with its 95 % confidence interval; exit 1 above 1 %. Refuses
 * other builds: in them nothing can be left out. Read next: kernels/launch.c. */
#include <stdlib.h>

#include "../../bench/bench.h"

enum { TOKENS = 10 }; /* of a block */

extern bool rb_nocount; /* of launch.c, in this build alone */

static uint64_t decode(rb_session *s, const rb_tokens *tokens, bool bare)
{
    rb_error err = { 0 };
    rb_nocount = bare;
    rb_session_set_past(s, 0);
    const uint64_t start = rb_now_ns();
    for (int i = 0; i < TOKENS; i++) {
        int32_t id;
        rb_tokens_fill(tokens, &id, 1, i, 1);
        if (rb_session_run(s, RB_DECODE, &id, 1, false, &err) != RB_OK) {
            fprintf(stderr, "%s\n", err.text);
            exit(1);
        }
    }
    return rb_now_ns() - start;
}

static void must(rb_status st, const rb_error *err)
{
    if (st == RB_OK)
        return;
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "smollm2-135m";
    const int n = (argc > 2 ? atoi(argv[2]) : 2000) / TOKENS;
    double *ratio = calloc((size_t)n, sizeof *ratio);
    const rb_model_params how = { 0 };
    rb_error err = { 0 };
    rb_model *model;
    rb_session *s;
    rb_tokens tokens;
    must(rb_model_open(&model, name, &how, &err), &err);
    must(rb_model_pack(model, &err), &err);
    rb_session_params p = rb_session_defaults();
    p.n_threads = rb_host_threads();
    must(rb_session_open(&s, model, &p, &err), &err);
    must(rb_tokens_open(&tokens, model->config.n_vocab, 1, &err), &err);
    decode(s, &tokens, false);
    for (int i = 0; i < n; i++) {
        const bool bare_first = i % 2;
        const double first = (double)decode(s, &tokens, bare_first);
        const double second = (double)decode(s, &tokens, !bare_first);
        ratio[i] = bare_first ? second / first : first / second;
    }
    const rb_stats stats = rb_stats_of(ratio, n);
    printf("%s, %d threads, 2 x %d tokens in blocks of %d: counting and timing cost %+.2f %% "
           "(95 %% CI %+.2f to %+.2f %%)\n",
           name, p.n_threads, n * TOKENS, TOKENS, 100 * (stats.median - 1), 100 * (stats.ci_lo - 1),
           100 * (stats.ci_hi - 1));
    rb_tokens_close(&tokens);
    rb_session_close(s);
    rb_model_close(model);
    free(ratio);
    return stats.median > 1.01;
}
