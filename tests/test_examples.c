/* The examples of bench/examples/ as built against the installed headers: each is proven and run
 * beside what rbench has, and every mutant of one (mutants/) turns its proof red.
 * Refuses a mutant that no line here expects. Read next: ../bench/examples/README.md. */
#include "program.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

TestSuite(examples, .init = program_setup, .fini = program_teardown);

#define EXAMPLES "\"$(dirname \"$RBENCH\")/bench/examples\""
/* Shapes so small that counting one by one takes no time. */
#define GELU                                                                                       \
    "gelu_exp --dry pythia-160m n_layer=1 n_vocab=128 n_embd=128 n_ff=192 n_head=2 n_head_kv=2"
#define TIED "tied_kv --dry tiny d_rot=8"

static outcome example(const char *name, const char *args)
{
    char script[512];
    snprintf(script, sizeof script, EXAMPLES "/%s %s", name, args);
    return shell(script);
}

static void expect_words(const outcome *o, int code, const char *const *words)
{
    cr_expect_eq(o->code, code, "%s%s", o->out, o->err);
    for (; *words; words++)
        cr_expect(strstr(o->out, *words), "wanted '%s':\n%s%s", *words, o->out, o->err);
}

Test(examples, a_kernel_is_proven_and_run_beside_the_builds_own)
{
    outcome o = example("beside", GELU);
    expect_words(&o, 0,
                 (const char *const[]){ "rows: proven: ", "session: proven: ", "pp256",
                                        "logits: ", "gelu_exp", NULL });
    release(&o);
}

Test(examples, a_variant_is_proven_and_run_beside_the_builds_own)
{
    outcome o = example("beside", TIED);
    expect_words(&o, 0,
                 (const char *const[]){ "session: proven: ", "closed form", "tg16 @ d1024",
                                        "tied_kv", "gqa", NULL });
    release(&o);
}

Test(examples, mistakes_are_one_line)
{
    outcome o = example("beside", "");
    cr_expect_eq(o.code, 2);
    cr_expect_eq(lines_of(o.err), 1, "%s", o.err);
    release(&o);
    o = example("beside", "tied_kv --dry nosuch");
    cr_expect_eq(o.code, 1);
    cr_expect_eq(lines_of(o.err), 1, "%s", o.err);
    release(&o);
}

static const struct {
    const char *name, *args, *red;
} mutants[] = {
    { "gelu_exp.flops", GELU, "rows: RED: gelu.f32.exp.scalar: flops: executed" },
    { "gelu_exp.tail", GELU, "flops: executed" },
    { "gelu_exp.issued", GELU, "issued bytes" },
    { "tied_kv.flops", TIED, "FLOPs of attention" },
    { "tied_kv.key", TIED, "bytes of KV read of attention" },
    { "tied_kv.store", TIED, "bytes of KV written of attention" },
};
enum { N_MUTANT = sizeof mutants / sizeof *mutants };

Test(examples, every_mutant_turns_its_proof_red)
{
    for (int i = 0; i < N_MUTANT; i++) {
        outcome o = example(mutants[i].name, mutants[i].args);
        expect_words(&o, 3, (const char *const[]){ ": RED: ", mutants[i].red, NULL });
        release(&o);
    }
}

Test(examples, every_mutant_is_known_here)
{
    outcome o = shell("cd " EXAMPLES " && ls | grep -c '^[a-z]*_[a-z]*[.][a-z]*[.]c$'");
    cr_expect_eq(atoi(o.out), N_MUTANT, "%s", o.out);
    release(&o);
}
