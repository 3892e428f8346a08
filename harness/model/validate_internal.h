/* SPDX-License-Identifier: Apache-2.0
 * What the checks (validate_*.c) share. */
#ifndef MODEL_VALIDATE_INTERNAL_H
#define MODEL_VALIDATE_INTERNAL_H

#include "model/host_internal.h"
#include "model/validate.h"

typedef enum check_level { CHECK_NOTHING, CHECK_PLUGIN, CHECK_MODEL } check_level;

typedef struct check {
    const char *plugin_path, *model_path;
    const assay_option *options;
    size_t n_options;
    plugin *p; /* from CHECK_PLUGIN on */
    model *m;  /* from CHECK_MODEL on */
    arena a;   /* for the check's own buffers */
    strbuf report;
} check;

typedef validate_outcome check_fn(check *c);

/* Appends to the report and returns the outcome. */
validate_outcome check_fail(check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
validate_outcome check_skip(check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void check_note(check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Random raw inputs in the declared range (unbounded sides: standard normal), keyed by example and stream. With
 * `margin` the outer tenth of a bounded range is left out, for finite differences. */
void check_inputs(const check *c, size_t n, uint64_t stream, bool margin, float *x);
/* Standard normal values. */
void check_normals(size_t n, uint64_t example, uint64_t stream, float *v);
float *check_floats(check *c, size_t n, size_t per_example);

/* STATUS_OK, or fails the check with the text. */
session *check_session(check *c, uint32_t tile);
session *check_session_with(check *c, const session_options *o);
bool check_predict(check *c, session *s, const float *x, size_t n, float *out);
bool check_vjp(check *c, session *s, const float *x, size_t n, const float *ct, float *gradient);
bool check_can_predict(const check *c);
bool check_can_vjp(const check *c); /* in exact mode */

/* The first example in which the bits differ; n if none. */
size_t check_differs(const float *a, const float *b, size_t n, size_t per_example);

/* The largest |a - b| / max(1, |a|); two NaN are equal, one is infinitely far away. */
double check_gap(const float *a, const float *b, size_t n);
#define CHECK_GAP 1e-4 /* float32 sums in another order */

/* validate_load.c */
check_fn check_loads, check_entry, check_unknown_id, check_opens, check_ports, check_labels, check_cost, check_layers,
    check_memory, check_embed, check_fp_load, check_fp_open, check_fp_call, check_locale, check_signals, check_stdout;
/* validate_predict.c */
check_fn check_predicts, check_output_bounds, check_input_kept, check_deterministic, check_batch_invariant,
    check_sessions, check_threads, check_unpadded;
/* validate_vjp.c */
check_fn check_vjp_differences, check_vjp_linear, check_vjp_modes, check_vjp_sets;
/* validate_abuse.c */
check_fn check_bad_calls, check_bad_open, check_unknown_option, check_missing_file, check_truncated_file, check_leaks;

#endif
