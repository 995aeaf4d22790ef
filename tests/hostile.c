/* Hostile GGUF files: see hostile.h.
 * Refuses to let a refusal pass that is silent, long-winded or about something else.
 * Read next: files.c. */
#include "hostile.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

rb_status open_bytes(const blob *b, rb_error *err)
{
    rb_model *m = NULL;
    rb_status status =
        rb_model_from_source(&m, rb_source_memory("test.gguf", b->data, b->n), NULL, false, err);
    cr_assert_eq(status == RB_OK, m != NULL);
    rb_model_close(m);
    return status;
}

void expect_refused(const blob *b, rb_status want, const char *word)
{
    rb_error err = { 0 };
    rb_status status = open_bytes(b, &err);
    cr_assert_eq(status, want, "wanted '%s', got %d: %s", word, status, err.text);
    cr_assert_eq(err.status, want);
    cr_assert(strstr(err.text, word), "wanted '%s' in: %s", word, err.text);
    cr_assert(strstr(err.text, "test.gguf"), "%s", err.text);
    cr_assert_null(strchr(err.text, '\n'));
}

void expect_file_refused(gguf_file *g, rb_status want, const char *word)
{
    blob b = gguf_bytes(g);
    expect_refused(&b, want, word);
    blob_free(&b);
    gguf_free(g);
}

void expect_noise_survived(gguf_file *g, int rounds, uint64_t *state)
{
    blob good = gguf_bytes(g);
    const size_t directory = good.n - g->data;
    uint8_t *broken = malloc(good.n);
    for (int round = 0; round < rounds; round++) {
        memcpy(broken, good.data, good.n);
        for (int flips = 0; flips < 1 + round % 4; flips++) {
            *state = *state * 6364136223846793005u + 1442695040888963407u;
            broken[(*state >> 33) % directory] = (uint8_t)(*state >> 24);
        }
        rb_error err = { 0 };
        blob b = { broken, good.n, good.n };
        if (open_bytes(&b, &err) != RB_OK)
            cr_assert(strlen(err.text) > 10 && !strchr(err.text, '\n'));
    }
    free(broken);
    blob_free(&good);
    gguf_free(g);
}

/* ---- families ---- */

static void drop_if_there(gguf_file *g, const char *key)
{
    for (int i = 0; i < g->have_kv; i++)
        if (g->kv[i].data[0] == strlen(key) && !memcmp(g->kv[i].data + 8, key, strlen(key))) {
            gguf_drop_kv(g, key);
            return;
        }
}

void gguf_set_u32(gguf_file *g, const char *key, uint32_t value)
{
    drop_if_there(g, key);
    gguf_kv_u32(g, key, value);
}

void gguf_set_u64(gguf_file *g, const char *key, uint64_t value)
{
    drop_if_there(g, key);
    gguf_kv_uint(g, key, RB_GGUF_U64, value, 8);
}

void gguf_set_f32(gguf_file *g, const char *key, float value)
{
    drop_if_there(g, key);
    gguf_kv_f32(g, key, value);
}

void gguf_add_stack(gguf_file *g, const char *name, uint64_t ne0, uint64_t ne1, uint64_t ne2)
{
    gguf_add_tensor(g, name, ne0, ne1 * ne2, 0);
    gguf_tensor *t = gguf_find(g, name);
    t->n_dim = 3;
    t->ne[1] = ne1;
    t->ne[2] = ne2;
}

typedef struct extra {
    const char *name;
    uint32_t ne0, ne1, ne2; /* of a key: ne0 is its value */
} extra;

static void add_tensors(gguf_file *g, const extra *t, int n)
{
    char name[64];
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "blk.0.%s", t[i].name);
        if (t[i].ne2)
            gguf_add_stack(g, name, t[i].ne0, t[i].ne1, t[i].ne2);
        else
            gguf_add_tensor(g, name, t[i].ne0, t[i].ne1, 0);
    }
}

static void set_keys(gguf_file *g, const char *arch, const extra *key, int n)
{
    char name[96];
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%s.%s", arch, key[i].name);
        gguf_set_u32(g, name, key[i].ne0);
    }
}

static void drop_tensors(gguf_file *g, const char *const *suffix, int n)
{
    char name[64];
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "blk.0.%s", suffix[i]);
        gguf_drop_tensor(g, name);
    }
}

#define N(a) (int)(sizeof(a) / sizeof *(a))

static void make_latent(gguf_file *g, const char *arch)
{
    static const char *const plain[] = { "attn_q.weight", "attn_k.weight", "attn_v.weight",
                                         "attn_output.weight" };
    static const extra key[] = { { "attention.head_count_kv", 2, 0, 0 },
                                 { "attention.kv_lora_rank", 16, 0, 0 },
                                 { "attention.key_length", 12, 0, 0 },
                                 { "attention.value_length", 8, 0, 0 },
                                 { "rope.dimension_count", 4, 0, 0 } };
    static const extra tensor[] = { { "attn_q.weight", 32, 24, 0 },
                                    { "attn_kv_a_mqa.weight", 32, 20, 0 },
                                    { "attn_kv_a_norm.weight", 16, 0, 0 },
                                    { "attn_kv_b.weight", 16, 32, 0 },
                                    { "attn_output.weight", 16, 32, 0 } };
    drop_tensors(g, plain, N(plain));
    set_keys(g, arch, key, N(key));
    add_tensors(g, tensor, N(tensor));
}

static void make_experts(gguf_file *g, const char *arch)
{
    static const char *const dense[] = { "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight" };
    static const extra key[] = { { "expert_count", 4, 0, 0 },
                                 { "expert_used_count", 2, 0, 0 },
                                 { "expert_feed_forward_length", 16, 0, 0 } };
    static const extra tensor[] = { { "ffn_gate_inp.weight", 32, 4, 0 },
                                    { "ffn_gate_exps.weight", 32, 16, 4 },
                                    { "ffn_up_exps.weight", 32, 16, 4 },
                                    { "ffn_down_exps.weight", 16, 32, 4 } };
    static const extra shared[] = { { "ffn_gate_shexp.weight", 32, 16, 0 },
                                    { "ffn_up_shexp.weight", 32, 16, 0 },
                                    { "ffn_down_shexp.weight", 16, 32, 0 },
                                    { "ffn_gate_inp_shexp.weight", 32, 0, 0 } };
    const bool qwen2 = !strcmp(arch, "qwen2moe"), deepseek = !strcmp(arch, "deepseek2");
    drop_tensors(g, dense, N(dense));
    set_keys(g, arch, key, N(key));
    add_tensors(g, tensor, N(tensor));
    if (qwen2 || deepseek)
        add_tensors(g, shared, qwen2 ? 4 : 3);
    if (qwen2)
        gguf_kv_u32(g, "qwen2moe.expert_shared_feed_forward_length", 16);
    if (deepseek) {
        gguf_kv_u32(g, "deepseek2.expert_shared_count", 1);
        gguf_kv_u32(g, "deepseek2.leading_dense_block_count", 0);
    }
}

static void make_gptneox(gguf_file *g)
{
    static const char *const other[] = { "attn_q.weight", "attn_k.weight", "attn_v.weight",
                                         "ffn_gate.weight" };
    static const extra tensor[] = {
        { "attn_norm.bias", 32, 0, 0 }, { "attn_qkv.weight", 32, 96, 0 },
        { "attn_qkv.bias", 96, 0, 0 },  { "attn_output.bias", 32, 0, 0 },
        { "ffn_norm.bias", 32, 0, 0 },  { "ffn_up.bias", 32, 0, 0 },
        { "ffn_down.bias", 32, 0, 0 }
    };
    drop_tensors(g, other, N(other));
    add_tensors(g, tensor, N(tensor));
    gguf_add_tensor(g, "output_norm.bias", 32, 0, 0);
    gguf_set_u32(g, "gptneox.attention.head_count_kv", 2);
    gguf_kv_f32(g, "gptneox.attention.layer_norm_epsilon", 1e-5f);
}

gguf_file family_make(const char *arch)
{
    static const extra bias[] = { { "attn_q.bias", 32, 0, 0 },
                                  { "attn_k.bias", 16, 0, 0 },
                                  { "attn_v.bias", 16, 0, 0 } };
    static const extra norm[] = { { "attn_q_norm.weight", 16, 0, 0 },
                                  { "attn_k_norm.weight", 16, 0, 0 } };
    gguf_file g = gguf_make(arch);
    if (!strcmp(arch, "gptneox")) {
        make_gptneox(&g);
        return g;
    }
    if (!strcmp(arch, "plm") || !strcmp(arch, "deepseek2"))
        make_latent(&g, arch);
    if (!strcmp(arch, "plm")) {
        gguf_drop_tensor(&g, "blk.0.ffn_gate.weight");
        return g;
    }
    make_experts(&g, arch);
    if (!strcmp(arch, "qwen2moe"))
        add_tensors(&g, bias, N(bias));
    if (!strcmp(arch, "qwen3moe"))
        add_tensors(&g, norm, N(norm));
    return g;
}

gguf_file family_make_split(const char *arch)
{
    static const extra key[] = { { "attention.head_count_kv", 1, 0, 0 },
                                 { "attention.key_length", 20, 0, 0 },
                                 { "attention.value_length", 16, 0, 0 },
                                 { "attention.key_length_mla", 12, 0, 0 },
                                 { "attention.value_length_mla", 8, 0, 0 } };
    static const extra tensor[] = { { "attn_k_b.weight", 8, 16, 2 },
                                    { "attn_v_b.weight", 16, 8, 2 } };
    gguf_file g = family_make(arch);
    gguf_drop_tensor(&g, "blk.0.attn_kv_b.weight");
    set_keys(&g, arch, key, N(key));
    add_tensors(&g, tensor, N(tensor));
    return g;
}
