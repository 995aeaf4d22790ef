/* Messages of a chat as the text that a model was trained on, by the template of its file.
 * Templates are programs in Jinja: a small subset is run, within bounds of steps and of text, and
 * what is beyond it is refused by name and place. Nothing outside the template's values is reached.
 * Read next: chat.c. */
#ifndef RB_CHAT_H
#define RB_CHAT_H

#include "../kernels/kernels.h"

typedef struct rb_chat_message {
    const char *role, *content; /* "system", "user", "assistant" ... */
} rb_chat_message;

typedef struct rb_chat {
    const rb_chat_message *message;
    int n_message;
    const char *bos, *eos; /* texts of these tokens; "" if there are none */
    bool add_generation_prompt;
} rb_chat;

/* The text, allocated: free(*text). Fails with RB_ERR_UNSUPPORTED for what the subset lacks (line
 * and construct named), RB_ERR_FORMAT for what is no template, for a template that raises an
 * exception (its message) or that does not end within the bounds. */
rb_status rb_chat_apply(const char *chat_template, const rb_chat *chat, char **text, rb_error *err);

#endif
