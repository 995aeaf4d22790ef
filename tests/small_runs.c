/* Which small runs there are, and what is written of them: see small_runs.h.
 * Refuses to go on after any failure of its own.
 * Read next: files.c, which has the configs. */
#include "small_runs.h"

#include <stdlib.h>
#include <string.h>

#include "files.h"

enum { MAX_RUN = 128, N_LATENT_ORDER = RB_N_ATTN - RB_ATTN_MLA };

/* A vector's model in one order of attention, all in f32; or one layer of an architecture, in two
 * sequences, of these types. */
typedef struct plan {
    const char *vector; /* NULL: one layer */
    rb_arch arch;
    rb_attn attn;
    rb_dtype weights, cache;
    bool packed;
} plan;

static const rb_dtype cache_type[] = { RB_F32, RB_F16, RB_BF16, RB_Q8_0, RB_Q4_0 };
static const rb_dtype expert_type[] = { RB_F16, RB_Q8_0, RB_Q4_K };
#define NAMED(type) type,
static const rb_dtype weight_type[] = { RB_FILE_DTYPES(NAMED) };
#undef NAMED
#define COUNT(list) (sizeof(list) / sizeof *(list))

static int list_plans(plan list[MAX_RUN])
{
    static const rb_arch moe[] = { RB_ARCH_QWEN2MOE, RB_ARCH_QWEN3MOE, RB_ARCH_DEEPSEEK2 };
    int n = 0;
    for (int v = 0; v < N_VECTOR; v++) {
        rb_config c;
        json_decref(vector_read(vector_name[v], &c));
        for (int o = 0; o < (rb_config_is_mla(&c) ? N_LATENT_ORDER : 1); o++)
            list[n++] = (plan){ vector_name[v],
                                RB_N_ARCH,
                                rb_config_is_mla(&c) ? (rb_attn)(RB_ATTN_MLA + o) : RB_ATTN_OWN,
                                RB_F32,
                                RB_F32,
                                false };
    }
    for (int packed = 0; packed < 2; packed++) {
        for (size_t i = 0; i < COUNT(weight_type); i++)
            list[n++] =
                (plan){ NULL, RB_ARCH_QWEN2, RB_ATTN_OWN, weight_type[i], RB_F16, packed == 1 };
        for (size_t i = 0; i < COUNT(moe) * COUNT(expert_type); i++)
            list[n++] = (plan){ NULL,        moe[i / COUNT(expert_type)],
                                RB_ATTN_OWN, expert_type[i % COUNT(expert_type)],
                                RB_F16,      packed == 1 };
    }
    for (size_t i = 0; i < COUNT(cache_type); i++) {
        list[n++] = (plan){ NULL, RB_ARCH_LLAMA, RB_ATTN_OWN, RB_F16, cache_type[i], true };
        list[n++] = (plan){ NULL, RB_ARCH_PLM, RB_ATTN_OWN, RB_F16, cache_type[i], true };
    }
    return n;
}

int small_run_count(void)
{
    plan list[MAX_RUN];
    return list_plans(list);
}

static void must(rb_status status, const rb_error *err)
{
    if (status == RB_OK)
        return;
    fprintf(stderr, "small_runs.c: %s\n", err->text);
    abort();
}

/* Rows of whole blocks of every type. */
static rb_config blocky_config(rb_arch arch)
{
    rb_config c = small_config(arch);
    c.n_layer = 1;
    c.n_dense_lead = 0;
    c.n_embd = c.n_ff = 256;
    c.d_head_k = c.d_head_v = c.d_rot = 64;
    if (rb_config_is_mla(&c)) {
        c.kv_lora_rank = 256;
        c.d_rot = 32;
    }
    if (c.n_expert)
        c.n_ff_expert = 256;
    if (c.n_ff_shared)
        c.n_ff_shared = 256;
    return c;
}

small_run small_run_open(int i)
{
    plan list[MAX_RUN];
    const int n = list_plans(list);
    const plan p = list[i < n ? i : 0];
    small_run r = { .params = rb_session_defaults() };
    rb_config config;
    rb_error err;
    if (p.vector)
        json_decref(vector_read(p.vector, &config));
    else
        config = blocky_config(p.arch);
    must(rb_model_synth(&r.model, &config, p.weights, 1, false, &err), &err);
    if (p.packed)
        must(rb_model_pack(r.model, &err), &err);
    r.params.attn = p.attn;
    r.params.type_k = r.params.type_v = p.cache;
    r.params.n_ctx = 16;
    r.params.n_ubatch = 2;
    r.params.n_logits = SMALL_PROMPT;
    r.params.n_seq = p.vector ? 1 : 2;
    /* Which experts a token takes must not depend on how its activations were rounded. */
    r.params.act_f32 = p.vector || config.n_expert > 0;
    snprintf(r.name, sizeof r.name, "%s %s, %sweights %s, cache %s",
             p.vector ? p.vector : rb_arch_name[p.arch], rb_attn_name(&config, p.attn),
             p.packed ? "packed " : "", rb_dtype_get(p.weights)->name, rb_dtype_get(p.cache)->name);
    return r;
}

void small_run_close(small_run *r)
{
    rb_model_close(r->model);
    r->model = NULL;
}

size_t small_run_logits(const small_run *r)
{
    return (size_t)(r->params.n_seq * SMALL_TOKENS * r->model->config.n_vocab);
}

void small_run_all(const small_run *r, small_way way, float *logits, rb_ledger *ledger)
{
    rb_session_params p = r->params;
    rb_session *s;
    rb_error err;
    int32_t ids[2 * SMALL_TOKENS];
    p.isa = way.isa;
    p.capped = way.capped;
    p.n_threads = way.n_threads;
    for (int i = 0; i < 2 * SMALL_TOKENS; i++)
        ids[i] = (int32_t)((7 * i + 3) % r->model->config.n_vocab);
    must(rb_session_open(&s, r->model, &p, &err), &err);
    for (int step = 0; step <= SMALL_DECODED; step++) {
        const bool prompt = step == 0;
        const int64_t n = prompt ? SMALL_PROMPT : 1;
        const int32_t *from = prompt ? ids : ids + p.n_seq * (SMALL_PROMPT + step - 1);
        must(rb_session_run(s, prompt ? RB_PREFILL : RB_DECODE, from, n, prompt, &err), &err);
        const size_t floats = (size_t)(p.n_seq * n * r->model->config.n_vocab);
        if (logits) {
            memcpy(logits, rb_session_logits(s), floats * sizeof *logits);
            logits += floats;
        }
    }
    *ledger = *rb_session_ledger(s);
    rb_session_close(s);
}

static void put_row(FILE *f, rb_phase phase, rb_site site, rb_op_id op, const rb_tally *t)
{
    const rb_bytes b = rb_cost_bytes(&t->cost);
    const uint64_t number[] = { t->calls,  t->cost.flops, t->cost.special, b.weight,
                                b.kv_read, b.kv_write,    b.act_read,      b.act_write };
    fprintf(f, "%s %s %s", rb_phase_name[phase], rb_site_name[site], rb_op_get(op)->name);
    for (size_t i = 0; i < COUNT(number); i++)
        fprintf(f, " %llu", (unsigned long long)number[i]);
    fputc('\n', f);
}

char *small_run_text(const small_run *r, const rb_ledger *ledger)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        abort();
    fprintf(f, "## %s\n", r->name);
    for (rb_phase phase = 0; phase < RB_N_PHASE; phase++)
        for (rb_site site = 0; site < RB_N_SITE; site++)
            for (rb_op_id op = 0; op < RB_N_OP; op++)
                if (ledger->at[phase][site][op].calls)
                    put_row(f, phase, site, op, &ledger->at[phase][site][op]);
    fclose(f);
    return text;
}
