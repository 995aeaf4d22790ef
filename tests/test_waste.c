/* The waste ledger of counted tests: what later micro-batches read again is what a prompt in one
 * would not have read, FLOPs are the ledger's, and a decode step of plain weights wastes none but
 * attention's. Modelled DRAM traffic in results too. Read next: ../bench/waste.c. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../bench/waste.h"

/* Counts one test of a preset. The result is the caller's to free. */
static rb_result *count(const char *preset, int64_t n_prompt, int64_t n_gen, int64_t n_ubatch,
                        uint64_t cache_bytes)
{
    const rb_model_params how = { .dry = true };
    const rb_bench_params params = { .n_reps = 1, .dry = true, .cache_bytes = cache_bytes };
    rb_error err = { 0 };
    rb_model *m = NULL;
    rb_bench *b = NULL;
    rb_result *r = calloc(1, sizeof *r);
    rb_test t = { .n_prompt = n_prompt,
                  .n_gen = n_gen,
                  .n_seq = 1,
                  .n_batch = 2048,
                  .n_ubatch = n_ubatch,
                  .n_threads = 2,
                  .type_k = RB_F16,
                  .type_v = RB_F16,
                  .capped = true,
                  .isa = RB_ISA_SCALAR };
    cr_assert_eq(rb_model_open(&m, preset, &how, &err), RB_OK, "%s", err.text);
    cr_assert_eq(rb_model_pack(m, &err), RB_OK, "%s", err.text);
    t.n_layer = m->config.n_layer;
    cr_assert_eq(rb_bench_open(&b, m, m, &params, &err), RB_OK, "%s", err.text);
    rb_bench_test(b, &t, r);
    cr_assert_str_empty(r->error);
    rb_bench_close(b);
    rb_model_close(m);
    return r;
}

static rb_bytes bytes_of(const rb_result *r)
{
    return rb_cost_bytes(&r->total.cost);
}

/* Sums over all lines that begin so. */
static rb_waste sum_of(const rb_result *r, const char *what)
{
    rb_waste list[RB_MAX_WASTE], sum = { 0 };
    const int n = rb_waste_of(r, list);
    for (int i = 0; i < n; i++) {
        if (strncmp(list[i].what, what, strlen(what)) != 0)
            continue;
        sum.bytes += list[i].bytes;
        sum.flops += list[i].flops;
        cr_expect(isfinite(list[i].share) && list[i].share >= 0 && isfinite(list[i].ns));
    }
    return sum;
}

Test(waste, micro_batches_read_weights_and_cache_again)
{
    rb_result *whole = count("smollm2-135m", 1024, 0, 1024, 0);
    rb_result *parts = count("smollm2-135m", 1024, 0, 256, 0);
    const rb_bytes a = bytes_of(whole), b = bytes_of(parts);
    cr_expect_eq(sum_of(whole, "weights read again").bytes, 0);
    cr_expect_eq(sum_of(whole, "cache read again").bytes, 0);
    /* distinct rows of the embedding are the same: ids of one prompt all differ */
    cr_expect_eq(sum_of(parts, "weights read again").bytes, b.weight - a.weight);
    cr_expect_eq(sum_of(parts, "cache read again").bytes, b.kv_read - a.kv_read);
    cr_expect_gt(b.weight, a.weight);
    free(whole);
    free(parts);
}

Test(waste, a_partial_last_batch_is_a_batch)
{
    rb_result *whole = count("smollm2-135m", 300, 0, 512, 0);
    rb_result *parts = count("smollm2-135m", 300, 0, 128, 0);
    cr_expect_eq(sum_of(parts, "weights read again").bytes,
                 bytes_of(parts).weight - bytes_of(whole).weight);
    free(whole);
    free(parts);
}

Test(waste, flops_beyond_need_are_those_of_the_ledger)
{
    rb_result *r = count("smollm2-135m", 64, 8, 512, 0);
    rb_waste list[RB_MAX_WASTE];
    const int n = rb_waste_of(r, list);
    uint64_t flops = 0;
    for (int i = 0; i < n; i++)
        flops += list[i].flops;
    cr_expect_eq(flops, r->total.cost.extra);
    cr_expect_gt(flops, 0);
    cr_expect_eq(sum_of(r, "scaling q and o").flops, flops, "plain weights add none");
    free(r);
}

/* Every cell with FLOPs beyond its op says what they are. */
Test(waste, each_extra_has_a_name)
{
    for (int i = 0; i < rb_registry_size(); i++) {
        const rb_kernel *k = rb_registry_row(i);
        char name[96];
        const bool extra = k->extra && k->extra->coef;
        cr_expect_eq(extra, k->extra_what != NULL, "%s", rb_kernel_name(k, name, sizeof name));
    }
}

Test(waste, modelled_traffic_of_a_result)
{
    rb_result *streams = count("smollm2-135m", 0, 8, 512, 16 << 20);
    rb_result *stays = count("smollm2-135m", 0, 8, 512, UINT64_C(4) << 30);
    const rb_bytes b = bytes_of(streams);
    const uint64_t moved = rb_dram_bytes(&streams->total.dram);
    cr_expect_eq(streams->cache_bytes, 16 << 20);
    cr_expect(moved >= rb_bytes_wkv(&b) && (double)moved < 1.02 * (double)rb_bytes_wkv(&b),
              "%llu bytes moved, %llu needed", (unsigned long long)moved,
              (unsigned long long)rb_bytes_wkv(&b));
    cr_expect_eq(sum_of(streams, "DRAM traffic").bytes, moved - rb_bytes_wkv(&b));
    cr_expect_float_eq(rb_tally_oi_dram(&streams->total),
                       (double)streams->total.cost.flops / (double)moved, 1e-12);
    cr_expect_eq(rb_tally_oi_dram(&stays->total), 0, "it is resident");
    cr_expect_eq(sum_of(stays, "DRAM traffic").bytes, 0);
    free(streams);
    free(stays);
}

Test(waste, a_cache_of_less_than_a_line_is_refused)
{
    const rb_model_params how = { .dry = true };
    const rb_bench_params params = { .n_reps = 1, .dry = true, .cache_bytes = 63 };
    rb_error err = { 0 };
    rb_model *m = NULL;
    rb_bench *b = NULL;
    cr_assert_eq(rb_model_open(&m, "smollm2-135m", &how, &err), RB_OK);
    cr_expect_eq(rb_bench_open(&b, m, m, &params, &err), RB_ERR_ARGUMENT);
    cr_expect(strstr(err.text, "63"), "%s", err.text);
    cr_expect_null(b);
    rb_model_close(m);
}
