/* What the paper printed: its devices and its rates, embedded in the program (devices.json,
 * rates.json), and files of the same form that users bring. And the roofs of a device: where exact
 * counts would stand on it. Refuses what lacks a field, has one too many or is out of range.
 * Included by paper.h. Read next: data.c. */
#ifndef RB_DATA_H
#define RB_DATA_H

#include "proxy.h"

#include "../roofs.h"

enum { RB_MOST_DEVICES = 32, RB_MOST_RATES = 128 };

typedef enum { RB_THEORY, RB_MEASURED, RB_N_BASIS } rb_basis;

/* 0: the paper has no such figure. */
typedef struct rb_device {
    char name[48];
    double gbps[RB_N_BASIS];
    double fp16_gflops[RB_N_BASIS], fp32_gflops[RB_N_BASIS];
    double ridge[RB_N_BASIS]; /* as printed, FLOP/byte */
} rb_device;

typedef struct rb_devices {
    char source[400];
    rb_device at[RB_MOST_DEVICES];
    int n;
} rb_devices;

typedef struct rb_rated {
    char device[48], model[64], type[16]; /* model: a preset; type: a mix of convert.h */
    rb_proxy_rate rate[RB_N_WORKLOAD];
} rb_rated;

typedef struct rb_rates {
    char source[400];
    bool given; /* by a user's file; else the paper's own */
    int n_reps;
    double resident_bytes; /* what the process holds beside the weights */
    rb_rated at[RB_MOST_RATES];
    int n;
} rb_rates;

/* path NULL: the paper's own. RB_ERR_FORMAT names the file, the entry and the field. */
rb_status rb_devices_read(rb_devices *d, const char *path, rb_error *err);
rb_status rb_rates_read(rb_rates *r, const char *path, rb_error *err);

/* ---- exact counts under the roofs of a device ---- */

typedef enum { RB_FP16, RB_FP32 } rb_precision;
typedef struct rb_device_place {
    double ridge;   /* of these roofs, FLOP/byte */
    double oi;      /* flops / bytes */
    double gflops;  /* attainable: min(peak, OI x bandwidth) */
    double seconds; /* the least that the roofs allow */
    bool memory;    /* bound by bandwidth: left of the ridge */
} rb_device_place;
/* false: the device has no such roof, or there is no work. */
bool rb_device_place_of(const rb_device *d, rb_basis basis, rb_precision precision, uint64_t flops,
                        uint64_t bytes, rb_device_place *place);

#endif
