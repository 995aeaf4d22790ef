/* Configs by hand: which values make sense, and "key=value".
 * The ranges keep every product of extents below 2^48, so that nobody behind them checks again.
 * Refuses to know what any file calls these things (arch.c does). Read next: preset.c. */
#include "model.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct int_field {
    const char *key;
    size_t place;
    int64_t max;
} int_field;

static const int_field int_fields[] = {
    { "n_layer", offsetof(rb_config, n_layer), RB_MAX_LAYER },
    { "n_embd", offsetof(rb_config, n_embd), 1 << 20 },
    { "n_ff", offsetof(rb_config, n_ff), 1 << 22 },
    { "n_vocab", offsetof(rb_config, n_vocab), 1 << 24 },
    { "n_head", offsetof(rb_config, n_head), 1 << 12 },
    { "n_head_kv", offsetof(rb_config, n_head_kv), 1 << 12 },
    { "d_head_k", offsetof(rb_config, d_head_k), 1 << 12 },
    { "d_head_v", offsetof(rb_config, d_head_v), 1 << 12 },
    { "d_rot", offsetof(rb_config, d_rot), 1 << 12 },
    { "n_ctx", offsetof(rb_config, n_ctx_train), (int64_t)1 << 40 },
};

enum { N_INT = sizeof int_fields / sizeof *int_fields };

static int64_t *int_at(rb_config *c, const int_field *f)
{
    return (int64_t *)((char *)c + f->place);
}

rb_status rb_config_check(const rb_config *c, rb_error *err)
{
    if ((unsigned)c->arch >= RB_N_ARCH)
        return rb_fail(err, RB_ERR_FORMAT, "the architecture is unknown");
    for (int i = 0; i < N_INT; i++) {
        int64_t v = *int_at((rb_config *)c, &int_fields[i]);
        if (v < 1 || v > int_fields[i].max)
            return rb_fail(err, RB_ERR_FORMAT, "%s is %" PRId64 "; 1 to %" PRId64 " are allowed",
                           int_fields[i].key, v, int_fields[i].max);
    }
    if (c->n_head % c->n_head_kv != 0)
        return rb_fail(err, RB_ERR_FORMAT,
                       "n_head is %" PRId64 ", which is no multiple of n_head_kv %" PRId64,
                       c->n_head, c->n_head_kv);
    if (c->d_rot % 2 != 0 || c->d_rot > c->d_head_k)
        return rb_fail(err, RB_ERR_FORMAT,
                       "d_rot is %" PRId64 "; an even number up to the head size %" PRId64
                       " is wanted",
                       c->d_rot, c->d_head_k);
    if (!(c->norm_eps >= 0 && c->norm_eps < 1))
        return rb_fail(err, RB_ERR_FORMAT, "norm_eps is %g; at least 0 and below 1 is wanted",
                       (double)c->norm_eps);
    if (!(c->rope_base >= 1 && isfinite(c->rope_base)))
        return rb_fail(err, RB_ERR_FORMAT, "rope_base is %g; a finite number from 1 on is wanted",
                       (double)c->rope_base);
    return RB_OK;
}

void rb_config_set_name(rb_config *c, const char *name)
{
    snprintf(c->name, sizeof c->name, "%s", name);
    size_t n = strlen(c->name);
    /* A cut may have split a UTF-8 character: drop what is left of it. */
    if (n == sizeof c->name - 1 && (unsigned char)name[n] >> 6 == 2) {
        while (n > 0 && (unsigned char)c->name[n - 1] >> 6 == 2)
            n--;
        c->name[n > 0 ? n - 1 : 0] = 0;
    }
    for (char *p = c->name; *p; p++)
        if (iscntrl((unsigned char)*p))
            *p = '?';
}

/* ---- key=value ---- */

static rb_status set_int(int64_t *to, const char *key, const char *value, rb_error *err)
{
    char *end;
    errno = 0;
    long long v = strtoll(value, &end, 10);
    if (end == value || *end != 0 || errno != 0 || isspace((unsigned char)*value) || v < 1)
        return rb_fail(err, RB_ERR_ARGUMENT, "%s=%s: a positive whole number is wanted", key,
                       value);
    *to = v;
    return RB_OK;
}

static rb_status set_float(float *to, const char *key, const char *value, rb_error *err)
{
    char *end;
    float v = strtof(value, &end);
    if (end == value || *end != 0 || isspace((unsigned char)*value) || !isfinite(v))
        return rb_fail(err, RB_ERR_ARGUMENT, "%s=%s: a number is wanted", key, value);
    *to = v;
    return RB_OK;
}

static rb_status set_bool(bool *to, const char *key, const char *value, rb_error *err)
{
    bool yes = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
    if (!yes && strcmp(value, "false") != 0 && strcmp(value, "0") != 0)
        return rb_fail(err, RB_ERR_ARGUMENT, "%s=%s: true or false is wanted", key, value);
    *to = yes;
    return RB_OK;
}

static rb_status set_head(rb_config *c, const char *value, rb_error *err)
{
    int64_t d = 0;
    rb_status status = set_int(&d, "d_head", value, err);
    if (status == RB_OK)
        c->d_head_k = c->d_head_v = c->d_rot = d;
    return status;
}

static rb_status set_arch(rb_config *c, const char *value, rb_error *err)
{
    rb_arch arch = rb_arch_by_name(value);
    if (arch == RB_N_ARCH)
        return rb_fail(err, RB_ERR_ARGUMENT, "arch=%s: llama, qwen2 or qwen3 is wanted", value);
    rb_config_set_arch(c, arch);
    return RB_OK;
}

rb_status rb_config_set(rb_config *c, const char *assignment, rb_error *err)
{
    char key[32];
    const char *equals = strchr(assignment, '='), *value = equals ? equals + 1 : "";
    if (!equals || equals == assignment || (size_t)(equals - assignment) >= sizeof key)
        return rb_fail(err, RB_ERR_ARGUMENT, "'%s': key=value is wanted", assignment);
    snprintf(key, sizeof key, "%.*s", (int)(equals - assignment), assignment);
    for (int i = 0; i < N_INT; i++)
        if (strcmp(key, int_fields[i].key) == 0)
            return set_int(int_at(c, &int_fields[i]), key, value, err);
    if (strcmp(key, "d_head") == 0)
        return set_head(c, value, err);
    if (strcmp(key, "norm_eps") == 0)
        return set_float(&c->norm_eps, key, value, err);
    if (strcmp(key, "rope_base") == 0)
        return set_float(&c->rope_base, key, value, err);
    if (strcmp(key, "tied") == 0)
        return set_bool(&c->tied, key, value, err);
    if (strcmp(key, "rope_freqs") == 0)
        return set_bool(&c->rope_freqs, key, value, err);
    if (strcmp(key, "arch") == 0)
        return set_arch(c, value, err);
    return rb_fail(err, RB_ERR_ARGUMENT,
                   "unknown key '%s'; known: n_layer n_embd n_ff n_vocab n_head n_head_kv d_head"
                   " d_head_k d_head_v d_rot n_ctx norm_eps rope_base tied rope_freqs arch",
                   key);
}
