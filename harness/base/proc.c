/* SPDX-License-Identifier: Apache-2.0 */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

extern char **environ;

static bool same_name(const char *a, const char *b) {
    size_t n = strcspn(b, "=");
    return strncmp(a, b, n) == 0 && a[n] == '=';
}

/* The inherited environment without what is overridden, then the overrides. */
static const char **merge_env(arena *a, const proc_spec *spec) {
    size_t n = 0;
    while (environ[n] != NULL) {
        n++;
    }
    const char **env = arena_alloc(a, (n + spec->n_env + 1) * sizeof *env);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        bool overridden = false;
        for (size_t j = 0; j < spec->n_env && !overridden; j++) {
            overridden = same_name(environ[i], spec->env[j]);
        }
        if (!overridden) {
            env[k++] = environ[i];
        }
    }
    for (size_t j = 0; j < spec->n_env; j++) {
        env[k++] = spec->env[j];
    }
    return env;
}

static int file_actions(const proc_spec *spec, posix_spawn_file_actions_t *fa) {
    int rc = posix_spawn_file_actions_addopen(fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (rc == 0 && spec->quiet) {
        rc = posix_spawn_file_actions_addopen(fa, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    }
    if (rc == 0 && spec->out >= 0) {
        rc = posix_spawn_file_actions_adddup2(fa, spec->out, STDOUT_FILENO);
    }
    if (rc == 0 && spec->channel >= 0) {
        /* dup2 onto itself would keep FD_CLOEXEC in older libraries; callers never pass fd 3 itself */
        rc = posix_spawn_file_actions_adddup2(fa, spec->channel, PROC_CHANNEL_FD);
    }
    return rc;
}

/* Whoever started us may have left SIGCHLD ignored: the kernel would then reap children and lose how they ended. */
static void keep_exit_statuses(void) {
    struct sigaction sa;
    if (sigaction(SIGCHLD, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN) {
        sa.sa_handler = SIG_DFL;
        (void)sigaction(SIGCHLD, &sa, NULL);
    }
}

/* By its path where it still is there: tools that run a program in their own process (valgrind) know it by that. */
static const char *own_binary(arena *a) {
    static const char self[] = "/proc/self/exe";
    char path[4096];
    ssize_t n = readlink(self, path, sizeof path - 1);
    if (n <= 0) {
        return self;
    }
    path[n] = '\0';
    return access(path, X_OK) == 0 ? arena_strdup(a, path) : self;
}

status proc_spawn(const proc_spec *spec, pid_t *pid, error *err) {
    arena a = {0};
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    int rc = posix_spawn_file_actions_init(&fa);
    if (rc == 0) {
        rc = posix_spawnattr_init(&attr);
    }
    if (rc != 0) {
        return error_set(err, STATUS_IO, "posix_spawn: %s", strerror(rc));
    }
    keep_exit_statuses();
    sigset_t none;
    sigset_t defaults;
    (void)sigemptyset(&none);
    (void)sigfillset(&defaults);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setsigdefault(&attr, &defaults);
    if (spec->own_group) {
        flags |= POSIX_SPAWN_SETPGROUP;
        (void)posix_spawnattr_setpgroup(&attr, 0);
    }
    (void)posix_spawnattr_setflags(&attr, flags);
    rc = file_actions(spec, &fa);
    const char *exe = spec->exe == NULL ? own_binary(&a) : spec->exe;
    if (rc == 0) {
        /* posix_spawn takes non-const arrays but does not write to them */
        rc = posix_spawn(pid, exe, &fa, &attr, (char *const *)(uintptr_t)spec->argv,
                         (char *const *)(uintptr_t)merge_env(&a, spec));
    }
    (void)posix_spawn_file_actions_destroy(&fa);
    (void)posix_spawnattr_destroy(&attr);
    status s = rc == 0 ? STATUS_OK : error_set(err, STATUS_IO, "%s: cannot start: %s", exe, strerror(rc));
    arena_free(&a);
    return s;
}

int proc_wait(pid_t pid) {
    int st = 0;
    while (waitpid(pid, &st, 0) < 0) {
        if (errno != EINTR) {
            return 255; /* no such child: unknown is not success */
        }
    }
    return WIFSIGNALED(st) ? -WTERMSIG(st) : WEXITSTATUS(st);
}

int64_t proc_rss_bytes(pid_t pid) {
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%ld/statm", (long)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return 0;
    }
    char line[128] = ""; /* total and resident pages first */
    char *end = fgets(line, sizeof line, f);
    (void)fclose(f);
    if (end == NULL) {
        return 0;
    }
    (void)strtoll(line, &end, 10);
    return strtoll(end, NULL, 10) * sysconf(_SC_PAGESIZE);
}

const char *proc_signal_name(int sig) {
    static const struct {
        int sig;
        const char *name;
    } names[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"},   {SIGABRT, "SIGABRT"}, {SIGFPE, "SIGFPE"},
                 {SIGILL, "SIGILL"},   {SIGKILL, "SIGKILL"}, {SIGTERM, "SIGTERM"}, {SIGINT, "SIGINT"},
                 {SIGHUP, "SIGHUP"},   {SIGPIPE, "SIGPIPE"}, {SIGSYS, "SIGSYS"},   {SIGTRAP, "SIGTRAP"},
                 {SIGXFSZ, "SIGXFSZ"}, {SIGXCPU, "SIGXCPU"}, {SIGQUIT, "SIGQUIT"}, {SIGALRM, "SIGALRM"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].sig == sig) {
            return names[i].name;
        }
    }
    return "a signal";
}
