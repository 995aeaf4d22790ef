/* From the words of --attn to models: which are orders of the model as it is, which are forms that
 * its weights are converted to, and all of them in memory.
 * Refuses what does not fit there before it reads a weight, and forms as attn_form.c does.
 * Read next: ../models/attn_convert.h. */
#include "forms.h"

#include "calibrate.h"
#include "progress.h"

#include <string.h>

/* ---- what words mean ---- */

/* What latent attention is, run in other orders: MHA over what is expanded, MQA over the latent. */
static bool order_of_latent(const rb_config *c, const char *word, rb_attn *attn)
{
    const bool mha = !strcmp(word, "mha"), mqa = !strcmp(word, "mqa");
    *attn = mha ? RB_ATTN_MLA_NAIVE_FULL : RB_ATTN_MLA_ABSORBED;
    return rb_config_is_mla(c) && (mha || mqa);
}

/* The orders of latent attention, for weights that are none yet. */
static bool order_of_form(const char *word, rb_attn *attn)
{
    static const rb_config latent = { .kv_lora_rank = 1 };
    return strcmp(word, rb_attn_name(&latent, RB_ATTN_MLA)) != 0 &&
           rb_attn_by_name(&latent, word, attn, NULL) == RB_OK;
}

/* The place of a form among the models; a new one if no way before wanted it. */
static rb_status place_of(rb_forms *f, const rb_attn_form *form, int *at, rb_error *err)
{
    for (*at = 1; *at < f->n; ++*at) {
        const rb_attn_form *known = &f->form[*at];
        if (known->form == form->form && known->n == form->n && known->d_rot == form->d_rot)
            return RB_OK;
    }
    if (f->n > RB_MAX_FORM)
        return rb_fail(err, RB_ERR_ARGUMENT, "--attn: at most %d forms", RB_MAX_FORM);
    f->form[f->n++] = *form;
    return RB_OK;
}

static rb_status add_way(rb_forms *f, const rb_config *c, const char *word, rb_error *err)
{
    rb_way way = { .latent = rb_config_is_mla(c) };
    rb_attn_form form = { .form = RB_FORM_MLA };
    if (f->n_way == RB_MAX_FORM)
        return rb_fail(err, RB_ERR_ARGUMENT, "--attn: at most %d of them", RB_MAX_FORM);
    if (rb_attn_by_name(c, word, &way.attn, NULL) != RB_OK &&
        !order_of_latent(c, word, &way.attn)) {
        rb_status st = RB_OK;
        if (!order_of_form(word, &way.attn)) {
            way.attn = RB_ATTN_OWN;
            st = rb_attn_form_parse(&form, word, err);
        }
        if (st == RB_OK)
            st = place_of(f, &form, &way.model, err);
        if (st != RB_OK)
            return st;
        way.latent = form.form == RB_FORM_MLA;
    }
    f->way[f->n_way++] = way;
    return RB_OK;
}

static rb_status read_words(rb_forms *f, const rb_forms_params *p, rb_error *err)
{
    const rb_config *c = &f->shape[0]->config;
    rb_status st = RB_OK;
    f->n = 1;
    for (int i = 0; i < p->n_word && st == RB_OK; i++)
        st = add_way(f, c, p->word[i], err);
    if (st == RB_OK && !f->n_way)
        f->way[f->n_way++] = (rb_way){ .latent = rb_config_is_mla(c) };
    return st;
}

/* ---- models ---- */

/* The most threads that -t asks for, if this machine has as many. */
static int most_threads(const rb_args *args)
{
    const rb_opt_value *t = rb_opt_get(args, "-t");
    const int all = rb_host_threads();
    int64_t most = t->n ? 1 : all;
    for (int i = 0; i < t->n; i++)
        most = t->num[i] > most || t->num[i] == 0 ? t->num[i] : most;
    return most < 1 || most > all ? all : (int)most;
}

/* All forms of model[0], then its packing: what is packed cannot be converted. */
static rb_status convert_all(const rb_forms *f, rb_model **model, const rb_calibration *cal,
                             bool tell, rb_error *err)
{
    rb_progress progress = rb_progress_make(false, !tell, NULL);
    rb_status st = RB_OK;
    for (int i = 1; i < f->n && st == RB_OK && !rb_signal(); i++) {
        char text[96], form[48];
        snprintf(text, sizeof text, "attention in the form %s",
                 rb_attn_form_text(&f->form[i], form, sizeof form));
        rb_progress_text(&progress, text);
        const bool ranked = rb_attn_form_has_rank(&f->form[i]);
        st = rb_attn_convert(&model[i], model[0], &f->form[i], ranked ? cal : NULL, err);
    }
    rb_progress_clear(&progress);
    if (st == RB_OK && rb_signal())
        st = rb_fail(err, RB_ERR_IO, "interrupted");
    return st;
}

static rb_status pack_all(const rb_forms *f, rb_model **model, rb_error *err)
{
    rb_status st = RB_OK;
    for (int i = 0; i < f->n && st == RB_OK; i++)
        st = model[i] ? rb_model_pack(model[i], err) : RB_OK;
    return st;
}

static bool is_run(const rb_forms *f, int model)
{
    for (int i = 0; i < f->n_way; i++)
        if (f->way[i].model == model)
            return true;
    return false;
}

static void close_unused(rb_forms *f)
{
    for (int i = 0; i < f->n; i++)
        if (!is_run(f, i)) {
            rb_model_close(f->model[i]);
            f->model[i] = NULL;
        }
}

static rb_status accept_all(const rb_forms *f, const rb_forms_params *p, rb_error *err)
{
    rb_status st = RB_OK;
    for (int i = 0; i < f->n && st == RB_OK && p->accept; i++)
        st = is_run(f, i) ? p->accept(p->args, f->shape[i], err) : RB_OK;
    return st;
}

static rb_status check_fits(const rb_forms *f, const char *name, rb_error *err)
{
    const uint64_t available = rb_host_available();
    uint64_t need = 0;
    for (int i = 0; i < f->n; i++)
        need += rb_model_bytes(f->shape[i]);
    if (f->n == 1 || !available || need <= available)
        return rb_check_fits(f->shape[0], name, err);
    return rb_fail(err, RB_ERR_MEMORY,
                   "%.200s: out of memory: its weights in %d forms of attention need %.2f GB but "
                   "%.2f GB are available; use fewer, or 'rbench predict' to count",
                   name, f->n, (double)need / 1e9, (double)available / 1e9);
}

/* Only speed and counts of such a model mean anything. */
static void tell_made_up(const rb_forms *f)
{
    char form[48];
    for (int i = 1; i < f->n; i++)
        if (f->shape[i] && f->shape[i]->attn.synthetic)
            rb_complain("note: attention in the form %s has weights that are made up: times and "
                        "counts are those of its shape, quality is not defined",
                        rb_attn_form_text(&f->form[i], form, sizeof form));
}

static void tell_formed(rb_forms *f)
{
    for (int i = 1; i < f->n; i++)
        f->formed[i - 1] =
            (rb_formed){ .model = f->model[i], .digest = f->digest[i][0] ? f->digest[i] : NULL };
}

/* By the first form that looks at it; of those that do not, the last says so. */
static rb_status calibrate(const rb_forms *f, const char *name, const rb_forms_params *p,
                           rb_calibration **cal, rb_error *err)
{
    static const rb_attn_form none = { .form = RB_FORM_MHA };
    const rb_attn_form *form = f->n > 1 ? &f->form[f->n - 1] : &none;
    for (int i = f->n - 1; i > 0; i--)
        if (rb_attn_form_has_rank(&f->form[i]) &&
            !rb_attn_form_is_exact(&f->shape[0]->config, &f->form[i]))
            form = &f->form[i];
    return p->calibrate ? rb_calibrate_file(cal, p->args, name, form, p->calibrate, err) : RB_OK;
}

static rb_status open_weights(rb_forms *f, const char *name, const rb_model_params *how,
                              const rb_forms_params *p, rb_error *err)
{
    rb_calibration *cal = NULL;
    rb_status st = calibrate(f, name, p, &cal, err);
    if (st == RB_OK)
        st = rb_model_open(&f->model[0], name, how, err);
    if (st == RB_OK)
        st = convert_all(f, f->model, cal, true, err);
    rb_calibration_close(cal);
    if (p->lean)
        close_unused(f);
    for (int i = 0; i < f->n && st == RB_OK && p->digest; i++)
        rb_model_digest(f->model[i], f->digest[i]);
    return st == RB_OK ? pack_all(f, f->model, err) : st;
}

rb_status rb_forms_open_words(rb_forms *f, const char *name, const rb_forms_params *p,
                              rb_error *err)
{
    rb_model_params how = {
        .dry = true, .mix = p->mix, .n_layer = p->n_layer, .seed = 1, .n_threads = p->n_threads
    };
    *f = (rb_forms){ 0 };
    rb_status st = rb_model_open(&f->shape[0], name, &how, err);
    if (st == RB_OK)
        st = read_words(f, p, err);
    if (st == RB_OK)
        st = convert_all(f, f->shape, NULL, false, err);
    if (st == RB_OK)
        st = accept_all(f, p, err);
    if (st == RB_OK)
        st = pack_all(f, f->shape, err);
    how.dry = false;
    if (p->dry)
        memcpy(f->model, f->shape, sizeof f->model);
    else if (st == RB_OK && (st = check_fits(f, name, err)) == RB_OK)
        st = open_weights(f, name, &how, p, err);
    tell_formed(f);
    if (st == RB_OK)
        tell_made_up(f);
    return st;
}

rb_status rb_forms_open(rb_forms *f, const rb_args *args, const char *name,
                        const rb_forms_params *params, rb_error *err)
{
    const rb_opt_value *words = rb_opt_get(args, "--attn");
    rb_forms_params p = *params;
    p.word = (const char *const *)words->text;
    p.n_word = words->n;
    p.args = args;
    p.n_threads = p.dry ? 0 : most_threads(args);
    return rb_forms_open_words(f, name, &p, err);
}

rb_status rb_open_both(rb_model **model, rb_model **shape, const rb_args *args, const char *name,
                       const rb_mix *mix, rb_error *err)
{
    rb_forms f;
    const rb_forms_params p = { .mix = mix, .n_threads = most_threads(args) };
    const rb_status st = rb_forms_open_words(&f, name, &p, err);
    *model = f.model[0];
    *shape = f.shape[0];
    return st;
}

void rb_forms_close(rb_forms *f)
{
    for (int i = 0; i < f->n; i++) {
        if (f->model[i] != f->shape[i])
            rb_model_close(f->model[i]);
        rb_model_close(f->shape[i]);
    }
    *f = (rb_forms){ 0 };
}
