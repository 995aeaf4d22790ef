/* One result as a JSON object: llama-bench's names and types first, ours after them. Counts are
 * exact integers; what was not measured is left out, never filled in. Read next: report.c, which
 * writes them. */
#include "record.h"

#include "waste.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ---- */

static json_t *count(uint64_t n)
{
    if (n > INT64_MAX) /* run.c refuses such tests before they start */
        abort();
    return json_integer((json_int_t)n);
}

json_t *rb_json_number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* A measured figure; 0 stands for unknown. */
static json_t *known(double x)
{
    return x > 0 ? rb_json_number(x) : json_null();
}

json_t *rb_json_name(const char *text)
{
    json_t *s = json_string(text);
    return s ? s : json_null();
}

static void put_text(json_t *o, const char *key, const char *text)
{
    json_object_set_new(o, key, rb_json_name(text));
}

static void put_int(json_t *o, const char *key, int64_t n)
{
    json_object_set_new(o, key, json_integer(n));
}

static void put_count(json_t *o, const char *key, uint64_t n)
{
    json_object_set_new(o, key, count(n));
}

static void put_number(json_t *o, const char *key, double x)
{
    json_object_set_new(o, key, rb_json_number(x));
}

static void put_bool(json_t *o, const char *key, bool b)
{
    json_object_set_new(o, key, json_boolean(b));
}

/* ---- reading fields ---- */

int64_t rb_field_int(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? json_integer_value(v) : 0;
}

const char *rb_field_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* ---- parts of a record ---- */

static void put_model(json_t *o, const rb_subject *s, const rb_model *m)
{
    char params[32], type[128];
    rb_count_text((double)m->n_params, params, sizeof params);
    snprintf(type, sizeof type, "%s %s %s", rb_arch_name[m->config.arch], params,
             rb_dtype_get(rb_main_dtype(m))->name);
    put_text(o, "model_filename", s->filename);
    put_text(o, "model_type", type);
    put_count(o, "model_size", rb_model_file_bytes(m));
    put_count(o, "model_n_params", m->n_params);
}

static void put_test(json_t *o, const rb_test *t)
{
    put_int(o, "n_batch", t->n_batch);
    put_int(o, "n_ubatch", t->n_ubatch);
    put_int(o, "n_threads", t->n_threads);
    put_text(o, "type_k", rb_dtype_get(t->type_k)->name);
    put_text(o, "type_v", rb_dtype_get(t->type_v)->name);
    put_int(o, "n_prompt", t->n_prompt);
    put_int(o, "n_gen", t->n_gen);
    put_int(o, "n_depth", t->n_depth);
    put_int(o, "n_draft", t->n_draft);
}

/* What llama-bench has and this engine has not, so that scripts find their columns. */
static void put_constants(json_t *o)
{
    put_int(o, "build_number", 0);
    put_text(o, "gpu_info", "");
    put_int(o, "n_gpu_layers", 0);
    put_text(o, "split_mode", "none");
    put_int(o, "main_gpu", 0);
    put_text(o, "tensor_split", "0.00");
    put_bool(o, "no_kv_offload", true);
    put_bool(o, "flash_attn", true);
    put_text(o, "cpu_mask", "0x0");
    put_bool(o, "cpu_strict", false);
    put_int(o, "poll", 0);
    put_bool(o, "use_mmap", false);
    put_bool(o, "embeddings", false);
}

static const char *ffn_act(const rb_config *c, const rb_test *t)
{
    return c->ffn == RB_FFN_SWIGLU  ? "silu"
           : c->ffn == RB_FFN_RELU2 ? "relu2"
           : t->gelu_erf            ? "gelu_erf"
                                    : "gelu";
}

/* How far a converted model is from the model itself. */
static void put_quality(json_t *o, const rb_subject *s, const rb_test *t)
{
    const rb_judged *j = s->formed && t->model ? s->formed[t->model - 1].judged : NULL;
    if (!j)
        return;
    put_int(o, "attn_n_judged", j->n);
    put_number(o, "attn_kl", rb_judged_kl(j));
    put_number(o, "attn_same_top", (double)j->n_same / (double)j->n);
    put_number(o, "attn_dlogit", j->dlogit_max);
    put_number(o, "attn_logit", j->logit_max);
}

static void put_workload(json_t *o, const rb_subject *s, const rb_model *m, const rb_result *r)
{
    char attn[64];
    json_t *types = json_object();
    for (int d = 0; d < RB_N_DTYPE; d++) {
        if (m->bytes_of[d])
            put_count(types, rb_dtype_get((rb_dtype)d)->name, m->bytes_of[d]);
    }
    put_int(o, "schema_version", 1);
    put_text(o, "phase", rb_test_phase(&r->test));
    put_text(o, "arch", rb_arch_name[m->config.arch]);
    put_text(o, "attn_variant", rb_subject_attn(s, &r->test, attn, sizeof attn));
    put_bool(o, "attn_exact", rb_subject_exact(s, &r->test));
    put_text(o, "attn_weights",
             m->attn.synthetic   ? "synthetic"
             : m->attn.converted ? "converted"
                                 : "own");
    put_quality(o, s, &r->test);
    const bool chooses = rb_config_is_mla(&m->config) && r->test.attn <= RB_ATTN_MLA;
    put_text(o, "mla_auto", chooses && r->test.mla_roof ? "roof" : "flops");
    put_text(o, "ffn_act", ffn_act(&m->config, &r->test));
    put_int(o, "n_layer", m->config.n_layer);
    put_int(o, "n_layer_run", r->test.n_layer);
    put_int(o, "n_seq", r->test.n_seq);
    put_text(o, "isa", rb_isa_name[r->test.isa]);
    put_text(o, "act", r->test.act_f32 ? "f32" : "native");
    put_bool(o, "blas", !r->test.capped);
    json_object_set_new(o, "weight_types", types);
}

static json_t *bytes_object(const rb_cost *c)
{
    rb_bytes b = rb_cost_bytes(c);
    json_t *o = json_object();
    put_count(o, "weight", b.weight);
    put_count(o, "kv_read", b.kv_read);
    put_count(o, "kv_write", b.kv_write);
    put_count(o, "act_read", b.act_read);
    put_count(o, "act_write", b.act_write);
    return o;
}

/* Of a total with an unknown part nothing is known. */
static json_t *issued_object(const rb_cost *c)
{
    if (c->issued_unknown)
        return json_null();
    json_t *o = json_object();
    put_count(o, "read", c->issued_rd);
    put_count(o, "write", c->issued_wr);
    return o;
}

void rb_record_cost(json_t *o, const rb_cost *c)
{
    json_t *dequant = json_object();
    put_count(dequant, "int", c->dequant[0]);
    put_count(dequant, "conv", c->dequant[1]);
    put_count(dequant, "float", c->dequant[2]);
    put_count(o, "flops", c->flops);
    put_count(o, "flops_extra", c->extra);
    put_count(o, "flops_saved", c->saved);
    put_count(o, "special", c->special);
    put_int(o, "special_overhead", c->special_overhead);
    put_count(o, "int_macs", c->int_macs);
    put_count(o, "bf16_macs", c->bf16_macs);
    json_object_set_new(o, "dequant_ops", dequant);
    json_object_set_new(o, "bytes", bytes_object(c));
    json_object_set_new(o, "bytes_issued", issued_object(c));
}

/* What a tally moves between DRAM and the modelled cache, and its OI there: null where it is
 * resident, both null where nothing was modelled. */
static void put_dram(json_t *o, const rb_tally *t, bool modelled)
{
    json_t *bytes = modelled ? json_object() : json_null();
    if (modelled) {
        put_count(bytes, "read", t->dram.read);
        put_count(bytes, "allocate", t->dram.allocate);
        put_count(bytes, "write_back", t->dram.write_back);
    }
    json_object_set_new(o, "bytes_dram_model", bytes);
    json_object_set_new(o, "oi_dram", modelled ? known(rb_tally_oi_dram(t)) : json_null());
}

/* What memory controllers counted in the median repetition, and OI there: null where none are
 * known, and so is what they do not tell apart. */
static void put_pmu(json_t *o, const rb_result *r)
{
    const rb_pmu_bytes *b = r->n_samples ? &r->sample[r->median].pmu : &(rb_pmu_bytes){ 0 };
    const uint64_t total = rb_pmu_total(b);
    json_t *bytes = b->counted > 0 ? json_object() : json_null();
    if (b->counted > 0) {
        json_object_set_new(bytes, "read", b->either ? json_null() : count(b->read));
        json_object_set_new(bytes, "write", b->either ? json_null() : count(b->write));
        put_count(bytes, "total", total);
        put_number(bytes, "counted", b->counted);
    }
    json_object_set_new(o, "bytes_dram_pmu", bytes);
    json_object_set_new(o, "oi_dram_pmu",
                        total ? rb_json_number((double)r->total.cost.flops / (double)total)
                              : json_null());
}

static void put_memory(json_t *o, const rb_memory *m)
{
    json_t *memory = json_object();
    put_count(memory, "weights", m->weights);
    put_count(memory, "kv", m->kv);
    put_count(memory, "scratch", m->scratch);
    put_count(memory, "total", rb_memory_total(m));
    json_object_set_new(o, "memory", memory);
}

/* Sample by sample, in the order they were taken. */
static void put_samples(json_t *o, const rb_result *r)
{
    json_t *ns = json_array(), *ts = json_array(), *dram = json_array(), *fma = json_array();
    json_t *outlier = json_array(), *paired = json_array(), *least = json_array();
    for (int i = 0; i < r->n_samples; i++) {
        const rb_sample *s = &r->sample[i];
        json_array_append_new(ns, count(s->ns));
        json_array_append_new(
            ts, rb_json_number((double)rb_test_tokens(&r->test) * 1e9 / (double)s->ns));
        json_array_append_new(dram, known(s->probe.read_dram));
        json_array_append_new(fma, known(s->probe.fma_f32));
        json_array_append_new(paired, json_boolean(s->paired));
        json_array_append_new(least, known(s->roof_ns));
        json_array_append_new(outlier, json_boolean(rb_stats_outlier(&r->ns, (double)s->ns)));
    }
    json_object_set_new(o, "samples_ns", ns);
    json_object_set_new(o, "samples_ts", ts);
    json_object_set_new(o, "samples_outlier", outlier);
    json_object_set_new(o, "samples_read_dram", dram);
    json_object_set_new(o, "samples_fma_f32", fma);
    json_object_set_new(o, "samples_paired", paired);
    json_object_set_new(o, "samples_roof_ns", least);
}

/* What else the machine did, summed over samples and for each of them. */
static void put_noise(json_t *o, const rb_result *r)
{
    static const struct {
        const char *name;
        size_t place;
    } what[] = {
        { "steal_ns", offsetof(rb_noise, steal_ns) },
        { "other_ns", offsetof(rb_noise, other_ns) },
        { "migrations", offsetof(rb_noise, migrations) },
        { "voluntary_switches", offsetof(rb_noise, voluntary) },
        { "involuntary_switches", offsetof(rb_noise, involuntary) },
    };
    json_t *noise = json_object(), *mhz = json_array();
    for (size_t k = 0; k < sizeof what / sizeof *what; k++) {
        json_t *each = json_array();
        for (int i = 0; i < r->n_samples; i++) {
            const char *at = (const char *)&r->sample[i].noise + what[k].place;
            int64_t n;
            memcpy(&n, at, sizeof n);
            json_array_append_new(each, n < 0 ? json_null() : json_integer(n));
        }
        json_object_set_new(noise, what[k].name, each);
    }
    for (int i = 0; i < r->n_samples; i++)
        json_array_append_new(mhz, known(r->sample[i].noise.mhz));
    json_object_set_new(noise, "mhz", mhz);
    json_object_set_new(o, "noise", noise);
}

static json_t *interval(bool has, double lo, double hi)
{
    return has ? json_pack("[f,f]", lo, hi) : json_null();
}

/* Whose times these are. */
static void put_peer(json_t *o, const rb_peer *p)
{
    json_t *peer = json_object();
    put_text(peer, "name", p->name);
    put_text(peer, "build", p->build);
    put_text(peer, "cpu", p->cpu);
    json_object_set_new(o, "peer", peer);
}

static void put_times(json_t *o, const rb_result *r)
{
    put_text(o, "test_time", r->when);
    put_int(o, "avg_ns", (int64_t)llround(r->ns.mean));
    put_int(o, "stddev_ns", (int64_t)llround(r->ns.stddev));
    put_number(o, "avg_ts", r->tps.mean);
    put_number(o, "stddev_ts", r->tps.stddev);
    put_samples(o, r);
    put_number(o, "median_ns", r->ns.median);
    put_number(o, "mad_ns", r->ns.mad);
    json_object_set_new(o, "ci95_ns", interval(r->ns.has_ci, r->ns.ci_lo, r->ns.ci_hi));
    put_number(o, "median_ts", rb_result_tps(r));
    put_int(o, "n_outlier", r->ns.n_outlier);
    put_number(o, "drift", r->ns.drift);
    put_bool(o, "drifts", r->ns.drifts);
    put_number(o, "gflops", rb_result_gflops(r));
    put_number(o, "gbps", rb_result_gbps(r));
}

/* How it was run here. */
static void put_run(json_t *o, const rb_subject *s, const rb_result *r)
{
    put_count(o, "seed", s->seed);
    put_bool(o, "warm", r->warm);
    put_text(o, "selfcheck", "ok"); /* every repetition had the same counts */
    if (r->interrupted)
        put_bool(o, "interrupted", true);
    put_noise(o, r);
    put_text(o, "kv_fill", r->kv_fill);
}

/* ---- experts ---- */

/* How many different ones the calls of each layer took, beside what uniform routing gives. */
static void put_experts(json_t *o, const rb_config *c, const rb_result *r)
{
    json_t *experts = json_object(), *list = json_array();
    put_int(experts, "n", c->n_expert);
    put_int(experts, "n_used", c->n_expert_used);
    for (int phase = 0; phase < RB_N_PHASE; phase++)
        for (int l = 0; l < RB_MAX_ROUTED; l++) {
            const rb_routing *at = &r->routing[phase][l];
            if (!at->calls)
                continue;
            json_t *layer = json_object();
            put_text(layer, "phase", rb_phase_name[phase]);
            put_int(layer, "layer", l);
            put_count(layer, "calls", at->calls);
            put_count(layer, "tokens", at->tokens);
            put_count(layer, "distinct", at->distinct);
            put_count(layer, "least", at->least);
            put_count(layer, "most", at->most);
            put_number(layer, "expected", at->expected);
            json_array_append_new(list, layer);
        }
    json_object_set_new(experts, "layers", list);
    json_object_set_new(o, "experts", experts);
}

/* ---- roofs ---- */

json_t *rb_roofs_array(const rb_machine *m)
{
    json_t *list = json_array();
    for (int i = 0; i < RB_N_ROOF; i++) {
        const rb_roof *roof = &m->roof[i];
        if (!roof->value)
            continue;
        json_t *o = json_object();
        put_text(o, "name", rb_roof_infos[i].name);
        put_text(o, "kind", rb_roof_infos[i].kind);
        put_number(o, "value", roof->value);
        put_text(o, "unit", rb_roof_infos[i].unit);
        json_object_set_new(o, "ci95", interval(roof->ci95[1] > 0, roof->ci95[0], roof->ci95[1]));
        put_number(o, "mad", roof->mad);
        put_int(o, "n_samples", roof->n);
        if (roof->note[0])
            put_text(o, "loop", roof->note);
        put_int(o, "n_threads", m->n_threads);
        put_text(o, "isa", rb_isa_name[m->isa]);
        json_array_append_new(list, o);
    }
    return list;
}

/* What binds, by which roof, and whether that roof was passed. */
static void put_bound(json_t *o, const rb_place *p)
{
    put_text(o, "bound", rb_bound_name[p->bound]);
    if (p->bound != RB_BOUND_NONE)
        put_text(o, "roof", rb_roof_infos[p->roof].name);
    put_bool(o, "roof_exceeded", p->above);
}

static void put_place(json_t *o, const rb_result *r)
{
    const rb_place *p = &r->place;
    put_number(o, "roof_gflops", rb_result_roof_gflops(r));
    json_object_set_new(o, "roof_pct", known(p->pct));
    put_bound(o, p);
    put_number(o, "roof_ns", p->roof_ns);
    put_number(o, "roof_launch_ns", r->machine->roof[RB_ROOF_LAUNCH].value);
    put_int(o, "roof_pairs", p->n_pairs);
    put_number(o, "phi", rb_result_phi(r));
    put_number(o, "phi_log", rb_result_phi_log(r));
}

/* ---- kernels ---- */

static json_t *kernel_object(const rb_result *r, const rb_tally *t, rb_phase phase, rb_site site,
                             rb_op_id op)
{
    const rb_op *known_op = t->kernel ? t->kernel->op : rb_op_get(op);
    json_t *o = json_object();
    char name[96];
    put_text(o, "op", known_op ? known_op->name : "?");
    put_text(o, "site", rb_site_name[site]);
    put_text(o, "phase", rb_phase_name[phase]);
    if (t->kernel)
        put_text(o, "kernel", rb_kernel_name(t->kernel, name, sizeof name));
    put_count(o, "calls", t->calls);
    rb_record_cost(o, &t->cost);
    put_number(o, "oi_kernel", rb_tally_oi_kernel(t));
    put_number(o, "oi_issued", rb_tally_oi_issued(t));
    put_dram(o, t, r->cache_bytes != 0);
    if (r->dry || r->peer)
        return o;
    const rb_bytes b = rb_cost_bytes(&t->cost);
    const rb_place p = r->kernel[phase][site][op];
    put_count(o, "ns", t->ns);
    put_count(o, "barrier_ns", t->barrier_ns);
    put_count(o, "launch_ns", t->launch_ns);
    if (t->ns) {
        put_number(o, "gflops", (double)t->cost.flops / (double)t->ns);
        put_number(o, "gbps", (double)rb_bytes_all(&b) / (double)t->ns);
    }
    if (p.bound != RB_BOUND_NONE) {
        put_bound(o, &p);
        put_number(o, "roof_ns", p.roof_ns);
        json_object_set_new(o, "roof_pct", known(p.pct));
    }
    return o;
}

/* What was done beyond need. */
static json_t *waste_array(const rb_result *r)
{
    rb_waste list[RB_MAX_WASTE];
    const int n = rb_waste_of(r, list);
    json_t *array = json_array();
    for (int i = 0; i < n; i++) {
        json_t *o = json_object();
        put_text(o, "what", list[i].what);
        put_text(o, "site", list[i].where);
        put_count(o, "ops", list[i].flops);
        put_count(o, "special", list[i].special);
        put_count(o, "bytes", list[i].bytes);
        put_number(o, "share", list[i].share);
        if (r->machine)
            put_number(o, "roof_ns", list[i].ns);
        json_array_append_new(array, o);
    }
    return array;
}

/* A row of time alone. */
static void append_rest(json_t *list, const char *op, uint64_t ns)
{
    json_t *o = json_object();
    put_text(o, "op", op);
    put_count(o, "ns", ns);
    json_array_append_new(list, o);
}

static json_t *kernels_array(const rb_result *r)
{
    json_t *list = json_array();
    for (int phase = 0; phase < RB_N_PHASE; phase++) {
        for (int site = 0; site < RB_N_SITE; site++) {
            for (int op = 0; op < RB_N_OP; op++) {
                const rb_tally *t = &r->ledger.at[phase][site][op];
                if (t->calls)
                    json_array_append_new(
                        list, kernel_object(r, t, (rb_phase)phase, (rb_site)site, (rb_op_id)op));
            }
        }
    }
    if (!r->dry && !r->peer) {
        append_rest(list, "barrier", r->total.barrier_ns);
        append_rest(list, "launch", r->total.launch_ns);
        append_rest(list, "other", rb_result_other_ns(r));
    }
    return list;
}

void rb_record_roofs(json_t *o, const rb_machine *m, rb_told *told)
{
    const int most = (int)(sizeof told->machine / sizeof *told->machine);
    for (int i = 0; i < told->n; i++)
        if (told->machine[i] == m)
            return;
    if (told->n < most)
        told->machine[told->n++] = m;
    json_object_set_new(o, "roofs", rb_roofs_array(m));
}

/* The manifest, with the digest of the model that ran. */
static void put_env(json_t *o, const rb_subject *s, const rb_test *t)
{
    const char *digest = s->formed && t->model ? s->formed[t->model - 1].digest : NULL;
    json_t *env = s->env && digest ? json_copy(s->env) : json_incref(s->env);
    if (env && digest)
        put_text(env, "model_digest", digest);
    if (env)
        json_object_set_new(o, "env", env);
}

json_t *rb_record(const rb_subject *s, const rb_result *r, rb_told *told)
{
    json_t *o = json_object();
    const rb_model *m = rb_subject_model(s, &r->test);
    put_text(o, "build_commit", s->commit);
    put_text(o, "cpu_info", r->peer && !r->machine ? r->peer->cpu : s->cpu);
    put_text(o, "backends", "CPU");
    put_model(o, s, m);
    put_test(o, &r->test);
    if (r->peer)
        put_peer(o, r->peer);
    else
        put_constants(o);
    put_workload(o, s, m, r);
    put_env(o, s, &r->test);
    if (r->error[0]) {
        put_text(o, "test_time", r->when);
        put_text(o, "error", r->error);
        if (r->counts_differ)
            put_text(o, "selfcheck", r->error);
        return o;
    }
    if (!r->dry)
        put_times(o, r);
    if (!r->dry && !r->peer)
        put_run(o, s, r);
    rb_record_cost(o, &r->total.cost);
    put_dram(o, &r->total, r->cache_bytes != 0);
    json_object_set_new(o, "cache_bytes", r->cache_bytes ? count(r->cache_bytes) : json_null());
    put_pmu(o, r);
    put_number(o, "oi", rb_tally_oi(&r->total));
    put_number(o, "oi_kernel", rb_tally_oi_kernel(&r->total));
    put_number(o, "oi_issued", rb_tally_oi_issued(&r->total));
    put_number(o, "oi_attn", rb_result_oi_attn(r));
    if (r->machine)
        put_place(o, r);
    if (r->machine && told)
        rb_record_roofs(o, r->machine, told);
    put_int(o, "kv_bytes_per_token", r->kv_bytes_per_token);
    put_bool(o, "counts_assumed", r->total.assumed);
    put_memory(o, &r->memory);
    if (m->config.n_expert)
        put_experts(o, &m->config, r);
    json_object_set_new(o, "kernels", kernels_array(r));
    json_object_set_new(o, "waste", waste_array(r));
    return o;
}
