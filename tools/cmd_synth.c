/* rbench synth: writes a model of a known or a given shape with seeded random weights, for speed
 * and counts that depend on the shape alone. It trains nothing.
 * Read next: ../models/models.h. */
#include "shared.h"

#include <stdlib.h>
#include <string.h>

static const rb_option options[] = {
    { .names = "-o, --output",
      .kind = RB_OPT_TEXTS,
      .value = "FILE",
      .help = "GGUF file to write; replaced when complete" },
    { .names = "--set",
      .kind = RB_OPT_TEXTS,
      .value = "KEY=VALUE",
      .help = "change the shape, repeatable; an unknown KEY lists all, such as arch n_layer n_embd "
              "n_ff n_head n_head_kv d_head kv_lora_rank n_expert n_expert_used rope_scaling" },
    { .names = "--type",
      .kind = RB_OPT_WORD,
      .value = "TYPE",
      .preset = "f16",
      .choices = RB_MATRIX_TYPES,
      .listed = "convert",
      .help = "type of the matrices" },
    { .names = "--like",
      .kind = RB_OPT_WORD,
      .value = "FILE",
      .help = "the shape of a model file, each tensor in its type there: the same counts and "
              "speed without its weights (no PRESET, --set or --type then)" },
    { .names = "--seed",
      .kind = RB_OPT_INT,
      .value = "N",
      .preset = "1",
      .max = INT64_MAX,
      .help = "of the weights" },
    { .names = "--list", .kind = RB_OPT_FLAG, .help = "list the presets" },
};

/* "14/2", or of latent attention heads and rank: "16 r512". */
static void heads_text(const rb_config *c, char *buf, size_t size)
{
    snprintf(buf, size, rb_config_is_mla(c) ? "%lld r%lld" : "%lld/%lld", (long long)c->n_head,
             (long long)(rb_config_is_mla(c) ? c->kv_lora_rank : c->n_head_kv));
}

/* "6 of 64 x 1408 + 2816": chosen, all, their width, the shared one's. */
static void experts_text(const rb_config *c, char *buf, size_t size)
{
    buf[0] = 0;
    if (c->n_expert)
        snprintf(buf, size, c->n_ff_shared ? "%lld of %lld x %lld + %lld" : "%lld of %lld x %lld",
                 (long long)c->n_expert_used, (long long)c->n_expert, (long long)c->n_ff_expert,
                 (long long)c->n_ff_shared);
}

static int list_presets(void)
{
    printf("%-17s %-9s %6s %6s %7s %6s %7s  %-15s  %s\n", "preset", "arch", "layers", "width",
           "heads", "ffn", "vocab", "head of its own", "experts");
    for (int i = 0; i < rb_preset_count(); i++) {
        const rb_config *c = rb_preset_get(i);
        char heads[32], experts[64];
        heads_text(c, heads, sizeof heads);
        experts_text(c, experts, sizeof experts);
        printf("%-17s %-9s %6lld %6lld %7s %6lld %7lld  %-15s  %s\n", c->name,
               rb_arch_name[c->arch], (long long)c->n_layer, (long long)c->n_embd, heads,
               (long long)c->n_ff, (long long)c->n_vocab, c->tied ? "no" : "yes", experts);
    }
    return RB_EXIT_OK;
}

/* A shape from nothing: what --set leaves out follows from the rest. */
static rb_config blank_config(void)
{
    return (rb_config){ .name = "custom",
                        .arch = RB_ARCH_LLAMA,
                        .n_ctx_train = 2048,
                        .norm_eps = 1e-5f,
                        .rope_base = 10000 };
}

static void complete(rb_config *c)
{
    int64_t head = c->n_head > 0 ? c->n_embd / c->n_head : 0;
    c->n_head_kv = c->n_head_kv ? c->n_head_kv : c->n_head;
    c->d_head_k = c->d_head_k ? c->d_head_k : head;
    c->d_head_v = c->d_head_v ? c->d_head_v : head;
    c->d_rot = c->d_rot ? c->d_rot : c->d_head_k;
}

static rb_status config_of(const rb_args *args, rb_config *c, rb_error *err)
{
    const rb_opt_value *set = rb_opt_get(args, "--set");
    const rb_config *preset = args->n ? rb_preset_find(args->arg[0]) : NULL;
    if (args->n && !preset)
        return rb_fail(err, RB_ERR_ARGUMENT, "no preset '%.60s'; see 'rbench synth --list'",
                       args->arg[0]);
    *c = preset ? *preset : blank_config();
    for (int i = 0; i < set->n; i++) {
        rb_status st = rb_config_set(c, set->text[i], err);
        if (st != RB_OK)
            return st;
    }
    complete(c);
    return rb_config_check(c, err);
}

/* What is to be written, without weights yet. */
static rb_status shape_of(rb_model **shape, const rb_args *args, rb_error *err)
{
    const rb_model_params dry = { .dry = true };
    rb_config c;
    if (rb_opt_text(args, "--like"))
        return rb_model_open(shape, rb_opt_text(args, "--like"), &dry, err);
    const rb_status st = config_of(args, &c, err);
    if (st != RB_OK)
        return st;
    return rb_model_synth_mix(shape, &c, rb_mix_by_name(rb_opt_text(args, "--type")), 1, true, err);
}

static rb_status check_memory(const rb_model *shape, rb_error *err)
{
    const uint64_t available = rb_host_available(), bytes = rb_model_bytes(shape);
    if (!available || bytes <= available)
        return RB_OK;
    return rb_fail(err, RB_ERR_MEMORY,
                   "out of memory: the weights need %.2f GB but %.2f GB are available",
                   (double)bytes / 1e9, (double)available / 1e9);
}

/* Every type is the shape's. */
static rb_status write_model(const rb_args *args, const rb_model *shape, rb_error *err)
{
    const char *path = rb_opt_text(args, "-o");
    rb_model *model = NULL;
    rb_status st = check_memory(shape, err);
    if (st == RB_OK)
        st = rb_model_synth_like(&model, shape, (uint64_t)rb_opt_int(args, "--seed"), false, err);
    rb_catch_signals(); /* until here nothing would be left behind */
    if (st == RB_OK)
        st = rb_gguf_write(model, path, rb_stop, err);
    if (st == RB_OK)
        fprintf(stderr, "%s: %s, %lld layers, %.2f M parameters, %s, %.2f MB of weights\n", path,
                shape->config.name, (long long)shape->config.n_layer, (double)model->n_params / 1e6,
                rb_opt_text(args, "--like") ? "types as there" : rb_opt_text(args, "--type"),
                (double)rb_model_bytes(shape) / 1e6);
    rb_model_close(model);
    return st;
}

static int run_synth(const rb_args *args)
{
    const bool like = rb_opt_text(args, "--like") != NULL;
    const bool shaped = args->n || rb_opt_get(args, "--set")->n;
    rb_model *shape = NULL;
    rb_error err = { 0 };
    if (rb_opt_flag(args, "--list"))
        return list_presets();
    if (like && (shaped || rb_opt_get(args, "--type")->given)) {
        rb_complain("--like: the file has the shape and the types; no PRESET, --set or --type");
        return RB_EXIT_USAGE;
    }
    if ((!shaped && !like) || args->n > 1 || !rb_opt_text(args, "-o")) {
        rb_complain("synth wants a PRESET, --set KEY=VALUE or --like FILE, and -o FILE; see "
                    "'rbench synth --help'");
        return RB_EXIT_USAGE;
    }
    rb_status st = shape_of(&shape, args, &err);
    const int code = st == RB_ERR_ARGUMENT && !like ? RB_EXIT_USAGE : RB_EXIT_FAILED;
    if (st == RB_OK)
        st = write_model(args, shape, &err);
    rb_model_close(shape);
    if (st == RB_OK)
        return RB_EXIT_OK;
    rb_complain("%s", err.text);
    return code;
}

const rb_command rb_cmd_synth = {
    .name = "synth",
    .usage =
        "PRESET -o FILE [options]   or   --set KEY=VALUE ... -o FILE   or   --like FILE -o FILE",
    .about = "Writes a GGUF model with seeded random weights, of a known shape, of any other, or "
             "of that of a file.",
    .what = "write a seeded random model of a known shape",
    .example = "--list\tthe shapes that it knows\n"
               "qwen2.5-0.5b --type q8_0 -o model.gguf\tone of them\n"
               "tiny --set n_layer=12 -o model.gguf\tone changed\n",
    .option = options,
    .n_option = sizeof options / sizeof *options,
    .run = run_synth,
};
