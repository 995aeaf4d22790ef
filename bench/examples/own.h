/* What the examples bring, for the program that runs them (beside.c).
 * Nothing else is shared between them.
 * Read next: gelu_exp.c, tied_kv.c. */
#ifndef OWN_H
#define OWN_H

#include <rbench.h>

extern const rb_attn_variant tied_kv;

#endif
