/* rb_model_open: a file by its content, a folder by its config.json, else a preset by its name.
 * Refuses to look at how a file is called: only its bytes say what it is.
 * Read next: gguf_load.c, llama2c.c, hf_load.c, preset.c. */
#include "model.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

rb_status rb_model_from_source(rb_model **model, rb_source src, const char *path, bool dry,
                               rb_error *err)
{
    char magic[4] = "";
    *model = NULL;
    if (src.size >= sizeof magic) {
        rb_status status = rb_source_read(&src, 0, magic, sizeof magic, err);
        if (status != RB_OK) {
            rb_source_close(&src);
            return status;
        }
    }
    if (memcmp(magic, "GGUF", sizeof magic) == 0)
        return rb_model_from_gguf(model, src, path, dry, err);
    return rb_model_from_llama2c(model, src, dry, err);
}

bool rb_model_is_folder(const char *name)
{
    struct stat st;
    return stat(name, &st) == 0 && S_ISDIR(st.st_mode);
}

static rb_status open_file(rb_model **model, const char *path, const rb_model_params *p,
                           rb_error *err)
{
    rb_source src;
    if (p->mix)
        return rb_fail(err, RB_ERR_ARGUMENT,
                       "%.300s: a type can only be chosen for a preset; a file has its own", path);
    if (p->n_layer)
        return rb_fail(err, RB_ERR_ARGUMENT, "%.300s: a file has layers of its own", path);
    if (rb_model_is_folder(path))
        return rb_model_from_hf(model, path, p->dry, err);
    rb_status status = rb_source_open(&src, path, err);
    return status == RB_OK ? rb_model_from_source(model, src, path, p->dry, err) : status;
}

static rb_status open_preset(rb_model **model, const char *name, const rb_model_params *p,
                             rb_error *err)
{
    const rb_config *preset = rb_preset_find(name);
    if (!preset)
        return rb_fail(err, RB_ERR_IO,
                       "%.300s: no such file, and no preset of that name; 'rbench synth --list' "
                       "has the presets, and nothing is downloaded",
                       name);
    rb_config config = *preset;
    if (p->n_layer)
        config.n_layer = p->n_layer;
    rb_status status = rb_model_synth_mix(model, &config, p->mix ? p->mix : rb_mix_by_name("f16"),
                                          p->seed ? p->seed : 1, p->dry, err);
    if (status == RB_OK)
        snprintf((*model)->format, sizeof(*model)->format, "preset");
    return status;
}

rb_status rb_model_open(rb_model **model, const char *name, const rb_model_params *params,
                        rb_error *err)
{
    rb_model_params p = { .dry = false, .seed = 1 };
    struct stat st;
    if (params)
        p = *params;
    *model = NULL;
    const bool is_file = stat(name, &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
    const rb_status status = (is_file ? open_file : open_preset)(model, name, &p, err);
    if (*model) /* NULL after a failure */
        (*model)->n_threads = p.n_threads;
    return status;
}
