/* A conversation as text, by the template of a model: the values that templates are given elsewhere
 * (no tools, no documents), then lexer, parser and run of jinja_*.c within their bounds.
 * Refuses texts that are not UTF-8 and templates beyond a length. Nothing outside is reached.
 * Read next: jinja.h. */
#include "jinja.h"

#include <stdlib.h>

static void check_text(jinja *j, const char *what, int i, const char *text)
{
    j->line = 0;
    if (!text)
        rb_jinja_fail(j, RB_ERR_ARGUMENT, "%s of message %d is missing", what, i);
    if (!rb_jinja_utf8_valid(text, strlen(text)))
        rb_jinja_fail(j, RB_ERR_FORMAT, "%s of message %d is not UTF-8", what, i);
}

static void add_field(jinja *j, jinja_value message, const char *key, const char *text)
{
    rb_jinja_store(j, message.dict, jinja_text_of(key, strlen(key)),
                   jinja_text_of(text, strlen(text)));
}

static jinja_value messages_of(jinja *j, const rb_chat *chat)
{
    jinja_value all = rb_jinja_list(j, JINJA_PLAIN);
    for (int i = 0; i < chat->n_message; i++) {
        const rb_chat_message *m = &chat->message[i];
        jinja_value message = rb_jinja_dict(j);
        check_text(j, "the role", i, m->role);
        check_text(j, "the content", i, m->content);
        add_field(j, message, "role", m->role);
        add_field(j, message, "content", m->content);
        rb_jinja_add(j, all, message);
    }
    return all;
}

static void set_names(jinja *j)
{
    const rb_chat *chat = j->chat;
    const rb_chat_date *d = &chat->date;
    j->line = 0;
    if (chat->n_message < 0 || !chat->bos || !chat->eos)
        rb_jinja_fail(j, RB_ERR_ARGUMENT, "a chat without messages, bos or eos");
    if (d->year && (d->year < 1 || d->year > 9999 || d->month < 1 || d->month > 12 || d->day < 1 ||
                    d->day > 31))
        rb_jinja_fail(j, RB_ERR_ARGUMENT, "%d-%d-%d is no date", d->year, d->month, d->day);
    if (!rb_jinja_utf8_valid(chat->bos, strlen(chat->bos)) ||
        !rb_jinja_utf8_valid(chat->eos, strlen(chat->eos)))
        rb_jinja_fail(j, RB_ERR_FORMAT, "the text of bos or eos is not UTF-8");
    rb_jinja_set(j, jinja_name("messages"), messages_of(j, chat));
    rb_jinja_set(j, jinja_name("bos_token"), jinja_text_of(chat->bos, strlen(chat->bos)));
    rb_jinja_set(j, jinja_name("eos_token"), jinja_text_of(chat->eos, strlen(chat->eos)));
    rb_jinja_set(j, jinja_name("add_generation_prompt"), jinja_bool(chat->add_generation_prompt));
    rb_jinja_set(j, jinja_name("tools"), jinja_of(JINJA_NONE));
    rb_jinja_set(j, jinja_name("documents"), jinja_of(JINJA_NONE));
}

/* All that may fail, and then jumps back to where setjmp stands. */
static void render(jinja *j, const char *source)
{
    const size_t n = strlen(source);
    if (n > JINJA_MAX_TEMPLATE)
        rb_jinja_fail(j, RB_ERR_FORMAT, "a chat template of %zu bytes, at most %d", n,
                      JINJA_MAX_TEMPLATE);
    if (!rb_jinja_utf8_valid(source, n))
        rb_jinja_fail(j, RB_ERR_FORMAT, "the chat template is not UTF-8");
    j->scope = rb_jinja_alloc(j, sizeof *j->scope);
    *j->scope = (jinja_scope){ 0 };
    set_names(j);
    j->token = rb_jinja_lex(j, source);
    rb_jinja_run(j, rb_jinja_parse(j));
}

static rb_status guarded(jinja *j, const char *source)
{
    if (setjmp(j->failed) == 0)
        render(j, source);
    return j->status;
}

rb_status rb_chat_apply(const char *chat_template, const rb_chat *chat, char **text, rb_error *err)
{
    jinja_text out = { 0 };
    jinja j = { .err = err, .chat = chat, .out = &out };
    *text = NULL;
    rb_status status = guarded(&j, chat_template);
    if (status == RB_OK) {
        *text = malloc(out.n + 1);
        if (!*text)
            status = rb_fail(err, RB_ERR_MEMORY, "no memory for %zu bytes", out.n + 1);
    }
    if (*text) {
        if (out.n)
            memcpy(*text, out.text, out.n);
        (*text)[out.n] = 0;
    }
    rb_jinja_close(&j);
    return status;
}
