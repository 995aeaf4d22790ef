/* The GGUF reader and writer: round trips, what other writers do, split sets, writes that fail.
 * Files that lie are in test_gguf_hostile.c.
 * Read next: ../models/gguf_read.c, gguf_load.c. */
#include "files.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static rb_status open_file(rb_model **m, const gguf_file *g, rb_error *err)
{
    blob b = gguf_bytes(g);
    rb_status status =
        rb_model_from_source(m, rb_source_memory("test.gguf", b.data, b.n), NULL, false, err);
    blob_free(&b);
    return status;
}

static void expect_opened(rb_model **m, const gguf_file *g)
{
    rb_error err = { 0 };
    cr_assert_eq(open_file(m, g, &err), RB_OK, "%s", err.text);
}

static void check_same_tensors(const rb_model *a, const rb_model *b)
{
    cr_assert_eq(rb_tensor_count(&a->config), rb_tensor_count(&b->config));
    for (int64_t i = 0; i < rb_tensor_count(&a->config); i++) {
        rb_tensor t = rb_tensor_at(&a->config, i);
        const rb_view *x = rb_tensor_view_of(a, &t), *y = rb_tensor_view_of(b, &t);
        cr_assert_eq(x->dtype, y->dtype, "%s", t.name);
        cr_assert_arr_eq(x->n, y->n, sizeof x->n, "%s", t.name);
        cr_assert_eq(x->buffer->bytes, y->buffer->bytes, "%s", t.name);
        cr_assert_arr_eq(x->buffer->data, y->buffer->data, x->buffer->bytes, "%s", t.name);
    }
    cr_assert_eq(a->n_params, b->n_params);
    cr_assert_arr_eq(a->bytes_of, b->bytes_of, sizeof a->bytes_of);
}

static void check_same_families(const rb_config *a, const rb_config *b)
{
    cr_assert_eq(a->kv_lora_rank, b->kv_lora_rank);
    cr_assert_eq(a->q_lora_rank, b->q_lora_rank);
    cr_assert_eq(a->mla_split, b->mla_split);
    cr_assert_eq(a->n_expert, b->n_expert);
    cr_assert_eq(a->n_expert_used, b->n_expert_used);
    cr_assert_eq(a->n_ff_expert, b->n_ff_expert);
    cr_assert_eq(a->n_ff_shared, b->n_ff_shared);
    cr_assert_eq(a->n_dense_lead, b->n_dense_lead);
    cr_assert_eq(a->gating, b->gating);
    cr_assert_eq(a->expert_renorm, b->expert_renorm);
    cr_assert_eq(a->expert_bias, b->expert_bias);
    cr_assert_eq(a->shared_gate, b->shared_gate);
    cr_assert_eq(a->experts_fused, b->experts_fused);
    cr_assert_eq(a->expert_scale, b->expert_scale);
    cr_assert_arr_eq(&a->rope_scaling, &b->rope_scaling, sizeof a->rope_scaling);
}

static void check_same_config(const rb_config *a, const rb_config *b)
{
    cr_assert_str_eq(a->name, b->name);
    cr_assert_eq(a->arch, b->arch);
    cr_assert_eq(a->n_layer, b->n_layer);
    cr_assert_eq(a->n_embd, b->n_embd);
    cr_assert_eq(a->n_ff, b->n_ff);
    cr_assert_eq(a->n_vocab, b->n_vocab);
    cr_assert_eq(a->n_head, b->n_head);
    cr_assert_eq(a->n_head_kv, b->n_head_kv);
    cr_assert_eq(a->d_head_k, b->d_head_k);
    cr_assert_eq(a->d_head_v, b->d_head_v);
    cr_assert_eq(a->d_rot, b->d_rot);
    cr_assert_eq(a->n_ctx_train, b->n_ctx_train);
    cr_assert_eq(a->norm_eps, b->norm_eps);
    cr_assert_eq(a->rope_base, b->rope_base);
    cr_assert_eq(a->rope_pairing, b->rope_pairing);
    cr_assert_eq(a->tied, b->tied);
    cr_assert_eq(a->qkv_bias, b->qkv_bias);
    cr_assert_eq(a->out_bias, b->out_bias);
    cr_assert_eq(a->gelu_erf, b->gelu_erf);
    cr_assert_eq(a->qk_norm, b->qk_norm);
    cr_assert_eq(a->rope_freqs, b->rope_freqs);
    cr_assert_eq(a->norm, b->norm);
    cr_assert_eq(a->ffn, b->ffn);
    cr_assert_eq(a->linear_bias, b->linear_bias);
    cr_assert_eq(a->parallel_residual, b->parallel_residual);
    check_same_families(a, b);
}

static void round_trip(const rb_config *c, rb_dtype type, const char *path)
{
    rb_model *m, *back, *dry;
    rb_error err = { 0 };
    rb_model_params params = { .dry = true };
    cr_assert_eq(rb_model_synth(&m, c, type, 9, false, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_gguf_write(m, path, NULL, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_model_open(&back, path, NULL, &err), RB_OK, "%s", err.text);
    cr_assert_str_eq(back->format, "gguf");
    check_same_config(&m->config, &back->config);
    check_same_tensors(m, back);
    cr_assert_eq(rb_model_open(&dry, path, &params, &err), RB_OK, "%s", err.text);
    for (int64_t i = 0; i < dry->n_buffer; i++)
        cr_assert_null(dry->buffer[i]->data);
    cr_assert_eq(dry->n_params, m->n_params);
    cr_assert_arr_eq(dry->bytes_of, m->bytes_of, sizeof m->bytes_of);
    cr_assert_eq(rb_gguf_write(dry, path, NULL, &err), RB_ERR_ARGUMENT);
    rb_model_close(m);
    rb_model_close(back);
    rb_model_close(dry);
}

/* What families leave open: forms of the latent's matrices, a rank of q, stacks of experts. */
static void vary_family(rb_config *c, int t)
{
    c->mla_split = rb_config_is_mla(c) && t % 2;
    c->q_lora_rank = rb_config_is_mla(c) && t % 3 == 0 ? 48 : 0;
    c->experts_fused = c->n_expert && t % 2;
    if (c->arch == RB_ARCH_DEEPSEEK2 && t % 4 == 0) {
        c->expert_bias = c->expert_renorm = true;
        c->gating = RB_GATING_SIGMOID;
        c->expert_scale = 2.5f;
        c->rope_scaling = (rb_rope_scaling){ RB_SCALING_YARN, 4, 32, 32, 1, 1, 0.0707f };
    }
    c->parallel_residual = c->arch == RB_ARCH_GPTNEOX && t % 2;
}

Test(gguf, round_trip_of_every_dtype_and_architecture)
{
    dir d = dir_make();
    char *path = dir_file(&d, "model");
    for (int arch = 0; arch < RB_N_ARCH; arch++)
        for (int t = 0; t < RB_I32; t++) {
            rb_config c = small_config((rb_arch)arch);
            c.n_ff = 256; /* so that q6_K has a matrix of its own */
            c.tied = t % 2;
            c.rope_freqs = arch == RB_ARCH_LLAMA && t % 3 == 0;
            c.out_bias = arch == RB_ARCH_LLAMA && t % 2 == 0;
            c.gelu_erf = arch == RB_ARCH_GPTNEOX && t % 2 == 0;
            vary_family(&c, t);
            round_trip(&c, (rb_dtype)t, path);
        }
    cr_assert_eq(dir_count(&d), 1, "temporary files stayed behind");
    free(path);
    dir_remove(&d);
}

Test(gguf, extents_that_differ_from_each_other)
{
    rb_config c = small_config(RB_ARCH_QWEN3);
    dir d = dir_make();
    char *path = dir_file(&d, "model");
    c.d_head_k = 24;
    c.d_head_v = 20;
    c.d_rot = 12;
    c.n_ctx_train = (int64_t)1 << 33;
    round_trip(&c, RB_F16, path);
    free(path);
    dir_remove(&d);
}

/* ---- what other writers do ---- */

Test(gguf, defaults_of_absent_keys)
{
    gguf_file g = gguf_make("llama");
    rb_model *m;
    expect_opened(&m, &g);
    cr_assert_str_eq(m->config.name, "test.gguf");
    cr_assert_eq(m->config.d_head_k, 16);
    cr_assert_eq(m->config.d_head_v, 16);
    cr_assert_eq(m->config.d_rot, 16);
    cr_assert_eq(m->config.n_vocab, 32);
    cr_assert_eq(m->config.rope_base, 10000);
    cr_assert_eq(m->config.rope_pairing, RB_ROPE_NORM);
    cr_assert_not(m->config.tied);
    cr_assert_not(m->config.qkv_bias);
    rb_model_close(m);
    gguf_find(&g, "blk.0.attn_k.weight")->ne[1] = 32;
    gguf_find(&g, "blk.0.attn_v.weight")->ne[1] = 32;
    gguf_drop_kv(&g, "llama.attention.head_count_kv");
    gguf_find(&g, "blk.0.attn_k.weight")->offset = g.data;
    gguf_find(&g, "blk.0.attn_v.weight")->offset = g.data + 4096;
    g.data += 8192;
    expect_opened(&m, &g);
    cr_assert_eq(m->config.n_head_kv, 2, "as many as heads");
    rb_model_close(m);
    gguf_free(&g);
}

Test(gguf, keys_that_are_there_count)
{
    gguf_file g = gguf_make("llama");
    rb_model *m;
    gguf_kv_string(&g, "general.name", "A Name");
    gguf_kv_u32(&g, "llama.vocab_size", 32);
    gguf_kv_u32(&g, "llama.rope.dimension_count", 8);
    gguf_kv_f32(&g, "llama.rope.freq_base", 500000);
    gguf_kv_u32(&g, "llama.expert_count", 0);
    gguf_kv_u32(&g, "llama.attention.sliding_window", 64); /* covers the context of 64 */
    gguf_drop_kv(&g, "llama.block_count");
    gguf_kv_uint(&g, "llama.block_count", RB_GGUF_I64, 1, 8);
    gguf_drop_tensor(&g, "output.weight");
    expect_opened(&m, &g);
    cr_assert_str_eq(m->config.name, "A Name");
    cr_assert_eq(m->config.d_rot, 8);
    cr_assert_eq(m->config.rope_base, 500000);
    cr_assert(m->config.tied);
    rb_model_close(m);
    gguf_free(&g);
}

Test(gguf, a_llama_may_have_biases_and_qwen_pairs_halves)
{
    static const char *const arch[] = { "llama", "qwen2" };
    for (int i = 0; i < 2; i++) {
        gguf_file g = gguf_make(arch[i]);
        rb_model *m;
        gguf_add_tensor(&g, "blk.0.attn_q.bias", 32, 0, 0);
        gguf_add_tensor(&g, "blk.0.attn_k.bias", 16, 0, 0);
        gguf_add_tensor(&g, "blk.0.attn_v.bias", 16, 0, 0);
        if (i == 0)
            gguf_add_tensor(&g, "blk.0.attn_output.bias", 32, 0, 0);
        expect_opened(&m, &g);
        cr_assert(m->config.qkv_bias);
        cr_assert_eq(m->config.out_bias, i == 0);
        cr_assert_eq(m->layer[0].bo.buffer != NULL, i == 0);
        cr_assert_eq(m->layer[0].bk.n[3], 16);
        cr_assert_eq(m->config.rope_pairing, i ? RB_ROPE_NEOX : RB_ROPE_NORM);
        rb_model_close(m);
        gguf_free(&g);
    }
}

/* Tensor data is i % 61 for byte i of the data section. */
static uint8_t filler(uint64_t i)
{
    return (uint8_t)(i % 61);
}

Test(gguf, vectors_in_halves_become_f32)
{
    static const uint32_t type[] = { 1, 30 };
    for (int i = 0; i < 2; i++) {
        gguf_file g = gguf_make("llama");
        rb_model *m;
        float want[32];
        uint8_t raw[64];
        gguf_tensor *t = gguf_find(&g, "blk.0.ffn_norm.weight");
        t->type = type[i];
        expect_opened(&m, &g);
        for (uint64_t j = 0; j < sizeof raw; j++)
            raw[j] = filler(t->offset + j);
        rb_decode_row(rb_dtype_by_gguf_id(type[i]), want, raw, 32);
        cr_assert_eq(m->layer[0].ffn_norm.dtype, RB_F32);
        cr_assert_eq(m->layer[0].ffn_norm.buffer->bytes, 128);
        cr_assert_arr_eq(m->layer[0].ffn_norm.buffer->data, want, sizeof want);
        rb_model_close(m);
        gguf_free(&g);
    }
}

Test(gguf, version_2_and_other_alignments)
{
    static const uint64_t alignment[] = { 8, 32, 64, 4096 };
    for (int version = 2; version <= 3; version++)
        for (size_t i = 0; i < 4; i++) {
            gguf_file g = gguf_make("llama");
            rb_model *m;
            g.version = (uint32_t)version;
            g.alignment = alignment[i];
            gguf_kv_u32(&g, "general.alignment", (uint32_t)alignment[i]);
            g.have_tensor = g.n_tensor = 0;
            g.data = 0;
            gguf_file fresh = gguf_make("llama");
            for (int t = 0; t < fresh.have_tensor; t++)
                gguf_add_tensor(&g, fresh.tensor[t].name, fresh.tensor[t].ne[0],
                                fresh.tensor[t].ne[1], 0);
            expect_opened(&m, &g);
            uint64_t at = gguf_find(&g, "blk.0.ffn_up.weight")->offset;
            cr_assert_eq(*(uint8_t *)m->layer[0].w_up.buffer->data, filler(at));
            rb_model_close(m);
            gguf_free(&g);
            gguf_free(&fresh);
        }
}

Test(gguf, tokenizer_arrays_and_long_strings_are_walked_over)
{
    gguf_file g = gguf_make("llama");
    rb_model *m;
    gguf_kv_uint(&g, "tokenizer.ggml.tokens", RB_GGUF_ARRAY, RB_GGUF_STRING, 4);
    blob *b = &g.kv[g.have_kv - 1];
    blob_uint(b, 30000, 8);
    for (int i = 0; i < 30000; i++)
        blob_string(b, i % 3 ? "token" : "");
    gguf_kv_uint(&g, "tokenizer.ggml.scores", RB_GGUF_ARRAY, RB_GGUF_F32, 4);
    b = &g.kv[g.have_kv - 1];
    blob_uint(b, 1000, 8);
    for (int i = 0; i < 1000; i++)
        blob_uint(b, 0, 4);
    gguf_kv_uint(&g, "empty", RB_GGUF_ARRAY, RB_GGUF_U8, 4);
    blob_uint(&g.kv[g.have_kv - 1], 0, 8);
    char *text = calloc(1, 200001);
    memset(text, 'x', 200000);
    gguf_kv_string(&g, "tokenizer.chat_template", text);
    free(text);
    expect_opened(&m, &g);
    rb_model_close(m);
    gguf_free(&g);
}

Test(gguf, linear_rope_scaling_divides_angles)
{
    gguf_file g = gguf_make("llama");
    rb_model *m, *plain;
    expect_opened(&plain, &g);
    cr_assert_null(plain->rope_freqs.buffer);
    gguf_kv_string(&g, "llama.rope.scaling.type", "linear");
    gguf_kv_f32(&g, "llama.rope.scaling.factor", 4);
    expect_opened(&m, &g);
    cr_assert_eq(m->config.rope_scaling.kind, RB_SCALING_LINEAR);
    for (int j = 0; j < 8; j++)
        cr_assert_eq(rb_rope_divisor(m, j), 4);
    cr_assert_eq(m->n_params, plain->n_params);
    rb_model_close(m);
    gguf_add_tensor(&g, "rope_freqs.weight", 8, 0, 0);
    uint64_t at = gguf_find(&g, "rope_freqs.weight")->offset;
    expect_opened(&m, &g);
    uint8_t raw[4] = { filler(at), filler(at + 1), filler(at + 2), filler(at + 3) };
    float first;
    memcpy(&first, raw, sizeof first);
    cr_assert_eq(rb_rope_divisor(m, 0), (double)first * 4);
    rb_model_close(m);
    rb_model_close(plain);
    gguf_free(&g);
}

Test(gguf, scaling_by_one_or_none_is_none)
{
    static const char *const type[] = { "linear", "none" };
    static const float factor[] = { 1, 8 };
    for (int i = 0; i < 2; i++) {
        gguf_file g = gguf_make("qwen2");
        rb_model *m;
        gguf_add_tensor(&g, "blk.0.attn_q.bias", 32, 0, 0);
        gguf_add_tensor(&g, "blk.0.attn_k.bias", 16, 0, 0);
        gguf_add_tensor(&g, "blk.0.attn_v.bias", 16, 0, 0);
        gguf_kv_string(&g, "qwen2.rope.scaling.type", type[i]);
        gguf_kv_f32(&g, "qwen2.rope.scaling.factor", factor[i]);
        expect_opened(&m, &g);
        cr_assert_not(m->config.rope_freqs);
        rb_model_close(m);
        gguf_free(&g);
    }
}

/* ---- split sets ---- */

static void write_part(const dir *d, int no, int count, int total)
{
    gguf_write_part(d, no, no, count, total);
}

static void expect_split_refused(const dir *d, const char *name, const char *word)
{
    rb_model *m = NULL;
    rb_error err = { 0 };
    char *path = dir_file(d, name);
    cr_assert_neq(rb_model_open(&m, path, NULL, &err), RB_OK, "%s", word);
    cr_assert_null(m);
    cr_assert(strstr(err.text, word), "wanted '%s' in: %s", word, err.text);
    free(path);
}

Test(gguf, split_sets)
{
    dir d = dir_make();
    rb_model *m;
    rb_error err = { 0 };
    char *first = dir_file(&d, "m-00001-of-00003.gguf"), *odd = dir_file(&d, "odd.gguf");
    for (int i = 0; i < 3; i++)
        write_part(&d, i, 3, 12);
    cr_assert_eq(rb_model_open(&m, first, NULL, &err), RB_OK, "%s", err.text);
    cr_assert_eq(m->n_params, 2 * 32 * 32 + 3 * 32 + 2 * 32 * 32 + 2 * 16 * 32 + 3 * 32 * 32);
    /* token_embd, output_norm, output, attn_norm, attn_q stand in the first part, so attn_k is at
     * byte 0 of the second part's data. */
    cr_assert_arr_eq(m->layer[0].wk.buffer->data, "\0\1\2\3", 4);
    rb_model_close(m);
    expect_split_refused(&d, "m-00002-of-00003.gguf", "name the first part");
    write_part(&d, 0, 3, 13);
    expect_split_refused(&d, "m-00001-of-00003.gguf", "split.tensors.count is 13");
    write_part(&d, 0, 3, 12);
    write_part(&d, 1, 4, 12);
    expect_split_refused(&d, "m-00001-of-00003.gguf", "are not those of part 2");
    gguf_write_part(&d, 1, 2, 3, 12);
    expect_split_refused(&d, "m-00001-of-00003.gguf", "are not those of part 2");
    unlink(first);
    write_part(&d, 1, 3, 12);
    write_part(&d, 0, 3, 12);
    char *third = dir_file(&d, "m-00003-of-00003.gguf");
    unlink(third);
    expect_split_refused(&d, "m-00001-of-00003.gguf", "00003-of-00003.gguf: cannot open");
    cr_assert_eq(rename(first, odd), 0);
    expect_split_refused(&d, "odd.gguf", "its name should end in -00001-of-00003.gguf");
    write_part(&d, 0, 2000, 12);
    expect_split_refused(&d, "m-00001-of-00003.gguf", "split.count is 2000");
    free(first);
    free(odd);
    free(third);
    dir_remove(&d);
}

Test(gguf, a_part_may_not_repeat_a_tensor)
{
    dir d = dir_make();
    for (int i = 0; i < 3; i++)
        write_part(&d, i, 3, 8); /* as many as there will be */
    gguf_file g = { .magic = "GGUF", .version = 3, .alignment = 32 };
    gguf_kv_uint(&g, "split.no", RB_GGUF_U16, 1, 2);
    gguf_kv_uint(&g, "split.count", RB_GGUF_U16, 3, 2);
    gguf_add_tensor(&g, "output.weight", 32, 32, 0);
    blob b = gguf_bytes(&g);
    char *path = dir_file(&d, "m-00002-of-00003.gguf");
    blob_write(&b, path);
    expect_split_refused(&d, "m-00001-of-00003.gguf", "'output.weight' appears twice");
    blob_free(&b);
    gguf_free(&g);
    free(path);
    dir_remove(&d);
}

/* ---- writing that fails ---- */

static void expect_not_written(const char *path, const char *word)
{
    rb_model *m;
    rb_error err = { 0 };
    cr_assert_eq(rb_model_open(&m, "tiny", NULL, NULL), RB_OK);
    cr_assert_eq(rb_gguf_write(m, path, NULL, &err), RB_ERR_IO, "%s", path);
    cr_assert(strstr(err.text, path) && strstr(err.text, word), "%s", err.text);
    rb_model_close(m);
}

Test(gguf, writing_reports_every_failure_and_leaves_nothing)
{
    dir d = dir_make();
    char *sub = dir_file(&d, "sub"), *in_none = dir_file(&d, "none/model");
    expect_not_written(in_none, "No such file");
    cr_assert_eq(mkdir(sub, 0777), 0);
    expect_not_written(sub, "directory");
    cr_assert_eq(rmdir(sub), 0);
    cr_assert_eq(dir_count(&d), 0);
    free(sub);
    free(in_none);
    dir_remove(&d);
}

/* A disk that fills up, at several places: in the directory, in the data, in the last block. */
Test(gguf, a_full_disk_leaves_the_old_file_alone)
{
    static const rlim_t room[] = { 0, 100, 5000, 300000, 460000 };
    dir d = dir_make();
    char *path = dir_file(&d, "model");
    blob old = { 0 };
    blob_put(&old, "old", 3);
    blob_write(&old, path);
    signal(SIGXFSZ, SIG_IGN); /* writes beyond the limit then fail */
    for (size_t i = 0; i < sizeof room / sizeof *room; i++) {
        struct rlimit limit = { room[i], RLIM_INFINITY };
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        expect_not_written(path, "File too large");
        blob now = blob_read(path);
        cr_assert(now.n == 3 && memcmp(now.data, "old", 3) == 0);
        cr_assert_eq(dir_count(&d), 1, "a temporary file stayed behind");
        blob_free(&now);
    }
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY });
    blob_free(&old);
    free(path);
    dir_remove(&d);
}

Test(gguf, a_pipe_is_written_to_and_not_replaced)
{
    dir d = dir_make();
    char *path = dir_file(&d, "pipe"), magic[4] = "";
    rb_config c = small_config(RB_ARCH_LLAMA);
    rb_model *m;
    rb_error err = { 0 };
    struct stat st;
    c.n_layer = 1;
    cr_assert_eq(rb_model_synth(&m, &c, RB_Q4_0, 1, false, NULL), RB_OK); /* fits into a pipe */
    cr_assert_eq(mkfifo(path, 0600), 0);
    int end = open(path, O_RDONLY | O_NONBLOCK);
    cr_assert(end >= 0);
    cr_assert_eq(rb_gguf_write(m, path, NULL, &err), RB_OK, "%s", err.text);
    cr_assert(stat(path, &st) == 0 && S_ISFIFO(st.st_mode), "the pipe was replaced");
    cr_assert_eq(read(end, magic, 4), 4);
    cr_assert_arr_eq(magic, "GGUF", 4);
    close(end);
    rb_model_close(m);
    free(path);
    dir_remove(&d);
}

Test(gguf, writing_through_a_link_replaces_its_target)
{
    dir d = dir_make();
    char *target = dir_file(&d, "target"), *name = dir_file(&d, "name");
    rb_model *m, *back;
    blob old = { 0 };
    blob_put(&old, "old", 3);
    blob_write(&old, target);
    cr_assert_eq(symlink(target, name), 0);
    cr_assert_eq(rb_model_open(&m, "tiny", NULL, NULL), RB_OK);
    cr_assert_eq(rb_gguf_write(m, name, NULL, NULL), RB_OK);
    struct stat st;
    cr_assert(lstat(name, &st) == 0 && S_ISLNK(st.st_mode));
    cr_assert_eq(rb_model_open(&back, target, NULL, NULL), RB_OK);
    check_same_tensors(m, back);
    rb_model_close(m);
    rb_model_close(back);
    blob_free(&old);
    free(target);
    free(name);
    dir_remove(&d);
}
