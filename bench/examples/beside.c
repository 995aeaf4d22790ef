/* Runs what the examples bring beside what rbench has: proves it, then benchmarks both in turns on
 * a synthetic model, with counts, times and places under this machine's roofs. Usage: beside
 * gelu_exp|tied_kv [--dry] [PRESET [key=value ...]]; --dry: counts alone, no times. Exits 3 where a
 * proof is red. Read next: gelu_exp.c, tied_kv.c, README.md. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"

RB_KERNEL_FILE(gelu_exp);

enum { USAGE = 2, RED = 3, N_TEST = 4, PROBLEMS = 24, N_PROMPT = 32 };

/* Which example, on what: d_rot of tied_kv is the half of a head that it rotates. */
typedef struct example {
    const char *name, *preset, *set;
    const rb_attn_variant *variant;
} example;
static const example examples[] = {
    { "gelu_exp", "pythia-160m", "n_layer=2", NULL },
    { "tied_kv", "smollm2-135m", "d_rot=32", &tied_kv },
};

static rb_status make_model(rb_model **m, const example *e, int n, char **arg, rb_error *err)
{
    const char *name = n > 0 ? arg[0] : e->preset;
    const rb_config *preset = rb_preset_find(name);
    if (!preset)
        return rb_fail(err, RB_ERR_ARGUMENT, "%s: no such preset ('rbench synth --list')", name);
    rb_config config = *preset;
    rb_status status = rb_config_set(&config, e->set, err);
    for (int i = 1; i < n && status == RB_OK; i++)
        status = rb_config_set(&config, arg[i], err);
    return status == RB_OK ? rb_model_synth(m, &config, RB_F16, 1, false, err) : status;
}

/* ---- proofs ---- */

static bool tell(const char *what, const rb_finding *f)
{
    static const char *const verdict[] = { "proven", "RED", "skipped" };
    printf("%s: %s: %s\n", what, verdict[f->verdict], f->text);
    return f->verdict != RB_FAILED;
}

/* Whether nothing is red. */
static bool prove(const rb_model *m, const rb_outside *own, bool *green, rb_error *err)
{
    rb_session_params how = rb_session_defaults();
    rb_finding f;
    how.registry = own->registry;
    how.variant = own->variant;
    *green = true;
    if (own->registry) {
        rb_prove_rows(own->registry, PROBLEMS, &f);
        *green = tell("rows", &f);
    }
    if (rb_prove_session(m, &how, &f, err) != RB_OK)
        return false;
    *green &= tell("session", &f);
    return true;
}

/* ---- values ---- */

static rb_status open_run(rb_session **s, const rb_model *m, const rb_registry *r, rb_error *err)
{
    int32_t ids[N_PROMPT];
    rb_session_params p = rb_session_defaults();
    p.registry = r;
    p.act_f32 = true;
    p.type_k = p.type_v = RB_F32;
    for (int i = 0; i < N_PROMPT; i++)
        ids[i] = (int32_t)((7 * i + 3) % m->config.n_vocab);
    const rb_status status = rb_session_open(s, m, &p, err);
    return status == RB_OK ? rb_session_run(*s, RB_PREFILL, ids, N_PROMPT, false, err) : status;
}

/* How far the logits of a prompt are from those that rbench computes by itself. */
static rb_status compare_logits(const rb_model *m, const rb_registry *r, rb_error *err)
{
    rb_session *own = NULL, *plain = NULL;
    double most = 0, largest = 0;
    rb_status status = open_run(&own, m, r, err);
    if (status == RB_OK)
        status = open_run(&plain, m, NULL, err);
    for (int64_t i = 0; status == RB_OK && i < m->config.n_vocab; i++) {
        const double a = rb_session_logits(own)[i], b = rb_session_logits(plain)[i];
        most = fmax(most, fabs(a - b));
        largest = fmax(largest, fabs(b));
    }
    if (status == RB_OK)
        printf("logits: within %.1e of rbench's own, of %.3g at most\n", most, largest);
    rb_session_close(own);
    rb_session_close(plain);
    return status;
}

/* ---- beside rbench's own ---- */

/* A prompt and steps of decode after it, by rbench as it is (outside 0) and by what is brought. */
static void fill_plan(rb_test test[N_TEST], const rb_model *m)
{
    rb_isa isa = RB_ISA_SCALAR;
    bool capped = false;
    rb_isa_detect(&isa, &capped, NULL);
    for (int i = 0; i < N_TEST; i++)
        test[i] = (rb_test){ .outside = i % 2,
                             .n_prompt = i < 2 ? 256 : 0,
                             .n_gen = i < 2 ? 0 : 16,
                             .n_depth = i < 2 ? 0 : 1024,
                             .n_seq = 1,
                             .n_layer = m->config.n_layer,
                             .n_batch = 512,
                             .n_ubatch = 512,
                             .n_threads = rb_host_threads(),
                             .type_k = RB_F16,
                             .type_v = RB_F16,
                             .isa = isa,
                             .capped = capped };
}

typedef struct shown {
    rb_report *rep;
    rb_result *step[2]; /* the tests of decode: theirs, then ours */
} shown;

static void show_row(void *arg, int i, const rb_result *r)
{
    const shown *to = arg;
    rb_report_row(to->rep, r, i);
    if (i >= N_TEST - 2)
        *to->step[i - (N_TEST - 2)] = *r;
}

/* Where each kernel of a step stands, once all rows are there. */
static void show_kernels(const shown *to)
{
    for (int i = 0; i < 2; i++)
        if (to->step[i]->error[0] == '\0' && !to->step[i]->dry)
            rb_report_kernels(to->rep, to->step[i]);
}

static rb_status measure(rb_model *m, const rb_outside *own, bool dry, rb_error *err)
{
    char cpu[128];
    rb_test test[N_TEST];
    const rb_plan plan = { test, N_TEST };
    rb_roof_pool roofs = { 0 };
    rb_bench *b = NULL;
    shown to = { .step = { calloc(1, sizeof(rb_result)), calloc(1, sizeof(rb_result)) } };
    const rb_bench_params params = { .n_reps = 6,
                                     .warmup = true,
                                     .dry = dry,
                                     .seed = 1,
                                     .roofs = dry ? NULL : &roofs,
                                     .outside = own,
                                     .n_outside = 1,
                                     .no_dram = true };
    const rb_subject subject = { .filename = m->config.name,
                                 .model = m,
                                 .outside = own,
                                 .cpu = rb_host_cpu(cpu, sizeof cpu),
                                 .commit = "",
                                 .roofs = !dry,
                                 .seed = 1 };
    fill_plan(test, m);
    if (!to.step[0] || !to.step[1])
        exit(EXIT_FAILURE);
    rb_status status = rb_report_open(&to.rep, stdout, RB_FORMAT_MD, err);
    if (status == RB_OK)
        status = rb_report_subject(to.rep, &subject, &plan, 0, dry, err);
    if (status == RB_OK)
        status = rb_bench_open(&b, m, m, &params, err);
    const rb_sink sink = { .row = show_row, .arg = &to };
    if (status == RB_OK)
        status = rb_bench_run(b, &plan, &sink, err);
    if (status == RB_OK)
        show_kernels(&to);
    rb_bench_close(b);
    rb_roof_pool_close(&roofs);
    const rb_status written = rb_report_close(to.rep, err);
    free(to.step[0]);
    free(to.step[1]);
    return status == RB_OK ? written : status;
}

/* Proves, and measures where nothing is red. */
static rb_status show(rb_model *m, const rb_outside *own, bool dry, bool *green, rb_error *err)
{
    if (!prove(m, own, green, err))
        return err->status;
    rb_status status = RB_OK;
    if (*green && own->registry)
        status = compare_logits(m, own->registry, err);
    return status == RB_OK && *green ? measure(m, own, dry, err) : status;
}

static int run(const example *e, bool dry, int n, char **arg)
{
    rb_error err = { 0 };
    rb_model *m = NULL;
    rb_registry *registry = NULL;
    bool green = false;
    rb_status status = make_model(&m, e, n, arg, &err);
    if (status == RB_OK && !e->variant)
        status = rb_registry_open(&registry, &err);
    if (registry)
        status = rb_register(registry, gelu_exp, &err);
    const rb_outside own = { .name = e->name, .registry = registry, .variant = e->variant };
    if (status == RB_OK && m)
        status = show(m, &own, dry, &green, &err);
    rb_model_close(m);
    rb_registry_close(registry);
    if (status != RB_OK)
        fprintf(stderr, "beside: %s\n", err.text);
    return status != RB_OK ? EXIT_FAILURE : green ? EXIT_SUCCESS : RED;
}

int main(int argc, char **argv)
{
    const bool dry = argc > 2 && strcmp(argv[2], "--dry") == 0;
    const int first = dry ? 3 : 2;
    for (size_t i = 0; argc > 1 && i < sizeof examples / sizeof *examples; i++)
        if (strcmp(argv[1], examples[i].name) == 0)
            return run(&examples[i], dry, argc - first, argv + first);
    fprintf(stderr, "usage: beside gelu_exp|tied_kv [--dry] [PRESET [key=value ...]]\n");
    return USAGE;
}
