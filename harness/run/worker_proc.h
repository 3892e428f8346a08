/* SPDX-License-Identifier: Apache-2.0
 * The supervisor's handle on one worker process. */
#ifndef RUN_WORKER_PROC_H
#define RUN_WORKER_PROC_H

#include <sys/types.h>

#include "run/protocol.h"

typedef struct worker_env {
    const char *const *v; /* NAME=VALUE */
    size_t n;
} worker_env;

typedef struct worker_proc {
    pid_t pid; /* 0: not running */
    int fd;
    frame_buffer in;
} worker_proc;

typedef struct worker_exit {
    bool signalled;
    int signal, exit_status;
    int64_t user_us, system_us, max_rss_bytes;
} worker_exit;

status worker_start(worker_proc *w, worker_env env, error *err);
/* Kills it if `kill_it`, closes the channel, waits for its end (not forever: then kills it), kills what it left. */
worker_exit worker_stop(worker_proc *w, bool kill_it);
/* It has ended, though it still has to be stopped: true too if its end cannot be known. */
bool worker_ended(const worker_proc *w);

/* The next frame, valid until the next call. STATUS_IO when the worker ends first, STATUS_MODEL when it takes too long
 * (*late). */
status worker_await(worker_proc *w, int64_t deadline_ns, frame *f, bool *late, error *err);

/* Sends without waiting: what the plug-in is, and a dataset that it will need. */
void worker_ask(worker_proc *w, const char *plugin_path);
void worker_preload(worker_proc *w, const char *manifest_path, const char *dataset_id);
/* The answer to worker_ask (a new reference); the worker lives on. A crash or a hang is STATUS_MODEL with a text, *how
 * is then CRASHED or TIMEOUT (FAILED for an error of the plug-in), and the worker is gone. */
status worker_answer(worker_proc *w, const char *plugin_path, double timeout_s, json_t **answer, outcome *how,
                     error *err);
/* Starts a worker, asks it about a plug-in, ends it. Errors as of worker_answer. */
status worker_probe(worker_env env, const char *plugin_path, double timeout_s, json_t **answer, outcome *how,
                    error *err);

#endif
