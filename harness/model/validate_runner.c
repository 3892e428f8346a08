/* SPDX-License-Identifier: Apache-2.0
 * Runs the checks, each in a child process with a deadline and a memory limit. The child sends one byte (P, F, S or E)
 * and its report over a pipe; a child that ends without having sent it has failed. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/proc.h"
#include "model/child.h"
#include "model/validate_internal.h"

#define REPORT_BYTES 4096u
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
    assay_option *options = child_options(argv + 3, n, &a);
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

/* The one child of a check; its text is a byte (P, F, S or E) and a report. */
static status start_and_watch(const validate_spec *spec, const char *name, arena *a, child_result *ch, error *err) {
    const char **argv = arena_alloc(a, (spec->n_options + 6) * sizeof *argv);
    size_t n = 0;
    argv[n++] = "assay";
    argv[n++] = VALIDATE_VERB;
    argv[n++] = name;
    argv[n++] = spec->plugin;
    argv[n++] = spec->model == NULL ? "" : spec->model;
    for (size_t i = 0; i < spec->n_options; i++) {
        argv[n++] = arena_printf(a, "%s=%s", spec->options[i].key, spec->options[i].value);
    }
    child_spec c = {.exe = spec->exe,
                    .argv = argv,
                    .timeout_s = spec->timeout_s > 0 ? spec->timeout_s : DEFAULT_TIMEOUT_S,
                    .rss_limit = spec->rss_limit > 0 ? spec->rss_limit : DEFAULT_RSS,
                    .max_isa = spec->max_isa,
                    .max_bytes = 1 + REPORT_BYTES};
    return child_run(&c, a, ch, err);
}

static void judge(const child_result *ch, arena *a, validate_result *r) {
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
    child_result ch;
    int64_t t0 = clock_ns();
    TRY(start_and_watch(spec, r->name, a, &ch, err));
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
