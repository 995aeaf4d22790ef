/* A folder of the Hugging Face hub: what config.json says, and what tensors are called there.
 * Refuses nothing by itself. For models/ and its fuzzers only.
 * Read next: hf_config.c (keys to a config), hf_names.c (names), hf_load.c (tensors to weights). */
#ifndef RB_HF_H
#define RB_HF_H

#include "../model.h"
#include "safetensors.h"

/* Which names a family's tensors have: these but for a few are the usual ones. */
typedef enum {
    RB_HF_USUAL,
    RB_HF_MIXTRAL,
    RB_HF_QWEN2MOE,
    RB_HF_GPTNEOX,
    RB_HF_N_NAMES
} rb_hf_names;

typedef struct rb_hf {
    rb_config config;
    rb_hf_names names;
    /* Rows of q and k that are rotated as a pair stand half a head apart; GGUF's stand side by
     * side where rope_pairing is RB_ROPE_NORM. */
    bool halves;
    int64_t n_ahead; /* layers behind the last that predict further ahead; not loaded */
    /* Llama 3's scaling, where config.rope_freqs: divisors follow from these. */
    struct {
        double factor, low, high, n_ctx;
    } freqs;
} rb_hf;

/* The config that the text calls for, checked but for what only tensors tell: an output matrix and
 * how experts are stacked. name: what the model is called. */
rb_status rb_hf_config(rb_hf *hf, const rb_source *text, const char *name, rb_error *err);
/* The divisor of rotated pair j under Llama 3's scaling. */
double rb_hf_divisor(const rb_hf *hf, int64_t j);

/* How the rows of a tensor become those of the model's. */
typedef enum {
    RB_HF_AS_IS,
    RB_HF_HEADS,   /* by heads, whose last d_rot rows are rotated */
    RB_HF_LATENT,  /* a latent, then the rotated key */
    RB_HF_QKV,     /* by heads, each with its rows of q, of k and of v */
    RB_HF_EXPERTS, /* one tensor per expert, for a stack */
} rb_hf_rows;

typedef struct rb_hf_name {
    const char *suffix; /* of GGUF's name */
    const char *name;   /* '#' is the number of the expert */
    rb_hf_rows rows;
} rb_hf_name;

/* The i-th name that a tensor may have, with its layer; NULL past the last. The first is the one
 * that published files have. */
const rb_hf_name *rb_hf_name_of(rb_hf_names names, const char *suffix, int i);
enum { RB_HF_NAME = 96 };
/* Writes the name in full, with layer (-1: of none) and expert. Returns buf. */
const char *rb_hf_name_text(rb_hf_names names, const rb_hf_name *name, int64_t layer,
                            int64_t expert, char buf[RB_HF_NAME]);
/* The row of the file that becomes row r. */
int64_t rb_hf_row(const rb_hf *hf, rb_hf_rows rows, int64_t r);
/* A tensor that is no weight: angles and masks that old files carry. */
bool rb_hf_is_buffer(const char *name);

/* A model of a config's text and tensors, both owned from here on, even on failure. */
rb_status rb_hf_load(rb_model **model, rb_source config, rb_safetensors tensors, const char *name,
                     bool dry, rb_error *err);

#endif
