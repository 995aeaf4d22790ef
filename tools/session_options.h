/* Options of the commands that run tokens which a user gives: eval, generate, perplexity. What they
 * have in common; options of one command stay in its own file.
 * Read next: session_options.c. */
#ifndef RB_SESSION_OPTIONS_H
#define RB_SESSION_OPTIONS_H

#include "calibrate.h"
#include "forms.h"

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
          .help = "type of cached keys; q8_0 and q4_0 need head sizes that are multiples of 32" }, \
        { .names = "-ctv, --cache-type-v",                                                         \
          .kind = RB_OPT_WORD,                                                                     \
          .value = "TYPE",                                                                         \
          .preset = cache,                                                                         \
          .choices = RB_CACHE_TYPES,                                                               \
          .help = "type of cached values; latent attention caches all in the type of -ctk" },      \
        { .names = "--act",                                                                        \
          .kind = RB_OPT_WORD,                                                                     \
          .value = "TYPE",                                                                         \
          .preset = acts,                                                                          \
          .choices = "native|f32",                                                                 \
          .help = "activations; native quantises them to 8 bits where a kernel is faster so" },    \
        { .names = "-ub, --ubatch-size",                                                           \
          .kind = RB_OPT_INT,                                                                      \
          .value = "N",                                                                            \
          .preset = "512",                                                                         \
          .min = 1,                                                                                \
          .max = RB_MAX_TOKENS,                                                                    \
          .help = "most prompt tokens in one pass through the layers" },                           \
    {                                                                                              \
        .names = "--type", .kind = RB_OPT_WORD, .value = "TYPE", .choices = RB_MATRIX_TYPES,       \
        .listed = "convert", .help = "type of a preset's matrices (default: f16)"                  \
    }

/* How attention is executed, where one way is asked for. */
#define RB_ATTN_OPTION                                                                             \
    {                                                                                              \
        .names = "--attn", .kind = RB_OPT_WORD, .value = "FORM",                                   \
        .help = "form of attention, converted to in memory, or order of latent attention "         \
                "(default: the model's own): mha, gqa:G, mqa, mla, mla:R[:d_r], lrkv:R, gva:G, "   \
                "gha:G, mla-naive-full, mla-naive-latent, mla-absorbed"                            \
    }

/* A session of n_ctx tokens, as the options have it; but for its variant of attention and its GELU,
 * which depend on the model. */
rb_status rb_session_params_of(const rb_args *args, int64_t n_ctx, rb_session_params *p,
                               rb_error *err);
/* Refuses attention that is made up: what it computes is nothing of the model's. */
rb_accept rb_accept_own;
/* The model named by the first argument in the forms of --attn; --type is a preset's. */
rb_status rb_open_forms(rb_forms *f, const rb_args *args, rb_forms_params params, rb_error *err);
/* The same where --attn is one word at most: what that runs, with weights and dry, which are the
 * caller's to close, and in which order. */
rb_status rb_open_form(rb_model **model, rb_model **shape, rb_attn *attn, const rb_args *args,
                       rb_accept *accept, rb_error *err);
/* A session of a model that shape is the dry one of; refuses what does not fit into memory before
 * any of it is touched. */
rb_status rb_open_session(rb_session **s, const rb_model *model, const rb_model *shape,
                          const rb_session_params *p, rb_error *err);
/* Fails for the first id that is none of n_vocab. */
rb_status rb_check_ids(const int32_t *ids, int64_t n, int64_t n_vocab, rb_error *err);

/* All of a text file, or of stdin for "-", allocated and ended by a NUL that *n does not count.
 * Anything that can be read will do; more than 1 GiB is refused. */
rb_status rb_read_text(const char *path, char **text, size_t *n, rb_error *err);
/* Its tokens by the tokenizer of MODEL, special ones as such, allocated. *bos: the token that texts
 * begin with, -1 if none does; bos may be NULL. */
rb_status rb_ids_of_file(const char *model, const char *path, int32_t **ids, int64_t *n,
                         int32_t *bos, rb_error *err);

#endif
