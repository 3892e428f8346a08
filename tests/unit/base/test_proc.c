/* SPDX-License-Identifier: Apache-2.0
 * base/proc: what a child finds: its channel, its environment, an empty stdin, default signals; how it ends. */
#include "unit/base/check.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/proc.h"

static pid_t start(const proc_spec *spec) {
    error err = {0};
    pid_t pid = 0;
    if (proc_spawn(spec, &pid, &err) != STATUS_OK) {
        fail_msg("%s", err.text);
    }
    return pid;
}

static int run(const char *exe, const char *const *argv) {
    proc_spec spec = {.exe = exe, .argv = argv, .channel = -1, .out = -1, .quiet = true};
    return proc_wait(start(&spec));
}

static int shell(const char *script) {
    const char *const argv[] = {"sh", "-c", script, NULL};
    return run("/bin/sh", argv);
}

/* What the script writes to stdout. */
static void output_of(const char *script, proc_spec spec, char *text, size_t cap) {
    int p[2];
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    const char *const argv[] = {"sh", "-c", script, NULL};
    spec.exe = "/bin/sh";
    spec.argv = argv;
    spec.out = p[1];
    pid_t pid = start(&spec);
    (void)close(p[1]);
    size_t n = 0;
    for (ssize_t k = 0; n < cap - 1 && (k = read(p[0], text + n, cap - 1 - n)) > 0;) {
        n += (size_t)k;
    }
    text[n] = '\0';
    (void)close(p[0]);
    assert_int_equal(proc_wait(pid), 0);
}

static void test_exits(void **state) {
    (void)state;
    const char *const yes[] = {"true", NULL};
    const char *const no[] = {"false", NULL};
    assert_int_equal(run("/bin/true", yes), 0);
    assert_int_equal(run("/bin/false", no), 1);
    assert_int_equal(shell("exit 0"), 0);
    assert_int_equal(shell("exit 70"), 70);
    assert_int_equal(shell("exit 255"), 255);
    assert_int_equal(shell("kill -KILL $$"), -SIGKILL);
    assert_int_equal(shell("kill -TERM $$"), -SIGTERM);
    assert_int_equal(shell("kill -SEGV $$"), -SIGSEGV);
    assert_true(proc_wait(getpid()) != 0); /* no child: never to be taken for success */
}

static void test_cannot_start(void **state) {
    (void)state;
    static const char *const exes[] = {"/nonexistent/assay", "/", "/dev/null", ""};
    const char *const argv[] = {"x", NULL};
    for (size_t i = 0; i < N_OF(exes); i++) {
        proc_spec spec = {.exe = exes[i], .argv = argv, .channel = -1, .out = -1};
        error err = {0};
        pid_t pid = 0;
        assert_int_equal(proc_spawn(&spec, &pid, &err), STATUS_IO);
        check_has(err.text, "cannot start");
    }
}

static void test_env(void **state) {
    (void)state;
    assert_int_equal(setenv("ASSAY_T_KEPT", "kept", 1), 0);
    assert_int_equal(setenv("ASSAY_T", "old", 1), 0);
    assert_int_equal(setenv("ASSAY_T_LONGER", "other", 1), 0);
    const char *const env[] = {"ASSAY_T=new=with=signs", "ASSAY_T_FRESH=1", "ASSAY_T_EMPTY="};
    proc_spec spec = {.env = env, .n_env = 3, .channel = -1};
    char text[400];
    output_of("env | grep ^ASSAY_T | sort", spec, text, sizeof text);
    assert_string_equal(text, "ASSAY_T=new=with=signs\nASSAY_T_EMPTY=\nASSAY_T_FRESH=1\nASSAY_T_KEPT=kept\n"
                              "ASSAY_T_LONGER=other\n");
    assert_string_equal(getenv("ASSAY_T"), "old"); /* the parent's own is left alone */
}

static void test_stdin(void **state) {
    (void)state;
    char text[100];
    output_of("readlink /proc/self/fd/0; cat; echo end", (proc_spec){.channel = -1}, text, sizeof text);
    assert_string_equal(text, "/dev/null\nend\n");
}

static void test_channel(void **state) {
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_true(pair[1] != PROC_CHANNEL_FD || dup2(pair[1], 50) == 50);
    int end = pair[1] == PROC_CHANNEL_FD ? 50 : pair[1];
    const char *const argv[] = {"sh", "-c", "read x <&3; echo got $x >&3", NULL};
    proc_spec spec = {.exe = "/bin/sh", .argv = argv, .channel = end, .out = -1};
    pid_t pid = start(&spec);
    (void)close(pair[1]);
    if (end == 50) {
        (void)close(end);
    }
    assert_int_equal(write(pair[0], "ping\n", 5), 5);
    char text[32] = {0};
    size_t n = 0;
    for (ssize_t k = 0; n < sizeof text - 1 && (k = read(pair[0], text + n, sizeof text - 1 - n)) > 0;) {
        n += (size_t)k;
    }
    assert_string_equal(text, "got ping\n"); /* and then the end: nobody else holds the child's end */
    (void)close(pair[0]);
    assert_int_equal(proc_wait(pid), 0);
}

/* What the parent blocks or ignores does not reach the child. */
static void test_signals(void **state) {
    (void)state;
    sigset_t block;
    sigset_t was;
    (void)sigemptyset(&block);
    (void)sigaddset(&block, SIGTERM);
    assert_int_equal(sigprocmask(SIG_BLOCK, &block, &was), 0);
    void (*handler)(int) = signal(SIGINT, SIG_IGN);
    int term = shell("kill -TERM $$; exit 9");
    int intr = shell("kill -INT $$; exit 9");
    (void)sigprocmask(SIG_SETMASK, &was, NULL);
    (void)signal(SIGINT, handler);
    assert_int_equal(term, -SIGTERM);
    assert_int_equal(intr, -SIGINT);
}

/* A parent that ignores SIGCHLD (inherited from whoever started it) still learns how its children end. */
static void test_sigchld_ignored(void **state) {
    (void)state;
    void (*handler)(int) = signal(SIGCHLD, SIG_IGN);
    int seven = shell("exit 7");
    int segv = shell("kill -SEGV $$");
    (void)signal(SIGCHLD, handler);
    assert_int_equal(seven, 7);
    assert_int_equal(segv, -SIGSEGV);
}

static void test_group(void **state) {
    (void)state;
    const char *const argv[] = {"sleep", "20", NULL};
    proc_spec spec = {.exe = "/bin/sleep", .argv = argv, .channel = -1, .out = -1};
    pid_t same = start(&spec);
    spec.own_group = true;
    pid_t own = start(&spec);
    pid_t g_same = getpgid(same);
    pid_t g_own = getpgid(own);
    int64_t rss = proc_rss_bytes(own);
    (void)kill(same, SIGKILL);
    (void)kill(own, SIGKILL);
    assert_int_equal(proc_wait(same), -SIGKILL);
    assert_int_equal(proc_wait(own), -SIGKILL);
    assert_int_equal(g_same, getpgrp());
    assert_int_equal(g_own, own);
    assert_true(rss >= 0);
    assert_int_equal(proc_rss_bytes(own), 0); /* gone */
    assert_true(proc_rss_bytes(getpid()) > 100000);
}

static void test_signal_names(void **state) {
    (void)state;
    assert_string_equal(proc_signal_name(SIGSEGV), "SIGSEGV");
    assert_string_equal(proc_signal_name(SIGKILL), "SIGKILL");
    assert_string_equal(proc_signal_name(0), "a signal");
    assert_string_equal(proc_signal_name(-5), "a signal");
    assert_string_equal(proc_signal_name(64), "a signal");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exits), cmocka_unit_test(test_cannot_start),    cmocka_unit_test(test_env),
        cmocka_unit_test(test_stdin), cmocka_unit_test(test_channel),         cmocka_unit_test(test_signals),
        cmocka_unit_test(test_group), cmocka_unit_test(test_sigchld_ignored), cmocka_unit_test(test_signal_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
