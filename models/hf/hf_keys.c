/* Typed access to the keys of a JSON object, for the readers of config.json.
 * Refuses values of other types by name; knows no key.
 * Read next: hf_config.c. */
#include "hf_keys.h"

#include <string.h>

bool rb_keys_is_type(const rb_keys *r, const char *type)
{
    return strcmp(r->type, type) == 0;
}

const json_t *rb_keys_find(const rb_keys *r, const json_t *o, const char *key)
{
    const json_t *v = r->status == RB_OK ? json_object_get(o, key) : NULL;
    return json_is_null(v) ? NULL : v;
}

void rb_keys_wrong(rb_keys *r, const char *key, const char *want)
{
    r->status = rb_fail(r->err, RB_ERR_FORMAT, "%s: key '%s' should be %s", r->label, key, want);
}

int64_t rb_keys_integer(rb_keys *r, const char *key, int64_t absent)
{
    const json_t *v = rb_keys_find(r, r->root, key);
    if (!v)
        return absent;
    const int64_t n = json_integer_value(v);
    if (!json_is_integer(v) || n < 0 || n > RB_KEYS_MOST) {
        rb_keys_wrong(r, key, "a whole number from 0 on");
        return 0;
    }
    return n;
}

double rb_keys_real(rb_keys *r, const json_t *o, const char *key, double absent)
{
    const json_t *v = rb_keys_find(r, o, key);
    if (v && !json_is_number(v))
        rb_keys_wrong(r, key, "a number");
    return v ? json_number_value(v) : absent;
}

bool rb_keys_flag(rb_keys *r, const json_t *o, const char *key, bool absent)
{
    const json_t *v = rb_keys_find(r, o, key);
    if (v && !json_is_boolean(v))
        rb_keys_wrong(r, key, "true or false");
    return v ? json_is_true(v) : absent;
}

const char *rb_keys_text(rb_keys *r, const json_t *o, const char *key, const char *absent)
{
    const json_t *v = rb_keys_find(r, o, key);
    if (v && !json_is_string(v))
        rb_keys_wrong(r, key, "a string");
    return json_is_string(v) ? json_string_value(v) : absent;
}

void rb_keys_require(rb_keys *r, const json_t *o, const char *key)
{
    if (!rb_keys_find(r, o, key) && r->status == RB_OK)
        r->status = rb_fail(r->err, RB_ERR_FORMAT, "%s: key '%s' is missing", r->label, key);
}

void rb_keys_require_all(rb_keys *r, const char *const *key, size_t n)
{
    for (size_t i = 0; i < n; i++)
        rb_keys_require(r, r->root, key[i]);
}
void rb_keys_refuse(rb_keys *r, const char *what)
{
    if (r->status == RB_OK)
        r->status = rb_fail(r->err, RB_ERR_UNSUPPORTED, "%s: %s", r->label, what);
}

void rb_keys_refuse_if(rb_keys *r, bool bad, const char *what)
{
    if (bad)
        rb_keys_refuse(r, what);
}
