/* From options to the parameters of a session, its model, and texts from files.
 * Refuses to run anything: that is the commands'.
 * Read next: cmd_eval.c, cmd_generate.c, cmd_perplexity.c. */
#include "session_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

rb_status rb_session_params_of(const rb_args *args, int64_t n_ctx, rb_session_params *p,
                               rb_error *err)
{
    *p = rb_session_defaults();
    p->n_ctx = n_ctx;
    p->n_ubatch = rb_opt_int(args, "-ub");
    p->n_ubatch = p->n_ubatch < n_ctx ? p->n_ubatch : n_ctx;
    p->type_k = rb_dtype_by_name(rb_opt_text(args, "-ctk"));
    p->type_v = rb_dtype_by_name(rb_opt_text(args, "-ctv"));
    p->n_threads = rb_threads_of(args);
    p->act_f32 = !strcmp(rb_opt_text(args, "--act"), "f32");
    return rb_isa_of(rb_opt_text(args, "--isa"), &p->isa, &p->capped, err);
}

rb_status rb_accept_own(const rb_args *args, const rb_model *shape, rb_error *err)
{
    char form[48];
    if (!shape->attn.synthetic)
        return RB_OK;
    return rb_fail(err, RB_ERR_UNSUPPORTED,
                   "%.200s in the form %s: its weights of attention would be made up, so that it "
                   "has speed and counts ('rbench MODEL --attn', 'rbench predict') but no logits",
                   args->arg[0], rb_attn_form_text(&shape->attn.form, form, sizeof form));
}

rb_status rb_open_forms(rb_forms *f, const rb_args *args, rb_forms_params params, rb_error *err)
{
    params.calibrate = rb_opt_text(args, "--calibrate");
    const char *type = rb_opt_text(args, "--type");
    params.mix = type ? rb_mix_by_name(type) : NULL;
    return rb_forms_open(f, args, args->arg[0], &params, err);
}

rb_status rb_open_form(rb_model **model, rb_model **shape, rb_attn *attn, const rb_args *args,
                       rb_accept *accept, rb_error *err)
{
    const rb_forms_params params = { .lean = true, .accept = accept };
    rb_forms f;
    const rb_status st = rb_open_forms(&f, args, params, err);
    const int i = f.way[0].model;
    *attn = f.way[0].attn;
    *model = f.model[i];
    *shape = f.shape[i];
    f.model[i] = f.shape[i] = NULL;
    rb_forms_close(&f);
    return st;
}

rb_status rb_open_session(rb_session **s, const rb_model *model, const rb_model *shape,
                          const rb_session_params *p, rb_error *err)
{
    rb_session_params counted = *p;
    rb_session *dry = NULL;
    *s = NULL;
    counted.dry = true;
    counted.n_threads = 1;
    const rb_status st = rb_session_open(&dry, shape, &counted, err);
    if (st != RB_OK)
        return st;
    const uint64_t cache = (uint64_t)rb_session_kv_bytes(dry),
                   need = cache + (uint64_t)rb_session_scratch_bytes(dry),
                   available = rb_host_available();
    rb_session_close(dry);
    if (available && need > available)
        return rb_fail(err, RB_ERR_MEMORY,
                       "out of memory: %lld tokens need %.2f GB (cache %.2f) but %.2f GB are "
                       "available; use fewer",
                       (long long)p->n_ctx, (double)need / 1e9, (double)cache / 1e9,
                       (double)available / 1e9);
    return rb_session_open(s, model, p, err);
}

rb_status rb_check_ids(const int32_t *ids, int64_t n, int64_t n_vocab, rb_error *err)
{
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= n_vocab)
            return rb_fail(err, RB_ERR_FORMAT, /* input, not usage */
                           "token %d is outside the vocabulary; the model knows ids 0 to %lld",
                           (int)ids[i], (long long)n_vocab - 1);
    return RB_OK;
}

enum { MAX_TEXT = 1 << 30 }; /* bytes: what can be encoded */

rb_status rb_read_text(const char *path, char **text, size_t *n, rb_error *err)
{
    return strcmp(path, "-") ? rb_text_of_file(path, MAX_TEXT, text, n, err)
                             : rb_text_of_stream(stdin, "stdin", MAX_TEXT, text, n, err);
}

rb_status rb_ids_of_file(const char *model, const char *path, int32_t **ids, int64_t *n,
                         int32_t *bos, rb_error *err)
{
    rb_tokenizer *t = NULL;
    char *text = NULL;
    size_t n_bytes = 0;
    rb_status st = rb_tokenizer_open(&t, model, err);
    if (st == RB_OK)
        st = rb_read_text(path, &text, &n_bytes, err);
    if (st == RB_OK)
        st = rb_tokenizer_encode(t, text, n_bytes, (rb_encode){ .special = true }, ids, n, err);
    if (st == RB_OK && bos)
        *bos = rb_tokenizer_adds_bos(t) ? rb_tokenizer_bos(t) : -1;
    rb_tokenizer_close(t);
    free(text);
    return st;
}
