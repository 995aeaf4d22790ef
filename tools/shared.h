/* What benchmark and predict have in common: the options that say which tests, and how options
 * become plans and models. Options of one command stay in its own file.
 * Read next: shared.c. */
#ifndef RB_SHARED_H
#define RB_SHARED_H

#include "cmd.h"

enum { RB_MAX_TOKENS = 1 << 24, RB_MAX_SEQ = 4096, RB_MAX_THREADS = 1024 };

#define RB_MATRIX_TYPES                                                                            \
    "f32|f16|bf16|q8_0|q4_0|q4_1|q5_0|q5_1|q2_K|q3_K|q4_K|q5_K|q6_K|iq4_nl|iq4_xs|"                \
    "q3_k_s|q3_k_m|q4_k_s|q4_k_m|q5_k_s|q5_k_m"
#define RB_CACHE_TYPES "f32|f16|bf16|q8_0|q4_0"
#define RB_ISAS        "scalar|avx2|avx512|neon|dotprod"

#define RB_THREADS_HELP "threads (default: physical cores, or OMP_NUM_THREADS)"
#define RB_THREADS_OPTION(one_or_list, number, text)                                               \
    {                                                                                              \
        .names = "-t, --threads", .kind = one_or_list, .value = number, .min = 1,                  \
        .max = RB_MAX_THREADS, .help = text                                                        \
    }

#define RB_FORMAT_OPTION(formats, text)                                                            \
    {                                                                                              \
        .names = "-o, --output", .kind = RB_OPT_WORD, .value = "FORMAT", .preset = "md",           \
        .choices = formats, .help = text                                                           \
    }

#define RB_GELU_OPTION                                                                             \
    {                                                                                              \
        .names = "--gelu", .kind = RB_OPT_WORD, .value = "FORM", .choices = "tanh|erf",            \
        .help = "GELU by tanh, as llama.cpp has it, or exact (gptneox; default: what the model "   \
                "says, tanh where a GGUF file does not)"                                           \
    }

extern const rb_option rb_test_options[]; /* -p to --seed */
extern const int rb_n_test_options;

/* What -o or -oe names, by the words of their choices; NULL: none. */
rb_format rb_format_of(const char *word);

/* --isa (a word), or the detected ISA if word is NULL; fails for one that this CPU lacks. */
rb_status rb_isa_of(const char *word, rb_isa *isa, bool *capped, rb_error *err);

/* Whether GELU is exact: --gelu, or what the model says. */
bool rb_gelu_erf_of(const rb_args *args, const rb_config *config);

/* -t where it is one number; without it as many as rb_host_threads. */
int rb_threads_of(const rb_args *args);

/* --shape of a kernel's problem: numbers in the order of the op's extents, or NAME=NUMBER, between
 * commas; ranges as in lists give every combination; several shapes by ';'. Extents that are not
 * named are those of decode. Appends to *shape (grown). */
rb_status rb_shapes_parse(const char *text, rb_op_id op, rb_sizes **shape, int *n, rb_error *err);

/* The lists of a plan, from the options above. Borrows from args. */
enum { RB_N_WORDS = 3 };
typedef struct rb_lists {
    rb_plan_lists plan;
    int64_t *words[RB_N_WORDS]; /* -ctk, -ctv, --isa as numbers, owned */
    int64_t one_isa, one_layer, one_thread;
} rb_lists;
rb_status rb_lists_of(rb_lists *l, const rb_args *args, const rb_model *model, const rb_way *way,
                      int n_way, rb_error *err);
void rb_lists_free(rb_lists *l);
/* With -pg or --draft alone there are no tests of -p and -n. */
void rb_lists_drop_presets(rb_lists *l, const rb_args *args);

/* The i-th of the types a user gave for a preset, NULL if none. */
const rb_mix *rb_type_at(const rb_args *args, int i);
int rb_n_types(const rb_args *args); /* at least 1 */

/* Fails if the weights of a dry model do not fit into memory. */
rb_status rb_check_fits(const rb_model *shape, const char *name, rb_error *err);

/* Opens MODEL dry, refuses it if its weights do not fit into memory, then opens it for real; both
 * packed, and the real one written by as many threads as -t asks for at most. */
rb_status rb_open_both(rb_model **model, rb_model **shape, const rb_args *args, const char *name,
                       const rb_mix *mix, rb_error *err);

/* The results whose kernels are shown: the slowest that only read a prompt, the slowest that
 * generated. */
typedef struct rb_kept {
    rb_result *slowest[2];
    bool has[2];
} rb_kept;
rb_status rb_kept_open(rb_kept *k, rb_error *err);
void rb_kept_close(rb_kept *k);
void rb_kept_add(rb_kept *k, const rb_result *r);
/* Tables of kernels, of the generating one only unless both; then --explain. */
void rb_kept_show(const rb_kept *k, rb_report *report, bool both);
void rb_kept_explain(const rb_kept *k, FILE *out, const rb_subject *subject);

#endif
