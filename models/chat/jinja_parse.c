/* Tokens to a tree: the statements. The grammar is Jinja's; what a block may hold is one table.
 * Refuses statements that chat templates do not use (include, extends, call ...) and source nested
 * deeper than a bound. What cannot run but can be read is refused only where it is run.
 * Read next: jinja_expression.c, jinja_run.c. */
#include "jinja.h"

jinja_node *rb_jinja_node(jinja *j, jinja_node_kind kind)
{
    jinja_node *node = rb_jinja_alloc(j, sizeof *node);
    *node = (jinja_node){ .kind = kind, .line = j->token->line };
    return node;
}

bool rb_jinja_at(const jinja *j, jinja_token_kind kind, const char *text)
{
    return j->token->kind == kind && (!text || jinja_is(j->token->text, text));
}

bool rb_jinja_skip(jinja *j, jinja_token_kind kind, const char *text)
{
    if (!rb_jinja_at(j, kind, text))
        return false;
    j->token++;
    return true;
}

void rb_jinja_unexpected(jinja *j)
{
    const jinja_token *t = j->token;
    j->line = t->line;
    if (t->kind == JINJA_T_END)
        rb_jinja_fail(j, RB_ERR_FORMAT, "the template ends too early");
    rb_jinja_fail(j, RB_ERR_FORMAT, "unexpected '%.*s'", t->text.n < 60 ? (int)t->text.n : 60,
                  t->text.text);
}

const jinja_token *rb_jinja_expect(jinja *j, jinja_token_kind kind, const char *text)
{
    if (!rb_jinja_at(j, kind, text))
        rb_jinja_unexpected(j);
    return j->token++;
}

void rb_jinja_nest(jinja *j)
{
    j->line = j->token->line;
    if (++j->depth > JINJA_MAX_NESTING)
        rb_jinja_fail(j, RB_ERR_FORMAT, "nested deeper than %d levels", JINJA_MAX_NESTING);
}

static jinja_nodes parse_until(jinja *j, const char *const *ends);

/* The body of a block: "%}", then all until "{% END", which stays the token. */
static jinja_nodes parse_body(jinja *j, const char *const *ends)
{
    rb_jinja_skip(j, JINJA_T_OPERATOR, ":");
    rb_jinja_expect(j, JINJA_T_BLOCK_END, NULL);
    return parse_until(j, ends);
}

static jinja_node *parse_if(jinja *j)
{
    static const char *const ends[] = { "elif", "else", "endif", NULL };
    jinja_node *node = rb_jinja_node(j, JINJA_IF);
    do {
        jinja_node *branch = rb_jinja_node(j, JINJA_BRANCH);
        branch->a = rb_jinja_parse_tuple(j, false);
        branch->list = parse_body(j, ends);
        rb_jinja_add_node(j, &node->list, branch);
    } while (rb_jinja_skip(j, JINJA_T_NAME, "elif"));
    if (rb_jinja_skip(j, JINJA_T_NAME, "else"))
        node->more = parse_body(j, ends + 2);
    rb_jinja_expect(j, JINJA_T_NAME, "endif");
    return node;
}

static jinja_node *parse_for(jinja *j)
{
    static const char *const ends[] = { "else", "endfor", NULL };
    jinja_node *node = rb_jinja_node(j, JINJA_FOR);
    node->a = rb_jinja_parse_target(j, false);
    rb_jinja_expect(j, JINJA_T_NAME, "in");
    node->b = rb_jinja_parse_tuple(j, false);
    if (rb_jinja_skip(j, JINJA_T_NAME, "if"))
        node->c = rb_jinja_parse_expression(j);
    if (rb_jinja_at(j, JINJA_T_NAME, "recursive"))
        rb_jinja_refuse(j, "the loop modifier", j->token->text);
    node->list = parse_body(j, ends);
    if (rb_jinja_skip(j, JINJA_T_NAME, "else"))
        node->more = parse_body(j, ends + 1);
    rb_jinja_expect(j, JINJA_T_NAME, "endfor");
    return node;
}

static jinja_node *parse_set(jinja *j)
{
    static const char *const ends[] = { "endset", NULL };
    jinja_node *node = rb_jinja_node(j, JINJA_SET);
    node->a = rb_jinja_parse_target(j, true);
    if (rb_jinja_skip(j, JINJA_T_OPERATOR, "=")) {
        node->b = rb_jinja_parse_tuple(j, true);
        return node;
    }
    node->kind = JINJA_SET_BLOCK;
    node->b = rb_jinja_parse_filters(j, NULL, false);
    node->list = parse_body(j, ends);
    rb_jinja_expect(j, JINJA_T_NAME, "endset");
    return node;
}

static jinja_node *parse_filter_block(jinja *j)
{
    static const char *const ends[] = { "endfilter", NULL };
    jinja_node *node = rb_jinja_node(j, JINJA_FILTERED);
    node->b = rb_jinja_parse_filters(j, NULL, true);
    node->list = parse_body(j, ends);
    rb_jinja_expect(j, JINJA_T_NAME, "endfilter");
    return node;
}

static jinja_node *parse_macro(jinja *j)
{
    static const char *const ends[] = { "endmacro", NULL };
    jinja_node *node = rb_jinja_node(j, JINJA_MACRO_OF);
    node->name = rb_jinja_expect(j, JINJA_T_NAME, NULL)->text;
    rb_jinja_expect(j, JINJA_T_OPERATOR, "(");
    while (!rb_jinja_at(j, JINJA_T_OPERATOR, ")")) {
        if (node->list.n)
            rb_jinja_expect(j, JINJA_T_OPERATOR, ",");
        jinja_node *parameter = rb_jinja_node(j, JINJA_ARGUMENT);
        parameter->name = rb_jinja_expect(j, JINJA_T_NAME, NULL)->text;
        if (rb_jinja_skip(j, JINJA_T_OPERATOR, "="))
            parameter->a = rb_jinja_parse_expression(j);
        else if (node->list.n && node->list.item[node->list.n - 1]->a)
            rb_jinja_fail(j, RB_ERR_FORMAT, "a parameter without a default after one with");
        rb_jinja_add_node(j, &node->list, parameter);
    }
    j->token++;
    node->more = parse_body(j, ends);
    rb_jinja_expect(j, JINJA_T_NAME, "endmacro");
    return node;
}

static jinja_node *parse_generation(jinja *j)
{
    static const char *const ends[] = { "endgeneration", NULL };
    jinja_node *node = rb_jinja_node(j, JINJA_SCOPE);
    node->list = parse_body(j, ends);
    rb_jinja_expect(j, JINJA_T_NAME, "endgeneration");
    return node;
}

static jinja_node *parse_break(jinja *j)
{
    return rb_jinja_node(j, JINJA_BREAK);
}

static jinja_node *parse_continue(jinja *j)
{
    return rb_jinja_node(j, JINJA_CONTINUE);
}

static jinja_node *parse_statement(jinja *j)
{
    static const struct {
        const char *name;
        jinja_node *(*parse)(jinja *j);
    } all[] = {
        { "if", parse_if },
        { "for", parse_for },
        { "set", parse_set },
        { "macro", parse_macro },
        { "filter", parse_filter_block },
        { "generation", parse_generation },
        { "break", parse_break },
        { "continue", parse_continue },
    };
    const jinja_token *t = rb_jinja_expect(j, JINJA_T_NAME, NULL);
    j->line = t->line;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (jinja_is(t->text, all[i].name))
            return all[i].parse(j);
    if (t->text.n > 3 && memcmp(t->text.text, "end", 3) == 0) {
        j->token--;
        rb_jinja_unexpected(j);
    }
    rb_jinja_refuse(j, "the statement", t->text);
}

static bool at_any(const jinja *j, const char *const *names)
{
    for (; names && *names; names++)
        if (rb_jinja_at(j, JINJA_T_NAME, *names))
            return true;
    return false;
}

/* ends NULL: until the template ends. */
static jinja_nodes parse_until(jinja *j, const char *const *ends)
{
    jinja_nodes body = { 0 };
    rb_jinja_nest(j);
    while (!rb_jinja_at(j, JINJA_T_END, NULL)) {
        jinja_node *node;
        if (rb_jinja_at(j, JINJA_T_TEXT, NULL)) {
            node = rb_jinja_node(j, JINJA_TEXT);
            node->value = jinja_text_of(j->token->text.text, j->token->text.n);
            j->token++;
        } else if (rb_jinja_skip(j, JINJA_T_OUTPUT, NULL)) {
            node = rb_jinja_node(j, JINJA_OUTPUT);
            node->a = rb_jinja_parse_tuple(j, true);
            rb_jinja_expect(j, JINJA_T_OUTPUT_END, NULL);
        } else {
            rb_jinja_expect(j, JINJA_T_BLOCK, NULL);
            if (at_any(j, ends))
                break;
            node = parse_statement(j);
            rb_jinja_expect(j, JINJA_T_BLOCK_END, NULL);
        }
        rb_jinja_add_node(j, &body, node);
    }
    if (ends && rb_jinja_at(j, JINJA_T_END, NULL))
        rb_jinja_unexpected(j);
    j->depth--;
    return body;
}

jinja_nodes rb_jinja_parse(jinja *j)
{
    jinja_nodes body = parse_until(j, NULL);
    j->depth = 0;
    return body;
}
