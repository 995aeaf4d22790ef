/* Kernels from outside: a registry that teams and sessions borrow, whose rows they prefer to those
 * of the build. It is an object, not a table of the process: two sessions of one program may differ
 * in it, nothing global is written, and without one nothing changes. It is read when a team opens,
 * so that a launch costs the same. Refuses rows that cannot be proven and do not say why.
 * Read next: op.h (what a row is), registry.c. */
#ifndef RB_REGISTER_H
#define RB_REGISTER_H

#include "op.h"

/* X(a, isa) for each ISA that kernel files are built for on this architecture, then for each build
 * that counts: -DRB_BUILD=isa -DRB_BUILD_isa=1 and the flags of the ISA (isa.mk). */
#if defined RB_SCALAR_ONLY /* a build for fuzzing readers, which run no kernel */
#define RB_EACH_ISA(X, a) X(a, scalar)
#define RB_EACH_COUNTING(X, a)
#else
#if defined __x86_64__
#define RB_EACH_ISA(X, a) X(a, scalar) X(a, avx2) X(a, avx512)
#else
#define RB_EACH_ISA(X, a) X(a, scalar) X(a, neon)
#endif
#define RB_EACH_COUNTING(X, a) X(a, count1) X(a, count8) X(a, count16)
#endif

#define RB_DECLARE_ROWS(file, isa) extern const rb_kernel_list rb_rows_##file##_##isa;
#define RB_LIST_ROWS(file, isa)    &rb_rows_##file##_##isa,
/* At file scope, for a kernel file that ends with RB_EXPORT(file, rows): all its builds, as an
 * array of that name. RB_KERNEL_FILE(mine); ... rb_register(registry, mine, &err); */
#define RB_KERNEL_FILE(file)                                                                       \
    RB_EACH_ISA(RB_DECLARE_ROWS, file)                                                             \
    RB_EACH_COUNTING(RB_DECLARE_ROWS, file)                                                        \
    static const rb_kernel_list *const file[] = { RB_EACH_ISA(RB_LIST_ROWS, file)                  \
                                                      RB_EACH_COUNTING(RB_LIST_ROWS, file) NULL }

typedef struct rb_registry rb_registry;
/* An empty one. RB_ERR_MEMORY. */
rb_status rb_registry_open(rb_registry **r, rb_error *err);
/* After all that borrows it or holds pointers to its rows: teams, sessions, ledgers, results. NULL
 * is fine. */
void rb_registry_close(rb_registry *r);
/* Adds copies of the rows of one kernel file, from the lists that its builds export (the last is
 * NULL). A row is of an operation that is here, by name (rb_kernel.of), or of one that it brings
 * (rb_kernel.op, with an id from RB_OP_OWN on). Of rows of one ISA those added last are asked first
 * whether they take a call. RB_ERR_ARGUMENT, and nothing is added: a row that is incomplete, of an
 * unknown operation, or without a counting twin among the lists or a reason to have none. */
rb_status rb_register(rb_registry *r, const rb_kernel_list *const *builds, rb_error *err);
/* The i-th row that was added, counting ones included, as teams ask them; NULL past the last, and
 * of no registry (NULL). */
const rb_kernel *rb_registered(const rb_registry *r, int i);

#endif
