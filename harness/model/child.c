/* SPDX-License-Identifier: Apache-2.0 */
#include "model/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/proc.h"
#include "base/str.h"

#define TICK_MS 20

typedef struct child {
    pid_t pid;
    int fd;
    int wait_status;
    size_t max;
    strbuf text;
    const char *killed; /* why, or NULL */
} child;

/* A close-on-exec pipe whose ends are not where the child expects its channel. */
static status make_pipe(int fds[2], error *err) {
    int raw[2];
    if (pipe2(raw, O_CLOEXEC) != 0) {
        return error_set(err, STATUS_IO, "pipe: %s", strerror(errno));
    }
    for (int i = 0; i < 2; i++) {
        fds[i] = fcntl(raw[i], F_DUPFD_CLOEXEC, PROC_CHANNEL_FD + 7);
        (void)close(raw[i]);
    }
    return fds[0] >= 0 && fds[1] >= 0 ? STATUS_OK : error_set(err, STATUS_IO, "pipe: %s", strerror(errno));
}

static status start(const child_spec *spec, child *ch, error *err) {
    int fds[2] = {-1, -1};
    TRY(make_pipe(fds, err));
    cpu_isa isa = CPU_BASELINE;
    const char *env[CPU_ENV_MAX];
    status s = cpu_choose(spec->max_isa, &isa, err);
    if (s == STATUS_OK) {
        proc_spec p = {.exe = spec->exe, .argv = spec->argv, .env = env, .channel = fds[1], .out = -1};
        p.n_env = cpu_worker_env(isa, env);
        s = proc_spawn(&p, &ch->pid, err);
    }
    (void)close(fds[1]);
    ch->fd = fds[0];
    if (s != STATUS_OK) {
        (void)close(fds[0]);
    }
    return s;
}

/* Takes what is there. False at the end of the stream. */
static bool drain(child *ch, int timeout_ms) {
    struct pollfd pfd = {.fd = ch->fd, .events = POLLIN};
    if (poll(&pfd, 1, timeout_ms) <= 0) {
        return true;
    }
    char part[4096];
    ssize_t n = read(ch->fd, part, sizeof part);
    if (n > 0) {
        size_t room = ch->max - ch->text.len;
        strbuf_addn(&ch->text, part, (size_t)n < room ? (size_t)n : room);
    }
    return n > 0 || (n < 0 && errno == EINTR);
}

static void watch(const child_spec *spec, child *ch) {
    int64_t end = clock_ns() + (int64_t)(spec->timeout_s * 1e9);
    bool open = true;
    while (waitpid(ch->pid, &ch->wait_status, WNOHANG) != ch->pid) {
        if (open) {
            open = drain(ch, TICK_MS);
        } else {
            (void)poll(NULL, 0, 1); /* its end of the pipe is closed, it is about to be gone */
        }
        if (ch->killed == NULL && clock_ns() > end) {
            ch->killed = "timed out";
        } else if (ch->killed == NULL && proc_rss_bytes(ch->pid) > spec->rss_limit) {
            ch->killed = "took more memory than the limit";
        } else {
            continue;
        }
        (void)kill(ch->pid, SIGKILL);
    }
    while (open && ch->text.len < ch->max) { /* what it had sent before it ended; never wait for grandchildren */
        size_t before = ch->text.len;
        open = drain(ch, 0);
        open = open && ch->text.len > before;
    }
    (void)close(ch->fd);
}

status child_run(const child_spec *spec, arena *a, child_result *out, error *err) {
    child ch = {.fd = -1, .max = spec->max_bytes};
    TRY(start(spec, &ch, err));
    watch(spec, &ch);
    *out = (child_result){.text = arena_strndup(a, strbuf_str(&ch.text), ch.text.len),
                          .n = ch.text.len,
                          .wait_status = ch.wait_status,
                          .killed = ch.killed};
    strbuf_free(&ch.text);
    return STATUS_OK;
}

assay_option *child_options(char *const *args, size_t n, arena *a) {
    assay_option *options = arena_alloc(a, n * sizeof *options);
    for (size_t i = 0; i < n; i++) {
        char *key = arena_strdup(a, args[i]);
        char *eq = strchr(key, '=');
        options[i] = (assay_option){key, eq == NULL ? "" : eq + 1};
        if (eq != NULL) {
            *eq = '\0';
        }
    }
    return options;
}
