/* rbench generate: text from a model that brings its tokenizer. The text goes to stdout, token by
 * token, and nothing else does; how fast it came is told on stderr.
 * Refuses to be a benchmark: what it tells is one run's. Read next: session_options.c. */
#include "prompt.h"
#include "session_options.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const rb_option options[] = {
    { .names = "-p, --prompt",
      .kind = RB_OPT_WORD,
      .value = "TEXT",
      .help = "text to go on from, or, with --chat, to answer" },
    { .names = "-f, --file",
      .kind = RB_OPT_WORD,
      .value = "FILE",
      .help = "the same from a file; - is stdin" },
    { .names = "-n, --n-predict",
      .kind = RB_OPT_INT,
      .value = "N",
      .preset = "128",
      .max = RB_MAX_TOKENS,
      .help = "most tokens to generate" },
    { .names = "--chat",
      .kind = RB_OPT_FLAG,
      .help = "the text is a user's message: put it into the chat template of the model" },
    { .names = "--system",
      .kind = RB_OPT_WORD,
      .value = "TEXT",
      .help = "system message of the chat (default: what the template has)" },
    { .names = "--temp",
      .kind = RB_OPT_REAL,
      .value = "T",
      .preset = "0.8",
      .max = 100,
      .help = "temperature; 0 takes the best token always" },
    { .names = "--top-k",
      .kind = RB_OPT_INT,
      .value = "K",
      .preset = "40",
      .max = INT32_MAX,
      .help = "draw from the K best; 0: from all" },
    { .names = "--top-p",
      .kind = RB_OPT_REAL,
      .value = "P",
      .preset = "0.95",
      .max = 1,
      .help = "of those from the fewest that have this share of the likelihood" },
    { .names = "--seed",
      .kind = RB_OPT_INT,
      .value = "S",
      .preset = "1",
      .max = INT64_MAX,
      .help = "of the draws; the same seed gives the same text" },
    { .names = "--ignore-eos", .kind = RB_OPT_FLAG, .help = "go on where the model would end" },
    { .names = "--approx-ok",
      .kind = RB_OPT_FLAG,
      .help = "let a model write whose attention was converted with losses" },
    RB_ATTN_OPTION,
    RB_CALIBRATE_OPTION,
    RB_SESSION_OPTIONS("f16", "native"),
    { .names = "-o, --output",
      .kind = RB_OPT_WORD,
      .value = "FORMAT",
      .preset = "text",
      .choices = "text|json",
      .help = "json: one object at the end, with the ids of all tokens" },
};

typedef enum { BY_LENGTH, BY_TOKEN, BY_SIGNAL, BY_ERROR } ending;
static const char *const ending_name[] = { "length", "token", "interrupt", "error" };

typedef struct generation {
    const rb_args *args;
    rb_model *model, *shape;
    rb_tokenizer *tokenizer;
    rb_session *session;
    rb_sampler *sampler;
    rb_sampling how;
    int32_t *ids; /* [n_prompt + n_most] */
    int64_t n_prompt, n_most, n_made;
    int64_t n_read; /* tokens of the prompt that ran: all, but for an interrupt */
    uint64_t prompt_ns, decode_ns;
    ending end;
    bool json, tty;
} generation;

/* ---- text, as it comes ---- */

/* A terminal takes control characters for commands: a model has none to give. */
static void put_piece(const generation *g, int32_t id)
{
    size_t n = 0;
    const char *piece = rb_tokenizer_piece(g->tokenizer, id, false, &n);
    if (g->json)
        return;
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)piece[i];
        putchar(g->tty && (c == 127 || (c < ' ' && c != '\n' && c != '\t')) ? '?' : c);
    }
    fflush(stdout);
}

/* A NaN that is not the best would else go unseen. */
static bool are_numbers(const float *logits, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(logits[i]))
            return false;
    return true;
}

static rb_status next_token(generation *g, int32_t *id, rb_error *err)
{
    const float *logits = rb_session_logits(g->session);
    *id = rb_sampler_next(g->sampler, logits);
    if (!are_numbers(logits, g->model->config.n_vocab))
        return rb_fail(err, RB_ERR_FORMAT, "%.200s: its logits are no finite numbers",
                       g->args->arg[0]);
    return RB_OK;
}

static rb_status generate(generation *g, rb_error *err)
{
    const bool go_on = rb_opt_flag(g->args, "--ignore-eos");
    uint64_t start = rb_now_ns();
    rb_status st = RB_OK;
    rb_session_set_stop(g->session, rb_stop, NULL);
    if (!rb_signal())
        st = rb_session_run(g->session, RB_PREFILL, g->ids, g->n_prompt, false, err);
    g->prompt_ns = rb_now_ns() - start;
    g->n_read = rb_session_n_past(g->session);
    while (st == RB_OK && g->n_made < g->n_most && !rb_signal()) {
        int32_t *id = &g->ids[g->n_prompt + g->n_made];
        st = next_token(g, id, err);
        if (st != RB_OK)
            break;
        if (!go_on && rb_tokenizer_is_end(g->tokenizer, *id)) {
            g->end = BY_TOKEN;
            break;
        }
        put_piece(g, *id);
        if (ferror(stdout)) {
            st = rb_fail(err, RB_ERR_IO, "cannot write the text: %s", strerror(errno));
            break;
        }
        if (++g->n_made == g->n_most)
            break;
        start = rb_now_ns();
        st = rb_session_run(g->session, RB_DECODE, id, 1, false, err);
        g->decode_ns += rb_now_ns() - start;
    }
    if (st != RB_OK)
        g->end = BY_ERROR;
    else if (rb_signal())
        g->end = BY_SIGNAL;
    return st;
}

/* ---- what is told ---- */

static double rate(int64_t n, uint64_t ns)
{
    return ns ? (double)n * 1e9 / (double)ns : 0;
}

/* Everything but the text. A decode step's bytes are what it has to read. */
static void tell(const generation *g)
{
    const rb_tally prompt = rb_ledger_phase(rb_session_ledger(g->session), RB_PREFILL);
    const rb_tally decode = rb_ledger_phase(rb_session_ledger(g->session), RB_DECODE);
    const rb_bytes bytes = rb_cost_bytes(&decode.cost);
    const int64_t n_step = rb_session_n_past(g->session) - g->n_read;
    if (g->n_read < g->n_prompt)
        fprintf(stderr, "%lld of ", (long long)g->n_read);
    fprintf(stderr, "%lld prompt tokens at %.1f tok/s (%.1f GFLOP/s)", (long long)g->n_prompt,
            rate(g->n_read, g->prompt_ns), rate((int64_t)prompt.cost.flops, g->prompt_ns) / 1e9);
    if (n_step > 0)
        fprintf(stderr, "; %lld generated at %.1f tok/s (%.1f GB/s of weights and cache)",
                (long long)g->n_made, rate(n_step, g->decode_ns),
                rate((int64_t)rb_bytes_wkv(&bytes), g->decode_ns) / 1e9);
    fprintf(stderr, "; seed %llu; ended by %s\n", (unsigned long long)g->how.seed,
            ending_name[g->end]);
}

/* Ids and the text they stand for; what is no UTF-8 of it is replaced. */
static rb_status put_json(const generation *g, rb_error *err)
{
    char *text = NULL;
    size_t n = 0;
    const rb_status st =
        rb_tokenizer_decode(g->tokenizer, g->ids + g->n_prompt, g->n_made, &text, &n, err);
    if (st != RB_OK)
        return st;
    json_t *prompt = json_array(), *made = json_array();
    for (int64_t i = 0; i < g->n_prompt + g->n_made; i++)
        json_array_append_new(i < g->n_prompt ? prompt : made, json_integer(g->ids[i]));
    json_t *o =
        json_pack("{s:s%,s:o,s:o,s:I,s:s,s:f,s:I,s:f,s:I,s:I,s:I}", "text", text, n, "prompt_ids",
                  prompt, "ids", made, "prompt_run", (json_int_t)g->n_read, "ended_by",
                  ending_name[g->end], "temp", g->how.temp, "top_k", (json_int_t)g->how.top_k,
                  "top_p", g->how.top_p, "seed", (json_int_t)g->how.seed, "prompt_ns",
                  (json_int_t)g->prompt_ns, "decode_ns", (json_int_t)g->decode_ns);
    free(text);
    if (!o)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for a record");
    json_dumpf(o, stdout,
               JSON_COMPACT | JSON_REAL_PRECISION(15)); /* 0.8, not 0.80000000000000004 */
    json_decref(o);
    return RB_OK;
}

/* ---- all of it ---- */

/* Nobody should take for a model's text what a lossy conversion of it writes. */
static rb_status accept_own_words(const rb_args *args, const rb_model *shape, rb_error *err)
{
    const rb_attn_note *note = &shape->attn;
    char form[48];
    if (!note->converted || note->exact || note->synthetic || rb_opt_flag(args, "--approx-ok"))
        return rb_accept_own(args, shape, err);
    return rb_fail(err, RB_ERR_UNSUPPORTED,
                   "%.200s: its attention was converted to %s with losses: what it writes is not "
                   "the model's text; --approx-ok shows it all the same",
                   args->arg[0], rb_attn_form_text(&note->form, form, sizeof form));
}

/* What can be refused without weights comes first. */
static rb_status open_all(generation *g, rb_error *err)
{
    rb_session_params p = rb_session_defaults();
    rb_status st = rb_tokenizer_open(&g->tokenizer, g->args->arg[0], err);
    if (st == RB_OK)
        st = rb_prompt_ids(g->args, g->tokenizer, g->n_most, &g->ids, &g->n_prompt, err);
    if (st == RB_OK)
        st = rb_session_params_of(g->args, g->n_prompt + g->n_most, &p, err);
    if (st == RB_OK)
        st = rb_open_form(&g->model, &g->shape, &p.attn, g->args, accept_own_words, err);
    if (st == RB_OK)
        st = rb_check_ids(g->ids, g->n_prompt, g->model->config.n_vocab, err);
    if (st == RB_OK)
        p.gelu_erf = rb_gelu_erf_of(g->args, &g->model->config);
    if (st == RB_OK)
        st = rb_sampler_open(&g->sampler, g->model->config.n_vocab, &g->how, err);
    return st == RB_OK ? rb_open_session(&g->session, g->model, g->shape, &p, err) : st;
}

static rb_status run_all(generation *g, rb_error *err)
{
    rb_status st = open_all(g, err);
    if (st != RB_OK)
        return st;
    if (g->n_prompt + g->n_most > g->model->config.n_ctx_train)
        rb_complain("%lld tokens are more than the %lld that the model was trained on",
                    (long long)(g->n_prompt + g->n_most), (long long)g->model->config.n_ctx_train);
    st = generate(g, err);
    if (g->json && st == RB_OK)
        st = put_json(g, err);
    if (g->json ? st == RB_OK : g->n_made > 0)
        putchar('\n');
    if ((fflush(stdout) || ferror(stdout)) && st == RB_OK)
        st = rb_fail(err, RB_ERR_IO, "cannot write the text: %s", strerror(errno));
    tell(g);
    return st;
}

static void close_all(generation *g)
{
    rb_session_close(g->session);
    rb_sampler_close(g->sampler);
    rb_tokenizer_close(g->tokenizer);
    rb_model_close(g->model);
    rb_model_close(g->shape);
    free(g->ids);
}

static int run_generate(const rb_args *args)
{
    rb_error err = { 0 };
    if (args->n != 1 || (rb_opt_text(args, "-p") && rb_opt_text(args, "-f"))) {
        rb_complain("generate wants one MODEL, and -p TEXT or -f FILE; see 'rbench generate "
                    "--help'");
        return RB_EXIT_USAGE;
    }
    if (rb_opt_text(args, "--system") && !rb_opt_flag(args, "--chat")) {
        rb_complain("--system TEXT is of a chat: give --chat too");
        return RB_EXIT_USAGE;
    }
    generation g = {
        .args = args,
        .how = { .temp = rb_opt_real(args, "--temp"),
                 .top_k = rb_opt_int(args, "--top-k"),
                 .top_p = rb_opt_real(args, "--top-p"),
                 .seed = (uint64_t)rb_opt_int(args, "--seed") },
        .n_most = rb_opt_int(args, "-n"),
        .json = !strcmp(rb_opt_text(args, "-o"), "json"),
        .tty = isatty(STDOUT_FILENO),
    };
    rb_catch_signals();
    rb_host_pin_threads();
    const rb_status st = run_all(&g, &err);
    close_all(&g);
    if (st == RB_OK)
        return RB_EXIT_OK;
    return rb_refused(&err);
}

const rb_command rb_cmd_generate = {
    .name = "generate",
    .usage = "MODEL [-p TEXT] [-n N] [options]",
    .about = "Writes text, by the tokenizer that comes with the model, token by token as it is "
             "made. Tokens are drawn as llama.cpp draws them: of the K best the likeliest that "
             "make up P, by temperature. Speed, seed and what ended the text are said on stderr.",
    .what = "text from a model that brings its tokenizer",
    .example =
        "model.gguf -p 'Once upon a time'\t128 tokens at most\n"
        "model.gguf --chat -p 'Why is the sky blue?' --temp 0\tan answer, the same each time\n",
    .option = options,
    .n_option = sizeof options / sizeof *options,
    .run = run_generate,
};
