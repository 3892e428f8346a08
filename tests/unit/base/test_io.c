/* SPDX-License-Identifier: Apache-2.0
 * base/io: limits, what is no regular file, writes that leave all or nothing, paths. */
#include "unit/base/check.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/io.h"

static void test_read(void **state) {
    scratch *s = *state;
    scratch_write(s, "f", "abc\0def", 7);
    char *path = scratch_path(s, "f");
    error err = {0};
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(io_read_file(path, 7, &text, &n, &err), STATUS_OK);
    assert_int_equal(n, 7);
    assert_memory_equal(text, "abc\0def", 8); /* with a NUL behind */
    mem_free(text);
    text = (char *)1;
    assert_int_equal(io_read_file(path, 6, &text, &n, &err), STATUS_DATA);
    assert_null(text);
    check_has(err.text, path);
    char line[4 * MEM_ALIGN];
    memset(line, 'x', sizeof line);
    for (size_t k = MEM_ALIGN; k <= sizeof line; k += MEM_ALIGN) { /* where the NUL needs an aligned block more */
        scratch_write(s, "f", line, k);
        assert_int_equal(io_read_file(path, k, &text, &n, &err), STATUS_OK);
        assert_int_equal(strlen(text), k);
        mem_free(text);
    }
    scratch_write(s, "empty", "", 0);
    assert_int_equal(io_read_file(scratch_path(s, "empty"), 0, &text, &n, &err), STATUS_OK);
    assert_int_equal(n, 0);
    assert_string_equal(text, "");
    mem_free(text);
}

static void test_map(void **state) {
    scratch *s = *state;
    error err = {0};
    io_map m;
    scratch_write(s, "f", "map me", 6);
    assert_int_equal(io_map_file(scratch_path(s, "f"), &m, &err), STATUS_OK);
    assert_int_equal(m.n, 6);
    assert_memory_equal(m.data, "map me", 6);
    io_unmap(&m);
    assert_null(m.data);
    io_unmap(&m);
    scratch_write(s, "empty", "", 0);
    assert_int_equal(io_map_file(scratch_path(s, "empty"), &m, &err), STATUS_OK);
    assert_null(m.data);
    assert_int_equal(m.n, 0);
    io_unmap(&m);
}

static void test_refused(void **state) {
    scratch *s = *state;
    assert_int_equal(mkfifo(scratch_path(s, "fifo"), 0600), 0);
    assert_int_equal(symlink("loop", scratch_path(s, "loop")), 0);
    assert_int_equal(symlink("nowhere", scratch_path(s, "dangling")), 0);
    const char *const paths[] = {s->dir,
                                 scratch_path(s, "fifo"),
                                 scratch_path(s, "absent"),
                                 scratch_path(s, "loop"),
                                 scratch_path(s, "dangling"),
                                 "/dev/zero",
                                 "/dev/null",
                                 ""};
    for (size_t i = 0; i < N_OF(paths); i++) {
        error err = {0};
        char *text = NULL;
        size_t n = 0;
        io_map m;
        (void)alarm(5); /* a defect here is a hang */
        assert_int_equal(io_read_file(paths[i], 100, &text, &n, &err), STATUS_IO);
        check_has(err.text, paths[i]);
        assert_null(text);
        assert_int_equal(io_map_file(paths[i], &m, &err), STATUS_IO);
        assert_null(m.data);
        (void)alarm(0);
    }
}

static void test_write_atomic(void **state) {
    scratch *s = *state;
    error err = {0};
    char *path = scratch_path(s, "out");
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(io_write_atomic(path, "first", 5, &err), STATUS_OK);
    assert_int_equal(io_write_atomic(path, "2nd", 3, &err), STATUS_OK);
    assert_int_equal(io_read_file(path, 100, &text, &n, &err), STATUS_OK);
    assert_string_equal(text, "2nd");
    mem_free(text);
    assert_int_equal(io_write_atomic(scratch_path(s, "empty"), "", 0, &err), STATUS_OK);
    assert_true(io_exists(scratch_path(s, "empty")));
    assert_int_equal(scratch_count(s, false), 2);
}

static void test_write_fails(void **state) {
    scratch *s = *state;
    error err = {0};
    /* the target is a folder: the rename fails */
    char *dir = scratch_path(s, "dir");
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(io_write_atomic(dir, "x", 1, &err), STATUS_IO);
    check_has(err.text, dir);
    assert_int_equal(scratch_count(s, false), 1);
    assert_int_equal(io_write_atomic(scratch_path(s, "absent/out"), "x", 1, &err), STATUS_IO);
    /* the disk is full, as far as this process can see: the old content stays, and no temporary file */
    char *path = scratch_path(s, "out");
    assert_int_equal(io_write_atomic(path, "old", 3, &err), STATUS_OK);
    struct rlimit was;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    struct rlimit small = {.rlim_cur = 1000, .rlim_max = was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    char big[5000] = {0};
    status st = io_write_atomic(path, big, sizeof big, &err);
    (void)setrlimit(RLIMIT_FSIZE, &was);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(st, STATUS_IO);
    check_has(err.text, path);
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(io_read_file(path, 100, &text, &n, &err), STATUS_OK);
    assert_string_equal(text, "old");
    mem_free(text);
    assert_int_equal(scratch_count(s, false), 2);
    /* a closed pipe is an error value */
    int p[2];
    assert_int_equal(pipe(p), 0);
    (void)close(p[0]);
    handler = signal(SIGPIPE, SIG_IGN);
    assert_int_equal(io_write_all(p[1], "x", 1, &err), STATUS_IO);
    (void)signal(SIGPIPE, handler);
    (void)close(p[1]);
    assert_int_equal(io_write_all(-1, "x", 1, &err), STATUS_IO);
    assert_int_equal(io_write_all(-1, "", 0, &err), STATUS_OK);
}

static void test_make_dirs(void **state) {
    scratch *s = *state;
    error err = {0};
    char *deep = scratch_path(s, "a/b//c/");
    assert_int_equal(io_make_dirs(deep, &err), STATUS_OK);
    assert_int_equal(io_make_dirs(deep, &err), STATUS_OK); /* there already */
    struct stat st;
    assert_int_equal(stat(scratch_path(s, "a/b/c"), &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(io_make_dirs("/", &err), STATUS_OK);
    assert_int_equal(io_make_dirs(".", &err), STATUS_OK);
    assert_int_equal(io_make_dirs("", &err), STATUS_IO);
    /* a file where a folder should be */
    scratch_write(s, "file", "x", 1);
    assert_int_equal(io_make_dirs(scratch_path(s, "file"), &err), STATUS_IO);
    check_has(err.text, "file");
    assert_int_equal(io_make_dirs(scratch_path(s, "file/x"), &err), STATUS_IO);
    /* a link to a folder is a folder */
    assert_int_equal(symlink("a", scratch_path(s, "link")), 0);
    assert_int_equal(io_make_dirs(scratch_path(s, "link/b"), &err), STATUS_OK);
    (void)rmdir(scratch_path(s, "a/b/c"));
    (void)rmdir(scratch_path(s, "a/b"));
}

static void test_paths(void **state) {
    (void)state;
    arena a = {0};
    assert_string_equal(io_join_dir(&a, "conf/eval.yaml", "m.onnx"), "conf/m.onnx");
    assert_string_equal(io_join_dir(&a, "eval.yaml", "m.onnx"), "m.onnx");
    assert_string_equal(io_join_dir(&a, "conf/eval.yaml", "/abs/m.onnx"), "/abs/m.onnx");
    assert_string_equal(io_join_dir(&a, "conf/eval.yaml", "../m.onnx"), "conf/../m.onnx");
    assert_string_equal(io_join_dir(&a, "./eval.yaml", "m"), "./m");
    assert_string_equal(io_dirname(&a, "a/b/c"), "a/b");
    assert_string_equal(io_dirname(&a, "c"), ".");
    assert_string_equal(io_dirname(&a, "/c"), "/");
    assert_string_equal(io_dirname(&a, ""), ".");
    assert_string_equal(io_basename("a/b/c"), "c");
    assert_string_equal(io_basename("c"), "c");
    assert_string_equal(io_basename("a/"), "");
    assert_true(io_exists("/"));
    assert_false(io_exists(""));
    arena_free(&a);
}

#define IN_SCRATCH(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(test_read),         IN_SCRATCH(test_map),         IN_SCRATCH(test_refused),
        IN_SCRATCH(test_write_atomic), IN_SCRATCH(test_write_fails), IN_SCRATCH(test_make_dirs),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
