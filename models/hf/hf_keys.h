/* What a JSON object has under its keys, by type: for hf_*.c only.
 * Stays failed once a key was missing, of another type or refused: callers read on and look at the
 * status in the end. Read next: hf_config.c. */
#ifndef RB_HF_KEYS_H
#define RB_HF_KEYS_H

#include "hf.h"
#include "../json.h"

/* Of any number; config.c has narrower limits. */
#define RB_KEYS_MOST ((int64_t)1 << 40)

typedef struct rb_keys {
    const json_t *root;
    const char *type;  /* model_type */
    const char *label; /* of the file */
    rb_status status;
    rb_error *err;
} rb_keys;

/* Whether model_type is this one. */
bool rb_keys_is_type(const rb_keys *r, const char *type);
/* NULL if absent or null, which is the same to transformers. o: root, or an object in it. */
const json_t *rb_keys_find(const rb_keys *r, const json_t *o, const char *key);

/* The value, or absent. Whole numbers are from 0 to RB_KEYS_MOST and in root. */
int64_t rb_keys_integer(rb_keys *r, const char *key, int64_t absent);
double rb_keys_real(rb_keys *r, const json_t *o, const char *key, double absent);
bool rb_keys_flag(rb_keys *r, const json_t *o, const char *key, bool absent);
const char *rb_keys_text(rb_keys *r, const json_t *o, const char *key, const char *absent);

/* The first failure is kept: a value of another kind than wanted, keys that are missing. */
void rb_keys_wrong(rb_keys *r, const char *key, const char *want);
void rb_keys_require(rb_keys *r, const json_t *o, const char *key);
void rb_keys_require_all(rb_keys *r, const char *const *key, size_t n);
#define RB_KEYS_REQUIRE(r, ...)                                                                    \
    rb_keys_require_all(r, (const char *const[]){ __VA_ARGS__ },                                   \
                        sizeof(const char *const[]){ __VA_ARGS__ } / sizeof(const char *))
/* What is understood and cannot be run: RB_ERR_UNSUPPORTED, with the label before it. */
void rb_keys_refuse(rb_keys *r, const char *what);
void rb_keys_refuse_if(rb_keys *r, bool bad, const char *what);

/* Rotary angles, and where config.rope_freqs is set their divisors. */
void rb_hf_read_rope(rb_keys *r, rb_hf *hf);
/* How many experts, how wide, how they are chosen. */
void rb_hf_read_experts(rb_keys *r, rb_config *config);

#endif
