/* Models and sessions of the reference vectors, for the suites that run them.
 * Fails the test rather than returning an error.
 * Read next: vectors.h. */
#include "vectors.h"

#include <criterion/criterion.h>

#include <math.h>

rb_model *vector_model(const char *name, json_t **vector)
{
    rb_config config;
    rb_model *model;
    rb_error err;
    *vector = vector_read(name, &config);
    cr_assert_eq(rb_model_synth(&model, &config, RB_F32, 1, false, &err), RB_OK, "%s", err.text);
    return model;
}

rb_session *vector_session(const rb_model *model, rb_attn attn, rb_isa isa, int n_threads,
                           bool no_fuse)
{
    rb_session_params p = rb_session_defaults();
    rb_session *s;
    rb_error err;
    p.n_ctx = p.n_logits = 64;
    p.type_k = p.type_v = RB_F32;
    p.attn = attn;
    p.n_threads = n_threads;
    p.isa = isa;
    p.capped = p.act_f32 = true;
    p.no_fuse = no_fuse;
    cr_assert_eq(rb_session_open(&s, model, &p, &err), RB_OK, "%s", err.text);
    return s;
}

double vector_tolerance(const json_t *vector)
{
    return json_number_value(json_object_get(vector, "suggested_abs_tol_f32"));
}

void vector_tokens(const json_t *vector, const char *key, int32_t *out, size_t n)
{
    const json_t *list = json_object_get(vector, key);
    cr_assert_eq(json_array_size(list), n, "%s has %zu tokens", key, json_array_size(list));
    for (size_t i = 0; i < n; i++)
        out[i] = (int32_t)json_integer_value(json_array_get(list, i));
}

rb_attn vector_order(const rb_model *model, int i)
{
    if (rb_config_is_mla(&model->config))
        return RB_ATTN_MLA + i < RB_N_ATTN ? (rb_attn)(RB_ATTN_MLA + i) : RB_N_ATTN;
    return i == 0 ? RB_ATTN_OWN : RB_N_ATTN;
}

double vector_worst(const float *got, const json_t *want, int64_t n)
{
    double most = 0;
    cr_assert_eq((int64_t)json_array_size(want), n);
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)got[i] - json_number_value(json_array_get(want, (size_t)i)));
        most = d <= most ? most : d; /* NaN becomes the worst */
    }
    return most;
}

double vector_off_by(const float *a, const float *b, int64_t n)
{
    double most = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);
        most = d <= most ? most : d;
        size = fmax(size, fabs((double)b[i]));
    }
    return most / size;
}
