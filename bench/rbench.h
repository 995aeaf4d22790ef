/* The library: the one header of those who build on librbench, in a program of theirs (#include
 * <rbench.h>). What it shows is what rbench itself is made of: no call here is a copy. A kernel
 * file of theirs includes <rbench/kernels/chunks.h> (element by element) or dots.h (rows of
 * weights) instead, as rbench's own do. Read next: examples/README.md. */
#ifndef RBENCH_H
#define RBENCH_H

/* Where to look, in the order of a program. Every call that can fail returns an rb_status and fills
 * an rb_error with one line; closers take NULL.
 *
 * a model        rb_model_open (a file, a folder, a preset), rb_preset_find, rb_config_set,
 *                rb_model_synth, rb_model_pack                             models/models.h
 * a session      rb_session_defaults, rb_session_open, rb_session_run (prefill or decode),
 *                rb_session_logits, rb_session_ledger: FLOPs and bytes by phase, site and
 *                operation                                                 engine/engine.h
 * its counts     rb_ledger_phase, rb_ledger_site, rb_cost_bytes            kernels/cost.h
 * a kernel       rb_registry_open, RB_KERNEL_FILE, rb_register; then
 *                rb_session_params.registry                                kernels/register.h
 *                what a row says of itself: rb_kernel, rb_op               kernels/op.h
 * attention      rb_attn_variant; then rb_session_params.variant           engine/variant.h
 *                what its hooks launch: rb_op_matmul ...                   kernels/ops.h
 * a proof        rb_prove_rows, rb_prove_session                           bench/outside.h
 *                one row on one problem: rb_case_make, rb_prove            kernels/prove.h
 * roofs          rb_roof_pool, rb_roofs_measure                            bench/roofs.h
 * a benchmark    rb_bench_open, rb_test (rb_test.outside), rb_bench_run; rb_result: counts,
 *                times and the place under the roofs                       bench/measure.h
 * tables, JSON   rb_report_open, rb_report_row, rb_report_kernels          bench/report.h
 *
 * Every object may be used from any thread, by one at a time. Two sessions that run at once share
 * the cores, and the times of neither mean anything. */
#include "measure.h"
#include "outside.h"
#include "report.h"

#endif
