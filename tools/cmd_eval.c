/* rbench eval: logits of given tokens, one JSON line per position. The prompt goes through in one
 * prefill, each forced token is a decode step. It samples nothing.
 * Read next: cmd_bench.c, ../engine/engine.h. */
#include "shared.h"

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
    RB_THREADS_OPTION(RB_OPT_INT, "N", RB_THREADS_HELP),
    { .names = "--isa",
      .kind = RB_OPT_WORD,
      .value = "ISA",
      .choices = RB_ISAS,
      .help = "highest instruction set to use, without BLAS (default: the best, or RBENCH_ISA)" },
    { .names = "--attn",
      .kind = RB_OPT_WORD,
      .value = "VARIANT",
      .help = "how attention is executed (default: the model's own): mla, mla-naive-full, "
              "mla-naive-latent, mla-absorbed" },
    RB_GELU_OPTION,
    { .names = "-ctk, --cache-type-k",
      .kind = RB_OPT_WORD,
      .value = "TYPE",
      .preset = "f32",
      .choices = RB_CACHE_TYPES,
      .help = "type of cached keys; q8_0 and q4_0 want head sizes that 32 divides" },
    { .names = "-ctv, --cache-type-v",
      .kind = RB_OPT_WORD,
      .value = "TYPE",
      .preset = "f32",
      .choices = RB_CACHE_TYPES,
      .help = "type of cached values; a cache of latents is all of -ctk's" },
    { .names = "--act",
      .kind = RB_OPT_WORD,
      .value = "TYPE",
      .preset = "f32",
      .choices = "native|f32",
      .help = "activations; native quantises them where a kernel profits" },
    { .names = "-ub, --ubatch-size",
      .kind = RB_OPT_INT,
      .value = "N",
      .preset = "512",
      .min = 1,
      .max = RB_MAX_TOKENS,
      .help = "most prompt tokens in one pass through the layers" },
    { .names = "--type",
      .kind = RB_OPT_WORD,
      .value = "TYPE",
      .choices = RB_MATRIX_TYPES,
      .help = "type of a preset's matrices (default: f16)" },
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

static rb_status ids_of(const rb_opt_value *v, int64_t n_vocab, int32_t *ids, rb_error *err)
{
    for (int i = 0; i < v->n; i++) {
        if (v->num[i] >= n_vocab)
            return rb_fail(err, RB_ERR_FORMAT, /* input, not usage */
                           "token %lld is outside the vocabulary; the model knows ids 0 to %lld",
                           (long long)v->num[i], (long long)n_vocab - 1);
        ids[i] = (int32_t)v->num[i];
    }
    return RB_OK;
}

static rb_status params_of(const rb_args *args, rb_session_params *p, rb_error *err)
{
    int n_prompt = rb_opt_get(args, "--tokens")->n;
    *p = rb_session_defaults();
    p->n_ctx = n_prompt + rb_opt_get(args, "--force")->n;
    p->n_ubatch = rb_opt_int(args, "-ub");
    p->n_ubatch = p->n_ubatch < p->n_ctx ? p->n_ubatch : p->n_ctx;
    p->n_logits = n_prompt;
    p->type_k = rb_dtype_by_name(rb_opt_text(args, "-ctk"));
    p->type_v = rb_dtype_by_name(rb_opt_text(args, "-ctv"));
    p->n_threads = rb_threads_of(args);
    p->act_f32 = !strcmp(rb_opt_text(args, "--act"), "f32");
    return rb_isa_of(rb_opt_text(args, "--isa"), &p->isa, &p->capped, err);
}

static rb_status attn_of(const rb_args *args, const rb_config *c, rb_attn *attn, rb_error *err)
{
    const char *name = rb_opt_text(args, "--attn");
    return name ? rb_attn_by_name(c, name, attn, err) : RB_OK;
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
    const char *type = rb_opt_text(args, "--type");
    rb_model *model = NULL, *shape = NULL;
    rb_session *s = NULL;
    rb_session_params p;
    int32_t *ids = calloc((size_t)(prompt->n + force->n), sizeof *ids);
    if (!ids)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for token ids");
    rb_status st = params_of(args, &p, err);
    if (st == RB_OK)
        st = rb_open_both(&model, &shape, NULL, args, args->arg[0],
                          type ? rb_mix_by_name(type) : NULL, err);
    if (st == RB_OK)
        st = ids_of(prompt, model->config.n_vocab, ids, err);
    if (st == RB_OK)
        st = ids_of(force, model->config.n_vocab, ids + prompt->n, err);
    if (st == RB_OK)
        st = attn_of(args, &model->config, &p.attn, err);
    if (st == RB_OK)
        p.gelu_erf = rb_gelu_erf_of(args, &model->config);
    if (st == RB_OK)
        st = rb_session_open(&s, model, &p, err);
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
    rb_complain("%s", err.text);
    return err.status == RB_ERR_ARGUMENT ? RB_EXIT_USAGE : RB_EXIT_FAILED;
}

const rb_command rb_cmd_eval = {
    .name = "eval",
    .usage = "MODEL --tokens 3,17,5 [--force 7,29] [options]",
    .about = "Prints the logits of every position, one JSON object a line: "
             "{\"pos\":0,\"token\":3,\"logits\":[...]}.\nThe prompt runs in one prefill, then each "
             "forced token as a decode step.",
    .what = "logits of given tokens",
    .option = options,
    .n_option = sizeof options / sizeof *options,
    .run = run_eval,
};
