/* Options of the commands that run tokens which a user gives: eval, generate, perplexity. What they
 * have in common; options of one command stay in its own file.
 * Read next: session_options.c. */
#ifndef RB_SESSION_OPTIONS_H
#define RB_SESSION_OPTIONS_H

#include "shared.h"

/* Rows of a command's table: the defaults of cached types and of activations are its own. */
#define RB_SESSION_OPTIONS(cache, acts)                                                            \
    RB_THREADS_OPTION(RB_OPT_INT, "N", RB_THREADS_HELP),                                           \
        { .names = "--isa",                                                                        \
          .kind = RB_OPT_WORD,                                                                     \
          .value = "ISA",                                                                          \
          .choices = RB_ISAS,                                                                      \
          .help =                                                                                  \
              "highest instruction set to use, without BLAS (default: the best, or RBENCH_ISA)" }, \
        RB_GELU_OPTION,                                                                            \
        { .names = "-ctk, --cache-type-k",                                                         \
          .kind = RB_OPT_WORD,                                                                     \
          .value = "TYPE",                                                                         \
          .preset = cache,                                                                         \
          .choices = RB_CACHE_TYPES,                                                               \
          .help = "type of cached keys; q8_0 and q4_0 want head sizes that 32 divides" },          \
        { .names = "-ctv, --cache-type-v",                                                         \
          .kind = RB_OPT_WORD,                                                                     \
          .value = "TYPE",                                                                         \
          .preset = cache,                                                                         \
          .choices = RB_CACHE_TYPES,                                                               \
          .help = "type of cached values; a cache of latents is all of -ctk's" },                  \
        { .names = "--act",                                                                        \
          .kind = RB_OPT_WORD,                                                                     \
          .value = "TYPE",                                                                         \
          .preset = acts,                                                                          \
          .choices = "native|f32",                                                                 \
          .help = "activations; native quantises them where a kernel profits" },                   \
        { .names = "-ub, --ubatch-size",                                                           \
          .kind = RB_OPT_INT,                                                                      \
          .value = "N",                                                                            \
          .preset = "512",                                                                         \
          .min = 1,                                                                                \
          .max = RB_MAX_TOKENS,                                                                    \
          .help = "most prompt tokens in one pass through the layers" },                           \
    {                                                                                              \
        .names = "--type", .kind = RB_OPT_WORD, .value = "TYPE", .choices = RB_MATRIX_TYPES,       \
        .help = "type of a preset's matrices (default: f16)"                                       \
    }

/* How attention is executed, where one way is asked for. */
#define RB_ATTN_OPTION                                                                             \
    {                                                                                              \
        .names = "--attn", .kind = RB_OPT_WORD, .value = "VARIANT",                                \
        .help = "how attention is executed (default: the model's own): mla, mla-naive-full, "      \
                "mla-naive-latent, mla-absorbed"                                                   \
    }

/* A session of n_ctx tokens, as the options have it; but for its variant of attention and its GELU,
 * which depend on the model. */
rb_status rb_session_params_of(const rb_args *args, int64_t n_ctx, rb_session_params *p,
                               rb_error *err);
/* The model named by the first argument, dry and with weights: see rb_open_both. */
rb_status rb_open_named(rb_model **model, rb_model **shape, const rb_args *args, rb_error *err);
/* A session of a model that shape is the dry one of; refuses what does not fit into memory before
 * any of it is touched. */
rb_status rb_open_session(rb_session **s, const rb_model *model, const rb_model *shape,
                          const rb_session_params *p, rb_error *err);
/* --attn of a model, its own if there is none. */
rb_status rb_attn_of(const rb_args *args, const rb_config *c, rb_attn *attn, rb_error *err);
/* Fails for the first id that is none of n_vocab. */
rb_status rb_check_ids(const int32_t *ids, int64_t n, int64_t n_vocab, rb_error *err);

/* All of a text file, or of stdin for "-", allocated and ended by a NUL that *n does not count.
 * Anything that can be read will do; more than 1 GiB is refused. */
rb_status rb_read_text(const char *path, char **text, size_t *n, rb_error *err);

#endif
