/* Launches for a simulator of caches to watch, and what the model of DRAM traffic says of them:
 *     validate run|model CALLS CACHE_BYTES decode PRESET TYPE LAYERS CONTEXT
 *     validate run|model CALLS CACHE_BYTES kernel OP TYPE EXTENT...
 * `run` does CALLS steps or launches and says nothing, `model` prints the bytes that as many move.
 * Models are a preset's first layers with fewer words. Refuses to judge: validate.py compares. */
#include <stdlib.h>
#include <string.h>

#include "../../bench/bench.h"
#include "../../kernels/reuse.h"
#include "../../kernels/shaped.h"

/* Of models: enough for a head that no cache of the simulator holds, and soon made. */
enum { VOCAB = 8192 };

static void must(rb_status st, const rb_error *err)
{
    if (st == RB_OK)
        return;
    fprintf(stderr, "validate: %s\n", err->text);
    exit(1);
}

static rb_dram decode(bool model, int64_t calls, int64_t cache, char **arg)
{
    const rb_config *preset = rb_preset_find(arg[0]);
    const rb_dtype type = rb_dtype_by_name(arg[1]);
    const int64_t context = atoll(arg[3]);
    rb_error err = { 0 };
    rb_model *m;
    rb_session *s;
    rb_session_params p = rb_session_defaults();
    if (!preset || type == RB_NO_DTYPE)
        must(rb_fail(&err, RB_ERR_ARGUMENT, "no preset %s of %s", arg[0], arg[1]), &err);
    rb_config c = *preset;
    c.n_layer = atoll(arg[2]);
    c.n_vocab = VOCAB;
    must(rb_model_synth(&m, &c, type, 1, model, &err), &err);
    must(rb_model_pack(m, &err), &err);
    p.n_ctx = context + 1;
    p.dry = model;
    p.cache_bytes = model ? cache : 0;
    must(rb_session_open(&s, m, &p, &err), &err);
    for (int64_t i = 0; i < calls; i++) {
        const int32_t id = (int32_t)(i % VOCAB);
        rb_session_set_past(s, context);
        must(rb_session_run(s, RB_DECODE, &id, 1, false, &err), &err);
    }
    const rb_tally sum = rb_ledger_phase(rb_session_ledger(s), RB_DECODE);
    rb_session_close(s);
    rb_model_close(m);
    return sum.dram;
}

typedef struct work {
    rb_shaped shaped;
    int64_t calls;
} work;

static void launches(rb_exec *ex, void *arg)
{
    const work *w = arg;
    rb_call call = w->shaped.call;
    ex->site = RB_SITE_ROOF;
    if (w->shaped.memory.data)
        rb_shaped_turn(&w->shaped, 0, &call);
    for (int64_t i = 0; i < w->calls; i++)
        rb_launch(ex, w->shaped.op->id, &call);
}

static rb_op_id op_named(const char *name)
{
    const rb_op *op = rb_op_by_name(name);
    if (op)
        return op->id;
    fprintf(stderr, "validate: no op %s\n", name);
    exit(1);
}

static rb_dram kernel(bool model, int64_t calls, int64_t cache, char **arg)
{
    work w = { .calls = calls };
    rb_sizes shape = { { 0 } };
    rb_error err = { 0 };
    rb_team *team, *dry;
    rb_team_params p = { .n_threads = 1, .dry = true };
    const rb_op_id op = op_named(arg[0]);
    for (int i = 0; i < RB_MAX_EXTENT && arg[2 + i]; i++)
        shape.at[i] = atoll(arg[2 + i]);
    must(rb_isa_detect(&p.isa, &p.capped, &err), &err);
    must(rb_shaped_make(&w.shaped, op, rb_dtype_by_name(arg[1]), &shape, &err), &err);
    must(rb_team_open(&dry, &p, &err), &err);
    rb_step(dry, launches, &w);
    p.dry = model;
    p.cache_bytes = model ? cache : 0;
    must(rb_team_open(&team, &p, &err), &err);
    must(rb_team_reserve(team, rb_team_scratch_needed(dry), &err), &err);
    if (!model) {
        must(rb_shaped_alloc(&w.shaped, 1, &err), &err);
        rb_shaped_fill(&w.shaped, 0, 1);
    }
    rb_step(team, launches, &w);
    const rb_dram sum = rb_ledger_site(rb_team_ledger(team), RB_PREFILL, RB_SITE_ROOF).dram;
    rb_team_close(team);
    rb_team_close(dry);
    rb_shaped_free(&w.shaped);
    return sum;
}

int main(int argc, char **argv)
{
    if (argc < 7) {
        fprintf(stderr, "usage: validate run|model CALLS CACHE_BYTES decode|kernel ...\n");
        return 2;
    }
    const bool model = !strcmp(argv[1], "model"), whole = !strcmp(argv[4], "decode");
    const int64_t calls = atoll(argv[2]), cache = atoll(argv[3]);
    const rb_dram sum = (whole ? decode : kernel)(model, calls, cache, &argv[5]);
    if (model)
        printf("{\"read\":%llu,\"allocate\":%llu,\"write_back\":%llu}\n",
               (unsigned long long)sum.read, (unsigned long long)sum.allocate,
               (unsigned long long)sum.write_back);
    return 0;
}
