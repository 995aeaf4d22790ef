/* A GGUF file with other types of weights: what is planned, and its metadata.
 * Refuses types that it cannot decode, and to write onto its input.
 * Read next: mix.c (types), recode.c (weights), gguf_file.c (the file). */
#include "convert_attn.h"
#include "gguf_file.h"
#include "recode.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct item {
    const rb_gguf_tensor *t;
    int64_t layer; /* -1: of none */
    rb_dtype to;
} item;

/* A pair of the metadata: one of the source, or a number of ours. */
typedef struct pair {
    const rb_gguf_kv *from; /* NULL: ours */
    const char *key;
    uint32_t value;
} pair;

typedef struct conversion {
    rb_gguf g;
    rb_attn_file attn;
    const rb_gguf *weights; /* g, or what attn has of it */
    const rb_convert_params *params;
    rb_recoder recoder;
    item *item; /* [weights->n_tensor] */
    pair *pair;
    int64_t n_pair;
    rb_conversion *result;
} conversion;

/* ---- which type each tensor gets ---- */

/* "blk.12.": 12 */
static int64_t layer_of(const char *name)
{
    if (strncmp(name, "blk.", 4) != 0 || !isdigit((unsigned char)name[4]))
        return -1;
    return strtol(name + 4, NULL, 10);
}

static int by_layer(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->layer != y->layer)
        return x->layer < y->layer ? -1 : 1;
    return strcmp(x->t->name, y->t->name);
}

static int by_place(const void *a, const void *b)
{
    const rb_gguf_tensor *x = ((const item *)a)->t, *y = ((const item *)b)->t;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* ARCH.key, or otherwise. */
static int64_t integer_of(const rb_gguf *g, const char *arch, const char *key, int64_t otherwise)
{
    char full[RB_GGUF_MAX_KEY + 1];
    snprintf(full, sizeof full, "%s.%s", arch, key);
    const rb_gguf_kv *kv = rb_gguf_find_kv(g, full);
    return kv && rb_gguf_is_integer(kv) ? kv->integer : otherwise;
}

static rb_status model_of(const conversion *c, rb_mix_model *m, rb_error *err)
{
    const rb_gguf *g = &c->g;
    const rb_gguf_kv *kv = rb_gguf_find_kv(g, "general.architecture");
    const char *arch = kv && kv->text ? kv->text : "";
    const int64_t n_head = integer_of(g, arch, "attention.head_count", 0);
    *m = (rb_mix_model){ .n_layer = integer_of(g, arch, "block_count", 0),
                         .n_expert = integer_of(g, arch, "expert_count", 0),
                         .tied = !rb_gguf_find_tensor(g, "output.weight") };
    if (m->n_layer < 1 || m->n_layer > RB_MAX_LAYER)
        return rb_fail(err, RB_ERR_UNSUPPORTED,
                       "%s: a mix of types wants the number of layers, and there is no block_count "
                       "of its architecture; name a single type",
                       g->file[0].label);
    const int64_t n_head_kv = integer_of(g, arch, "attention.head_count_kv", n_head);
    const rb_config *as = c->attn.model ? &c->attn.model->config : NULL;
    m->wide_gqa =
        rb_mix_wide_gqa(arch, m->n_layer, as ? as->n_head : n_head, as ? as->n_head_kv : n_head_kv);
    for (int64_t i = 0; i < c->weights->n_tensor; i++)
        m->n_attn_v += rb_mix_is_attn_v(c->weights->tensor[i].name);
    return RB_OK;
}

static rb_status choose_type(const rb_gguf *g, rb_mixer *mixer, item *it, rb_error *err)
{
    const rb_gguf_tensor *t = it->t;
    char type[32];
    if (t->dtype == RB_NO_DTYPE)
        return rb_fail(err, RB_ERR_UNSUPPORTED, "%s: tensor '%s' is %s, which cannot be decoded",
                       g->file[t->file].label, t->name,
                       rb_gguf_dtype_name(t->type, type, sizeof type));
    const bool taken = mixer->mix && t->dtype != RB_I32 && rb_mix_takes(t->name, t->ne);
    it->to = taken ? rb_mixer_next(mixer, t->name, it->layer, t->ne[0]) : t->dtype;
    return RB_OK;
}

/* The items, in the order of the source. */
static rb_status plan_tensors(conversion *c, rb_error *err)
{
    const rb_gguf *g = c->weights;
    rb_mixer mixer = { .mix = c->params->mix };
    c->item = calloc((size_t)g->n_tensor + 1, sizeof *c->item);
    if (!c->item)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    for (int64_t i = 0; i < g->n_tensor; i++)
        c->item[i] = (item){ .t = &g->tensor[i], .layer = layer_of(g->tensor[i].name) };
    rb_status status = mixer.mix && mixer.mix->rule ? model_of(c, &mixer.model, err) : RB_OK;
    qsort(c->item, (size_t)g->n_tensor, sizeof *c->item, by_layer);
    for (int64_t i = 0; i < g->n_tensor && status == RB_OK; i++)
        status = choose_type(g, &mixer, &c->item[i], err);
    qsort(c->item, (size_t)g->n_tensor, sizeof *c->item, by_place);
    return status;
}

/* ---- metadata ---- */

static int by_offset(const void *a, const void *b)
{
    const uint64_t x = ((const pair *)a)->from->offset, y = ((const pair *)b)->from->offset;
    return x < y ? -1 : x > y;
}

static bool is_of_split(const char *key)
{
    static const char *const keys[] = { "split.no", "split.count", "split.tensors.count" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

/* In the place of the source's, or at the end. */
static void set_pair(conversion *c, const char *key, uint32_t value)
{
    int64_t i = 0;
    while (i < c->n_pair && strcmp(c->pair[i].key, key) != 0)
        i++;
    c->n_pair += i == c->n_pair;
    c->pair[i] = (pair){ .key = key, .value = value };
}

static rb_status plan_metadata(conversion *c, rb_error *err)
{
    enum { QUANTIZATION_VERSION = 2 };
    c->pair = calloc((size_t)c->g.n_kv + 2, sizeof *c->pair);
    if (!c->pair)
        return rb_fail(err, RB_ERR_MEMORY, "out of memory");
    for (int64_t i = 0; i < c->g.n_kv; i++)
        if (!is_of_split(c->g.kv[i].key) && !rb_attn_file_replaces(&c->attn, c->g.kv[i].key))
            c->pair[c->n_pair++] = (pair){ .from = &c->g.kv[i], .key = c->g.kv[i].key };
    qsort(c->pair, (size_t)c->n_pair, sizeof *c->pair, by_offset);
    if (!c->params->mix)
        return RB_OK;
    set_pair(c, "general.file_type", c->params->mix->file_type);
    set_pair(c, "general.quantization_version", QUANTIZATION_VERSION);
    return RB_OK;
}

static uint64_t pair_bytes(const pair *p)
{
    return p->from ? p->from->bytes : 8 + strlen(p->key) + 4 + 4;
}

static rb_status put_kv(FILE *f, void *arg, rb_error *err)
{
    conversion *c = arg;
    rb_status status = RB_OK;
    for (const pair *p = c->pair; p < c->pair + c->n_pair && status == RB_OK; p++) {
        if (p->from) {
            status =
                rb_recode_copy(&c->recoder, f, &c->g.file[0], p->from->offset, p->from->bytes, err);
            continue;
        }
        rb_put_string(f, p->key);
        rb_put_uint(f, RB_GGUF_U32, 4);
        rb_put_uint(f, p->value, 4);
    }
    if (c->attn.kv)
        fwrite(c->attn.kv, 1, c->attn.kv_bytes, f);
    return status;
}

/* ---- tensors ---- */

static int64_t rows_of(const rb_gguf_tensor *t)
{
    return t->ne[1] * t->ne[2] * t->ne[3];
}

static rb_gguf_entry entry(const void *arg, int64_t i)
{
    const item *it = &((const conversion *)arg)->item[i];
    const rb_gguf_tensor *t = it->t;
    rb_gguf_entry e = { .n_dim = t->n_dim,
                        .ne = { t->ne[0], t->ne[1], t->ne[2], t->ne[3] },
                        .dtype = it->to,
                        .bytes = (uint64_t)(rows_of(t) * rb_row_bytes(it->to, t->ne[0])) };
    snprintf(e.name, sizeof e.name, "%s", t->name);
    return e;
}

static rb_status put_data(FILE *f, void *arg, int64_t i, rb_error *err)
{
    conversion *c = arg;
    const item *it = &c->item[i];
    const rb_gguf_tensor *t = it->t;
    const rb_source *from = &c->weights->file[t->file];
    const bool copied = it->to == t->dtype;
    rb_converted *what = &c->result->of[it->to];
    if (c->params->progress)
        c->params->progress(c->params->arg, t->name, i, c->weights->n_tensor);
    what->n_tensor++;
    what->n_copied += copied;
    what->n_element += rows_of(t) * t->ne[0];
    what->bytes_before += t->bytes;
    what->bytes_after += entry(c, i).bytes;
    c->result->n_again += !copied && rb_dtype_get(t->dtype)->block > 1;
    return copied ? rb_recode_copy(&c->recoder, f, from, t->offset, t->bytes, err)
                  : rb_recode(&c->recoder, f, from, t, it->to, what, err);
}

rb_converted rb_conversion_total(const rb_conversion *c)
{
    rb_converted total = { 0 };
    for (const rb_converted *of = c->of; of < c->of + RB_FIRST_PACKED; of++) {
        total.n_tensor += of->n_tensor;
        total.n_copied += of->n_copied;
        total.n_element += of->n_element;
        total.bytes_before += of->bytes_before;
        total.bytes_after += of->bytes_after;
        total.sum_sq += of->sum_sq;
        total.error_sq += of->error_sq;
    }
    return total;
}

/* ---- the whole ---- */

static rb_status check_not_source(const rb_gguf *g, const char *to, rb_error *err)
{
    struct stat in, out;
    if (stat(to, &out) != 0)
        return RB_OK;
    for (int i = 0; i < g->n_file; i++)
        if (fstat(g->file[i].fd, &in) == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
            return rb_fail(err, RB_ERR_ARGUMENT,
                           "%.300s: it is the file that is read; name another", to);
    return RB_OK;
}

static rb_status write_planned(conversion *c, const char *to, rb_error *err)
{
    rb_gguf_content content = { .n_kv = (uint64_t)c->n_pair + c->attn.n_kv,
                                .kv_bytes = c->attn.kv_bytes,
                                .n_tensor = c->weights->n_tensor,
                                .alignment = c->g.alignment,
                                .put_kv = put_kv,
                                .entry = entry,
                                .put_data = put_data,
                                .arg = c,
                                .stop = c->params->stop,
                                .stop_arg = c->params->arg };
    for (int64_t i = 0; i < c->n_pair; i++)
        content.kv_bytes += pair_bytes(&c->pair[i]);
    rb_status status = rb_recoder_open(&c->recoder, c->params, err);
    if (status == RB_OK)
        status = rb_gguf_put(&content, to, err);
    rb_recoder_close(&c->recoder);
    return status;
}

rb_status rb_gguf_convert(const char *from, const char *to, const rb_convert_params *params,
                          rb_conversion *result, rb_error *err)
{
    conversion c = { .params = params, .result = result };
    rb_source src;
    *result = (rb_conversion){ 0 };
    rb_status status = rb_source_open(&src, from, err);
    if (status != RB_OK)
        return status;
    status = rb_gguf_open(&c.g, src, from, err);
    if (status == RB_OK)
        status = check_not_source(&c.g, to, err);
    c.weights = &c.g;
    if (status == RB_OK && params->attn) {
        status = rb_attn_file_open(&c.attn, from, params, err);
        c.weights = &c.attn.weights;
    }
    if (status == RB_OK)
        status = plan_tensors(&c, err);
    if (status == RB_OK)
        status = plan_metadata(&c, err);
    if (status == RB_OK)
        status = write_planned(&c, to, err);
    free(c.item);
    free(c.pair);
    if (c.attn.model)
        result->attn = c.attn.model->attn;
    rb_attn_file_close(&c.attn);
    rb_gguf_close(&c.g);
    return status;
}
