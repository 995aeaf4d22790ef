/* Files for tests: see files.h.
 * Refuses to go on after any failure of its own: a test must not pass on a file that is not there.
 * Read next: test_gguf.c. */
#include "files.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(ok)                                                                                  \
    do {                                                                                           \
        if (!(ok)) {                                                                               \
            fprintf(stderr, "%s:%d: %s failed\n", __FILE__, __LINE__, #ok);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* ---- bytes ---- */

void blob_put(blob *b, const void *data, size_t n)
{
    if (b->n + n > b->room) {
        b->room = 2 * (b->n + n);
        b->data = realloc(b->data, b->room);
        CHECK(b->data);
    }
    if (n > 0)
        memcpy(b->data + b->n, data, n);
    b->n += n;
}

void blob_uint(blob *b, uint64_t value, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++) {
        uint8_t byte = (uint8_t)(value >> 8 * i);
        blob_put(b, &byte, 1);
    }
}

void blob_string(blob *b, const char *s)
{
    blob_uint(b, strlen(s), 8);
    blob_put(b, s, strlen(s));
}

void blob_free(blob *b)
{
    free(b->data);
    *b = (blob){ 0 };
}

blob blob_read(const char *path)
{
    blob b = { 0 };
    char part[4096];
    FILE *f = fopen(path, "rb");
    CHECK(f);
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;)
        blob_put(&b, part, n);
    CHECK(!ferror(f) && fclose(f) == 0);
    return b;
}

void blob_write(const blob *b, const char *path)
{
    FILE *f = fopen(path, "wb");
    CHECK(f);
    CHECK((!b->n || fwrite(b->data, 1, b->n, f) == b->n) && fclose(f) == 0);
}

/* ---- folders ---- */

dir dir_make(void)
{
    dir d = { "/tmp/rbench-test-XXXXXX" };
    CHECK(mkdtemp(d.path));
    return d;
}

char *dir_file(const dir *d, const char *name)
{
    size_t room = strlen(d->path) + strlen(name) + 2;
    char *path = malloc(room);
    CHECK(path);
    snprintf(path, room, "%s/%s", d->path, name);
    return path;
}

/* Counts the files, and deletes them if asked to. */
static int walk(const dir *d, bool delete)
{
    int n = 0;
    DIR *handle = opendir(d->path);
    CHECK(handle);
    for (struct dirent *e; (e = readdir(handle));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        n++;
        if (delete)
            unlinkat(dirfd(handle), e->d_name, 0);
    }
    closedir(handle);
    return n;
}

int dir_count(const dir *d)
{
    return walk(d, false);
}

void dir_remove(const dir *d)
{
    walk(d, true);
    rmdir(d->path);
}

/* ---- GGUF ---- */

void gguf_kv_uint(gguf_file *g, const char *key, uint32_t type, uint64_t value, int n_bytes)
{
    CHECK(g->have_kv < GGUF_MAX_KV);
    blob *b = &g->kv[g->have_kv++];
    *b = (blob){ 0 };
    blob_string(b, key);
    blob_uint(b, type, 4);
    blob_uint(b, value, n_bytes);
    g->n_kv++;
}

void gguf_kv_u32(gguf_file *g, const char *key, uint32_t value)
{
    gguf_kv_uint(g, key, 4, value, 4);
}

void gguf_kv_f32(gguf_file *g, const char *key, float value)
{
    uint32_t u;
    memcpy(&u, &value, sizeof u);
    gguf_kv_uint(g, key, 6, u, 4);
}

void gguf_kv_string(gguf_file *g, const char *key, const char *value)
{
    gguf_kv_uint(g, key, 8, strlen(value), 8);
    blob_put(&g->kv[g->have_kv - 1], value, strlen(value));
}

static bool has_key(const blob *kv, const char *key)
{
    return kv->n >= 8 + strlen(key) && kv->data[0] == strlen(key) &&
           memcmp(kv->data + 8, key, strlen(key)) == 0;
}

void gguf_drop_kv(gguf_file *g, const char *key)
{
    for (int i = 0; i < g->have_kv; i++)
        if (has_key(&g->kv[i], key)) {
            blob_free(&g->kv[i]);
            g->have_kv--;
            g->n_kv--;
            memmove(&g->kv[i], &g->kv[i + 1], (size_t)(g->have_kv - i) * sizeof *g->kv);
            return;
        }
    CHECK(!"no such key");
}

void gguf_add_tensor(gguf_file *g, const char *name, uint64_t ne0, uint64_t ne1, uint32_t type)
{
    CHECK(g->have_tensor < GGUF_MAX_TENSOR);
    gguf_tensor *t = &g->tensor[g->have_tensor++];
    rb_dtype dtype = rb_dtype_by_gguf_id(type);
    *t = (gguf_tensor){ .n_dim = ne1 ? 2 : 1, .ne = { ne0, ne1 }, .type = type, .offset = g->data };
    snprintf(t->name, sizeof t->name, "%s", name);
    if (dtype != RB_NO_DTYPE)
        g->data += (ne1 ? ne1 : 1) * (uint64_t)rb_row_bytes(dtype, (int64_t)ne0);
    g->data = (g->data + g->alignment - 1) / g->alignment * g->alignment;
    g->n_tensor++;
}

gguf_tensor *gguf_find(gguf_file *g, const char *name)
{
    for (int i = 0; i < g->have_tensor; i++)
        if (strcmp(g->tensor[i].name, name) == 0)
            return &g->tensor[i];
    CHECK(!"no such tensor");
    return NULL;
}

void gguf_drop_tensor(gguf_file *g, const char *name)
{
    gguf_tensor *t = gguf_find(g, name);
    g->have_tensor--;
    g->n_tensor--;
    memmove(t, t + 1, (size_t)(&g->tensor[g->have_tensor] - t) * sizeof *t);
}

static void add_keys(gguf_file *g, const char *arch)
{
    static const struct {
        const char *suffix;
        uint32_t value;
    } key[] = {
        { "block_count", 1 },     { "embedding_length", 32 },    { "feed_forward_length", 32 },
        { "context_length", 64 }, { "attention.head_count", 2 }, { "attention.head_count_kv", 1 },
    };
    char text[128];
    gguf_kv_string(g, "general.architecture", arch);
    for (size_t i = 0; i < sizeof key / sizeof *key; i++) {
        snprintf(text, sizeof text, "%s.%s", arch, key[i].suffix);
        gguf_kv_u32(g, text, key[i].value);
    }
    snprintf(text, sizeof text, "%s.attention.layer_norm_rms_epsilon", arch);
    gguf_kv_f32(g, text, 1e-5f);
}

gguf_file gguf_make(const char *arch)
{
    gguf_file g = { .magic = "GGUF", .version = 3, .alignment = 32 };
    add_keys(&g, arch);
    gguf_add_tensor(&g, "token_embd.weight", 32, 32, 0);
    gguf_add_tensor(&g, "output_norm.weight", 32, 0, 0);
    gguf_add_tensor(&g, "output.weight", 32, 32, 0);
    gguf_add_tensor(&g, "blk.0.attn_norm.weight", 32, 0, 0);
    gguf_add_tensor(&g, "blk.0.attn_q.weight", 32, 32, 0);
    gguf_add_tensor(&g, "blk.0.attn_k.weight", 32, 16, 0);
    gguf_add_tensor(&g, "blk.0.attn_v.weight", 32, 16, 0);
    gguf_add_tensor(&g, "blk.0.attn_output.weight", 32, 32, 0);
    gguf_add_tensor(&g, "blk.0.ffn_norm.weight", 32, 0, 0);
    gguf_add_tensor(&g, "blk.0.ffn_gate.weight", 32, 32, 0);
    gguf_add_tensor(&g, "blk.0.ffn_up.weight", 32, 32, 0);
    gguf_add_tensor(&g, "blk.0.ffn_down.weight", 32, 32, 0);
    return g;
}

void gguf_free(gguf_file *g)
{
    for (int i = 0; i < g->have_kv; i++)
        blob_free(&g->kv[i]);
}

blob gguf_bytes(const gguf_file *g)
{
    blob b = { 0 };
    blob_put(&b, g->magic, 4);
    blob_uint(&b, g->version, 4);
    blob_uint(&b, g->n_tensor, 8);
    blob_uint(&b, g->n_kv, 8);
    for (int i = 0; i < g->have_kv; i++)
        blob_put(&b, g->kv[i].data, g->kv[i].n);
    for (int i = 0; i < g->have_tensor; i++) {
        const gguf_tensor *t = &g->tensor[i];
        blob_string(&b, t->name);
        blob_uint(&b, t->n_dim, 4);
        for (uint32_t d = 0; d < t->n_dim && d < 8; d++)
            blob_uint(&b, t->ne[d], 8);
        blob_uint(&b, t->type, 4);
        blob_uint(&b, t->offset, 8);
    }
    while (b.n % g->alignment != 0)
        blob_uint(&b, 0, 1);
    for (uint64_t i = 0; i < g->data; i++)
        blob_uint(&b, i % 61, 1);
    return b;
}

void gguf_write_part(const dir *d, int no, int claimed_no, int count, int total)
{
    gguf_file whole = gguf_make("llama"), g = { .magic = "GGUF", .version = 3, .alignment = 32 };
    char name[64];
    if (no == 0)
        for (int i = 0; i < whole.have_kv; i++)
            blob_put(&g.kv[g.have_kv++], whole.kv[i].data, whole.kv[i].n);
    g.n_kv = (uint64_t)g.have_kv;
    gguf_kv_uint(&g, "split.no", RB_GGUF_U16, (uint64_t)claimed_no, 2);
    gguf_kv_uint(&g, "split.count", RB_GGUF_U16, (uint64_t)count, 2);
    gguf_kv_uint(&g, "split.tensors.count", RB_GGUF_I32, (uint64_t)total, 4);
    for (int i = 5 * no; i < 5 * no + 5 && i < whole.have_tensor; i++)
        gguf_add_tensor(&g, whole.tensor[i].name, whole.tensor[i].ne[0], whole.tensor[i].ne[1], 0);
    snprintf(name, sizeof name, "m-%05d-of-%05d.gguf", no + 1, 3);
    char *path = dir_file(d, name);
    blob b = gguf_bytes(&g);
    blob_write(&b, path);
    blob_free(&b);
    free(path);
    gguf_free(&g);
    gguf_free(&whole);
}

/* ---- vectors ---- */

const char *const vector_name[] = { "mha_llama",
                                    "gqa_llama",
                                    "mqa_llama",
                                    "gqa_llama3_ropefreqs",
                                    "qwen2_bias",
                                    "qwen3_qknorm",
                                    "gptneox_parallel",
                                    "gptneox_sequential",
                                    "moe_qwen3moe",
                                    "moe_llama_mixtral",
                                    "mla_plm",
                                    "mla_deepseek2_qlora",
                                    "mla_deepseek2_lite_moe_yarn",
                                    "moe_deepseek3_sigmoid" };
_Static_assert(sizeof vector_name / sizeof *vector_name == N_VECTOR, "as many as are named");

json_t *json_read(const char *path)
{
    json_error_t error;
    json_t *j = json_load_file(path, 0, &error);
    if (!j)
        fprintf(stderr, "%s: %s\n", path, error.text);
    CHECK(j);
    return j;
}

static int64_t extent(const json_t *in, const char *key)
{
    return json_integer_value(json_object_get(in, key));
}

static float number(const json_t *in, const char *key)
{
    return (float)json_number_value(json_object_get(in, key));
}

static void read_latent(rb_config *c, const json_t *in)
{
    c->kv_lora_rank = extent(in, "kv_lora");
    c->q_lora_rank = extent(in, "q_lora");
    c->d_rot = extent(in, "d_rope");
    c->d_head_k = extent(in, "d_nope") + c->d_rot;
    c->d_head_v = extent(in, "d_v");
    c->n_head_kv = c->n_head;
    c->mla_split = c->arch == RB_ARCH_DEEPSEEK2;
}

static void read_experts(rb_config *c, const json_t *in)
{
    const char *gating = json_string_value(json_object_get(in, "gating"));
    c->n_expert = extent(in, "n_expert");
    c->n_expert_used = extent(in, "n_used");
    c->n_ff_expert = extent(in, "F_exp");
    c->n_ff_shared = extent(in, "n_shared") * c->n_ff_expert;
    c->n_dense_lead = c->n_expert ? extent(in, "dense_lead") : 0;
    c->gating = gating && !strcmp(gating, "sigmoid") ? RB_GATING_SIGMOID : RB_GATING_SOFTMAX;
    c->expert_renorm = json_is_true(json_object_get(in, "norm_topk"));
    c->expert_bias = json_is_true(json_object_get(in, "exp_bias"));
    c->expert_scale = json_object_get(in, "w_scale") ? number(in, "w_scale") : 1;
}

static void read_yarn(rb_config *c, const json_t *in)
{
    rb_rope_scaling *r = &c->rope_scaling;
    if (!in)
        return;
    r->kind = RB_SCALING_YARN;
    r->factor = number(in, "factor");
    r->n_ctx_train = extent(in, "orig");
    r->beta_fast = number(in, "beta_fast");
    r->beta_slow = number(in, "beta_slow");
    r->log_mul = number(in, "log_mul");
}

json_t *vector_read(const char *name, rb_config *c)
{
    char path[128];
    snprintf(path, sizeof path, "tests/vectors/%s.json", name);
    json_t *j = json_read(path), *in = json_object_get(j, "config");
    rb_arch arch = rb_arch_by_name(json_string_value(json_object_get(in, "arch")));
    CHECK(arch != RB_N_ARCH);
    *c = (rb_config){ .n_layer = extent(in, "L"),
                      .n_embd = extent(in, "H"),
                      .n_ff = extent(in, "F"),
                      .n_vocab = extent(in, "V"),
                      .n_head = extent(in, "n_h"),
                      .n_head_kv = extent(in, "n_kv"),
                      .d_head_k = extent(in, "d"),
                      .d_head_v = extent(in, "d"),
                      .d_rot = extent(in, "d_rot"),
                      .n_ctx_train = 64,
                      .norm_eps = number(in, "eps"),
                      .rope_base = number(in, "base"),
                      .tied = json_is_true(json_object_get(in, "tied")),
                      .rope_freqs = json_is_true(json_object_get(in, "rope_freqs")),
                      .parallel_residual = json_is_true(json_object_get(in, "parallel")) };
    rb_config_set_arch(c, arch);
    rb_config_set_name(c, name);
    if (json_object_get(in, "kv_lora"))
        read_latent(c, in);
    read_experts(c, in);
    read_yarn(c, json_object_get(in, "yarn"));
    return j;
}

rb_config small_config(rb_arch arch)
{
    rb_config c = { .name = "small",
                    .n_layer = 2,
                    .n_embd = 64,
                    .n_ff = 96,
                    .n_vocab = 40,
                    .n_head = 4,
                    .n_head_kv = 2,
                    .d_head_k = 16,
                    .d_head_v = 16,
                    .d_rot = 16,
                    .n_ctx_train = 128,
                    .norm_eps = 1e-5f,
                    .rope_base = 1e4f };
    rb_config_set_arch(&c, arch);
    if (arch == RB_ARCH_GPTNEOX)
        c.n_head_kv = c.n_head;
    if (arch == RB_ARCH_PLM || arch == RB_ARCH_DEEPSEEK2) {
        c.n_head_kv = c.n_head;
        c.kv_lora_rank = 32;
        c.d_head_k = 24; /* 16 and 8 rotated */
        c.d_rot = 8;
    }
    if (arch == RB_ARCH_QWEN2MOE || arch == RB_ARCH_QWEN3MOE || arch == RB_ARCH_DEEPSEEK2) {
        c.n_expert = 6;
        c.n_expert_used = 2;
        c.n_ff_expert = 32;
        c.n_ff_shared = arch == RB_ARCH_QWEN3MOE ? 0 : 64;
        c.n_dense_lead = arch == RB_ARCH_DEEPSEEK2;
    }
    return c;
}

const real_model real_models[N_REAL_MODEL] = {
    { "qwen2.5-1.5b", "Qwen2.5-1.5B" },
    { "qwen2.5-0.5b", "Qwen2.5-0.5B" },
    { "qwen3-0.6b", "Qwen3-0.6B" },
    { "smollm2-135m", "SmolLM2-135M" },
    { "pythia-160m", "Pythia-160m" },
    { "plm-1.8b", "PLM-1.8B(V=151936 assumed)" },
    { "deepseek-v2-lite", "DeepSeek-V2-Lite" },
};
