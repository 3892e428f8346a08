/* SPDX-License-Identifier: Apache-2.0
 * The conformance list for plug-ins and models (`assay validate PLUGIN [MODEL]`). Each check runs in a process of its
 * own, spawned from this binary, with a deadline and a memory limit: a crash or a hang fails the check and the list
 * goes on. */
#ifndef MODEL_VALIDATE_H
#define MODEL_VALIDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "assay/plugin.h"
#include "base/mem.h"
#include "base/status.h"

typedef struct validate_test {
    const char *name;    /* "batch-invariant" */
    const char *summary; /* what is demanded, one line */
} validate_test;

/* In the order in which they run. */
const validate_test *validate_tests(size_t *n);

/* Runs ONE check in the calling process, which it may take down. STATUS_OK: passed; STATUS_MODEL: failed;
 * STATUS_UNSUPPORTED: skipped (a capability or a file is not there); `report` (NUL-terminated, at most cap bytes) says
 * why, or what was measured. STATUS_USAGE for an unknown name. */
status validate_run_test(const char *name, const char *plugin_path, const char *model_path, const assay_option *options,
                         size_t n_options, char *report, size_t cap, error *err);

/* The hidden verb of the child process: argv = NAME PLUGIN MODEL [KEY=VALUE ...] (MODEL may be ""), result on
 * PROC_CHANNEL_FD. Returns the exit code. The parent is validate_all, called by a binary whose main() hands over to
 * validate_child when argv[1] is VALIDATE_VERB. */
#define VALIDATE_VERB "__validate"
int validate_child(int argc, char **argv);

typedef enum validate_outcome { VALIDATE_PASS, VALIDATE_FAIL, VALIDATE_SKIP } validate_outcome;

typedef struct validate_result {
    const char *name, *summary;
    validate_outcome outcome;
    const char *text; /* why, or what was measured; "" */
    double seconds;
} validate_result;

typedef struct validate_spec {
    const char *exe;    /* NULL: this binary (/proc/self/exe) */
    const char *plugin; /* path */
    const char *model;  /* path or NULL */
    const assay_option *options;
    size_t n_options;
    const char *const *only; /* names, NULL-terminated; NULL: all. Unknown names are STATUS_USAGE. */
    double timeout_s;        /* per check; 0: 60 */
    int64_t rss_limit;       /* bytes per check; 0: 4 GiB */
    const char *max_isa;     /* cpu_choose; NULL: no cap */
    void (*on_result)(void *context, const validate_result *r); /* as they come; may be NULL */
    void *context;
} validate_spec;

/* Results in `a`. STATUS_OK even if checks failed; errors are our own (USAGE, IO). If the plug-in does not load or the
 * model does not open, the checks that need it are skipped. */
status validate_all(const validate_spec *spec, arena *a, validate_result **results, size_t *n, error *err);

const char *validate_outcome_name(validate_outcome o); /* "pass", "FAIL", "skip" */

#endif
