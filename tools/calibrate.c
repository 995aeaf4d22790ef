/* From a text file to what attention of a model reads over it: refusals first, then the weights.
 * Nothing is computed here: that is ../engine/calibrate.c.
 * Read next: cmd_convert.c, which passes it on. */
#include "calibrate.h"

#include "progress.h"
#include "session_options.h"

#include <stdlib.h>
#include <string.h>

rb_status rb_calibrate_check(const rb_attn_form *form, rb_error *err)
{
    return rb_attn_form_has_rank(form)
               ? RB_OK
               : rb_fail(err, RB_ERR_ARGUMENT,
                         "--calibrate is for --attn mla:R and lrkv:R: pooled heads know the "
                         "weights alone, and other forms lose nothing");
}

/* Whether a model of c takes the form and loses something by it. */
static rb_status check_form(const rb_attn_form *form, const rb_config *c, rb_error *err)
{
    rb_config to;
    char text[48];
    rb_status st = rb_calibrate_check(form, err);
    if (st == RB_OK)
        st = rb_attn_form_config(&to, c, form, err);
    if (st == RB_OK && rb_attn_form_is_exact(c, form))
        st = rb_fail(err, RB_ERR_ARGUMENT,
                     "--calibrate: %s loses nothing of this model, there is nothing to choose",
                     rb_attn_form_text(form, text, sizeof text));
    return st;
}

/* ---- the text ---- */

/* Begins each window as the model wants a text begun. */
static rb_status encode(const char *model, const char *text, size_t n_bytes, int64_t window,
                        int32_t **ids, int64_t *n, rb_error *err)
{
    rb_tokenizer *t = NULL;
    rb_status st = rb_tokenizer_open(&t, model, err);
    if (st == RB_OK)
        st = rb_tokenizer_encode(t, text, n_bytes, (rb_encode){ .special = true }, ids, n, err);
    if (st == RB_OK && rb_tokenizer_adds_bos(t))
        for (int64_t i = 0; i < *n; i += window)
            (*ids)[i] = rb_tokenizer_bos(t);
    rb_tokenizer_close(t);
    return st;
}

/* Fewer tokens than the model is wide span no more directions than they are: the rest would count
 * for nothing. */
static rb_status check_length(const char *file, int64_t n, const rb_config *c, rb_error *err)
{
    return n >= c->n_embd
               ? RB_OK
               : rb_fail(err, RB_ERR_FORMAT,
                         "%.200s: %lld tokens do not calibrate a model that is %lld wide: as many "
                         "at least are wanted",
                         file, (long long)n, (long long)c->n_embd);
}

static rb_status read_ids(const char *model, const rb_config *c, const char *file, int64_t window,
                          int32_t **ids, int64_t *n, rb_error *err)
{
    const int64_t most = c->n_embd > RB_MOST_CALIBRATED ? c->n_embd : RB_MOST_CALIBRATED;
    char *text = NULL;
    size_t n_bytes = 0;
    rb_status st = rb_read_text(file, &text, &n_bytes, err);
    if (st == RB_OK && memchr(text, 0, n_bytes))
        st = rb_fail(err, RB_ERR_FORMAT, "%.200s: it has NUL bytes: a text is wanted", file);
    if (st == RB_OK)
        st = encode(model, text, n_bytes, window, ids, n, err);
    free(text);
    if (st == RB_OK)
        st = check_length(file, *n, c, err);
    *n = *n < most ? *n : most;
    return st == RB_OK ? rb_check_ids(*ids, *n, c->n_vocab, err) : st;
}

/* ---- the model ---- */

static void tell(void *arg, int64_t n_done, int64_t n_token)
{
    char text[96];
    snprintf(text, sizeof text, "calibrating: token %lld of %lld", (long long)n_done,
             (long long)n_token);
    rb_progress_text(arg, text);
}

static rb_status check_memory(const rb_config *c, rb_error *err)
{
    const uint64_t need = rb_calibration_bytes(c), available = rb_host_available();
    if (!available || need <= available)
        return RB_OK;
    return rb_fail(err, RB_ERR_MEMORY,
                   "out of memory: to calibrate %lld layers, %lld wide, takes %.2f GB but %.2f GB "
                   "are available",
                   (long long)c->n_layer, (long long)c->n_embd, (double)need / 1e9,
                   (double)available / 1e9);
}

static rb_status calibrate(rb_calibration **cal, const rb_model *model, const rb_model *shape,
                           int64_t window, int n_threads, const int32_t *ids, int64_t n,
                           rb_error *err)
{
    rb_session_params p = rb_session_defaults();
    rb_progress progress = rb_progress_make(false, false, NULL);
    rb_session *s = NULL;
    p.n_ctx = p.n_ubatch = window;
    p.type_k = p.type_v = RB_F32;
    p.act_f32 = p.keep_inputs = true;
    p.gelu_erf = model->config.gelu_erf;
    p.n_threads = n_threads;
    rb_status st = rb_isa_of(NULL, &p.isa, &p.capped, err);
    if (st == RB_OK)
        st = rb_open_session(&s, model, shape, &p, err);
    if (st == RB_OK)
        st = check_memory(&model->config, err);
    if (st == RB_OK)
        st = rb_calibrate(cal, s, ids, n,
                          &(rb_calibrate_params){ .stop = rb_stop, .tell = tell, .arg = &progress },
                          err);
    rb_progress_clear(&progress);
    rb_session_close(s);
    return st;
}

rb_status rb_calibrate_file(rb_calibration **cal, const rb_args *args, const char *name,
                            const rb_attn_form *form, const char *file, rb_error *err)
{
    rb_model *shape = NULL, *packed = NULL, *model = NULL;
    int32_t *ids = NULL;
    int64_t n = 0, window = rb_session_defaults().n_ctx;
    *cal = NULL;
    rb_status st = rb_model_open(&shape, name, &(rb_model_params){ .dry = true }, err);
    if (st == RB_OK)
        st = check_form(form, &shape->config, err);
    if (st == RB_OK) {
        const int64_t trained = shape->config.n_ctx_train;
        window = trained && trained < window ? trained : window;
        st = read_ids(name, &shape->config, file, window, &ids, &n, err);
    }
    if (st == RB_OK)
        st = rb_open_both(&model, &packed, args, name, NULL, err);
    if (st == RB_OK)
        st = calibrate(cal, model, packed, window, rb_threads_of(args), ids, n, err);
    rb_model_close(model);
    rb_model_close(packed);
    rb_model_close(shape);
    free(ids);
    return st;
}
