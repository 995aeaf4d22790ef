/* The registry: every kernel row of the build, found by walking the lists that object files export,
 * and registries of rows that others add. The lists are constant; what is added is in an object of
 * its own. A kernel file joins by its line in KERNEL_FILES. Read next: op.h, register.h. */
#include "register.h"

#include <stdlib.h>
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

#define DECLARE_ISA(_, isa) KERNEL_FILES(RB_DECLARE_ROWS, isa)
RB_EACH_ISA(DECLARE_ISA, )
RB_EACH_COUNTING(DECLARE_ISA, )
extern const rb_kernel_list rb_rows_matmul_blas;
/* Instructions of some CPUs of an ISA; proven everywhere. */
#define BF16_FILES(X, isa) X(roof_bf16, isa) X(matmul_packed_bf16, isa)
#define BF16_COUNTING(X)   BF16_FILES(X, count1) BF16_FILES(X, count8) BF16_FILES(X, count16)
/* What is made of dot products of bytes: all else of AArch64 is NEON's. */
#define DOTPROD_FILES(X, isa) X(matmul_packed_i8, isa) X(matmul_i8, isa) X(roof, isa)
#if defined RB_SCALAR_ONLY
#define SOME_LISTS(X)
#elif defined __x86_64__
#define SOME_LISTS(X) BF16_FILES(X, avx512) BF16_COUNTING(X)
#else
#define SOME_LISTS(X) DOTPROD_FILES(X, dotprod) BF16_COUNTING(X)
#endif
SOME_LISTS(RB_DECLARE_ROWS)

#define LIST_ISA(_, isa) KERNEL_FILES(RB_LIST_ROWS, isa)
/* Of rows of one ISA the first that accepts a call is taken. */
static const rb_kernel_list *const lists[] = { SOME_LISTS(RB_LIST_ROWS) RB_EACH_ISA(LIST_ISA, )
                                                   RB_EACH_COUNTING(LIST_ISA, ) &
                                               rb_rows_matmul_blas };

const char *const rb_isa_name[RB_N_ISA] = { "scalar", "neon",   "dotprod", "avx2",   "avx512",
                                            "blas",   "count1", "count8",  "count16" };

int rb_registry_size(void)
{
    int n = 0;
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
        n += lists[l]->n;
    return n;
}

const rb_kernel *rb_registry_row(int i)
{
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
        if (i < lists[l]->n)
            return &lists[l]->row[i];
        i -= lists[l]->n;
    }
    return NULL;
}

/* Whether c is what the source of k is as the counting ISA. */
static bool is_twin(const rb_kernel *c, const rb_kernel *k)
{
    static const rb_isa twin[RB_N_ISA] = {
        [RB_ISA_SCALAR] = RB_ISA_COUNT1,  [RB_ISA_NEON] = RB_ISA_COUNT8,
        [RB_ISA_DOTPROD] = RB_ISA_COUNT8, [RB_ISA_AVX2] = RB_ISA_COUNT8,
        [RB_ISA_AVX512] = RB_ISA_COUNT16, [RB_ISA_COUNT1] = RB_ISA_COUNT1,
        [RB_ISA_COUNT8] = RB_ISA_COUNT8,  [RB_ISA_COUNT16] = RB_ISA_COUNT16,
        [RB_ISA_BLAS] = RB_N_ISA,
    };
    const bool same_variant =
        c->variant && k->variant ? strcmp(c->variant, k->variant) == 0 : c->variant == k->variant;
    return c->isa == twin[k->isa] && c->op->id == k->op->id && same_variant && c->dtype == k->dtype;
}

const rb_kernel *rb_counting_twin(const rb_kernel *k)
{
    if (k->twin || k->unproven)
        return k->twin;
    for (int i = 0; i < rb_registry_size(); i++)
        if (is_twin(rb_registry_row(i), k))
            return rb_registry_row(i);
    return NULL;
}

const rb_op *rb_op_get(rb_op_id id)
{
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
        for (int i = 0; i < lists[l]->n; i++)
            if (lists[l]->row[i].op->id == id)
                return lists[l]->row[i].op;
    return NULL;
}

const rb_op *rb_op_by_name(const char *name)
{
    for (int i = 0; i < rb_registry_size(); i++)
        if (strcmp(rb_registry_row(i)->op->name, name) == 0)
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

/* ---- rows from outside ---- */

/* The rows of one call of rb_register. */
typedef struct batch {
    struct batch *next; /* added before */
    int n;
    rb_kernel row[];
} batch;

struct rb_registry {
    batch *last;
};

rb_status rb_registry_open(rb_registry **r, rb_error *err)
{
    *r = calloc(1, sizeof **r);
    return *r ? RB_OK : rb_fail(err, RB_ERR_MEMORY, "no memory for a registry");
}

void rb_registry_close(rb_registry *r)
{
    for (batch *b = r ? r->last : NULL, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(r);
}

const rb_kernel *rb_registered(const rb_registry *r, int i)
{
    for (const batch *b = r ? r->last : NULL; b; b = b->next) {
        if (i < b->n)
            return &b->row[i];
        i -= b->n;
    }
    return NULL;
}

/* Whether each term is of dims that the op has. NULL is no terms. */
static bool has_dims(const rb_op *op, const rb_term *terms)
{
    int n = 0;
    while (n < RB_MAX_DIM && op->dim[n].name)
        n++;
    for (; terms && terms->coef; terms++)
        for (int i = 0; i < 3; i++)
            if (terms->dim[i] < -1 || terms->dim[i] >= n)
                return false;
    return true;
}

/* What is wrong with an operation that a row brings; NULL: nothing. */
static const char *op_error(const rb_op *op)
{
    if (!op->name || !op->flops || !op->special || !op->check)
        return "its op wants name, flops, special and check";
    if (op->id < RB_OP_OWN || op->id >= RB_N_OP)
        return "its op wants an id of its own, from RB_OP_OWN on; of an op that is here say .of";
    return rb_op_by_name(op->name) ? "its op has the name of one that is here" : NULL;
}

/* The same of a row; resolves its op. */
static const char *row_error(rb_kernel *k)
{
    if (!k->run || !k->units || k->n_phase < 1 || k->isa >= RB_N_ISA)
        return "it wants isa, n_phase, units and run";
    if (!k->op == !k->of)
        return "it wants either .of, the name of an op that is here, or an .op of its own";
    const char *wrong = k->op ? op_error(k->op) : NULL;
    if (wrong)
        return wrong;
    if (k->of)
        k->op = rb_op_by_name(k->of);
    if (!k->op)
        return "there is no such op";
    const rb_term *const terms[] = { k->op->flops,        k->op->special, k->extra,    k->saved,
                                     k->special_overhead, k->int_macs,    k->bf16_macs };
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++)
        if (!has_dims(k->op, terms[i]))
            return "a formula names a dim that its op has not";
    return NULL;
}

/* Finds the twin of row k in its own batch. */
static const char *find_twin(const batch *b, rb_kernel *k)
{
    k->twin = NULL;
    for (int i = 0; i < b->n && !k->unproven && k->isa < RB_ISA_COUNT1; i++)
        if (is_twin(&b->row[i], k))
            k->twin = &b->row[i];
    return k->twin || k->unproven || k->isa >= RB_ISA_COUNT1
               ? NULL
               : "it has no counting twin among its builds, and does not say why (.unproven)";
}

static rb_status refuse(const rb_kernel *k, const char *wrong, rb_error *err)
{
    const char *name = k->of ? k->of : k->op && k->op->name ? k->op->name : "without an op";
    return rb_fail(err, RB_ERR_ARGUMENT, "a kernel row (%s) is not taken: %s", name, wrong);
}

static rb_status check_batch(batch *b, rb_error *err)
{
    const char *wrong;
    for (int i = 0; i < b->n; i++)
        if ((wrong = row_error(&b->row[i])))
            return refuse(&b->row[i], wrong, err);
    for (int i = 0; i < b->n; i++)
        if ((wrong = find_twin(b, &b->row[i])))
            return refuse(&b->row[i], wrong, err);
    return RB_OK;
}

rb_status rb_register(rb_registry *r, const rb_kernel_list *const *builds, rb_error *err)
{
    int n = 0;
    for (int l = 0; builds[l]; l++)
        n += builds[l]->n;
    batch *b = calloc(1, sizeof *b + (size_t)n * sizeof *b->row);
    if (!b)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for %d kernel rows", n);
    for (int l = 0; builds[l]; l++)
        for (int i = 0; i < builds[l]->n; i++)
            b->row[b->n++] = builds[l]->row[i];
    const rb_status status = check_batch(b, err);
    if (status != RB_OK) {
        free(b);
        return status;
    }
    b->next = r->last;
    r->last = b;
    return RB_OK;
}
