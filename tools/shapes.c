/* --shape of 'rbench kernels': names and numbers of extents, ranges, several shapes. Which extents
 * an op has is the business of ../kernels/shaped.c.
 * Refuses unknown names and says which there are. Read next: cmd_kernels.c. */
#include "shared.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_SHAPES = 4096 };

/* The values of each extent of one shape. */
typedef struct axes {
    rb_op_id op;
    const rb_extent *extent;
    int64_t *value[RB_MAX_EXTENT];
    int n[RB_MAX_EXTENT];
} axes;

/* "M (rows of w), K (...)" */
static rb_status unknown_name(const axes *x, const char *name, int length, rb_error *err)
{
    char known[400] = "";
    size_t n = 0;
    for (int i = 0; x->extent[i].name && n < sizeof known; i++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s (%s)", i ? ", " : "",
                              x->extent[i].name, x->extent[i].what);
    return rb_fail(err, RB_ERR_ARGUMENT, "--shape: %s has no '%.*s'; it has %s",
                   rb_op_get(x->op)->name, length < 20 ? length : 20, name, known);
}

static int find(const axes *x, const char *name, size_t length)
{
    for (int i = 0; x->extent[i].name; i++)
        if (strlen(x->extent[i].name) == length && !strncasecmp(x->extent[i].name, name, length))
            return i;
    return -1;
}

static int n_extents(const axes *x)
{
    int n = 0;
    while (x->extent[n].name)
        n++;
    return n;
}

/* One element between commas, the at-th. */
static rb_status element(axes *x, char *text, int at, rb_error *err)
{
    char what[48];
    char *equals = strchr(text, '=');
    int i = equals ? find(x, text, (size_t)(equals - text)) : at;
    if (equals && i < 0)
        return unknown_name(x, text, (int)(equals - text), err);
    if (i >= n_extents(x))
        return unknown_name(x, text, (int)strlen(text), err);
    if (x->n[i])
        return rb_fail(err, RB_ERR_ARGUMENT, "--shape: %s is given twice", x->extent[i].name);
    snprintf(what, sizeof what, "--shape: %s", x->extent[i].name);
    return rb_parse_list(equals ? equals + 1 : text, x->extent[i].least, RB_MOST_EXTENT, what,
                         &x->value[i], &x->n[i], err);
}

static rb_status append(rb_sizes **shape, int *n, const rb_sizes *s, rb_error *err)
{
    if (*n == MOST_SHAPES)
        return rb_fail(err, RB_ERR_ARGUMENT, "--shape: more than %d shapes", MOST_SHAPES);
    if ((*n & (*n - 1)) == 0) { /* grows at powers of two */
        rb_sizes *grown = realloc(*shape, (size_t)(*n ? 2 * *n : 1) * sizeof *grown);
        if (!grown)
            return rb_fail(err, RB_ERR_MEMORY, "no memory for the command line");
        *shape = grown;
    }
    (*shape)[(*n)++] = *s;
    return RB_OK;
}

/* Every combination, the last extent changing fastest. */
static rb_status combine(const axes *x, rb_sizes **shape, int *n, rb_error *err)
{
    int at[RB_MAX_EXTENT] = { 0 }, i;
    rb_sizes s = rb_sizes_preset(x->op, RB_DECODE);
    rb_status st = RB_OK;
    do {
        for (i = 0; i < n_extents(x); i++)
            if (x->n[i])
                s.at[i] = x->value[i][at[i]];
        st = append(shape, n, &s, err);
        for (i = n_extents(x) - 1; i >= 0 && ++at[i] >= x->n[i]; i--)
            at[i] = 0;
    } while (i >= 0 && st == RB_OK);
    return st;
}

static rb_status one_shape(char *text, rb_op_id op, rb_sizes **shape, int *n, rb_error *err)
{
    axes x = { .op = op, .extent = rb_extents(op) };
    rb_status st = RB_OK;
    int at = 0;
    for (char *next; text && st == RB_OK; text = next) {
        next = strchr(text, ',');
        if (next)
            *next++ = '\0';
        st = element(&x, text, at++, err);
    }
    if (st == RB_OK)
        st = combine(&x, shape, n, err);
    for (int i = 0; i < RB_MAX_EXTENT; i++)
        free(x.value[i]);
    return st;
}

rb_status rb_shapes_parse(const char *text, rb_op_id op, rb_sizes **shape, int *n, rb_error *err)
{
    char *copy = strdup(text);
    rb_status st = copy ? RB_OK : rb_fail(err, RB_ERR_MEMORY, "no memory for the command line");
    for (char *at = copy, *next; at && st == RB_OK; at = next) {
        next = strchr(at, ';');
        if (next)
            *next++ = '\0';
        st = one_shape(at, op, shape, n, err);
    }
    free(copy);
    return st;
}
