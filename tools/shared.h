/* Options that benchmark and predict have in common, as table rows, and how they become a plan. */
#ifndef RB_SHARED_H
#define RB_SHARED_H

#include "cmd.h"

enum { RB_MAX_TOKENS = 1 << 24, RB_MAX_SEQ = 4096, RB_MAX_LAYERS = 4096, RB_MAX_THREADS = 1024 };

#define RB_OPTIONS_TESTS(p, n)                                                                     \
    { .names = "-p, --n-prompt",                                                                   \
      .kind = RB_OPT_INTS,                                                                         \
      .value = "LIST",                                                                             \
      .preset = p,                                                                                 \
      .max = RB_MAX_TOKENS,                                                                        \
      .help = "prompt lengths, one pp test each; 0: none" },                                       \
        { .names = "-n, --n-gen",                                                                  \
          .kind = RB_OPT_INTS,                                                                     \
          .value = "LIST",                                                                         \
          .preset = n,                                                                             \
          .max = RB_MAX_TOKENS,                                                                    \
          .help = "decode steps, one tg test each; 0: none" },                                     \
        { .names = "-pg",                                                                          \
          .kind = RB_OPT_PAIR,                                                                     \
          .value = "P,N",                                                                          \
          .max = RB_MAX_TOKENS,                                                                    \
          .help = "one test of P prompt tokens, then N decode steps; repeatable" },                \
        { .names = "-d, --n-depth",                                                                \
          .kind = RB_OPT_INTS,                                                                     \
          .value = "LIST",                                                                         \
          .preset = "0",                                                                           \
          .max = RB_MAX_TOKENS,                                                                    \
          .help = "context: tokens already in the cache before the test" },                        \
        { .names = "-npl, --parallel",                                                             \
          .kind = RB_OPT_INTS,                                                                     \
          .value = "LIST",                                                                         \
          .preset = "1",                                                                           \
          .min = 1,                                                                                \
          .max = RB_MAX_SEQ,                                                                       \
          .help = "parallel sequences" },                                                          \
        { .names = "-b, --batch-size",                                                             \
          .kind = RB_OPT_INTS,                                                                     \
          .value = "LIST",                                                                         \
          .preset = "2048",                                                                        \
          .min = 1,                                                                                \
          .max = RB_MAX_TOKENS,                                                                    \
          .help = "upper bound of -ub" },                                                          \
        { .names = "-ub, --ubatch-size",                                                           \
          .kind = RB_OPT_INTS,                                                                     \
          .value = "LIST",                                                                         \
          .preset = "512",                                                                         \
          .min = 1,                                                                                \
          .max = RB_MAX_TOKENS,                                                                    \
          .help = "most tokens of a sequence in one pass through the layers" },                    \
        { .names = "-ctk, --cache-type-k",                                                         \
          .kind = RB_OPT_WORDS,                                                                    \
          .value = "LIST",                                                                         \
          .preset = "f16",                                                                         \
          .choices = "f32|f16",                                                                    \
          .help = "types of cached keys" },                                                        \
        { .names = "-ctv, --cache-type-v",                                                         \
          .kind = RB_OPT_WORDS,                                                                    \
          .value = "LIST",                                                                         \
          .preset = "f16",                                                                         \
          .choices = "f32|f16",                                                                    \
          .help = "types of cached values" },                                                      \
        { .names = "--layers",                                                                     \
          .kind = RB_OPT_INTS,                                                                     \
          .value = "LIST",                                                                         \
          .min = 1,                                                                                \
          .max = RB_MAX_LAYERS,                                                                    \
          .help = "layers to run: the first L; beyond the model's own, copies of the last one in " \
                  "memory of their own (default: the model's)" },                                  \
        { .names = "--type",                                                                       \
          .kind = RB_OPT_WORDS,                                                                    \
          .value = "LIST",                                                                         \
          .choices = "f32|f16|bf16|q8_0|q4_0|q4_1|q5_0|q5_1|q6_K",                                 \
          .help = "types of a preset's matrices (default: f16)" },                                 \
    {                                                                                              \
        .names = "--seed", .kind = RB_OPT_INT, .value = "N", .preset = "1", .max = INT64_MAX,      \
        .help = "of the permutation of the vocabulary that serves as input"                        \
    }

#define RB_OPTION_ISA(k)                                                                           \
    {                                                                                              \
        .names = "--isa", .kind = k, .value = (k) == RB_OPT_WORD ? "ISA" : "LIST",                 \
        .choices = "scalar|avx2|avx512|neon",                                                      \
        .help = "highest instruction set to use, without BLAS (default: the best, or RBENCH_ISA)"  \
    }

#define RB_OPTION_ACT(p)                                                                           \
    {                                                                                              \
        .names = "--act", .kind = RB_OPT_WORD, .value = "TYPE", .preset = p,                       \
        .choices = "native|f32",                                                                   \
        .help = "activations: native quantises them where a kernel profits"                        \
    }

/* --isa (a word), or the detected ISA if word is NULL; fails for one that this CPU lacks. */
rb_status rb_isa_of(const char *word, rb_isa *isa, bool *capped, rb_error *err);

/* The lists of a plan, from options. Borrows from args. */
typedef struct rb_lists {
    rb_plan_lists plan;
    int64_t *words[3]; /* -ctk, -ctv, --isa as numbers, owned */
    int64_t one_isa, one_layer, one_thread;
} rb_lists;
rb_status rb_lists_of(rb_lists *l, const rb_args *args, const rb_model *model, rb_error *err);
void rb_lists_free(rb_lists *l);

/* The i-th of the types a user gave for a preset, RB_NO_DTYPE if none. */
rb_dtype rb_type_at(const rb_args *args, int i);
int rb_n_types(const rb_args *args); /* at least 1 */

/* Opens MODEL dry, refuses it if its weights do not fit into memory, then opens it for real. */
rb_status rb_open_both(rb_model **model, rb_model **shape, const char *name, rb_dtype type,
                       rb_error *err);

#endif
