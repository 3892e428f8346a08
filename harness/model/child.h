/* SPDX-License-Identifier: Apache-2.0
 * Foreign code in a process of its own: this binary spawned with a hidden verb, under a deadline and a memory limit.
 * What it has to say comes over PROC_CHANNEL_FD. */
#ifndef MODEL_CHILD_H
#define MODEL_CHILD_H

#include <stddef.h>
#include <stdint.h>

#include "assay/plugin.h"
#include "base/mem.h"
#include "base/status.h"

typedef struct child_spec {
    const char *exe;         /* NULL: this binary (/proc/self/exe) */
    const char *const *argv; /* NULL-terminated, argv[0] included */
    double timeout_s;
    int64_t rss_limit;   /* bytes */
    const char *max_isa; /* cpu_choose; NULL: no cap */
    size_t max_bytes;    /* of its text; the rest is thrown away */
} child_spec;

typedef struct child_result {
    const char *text;   /* what came, NUL-terminated */
    size_t n;           /* its bytes */
    int wait_status;    /* as of waitpid */
    const char *killed; /* why we ended it, or NULL */
} child_result;

/* Runs it to its end. STATUS_OK whatever became of it; errors are our own (USAGE, IO). The text lives in the arena. */
status child_run(const child_spec *spec, arena *a, child_result *out, error *err);

/* In the child: KEY=VALUE arguments as options of a plug-in. */
assay_option *child_options(char *const *args, size_t n, arena *a);

#endif
