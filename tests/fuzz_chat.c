/* Fuzzes chat templates: a byte of flags, the template, then roles and contents, each ended by a
 * zero. build/fuzz/chat is the corpus, seeded with the cases of tests/vectors/chat. What is
 * rendered must be UTF-8 and the same twice; what is refused must say why. Read next: fuzz_seeds.h,
 * ../models/chat/jinja_run.c. */
#include "fuzz_seeds.h"

#include "../models/chat/jinja.h"

#include <jansson.h>

enum { MAX_MESSAGE = 8, MAX_INPUT = 1 << 16 };

static void put_text(FILE *f, const json_t *in, const char *key)
{
    fputs(json_string_value(json_object_get(in, key)), f);
    fputc(0, f);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *corpus = fuzz_corpus(argc, argv, "chat", 0);
    json_t *all = corpus ? json_load_file("tests/vectors/chat/cases.json", 0, NULL) : NULL;
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *c = json_array_get(all, i), *messages = json_object_get(c, "messages");
        char path[256];
        snprintf(path, sizeof path, "%s/seed-%zu", corpus, i);
        FILE *f = fopen(path, "wb");
        if (!f)
            abort();
        fputc('0' + (int)(i % 4), f);
        put_text(f, c, "template");
        for (size_t k = 0; k < json_array_size(messages); k++) {
            put_text(f, json_array_get(messages, k), "role");
            put_text(f, json_array_get(messages, k), "content");
        }
        fclose(f);
    }
    json_decref(all);
    return 0;
}

/* The next string of the input, which is ended by a zero. */
static const char *next(const char **p, const char *end)
{
    const char *s = *p;
    if (s < end)
        *p += strlen(s) + 1;
    return s;
}

static void check(const char *source, const rb_chat *chat)
{
    char *text, *again;
    rb_error err = { 0 };
    const rb_status status = rb_chat_apply(source, chat, &text, &err);
    if ((status == RB_OK) != (text != NULL) || (!text && (err.status != status || !err.text[0])))
        abort();
    if (!text)
        return;
    if (!rb_jinja_utf8_valid(text, strlen(text)))
        abort();
    if (rb_chat_apply(source, chat, &again, &err) != RB_OK || strcmp(text, again) != 0)
        abort();
    free(text);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char input[MAX_INPUT + 1];
    rb_chat_message message[MAX_MESSAGE];
    rb_chat chat = { message, 0, "<s>", "</s>", false, { 0 } };
    if (size == 0 || size > MAX_INPUT)
        return 0;
    memcpy(input, data, size);
    input[size] = 0;
    const char *p = input + 1, *end = input + size;
    const char *source = next(&p, end);
    chat.add_generation_prompt = input[0] & 1;
    if (input[0] & 2)
        chat.date = (rb_chat_date){ 2024, 2, 29 };
    while (p < end && chat.n_message < MAX_MESSAGE) {
        const char *role = next(&p, end);
        message[chat.n_message++] = (rb_chat_message){ role, next(&p, end) };
    }
    check(source, &chat);
    return 0;
}
