/* Tokens to a tree: the expressions, by Jinja's grammar. From the weakest to the strongest: a if b
 * else c, or, and, not, comparisons and in, + -, ~, * / // %, **, unary, then . [] () | is.
 * Refuses *args; fractions, / and ** are read, and refused where they are run.
 * Read next: jinja_eval.c. */
#include "jinja.h"

static bool at(const jinja *j, const char *operator_)
{
    return rb_jinja_at(j, JINJA_T_OPERATOR, operator_);
}

static bool skip(jinja *j, const char *operator_)
{
    return rb_jinja_skip(j, JINJA_T_OPERATOR, operator_);
}

static bool skip_word(jinja *j, const char *word)
{
    return rb_jinja_skip(j, JINJA_T_NAME, word);
}

static jinja_node *node_of(jinja *j, jinja_node_kind kind, jinja_string name, jinja_node *a)
{
    jinja_node *node = rb_jinja_node(j, kind);
    node->name = name;
    node->a = a;
    return node;
}

/* ---- the weak operators, by level ---- */

static jinja_node *parse_unary(jinja *j, bool filters);
static jinja_node *parse_level(jinja *j, size_t level);

static const struct {
    jinja_token_kind kind;
    const char *name[5];
} levels[] = {
    { JINJA_T_NAME, { "or" } },
    { JINJA_T_NAME, { "and" } },
    { JINJA_T_NAME, { NULL } }, /* not, comparisons */
    { JINJA_T_OPERATOR, { "+", "-" } },
    { JINJA_T_OPERATOR, { "~" } },
    { JINJA_T_OPERATOR, { "*", "/", "//", "%" } },
    { JINJA_T_OPERATOR, { "**" } },
};
enum { N_LEVEL = sizeof levels / sizeof *levels, COMPARISON = 2 };

static jinja_node *parse_comparison(jinja *j)
{
    static const char *const all[] = { "==", "!=", "<=", ">=", "<", ">" };
    jinja_node *a = parse_level(j, COMPARISON + 1), *node = NULL;
    for (;;) {
        const jinja_token *t = j->token;
        bool is_one = skip_word(j, "in");
        bool negated = false;
        for (size_t i = 0; !is_one && i < sizeof all / sizeof *all; i++)
            is_one = skip(j, all[i]);
        if (!is_one && rb_jinja_at(j, JINJA_T_NAME, "not") && t[1].kind == JINJA_T_NAME &&
            jinja_is(t[1].text, "in")) {
            j->token += 2;
            is_one = negated = true;
        }
        if (!is_one)
            return node ? node : a;
        if (!node)
            node = node_of(j, JINJA_COMPARE, t->text, a);
        jinja_node *operand = node_of(j, JINJA_OPERAND, negated ? t[1].text : t->text,
                                      parse_level(j, COMPARISON + 1));
        operand->flag = negated;
        rb_jinja_add_node(j, &node->list, operand);
    }
}

static jinja_node *parse_not(jinja *j)
{
    const jinja_token *t = j->token;
    if (!skip_word(j, "not"))
        return parse_comparison(j);
    rb_jinja_nest(j);
    jinja_node *node = node_of(j, JINJA_UNARY, t->text, parse_not(j));
    j->depth--;
    return node;
}

static jinja_node *parse_level(jinja *j, size_t level)
{
    if (level == N_LEVEL)
        return parse_unary(j, true);
    if (level == COMPARISON)
        return parse_not(j);
    jinja_node *a = parse_level(j, level + 1);
    for (;;) {
        const jinja_token *t = j->token;
        int i = 0;
        while (levels[level].name[i] &&
               !rb_jinja_skip(j, levels[level].kind, levels[level].name[i]))
            i++;
        if (!levels[level].name[i])
            return a;
        a = node_of(j, JINJA_BINARY, t->text, a);
        a->line = t->line;
        a->b = parse_level(j, level + 1);
    }
}

static jinja_node *parse_choice(jinja *j, bool choice)
{
    rb_jinja_nest(j);
    jinja_node *a = parse_level(j, 0);
    while (choice && skip_word(j, "if")) {
        a = node_of(j, JINJA_CHOICE, (jinja_string){ 0 }, a);
        a->b = parse_level(j, 0);
        if (skip_word(j, "else"))
            a->c = parse_choice(j, true);
    }
    j->depth--;
    return a;
}

jinja_node *rb_jinja_parse_expression(jinja *j)
{
    return parse_choice(j, true);
}

static bool at_tuple_end(const jinja *j)
{
    return at(j, ")") || at(j, "=") || rb_jinja_at(j, JINJA_T_OUTPUT_END, NULL) ||
           rb_jinja_at(j, JINJA_T_BLOCK_END, NULL) || rb_jinja_at(j, JINJA_T_NAME, "in");
}

static jinja_node *parse_list(jinja *j, jinja_node *parse(jinja *j, bool flag), bool flag)
{
    jinja_node *first = parse(j, flag);
    if (!at(j, ","))
        return first;
    jinja_node *tuple = rb_jinja_node(j, JINJA_LIST_OF);
    tuple->flag = true;
    rb_jinja_add_node(j, &tuple->list, first);
    while (skip(j, ",") && !at_tuple_end(j))
        rb_jinja_add_node(j, &tuple->list, parse(j, flag));
    return tuple;
}

jinja_node *rb_jinja_parse_tuple(jinja *j, bool choice)
{
    return parse_list(j, parse_choice, choice);
}

/* ---- what is assigned to ---- */

static jinja_node *parse_one_target(jinja *j, bool member)
{
    if (skip(j, "(")) {
        rb_jinja_nest(j);
        jinja_node *node = rb_jinja_parse_target(j, member);
        j->depth--;
        rb_jinja_expect(j, JINJA_T_OPERATOR, ")");
        return node;
    }
    jinja_node *node = rb_jinja_node(j, JINJA_NAME);
    node->name = rb_jinja_expect(j, JINJA_T_NAME, NULL)->text;
    if (member && skip(j, ".")) {
        const jinja_string to = rb_jinja_expect(j, JINJA_T_NAME, NULL)->text;
        node->kind = JINJA_MEMBER;
        node->value = jinja_text_of(to.text, to.n);
        return node;
    }
    static const char *const fixed[] = { "true", "false", "none", "True", "False", "None" };
    if (jinja_is(node->name, "loop"))
        rb_jinja_refuse(j, "setting", node->name);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (jinja_is(node->name, fixed[i]))
            rb_jinja_fail(j, RB_ERR_FORMAT, "'%s' cannot be assigned to", fixed[i]);
    return node;
}

jinja_node *rb_jinja_parse_target(jinja *j, bool member)
{
    return parse_list(j, parse_one_target, member);
}

/* ---- literals and names ---- */

static jinja_node *parse_string(jinja *j)
{
    jinja_node *node = rb_jinja_node(j, JINJA_LITERAL);
    jinja_text all = { 0 };
    while (rb_jinja_at(j, JINJA_T_STRING, NULL)) {
        rb_jinja_put(j, &all, j->token->text.text, j->token->text.n);
        j->token++;
    }
    node->value = jinja_text_of(all.text, all.n);
    return node;
}

static jinja_node *parse_name(jinja *j)
{
    static const struct {
        const char *name;
        jinja_value value;
    } constant[] = {
        { "true", { .kind = JINJA_BOOL, .number = 1 } },
        { "True", { .kind = JINJA_BOOL, .number = 1 } },
        { "false", { .kind = JINJA_BOOL, .number = 0 } },
        { "False", { .kind = JINJA_BOOL, .number = 0 } },
        { "none", { .kind = JINJA_NONE } },
        { "None", { .kind = JINJA_NONE } },
    };
    jinja_node *node = rb_jinja_node(j, JINJA_NAME);
    node->name = j->token++->text;
    for (size_t i = 0; i < sizeof constant / sizeof *constant; i++)
        if (jinja_is(node->name, constant[i].name)) {
            node->kind = JINJA_LITERAL;
            node->value = constant[i].value;
        }
    return node;
}

/* Elements up to the closing bracket; a colon after each key of a dict. */
static jinja_node *parse_bracketed(jinja *j, jinja_node_kind kind, const char *close)
{
    jinja_node *node = rb_jinja_node(j, kind);
    while (!skip(j, close)) {
        if (node->list.n) {
            rb_jinja_expect(j, JINJA_T_OPERATOR, ",");
            if (skip(j, close))
                break;
        }
        rb_jinja_add_node(j, &node->list, rb_jinja_parse_expression(j));
        if (kind == JINJA_DICT_OF) {
            rb_jinja_expect(j, JINJA_T_OPERATOR, ":");
            rb_jinja_add_node(j, &node->list, rb_jinja_parse_expression(j));
        }
    }
    return node;
}

static jinja_node *parse_parenthesis(jinja *j)
{
    jinja_node *node;
    if (at(j, ")")) {
        node = rb_jinja_node(j, JINJA_LIST_OF);
        node->flag = true;
    } else {
        node = rb_jinja_parse_tuple(j, true);
    }
    rb_jinja_expect(j, JINJA_T_OPERATOR, ")");
    return node;
}

static jinja_node *parse_primary(jinja *j)
{
    if (rb_jinja_at(j, JINJA_T_NAME, NULL))
        return parse_name(j);
    if (rb_jinja_at(j, JINJA_T_STRING, NULL))
        return parse_string(j);
    if (rb_jinja_at(j, JINJA_T_INT, NULL)) {
        jinja_node *node = rb_jinja_node(j, JINJA_LITERAL);
        node->value = jinja_int(j->token++->number);
        return node;
    }
    if (rb_jinja_at(j, JINJA_T_FLOAT, NULL))
        return node_of(j, JINJA_UNSUPPORTED, j->token++->text, NULL);
    if (skip(j, "("))
        return parse_parenthesis(j);
    if (skip(j, "["))
        return parse_bracketed(j, JINJA_LIST_OF, "]");
    if (skip(j, "{"))
        return parse_bracketed(j, JINJA_DICT_OF, "}");
    rb_jinja_unexpected(j);
}

/* ---- what follows a value ---- */

void rb_jinja_parse_arguments(jinja *j, jinja_nodes *list)
{
    bool named = false;
    while (!skip(j, ")")) {
        if (list->n) {
            rb_jinja_expect(j, JINJA_T_OPERATOR, ",");
            if (skip(j, ")"))
                return;
        }
        if (at(j, "*") || at(j, "**"))
            rb_jinja_refuse(j, "the argument", j->token->text);
        const jinja_token *t = j->token;
        if (t->kind == JINJA_T_NAME && t[1].kind == JINJA_T_OPERATOR && jinja_is(t[1].text, "=")) {
            j->token += 2;
            rb_jinja_add_node(j, list,
                              node_of(j, JINJA_ARGUMENT, t->text, rb_jinja_parse_expression(j)));
            named = true;
        } else if (named) {
            rb_jinja_fail(j, RB_ERR_FORMAT, "an argument by position after one by name");
        } else {
            rb_jinja_add_node(j, list, rb_jinja_parse_expression(j));
        }
    }
}

static jinja_node *parse_subscript(jinja *j, jinja_node *a)
{
    jinja_node *node = node_of(j, JINJA_ITEM, (jinja_string){ 0 }, a);
    jinja_node **part[] = { &node->b, &node->c, &node->d };
    for (int i = 0; i < 3; i++) {
        if (!at(j, ":") && !at(j, "]") && !at(j, ","))
            *part[i] = rb_jinja_parse_expression(j);
        if (i == 2 || !skip(j, ":"))
            break;
        node->kind = JINJA_SLICE;
    }
    if (at(j, ","))
        rb_jinja_refuse(j, "the subscript", j->token->text);
    if (node->kind == JINJA_ITEM && !node->b)
        rb_jinja_unexpected(j);
    rb_jinja_expect(j, JINJA_T_OPERATOR, "]");
    return node;
}

static jinja_node *parse_member(jinja *j, jinja_node *a)
{
    if (!rb_jinja_at(j, JINJA_T_INT, NULL))
        return node_of(j, JINJA_ATTRIBUTE, rb_jinja_expect(j, JINJA_T_NAME, NULL)->text, a);
    jinja_node *node = node_of(j, JINJA_ITEM, (jinja_string){ 0 }, a);
    node->b = rb_jinja_node(j, JINJA_LITERAL);
    node->b->value = jinja_int(j->token++->number);
    return node;
}

static jinja_node *parse_call(jinja *j, jinja_node *a)
{
    jinja_node *node = node_of(j, JINJA_CALL, (jinja_string){ 0 }, a);
    rb_jinja_parse_arguments(j, &node->list);
    return node;
}

static jinja_node *parse_postfix(jinja *j, jinja_node *a)
{
    for (;;)
        if (skip(j, "."))
            a = parse_member(j, a);
        else if (skip(j, "["))
            a = parse_subscript(j, a);
        else if (skip(j, "("))
            a = parse_call(j, a);
        else
            return a;
}

/* A name with dots, which no filter and no test that we know has: refused where it is run. */
static jinja_string parse_dotted(jinja *j)
{
    jinja_string name = rb_jinja_expect(j, JINJA_T_NAME, NULL)->text;
    while (skip(j, ".")) {
        const jinja_string next = rb_jinja_expect(j, JINJA_T_NAME, NULL)->text;
        name.n = (size_t)(next.text + next.n - name.text);
    }
    return name;
}

static jinja_node *parse_test(jinja *j, jinja_node *a)
{
    static const char *const never[] = { "else", "or", "and" };
    const jinja_token *negation = j->token;
    const bool negated = skip_word(j, "not");
    jinja_node *node = rb_jinja_node(j, JINJA_TEST);
    node->name = parse_dotted(j);
    node->a = a;
    const jinja_token_kind next = j->token->kind;
    bool argument = next == JINJA_T_NAME || next == JINJA_T_STRING || next == JINJA_T_INT ||
                    next == JINJA_T_FLOAT || at(j, "[") || at(j, "{");
    for (int i = 0; i < 3; i++)
        argument = argument && !rb_jinja_at(j, JINJA_T_NAME, never[i]);
    if (skip(j, "(")) {
        rb_jinja_parse_arguments(j, &node->list);
    } else if (argument) {
        if (rb_jinja_at(j, JINJA_T_NAME, "is"))
            rb_jinja_unexpected(j);
        rb_jinja_add_node(j, &node->list, parse_postfix(j, parse_primary(j)));
    }
    return negated ? node_of(j, JINJA_UNARY, negation->text, node) : node;
}

jinja_node *rb_jinja_parse_filters(jinja *j, jinja_node *a, bool first_without_bar)
{
    while (first_without_bar || skip(j, "|")) {
        first_without_bar = false;
        a = node_of(j, JINJA_FILTER, (jinja_string){ 0 }, a);
        a->name = parse_dotted(j);
        if (skip(j, "("))
            rb_jinja_parse_arguments(j, &a->list);
    }
    return a;
}

static jinja_node *parse_unary(jinja *j, bool filters)
{
    const jinja_token *t = j->token;
    jinja_node *a;
    if (skip(j, "-") || skip(j, "+")) {
        rb_jinja_nest(j);
        a = node_of(j, JINJA_UNARY, t->text, parse_unary(j, false));
        j->depth--;
    } else {
        a = parse_primary(j);
    }
    a = parse_postfix(j, a);
    while (filters)
        if (at(j, "|"))
            a = rb_jinja_parse_filters(j, a, false);
        else if (skip_word(j, "is"))
            a = parse_test(j, a);
        else if (skip(j, "("))
            a = parse_call(j, a);
        else
            break;
    return a;
}
