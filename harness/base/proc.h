/* SPDX-License-Identifier: Apache-2.0
 * Child processes: the binary spawns itself (posix_spawn; a bare fork after threads or BLAS exist is not safe). */
#ifndef BASE_PROC_H
#define BASE_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"

#define PROC_CHANNEL_FD 3 /* where a child finds its end of the channel */

typedef struct proc_spec {
    const char *exe;         /* NULL: this binary (/proc/self/exe) */
    const char *const *argv; /* NULL-terminated, argv[0] included */
    const char *const *env;  /* NAME=VALUE that override the inherited environment */
    size_t n_env;
    int channel;    /* becomes PROC_CHANNEL_FD in the child; -1: none */
    int out;        /* becomes the child's stdout; -1: inherited; stdin is /dev/null always */
    bool quiet;     /* stderr goes to /dev/null */
    bool own_group; /* a terminal's Ctrl-C goes to the parent only */
} proc_spec;

status proc_spawn(const proc_spec *spec, pid_t *pid, error *err);
int proc_wait(pid_t pid);              /* exit status, or -signal; 255 if there is no such child */
int64_t proc_rss_bytes(pid_t pid);     /* 0 if it is gone */
const char *proc_signal_name(int sig); /* "SIGSEGV" */

#endif
