/* SPDX-License-Identifier: Apache-2.0 */
#include "run/worker_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/proc.h"

enum { GRACE_S = 3, SEND_TIMEOUT_S = 5 };

/* Away from the standard descriptors, where somebody's printf would write into the channel if assay was started without
 * them, and from the child's end: posix_spawn's dup2 of a descriptor onto itself would keep it close-on-exec. */
static status move_up(int *fd, error *err) {
    if (*fd > PROC_CHANNEL_FD) {
        return STATUS_OK;
    }
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, PROC_CHANNEL_FD + 1);
    if (moved < 0) {
        return error_set(err, STATUS_IO, "socketpair: %s", strerror(errno));
    }
    (void)close(*fd);
    *fd = moved;
    return STATUS_OK;
}

status worker_start(worker_proc *w, worker_env env, error *err) {
    int pair[2];
    *w = (worker_proc){.fd = -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return error_set(err, STATUS_IO, "socketpair: %s", strerror(errno));
    }
    static const char *const argv[] = {"assay", "__worker", NULL};
    proc_spec spec = {.argv = argv, .env = env.v, .n_env = env.n, .channel = -1, .out = -1, .own_group = true};
    status s = move_up(&pair[0], err);
    if (s == STATUS_OK) {
        s = move_up(&pair[1], err);
    }
    if (s == STATUS_OK) {
        spec.channel = pair[1];
        s = proc_spawn(&spec, &w->pid, err);
    }
    (void)close(pair[1]);
    if (s != STATUS_OK) {
        (void)close(pair[0]);
        *w = (worker_proc){.fd = -1};
        return s;
    }
    /* one that does not read must not hold us up: what was not sent shows as its timeout */
    (void)setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){.tv_sec = SEND_TIMEOUT_S},
                     sizeof(struct timeval));
    w->fd = pair[0];
    return STATUS_OK;
}

bool worker_ended(const worker_proc *w) {
    siginfo_t si = {0};
    return waitid(P_PID, (id_t)w->pid, &si, WEXITED | WNOHANG | WNOWAIT) != 0 || si.si_pid != 0;
}

/* A worker whose channel is closed ends by itself, unless a plug-in's thread, destructor or exit handler hangs. */
static bool ends_in_time(const worker_proc *w) {
    int64_t deadline_ns = clock_ns() + (int64_t)GRACE_S * 1000000000;
    for (long nap_ns = 100000; !worker_ended(w); nap_ns = nap_ns < 1000000 ? nap_ns * 2 : nap_ns) {
        if (clock_ns() > deadline_ns) {
            return false;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = nap_ns}, NULL);
    }
    return true;
}

worker_exit worker_stop(worker_proc *w, bool kill_it) {
    worker_exit e = {0};
    if (w->pid == 0) {
        return e;
    }
    (void)close(w->fd);
    if (kill_it || !ends_in_time(w)) {
        (void)kill(w->pid, SIGKILL);
    }
    /* Children that a model left behind are in the worker's group, whose number is its own as long as it is not reaped.
     */
    siginfo_t si;
    while (waitid(P_PID, (id_t)w->pid, &si, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
    }
    (void)kill(-w->pid, SIGKILL);
    int st = 0;
    struct rusage ru = {0};
    while (wait4(w->pid, &st, 0, &ru) < 0) {
        if (errno != EINTR) {
            st = W_EXITCODE(255, 0); /* somebody else took its end: unknown is not success */
            break;
        }
    }
    e.signalled = WIFSIGNALED(st);
    e.signal = e.signalled ? WTERMSIG(st) : 0;
    e.exit_status = WIFEXITED(st) ? WEXITSTATUS(st) : 0;
    e.user_us = (int64_t)ru.ru_utime.tv_sec * 1000000 + ru.ru_utime.tv_usec;
    e.system_us = (int64_t)ru.ru_stime.tv_sec * 1000000 + ru.ru_stime.tv_usec;
    e.max_rss_bytes = (int64_t)ru.ru_maxrss * 1024;
    frame_buffer_free(&w->in);
    *w = (worker_proc){.fd = -1};
    return e;
}

status worker_await(worker_proc *w, int64_t deadline_ns, frame *f, bool *late, error *err) {
    for (;;) {
        bool have = false;
        bool eof = false;
        TRY(frame_buffer_next(&w->in, f, &have, err));
        int64_t left = deadline_ns - clock_ns();
        *late = !have && left <= 0;
        if (have) {
            return STATUS_OK;
        }
        if (*late) {
            return error_set(err, STATUS_MODEL, "no answer in time");
        }
        struct pollfd p = {.fd = w->fd, .events = POLLIN};
        (void)poll(&p, 1, left < 1000000000 ? (int)(left / 1000000) + 1 : 1000);
        if (p.revents != 0) {
            TRY(frame_buffer_fill(&w->in, w->fd, &eof, err));
        }
        if (eof || (p.revents == 0 && worker_ended(w))) {
            return error_set(err, STATUS_IO, "ended without an answer");
        }
    }
}

/* Waits for one frame of the wanted type and passes over others. */
static status await(worker_proc *w, frame_type want, int64_t deadline_ns, frame *f, bool *late, error *err) {
    do {
        if (clock_ns() > deadline_ns) {
            *late = true;
            return error_set(err, STATUS_MODEL, "no answer in time");
        }
        TRY(worker_await(w, deadline_ns, f, late, err));
    } while (f->type != (uint32_t)want);
    return STATUS_OK;
}

void worker_ask(worker_proc *w, const char *plugin_path) {
    error ignored = {0}; /* a worker that is gone shows when its answer is awaited */
    (void)frame_write_json(w->fd, FRAME_PROBE, json_pack("{s:s}", "plugin", plugin_path), &ignored);
}

void worker_preload(worker_proc *w, const char *manifest_path, const char *dataset_id) {
    error ignored = {0};
    (void)frame_write_json(w->fd, FRAME_PRELOAD,
                           json_pack("{s:s, s:s}", "manifest", manifest_path, "dataset", dataset_id), &ignored);
}

status worker_answer(worker_proc *w, const char *plugin_path, double timeout_s, json_t **answer, outcome *how,
                     error *err) {
    bool late = false;
    frame f = {0};
    *answer = NULL;
    *how = OUTCOME_FAILED;
    status s = await(w, FRAME_PROBED, clock_ns() + (int64_t)(timeout_s * 1e9), &f, &late, err);
    if (s == STATUS_OK) {
        *answer = frame_json(&f, err);
        s = *answer == NULL ? STATUS_MODEL : STATUS_OK;
    }
    if (s == STATUS_OK && json_object_get(*answer, "error") == NULL) {
        return STATUS_OK;
    }
    worker_exit e = worker_stop(w, true);
    if (s == STATUS_OK) {
        const char *text = json_string_value(json_object_get(*answer, "error"));
        s = error_set(err, STATUS_MODEL, "%s", text == NULL ? "the worker's answer is malformed" : text);
        json_decref(*answer);
        *answer = NULL;
        return s;
    }
    if (late) {
        *how = OUTCOME_TIMEOUT;
        return error_set(err, STATUS_MODEL, "%s: loading took more than %g s", plugin_path, timeout_s);
    }
    *how = OUTCOME_CRASHED;
    return error_set(err, STATUS_MODEL, "%s: loading it ended the worker (%s %d)", plugin_path,
                     e.signalled ? proc_signal_name(e.signal) : "exit status", e.signalled ? e.signal : e.exit_status);
}

status worker_probe(worker_env env, const char *plugin_path, double timeout_s, json_t **answer, outcome *how,
                    error *err) {
    worker_proc w;
    *answer = NULL;
    *how = OUTCOME_FAILED;
    TRY(worker_start(&w, env, err));
    worker_ask(&w, plugin_path);
    status s = worker_answer(&w, plugin_path, timeout_s, answer, how, err);
    (void)worker_stop(&w, true);
    return s;
}
