/* SPDX-License-Identifier: Apache-2.0
 * Runs the checks, each in a child process with a deadline and a memory limit. The child sends one byte (P, F, S or E)
 * and its report over a pipe; a child that ends without having sent it has failed. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/io.h"
#include "base/proc.h"
#include "model/validate_internal.h"

#define REPORT_BYTES 4096u
#define TICK_MS 20
#define DEFAULT_TIMEOUT_S 60.0
#define DEFAULT_RSS (INT64_C(4) << 30)

/* ---- the child ---------------------------------------------------------------------------------- */

int validate_child(int argc, char **argv) {
    if (argc < 3) {
        (void)fprintf(stderr, "assay: %s is for assay itself\n", VALIDATE_VERB);
        return status_exit_code(STATUS_USAGE);
    }
    error err = {0};
    int saved = -1;
    (void)fcntl(PROC_CHANNEL_FD, F_SETFD, FD_CLOEXEC);
    if (guard_redirect_stdout(&saved, &err) != STATUS_OK) {
        return status_exit_code(STATUS_IO);
    }
    arena a = {0};
    size_t n = (size_t)argc - 3;
    assay_option *options = arena_alloc(&a, n * sizeof *options);
    for (size_t i = 0; i < n; i++) {
        char *key = arena_strdup(&a, argv[3 + i]);
        char *eq = strchr(key, '=');
        options[i] = (assay_option){key, eq == NULL ? "" : eq + 1};
        if (eq != NULL) {
            *eq = '\0';
        }
    }
    char text[1 + REPORT_BYTES];
    status s = validate_run_test(argv[0], argv[1], argv[2][0] == '\0' ? NULL : argv[2], options, n, text + 1,
                                 REPORT_BYTES, &err);
    text[0] = s == STATUS_OK ? 'P' : s == STATUS_MODEL ? 'F' : s == STATUS_UNSUPPORTED ? 'S' : 'E';
    if (text[0] == 'E') {
        (void)snprintf(text + 1, REPORT_BYTES, "%s", err.text);
    }
    s = io_write_all(PROC_CHANNEL_FD, text, strlen(text), &err);
    arena_free(&a);
    return status_exit_code(s);
}

/* ---- the parent --------------------------------------------------------------------------------- */

typedef struct child {
    pid_t pid;
    int fd;
    int wait_status;
    size_t n;
    char text[1 + REPORT_BYTES + 1];
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

static status start(const validate_spec *spec, const char *name, child *ch, error *err) {
    arena a = {0};
    int fds[2] = {-1, -1};
    TRY(make_pipe(fds, err));
    const char **argv = arena_alloc(&a, (spec->n_options + 6) * sizeof *argv);
    size_t n = 0;
    argv[n++] = "assay";
    argv[n++] = VALIDATE_VERB;
    argv[n++] = name;
    argv[n++] = spec->plugin;
    argv[n++] = spec->model == NULL ? "" : spec->model;
    for (size_t i = 0; i < spec->n_options; i++) {
        argv[n++] = arena_printf(&a, "%s=%s", spec->options[i].key, spec->options[i].value);
    }
    cpu_isa isa = CPU_BASELINE;
    const char *env[CPU_ENV_MAX];
    status s = cpu_choose(spec->max_isa, &isa, err);
    if (s == STATUS_OK) {
        proc_spec p = {.exe = spec->exe, .argv = argv, .env = env, .channel = fds[1], .out = -1};
        p.n_env = cpu_worker_env(isa, env);
        s = proc_spawn(&p, &ch->pid, err);
    }
    (void)close(fds[1]);
    ch->fd = fds[0];
    if (s != STATUS_OK) {
        (void)close(fds[0]);
    }
    arena_free(&a);
    return s;
}

/* Takes what is there. False at the end of the stream. */
static bool drain(child *ch, int timeout_ms) {
    struct pollfd pfd = {.fd = ch->fd, .events = POLLIN};
    if (poll(&pfd, 1, timeout_ms) <= 0) {
        return true;
    }
    char rest[256];
    size_t room = sizeof ch->text - 1 - ch->n;
    ssize_t n = room > 0 ? read(ch->fd, ch->text + ch->n, room) : read(ch->fd, rest, sizeof rest);
    if (n > 0 && room > 0) {
        ch->n += (size_t)n;
    }
    return n > 0 || (n < 0 && errno == EINTR);
}

static void watch(const validate_spec *spec, child *ch) {
    int64_t limit_ns = (int64_t)((spec->timeout_s > 0 ? spec->timeout_s : DEFAULT_TIMEOUT_S) * 1e9);
    int64_t rss = spec->rss_limit > 0 ? spec->rss_limit : DEFAULT_RSS;
    int64_t end = clock_ns() + limit_ns;
    bool open = true;
    while (waitpid(ch->pid, &ch->wait_status, WNOHANG) != ch->pid) {
        if (open) {
            open = drain(ch, TICK_MS);
        } else {
            (void)poll(NULL, 0, 1); /* its end of the pipe is closed, it is about to be gone */
        }
        if (ch->killed == NULL && clock_ns() > end) {
            ch->killed = "timed out";
        } else if (ch->killed == NULL && proc_rss_bytes(ch->pid) > rss) {
            ch->killed = "took more memory than the limit";
        } else {
            continue;
        }
        (void)kill(ch->pid, SIGKILL);
    }
    while (open && ch->n < sizeof ch->text - 1) { /* what it had sent before it ended; never wait for grandchildren */
        size_t before = ch->n;
        open = drain(ch, 0);
        open = open && ch->n > before;
    }
    (void)close(ch->fd);
}

static void judge(const child *ch, arena *a, validate_result *r) {
    int ws = ch->wait_status;
    bool clean = WIFEXITED(ws) && WEXITSTATUS(ws) == 0;
    char kind = ch->n > 0 ? ch->text[0] : '\0';
    const char *report = ch->n > 0 ? arena_strndup(a, ch->text + 1, ch->n - 1) : "";
    r->text = report;
    r->outcome = VALIDATE_FAIL;
    if (ch->killed != NULL) {
        r->text = ch->killed;
    } else if (WIFSIGNALED(ws)) {
        r->text =
            arena_printf(a, "crashed: %s%s%s", proc_signal_name(WTERMSIG(ws)), report[0] != '\0' ? "; " : "", report);
    } else if (kind == '\0') {
        r->text = arena_printf(a, "the process ended with exit code %d before the check was over", WEXITSTATUS(ws));
    } else if (kind != 'F' && !clean) {
        r->text = arena_printf(a, "exit code %d after the check (a sanitizer's report?)%s%s", WEXITSTATUS(ws),
                               report[0] != '\0' ? "; " : "", report);
    } else if (kind == 'P') {
        r->outcome = VALIDATE_PASS;
    } else if (kind == 'S') {
        r->outcome = VALIDATE_SKIP;
    }
}

static status run_one(const validate_spec *spec, arena *a, validate_result *r, error *err) {
    child ch = {.fd = -1};
    int64_t t0 = clock_ns();
    TRY(start(spec, r->name, &ch, err));
    watch(spec, &ch);
    judge(&ch, a, r);
    r->seconds = (double)(clock_ns() - t0) / 1e9;
    return STATUS_OK;
}

static bool wanted(const char *const *only, const char *name) {
    if (only == NULL) {
        return true;
    }
    while (*only != NULL && strcmp(*only, name) != 0) {
        only++;
    }
    return *only != NULL;
}

static status check_only(const validate_spec *spec, error *err) {
    size_t n = 0;
    const validate_test *t = validate_tests(&n);
    for (const char *const *o = spec->only; o != NULL && *o != NULL; o++) {
        size_t i = 0;
        while (i < n && strcmp(t[i].name, *o) != 0) {
            i++;
        }
        if (i == n) {
            return error_set(err, STATUS_USAGE, "there is no check \"%s\"", *o);
        }
    }
    return STATUS_OK;
}

status validate_all(const validate_spec *spec, arena *a, validate_result **results, size_t *n, error *err) {
    size_t n_tests = 0;
    const validate_test *t = validate_tests(&n_tests);
    const char *blocked = NULL; /* why the rest is not tried */
    *n = 0;
    *results = arena_alloc(a, n_tests * sizeof **results);
    TRY(check_only(spec, err));
    for (size_t i = 0; i < n_tests; i++) {
        if (!wanted(spec->only, t[i].name)) {
            continue;
        }
        validate_result *r = &(*results)[(*n)++];
        *r = (validate_result){.name = t[i].name, .summary = t[i].summary, .outcome = VALIDATE_SKIP, .text = blocked};
        if (blocked == NULL) {
            TRY(run_one(spec, a, r, err));
        }
        if (r->outcome == VALIDATE_FAIL && strcmp(r->name, "loads") == 0) {
            blocked = "not reached: the plug-in does not load";
        }
        if (spec->on_result != NULL) {
            spec->on_result(spec->context, r);
        }
    }
    return STATUS_OK;
}
