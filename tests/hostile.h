/* What tests of hostile GGUF files share: refusals that say why, in one line that names the file,
 * and small good files of every family, to be broken field by field. Everything asserts.
 * Read next: test_gguf_hostile.c, test_gguf_families.c. */
#ifndef RB_TEST_HOSTILE_H
#define RB_TEST_HOSTILE_H

#include "files.h"

/* Opens the bytes as "test.gguf" and closes the model. */
rb_status open_bytes(const blob *b, rb_error *err);
/* Wants this status and these words. */
void expect_refused(const blob *b, rb_status want, const char *word);
/* Frees g. */
void expect_file_refused(gguf_file *g, rb_status want, const char *word);

/* Rounds of a good file with a few bytes of its directory changed at random: no verdict, but no
 * crash either, and a line whenever it is refused. Frees g. */
void expect_noise_survived(gguf_file *g, int rounds, uint64_t *state);

/* One layer, 32 wide, f32: of latents (rank 16; heads of 8 and 4 rotated, values of 8), of experts
 * (2 of 4, 16 wide; deepseek2 and qwen2moe with a shared one, 16 wide), of gptneox. */
gguf_file family_make(const char *arch);
/* A latent's file in the form of today: key_length_mla, W_UK and W_UV as stacks. */
gguf_file family_make_split(const char *arch);
/* Sets a key, whether it is there or not. */
void gguf_set_u32(gguf_file *g, const char *key, uint32_t value);
void gguf_set_u64(gguf_file *g, const char *key, uint64_t value);
void gguf_set_f32(gguf_file *g, const char *key, float value);
/* ne2 matrices, one after the other. */
void gguf_add_stack(gguf_file *g, const char *name, uint64_t ne0, uint64_t ne1, uint64_t ne2);

#endif
