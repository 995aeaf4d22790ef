/* The files of a Hugging Face directory that make a tokenizer.
 * Refuses raw SentencePiece files and directories without tokenizer.json, saying which; parses
 * none. Read next: tokenizer_json.c. */
#include "tokenizer_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_FILE = 1 << 28 };

/* DIRECTORY/NAME, to be freed; NULL if there is no such file. What cannot be told is there: opening
 * it says why. */
static rb_status path_of(const char *directory, const char *name, char **path, rb_error *err)
{
    struct stat st;
    const size_t room = strlen(directory) + strlen(name) + 2;
    *path = malloc(room);
    if (!*path)
        return rb_fail(err, RB_ERR_MEMORY, "%s: out of memory", directory);
    snprintf(*path, room, "%s/%s", directory, name);
    if (stat(*path, &st) == 0 || errno != ENOENT)
        return RB_OK;
    free(*path);
    *path = NULL;
    return RB_OK;
}

/* All of a file into *text, whose data is to be freed; NULL if there is none. */
static rb_status read_file(const char *directory, const char *name, rb_text *text, rb_error *err)
{
    char *path, *data = NULL;
    rb_source s;
    rb_status status = path_of(directory, name, &path, err);
    if (status != RB_OK || !path)
        return status;
    status = rb_source_open(&s, path, err);
    free(path);
    if (status != RB_OK)
        return status;
    if (s.size > MAX_FILE)
        status = rb_fail(err, RB_ERR_FORMAT, "%s: %llu bytes; at most %d are read", s.label,
                         (unsigned long long)s.size, MAX_FILE);
    else if (!(data = malloc(s.size + 1)))
        status = rb_fail(err, RB_ERR_MEMORY, "%s: out of memory", s.label);
    else
        status = rb_source_read(&s, 0, data, s.size, err);
    *text = (rb_text){ data, s.size };
    rb_source_close(&s);
    return status;
}

static rb_status say_what_is_missing(const char *directory, rb_error *err)
{
    char *model;
    const rb_status status = path_of(directory, "tokenizer.model", &model, err);
    const bool has_model = status == RB_OK && model;
    free(model);
    if (status != RB_OK)
        return status;
    if (has_model)
        return rb_fail(err, RB_ERR_UNSUPPORTED,
                       "%s: of tokenizers it has tokenizer.model alone, which is not read here; "
                       "convert it to tokenizer.json",
                       directory);
    return rb_fail(err, RB_ERR_UNSUPPORTED, "%s: a directory without tokenizer.json", directory);
}

rb_status rb_tokenizer_from_directory(rb_tokenizer **t, const char *path, rb_error *err)
{
    rb_tokenizer_texts texts = { .label = path };
    *t = NULL;
    rb_status status = read_file(path, "tokenizer.json", &texts.tokenizer, err);
    if (status == RB_OK && !texts.tokenizer.data)
        status = say_what_is_missing(path, err);
    if (status == RB_OK)
        status = read_file(path, "tokenizer_config.json", &texts.config, err);
    if (status == RB_OK)
        status = read_file(path, "chat_template.jinja", &texts.chat_template, err);
    if (status == RB_OK)
        status = rb_tokenizer_from_json(t, &texts, err);
    free((char *)texts.tokenizer.data);
    free((char *)texts.config.data);
    free((char *)texts.chat_template.data);
    return status;
}
