/* rbench verify: self-checks of a model on this machine, a line each, and on demand a proof that
 * they can fail. Exit 3 if one fails, or if an injected fault survives.
 * What is checked stands in ../bench/verify.h. Read next: ../bench/verify.c. */
#include "progress.h"
#include "shared.h"

#include <errno.h>
#include <string.h>

static const rb_option options[] = {
    { .names = "--prove-red",
      .kind = RB_OPT_FLAG,
      .help = "inject known faults one at a time and show which check catches each" },
    RB_THREADS_OPTION(RB_OPT_INT, "N", RB_THREADS_HELP),
    { .names = "--isa",
      .kind = RB_OPT_WORD,
      .value = "ISA",
      .choices = RB_ISAS,
      .help = "highest instruction set to check (default: all of this CPU, or up to RBENCH_ISA)" },
    { .names = "--type",
      .kind = RB_OPT_WORD,
      .value = "TYPE",
      .choices = RB_MATRIX_TYPES,
      .listed = "convert",
      .help = "type of a preset's matrices (default: f16)" },
    { .names = "--no-roofs", .kind = RB_OPT_FLAG, .help = "do not measure roofs, nor check them" },
    { .names = "--progress",
      .kind = RB_OPT_FLAG,
      .help = "tell what runs, a line each, where stderr is no terminal" },
    RB_FORMAT_OPTION("md|json", "format of what was found"),
};

/* Weights of a preset are made up, and copies of its shapes serve as well where that takes long. */
static const uint64_t most_preset_bytes = 256u << 20;

typedef struct checkup {
    const rb_args *args;
    rb_model *shape, *model;
    rb_verify_params params;
    rb_roof_pool roofs;
    rb_progress progress;
    rb_finding found[RB_N_CHECK];
    rb_red red[RB_N_FAULT];
    bool md;
    int code;
} checkup;

static void tell(void *arg, const char *what)
{
    rb_progress_text(&((checkup *)arg)->progress, what);
}

/* ---- what is checked ---- */

/* The model with weights, if they fit and are worth having. */
static rb_status open_weights(checkup *v, const char *name, const rb_mix *mix, rb_error *err)
{
    const uint64_t need = rb_model_bytes(v->shape), available = rb_host_available();
    const bool made_up = !strcmp(v->shape->format, "preset");
    const rb_model_params params = { .mix = mix, .seed = 1, .n_threads = v->params.n_threads };
    if (made_up && need > most_preset_bytes)
        return RB_OK;
    if (available && need > available / 2) {
        rb_complain("%s: its weights do not fit into half of the memory that is free: small copies "
                    "of its shapes are run instead",
                    name);
        return RB_OK;
    }
    tell(v, "opening the model");
    const rb_status st = rb_model_open(&v->model, name, &params, err);
    return st == RB_OK ? rb_model_pack(v->model, err) : st;
}

static rb_status open_model(checkup *v, rb_error *err)
{
    const char *name = v->args->arg[0], *type = rb_opt_text(v->args, "--type");
    const rb_mix *mix = type ? rb_mix_by_name(type) : NULL;
    const rb_model_params dry = { .dry = true, .mix = mix, .seed = 1 };
    rb_status st = rb_model_open(&v->shape, name, &dry, err);
    if (st == RB_OK)
        st = rb_model_pack(v->shape, err);
    return st == RB_OK ? open_weights(v, name, mix, err) : st;
}

/* ---- checking ---- */

static rb_status check_all(checkup *v, rb_evidence *e, rb_error *err)
{
    rb_status st = RB_OK;
    for (int c = 0; c < RB_N_CHECK && st == RB_OK; c++) {
        rb_finding *f = &v->found[c];
        st = rb_evidence_gather(e, (rb_check)c, err);
        if (st != RB_OK)
            break;
        rb_judge(e, (rb_check)c, RB_FAULT_NONE, f);
        rb_progress_clear(&v->progress);
        if (v->md)
            rb_finding_write(stdout, (rb_check)c, f);
        v->code = f->verdict == RB_FAILED ? RB_EXIT_SELFCHECK : v->code;
    }
    return st;
}

static rb_status inject_all(checkup *v, const rb_evidence *e, rb_error *err)
{
    tell(v, "injecting faults");
    const rb_status st = rb_prove_red(e, RB_ALL_CHECKS, v->red, err);
    rb_progress_clear(&v->progress);
    for (int f = RB_FAULT_NONE + 1; f < RB_N_FAULT && st == RB_OK; f++)
        v->code = v->red[f].verdict == RB_PASSED ? RB_EXIT_SELFCHECK : v->code;
    if (st == RB_OK && v->md) {
        puts("");
        rb_red_write(stdout, v->red);
    }
    return st;
}

static rb_status check_model(checkup *v, rb_error *err)
{
    rb_evidence *e = NULL;
    rb_status st = open_model(v, err);
    if (st == RB_OK)
        st = rb_evidence_open(&e, v->shape, v->model, &v->params, err);
    if (st == RB_OK)
        st = check_all(v, e, err);
    if (st == RB_OK && v->params.faults)
        st = inject_all(v, e, err);
    const rb_verified all = { .shape = v->shape,
                              .params = &v->params,
                              .filename = v->args->arg[0],
                              .commit = RB_COMMIT,
                              .found = v->found,
                              .red = v->params.faults ? v->red : NULL };
    if (st == RB_OK && !v->md)
        st = rb_verified_json(stdout, &all, err);
    else if (st == RB_OK && ferror(stdout))
        st = rb_fail(err, RB_ERR_IO, "cannot write what was found: %s", strerror(errno));
    rb_progress_clear(&v->progress);
    rb_evidence_close(e);
    rb_model_close(v->model);
    rb_model_close(v->shape);
    return st;
}

static rb_status params_of(checkup *v, rb_error *err)
{
    const rb_args *args = v->args;
    const bool none = rb_opt_flag(args, "--no-roofs");
    bool capped;
    v->md = !strcmp(rb_opt_text(args, "-o"), "md");
    v->progress = rb_progress_make(rb_opt_flag(args, "--progress"), false, NULL);
    v->params = (rb_verify_params){ .n_threads = rb_threads_of(args),
                                    .roofs = none ? NULL : &v->roofs,
                                    .no_roofs = "--no-roofs",
                                    .faults = rb_opt_flag(args, "--prove-red"),
                                    .stop = rb_stop,
                                    .progress = tell,
                                    .arg = v };
    return rb_isa_of(rb_opt_text(args, "--isa"), &v->params.isa, &capped, err);
}

static int run_verify(const rb_args *args)
{
    checkup v = { .args = args };
    rb_error err = { 0 };
    if (args->n != 1) {
        rb_complain("verify wants one MODEL or preset ('rbench synth --list')");
        return RB_EXIT_USAGE;
    }
    rb_catch_signals();
    rb_host_pin_threads();
    rb_status st = params_of(&v, &err);
    if (st == RB_OK)
        st = check_model(&v, &err);
    rb_roof_pool_close(&v.roofs);
    if (st == RB_OK)
        return v.code;
    return rb_refused(&err);
}

const rb_command rb_cmd_verify = {
    .name = "verify",
    .usage = "MODEL [--prove-red] [options]",
    .about = "Checks MODEL on this machine: counts equal closed forms of the whole model; kernels "
             "do and touch what is counted (the counting build); instruction sets, orders of "
             "attention and ways to feed tokens give the same logits; measured roofs stand to "
             "each other as they must. Exit 3 if one check fails. --prove-red then makes one "
             "claim after the other wrong, as papers and tools have published them, and shows "
             "which check catches it.",
    .what = "self-checks on this machine, and a proof that they can fail",
    .example = "smollm2-135m\tevery check\n"
               "model.gguf --prove-red\tand that each can fail\n",
    .option = options,
    .n_option = sizeof options / sizeof *options,
    .run = run_verify,
};
