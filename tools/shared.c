/* From parsed options to plans and models, for the commands that run or predict tests.
 * It prints nothing: errors go back to the command.
 * Read next: cmd_bench.c. */
#include "shared.h"

#include <stdlib.h>
#include <string.h>

const rb_option rb_test_options[] = {
    { .names = "-p, --n-prompt",
      .kind = RB_OPT_INTS,
      .value = "LIST",
      .preset = "512",
      .max = RB_MAX_TOKENS,
      .help = "prompt lengths, one pp test each; 0: none" },
    { .names = "-n, --n-gen",
      .kind = RB_OPT_INTS,
      .value = "LIST",
      .preset = "128",
      .max = RB_MAX_TOKENS,
      .help = "decode steps, one tg test each; 0: none" },
    { .names = "-pg",
      .kind = RB_OPT_PAIR,
      .value = "P,N",
      .max = RB_MAX_TOKENS,
      .help = "one test of P prompt tokens, then N decode steps; repeatable" },
    { .names = "--draft",
      .kind = RB_OPT_INTS,
      .value = "LIST",
      .max = RB_MAX_TOKENS,
      .help = "drafted tokens to verify, one vf test each, as speculative decoding does: the "
              "last accepted token and they in one pass with logits of each; tok/s counts "
              "tokens verified" },
    { .names = "-d, --n-depth",
      .kind = RB_OPT_INTS,
      .value = "LIST",
      .preset = "0",
      .max = RB_MAX_TOKENS,
      .help = "context: tokens already in the cache before the test" },
    { .names = "-npl, --parallel",
      .kind = RB_OPT_INTS,
      .value = "LIST",
      .preset = "1",
      .min = 1,
      .max = RB_MAX_SEQ,
      .help = "parallel sequences" },
    { .names = "-b, --batch-size",
      .kind = RB_OPT_INTS,
      .value = "LIST",
      .preset = "2048",
      .min = 1,
      .max = RB_MAX_TOKENS,
      .help = "upper bound of -ub" },
    { .names = "-ub, --ubatch-size",
      .kind = RB_OPT_INTS,
      .value = "LIST",
      .preset = "512",
      .min = 1,
      .max = RB_MAX_TOKENS,
      .help = "most tokens of a sequence in one pass through the layers" },
    { .names = "-ctk, --cache-type-k",
      .kind = RB_OPT_WORDS,
      .value = "LIST",
      .preset = "f16",
      .choices = RB_CACHE_TYPES,
      .help = "types of cached keys; q8_0 and q4_0 need head sizes that are multiples of 32" },
    { .names = "-ctv, --cache-type-v",
      .kind = RB_OPT_WORDS,
      .value = "LIST",
      .preset = "f16",
      .choices = RB_CACHE_TYPES,
      .help = "types of cached values; latent attention caches all in the type of -ctk" },
    { .names = "--layers",
      .kind = RB_OPT_INTS,
      .value = "LIST",
      .min = 1,
      .max = RB_MAX_LAYER,
      .help =
          "layers to run: the first L; beyond the model's own, copies of the last one in memory "
          "of their own (default: the model's)" },
    { .names = "--type",
      .kind = RB_OPT_WORDS,
      .value = "LIST",
      .choices = RB_MATRIX_TYPES,
      .listed = "convert",
      .help = "types of a preset's matrices (default: f16)" },
    { .names = "--attn",
      .kind = RB_OPT_WORDS,
      .value = "LIST",
      .help = "forms of attention to run on the same weights, side by side (default: the "
              "model's own). Converted in memory: mha, gqa:G, mqa, mla, mla:R[:d_r], lrkv:R, "
              "gva:G, gha:G; gta has the shape alone, its attention weights are made up. "
              "Orders of latent attention: mla-naive-full caches K and V of every head, "
              "mla-naive-latent the latent, expanded by every call, mla-absorbed attends "
              "within the latent; mla takes of the last two, call by call, the cheaper" },
    RB_GELU_OPTION,
    { .names = "--isa",
      .kind = RB_OPT_WORDS,
      .value = "LIST",
      .choices = RB_ISAS,
      .help = "highest instruction set to use, without BLAS (default: the best, or RBENCH_ISA)" },
    { .names = "--act",
      .kind = RB_OPT_WORD,
      .value = "TYPE",
      .preset = "native",
      .choices = "native|f32",
      .help = "activations; native quantises them to 8 bits where a kernel is faster so" },
    { .names = "--seed",
      .kind = RB_OPT_INT,
      .value = "N",
      .preset = "1",
      .max = INT64_MAX,
      .help = "seed of the input (a permutation of the vocabulary) and of the order of tests" },
    { .names = "--last-cache",
      .kind = RB_OPT_INT,
      .value = "BYTES",
      .preset = "0",
      .max = INT64_C(1) << 40,
      .help = "size of the last-level cache in the model of DRAM traffic; 0: this machine's" },
};
const int rb_n_test_options = sizeof rb_test_options / sizeof *rb_test_options;

rb_format rb_format_of(const char *word)
{
    return !word                   ? RB_FORMAT_NONE
           : !strcmp(word, "md")   ? RB_FORMAT_MD
           : !strcmp(word, "json") ? RB_FORMAT_JSON
           : !strcmp(word, "csv")  ? RB_FORMAT_CSV
                                   : RB_FORMAT_JSONL;
}

rb_status rb_isa_of(const char *word, rb_isa *isa, bool *capped, rb_error *err)
{
    if (!word)
        return rb_isa_detect(isa, capped, err);
    rb_status st = rb_isa_by_name(word, isa, err);
    *capped = true;
    if (st == RB_OK && !rb_isa_supported(*isa))
        return rb_fail(err, RB_ERR_ARGUMENT, "--isa %s: this CPU cannot run it", word);
    return st;
}

int rb_threads_of(const rb_args *args)
{
    const int n = (int)rb_opt_int(args, "-t");
    return n ? n : rb_host_threads();
}

static rb_list list_of(const rb_opt_value *v)
{
    return (rb_list){ v->num, v->n };
}

/* What words of a list stand for. */
static rb_status number_of_type(const rb_config *c, const char *word, int64_t *num, rb_error *err)
{
    (void)c, (void)err;
    *num = rb_dtype_by_name(word);
    return RB_OK;
}

static rb_status number_of_isa(const rb_config *c, const char *word, int64_t *num, rb_error *err)
{
    rb_isa isa;
    bool capped;
    (void)c;
    const rb_status st = rb_isa_of(word, &isa, &capped, err);
    *num = isa;
    return st;
}

bool rb_gelu_erf_of(const rb_args *args, const rb_config *c)
{
    const char *const word = rb_opt_text(args, "--gelu");
    return word ? strcmp(word, "erf") == 0 : c->gelu_erf;
}

/* Words as numbers, in memory of their own. */
static rb_status numbers_of(const rb_opt_value *v, const rb_config *c,
                            rb_status (*number)(const rb_config *, const char *, int64_t *,
                                                rb_error *),
                            int64_t **num, rb_list *list, rb_error *err)
{
    *num = calloc((size_t)v->n + 1, sizeof **num);
    if (!*num)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for the command line");
    for (int i = 0; i < v->n; i++) {
        const rb_status st = number(c, v->text[i], &(*num)[i], err);
        if (st != RB_OK)
            return st;
    }
    *list = (rb_list){ *num, v->n };
    return RB_OK;
}

rb_status rb_lists_of(rb_lists *l, const rb_args *args, const rb_model *model, const rb_way *way,
                      int n_way, rb_error *err)
{
    rb_plan_lists *p = &l->plan;
    rb_isa isa;
    *l = (rb_lists){ .one_layer = model->config.n_layer, .one_thread = rb_host_threads() };
    p->prompt = list_of(rb_opt_get(args, "-p"));
    p->gen = list_of(rb_opt_get(args, "-n"));
    p->pair = list_of(rb_opt_get(args, "-pg"));
    p->draft = list_of(rb_opt_get(args, "--draft"));
    p->depth = list_of(rb_opt_get(args, "-d"));
    p->seq = list_of(rb_opt_get(args, "-npl"));
    p->batch = list_of(rb_opt_get(args, "-b"));
    p->ubatch = list_of(rb_opt_get(args, "-ub"));
    p->layers = list_of(rb_opt_get(args, "--layers"));
    if (!p->layers.n)
        p->layers = (rb_list){ &l->one_layer, 1 };
    p->threads = (rb_list){ &l->one_thread, 1 };
    p->act_f32 = !strcmp(rb_opt_text(args, "--act"), "f32");
    p->way = way;
    p->n_way = n_way;
    p->gelu_erf = rb_gelu_erf_of(args, &model->config);
    const struct {
        const char *name;
        rb_status (*number)(const rb_config *, const char *, int64_t *, rb_error *);
        rb_list *list;
    } words[RB_N_WORDS] = { { "-ctk", number_of_type, &p->type_k },
                            { "-ctv", number_of_type, &p->type_v },
                            { "--isa", number_of_isa, &p->isa } };
    rb_status st = RB_OK;
    for (int i = 0; i < RB_N_WORDS && st == RB_OK; i++)
        st = numbers_of(rb_opt_get(args, words[i].name), &model->config, words[i].number,
                        &l->words[i], words[i].list, err);
    p->capped = p->isa.n > 0;
    if (st == RB_OK && !p->isa.n) {
        st = rb_isa_of(NULL, &isa, &p->capped, err);
        l->one_isa = isa;
        p->isa = (rb_list){ &l->one_isa, 1 };
    }
    return st;
}

void rb_lists_drop_presets(rb_lists *l, const rb_args *args)
{
    const bool others = rb_opt_get(args, "-pg")->given || rb_opt_get(args, "--draft")->given;
    if (others && !rb_opt_get(args, "-p")->given && !rb_opt_get(args, "-n")->given)
        l->plan.prompt.n = l->plan.gen.n = 0;
}

void rb_lists_free(rb_lists *l)
{
    for (int i = 0; i < RB_N_WORDS; i++)
        free(l->words[i]);
    *l = (rb_lists){ 0 };
}

int rb_n_types(const rb_args *args)
{
    int n = rb_opt_get(args, "--type")->n;
    return n ? n : 1;
}

const rb_mix *rb_type_at(const rb_args *args, int i)
{
    const rb_opt_value *v = rb_opt_get(args, "--type");
    return i < v->n ? rb_mix_by_name(v->text[i]) : NULL;
}

rb_status rb_check_fits(const rb_model *shape, const char *name, rb_error *err)
{
    const uint64_t need = rb_model_bytes(shape), available = rb_host_available();
    if (!available || need <= available)
        return RB_OK;
    return rb_fail(err, RB_ERR_MEMORY,
                   "%.200s: out of memory: its weights need %.2f GB but %.2f GB are available; "
                   "'rbench predict' counts without loading",
                   name, (double)need / 1e9, (double)available / 1e9);
}

/* ---- results kept for the end ---- */

rb_status rb_kept_open(rb_kept *k, rb_error *err)
{
    *k = (rb_kept){ { calloc(1, sizeof **k->slowest), calloc(1, sizeof **k->slowest) }, { 0 } };
    return k->slowest[0] && k->slowest[1] ? RB_OK
                                          : rb_fail(err, RB_ERR_MEMORY, "no memory for a result");
}

void rb_kept_close(rb_kept *k)
{
    free(k->slowest[0]);
    free(k->slowest[1]);
    *k = (rb_kept){ 0 };
}

void rb_kept_add(rb_kept *k, const rb_result *r)
{
    int kind = r->test.n_gen > 0;
    if (k->has[kind] && rb_result_tps(r) > rb_result_tps(k->slowest[kind]))
        return;
    *k->slowest[kind] = *r;
    k->has[kind] = true;
}

void rb_kept_show(const rb_kept *k, rb_report *report, bool both)
{
    if (k->has[0] && (both || !k->has[1]))
        rb_report_kernels(report, k->slowest[0]);
    if (k->has[1])
        rb_report_kernels(report, k->slowest[1]);
}

void rb_kept_explain(const rb_kept *k, FILE *out, const rb_subject *subject)
{
    const rb_result *r[2];
    int n = 0;
    for (int i = 0; i < 2; i++) {
        if (k->has[i])
            r[n++] = k->slowest[i];
    }
    rb_explain(out, subject, r, n);
}
