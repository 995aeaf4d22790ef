/* The contract of an operation and of a kernel that performs it.
 * An op declares its operands, its dims and its FLOPs as tables of terms; cost and the text of
 * --explain come from the same tables. A kernel (a registry row) is op x dtype x ISA and may
 * only add what it does beyond the op (extra, saved, special_overhead, blocks it decodes).
 * Read next: matmul.c for a kernel, launch.c for the one door. */
#ifndef RB_OP_H
#define RB_OP_H

#include "cost.h"

typedef enum {
    RB_ISA_SCALAR,
    RB_ISA_NEON,
    RB_ISA_DOTPROD, /* NEON with dot products of bytes: rows of integers only */
    RB_ISA_AVX2,
    RB_ISA_AVX512,
    RB_ISA_BLAS,   /* OpenBLAS: excluded whenever an ISA cap is set */
    RB_ISA_COUNT1, /* the counting ISA emulating 1, 8 and 16 lanes: never selected by the door */
    RB_ISA_COUNT8,
    RB_ISA_COUNT16,
    RB_N_ISA
} rb_isa;
extern const char *const rb_isa_name[RB_N_ISA];

enum { RB_MAX_ARG = 12, RB_MAX_DIM = 16, RB_MAX_DECODE = 6 };

/* Kernels choose by shape (split keys, integer rows) at no more tokens of a sequence than this, so
 * a planner that walks each number up to it has seen every choice. */
enum { RB_FEW_TOKENS = 16 };

/* Phases of the longer of the two rows of roof_launch: what a barrier costs is their difference. */
enum { RB_ROOF_PHASES = 9 };
/* Rows of roofs are multiples of this many columns. */
enum { RB_ROOF_COLUMNS = 384 };

typedef enum { RB_ROPE_NORM, RB_ROPE_NEOX } rb_rope_pairing; /* pairs (2j, 2j+1); (j, j + d/2) */

typedef enum { RB_GATING_SOFTMAX, RB_GATING_SIGMOID } rb_gating; /* scores of experts to shares */

typedef struct rb_param {
    float eps;               /* rmsnorm, layernorm */
    float scale;             /* attend: of the scores; route: of the shares */
    rb_rope_pairing pairing; /* rope */
    rb_gating gating;        /* route */
    bool renorm;             /* route: shares of the chosen sum to 1 before they are scaled */
    uint32_t transposed;     /* matmul_heads: bit i: w of output i lies [in][out] */
    int64_t reps;            /* roofs: how often the work is done within one launch */
    int streams;             /* roof_read: 1, 2 or 4 */
    bool prefetch;           /* roof_read */
} rb_param;

/* past[sequence]: tokens in the cache before this call (ctrl: it is never traffic). */
typedef struct rb_call {
    rb_view t[RB_MAX_ARG];
    rb_param p;
    const int64_t *past;
} rb_call;

/* Which rows of a view a call uses, for operands whose share depends on the call. */
typedef enum {
    RB_ROWS_ALL,
    RB_ROWS_SEEN,     /* cache rows [0, past + T) of each sequence */
    RB_ROWS_NEW,      /* cache rows [past, past + T) of each sequence */
    RB_ROWS_GATHERED, /* rows of axis 2 named by the index operand */
} rb_rows;

/* Streams that an operand may come from. */
enum {
    RB_IS_WEIGHT = 1 << RB_WEIGHT,
    RB_IS_ACT = 1 << RB_ACT,
    RB_IS_KV = 1 << RB_KV,
    RB_IS_CTRL = 1 << RB_CTRL,
};

enum {
    RB_OPTIONAL = 1,
    RB_ANY_DTYPE = 2, /* else i32 for ctrl, f32 for the rest, unless it is the op's key */
    RB_ROUTED = 4,    /* gathered rows are experts: how many a layer took is kept (rb_routing) */
    RB_CACHED = 8,    /* what comes from a cache is of a type that rb_is_cache_dtype knows */
};

typedef struct rb_arg {
    const char *name;
    char mode;    /* 'r' read, 'w' written, 'u' read and written */
    rb_rows rows; /* SEEN and NEW count tokens by the op's token operand */
    int index;    /* GATHERED: the operand that holds the row numbers (i32, ctrl) */
    int streams;
    int flags;
} rb_arg;

/* A dim is the extent of an operand's axis (0 if the operand is absent), or a named function of the
 * call where the bound is irregular; the same function is then the bound of the kernel's loop. */
typedef struct rb_dim {
    const char *name;
    int arg, axis;
    int64_t (*fn)(const rb_call *call);
} rb_dim;

/* coef * dim * dim * dim; dim numbers index the op's dims, -1 means 1. A table ends with coef 0. */
typedef struct rb_term {
    int64_t coef;
    int dim[3];
} rb_term;

typedef struct rb_op {
    rb_op_id id;
    const char *name;
    rb_arg arg[RB_MAX_ARG];
    int token_arg;          /* operand whose axis 1 is T, for RB_ROWS_SEEN and NEW */
    int key_arg;            /* operand whose dtype is the key of the registry; -1: none */
    rb_dim dim[RB_MAX_DIM]; /* ends with a NULL name */
    const rb_term *flops, *special;
    /* NULL if the operands fit together, else what is wrong (a programmer's mistake). */
    const char *(*check)(const rb_call *call);
} rb_op;

/* What a row rounds activations to before it multiplies. */
typedef enum { RB_ACT_F32, RB_ACT_I8, RB_ACT_BF16 } rb_rounding;

/* Blocks of one operand that a kernel decodes (dequantises), as terms. */
typedef struct rb_decode {
    int arg;
    const rb_term *elements;
} rb_decode;

typedef struct rb_kernel {
    const rb_op *op;
    const char *of; /* rows from outside: the name of an op that is here, in place of op */
    rb_isa isa;
    rb_dtype dtype;      /* of the key operand; RB_NO_DTYPE: any, or the op has no key */
    const char *variant; /* NULL, or what sets this row apart from others with its key ("i8") */
    int n_phase;
    int64_t (*units)(const rb_call *call, int phase);
    /* Work items [first, last) of a phase. shared: scratch of the launch; own: of this thread. */
    void (*run)(const rb_call *call, int phase, int64_t first, int64_t last, void *shared,
                void *own);
    int64_t (*shared_bytes)(const rb_call *call), (*own_bytes)(const rb_call *call); /* NULL: 0 */
    const rb_term *extra, *saved, *special_overhead; /* NULL: zero, and proven so */
    const char *extra_what; /* what extra is spent on, in a few words; NULL: there is none */
    const rb_term *int_macs, *bf16_macs; /* likewise: how many products are such dots */
    rb_decode decode[RB_MAX_DECODE];     /* ends with NULL elements */
    bool partials; /* shared scratch is written as the work goes on and read at its end; else it is
                      written first and read throughout */
    bool unpacks;  /* decodes to integers alone, the first part of that work */
    rb_issued (*issued)(const rb_call *call); /* whatever the split; NULL: not known */
    bool (*accepts)(const rb_call *call);     /* NULL: every shape */
    bool needs_bf16; /* the CPU's own dot products of bf16, beyond what its ISA has */
    rb_rounding act; /* of activations: a row that rounds is not used where f32 is wanted */
    const struct rb_kernel *twin; /* rows from outside: the same source built as the counting ISA;
                                     rb_register finds it */
    const char *unproven;         /* NULL, or why (BLAS, AMX) */
} rb_kernel;

/* Types that a cache may hold. */
static inline bool rb_is_cache_dtype(rb_dtype t)
{
    return t == RB_F32 || t == RB_F16 || t == RB_BF16 || t == RB_Q8_0 || t == RB_Q4_0;
}

/* ---- registry ---- */

/* Rows of one object file. */
typedef struct rb_kernel_list {
    const rb_kernel *row;
    int n;
} rb_kernel_list;

#define RB_ID2(isa)         RB_BUILD_ID_##isa
#define RB_ID(isa)          RB_ID2(isa)
#define RB_ISA_ID           RB_ID(RB_BUILD) /* the rb_isa that a kernel file is being built for */
#define RB_BUILD_ID_scalar  RB_ISA_SCALAR
#define RB_BUILD_ID_neon    RB_ISA_NEON
#define RB_BUILD_ID_dotprod RB_ISA_DOTPROD
#define RB_BUILD_ID_avx2    RB_ISA_AVX2
#define RB_BUILD_ID_avx512  RB_ISA_AVX512
#define RB_BUILD_ID_count1  RB_ISA_COUNT1
#define RB_BUILD_ID_count8  RB_ISA_COUNT8
#define RB_BUILD_ID_count16 RB_ISA_COUNT16

#define RB_CAT2(a, b, c) a##b##_##c
#define RB_CAT(a, b, c)  RB_CAT2(a, b, c)
/* A row of one phase with the file's own units, run and issued, keyed by one dtype, of the file's
 * own op or of one that is here, by its name; more may follow. */
#define RB_ROW(type)          .op = &op, RB_ROW_REST(type)
#define RB_ROW_OF(name, type) .of = (name), RB_ROW_REST(type)
#define RB_ROW_REST(type)                                                                          \
    .isa = RB_ISA_ID, .dtype = (type), .n_phase = 1, .units = units, .run = run, .issued = issued
/* The only symbol a kernel file exports: rb_rows_<file>_<isa>. */
#define RB_EXPORT(file, table)                                                                     \
    extern const rb_kernel_list RB_CAT(rb_rows_, file, RB_BUILD);                                  \
    const rb_kernel_list RB_CAT(rb_rows_, file, RB_BUILD) = { (table),                             \
                                                              sizeof(table) / sizeof *(table) }

/* The rows of the build. Those that others add: register.h. */
int rb_registry_size(void);
const rb_kernel *rb_registry_row(int i);
/* The counting row built from k's own source, with the lanes of its ISA (scalar: 1; neon,
 * dotprod, avx2: 8; avx512: 16). NULL: k is unproven. */
const rb_kernel *rb_counting_twin(const rb_kernel *k);
const rb_op *rb_op_get(rb_op_id id); /* the op as the build has it; NULL if it has no row */
const rb_op *rb_op_by_name(const char *name); /* likewise */
/* "matmul.q8_0.avx512", "attend.avx2": stable, for people. Returns buf. */
char *rb_kernel_name(const rb_kernel *k, char *buf, size_t size);

/* ---- ISA ---- */

bool rb_isa_supported(rb_isa isa); /* by this CPU and OS */
/* Whether this machine can run the row k, its own demands included. */
bool rb_kernel_supported(const rb_kernel *k);
/* Whether a team should: Intel's cores split dot products of bf16 and do them at half the rate of
 * f32 FMA. */
bool rb_kernel_worth_taking(const rb_kernel *k);
/* The highest usable ISA, or the one that RBENCH_ISA names; *capped tells which. */
rb_status rb_isa_detect(rb_isa *isa, bool *capped, rb_error *err);
rb_status rb_isa_by_name(const char *name, rb_isa *isa, rb_error *err);

/* ---- cost of a call, without running it ---- */

/* Evaluates a term table. */
uint64_t rb_terms_eval(const rb_op *op, const rb_term *terms, const rb_call *call);
/* The whole cost of running call with kernel k, of an ISA that this machine has: a part of it is
 * code of k's build. *assumed is set if a distinct count was assumed. */
rb_cost rb_cost_of(const rb_kernel *k, const rb_call *call, bool *assumed);
/* How many different rows, of n_rows, an index operand (dense i32) names. Where its memory is
 * absent (a dry run) *assumed is set and it is what independent draws give, to the nearest whole:
 * its last axis holds rows that differ, the others count draws. */
int64_t rb_distinct_rows(const rb_view *index, int64_t n_rows, bool *assumed);
/* Sum, over the rows that an index operand names, of what `of` says of one that is named n times.
 * Where its memory is absent draws are spread evenly over the rows that are assumed. */
rb_issued rb_issued_over_rows(const rb_view *index, int64_t n_rows, const rb_call *call,
                              rb_issued (*of)(const rb_call *call, int64_t n));
/* E (1 - (1 - k/E)^n) of E = n_rows after n draws of k different rows each. */
double rb_expected_rows(int64_t n_rows, int64_t k, int64_t n_draws);
/* Bytes of operand j that no earlier operand of its buffer covers in one direction. By rows: from
 * intervals of columns, where all that may overlap has the same rows; -1: it has not. By map: in
 * any case, a byte of memory for each byte of the buffer. */
int64_t rb_fresh_by_rows(const rb_op *op, const rb_call *call, int j, bool write, bool *assumed);
int64_t rb_fresh_by_map(const rb_op *op, const rb_call *call, int j, bool write);
/* The last call at some place, and its cost. Calls over more sequences are not remembered. */
enum { RB_MOST_PAST = 4 };
typedef struct rb_costed {
    const rb_kernel *k; /* NULL: none yet */
    rb_call call;       /* its past pointer is not followed */
    int n_past;
    int64_t past[RB_MOST_PAST];
    rb_cost cost;
    bool assumed;
} rb_costed;
/* As rb_cost_of, without evaluating what the last call at this place has answered already. */
const rb_cost *rb_cost_again(rb_costed *last, const rb_kernel *k, const rb_call *call,
                             bool *assumed);
/* "2 T M K + ..." as text. Returns buf. */
char *rb_terms_text(const rb_op *op, const rb_term *terms, char *buf, size_t size);
#endif
