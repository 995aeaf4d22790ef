/* Fuzzes the whole way from GGUF bytes to a loaded model: libFuzzer, clang, sanitizers.
 * build/fuzz/gguf is the corpus, seeded with small models of every architecture.
 * Read next: fuzz_seeds.h, ../models/gguf_read.c. */
#include "fuzz_seeds.h"

/* One layer, 32 wide: small, yet every block of 32 fits. */
static rb_config seed_config(rb_arch arch)
{
    rb_config c = { .name = "seed",
                    .n_layer = 1,
                    .n_embd = 32,
                    .n_ff = 32,
                    .n_vocab = 4,
                    .n_head = 4,
                    .n_head_kv = 2,
                    .d_head_k = 8,
                    .d_head_v = 8,
                    .d_rot = 8,
                    .n_ctx_train = 16,
                    .norm_eps = 1e-5f,
                    .rope_base = 1e4f,
                    .rope_freqs = arch == RB_ARCH_LLAMA,
                    .tied = arch == RB_ARCH_QWEN3 };
    rb_config_set_arch(&c, arch);
    if (arch == RB_ARCH_GPTNEOX)
        c.n_head_kv = c.n_head;
    if (arch == RB_ARCH_PLM || arch == RB_ARCH_DEEPSEEK2) {
        c.n_head_kv = c.n_head;
        c.kv_lora_rank = 32;
        c.d_rot = 4;
        c.mla_split = arch == RB_ARCH_DEEPSEEK2;
        c.q_lora_rank = c.mla_split ? 32 : 0;
    }
    if (arch >= RB_ARCH_QWEN2MOE && arch != RB_ARCH_GPTNEOX && arch != RB_ARCH_PLM) {
        c.n_expert = 2;
        c.n_expert_used = 1;
        c.n_ff_expert = 32;
        c.n_ff_shared = arch == RB_ARCH_QWEN3MOE ? 0 : 32;
        c.expert_bias = c.experts_fused = arch == RB_ARCH_DEEPSEEK2;
    }
    return c;
}

/* A model whose attention was converted, and whose file says so. */
static void write_converted(rb_arch arch, const char *form, const char *corpus)
{
    char path[256];
    rb_attn_form f;
    rb_model *m, *to;
    const rb_config c = seed_config(arch);
    snprintf(path, sizeof path, "%s/seed-%d-%s", corpus, (int)arch, form);
    if (rb_attn_form_parse(&f, form, NULL) != RB_OK ||
        rb_model_synth(&m, &c, RB_F16, 1, false, NULL) != RB_OK ||
        rb_attn_convert(&to, m, &f, NULL, NULL) != RB_OK ||
        rb_gguf_write(to, path, NULL, NULL) != RB_OK)
        abort();
    rb_model_close(m);
    rb_model_close(to);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const rb_dtype type[] = { RB_F16, RB_Q4_0 };
    static const char *const form[] = { "lrkv:16", "mla:16:4", "mla", "gha:2", "gva:2" };
    enum { N_FORM = sizeof form / sizeof *form };
    const char *corpus = fuzz_corpus(argc, argv, "gguf", 0);
    for (int arch = 0; corpus && arch < RB_N_ARCH; arch++)
        for (int t = 0; t < 2; t++) {
            char path[256];
            rb_model *m;
            rb_config c = seed_config((rb_arch)arch);
            snprintf(path, sizeof path, "%s/seed-%d-%d", corpus, arch, t);
            if (rb_model_synth(&m, &c, type[t], 1, false, NULL) != RB_OK ||
                rb_gguf_write(m, path, NULL, NULL) != RB_OK)
                abort();
            rb_model_close(m);
        }
    for (int i = 0; corpus && i < N_FORM; i++)
        write_converted(i % 2 ? RB_ARCH_QWEN2 : RB_ARCH_LLAMA, form[i], corpus);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rb_model *m = NULL;
    rb_error err = { 0 };
    rb_status status =
        rb_model_from_gguf(&m, rb_source_memory("fuzz", data, size), NULL, false, &err);
    fuzz_use(status, m, &err);
    return 0;
}
