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

rb_status rb_open_named(rb_model **model, rb_model **shape, const rb_args *args, rb_error *err)
{
    const char *type = rb_opt_text(args, "--type");
    return rb_open_both(model, shape, NULL, args, args->arg[0], type ? rb_mix_by_name(type) : NULL,
                        err);
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

rb_status rb_attn_of(const rb_args *args, const rb_config *c, rb_attn *attn, rb_error *err)
{
    const char *name = rb_opt_text(args, "--attn");
    *attn = RB_ATTN_OWN;
    return name ? rb_attn_by_name(c, name, attn, err) : RB_OK;
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

static const size_t most_text = (size_t)1 << 30;

static rb_status read_all(FILE *f, const char *name, char **text, size_t *n, rb_error *err)
{
    size_t room = 0;
    *text = NULL;
    for (*n = 0;;) {
        if (room - *n < 2) {
            room = room ? 2 * room : 1 << 16;
            char *grown = *n < most_text ? realloc(*text, room) : NULL;
            if (!grown)
                return rb_fail(err, RB_ERR_MEMORY,
                               "%s: no memory for a text of more than %zu bytes", name, *n);
            *text = grown;
        }
        const size_t got = fread(*text + *n, 1, room - *n - 1, f);
        *n += got;
        (*text)[*n] = 0;
        if (!got)
            break;
    }
    return ferror(f) ? rb_fail(err, RB_ERR_IO, "%s: cannot read: %s", name, strerror(errno))
                     : RB_OK;
}

rb_status rb_read_text(const char *path, char **text, size_t *n, rb_error *err)
{
    const bool is_stdin = !strcmp(path, "-");
    FILE *f = is_stdin ? stdin : fopen(path, "rb");
    *text = NULL;
    *n = 0;
    if (!f)
        return rb_fail(err, RB_ERR_IO, "%.200s: cannot open: %s", path, strerror(errno));
    const rb_status st = read_all(f, is_stdin ? "stdin" : path, text, n, err);
    if (!is_stdin)
        fclose(f);
    if (st != RB_OK) {
        free(*text);
        *text = NULL;
    }
    return st;
}
