/* Counters of memory controllers, by the files of the kernel that describe them: a device's type,
 * the CPUs to open it on, the events it knows and where their numbers stand in `config`. Events are
 * those that Linux names itself (Intel) or its perf tool lists (AMD). Refuses devices that it does
 * not know to the last event. Read next: pmu.h, env.h. */
#include "pmu.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/perf_event.h>

#include "env.h"

enum { MAX_COUNTER = 512, LINE_BYTES = 64 };

#define DEVICES "/sys/bus/event_source/devices"

typedef enum { READ, WRITE, EITHER } direction;

typedef struct counter {
    int fd;
    direction direction;
    double bytes; /* for each count */
    rb_pmu_reading begin;
    bool began;
} counter;

struct rb_pmu {
    const char *root;
    rb_pmu_system system;
    char text[256];
    counter counter[MAX_COUNTER];
    int n, n_device;
};

/* ---- which events ---- */

typedef struct event {
    const char *name;  /* that the device has a file for, with its scale and unit; or ours */
    const char *terms; /* NULL: what that file says */
    direction direction;
} event;

/* Of devices called `name`, with a number behind it or none. Those that can count the same thing
 * stand in order of preference. */
typedef struct family {
    const char *name;
    event event[12]; /* ends with a NULL name; those that a device has no file for are left out */
    bool (*applies)(const char *root); /* NULL: wherever there is such a device */
} family;

/* Whose events those of amd_df below are; later ones have others under their numbers. */
static bool is_zen_1_to_3(const char *root)
{
    char vendor[32], number[2][32];
    if (!rb_host_field(root, "/proc/cpuinfo", "vendor_id", vendor, sizeof vendor) ||
        !rb_host_field(root, "/proc/cpuinfo", "cpu family", number[0], sizeof number[0]) ||
        !rb_host_field(root, "/proc/cpuinfo", "model", number[1], sizeof number[1]))
        return false;
    const int cpu_family = atoi(number[0]), high = atoi(number[1]) / 16;
    const bool zen_3 = high == 0 || high == 2 || high == 4 || high == 5;
    return !strcmp(vendor, "AuthenticAMD") && (cpu_family == 23 || (cpu_family == 25 && zen_3));
}

static const family families[] = {
    { "uncore_imc",
      { { "cas_count_read", NULL, READ },
        { "cas_count_write", NULL, WRITE },
        { "cas_count_read_sch0", NULL, READ },
        { "cas_count_read_sch1", NULL, READ },
        { "cas_count_write_sch0", NULL, WRITE },
        { "cas_count_write_sch1", NULL, WRITE },
        { "data_reads", NULL, READ },
        { "data_writes", NULL, WRITE } },
      NULL },
    { "uncore_imc_free_running",
      { { "data_read", NULL, READ },
        { "data_write", NULL, WRITE },
        { "read", NULL, READ },
        { "write", NULL, WRITE } },
      NULL },
    { "amd_umc",
      { { "umc_cas_cmd.rd", "event=0x0a,rdwrmask=1", READ },
        { "umc_cas_cmd.wr", "event=0x0a,rdwrmask=2", WRITE } },
      NULL },
    /* More channels than there are counters: these take turns. */
    { "amd_df",
      { { "dram_channel_data_controller_0", "event=0x07,umask=0x38", EITHER },
        { "dram_channel_data_controller_1", "event=0x47,umask=0x38", EITHER },
        { "dram_channel_data_controller_2", "event=0x87,umask=0x38", EITHER },
        { "dram_channel_data_controller_3", "event=0xc7,umask=0x38", EITHER },
        { "dram_channel_data_controller_4", "event=0x107,umask=0x38", EITHER },
        { "dram_channel_data_controller_5", "event=0x147,umask=0x38", EITHER },
        { "dram_channel_data_controller_6", "event=0x187,umask=0x38", EITHER },
        { "dram_channel_data_controller_7", "event=0x1c7,umask=0x38", EITHER } },
      is_zen_1_to_3 },
};
enum { N_FAMILY = sizeof families / sizeof *families };

/* ---- what a device says of itself ---- */

static bool device_line(const rb_pmu *p, const char *device, const char *file, char *buf,
                        size_t size)
{
    char path[512];
    snprintf(path, sizeof path, DEVICES "/%s/%s", device, file);
    return rb_host_line(p->root, path, buf, size);
}

/* Numbers and ranges by comma, as "0-7,32-35": calls take for each number, in order, as long as
 * it returns true. */
static bool each_number(const char *list, bool (*take)(void *arg, int n), void *arg)
{
    while (*list) {
        char *end;
        const long first = strtol(list, &end, 10);
        long last = first;
        if (end == list)
            return false;
        if (*end == '-') {
            list = end + 1;
            last = strtol(list, &end, 10);
        }
        if (end == list || first < 0 || last < first || last > 1 << 16 || (*end && *end != ','))
            return false;
        for (long n = first; n <= last; n++)
            if (!take(arg, (int)n))
                return false;
        list = *end ? end + 1 : end;
    }
    return true;
}

/* Bits of a value on their way to where a format puts them. */
typedef struct spread {
    uint64_t value, config;
} spread;

static bool put_bit(void *arg, int bit)
{
    spread *s = arg;
    if (bit > 63)
        return false;
    s->config |= (s->value & 1) << bit;
    s->value >>= 1;
    return true;
}

/* Adds the term "name=value" to a config, where the device's format wants it. */
static bool put_term(const rb_pmu *p, const char *device, const char *term, uint64_t *config)
{
    static const char in_config[] = "config:";
    char file[128], format[128];
    const char *value = strchr(term, '=');
    spread s = { value ? strtoull(value + 1, NULL, 0) : 1, 0 };
    snprintf(file, sizeof file, "format/%.*s", (int)strcspn(term, "="), term);
    if (!device_line(p, device, file, format, sizeof format) ||
        strncmp(format, in_config, strlen(in_config)) != 0 ||
        !each_number(format + strlen(in_config), put_bit, &s) || s.value)
        return false;
    *config |= s.config;
    return true;
}

static bool config_of(const rb_pmu *p, const char *device, const char *terms, uint64_t *config)
{
    char copy[256], *rest = copy;
    snprintf(copy, sizeof copy, "%s", terms);
    *config = 0;
    for (char *term; (term = strsep(&rest, ","));)
        if (!put_term(p, device, term, config))
            return false;
    return true;
}

/* Bytes for each count of an event that the device has files for: its scale, times its unit. */
static bool bytes_of(const rb_pmu *p, const char *device, const event *e, double *bytes)
{
    char file[128], line[64];
    snprintf(file, sizeof file, "events/%s.scale", e->name);
    if (!device_line(p, device, file, line, sizeof line))
        return false;
    json_t *scale = json_loads(line, JSON_DECODE_ANY, NULL); /* a point in every locale */
    *bytes = json_number_value(scale);
    json_decref(scale);
    snprintf(file, sizeof file, "events/%s.unit", e->name);
    if (!device_line(p, device, file, line, sizeof line))
        return false;
    *bytes *= strcmp(line, "MiB") == 0 ? 1 << 20 : 0; /* no other is known */
    return *bytes > 0;
}

/* ---- opening ---- */

/* Why there is nothing to count with: "none: WHAT of DEVICE: WHY". */
static bool give_up(rb_pmu *p, const char *what, const char *device, const char *why)
{
    snprintf(p->text, sizeof p->text, "none: %.60s of %.60s: %.100s", what, device, why);
    return false;
}

static bool refused(rb_pmu *p, const char *name, const char *device)
{
    const char *error = strerror(errno);
    char paranoid[32], why[160];
    if (!rb_host_line(p->root, "/proc/sys/kernel/perf_event_paranoid", paranoid, sizeof paranoid))
        strcpy(paranoid, "unknown");
    snprintf(why, sizeof why, "%s (perf_event_paranoid: %s)", error, paranoid);
    return give_up(p, name, device, why);
}

/* One event of a device, to be opened on each of its CPUs. */
typedef struct opening {
    rb_pmu *p;
    const char *device;
    const event *event;
    uint32_t type;
    uint64_t config;
    double bytes;
} opening;

static bool open_on(void *arg, int cpu)
{
    const opening *o = arg;
    rb_pmu *p = o->p;
    if (p->n == MAX_COUNTER)
        return give_up(p, o->event->name, o->device, "too many counters");
    const int fd = p->system.open(p->system.arg, o->type, o->config, cpu);
    if (fd < 0)
        return refused(p, o->event->name, o->device);
    p->counter[p->n++] = (counter){ .fd = fd, .direction = o->event->direction, .bytes = o->bytes };
    return true;
}

static bool open_event(rb_pmu *p, const char *device, const event *e, const char *terms)
{
    char type[32], cpus[256];
    opening o = { .p = p, .device = device, .event = e, .bytes = LINE_BYTES };
    const bool known = config_of(p, device, terms, &o.config) &&
                       (e->terms || bytes_of(p, device, e, &o.bytes)) &&
                       device_line(p, device, "type", type, sizeof type) &&
                       device_line(p, device, "cpumask", cpus, sizeof cpus) && cpus[0];
    if (!known)
        return give_up(p, e->name, device, "its description is not understood");
    o.type = (uint32_t)strtoul(type, NULL, 10);
    return each_number(cpus, open_on, &o) ||
           (!p->text[0] && give_up(p, "cpumask", device, "it is not understood"));
}

/* All events that a device has, of both directions or of either. *any: it has some. */
static bool open_device(rb_pmu *p, const family *f, const char *device, bool *any)
{
    bool has[3] = { false };
    for (const event *e = f->event; e->name; e++) {
        char file[128], terms[256];
        snprintf(file, sizeof file, "events/%s", e->name);
        if (!e->terms && !device_line(p, device, file, terms, sizeof terms))
            continue;
        if (!open_event(p, device, e, e->terms ? e->terms : terms))
            return false;
        has[e->direction] = true;
    }
    *any = has[READ] || has[WRITE] || has[EITHER];
    if (has[READ] != has[WRITE])
        return give_up(p, "events", device, "one direction only");
    return true;
}

/* "uncore_imc" or "uncore_imc_3", but not "uncore_imc_free_running". */
static bool is_of(const family *f, const char *device)
{
    const size_t n = strlen(f->name);
    const char *number = device + n + 1;
    if (strncmp(device, f->name, n) != 0)
        return false;
    return !device[n] || (device[n] == '_' && *number && !number[strspn(number, "0123456789")]);
}

/* Every device of a family, unless none of them has an event that is known. */
static bool open_family(rb_pmu *p, const family *f, DIR *devices)
{
    int n_lacking = 0;
    rewinddir(devices);
    for (struct dirent *d; (d = readdir(devices));) {
        bool any = false;
        if (!is_of(f, d->d_name))
            continue;
        if (!open_device(p, f, d->d_name, &any))
            return false;
        p->n_device += any;
        n_lacking += !any;
    }
    if (p->n_device && n_lacking)
        return give_up(p, "events", f->name, "some controllers have none");
    return true;
}

static void close_all(rb_pmu *p)
{
    for (int i = 0; i < p->n; i++)
        p->system.close(p->system.arg, p->counter[i].fd);
    p->n = 0;
}

rb_pmu *rb_pmu_open(const char *root, const rb_pmu_system *system)
{
    char path[512];
    rb_pmu *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->root = root;
    p->system = *system;
    snprintf(path, sizeof path, "%s%s", root, DEVICES);
    DIR *devices = opendir(path);
    for (int i = 0; devices && i < N_FAMILY && !p->n_device && !p->text[0]; i++) {
        const family *f = &families[i];
        if (f->applies && !f->applies(root))
            continue;
        if (!open_family(p, f, devices))
            close_all(p);
        else if (p->n_device)
            snprintf(p->text, sizeof p->text, "%s, %d controllers", f->name, p->n_device);
    }
    if (devices)
        closedir(devices);
    if (!p->text[0])
        snprintf(p->text, sizeof p->text, "none: no controller that is known in " DEVICES);
    return p;
}

void rb_pmu_close(rb_pmu *p)
{
    if (p)
        close_all(p);
    free(p);
}

const char *rb_pmu_text(const rb_pmu *p)
{
    return p ? p->text : "none: no memory";
}

/* ---- counting ---- */

uint64_t rb_pmu_total(const rb_pmu_bytes *b)
{
    return b->read + b->write + b->either;
}

void rb_pmu_begin(rb_pmu *p)
{
    for (int i = 0; p && i < p->n; i++) {
        counter *c = &p->counter[i];
        c->began = p->system.read(p->system.arg, c->fd, &c->begin);
    }
}

/* Since begin, all of the time: what was counted over the share of the time that it was. 0 if that
 * is unknown. */
static double share_of(const counter *c, const rb_pmu_reading *end, double *bytes)
{
    const double enabled = (double)(end->enabled_ns - c->begin.enabled_ns);
    const double share = (double)(end->running_ns - c->begin.running_ns) / enabled;
    if (!c->began || !(enabled > 0) || !(share > 0) || end->value < c->begin.value)
        return 0;
    *bytes = (double)(end->value - c->begin.value) * c->bytes / share;
    return share;
}

rb_pmu_bytes rb_pmu_end(const rb_pmu *p)
{
    double sum[3] = { 0 }, counted = 1;
    for (int i = 0; p && i < p->n; i++) {
        const counter *c = &p->counter[i];
        rb_pmu_reading end;
        double bytes = 0;
        const bool ok = p->system.read(p->system.arg, c->fd, &end);
        const double share = ok ? share_of(c, &end, &bytes) : 0;
        sum[c->direction] += bytes;
        counted = share < counted ? share : counted;
    }
    if (!p || !p->n || !(counted > 0))
        return (rb_pmu_bytes){ 0 };
    return (rb_pmu_bytes){ .counted = counted,
                           .read = (uint64_t)llround(sum[READ]),
                           .write = (uint64_t)llround(sum[WRITE]),
                           .either = (uint64_t)llround(sum[EITHER]) };
}

/* ---- the kernel ---- */

static int kernel_open(void *arg, uint32_t type, uint64_t config, int cpu)
{
    struct perf_event_attr attr = {
        .type = type,
        .size = sizeof attr,
        .config = config,
        .read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
    };
    (void)arg;
    return (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

static bool kernel_read(void *arg, int fd, rb_pmu_reading *r)
{
    uint64_t number[3];
    (void)arg;
    if (read(fd, number, sizeof number) != (ssize_t)sizeof number)
        return false;
    *r = (rb_pmu_reading){ number[0], number[1], number[2] };
    return true;
}

static void kernel_close(void *arg, int fd)
{
    (void)arg;
    close(fd);
}

const rb_pmu_system rb_pmu_kernel = { kernel_open, kernel_read, kernel_close, NULL };
