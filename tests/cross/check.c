/* The registry test and the counting proof with fewer cases, for processors that are reached
 * through a cross compiler and a slow emulator only. check I N [ISA]: each Nth row from the Ith on,
 * of those that the processor can run, or of one ISA. Prints one line; exit 1 on any failure and
 * where there are no rows. Read next: ../test_kernels.c and ../test_proof.c (what is checked). */
#include <stdlib.h>
#include <string.h>

#include "../guard.h"
#include "../../kernels/matmul.h"
#include "../ref.h"

enum { CASES = 3 };

static void run_row(const rb_kernel *k, const rb_call *call, uint64_t seed)
{
    void *shared = malloc(1 + (k->shared_bytes ? (size_t)k->shared_bytes(call) : 0));
    void *own = malloc(1 + (k->own_bytes ? (size_t)k->own_bytes(call) : 0));
    for (int phase = 0; phase < k->n_phase; phase++) {
        const int64_t units = k->units(call, phase);
        for (int64_t first = 0, last; first < units; first = last) {
            last = first + 1 + (int64_t)rb_random_below(&seed, (uint64_t)(units - first));
            k->run(call, phase, first, last, shared, own);
        }
    }
    free(shared);
    free(own);
}

static bool equals_reference(const rb_kernel *k, uint64_t seed, rb_fill fill, char *buf,
                             size_t size)
{
    rb_case c;
    guarded g;
    if (rb_case_make(&c, k, fill, seed, NULL) != RB_OK || !guard_open(&g, &c.call))
        abort();
    run_row(k, &g.call, seed);
    const char *wrong = guard_damage(&g, k->op);
    if (!wrong)
        wrong = ref_check(k, &c.call, &g.call, buf, size);
    else
        snprintf(buf, size, "%s", wrong);
    guard_close(&g);
    rb_case_free(&c);
    return !wrong;
}

static bool proven(const rb_kernel *k, uint64_t seed, char *buf, size_t size)
{
    rb_case c;
    rb_proof proof;
    if (rb_case_make(&c, k, RB_FILL_RANDOM, seed, NULL) != RB_OK)
        abort();
    const bool ok = rb_prove(k, &c.call, seed, &proof);
    snprintf(buf, size, "%s", proof.mismatch);
    rb_case_free(&c);
    return ok;
}

int main(int argc, char **argv)
{
    const int first = argc > 2 ? atoi(argv[1]) : 0, step = argc > 2 ? atoi(argv[2]) : 1;
    int rows = 0, failed = 0;
    if (rb_blas_prepare(NULL) != RB_OK)
        abort();
    for (int i = first; i < rb_registry_size(); i += step) {
        const rb_kernel *k = rb_registry_row(i);
        const bool counting = k->isa >= RB_ISA_COUNT1;
        char name[96], buf[512];
        if (!rb_kernel_supported(k) || (argc > 3 && strcmp(argv[3], rb_isa_name[k->isa]) != 0))
            continue;
        rows++;
        rb_kernel_name(k, name, sizeof name);
        const int types = rb_case_combinations(k), few = CASES * RB_N_FILL;
        for (uint64_t n = 0; n < (uint64_t)(types > few ? types : few); n++) {
            const bool ok = counting
                                ? proven(k, n, buf, sizeof buf)
                                : equals_reference(k, n, (rb_fill)(n % RB_N_FILL), buf, sizeof buf);
            if (!ok && ++failed < 20)
                printf("%s, case %d: %s\n", name, (int)n, buf);
        }
    }
    printf("cross: %d rows, %d failures\n", rows, failed);
    return failed != 0 || rows == 0;
}
