/* Statements: text, output, branches, loops, assignments, blocks. A name is looked up in the scope
 * of its loop, block or macro and outwards, and set in the innermost; branches have no scope.
 * Refuses loops whose condition reads a namespace: Jinja would interleave it with the body.
 * Read next: jinja_eval.c. */
#include "jinja.h"

typedef enum { GO_ON, BREAK, CONTINUE } outcome;

static outcome run_body(jinja *j, const jinja_nodes *body);

void rb_jinja_set(jinja *j, jinja_string name, jinja_value value)
{
    rb_jinja_store(j, &j->scope->names, jinja_text_of(name.text, name.n), value);
}

static void assign(jinja *j, const jinja_node *target, jinja_value value)
{
    if (target->kind == JINJA_NAME) {
        rb_jinja_set(j, target->name, value);
        return;
    }
    if (target->kind == JINJA_MEMBER) {
        const jinja_node name = { .kind = JINJA_NAME, .line = target->line, .name = target->name };
        const jinja_value to = rb_jinja_eval(j, &name);
        if (j->in_loop_filter)
            rb_jinja_refuse(j, "in the condition of a loop, setting", target->name);
        if (to.kind != JINJA_NAMESPACE)
            rb_jinja_fail(j, RB_ERR_FORMAT, "only a namespace has attributes to set, not %s",
                          rb_jinja_kind(to));
        rb_jinja_store(j, to.dict, target->value, value);
        return;
    }
    const jinja_list all = rb_jinja_walk(j, value);
    if (all.n != target->list.n)
        rb_jinja_fail(j, RB_ERR_FORMAT, "%zu values for %zu names", all.n, target->list.n);
    for (size_t i = 0; i < all.n; i++)
        assign(j, target->list.item[i], all.item[i]);
}

static jinja_scope *open_scope(jinja *j)
{
    jinja_scope *s = rb_jinja_alloc(j, sizeof *s);
    *s = (jinja_scope){ .outer = j->scope };
    j->scope = s;
    return s;
}

/* ---- blocks whose text is a value ---- */

static jinja_value capture(jinja *j, const jinja_node *node)
{
    jinja_text text = { 0 }, *out = j->out;
    jinja_scope *scope = j->scope;
    open_scope(j);
    j->out = &text;
    if (run_body(j, &node->list) != GO_ON)
        rb_jinja_fail(j, RB_ERR_UNSUPPORTED, "leaving a loop out of a block is not supported");
    j->out = out;
    j->scope = scope;
    const jinja_value value = jinja_text_of(text.text, text.n);
    if (!node->b)
        return value;
    const jinja_value captured = j->captured;
    j->captured = value;
    const jinja_value filtered = rb_jinja_eval(j, node->b);
    j->captured = captured;
    return filtered;
}

/* ---- loops ---- */

static void put(jinja *j, jinja_value v)
{
    const jinja_string text = rb_jinja_to_text(j, v);
    rb_jinja_put(j, j->out, text.text, text.n);
}

/* Those items for which the loop's condition holds. */
static jinja_list choose(jinja *j, const jinja_node *node, jinja_list items)
{
    jinja_value some = rb_jinja_list(j, JINJA_PLAIN);
    const bool outer = j->in_loop_filter;
    jinja_scope *scope = j->scope, *inner = open_scope(j);
    j->in_loop_filter = true;
    for (size_t i = 0; i < items.n; i++) {
        inner->names.n = 0;
        assign(j, node->a, items.item[i]);
        if (rb_jinja_truth(rb_jinja_eval(j, node->c)))
            rb_jinja_add(j, some, items.item[i]);
    }
    j->in_loop_filter = outer;
    j->scope = scope;
    return *some.list;
}

static outcome run_for(jinja *j, const jinja_node *node)
{
    jinja_list items = rb_jinja_walk(j, rb_jinja_eval(j, node->b));
    j->line = node->line;
    if (node->c)
        items = choose(j, node, items);
    jinja_loop *loop = rb_jinja_alloc(j, sizeof *loop);
    *loop = (jinja_loop){ .item = items.item, .n = items.n };
    jinja_value as_value = jinja_of(JINJA_LOOP);
    as_value.loop = loop;
    jinja_scope *scope = j->scope, *inner = open_scope(j);
    bool left = false, through = false;
    for (size_t i = 0; !left && i < items.n; i++) {
        loop->i = i;
        rb_jinja_work(j, JINJA_NODE_WORK);
        if (inner->kept) { /* by a macro, which must go on to see its own names */
            j->scope = scope;
            inner = open_scope(j);
        }
        inner->names.n = 0;
        assign(j, node->a, items.item[i]);
        rb_jinja_set(j, jinja_name("loop"), as_value);
        const outcome way = run_body(j, &node->list);
        left = way == BREAK;
        through |= way == GO_ON;
    }
    j->scope = scope;
    if (through || !node->more.n) /* else: if no body was run to its end */
        return GO_ON;
    open_scope(j);
    const outcome way = run_body(j, &node->more);
    j->scope = scope;
    return way;
}

/* ---- the rest ---- */

static outcome run_if(jinja *j, const jinja_node *node)
{
    for (size_t i = 0; i < node->list.n; i++) {
        const jinja_node *branch = node->list.item[i];
        if (rb_jinja_truth(rb_jinja_eval(j, branch->a)))
            return run_body(j, &branch->list);
    }
    return run_body(j, &node->more);
}

static void define_macro(jinja *j, const jinja_node *node)
{
    jinja_macro *m = rb_jinja_alloc(j, sizeof *m);
    *m = (jinja_macro){ node, j->scope };
    for (jinja_scope *s = j->scope; s && !s->kept; s = s->outer)
        s->kept = true;
    jinja_value v = jinja_of(JINJA_MACRO);
    v.macro = m;
    rb_jinja_set(j, node->name, v);
}

static outcome run_scope(jinja *j, const jinja_node *node)
{
    jinja_scope *scope = j->scope;
    open_scope(j);
    const outcome way = run_body(j, &node->list);
    j->scope = scope;
    return way;
}

static outcome run_one(jinja *j, const jinja_node *node)
{
    switch (node->kind) {
    case JINJA_TEXT:
        put(j, node->value);
        return GO_ON;
    case JINJA_OUTPUT:
        put(j, rb_jinja_eval(j, node->a));
        return GO_ON;
    case JINJA_IF:
        return run_if(j, node);
    case JINJA_FOR:
        return run_for(j, node);
    case JINJA_SET:
        assign(j, node->a, rb_jinja_eval(j, node->b));
        return GO_ON;
    case JINJA_SET_BLOCK:
        assign(j, node->a, capture(j, node));
        return GO_ON;
    case JINJA_FILTERED:
        put(j, capture(j, node));
        return GO_ON;
    case JINJA_MACRO_OF:
        define_macro(j, node);
        return GO_ON;
    case JINJA_BREAK:
        return BREAK;
    case JINJA_CONTINUE:
        return CONTINUE;
    default:
        return run_scope(j, node);
    }
}

static outcome run_body(jinja *j, const jinja_nodes *body)
{
    outcome way = GO_ON;
    rb_jinja_enter(j);
    for (size_t i = 0; way == GO_ON && i < body->n; i++) {
        j->line = body->item[i]->line;
        rb_jinja_work(j, JINJA_NODE_WORK);
        way = run_one(j, body->item[i]);
    }
    j->depth--;
    return way;
}

void rb_jinja_run(jinja *j, jinja_nodes body)
{
    if (run_body(j, &body) != GO_ON)
        rb_jinja_fail(j, RB_ERR_FORMAT, "break or continue outside of a loop");
}
