/* Private to bench/: the files by which Linux describes a machine and what ran meanwhile. Every
 * function takes the directory that holds /proc and /sys, "" but in tests.
 * What a file does not say stays unknown. Read next: host.c, env.c, noise.c. */
#ifndef RB_ENV_H
#define RB_ENV_H

#include "bench.h"

#include <jansson.h>

/* First line of a file, without its newline; false if there is none. */
bool rb_host_line(const char *root, const char *path, char *buf, size_t size);
/* Value of the first line "key : value"; false if there is none. */
bool rb_host_field(const char *root, const char *path, const char *key, char *buf, size_t size);
/* Bytes of a line of /proc/meminfo; 0: unknown. */
uint64_t rb_host_kib(const char *root, const char *key);

/* What tests ran on: the machine below root, the program, a model's digest. A new reference,
 * NULL without memory. */
json_t *rb_env_of(const char *root, const char *digest);

/* Where the counters of disturbance below root stand now, what passed between two such moments,
 * and the frequency of the CPUs in MHz (0: unknown). */
void rb_noise_read(const char *root, rb_noise_mark *mark);
rb_noise rb_noise_between(const rb_noise_mark *begin, const rb_noise_mark *end);
double rb_noise_mhz(const char *root);

#endif
