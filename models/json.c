/* JSON by jansson, with the checks that hostile text needs: length first, then no key twice.
 * Refuses to know what the keys mean.
 * Read next: json.h. */
#include "json.h"

#include <inttypes.h>
#include <stdlib.h>

json_t *rb_json_read(const rb_source *src, uint64_t offset, uint64_t n, uint64_t most,
                     rb_error *err)
{
    json_error_t at;
    if (n > most) {
        rb_fail(err, RB_ERR_FORMAT, "%s: its JSON has %" PRIu64 " bytes; %" PRIu64 " are the most",
                src->label, n, most);
        return NULL;
    }
    char *text = malloc(n + 1);
    if (!text) {
        rb_fail(err, RB_ERR_MEMORY, "out of memory");
        return NULL;
    }
    json_t *o = NULL;
    if (rb_source_read(src, offset, text, n, err) == RB_OK) {
        o = json_loadb(text, n, JSON_REJECT_DUPLICATES, &at);
        if (!o)
            rb_fail(err, RB_ERR_FORMAT, "%s: line %d, column %d: %.160s", src->label, at.line,
                    at.column, at.text);
    }
    free(text);
    if (o && !json_is_object(o)) {
        rb_fail(err, RB_ERR_FORMAT, "%s: its JSON is no object", src->label);
        json_decref(o);
        o = NULL;
    }
    return o;
}
