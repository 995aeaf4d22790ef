/* Counters of memory controllers, on invented machines: a directory with the files that Linux has
 * for each kind of controller, and counters that say what they are told to. None of this has met a
 * real controller. Read next: ../bench/pmu.c. */
#include "../bench/record.h"
#include "../bench/run.h"
#include "machine.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- an invented kernel ---- */

typedef struct opened {
    uint32_t type;
    uint64_t config;
    int cpu;
    bool closed;
    rb_pmu_reading now;
} opened;

typedef struct kernel {
    opened at[600];
    int n;
    int refuse_from, error; /* openings from there on fail; 0: none */
    bool mute;              /* reading fails */
    uint64_t each;          /* counts that pass after each reading */
} kernel;

/* Counts pass: of counter i, value. enabled and running are in ns. */
static void pass(kernel *k, int i, uint64_t value, uint64_t enabled, uint64_t running)
{
    k->at[i].now.value += value;
    k->at[i].now.enabled_ns += enabled;
    k->at[i].now.running_ns += running;
}

static int fake_open(void *arg, uint32_t type, uint64_t config, int cpu)
{
    kernel *k = arg;
    if (k->error && k->n >= k->refuse_from) {
        errno = k->error;
        return -1;
    }
    k->at[k->n] = (opened){ .type = type, .config = config, .cpu = cpu };
    k->at[k->n].now = (rb_pmu_reading){ 1000, 50, 50 };
    return k->n++;
}

static bool fake_read(void *arg, int fd, rb_pmu_reading *r)
{
    kernel *k = arg;
    *r = k->at[fd].now;
    if (k->each)
        pass(k, fd, k->each, 5, 5);
    return !k->mute;
}

static void fake_close(void *arg, int fd)
{
    kernel *k = arg;
    cr_assert(fd >= 0 && fd < k->n && !k->at[fd].closed);
    k->at[fd].closed = true;
}

static rb_pmu *open_pmu(const char *root, kernel *k)
{
    const rb_pmu_system system = { fake_open, fake_read, fake_close, k };
    rb_pmu *p = rb_pmu_open(root, &system);
    cr_assert_not_null(p);
    return p;
}

static const opened *find(const kernel *k, uint64_t config, int cpu)
{
    for (int i = 0; i < k->n; i++)
        if (k->at[i].config == config && k->at[i].cpu == cpu)
            return &k->at[i];
    cr_assert_fail("no counter with config %#llx on CPU %d", (unsigned long long)config, cpu);
    return NULL;
}

static void all_closed(const kernel *k)
{
    for (int i = 0; i < k->n; i++)
        cr_assert(k->at[i].closed, "counter %d stays open", i);
}

/* ---- invented machines ---- */

static machine here;

static void setup(void)
{
    here = make_machine();
}

static void teardown(void)
{
    remove_machine(&here);
}

TestSuite(pmu, .init = setup, .fini = teardown);

static void device_file(const char *device, const char *name, const char *content)
{
    char path[256], line[256];
    snprintf(path, sizeof path, "/sys/bus/event_source/devices/%s/%s", device, name);
    snprintf(line, sizeof line, "%s\n", content);
    add_file(&here, path, line);
}

static void add_device(const char *name, const char *type, const char *cpus)
{
    device_file(name, "type", type);
    device_file(name, "cpumask", cpus);
}

static void add_event(const char *device, const char *name, const char *terms)
{
    char file[128];
    snprintf(file, sizeof file, "events/%s", name);
    device_file(device, file, terms);
    snprintf(file, sizeof file, "events/%s.scale", name);
    device_file(device, file, "6.103515625e-5");
    snprintf(file, sizeof file, "events/%s.unit", name);
    device_file(device, file, "MiB");
}

/* As on Xeons, two sockets. */
static void add_imc(const char *name, const char *type)
{
    add_device(name, type, "0,18");
    device_file(name, "format/event", "config:0-7");
    device_file(name, "format/umask", "config:8-15");
    add_event(name, "cas_count_read", "event=0x04,umask=0x03");
    add_event(name, "cas_count_write", "event=0x04,umask=0x0c");
    device_file(name, "events/clockticks", "event=0xff,umask=0x00");
}

static void add_free_running(const char *name, const char *read, const char *write)
{
    add_device(name, "40", "0");
    device_file(name, "format/event", "config:0-7");
    device_file(name, "format/umask", "config:8-15");
    add_event(name, "data_total", "event=0xff,umask=0x10");
    add_event(name, read, "event=0xff,umask=0x20");
    add_event(name, write, "event=0xff,umask=0x30");
}

static void add_zen(const char *family, const char *model)
{
    char text[256];
    snprintf(text, sizeof text,
             "vendor_id\t: AuthenticAMD\ncpu family\t: %s\nmodel\t\t: %s\n"
             "model name\t: AMD something\n",
             family, model);
    add_file(&here, "/proc/cpuinfo", text);
}

static void add_df(void)
{
    add_device("amd_df", "12", "0");
    device_file("amd_df", "format/event", "config:0-7,32-35,59-60");
    device_file("amd_df", "format/umask", "config:8-15");
}

static void want_none(const char *why)
{
    kernel k = { .n = 0 };
    rb_pmu *p = open_pmu(here.root, &k);
    cr_assert_eq(strncmp(rb_pmu_text(p), "none: ", 6), 0, "%s", rb_pmu_text(p));
    cr_assert(strstr(rb_pmu_text(p), why), "%s", rb_pmu_text(p));
    all_closed(&k);
    rb_pmu_begin(p);
    cr_assert_eq(rb_pmu_end(p).counted, 0);
    rb_pmu_close(p);
}

/* ---- which counters ---- */

Test(pmu, xeons_count_each_controller_of_each_socket)
{
    kernel k = { .n = 0 };
    add_imc("uncore_imc_0", "14");
    add_imc("uncore_imc_1", "15");
    add_device("uncore_cbox_0", "30", "0");                         /* somebody else's */
    add_free_running("uncore_imc_free_running_0", "read", "write"); /* the same traffic again */
    rb_pmu *p = open_pmu(here.root, &k);
    cr_assert_str_eq(rb_pmu_text(p), "uncore_imc, 2 controllers");
    cr_assert_eq(k.n, 2 * 2 * 2);
    for (int i = 0; i < k.n; i++)
        cr_assert(k.at[i].type == 14 || k.at[i].type == 15);
    find(&k, 0x304, 0), find(&k, 0x304, 18), find(&k, 0xc04, 0), find(&k, 0xc04, 18);
    rb_pmu_begin(p);
    for (int i = 0; i < k.n; i++)
        pass(&k, i, k.at[i].config == 0x304 ? 1000 : 10, 5, 5);
    const rb_pmu_bytes b = rb_pmu_end(p);
    cr_assert_eq(b.counted, 1);
    cr_assert_eq(b.read, 4 * 1000 * 64);
    cr_assert_eq(b.write, 4 * 10 * 64);
    cr_assert_eq(b.either, 0);
    rb_pmu_close(p);
    all_closed(&k);
}

Test(pmu, newer_xeons_count_two_schedulers)
{
    kernel k = { .n = 0 };
    add_device("uncore_imc_0", "14", "0");
    device_file("uncore_imc_0", "format/event", "config:0-7");
    device_file("uncore_imc_0", "format/umask", "config:8-15");
    add_event("uncore_imc_0", "cas_count_read_sch0", "event=0x05,umask=0xcf");
    add_event("uncore_imc_0", "cas_count_read_sch1", "event=0x06,umask=0xcf");
    add_event("uncore_imc_0", "cas_count_write_sch0", "event=0x05,umask=0xf0");
    add_event("uncore_imc_0", "cas_count_write_sch1", "event=0x06,umask=0xf0");
    rb_pmu *p = open_pmu(here.root, &k);
    cr_assert_eq(k.n, 4);
    rb_pmu_begin(p);
    pass(&k, 0, 1, 5, 5), pass(&k, 1, 2, 5, 5), pass(&k, 2, 4, 5, 5), pass(&k, 3, 8, 5, 5);
    const rb_pmu_bytes b = rb_pmu_end(p);
    cr_assert_eq(b.read, 3 * 64);
    cr_assert_eq(b.write, 12 * 64);
    rb_pmu_close(p);
}

/* Clients: one device of old, free-running counters of late. A total is not counted again. */
Test(pmu, clients_count_their_own_way)
{
    kernel k = { .n = 0 };
    add_device("uncore_imc_0", "13", "0"); /* with no events at all */
    add_free_running("uncore_imc_free_running_0", "data_read", "data_write");
    rb_pmu *p = open_pmu(here.root, &k);
    cr_assert_str_eq(rb_pmu_text(p), "uncore_imc_free_running, 1 controllers");
    cr_assert_eq(k.n, 2);
    find(&k, 0x20ff, 0), find(&k, 0x30ff, 0);
    rb_pmu_close(p);
    teardown();
    setup();
    k = (kernel){ .n = 0 };
    add_device("uncore_imc", "9", "0");
    device_file("uncore_imc", "format/event", "config:0-7");
    add_event("uncore_imc", "data_reads", "event=0x01");
    add_event("uncore_imc", "data_writes", "event=0x02");
    p = open_pmu(here.root, &k);
    cr_assert_str_eq(rb_pmu_text(p), "uncore_imc, 1 controllers");
    find(&k, 1, 0), find(&k, 2, 0);
    rb_pmu_close(p);
}

Test(pmu, zen_4_counts_commands_of_each_channel)
{
    kernel k = { .n = 0 };
    add_zen("25", "17");
    add_df(); /* not for these */
    for (int i = 0; i < 12; i++) {
        char name[32], type[16];
        snprintf(name, sizeof name, "amd_umc_%d", i);
        snprintf(type, sizeof type, "%d", 20 + i);
        add_device(name, type, i < 6 ? "0" : "64");
        device_file(name, "format/event", "config:0-7");
        device_file(name, "format/rdwrmask", "config:8-9");
    }
    rb_pmu *p = open_pmu(here.root, &k);
    cr_assert_str_eq(rb_pmu_text(p), "amd_umc, 12 controllers");
    cr_assert_eq(k.n, 24);
    find(&k, 0x10a, 0), find(&k, 0x20a, 0), find(&k, 0x10a, 64), find(&k, 0x20a, 64);
    rb_pmu_begin(p);
    for (int i = 0; i < k.n; i++)
        pass(&k, i, k.at[i].config == 0x10a ? 3 : 1, 5, 5);
    const rb_pmu_bytes b = rb_pmu_end(p);
    cr_assert_eq(b.read, 12 * 3 * 64);
    cr_assert_eq(b.write, 12 * 64);
    rb_pmu_close(p);
    all_closed(&k);
}

/* Both directions in one, and counters that take turns: their share of the time is told. */
Test(pmu, zen_1_to_3_count_either_direction)
{
    static const char *const zen[][2] = {
        { "23", "1" }, { "23", "113" }, { "25", "33" }, { "25", "80" }
    };
    static const uint64_t config[] = { 0x3807,      0x3847,      0x3887,      0x38c7,
                                       0x100003807, 0x100003847, 0x100003887, 0x1000038c7 };
    for (int z = 0; z < 4; z++) {
        kernel k = { .n = 0 };
        add_zen(zen[z][0], zen[z][1]);
        add_df();
        rb_pmu *p = open_pmu(here.root, &k);
        cr_assert_str_eq(rb_pmu_text(p), "amd_df, 1 controllers");
        cr_assert_eq(k.n, 8);
        for (int i = 0; i < 8; i++)
            find(&k, config[i], 0);
        rb_pmu_begin(p);
        for (int i = 0; i < 8; i++)
            pass(&k, i, 100, 1000, i % 2 ? 500 : 400);
        const rb_pmu_bytes b = rb_pmu_end(p);
        cr_assert_float_eq(b.counted, 0.4, 1e-12);
        cr_assert_eq(b.either, (4 * 200 + 4 * 250) * 64);
        cr_assert(b.read == 0 && b.write == 0);
        rb_pmu_close(p);
    }
}

/* ---- when there is nothing to count with ---- */

Test(pmu, no_controllers_no_counts)
{
    want_none("no controller that is known");
    add_device("uncore_imc_free_runner_0", "14", "0");
    add_device("uncore_imc_", "14", "0");
    add_device("cpu", "4", "0");
    add_df();
    want_none("no controller that is known"); /* no cpuinfo */
    add_zen("25", "17");
    want_none("no controller that is known"); /* Zen 4, and a kernel that does not know it */
    add_zen("26", "2");
    want_none("no controller that is known");
    rb_pmu_begin(NULL);
    cr_assert_eq(rb_pmu_end(NULL).counted, 0);
    cr_assert_eq(strncmp(rb_pmu_text(NULL), "none", 4), 0);
    rb_pmu_close(NULL);
}

/* The third of four may not be opened: those before it are closed again. */
Test(pmu, a_kernel_that_refuses_says_why)
{
    kernel k = { .refuse_from = 2, .error = EACCES };
    add_imc("uncore_imc_0", "14");
    add_file(&here, "/proc/sys/kernel/perf_event_paranoid", "4\n");
    rb_pmu *p = open_pmu(here.root, &k);
    cr_assert(strstr(rb_pmu_text(p), "cas_count_"), "%s", rb_pmu_text(p));
    cr_assert(strstr(rb_pmu_text(p), "Permission denied (perf_event_paranoid: 4)"));
    cr_assert_eq(k.n, 2);
    all_closed(&k);
    rb_pmu_begin(p);
    cr_assert_eq(rb_pmu_end(p).counted, 0, "unknown, not none");
    rb_pmu_close(p);
}

/* Half of the traffic is worse than none: each of these alone is refused. */
Test(pmu, what_is_not_understood_is_not_counted)
{
    static const char *const at[][3] = {
        { "format/event", "config1:0-7", "not understood" },
        { "format/event", "config:0-1", "not understood" }, /* the number does not fit */
        { "format/umask", "config:8-70", "not understood" },
        { "format/umask", "config:x", "not understood" },
        { "events/cas_count_read", "event=0x04,mask=3", "not understood" },
        { "events/cas_count_read.scale", "much", "not understood" },
        { "events/cas_count_read.unit", "MB", "not understood" },
        { "cpumask", "", "not understood" },
        { "cpumask", "0-", "not understood" },
    };
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        add_imc("uncore_imc_0", "14");
        add_imc("uncore_imc_1", "15");
        device_file("uncore_imc_1", at[i][0], at[i][1]);
        want_none(at[i][2]);
    }
    add_imc("uncore_imc_1", "15");
    add_device("uncore_imc_2", "16", "0");
    want_none("some controllers have none");
    teardown();
    setup();
    add_imc("uncore_imc_0", "14");
    char path[256];
    snprintf(path, sizeof path, "%s/sys/bus/event_source/devices/uncore_imc_0/events/%s", here.root,
             "cas_count_write");
    cr_assert_eq(remove(path), 0);
    want_none("one direction only");
}

Test(pmu, a_counter_that_did_not_run_leaves_all_unknown)
{
    kernel k = { .n = 0 };
    add_imc("uncore_imc_0", "14");
    rb_pmu *p = open_pmu(here.root, &k);
    for (int how = 0; how < 4; how++) {
        rb_pmu_begin(p);
        for (int i = 0; i < k.n; i++)
            pass(&k, i, 7, 5, 5);
        k.mute = how == 0;
        if (how == 1)
            k.at[3].now.running_ns -= 5;
        if (how == 2)
            k.at[3].now.value -= 8;
        cr_assert_eq(rb_pmu_end(p).counted, how == 3);
        k.mute = false;
    }
    k.mute = true;
    rb_pmu_begin(p);
    k.mute = false;
    for (int i = 0; i < k.n; i++)
        pass(&k, i, 7, 5, 5);
    cr_assert_eq(rb_pmu_end(p).counted, 0, "the beginning is not known");
    rb_pmu_close(p);
}

/* A machine with more controllers than descriptors gives nothing, and no overflow. */
Test(pmu, too_many_counters)
{
    add_imc("uncore_imc_0", "14");
    device_file("uncore_imc_0", "cpumask", "0-599");
    want_none("too many counters");
}

/* ---- in a benchmark ---- */

/* Three repetitions with these counters, NULL: none; the record of it. */
static json_t *record_with(rb_pmu *pmu, rb_result *r)
{
    const rb_bench_params params = { .n_reps = 3, .warmup = true };
    const rb_model_params how = { .seed = 1 };
    const rb_test test = { .n_gen = 2,
                           .n_seq = 1,
                           .n_layer = 2,
                           .n_ubatch = 8,
                           .n_threads = 1,
                           .type_k = RB_F16,
                           .type_v = RB_F16 };
    rb_model *model;
    rb_bench *b;
    cr_assert_eq(rb_model_open(&model, "tiny", &how, NULL), RB_OK);
    cr_assert_eq(rb_bench_open(&b, model, model, &params, NULL), RB_OK);
    rb_pmu_close(b->pmu);
    b->pmu = pmu;
    rb_bench_test(b, &test, r);
    cr_assert_str_eq(r->error, "");
    const rb_subject subject = {
        .filename = "tiny", .model = model, .cpu = "a CPU", .commit = "c0ffee"
    };
    json_t *o = rb_record(&subject, r, NULL);
    rb_bench_close(b);
    rb_model_close(model);
    return o;
}

/* Around each timed repetition, and around nothing else. */
Test(pmu, of_each_repetition)
{
    kernel k = { .each = 10 };
    rb_result *r = calloc(1, sizeof *r);
    add_imc("uncore_imc_0", "14");
    json_t *o = record_with(open_pmu(here.root, &k), r);
    const json_t *bytes = json_object_get(o, "bytes_dram_pmu");
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(r->sample[i].pmu.read, 2 * 10 * 64);
        cr_assert_eq(r->sample[i].pmu.write, 2 * 10 * 64);
    }
    cr_assert_eq(k.at[0].now.value, 1000 + 3 * 2 * 10);
    cr_assert_eq(json_integer_value(json_object_get(bytes, "read")), 1280);
    cr_assert_eq(json_integer_value(json_object_get(bytes, "write")), 1280);
    cr_assert_eq(json_integer_value(json_object_get(bytes, "total")), 2560);
    cr_assert_eq(json_number_value(json_object_get(bytes, "counted")), 1);
    cr_assert_float_eq(json_number_value(json_object_get(o, "oi_dram_pmu")),
                       (double)r->total.cost.flops / 2560, 1e-9);
    all_closed(&k);
    json_decref(o);
    free(r);
}

Test(pmu, records_without_counters_have_null)
{
    kernel k = { .each = 10 };
    rb_result *r = calloc(1, sizeof *r);
    json_t *o = record_with(NULL, r);
    cr_assert(json_is_null(json_object_get(o, "bytes_dram_pmu")));
    cr_assert(json_is_null(json_object_get(o, "oi_dram_pmu")));
    json_decref(o);
    add_zen("23", "49"); /* both directions in one: neither is known alone */
    add_df();
    o = record_with(open_pmu(here.root, &k), r);
    const json_t *bytes = json_object_get(o, "bytes_dram_pmu");
    cr_assert(json_is_null(json_object_get(bytes, "read")));
    cr_assert(json_is_null(json_object_get(bytes, "write")));
    cr_assert_eq(json_integer_value(json_object_get(bytes, "total")), 8 * 10 * 64);
    json_decref(o);
    free(r);
}

/* This machine's own, whatever it has: never a count of 0 that was not counted. */
Test(pmu, of_this_machine)
{
    rb_pmu *p = rb_pmu_open("", &rb_pmu_kernel);
    rb_pmu_begin(p);
    const rb_pmu_bytes b = rb_pmu_end(p);
    cr_assert_eq(b.counted > 0, strncmp(rb_pmu_text(p), "none: ", 6) != 0, "%s", rb_pmu_text(p));
    rb_pmu_close(p);
}
