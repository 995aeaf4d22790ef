/* Inside the chat templates: values, the tree of a template, the state of one rendering. All memory
 * is one arena's and every failure leaves by rb_jinja_fail, which jumps back to chat.c: nothing has
 * to be freed or checked on the way. Work, memory, text and depth are bounded.
 * Read next: jinja_parse.c, jinja_run.c. */
#ifndef RB_JINJA_H
#define RB_JINJA_H

#include "../chat.h"

#include <setjmp.h>
#include <string.h>

enum {
    JINJA_MAX_TEMPLATE = 1 << 20, /* bytes */
    JINJA_MAX_TEXT = 16 << 20,    /* bytes of the text that is rendered */
    JINJA_MAX_MEMORY = 128 << 20, /* bytes of everything */
    JINJA_MAX_NESTING = 100,      /* of brackets, operators and blocks in the source */
    JINJA_MAX_DEPTH = 400,        /* of nodes being run, and of values in values */
    JINJA_MAX_RANGE = 100000,     /* as Jinja's own sandbox */
    JINJA_MAX_ARG = 4,
    JINJA_NODE_WORK = 64,     /* running a node costs as much as copying 64 bytes */
    JINJA_ITEM_WORK = 8,      /* looking at a character or an element, as 8 */
    JINJA_MAX_WORK = 1 << 28, /* 4 million nodes */
};

/* ---- values ---- */

typedef struct jinja jinja;
typedef struct jinja_node jinja_node;
typedef struct jinja_list jinja_list;
typedef struct jinja_dict jinja_dict;
typedef struct jinja_loop jinja_loop;
typedef struct jinja_macro jinja_macro;
typedef struct jinja_row jinja_row;

/* UTF-8; not ended by a zero. */
typedef struct jinja_string {
    const char *text;
    size_t n;
} jinja_string;

typedef enum {
    JINJA_ABSENT, /* an argument that was not given; no value of a template */
    JINJA_UNDEFINED,
    JINJA_NONE,
    JINJA_BOOL,
    JINJA_INT,
    JINJA_STRING,
    JINJA_LIST,
    JINJA_DICT,
    JINJA_NAMESPACE,
    JINJA_LOOP,
    JINJA_MACRO,
    JINJA_FUNCTION,
} jinja_kind;

typedef struct jinja_value {
    jinja_kind kind;
    union {
        int64_t number; /* JINJA_BOOL, JINJA_INT */
        jinja_string string;
        jinja_list *list;
        jinja_dict *dict; /* JINJA_DICT, JINJA_NAMESPACE */
        const jinja_loop *loop;
        const jinja_macro *macro;
        const jinja_row *function;
    };
} jinja_value;

/* A view (of a dict) has no elements by number; an iterator is empty once it was walked. */
typedef enum { JINJA_PLAIN, JINJA_TUPLE, JINJA_RANGE, JINJA_VIEW, JINJA_ITERATOR } jinja_flavour;
struct jinja_list {
    jinja_flavour flavour;
    jinja_value *item;
    size_t n, room;
};

typedef struct jinja_pair {
    jinja_value key, value;
} jinja_pair;
struct jinja_dict {
    jinja_pair *pair; /* in the order of insertion */
    size_t n, room;
};

/* What templates may call: a function, a method (self: the object), a filter or a test (self: what
 * stands before it). arg[i] is JINJA_ABSENT where not given. A parameter "**" takes a dict of all
 * arguments by name. */
typedef jinja_value jinja_call(jinja *j, jinja_value self, const jinja_value *arg);
struct jinja_row {
    const char *name;
    jinja_call *call;
    size_t n_required, n_most;            /* arguments by position */
    const char *parameter[JINJA_MAX_ARG]; /* their names; NULL: by position only */
};

typedef struct jinja_scope {
    struct jinja_scope *outer;
    jinja_dict names;
    bool kept; /* a macro that was defined in it may still look here */
} jinja_scope;

struct jinja_macro {
    const jinja_node *node;
    jinja_scope *scope; /* where it was defined */
};

struct jinja_loop {
    size_t i, n;
    const jinja_value *item;
};

static inline jinja_value jinja_of(jinja_kind kind)
{
    return (jinja_value){ .kind = kind };
}

static inline jinja_value jinja_bool(bool b)
{
    return (jinja_value){ .kind = JINJA_BOOL, .number = b };
}

static inline jinja_value jinja_int(int64_t i)
{
    return (jinja_value){ .kind = JINJA_INT, .number = i };
}

static inline jinja_value jinja_text_of(const char *text, size_t n)
{
    return (jinja_value){ .kind = JINJA_STRING, .string = { text ? text : "", n } };
}

static inline jinja_string jinja_name(const char *name)
{
    return (jinja_string){ name, strlen(name) };
}

static inline bool jinja_is(jinja_string s, const char *name)
{
    return s.n == strlen(name) && memcmp(s.text, name, s.n) == 0;
}

static inline bool jinja_same(jinja_string a, jinja_string b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.text, b.text, a.n) == 0);
}

static inline bool jinja_is_number(jinja_value v)
{
    return v.kind == JINJA_BOOL || v.kind == JINJA_INT;
}

/* ---- the tree ---- */

typedef enum {
    /* expressions */
    JINJA_LITERAL,     /* value */
    JINJA_NAME,        /* name */
    JINJA_LIST_OF,     /* list; flag: a tuple */
    JINJA_DICT_OF,     /* list: key, value, key ... */
    JINJA_UNARY,       /* name a */
    JINJA_BINARY,      /* a name b */
    JINJA_COMPARE,     /* a, then list of JINJA_OPERAND */
    JINJA_OPERAND,     /* name a; flag: not in */
    JINJA_CHOICE,      /* a if b else c (or NULL) */
    JINJA_ATTRIBUTE,   /* a.name */
    JINJA_ITEM,        /* a[b] */
    JINJA_SLICE,       /* a[b:c:d], each of them or NULL */
    JINJA_CALL,        /* a(list) */
    JINJA_ARGUMENT,    /* name=a, in the list of a call */
    JINJA_FILTER,      /* a|name(list); a NULL: of the block's text */
    JINJA_TEST,        /* a is name(list) */
    JINJA_UNSUPPORTED, /* name: fails where it is run */
    /* statements */
    JINJA_TEXT,      /* value */
    JINJA_OUTPUT,    /* a */
    JINJA_IF,        /* list of JINJA_BRANCH, else more */
    JINJA_BRANCH,    /* a: list */
    JINJA_FOR,       /* a in b if c (or NULL): list, else more */
    JINJA_SET,       /* a = b */
    JINJA_SET_BLOCK, /* a = list as text, through b (or NULL) */
    JINJA_MEMBER,    /* a target: name.value */
    JINJA_FILTERED,  /* list as text, through b */
    JINJA_MACRO_OF,  /* name(list of JINJA_ARGUMENT, a: default or NULL): more */
    JINJA_SCOPE,     /* list */
    JINJA_BREAK,
    JINJA_CONTINUE,
} jinja_node_kind;

typedef struct jinja_nodes {
    jinja_node **item;
    size_t n, room;
} jinja_nodes;

struct jinja_node {
    jinja_node_kind kind;
    int line;
    bool flag;
    jinja_string name;
    jinja_value value;
    jinja_node *a, *b, *c, *d;
    jinja_nodes list, more;
};

typedef enum {
    JINJA_T_TEXT,
    JINJA_T_OUTPUT,     /* {{ */
    JINJA_T_OUTPUT_END, /* }} */
    JINJA_T_BLOCK,      /* {% */
    JINJA_T_BLOCK_END,  /* %} */
    JINJA_T_NAME,
    JINJA_T_STRING,
    JINJA_T_INT,
    JINJA_T_FLOAT,
    JINJA_T_OPERATOR,
    JINJA_T_END,
} jinja_token_kind;

typedef struct jinja_token {
    jinja_token_kind kind;
    int line;
    jinja_string text;
    int64_t number;
} jinja_token;

/* ---- one rendering ---- */

typedef struct jinja_text {
    char *text;
    size_t n, room;
} jinja_text;

struct jinja {
    rb_error *err;
    rb_status status;
    jmp_buf failed;
    struct jinja_block *block; /* the arena */
    size_t bytes;
    int64_t work;
    int depth;
    int line;                 /* of what is read or run; 0: none is to be named */
    const jinja_token *token; /* the next one to parse */
    jinja_scope *scope;
    jinja_text *out;
    jinja_value captured; /* the text of a block that a filter is applied to */
    bool in_loop_filter;  /* the condition of a loop is being evaluated */
    const rb_chat *chat;
};

/* jinja_memory.c: the arena, bounds, failures, growing arrays and texts */
void rb_jinja_fail(jinja *j, rb_status status, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 3, 4)));
/* "... 'NAME' is not supported" */
_Noreturn void rb_jinja_refuse(jinja *j, const char *what, jinja_string name);
void rb_jinja_work(jinja *j, size_t n);
void rb_jinja_enter(jinja *j); /* one deeper; j->depth-- leaves */
void *rb_jinja_alloc(jinja *j, size_t bytes);
void rb_jinja_close(jinja *j);
/* Room for one more element in a growing array. */
void *rb_jinja_grow(jinja *j, void *item, size_t n, size_t *room, size_t size);
void rb_jinja_put(jinja *j, jinja_text *t, const char *text, size_t n);
void rb_jinja_add_node(jinja *j, jinja_nodes *list, jinja_node *node);

/* jinja_value.c: what values are, and what they are to each other */
const char *rb_jinja_kind(jinja_value v); /* "a string" */
jinja_value rb_jinja_list(jinja *j, jinja_flavour flavour);
void rb_jinja_add(jinja *j, jinja_value list, jinja_value item);
jinja_value rb_jinja_dict(jinja *j);
void rb_jinja_store(jinja *j, jinja_dict *d, jinja_value key, jinja_value value);
bool rb_jinja_lookup(jinja *j, const jinja_dict *d, jinja_value key, jinja_value *value);
bool rb_jinja_truth(jinja_value v);
bool rb_jinja_equal(jinja *j, jinja_value a, jinja_value b);
int rb_jinja_order(jinja *j, jinja_value a, jinja_value b); /* < 0, 0, > 0 */
bool rb_jinja_contains(jinja *j, jinja_value all, jinja_value one);
jinja_string rb_jinja_to_text(jinja *j, jinja_value v);
int64_t rb_jinja_to_int(jinja *j, jinja_value v, const char *what);
int64_t rb_jinja_length(jinja *j, jinja_value v);
/* What a loop walks, as a list of its own. */
jinja_list rb_jinja_walk(jinja *j, jinja_value v);
/* v[key], v.name; undefined if there is none */
jinja_value rb_jinja_item(jinja *j, jinja_value v, jinja_value key);
jinja_value rb_jinja_attribute(jinja *j, jinja_value v, jinja_string name);
jinja_value rb_jinja_slice(jinja *j, jinja_value v, const jinja_value *from_to_step);

/* jinja_utf8.c: text by code points */
bool rb_jinja_utf8_valid(const char *text, size_t n);
size_t rb_jinja_utf8_next(const char *p);   /* bytes of the code point at p */
size_t rb_jinja_utf8_count(jinja_string s); /* code points */
uint32_t rb_jinja_utf8_get(const char *p);
size_t rb_jinja_utf8_make(uint32_t code, char *out); /* 1 to 4 bytes */
jinja_string rb_jinja_utf8_part(jinja_string s, size_t first, size_t n);
size_t rb_jinja_space_at(const char *p, const char *end);       /* bytes of white space at p */
size_t rb_jinja_space_before(const char *begin, const char *p); /* ... that ends at p */
typedef enum { JINJA_LEFT = 1, JINJA_RIGHT = 2, JINJA_BOTH = 3 } jinja_side;
/* Without white space, or without the code points of a set, at either side. */
jinja_string rb_jinja_strip(jinja *j, jinja_string s, const jinja_string *set, jinja_side side);
/* The first place of a text at or after from; from itself for the empty text. */
const char *rb_jinja_find(jinja *j, jinja_string in, const char *from, jinja_string what);

/* jinja_lex.c, jinja_parse.c, jinja_expression.c */
const jinja_token *rb_jinja_lex(jinja *j, const char *source);
jinja_nodes rb_jinja_parse(jinja *j);
jinja_node *rb_jinja_node(jinja *j, jinja_node_kind kind);
bool rb_jinja_at(const jinja *j, jinja_token_kind kind, const char *text); /* text NULL: any */
bool rb_jinja_skip(jinja *j, jinja_token_kind kind, const char *text);
const jinja_token *rb_jinja_expect(jinja *j, jinja_token_kind kind, const char *text);
_Noreturn void rb_jinja_unexpected(jinja *j);
void rb_jinja_nest(jinja *j); /* one deeper in the source */
jinja_node *rb_jinja_parse_expression(jinja *j);
/* One, or a tuple of several; choice: "a if b else c" may stand there. */
jinja_node *rb_jinja_parse_tuple(jinja *j, bool choice);
jinja_node *rb_jinja_parse_target(jinja *j, bool member);
/* The filters at the token, applied to a. */
jinja_node *rb_jinja_parse_filters(jinja *j, jinja_node *a, bool first_without_bar);
void rb_jinja_parse_arguments(jinja *j, jinja_nodes *list);

/* jinja_run.c, jinja_eval.c, jinja_call.c */
void rb_jinja_run(jinja *j, jinja_nodes body);
jinja_value rb_jinja_call_macro(jinja *j, const jinja_macro *m, const jinja_node *call);
jinja_value rb_jinja_eval(jinja *j, const jinja_node *node);
void rb_jinja_set(jinja *j, jinja_string name, jinja_value value);
/* Calls a row with the arguments of a node, or with values by position. */
jinja_value rb_jinja_call(jinja *j, const jinja_row *row, jinja_value self, const jinja_node *node);
jinja_value rb_jinja_apply(jinja *j, const jinja_row *row, jinja_value self, const jinja_value *arg,
                           size_t n);
const jinja_row *rb_jinja_row(const jinja_row *rows, jinja_string name); /* NULL: none */

/* Tables, each ended by a row without a name. */
extern const jinja_row rb_jinja_function[], rb_jinja_filter[], rb_jinja_test[];
extern const jinja_row rb_jinja_string_method[], rb_jinja_dict_method[];

/* jinja_text.c: what methods and filters of strings share */
jinja_value rb_jinja_replace(jinja *j, jinja_value self, const jinja_value *arg);
jinja_value rb_jinja_upper(jinja *j, jinja_value self, const jinja_value *arg);
jinja_value rb_jinja_lower(jinja *j, jinja_value self, const jinja_value *arg);
jinja_value rb_jinja_capitalize(jinja *j, jinja_value self, const jinja_value *arg);
jinja_value rb_jinja_items(jinja *j, jinja_value self, const jinja_value *arg);
/* jinja_json.c */
jinja_value rb_jinja_tojson(jinja *j, jinja_value self, const jinja_value *arg);

#endif
