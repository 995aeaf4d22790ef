/* Shapes of known models, by name, from their published configs: a real file overrides them.
 * No weights here (synth.c makes those).
 * Read next: synth.c. */
#include "model.h"

#include <string.h>

#define HEADS(n, n_kv, d) .n_head = n, .n_head_kv = n_kv, .d_head_k = d, .d_head_v = d, .d_rot = d
#define MHA(n, d, rot)    .n_head = n, .n_head_kv = n, .d_head_k = d, .d_head_v = d, .d_rot = rot
#define LLAMA             .arch = RB_ARCH_LLAMA, .rope_pairing = RB_ROPE_NORM, .norm_eps = 1e-5f
#define QWEN2_AS(a)                                                                                \
    .arch = a, .rope_pairing = RB_ROPE_NEOX, .norm_eps = 1e-6f, .qkv_bias = true, .rope_base = 1e6f
#define QWEN3_AS(a)                                                                                \
    .arch = a, .rope_pairing = RB_ROPE_NEOX, .norm_eps = 1e-6f, .qk_norm = true, .rope_base = 1e6f
#define QWEN2 QWEN2_AS(RB_ARCH_QWEN2)
#define QWEN3 QWEN3_AS(RB_ARCH_QWEN3)
#define GPTNEOX                                                                                    \
    .arch = RB_ARCH_GPTNEOX, .rope_pairing = RB_ROPE_NEOX, .norm = RB_NORM_LAYER,                  \
    .ffn = RB_FFN_GELU, .linear_bias = true, .parallel_residual = true, .norm_eps = 1e-5f,         \
    .rope_base = 1e4f
#define PLM                                                                                        \
    .arch = RB_ARCH_PLM, .rope_pairing = RB_ROPE_NORM, .ffn = RB_FFN_RELU2, .norm_eps = 1e-6f,     \
    .rope_base = 1e5f
#define DEEPSEEK2                                                                                  \
    .arch = RB_ARCH_DEEPSEEK2, .rope_pairing = RB_ROPE_NORM, .norm_eps = 1e-6f, .rope_base = 1e4f, \
    .mla_split = true
/* n heads, of nope + rot columns for q and k and of v for v, out of a latent. */
#define LATENT(n, q_rank, rank, nope, rot, v)                                                      \
    .n_head = n, .n_head_kv = n, .q_lora_rank = q_rank, .kv_lora_rank = rank,                      \
    .d_head_k = (nope) + (rot), .d_head_v = v, .d_rot = rot
#define EXPERTS(n, used, ff, shared)                                                               \
    .n_expert = n, .n_expert_used = used, .n_ff_expert = ff, .n_ff_shared = shared,                \
    .expert_scale = 1
#define YARN(x, ctx, log)                                                                          \
    .rope_scaling = { .kind = RB_SCALING_YARN,                                                     \
                      .factor = x,                                                                 \
                      .n_ctx_train = ctx,                                                          \
                      .beta_fast = 32,                                                             \
                      .beta_slow = 1,                                                              \
                      .attn_factor = 1,                                                            \
                      .log_mul = log }
#define SHAPE(layers, embd, ff, vocab, ctx)                                                        \
    .n_layer = layers, .n_embd = embd, .n_ff = ff, .n_vocab = vocab, .n_ctx_train = ctx

static const rb_config presets[] = {
    { LLAMA, .name = "tiny", SHAPE(4, 64, 192, 256, 512), HEADS(4, 2, 16), .rope_base = 1e4f },
    { LLAMA, .name = "smollm2-135m", SHAPE(30, 576, 1536, 49152, 8192), HEADS(9, 3, 64),
      .rope_base = 1e5f, .tied = true },
    { LLAMA, .name = "smollm2-360m", SHAPE(32, 960, 2560, 49152, 8192), HEADS(15, 5, 64),
      .rope_base = 1e5f, .tied = true },
    { LLAMA, .name = "smollm2-1.7b", SHAPE(24, 2048, 8192, 49152, 8192), HEADS(32, 32, 64),
      .rope_base = 130000, .tied = true },
    { LLAMA, .name = "fox1-1.6b", SHAPE(32, 2048, 5632, 256000, 8192), HEADS(16, 4, 128),
      .rope_base = 1e4f, .tied = true },
    { LLAMA, .name = "llama3.2-1b", SHAPE(16, 2048, 8192, 128256, 131072), HEADS(32, 8, 64),
      .rope_base = 5e5f, .tied = true, .rope_freqs = true },
    { LLAMA, .name = "llama3.1-8b", SHAPE(32, 4096, 14336, 128256, 131072), HEADS(32, 8, 128),
      .rope_base = 5e5f, .rope_freqs = true },
    { LLAMA, .name = "llama3.1-70b", SHAPE(80, 8192, 28672, 128256, 131072), HEADS(64, 8, 128),
      .rope_base = 5e5f, .rope_freqs = true },
    { QWEN2, .name = "qwen2.5-0.5b", SHAPE(24, 896, 4864, 151936, 32768), HEADS(14, 2, 64),
      .tied = true },
    { QWEN2, .name = "qwen2.5-1.5b", SHAPE(28, 1536, 8960, 151936, 131072), HEADS(12, 2, 128),
      .tied = true },
    { QWEN2, .name = "qwen2.5-7b", SHAPE(28, 3584, 18944, 152064, 131072), HEADS(28, 4, 128) },
    { QWEN3, .name = "qwen3-0.6b", SHAPE(28, 1024, 3072, 151936, 40960), HEADS(16, 8, 128),
      .tied = true },
    { LLAMA, .name = "mixtral-8x7b", SHAPE(32, 4096, 14336, 32000, 32768), HEADS(32, 8, 128),
      .rope_base = 1e6f, EXPERTS(8, 2, 14336, 0), .expert_renorm = true },
    { QWEN2_AS(RB_ARCH_QWEN2MOE), .name = "qwen1.5-moe-a2.7b", SHAPE(24, 2048, 5632, 151936, 8192),
      HEADS(16, 16, 128), EXPERTS(60, 4, 1408, 5632), .shared_gate = true },
    { QWEN3_AS(RB_ARCH_QWEN3MOE), .name = "qwen3-30b-a3b", SHAPE(48, 2048, 6144, 151936, 40960),
      HEADS(32, 4, 128), EXPERTS(128, 8, 768, 0), .expert_renorm = true },
    { GPTNEOX, .name = "pythia-160m", SHAPE(12, 768, 3072, 50304, 2048), MHA(12, 64, 16) },
    { GPTNEOX, .name = "pythia-410m", SHAPE(24, 1024, 4096, 50304, 2048), MHA(16, 64, 16) },
    { PLM, .name = "plm-1.8b", SHAPE(32, 2048, 8192, 151936, 4096),
      LATENT(16, 0, 512, 128, 64, 128), .tied = true },
    { DEEPSEEK2, .name = "minicpm3-4b", /* its shape: it scales embeddings and branches besides */
      SHAPE(62, 2560, 6400, 73448, 32768), LATENT(40, 768, 256, 64, 32, 64), .tied = true },
    { DEEPSEEK2, .name = "deepseek-v2-lite", SHAPE(27, 2048, 10944, 102400, 163840),
      LATENT(16, 0, 512, 128, 64, 128), EXPERTS(64, 6, 1408, 2816), .n_dense_lead = 1,
      YARN(40, 4096, 0.0707f) },
    { QWEN3, .name = "qwen3-8b", SHAPE(36, 4096, 12288, 151936, 40960), HEADS(32, 8, 128) },
};

int rb_preset_count(void)
{
    return sizeof presets / sizeof *presets;
}

const rb_config *rb_preset_get(int i)
{
    return &presets[i];
}

const rb_config *rb_preset_find(const char *name)
{
    for (int i = 0; i < rb_preset_count(); i++)
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    return NULL;
}
