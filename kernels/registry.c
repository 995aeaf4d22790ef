/* The registry: every kernel row of the build, found by walking the lists that object files export,
 * and rows that users add. The lists are the only global state, and the added rows the only mutable
 * one. A kernel file joins by its line in KERNEL_FILES. Read next: op.h. */
#include "op.h"

#include <string.h>

#define KERNEL_FILES(X, isa)                                                                       \
    X(embed, isa)                                                                                  \
    X(norm, isa)                                                                                   \
    X(matmul_packed_i8, isa)                                                                       \
    X(matmul_packed, isa)                                                                          \
    X(matmul_i8, isa)                                                                              \
    X(matmul_heads, isa)                                                                           \
    X(layernorm, isa)                                                                              \
    X(act, isa)                                                                                    \
    X(route, isa)                                                                                  \
    X(experts, isa)                                                                                \
    X(matmul, isa) X(rope, isa) X(kv, isa) X(attend, isa) X(glu, isa) X(elt, isa) X(roof, isa)

#if defined __x86_64__
#define ISAS(X) X(scalar) X(avx2) X(avx512)
#elif defined __aarch64__
#define ISAS(X) X(scalar) X(neon)
#else
#error "rbench needs a 64-bit little-endian x86-64 or AArch64 machine"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "rbench needs a little-endian machine: model files are read as they lie"
#endif

#define ISAS_COUNTING(X) X(count1) X(count8) X(count16)

#define DECLARE(file, isa) extern const rb_kernel_list rb_rows_##file##_##isa;
#define DECLARE_ISA(isa)   KERNEL_FILES(DECLARE, isa)
ISAS(DECLARE_ISA)
ISAS_COUNTING(DECLARE_ISA)
extern const rb_kernel_list rb_rows_matmul_blas;
/* Instructions of some CPUs of an ISA; proven everywhere. */
#define BF16_FILES(X, isa) X(roof_bf16, isa) X(matmul_packed_bf16, isa)
#define BF16_COUNTING(X)   BF16_FILES(X, count1) BF16_FILES(X, count8) BF16_FILES(X, count16)
#if defined __x86_64__
#define BF16_LISTS(X) BF16_FILES(X, avx512) BF16_COUNTING(X)
#else
#define BF16_LISTS(X) BF16_COUNTING(X)
#endif
BF16_LISTS(DECLARE)

#define LIST(file, isa) &rb_rows_##file##_##isa,
#define LIST_ISA(isa)   KERNEL_FILES(LIST, isa)
/* Of rows of one ISA the first that accepts a call is taken. */
static const rb_kernel_list *const lists[] = { BF16_LISTS(LIST) ISAS(LIST_ISA)
                                                   ISAS_COUNTING(LIST_ISA) &
                                               rb_rows_matmul_blas };

enum { MAX_ADDED = 256 };
static const rb_kernel *added[MAX_ADDED]; /* listed before the built-in rows */
static int n_added;

const char *const rb_isa_name[RB_N_ISA] = { "scalar", "neon",   "avx2",   "avx512",
                                            "blas",   "count1", "count8", "count16" };

int rb_registry_size(void)
{
    int n = n_added;
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
        n += lists[l]->n;
    return n;
}

const rb_kernel *rb_registry_row(int i)
{
    if (i < n_added)
        return added[i];
    i -= n_added;
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
        if (i < lists[l]->n)
            return &lists[l]->row[i];
        i -= lists[l]->n;
    }
    return NULL;
}

rb_status rb_register(const rb_kernel *row, rb_error *err)
{
    if (!row->op || !row->run || !row->units || row->n_phase < 1 || row->isa >= RB_N_ISA)
        return rb_fail(err, RB_ERR_ARGUMENT, "a kernel row needs op, isa, units, run and n_phase");
    if (!row->twin && !row->unproven && row->isa < RB_ISA_COUNT1)
        return rb_fail(err, RB_ERR_ARGUMENT,
                       "a kernel row needs its counting twin, or has to say why it is unproven");
    if (!row->op->flops || !row->op->special || !row->op->check || row->op->id >= RB_N_OP)
        return rb_fail(err, RB_ERR_ARGUMENT, "op %s needs id, flops, special and check",
                       row->op->name ? row->op->name : "without a name");
    if (n_added == MAX_ADDED)
        return rb_fail(err, RB_ERR_ARGUMENT, "no room for more than %d added kernels", MAX_ADDED);
    added[n_added++] = row;
    return RB_OK;
}

const rb_kernel *rb_counting_twin(const rb_kernel *k)
{
    static const rb_isa twin[RB_N_ISA] = {
        [RB_ISA_SCALAR] = RB_ISA_COUNT1,   [RB_ISA_NEON] = RB_ISA_COUNT8,
        [RB_ISA_AVX2] = RB_ISA_COUNT8,     [RB_ISA_AVX512] = RB_ISA_COUNT16,
        [RB_ISA_COUNT1] = RB_ISA_COUNT1,   [RB_ISA_COUNT8] = RB_ISA_COUNT8,
        [RB_ISA_COUNT16] = RB_ISA_COUNT16,
    };
    bool built_in = true;
    for (int i = 0; i < n_added; i++)
        built_in &= added[i] != k;
    if (k->twin || !built_in || k->isa == RB_ISA_BLAS)
        return k->twin;
    for (int i = n_added; i < rb_registry_size(); i++) {
        const rb_kernel *c = rb_registry_row(i);
        const bool same_variant = c->variant && k->variant ? strcmp(c->variant, k->variant) == 0
                                                           : c->variant == k->variant;
        if (c->isa == twin[k->isa] && c->op->id == k->op->id && same_variant &&
            c->dtype == k->dtype)
            return c;
    }
    return NULL;
}

const rb_op *rb_op_get(rb_op_id id)
{
    for (int i = 0; i < rb_registry_size(); i++)
        if (rb_registry_row(i)->op->id == id)
            return rb_registry_row(i)->op;
    return NULL;
}

char *rb_kernel_name(const rb_kernel *k, char *buf, size_t size)
{
    size_t n = (size_t)snprintf(buf, size, "%s", k->op->name);
    if (n < size && k->op->key_arg >= 0 && k->dtype != RB_NO_DTYPE)
        n += (size_t)snprintf(buf + n, size - n, ".%s", rb_dtype_get(k->dtype)->name);
    if (n < size && k->variant)
        n += (size_t)snprintf(buf + n, size - n, ".%s", k->variant);
    if (n < size)
        snprintf(buf + n, size - n, ".%s", rb_isa_name[k->isa]);
    return buf;
}
