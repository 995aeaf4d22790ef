/* rbench eval: logits of given tokens, one JSON line per position. The prompt goes through in one
 * prefill, each forced token is a decode step. It samples nothing.
 * Read next: cmd_bench.c, ../engine/engine.h. */
#include "session_options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const rb_option options[] = {
    { .names = "--tokens",
      .kind = RB_OPT_INTS,
      .value = "LIST",
      .max = INT32_MAX,
      .help = "token ids of the prompt" },
    { .names = "--force",
      .kind = RB_OPT_INTS,
      .value = "LIST",
      .max = INT32_MAX,
      .help = "token ids to decode after it, one step each" },
    RB_ATTN_OPTION,
    RB_CALIBRATE_OPTION,
    RB_SESSION_OPTIONS("f32", "f32"),
};

/* JSON has no infinities and no NaN. */
static void put_row(int64_t pos, int32_t token, const float *logits, int64_t n)
{
    printf("{\"pos\":%lld,\"token\":%d,\"logits\":[", (long long)pos, (int)token);
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(logits[i]))
            printf("%s%.9g", i ? "," : "", (double)logits[i]);
        else
            printf("%snull", i ? "," : "");
    }
    puts("]}");
    fflush(stdout);
}

/* Those of the prompt, then those to decode. */
static void ids_of(const rb_opt_value *prompt, const rb_opt_value *force, int32_t *ids)
{
    for (int i = 0; i < prompt->n; i++)
        ids[i] = (int32_t)prompt->num[i];
    for (int i = 0; i < force->n; i++)
        ids[prompt->n + i] = (int32_t)force->num[i];
}

static rb_status run_tokens(rb_session *s, const rb_args *args, int64_t n_vocab, int32_t *ids,
                            rb_error *err)
{
    int n_prompt = rb_opt_get(args, "--tokens")->n, n_force = rb_opt_get(args, "--force")->n;
    rb_status st = rb_session_run(s, RB_PREFILL, ids, n_prompt, true, err);
    for (int i = 0; i < n_prompt && st == RB_OK; i++)
        put_row(i, ids[i], rb_session_logits(s) + i * n_vocab, n_vocab);
    for (int i = 0; i < n_force && st == RB_OK && !rb_signal(); i++) {
        st = rb_session_run(s, RB_DECODE, ids + n_prompt + i, 1, true, err);
        if (st == RB_OK)
            put_row(n_prompt + i, ids[n_prompt + i], rb_session_logits(s), n_vocab);
    }
    if (st == RB_OK && ferror(stdout))
        return rb_fail(err, RB_ERR_IO, "cannot write the logits: %s", strerror(errno));
    return st;
}

static rb_status eval_model(const rb_args *args, rb_error *err)
{
    const rb_opt_value *prompt = rb_opt_get(args, "--tokens"), *force = rb_opt_get(args, "--force");
    rb_model *model = NULL, *shape = NULL;
    rb_session *s = NULL;
    rb_session_params p;
    int32_t *ids = calloc((size_t)(prompt->n + force->n), sizeof *ids);
    if (!ids)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for token ids");
    ids_of(prompt, force, ids);
    rb_status st = rb_session_params_of(args, prompt->n + force->n, &p, err);
    p.n_logits = prompt->n;
    if (st == RB_OK)
        st = rb_open_form(&model, &shape, &p.attn, args, rb_accept_own, err);
    if (st == RB_OK)
        st = rb_check_ids(ids, prompt->n + force->n, model->config.n_vocab, err);
    if (st == RB_OK)
        p.gelu_erf = rb_gelu_erf_of(args, &model->config);
    if (st == RB_OK)
        st = rb_open_session(&s, model, shape, &p, err);
    if (st == RB_OK)
        st = run_tokens(s, args, model->config.n_vocab, ids, err);
    rb_session_close(s);
    rb_model_close(model);
    rb_model_close(shape);
    free(ids);
    return st;
}

static int run_eval(const rb_args *args)
{
    rb_error err = { 0 };
    if (args->n != 1 || !rb_opt_get(args, "--tokens")->n) {
        rb_complain("eval wants one MODEL and --tokens LIST; see 'rbench eval --help'");
        return RB_EXIT_USAGE;
    }
    rb_catch_signals();
    rb_host_pin_threads();
    if (eval_model(args, &err) == RB_OK)
        return RB_EXIT_OK;
    return rb_refused(&err);
}

const rb_command rb_cmd_eval = {
    .name = "eval",
    .usage = "MODEL --tokens 3,17,5 [--force 7,29] [options]",
    .about = "Prints the logits of every position, one JSON object a line: "
             "{\"pos\":0,\"token\":3,\"logits\":[...]}. The prompt runs in one prefill, then each "
             "forced token as a decode step.",
    .what = "logits of given tokens",
    .example = "model.gguf --tokens 3,17,5\tlogits after each of the three tokens\n"
               "model.gguf --tokens 3,17 --force 5,7\tthen two decode steps\n",
    .option = options,
    .n_option = sizeof options / sizeof *options,
    .run = run_eval,
};
