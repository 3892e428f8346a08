/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/proc.h"
#include "cli/cli.h"
#include "cli/finish.h"
#include "cli/overrides.h"
#include "cli/progress.h"
#include "run/supervisor.h"
#include "suites/suites.h"

/* `git describe` of the folder where the evaluation is started, asked while other things are prepared. */
typedef struct git_question {
    pid_t pid; /* 0: not asked */
    int fd;
} git_question;

static git_question git_ask(void) {
    int fds[2];
    git_question q = {0};
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return q;
    }
    static const char *const argv[] = {"env", "git", "describe", "--always", "--dirty", "--abbrev=12", NULL};
    static const char *const env[] = {"GIT_OPTIONAL_LOCKS=0"};
    proc_spec spec = {
        .exe = "/usr/bin/env", .argv = argv, .env = env, .n_env = 1, .channel = -1, .out = fds[1], .quiet = true};
    error ignored = {0};
    q.fd = fds[0];
    if (proc_spawn(&spec, &q.pid, &ignored) != STATUS_OK) {
        q.pid = 0;
        (void)close(fds[0]);
    }
    (void)close(fds[1]);
    return q;
}

/* "" where there is no revision. */
static const char *git_answer(git_question *q, arena *mem) {
    char text[128] = "";
    if (q->pid == 0) {
        return "";
    }
    ssize_t n = read(q->fd, text, sizeof text - 1);
    (void)close(q->fd);
    (void)proc_wait(q->pid);
    q->pid = 0;
    return arena_strndup(mem, text, n > 0 ? strcspn(text, "\n") : 0);
}

static int outcome_code(const run_result *r) {
    size_t failed = r->n_outcome[OUTCOME_FAILED] + r->n_outcome[OUTCOME_CRASHED] + r->n_outcome[OUTCOME_TIMEOUT] +
                    r->n_outcome[OUTCOME_UNTRUSTWORTHY] + r->n_different;
    return failed > 0 ? status_exit_code(STATUS_MODEL) : 0;
}

static int collect_and_judge(const cli_args *args, plan *p, store *db, const cli_cpu *cpu, const char *git,
                             error *err) {
    progress pr;
    CLI_TRY(progress_init(&pr, cli_get(args, "progress"), err));
    run_options o = {.retry_failed = cli_has(args, "retry-failed"),
                     .command_line = args->line,
                     .git_revision = git,
                     .env = {cpu->env, cpu->n_env},
                     .blas_core = cpu_openblas_core(cpu->isa),
                     .observer = progress_observer(&pr)};
    CLI_TRY(cli_real(args, "verify-cache", 0, 1, &o.verify_cache, err));
    run_result r;
    status s = run_collect(p, db, &o, &r, err);
    progress_end(&pr);
    if (s == STATUS_INTERRUPTED) {
        (void)error_set(err, s,
                        "interrupted: the %zu examples that this run has seen are kept; the same command resumes it",
                        r.n_examples_run);
    }
    CLI_TRY(s);
    CLI_TRY(finish_run(p, db, &r, err));
    return outcome_code(&r);
}

static int run(const cli_args *args, arena *mem, error *err) {
    cli_cpu cpu = {0};
    CLI_TRY(cli_cpu_choice(args, &cpu, err));
    suite_list suites = {0};
    suites.v = suite_all(&suites.n);
    config_override over = CONFIG_OVERRIDE_NONE;
    CLI_TRY(cli_overrides(args, &over, err));
    config *c = NULL;
    CLI_TRY(config_load(args->v[0], suites, &over, &c, err));
    plan *p = NULL;
    store *db = NULL;
    git_question git = git_ask();
    status s = plan_make(c, (worker_env){cpu.env, cpu.n_env}, true, &p, err);
    if (s == STATUS_OK) {
        s = cli_open_store_for_writing(c->store, &db, err);
    }
    const char *revision = git_answer(&git, mem);
    int code = s == STATUS_OK ? collect_and_judge(args, p, db, &cpu, revision, err) : cli_fail(s);
    store_close(db);
    plan_close(p);
    config_close(c);
    return code;
}

static const cli_option options[] = {
    CLI_OVERRIDE_OPTIONS,
    {"retry-failed", 0, NULL, "run FAILED, CRASHED and TIMEOUT items again"},
    {"verify-cache", 0, "FRACTION", "run this fraction of the cached items again and compare bit for bit"},
    {"progress", 0, "MODE", "auto, plain or none"},
    CLI_ISA_OPTION,
};

const command command_run = {
    .info = {.id = "run", .summary = "Run what the configuration asks for and the store does not have yet"},
    .usage = "CONFIG",
    .details = "Ends with a summary, the outcomes of all items and two digests that other machines can compare. "
               "Interrupted or killed, the same command goes on where it stopped.",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
