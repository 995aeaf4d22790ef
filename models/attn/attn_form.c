/* Forms of attention: the grammar, and for each form the shape that a model gets. Every refusal is
 * here, so that what converts weights (attn_convert.c) meets shapes that make sense alone.
 * Refuses what is no conversion: forms that want training, numbers that do not divide.
 * Read next: attn_convert.c. */
#include "../model.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int least, most; /* numbers after it */
} grammar[RB_N_FORM] = {
    [RB_FORM_MHA] = { "mha", 0, 0 },   [RB_FORM_GQA] = { "gqa", 1, 1 },
    [RB_FORM_MQA] = { "mqa", 0, 0 },   [RB_FORM_MLA] = { "mla", 0, 2 },
    [RB_FORM_LRKV] = { "lrkv", 1, 1 }, [RB_FORM_GVA] = { "gva", 1, 1 },
    [RB_FORM_GHA] = { "gha", 1, 1 },   [RB_FORM_GTA] = { "gta", 0, 0 },
};

/* ---- text ---- */

static rb_status bad_text(const char *text, rb_error *err)
{
    return rb_fail(
        err, RB_ERR_ARGUMENT,
        "attention '%.40s': mha, gqa:G, mqa, mla, mla:R, mla:R:d_r, lrkv:R, gva:G, gha:G "
        "or gta is wanted, with numbers from 1 on",
        text);
}

/* Reads ":N" if it stands there. */
static bool take_number(const char **at, int64_t *n)
{
    char *end;
    if (**at != ':' || !isdigit((unsigned char)(*at)[1]))
        return false;
    errno = 0;
    const long long v = strtoll(*at + 1, &end, 10);
    if (errno != 0 || v < 1)
        return false;
    *at = end;
    *n = v;
    return true;
}

rb_status rb_attn_form_parse(rb_attn_form *form, const char *text, rb_error *err)
{
    for (int i = 0; i < RB_N_FORM; i++) {
        const size_t n = strlen(grammar[i].name);
        const char *at = text + n;
        int numbers = 0;
        if (strncmp(text, grammar[i].name, n) != 0 || (*at != 0 && *at != ':'))
            continue;
        *form = (rb_attn_form){ .form = (rb_form)i };
        while (numbers < grammar[i].most && take_number(&at, numbers ? &form->d_rot : &form->n))
            numbers++;
        return *at == 0 && numbers >= grammar[i].least ? RB_OK : bad_text(text, err);
    }
    return bad_text(text, err);
}

const char *rb_attn_form_text(const rb_attn_form *f, char *buf, size_t size)
{
    const size_t n = (size_t)snprintf(buf, size, f->n ? "%s:%lld" : "%s", grammar[f->form].name,
                                      (long long)f->n);
    if (f->d_rot && n < size)
        snprintf(buf + n, size - n, ":%lld", (long long)f->d_rot);
    return buf;
}

/* ---- what cannot be converted ---- */

/* RB_ERR_UNSUPPORTED, in the words "NAME in the form FORM: why". */
static rb_status refuse(const rb_config *c, const rb_attn_form *f, const char *why, rb_error *err)
{
    char text[48];
    return rb_fail(err, RB_ERR_UNSUPPORTED, "%.64s in the form %s: %s",
                   c->name[0] ? c->name : rb_arch_name[c->arch],
                   rb_attn_form_text(f, text, sizeof text), why);
}

static rb_status check_source(const rb_config *c, const rb_attn_form *f, rb_error *err)
{
    if (c->kv_lora_rank && !c->latent_plain && f->form == RB_FORM_GTA)
        return refuse(c, f,
                      "its attention is latent already; the shape is made beside models of MHA, "
                      "GQA and MQA",
                      err);
    if (c->kv_lora_rank && !c->latent_plain && !f->n)
        return refuse(c, f,
                      "latent attention runs as MHA in the order mla-naive-full and as MQA in the "
                      "order mla-absorbed, without a conversion",
                      err);
    if (c->kv_lora_rank && !c->latent_plain)
        return refuse(c, f,
                      f->form == RB_FORM_MLA
                          ? "the norm of its latent stands between the matrices that a lower rank "
                            "would have to join; -ctk q8_0 or q4_0 makes its cache smaller"
                          : "its heads come from one latent already, and fewer or others would "
                            "leave its cache as it is; the order mla-absorbed runs it as MQA, "
                            "mla-naive-full as MHA",
                      err);
    if (c->kv_lora_rank || c->n_head_v || c->d_value_up)
        return refuse(c, f, "its attention was converted before; convert the original", err);
    return RB_OK;
}

/* G heads that all n_head divide into. */
static rb_status check_groups(const rb_config *c, const rb_attn_form *f, rb_error *err)
{
    char why[128];
    if (f->n <= c->n_head && c->n_head % f->n == 0)
        return RB_OK;
    snprintf(why, sizeof why, "%" PRId64 " heads are no multiple of %" PRId64, c->n_head, f->n);
    return refuse(c, f, why, err);
}

/* ---- shapes ---- */

static int64_t heads_kv(const rb_config *c, const rb_attn_form *f)
{
    return f->form == RB_FORM_MHA ? c->n_head : f->form == RB_FORM_MQA ? 1 : f->n;
}

static rb_status shape_grouped(rb_config *to, const rb_config *c, const rb_attn_form *f,
                               rb_error *err)
{
    const int64_t n = heads_kv(c, f);
    const rb_status status = f->form == RB_FORM_GQA ? check_groups(c, f, err) : RB_OK;
    char why[128];
    if (status != RB_OK)
        return status;
    if (n % c->n_head_kv != 0 && c->n_head_kv % n != 0) {
        snprintf(why, sizeof why,
                 "%" PRId64 " heads of K and V are neither replicated nor pooled to %" PRId64
                 ": one must divide the other",
                 c->n_head_kv, n);
        return refuse(c, f, why, err);
    }
    to->n_head_kv = n;
    return RB_OK;
}

/* What every latent has: as many K heads as there are, and biases where its inputs had them. */
static void shape_latent(rb_config *to, const rb_config *c, int64_t rank)
{
    to->kv_lora_rank = rank;
    to->latent_plain = true;
    to->qkv_bias = c->qkv_bias || c->linear_bias;
}

static rb_status check_rank(const rb_config *c, const rb_attn_form *f, int64_t most, rb_error *err)
{
    char why[128];
    if (f->n <= most)
        return RB_OK;
    snprintf(why, sizeof why, "the rank is %" PRId64 " at most, where nothing is lost", most);
    return refuse(c, f, why, err);
}

/* All that of x there is, and as one more direction the biases. */
static int64_t input_rank(const rb_config *c)
{
    return c->n_embd + (c->qkv_bias || c->linear_bias);
}

/* Columns of K and V of all heads but for those of K that are kept apart. */
static int64_t full_rank(const rb_config *c, int64_t apart)
{
    const int64_t columns = c->n_head_kv * (c->d_head_k + c->d_head_v) - apart;
    return columns < input_rank(c) ? columns : input_rank(c);
}

static rb_status shape_joint(rb_config *to, const rb_config *c, const rb_attn_form *f,
                             rb_error *err)
{
    const int64_t all = c->n_head_kv * c->d_rot, d_rot = f->d_rot ? f->d_rot : c->d_rot;
    char why[160];
    if (c->qk_norm)
        return refuse(c, f,
                      "its norm of every K head stands between W_k and the rotation, which then "
                      "cannot be moved out of the latent; mla and lrkv:R work",
                      err);
    if (d_rot % 2 != 0 || d_rot > all) {
        snprintf(why, sizeof why,
                 "d_r is an even number, %" PRId64 " at most: so many columns of all K heads are "
                 "rotated",
                 all);
        return refuse(c, f, why, err);
    }
    shape_latent(to, c, f->n);
    to->mla_split = true;
    to->n_head_kv = c->n_head;
    to->d_head_k = c->d_head_k + d_rot;
    to->d_rot = d_rot;
    to->d_freq = c->d_rot;
    to->attn_scale = rb_score_scale(c);
    return check_rank(c, f, full_rank(c, d_rot), err);
}

static rb_status shape_side_by_side(rb_config *to, const rb_config *c)
{
    shape_latent(to, c, c->n_head_kv * c->d_head_v);
    to->mla_split = true;
    to->n_key_block = c->n_head_kv;
    to->n_head_kv = c->n_head;
    to->d_head_k = c->n_head_kv * c->d_head_k;
    to->attn_scale = rb_score_scale(c);
    return RB_OK;
}

static rb_status shape_late(rb_config *to, const rb_config *c, const rb_attn_form *f, rb_error *err)
{
    shape_latent(to, c, f->n);
    to->late_rope = true;
    return check_rank(c, f, full_rank(c, 0), err);
}

/* Maps of n_head / G heads each, which bring their values: one for each output head, or G in all,
 * of which a map meets n_head / G. */
static rb_status shape_maps(rb_config *to, const rb_config *c, const rb_attn_form *f, rb_error *err)
{
    char why[160];
    rb_status status = check_groups(c, f, err);
    if (status != RB_OK)
        return status;
    const int64_t each = c->n_head / f->n;
    if (f->form == RB_FORM_GHA && f->n % each != 0) {
        snprintf(why, sizeof why,
                 "%" PRId64 " maps and values make no %" PRId64 " different pairs, %" PRId64
                 " to a map, as heads are",
                 f->n, c->n_head, each);
        return refuse(c, f, why, err);
    }
    to->n_head = f->n;
    to->n_head_kv = f->n; /* each map its own K */
    to->n_head_v = f->form == RB_FORM_GHA ? f->n / each : 0;
    to->d_head_v = each * c->d_head_v;
    return RB_OK;
}

/* Heads whose attention is one map: four, or the next number that divides them. */
static int64_t heads_a_map(int64_t n_head)
{
    int64_t each = n_head % 4 ? 3 : 4;
    while (each < n_head && n_head % each != 0)
        each++;
    return each < n_head ? each : n_head;
}

static rb_status shape_tied(rb_config *to, const rb_config *c, const rb_attn_form *f, rb_error *err)
{
    const int64_t n_map = c->n_head / heads_a_map(c->n_head);
    char why[128];
    if (c->linear_bias)
        return refuse(c, f, "its q, k and v are one matrix", err);
    if (c->n_embd % n_map != 0) {
        snprintf(why, sizeof why, "%" PRId64 " columns are no multiple of %" PRId64 " maps",
                 c->n_embd, n_map);
        return refuse(c, f, why, err);
    }
    to->n_head = n_map;
    to->n_head_kv = to->n_head_v = 1;
    to->d_head_v = 2 * c->d_head_k;
    to->d_value_up = c->n_embd / n_map;
    to->qkv_bias = true;
    return RB_OK;
}

static rb_status shape_of(rb_config *to, const rb_config *c, const rb_attn_form *f, rb_error *err)
{
    switch (f->form) {
    case RB_FORM_MHA:
    case RB_FORM_GQA:
    case RB_FORM_MQA:
        return shape_grouped(to, c, f, err);
    case RB_FORM_MLA:
        return f->n ? shape_joint(to, c, f, err) : shape_side_by_side(to, c);
    case RB_FORM_LRKV:
        return shape_late(to, c, f, err);
    case RB_FORM_GTA:
        return shape_tied(to, c, f, err);
    default:
        return shape_maps(to, c, f, err);
    }
}

rb_status rb_attn_form_config(rb_config *converted, const rb_config *c, const rb_attn_form *f,
                              rb_error *err)
{
    rb_error inner;
    *converted = *c;
    rb_status status = check_source(c, f, err);
    if (status == RB_OK)
        status = shape_of(converted, c, f, err);
    if (status == RB_OK && rb_config_check(converted, &inner) != RB_OK)
        status = refuse(c, f, inner.text, err);
    return status;
}

bool rb_attn_form_has_rank(const rb_attn_form *f)
{
    return f->form == RB_FORM_LRKV || (f->form == RB_FORM_MLA && f->n);
}

bool rb_attn_form_is_exact(const rb_config *c, const rb_attn_form *f)
{
    const int64_t d_rot = f->d_rot ? f->d_rot : c->d_rot;
    switch (f->form) {
    case RB_FORM_MHA:
    case RB_FORM_GQA:
    case RB_FORM_MQA:
        return heads_kv(c, f) % c->n_head_kv == 0;
    case RB_FORM_MLA:
        return !f->n || (d_rot == c->n_head_kv * c->d_rot && f->n == full_rank(c, d_rot));
    case RB_FORM_LRKV:
        return f->n == full_rank(c, 0);
    case RB_FORM_GTA:
        return false;
    default:
        return f->n == c->n_head;
    }
}
