/* From options to the text that a model goes on from, and to its ids.
 * Refuses chats of models without a template, and prompts of nothing.
 * Read next: ../models/chat.h, ../models/tokenizer.h. */
#include "prompt.h"
#include "session_options.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Allocated; "" for a token that the model lacks. */
static char *token_text(const rb_tokenizer *t, int32_t id)
{
    size_t n;
    const char *text = rb_tokenizer_piece(t, id, true, &n);
    return strndup(text ? text : "", n);
}

/* As elsewhere: templates that ask for the date get that of the clock. */
static rb_chat_date today(void)
{
    const time_t now = time(NULL);
    struct tm t;
    if (!localtime_r(&now, &t))
        return (rb_chat_date){ 0 };
    return (rb_chat_date){ t.tm_year + 1900, t.tm_mon + 1, t.tm_mday };
}

static rb_status chat_text(const rb_args *args, const rb_tokenizer *t, const char *message,
                           char **text, rb_error *err)
{
    const char *system = rb_opt_text(args, "--system");
    const char *chat_template = rb_tokenizer_chat_template(t);
    const rb_chat_message messages[] = { { "system", system }, { "user", message } };
    const int skipped = system ? 0 : 1;
    if (!chat_template)
        return rb_fail(err, RB_ERR_UNSUPPORTED,
                       "%.200s: no chat template comes with it; leave --chat out", args->arg[0]);
    char *bos = token_text(t, rb_tokenizer_bos(t)), *eos = token_text(t, rb_tokenizer_eos(t));
    const rb_chat chat = { .message = messages + skipped,
                           .n_message = 2 - skipped,
                           .bos = bos,
                           .eos = eos,
                           .add_generation_prompt = true,
                           .date = today() };
    const rb_status st = bos && eos ? rb_chat_apply(chat_template, &chat, text, err)
                                    : rb_fail(err, RB_ERR_MEMORY, "no memory for the prompt");
    free(bos);
    free(eos);
    return st;
}

/* What -p or -f has, allocated. */
static rb_status given_text(const rb_args *args, char **text, size_t *n, rb_error *err)
{
    const char *given = rb_opt_text(args, "-p"), *file = rb_opt_text(args, "-f");
    if (file)
        return rb_read_text(file, text, n, err);
    *text = strdup(given ? given : "");
    *n = *text ? strlen(*text) : 0;
    return *text ? RB_OK : rb_fail(err, RB_ERR_MEMORY, "no memory for the prompt");
}

static rb_status prompt_text(const rb_args *args, const rb_tokenizer *t, char **text, size_t *n,
                             rb_error *err)
{
    char *message = NULL;
    rb_status st = given_text(args, &message, n, err);
    if (st != RB_OK || !rb_opt_flag(args, "--chat")) {
        *text = message;
        return st;
    }
    *text = NULL;
    if (strlen(message) != *n)
        st = rb_fail(err, RB_ERR_FORMAT, "a message of a chat has no NUL bytes");
    else
        st = chat_text(args, t, message, text, err);
    *n = *text ? strlen(*text) : 0;
    free(message);
    return st;
}

rb_status rb_prompt_ids(const rb_args *args, const rb_tokenizer *t, int64_t n_more, int32_t **ids,
                        int64_t *n, rb_error *err)
{
    /* A template writes what stands around a text itself. */
    const rb_encode how = { .special = !rb_opt_flag(args, "--chat"), .parse = true };
    char *text = NULL;
    size_t n_bytes = 0;
    *ids = NULL;
    *n = 0;
    rb_status st = prompt_text(args, t, &text, &n_bytes, err);
    if (st == RB_OK)
        st = rb_tokenizer_encode(t, text, n_bytes, how, ids, n, err);
    free(text);
    if (st != RB_OK)
        return st;
    if (!*n)
        return rb_fail(
            err, RB_ERR_FORMAT,
            "there is no prompt, and the model has no token to begin with: give -p TEXT");
    if (*n > RB_MAX_TOKENS)
        return rb_fail(err, RB_ERR_FORMAT, "the prompt has %lld tokens; %d are allowed",
                       (long long)*n, RB_MAX_TOKENS);
    int32_t *grown = realloc(*ids, (size_t)(*n + n_more) * sizeof *grown);
    if (!grown)
        return rb_fail(err, RB_ERR_MEMORY, "no memory for token ids");
    *ids = grown;
    return RB_OK;
}
