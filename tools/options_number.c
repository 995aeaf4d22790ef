/* Whole numbers, lists and ranges of the command line. Strict: digits only, checked against limits
 * and overflow; anything else is refused with the text quoted.
 * Read next: options.c. */
#include "options.h"

#include <stdlib.h>
#include <string.h>

/* Digits at *s, which moves past them; false if there are none or they overflow. */
static bool digits(const char **s, int64_t *value)
{
    const char *start = *s;
    *value = 0;
    for (; **s >= '0' && **s <= '9'; (*s)++) {
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, **s - '0', value))
            return false;
    }
    return *s > start;
}

static rb_status refuse(const char *what, const char *text, size_t length, int64_t min, int64_t max,
                        rb_error *err)
{
    int shown = length < 60 ? (int)length : 60;
    if (max == INT64_MAX)
        return rb_fail(err, RB_ERR_ARGUMENT, "%s: '%.*s' is not a whole number of at least %lld",
                       what, shown, text, (long long)min);
    return rb_fail(err, RB_ERR_ARGUMENT, "%s: '%.*s' is not a whole number from %lld to %lld", what,
                   shown, text, (long long)min, (long long)max);
}

rb_status rb_parse_int(const char *text, int64_t min, int64_t max, const char *what, int64_t *value,
                       rb_error *err)
{
    const char *s = text;
    if (!digits(&s, value) || *s || *value < min || *value > max)
        return refuse(what, text, strlen(text), min, max, err);
    return RB_OK;
}

rb_status rb_parse_real(const char *text, int64_t min, int64_t max, const char *what, double *value,
                        rb_error *err)
{
    char *end;
    *value = strtod(text, &end);
    /* No names, signs of infinity or hexadecimals, which strtod would take. */
    if (end == text || *end || text[strspn(text, "0123456789.eE+-")] || !(*value >= (double)min) ||
        !(*value <= (double)max))
        return rb_fail(err, RB_ERR_ARGUMENT, "%s: '%.60s' is not a number from %lld to %lld", what,
                       text, (long long)min, (long long)max);
    return RB_OK;
}

rb_status rb_parse_time(const char *text, int64_t min, int64_t max, const char *what,
                        int64_t *value, rb_error *err)
{
    const char *s = text;
    if (digits(&s, value)) {
        const int64_t unit = *s == 'm' ? 60 : *s == 'h' ? 3600 : 1;
        s += *s == 's' || *s == 'm' || *s == 'h';
        if (!*s && !__builtin_mul_overflow(*value, unit, value) && *value >= min && *value <= max)
            return RB_OK;
    }
    return rb_fail(err, RB_ERR_ARGUMENT, "%s: '%.60s' is no time; write seconds, or 15m, or 2h",
                   what, text);
}

static rb_status append(int64_t value, const char *what, int64_t **num, int *n, rb_error *err)
{
    if (*n >= RB_MAX_LIST)
        return rb_fail(err, RB_ERR_ARGUMENT, "%s: more than %d numbers", what, RB_MAX_LIST);
    if ((*n & (*n - 1)) == 0) { /* grows at powers of two */
        int64_t *grown = realloc(*num, (size_t)(*n ? 2 * *n : 1) * sizeof **num);
        if (!grown)
            return rb_fail(err, RB_ERR_MEMORY, "no memory for a list of numbers");
        *num = grown;
    }
    (*num)[(*n)++] = value;
    return RB_OK;
}

/* a, a-b, a-b+s or a-b*m, ended by a comma or the end. */
static rb_status element(const char *text, size_t length, int64_t min, int64_t max,
                         const char *what, int64_t **num, int *n, rb_error *err)
{
    const char *s = text, *end = text + length;
    int64_t first, last, step = 1;
    char how = '+';
    if (!digits(&s, &first))
        return refuse(what, text, length, min, max, err);
    last = first;
    if (s < end && *s == '-') {
        s++;
        if (!digits(&s, &last))
            return refuse(what, text, length, min, max, err);
        if (s < end && (*s == '+' || *s == '*')) {
            how = *s++;
            if (!digits(&s, &step))
                return refuse(what, text, length, min, max, err);
        }
    }
    if (s != end)
        return refuse(what, text, length, min, max, err);
    if (first < min || last > max || first > max)
        return refuse(what, text, length, min, max, err);
    if (last < first || step < 1 || (how == '*' && (step < 2 || first < 1)))
        return rb_fail(err, RB_ERR_ARGUMENT,
                       "%s: the range '%.*s' does not rise; write a-b, a-b+step or a-b*factor",
                       what, (int)length, text);
    rb_status st = RB_OK;
    for (int64_t v = first; v <= last && st == RB_OK;) {
        st = append(v, what, num, n, err);
        if (how == '+' ? __builtin_add_overflow(v, step, &v) : __builtin_mul_overflow(v, step, &v))
            break;
    }
    return st;
}

rb_status rb_parse_list(const char *text, int64_t min, int64_t max, const char *what, int64_t **num,
                        int *n, rb_error *err)
{
    rb_status st;
    for (;;) {
        size_t length = strcspn(text, ",");
        st = element(text, length, min, max, what, num, n, err);
        if (st != RB_OK || !text[length])
            return st;
        text += length + 1;
    }
}
