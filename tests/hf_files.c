/* Folders of config.json and safetensors: see hf_files.h.
 * Refuses to go on after any failure of its own.
 * Read next: test_hf.c. */
#include "hf_files.h"

#include "program.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

const char *const hf_vector[N_HF] = {
    "llama",
    "mistral",
    "mixtral",
    "qwen2",
    "qwen3",
    "qwen2_moe",
    "qwen3_moe",
    "gpt_neox",
    "gpt_neox-sequential",
    "deepseek_v2",
    "deepseek_v3",
    "deepseek_v3-halves",
    "llama-bias-linear",
};

char *hf_path(const char *name, const char *file, char *buf)
{
    snprintf(buf, 256, "tests/vectors/hf/%s/%s", name, file);
    return buf;
}

blob hf_config_with(const char *name, const char *changes)
{
    char path[256];
    blob text = blob_read(hf_path(name, "config.json", path)), b = { 0 };
    blob_put(&text, "", 1);
    json_t *o = parse_with((const char *)text.data, changes);
    char *made = json_dumps(o, 0);
    cr_assert(made);
    blob_put(&b, made, strlen(made));
    free(made);
    json_decref(o);
    blob_free(&text);
    return b;
}

blob st_file(const char *header, size_t n)
{
    blob b = { 0 };
    blob_uint(&b, strlen(header), 8);
    blob_put(&b, header, strlen(header));
    for (size_t i = 0; i < n; i++)
        blob_uint(&b, 0, 1);
    return b;
}

/* ---- sets of tensors ---- */

static st_tensor *next(st_set *s, const char *name, const char *type)
{
    cr_assert_lt(s->n, ST_MOST);
    st_tensor *t = &s->of[s->n++];
    memset(t, 0, sizeof *t);
    snprintf(t->name, sizeof t->name, "%s", name);
    snprintf(t->type, sizeof t->type, "%s", type);
    return t;
}

st_set *st_read(const char *path)
{
    st_set *s = calloc(1, sizeof *s);
    blob file = blob_read(path);
    size_t length = 0;
    memcpy(&length, file.data, sizeof length);
    json_t *o = json_loadb((const char *)file.data + 8, length, 0, NULL), *entry;
    const char *name;
    cr_assert(s && o);
    json_object_foreach(o, name, entry)
    {
        if (!strcmp(name, "__metadata__"))
            continue;
        st_tensor *t = next(s, name, string(entry, "dtype"));
        const json_t *shape = json_object_get(entry, "shape");
        const json_t *at = json_object_get(entry, "data_offsets");
        const size_t from = (size_t)json_integer_value(json_array_get(at, 0));
        const size_t to = (size_t)json_integer_value(json_array_get(at, 1));
        t->n_dim = (int)json_array_size(shape);
        for (int i = 0; i < t->n_dim; i++)
            t->shape[i] = json_integer_value(json_array_get(shape, (size_t)i));
        blob_put(&t->data, file.data + 8 + length + from, to - from);
    }
    json_decref(o);
    blob_free(&file);
    return s;
}

st_tensor *st_find(st_set *s, const char *name)
{
    for (int i = 0; i < s->n; i++)
        if (!strcmp(s->of[i].name, name))
            return &s->of[i];
    cr_assert_fail("no tensor %s", name);
    return NULL;
}

void st_drop(st_set *s, const char *name)
{
    st_tensor *t = st_find(s, name);
    blob_free(&t->data);
    *t = s->of[--s->n];
}

void st_add(st_set *s, const char *name, const char *type, int n_dim, const int64_t *shape)
{
    st_tensor *t = next(s, name, type);
    int64_t n = strcmp(type, "F32") == 0 || strcmp(type, "I32") == 0 ? 4 : 2;
    t->n_dim = n_dim;
    for (int i = 0; i < n_dim; i++)
        n *= t->shape[i] = shape[i];
    for (int64_t i = 0; i < n; i++)
        blob_uint(&t->data, 0, 1);
}

blob st_bytes(const st_set *s)
{
    blob b = { 0 };
    json_t *o = json_object();
    size_t at = 0;
    for (int i = 0; i < s->n; i++) {
        const st_tensor *t = &s->of[i];
        json_t *shape = json_array();
        for (int d = 0; d < t->n_dim; d++)
            json_array_append_new(shape, json_integer(t->shape[d]));
        json_object_set_new(o, t->name,
                            json_pack("{s:s,s:o,s:[I,I]}", "dtype", t->type, "shape", shape,
                                      "data_offsets", (json_int_t)at,
                                      (json_int_t)(at + t->data.n)));
        at += t->data.n;
    }
    char *header = json_dumps(o, JSON_COMPACT);
    b = st_file(header, 0);
    for (int i = 0; i < s->n; i++)
        blob_put(&b, s->of[i].data.data, s->of[i].data.n);
    free(header);
    json_decref(o);
    return b;
}

void st_free(st_set *s)
{
    for (int i = 0; i < s->n; i++)
        blob_free(&s->of[i].data);
    free(s);
}
