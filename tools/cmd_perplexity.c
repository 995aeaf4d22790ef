/* rbench perplexity: how well a model foretells a text, and how far other ways of running it, or
 * another file of the same vocabulary, are from a reference.
 * Nothing is computed here. Read next: ../bench/perplexity.c, session_options.c. */
#include "progress.h"
#include "session_options.h"

#include <stdlib.h>
#include <string.h>

static const rb_option options[] = {
    { .names = "-f, --file", .kind = RB_OPT_WORD, .value = "FILE", .help = "the text; - is stdin" },
    { .names = "-c, --ctx-size",
      .kind = RB_OPT_INT,
      .value = "N",
      .preset = "512",
      .min = 4,
      .max = RB_MAX_TOKENS,
      .help = "tokens of a window; the second half of each is foretold" },
    { .names = "--chunks",
      .kind = RB_OPT_INT,
      .value = "N",
      .min = 1,
      .max = RB_MAX_TOKENS,
      .help = "at most so many windows (default: all of the text)" },
    { .names = "--base",
      .kind = RB_OPT_WORD,
      .value = "MODEL",
      .help = "measure the divergence from this model, of the same vocabulary" },
    { .names = "--attn",
      .kind = RB_OPT_WORDS,
      .value = "LIST",
      .help = "further forms of attention, of the same weights (mha, gqa:G, mqa, mla, "
              "mla:R[:d_r], lrkv:R, gva:G, gha:G), or orders of latent attention, each with its "
              "divergence from the reference" },
    RB_CALIBRATE_OPTION,
    RB_SESSION_OPTIONS("f16", "native"),
    { .names = "--progress",
      .kind = RB_OPT_FLAG,
      .help = "say each window on stderr, also where that is no terminal" },
    RB_FORMAT_OPTION("md|json", "format of the result"),
};

enum { MOST = RB_MAX_FORM + 2 }; /* ways: the base, the model's own, each of --attn */

typedef struct judging {
    const rb_args *args;
    rb_forms forms;
    rb_model *base, *base_shape;
    rb_session_params params;
    rb_session *session[MOST];
    rb_judged_row row[MOST];
    rb_judged judged[MOST];
    char name[MOST][64]; /* of the ways */
    int n;
    int32_t bos;
    int32_t *ids;
    int64_t n_ids, n_ctx;
    rb_progress progress;
    uint64_t start_ns;
} judging;

static void tell(void *arg, const rb_judged *first, int64_t n_done, int64_t n_window)
{
    judging *j = arg;
    const double spent = (double)(rb_now_ns() - j->start_ns) / 1e9;
    char text[160];
    snprintf(text, sizeof text, "window %lld of %lld: perplexity %.4f, about %.0f s left",
             (long long)n_done, (long long)n_window, rb_judged_ppl(first),
             spent / (double)n_done * (double)(n_window - n_done));
    rb_progress_text(&j->progress, text);
}

/* ---- what is compared ---- */

static rb_status add_way(judging *j, const rb_subject *subject, const rb_model *shape, rb_way way,
                         rb_error *err)
{
    const rb_test test = { .model = way.model, .attn = way.attn };
    const rb_model *m = rb_subject_model(subject, &test);
    j->params.attn = way.attn;
    j->params.gelu_erf = rb_gelu_erf_of(j->args, &m->config);
    j->row[j->n] = (rb_judged_row){ .model = subject->filename,
                                    .variant = rb_subject_attn(subject, &test, j->name[j->n],
                                                               sizeof j->name[j->n]),
                                    .judged = &j->judged[j->n] };
    const rb_status st = rb_open_session(&j->session[j->n], m, shape, &j->params, err);
    if (st == RB_OK)
        rb_session_set_stop(j->session[j->n++], rb_stop, NULL);
    return st;
}

static rb_status open_base(judging *j, const char *name, rb_error *err)
{
    const rb_model *own = j->forms.model[0];
    rb_status st = rb_open_both(&j->base, &j->base_shape, j->args, name, NULL, err);
    const rb_subject subject = { .filename = name, .model = j->base };
    if (st == RB_OK && j->base->config.n_vocab != own->config.n_vocab)
        st = rb_fail(err, RB_ERR_FORMAT,
                     "%.100s has a vocabulary of %lld tokens, %.100s one of %lld: they cannot be "
                     "compared",
                     name, (long long)j->base->config.n_vocab, j->args->arg[0],
                     (long long)own->config.n_vocab);
    return st == RB_OK ? add_way(j, &subject, j->base_shape, (rb_way){ 0 }, err) : st;
}

/* The reference first: the base, or the model as it is. */
static rb_status open_ways(judging *j, rb_error *err)
{
    const char *base = rb_opt_text(j->args, "--base");
    rb_forms *const f = &j->forms;
    rb_status st = rb_session_params_of(j->args, j->n_ctx, &j->params, err);
    j->params.n_logits = rb_perplexity_rows(j->n_ctx);
    if (st == RB_OK)
        st = rb_open_forms(f, j->args, (rb_forms_params){ .accept = rb_accept_own }, err);
    const rb_subject subject = { .filename = j->args->arg[0],
                                 .model = f->model[0],
                                 .formed = f->formed };
    if (st == RB_OK)
        st = rb_check_ids(j->ids, j->n_ids, f->model[0]->config.n_vocab, err);
    if (st == RB_OK && base)
        st = open_base(j, base, err);
    if (st == RB_OK)
        st = add_way(j, &subject, f->shape[0], (rb_way){ 0 }, err);
    for (int i = 0; rb_opt_text(j->args, "--attn") && i < f->n_way && st == RB_OK; i++)
        st = add_way(j, &subject, f->shape[f->way[i].model], f->way[i], err);
    return st;
}

/* ---- what is told ---- */

static rb_status put(judging *j, rb_error *err)
{
    const char *file = rb_opt_text(j->args, "-f");
    const rb_perplexity_told told = {
        .row = j->row,
        .n_row = j->n,
        .text = strcmp(file, "-") ? file : "stdin",
        .commit = RB_COMMIT,
        .isa = rb_isa_name[j->params.isa],
        .type_k = rb_dtype_get(j->params.type_k)->name,
        .type_v = rb_dtype_get(j->params.type_v)->name,
        .act = rb_opt_text(j->args, "--act"),
        .n_ctx = j->n_ctx,
        .n_ids = j->n_ids,
        .n_threads = j->params.n_threads,
    };
    if (!strcmp(rb_opt_text(j->args, "-o"), "json"))
        return rb_perplexity_json(stdout, &told, err);
    return rb_perplexity_table(stdout, &told, err);
}

static rb_status judge(judging *j, rb_error *err)
{
    const rb_opt_value *chunks = rb_opt_get(j->args, "--chunks");
    rb_status st = rb_ids_of_file(j->args->arg[0], rb_opt_text(j->args, "-f"), &j->ids, &j->n_ids,
                                  &j->bos, err);
    if (st == RB_OK)
        st = rb_perplexity_check(j->n_ids, j->n_ctx, err); /* needs no weights */
    if (st == RB_OK)
        st = open_ways(j, err);
    if (st != RB_OK)
        return st;
    const rb_perplexity_params p = { .n_ctx = j->n_ctx,
                                     .n_window = chunks->n ? chunks->num[0] : 0,
                                     .bos = j->bos,
                                     .stop = rb_stop,
                                     .tell = tell,
                                     .arg = j };
    j->progress = rb_progress_make(rb_opt_flag(j->args, "--progress"), false, NULL);
    j->start_ns = rb_now_ns();
    st = rb_perplexity(j->session, j->n, j->forms.model[0]->config.n_vocab, j->ids, j->n_ids, &p,
                       j->judged, err);
    rb_progress_clear(&j->progress);
    if (!j->judged[0].n)
        return st;
    rb_error not_written = { 0 };
    const rb_status written = put(j, &not_written);
    return st == RB_OK && written != RB_OK ? rb_fail(err, written, "%s", not_written.text) : st;
}

static void close_all(judging *j)
{
    for (int i = 0; i < j->n; i++)
        rb_session_close(j->session[i]);
    rb_forms_close(&j->forms);
    rb_model_close(j->base);
    rb_model_close(j->base_shape);
    free(j->ids);
}

static int run_perplexity(const rb_args *args)
{
    rb_error err = { 0 };
    if (args->n != 1 || !rb_opt_text(args, "-f")) {
        rb_complain("perplexity wants one MODEL and -f FILE; see 'rbench perplexity --help'");
        return RB_EXIT_USAGE;
    }
    judging *j = calloc(1, sizeof *j);
    rb_status st = RB_OK;
    if (!j)
        st = rb_fail(&err, RB_ERR_MEMORY, "out of memory");
    else {
        j->args = args;
        j->n_ctx = rb_opt_int(args, "-c");
        rb_catch_signals();
        rb_host_pin_threads();
        st = judge(j, &err);
        close_all(j);
    }
    free(j);
    if (st == RB_OK)
        return RB_EXIT_OK;
    return rb_refused(&err);
}

const rb_command rb_cmd_perplexity = {
    .name = "perplexity",
    .usage = "MODEL -f FILE [options]",
    .about = "Perplexity of a text, by llama.cpp's windows: of each window of -c tokens the "
             "second half is foretold. With --base or --attn also how far each model or form is "
             "from the reference: mean KL divergence, how often the best token is the same, the "
             "largest difference of logits.",
    .what = "how well a text is foretold, and how far variants are apart",
    .example = "model.gguf -f text.txt\tof a text\n"
               "model-q4.gguf -f text.txt --base model-f16.gguf\twhat quantising lost\n",
    .option = options,
    .n_option = sizeof options / sizeof *options,
    .run = run_perplexity,
};
