/* What routing did to a test, for people: FLOPs of a mixture do not depend on it, bytes do, through
 * the number of different experts that a call takes. Counts nothing: the ledger's routing is
 * summed. Read next: record.c, where every layer stands. */
#include "bench.h"

#include <string.h>

static rb_routing sum_of(const rb_result *r, rb_phase phase)
{
    rb_routing sum = { 0 };
    for (int l = 0; l < RB_MAX_ROUTED; l++) {
        const rb_routing *at = &r->routing[phase][l];
        if (!at->calls)
            continue;
        sum.least = sum.calls && sum.least < at->least ? sum.least : at->least;
        sum.most = sum.most > at->most ? sum.most : at->most;
        sum.calls += at->calls;
        sum.tokens += at->tokens;
        sum.distinct += at->distinct;
        sum.expected += at->expected;
    }
    return sum;
}

char *rb_routing_text(const rb_config *c, const rb_result *r, char *buf, size_t size)
{
    size_t n = 0;
    buf[0] = 0;
    for (int phase = 0; phase < RB_N_PHASE && n < size; phase++) {
        const rb_routing s = sum_of(r, (rb_phase)phase);
        const double calls = (double)s.calls;
        if (!s.calls)
            continue;
        n += (size_t)snprintf(
            buf + n, size - n,
            "%sExperts in %s: a call of %.4g tokens took %.2f of %lld (%llu to %llu, over %llu "
            "calls)%s; uniform routing of %lld a token gives %.2f.",
            n ? " " : "", rb_phase_name[phase], (double)s.tokens / calls,
            (double)s.distinct / calls, (long long)c->n_expert, (unsigned long long)s.least,
            (unsigned long long)s.most, (unsigned long long)s.calls,
            r->total.assumed ? ", as assumed" : "", (long long)c->n_expert_used,
            s.expected / calls);
    }
    return buf;
}
