/* SPDX-License-Identifier: Apache-2.0
 * kill -9 at random moments and a full disk: what was committed stays, whole batches only, and the same command
 * finishes with the same digests. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "store_fixture.h"

enum { N_EXAMPLES = 60000, CHUNK = 100, N_KILLS = 5 };

/* Appends what is missing and ends the item; the first failure comes back. */
static status finish(const char *path, char decisions[65], char results[65], error *err) {
    store *s;
    fixture_ids id;
    arena a = {0};
    int64_t *done;
    size_t n_done = 0, k = 0;
    TRY(store_open(path, STORE_WRITE, &s, err));
    put_parents(s, &id);
    int64_t run = put_run(s, &id, "one", "");
    int64_t item = put_item(s, &id, run, "cnn", 0, N_EXAMPLES);
    status st = store_item_examples(s, item, &a, &done, &n_done, err);
    for (int64_t i = 0; i < N_EXAMPLES && st == STATUS_OK; i += CHUNK) {
        observation rows[CHUNK];
        float logits[CHUNK][10];
        while (k < n_done && done[k] < i) {
            k++;
        }
        if (k < n_done && done[k] == i) {
            continue; /* a call is never split between commits, so the chunk is there as a whole */
        }
        for (int64_t j = 0; j < CHUNK; j++) {
            rows[j] = example_row(i + j, 7, logits[j]);
        }
        st = store_append(s, item, &id.clean, rows, CHUNK, err);
    }
    store_attempt t = {.host_id = id.host};
    if (st == STATUS_OK) {
        st = store_item_end(s, item, OUTCOME_OK, NULL, &t, err);
    }
    if (st == STATUS_OK) {
        st = store_run_digests(s, run, decisions, results, err);
    }
    store_close(s);
    arena_free(&a);
    return st;
}

static void check_whole_batches(const char *path) {
    store *s;
    ok(store_open(path, STORE_READ, &s, &err));
    ok(store_check(s, NULL, NULL, &err));
    store_close(s);
    assert_int_equal(peek(path, "SELECT count(*) FROM observation") % CHUNK, 0);
    assert_int_equal(peek(path, "SELECT (SELECT count(*) FROM observation) - (SELECT count(*) FROM observation_vec)"),
                     0);
}

static void kill_and_resume(void **state) {
    char path[256], whole[256], decisions[2][65], results[2][65];
    ok(finish(in_scratch(state, "whole.db", whole), decisions[0], results[0], &err));
    in_scratch(state, "killed.db", path);
    unsigned x = (unsigned)getpid();
    int64_t before = 0;
    for (int kill_no = 0; kill_no < N_KILLS; kill_no++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            error err;
            _exit(finish(path, decisions[1], results[1], &err) == STATUS_OK ? 0 : 1);
        }
        x = x * 1664525u + 1013904223u;
        struct timespec wait = {.tv_nsec = 1000000L * (15 + (long)(x >> 16) % 110)};
        nanosleep(&wait, NULL);
        int how;
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &how, 0), pid);
        assert_true(WIFSIGNALED(how) || WEXITSTATUS(how) == 0);
        struct stat st;
        if (stat(path, &st) != 0 || st.st_size == 0 || peek(path, "PRAGMA user_version") == 0) {
            continue; /* killed before there was anything */
        }
        check_whole_batches(path);
        int64_t n = peek(path, "SELECT count(*) FROM observation");
        assert_true(n >= before); /* nothing committed is lost */
        before = n;
    }
    ok(finish(path, decisions[1], results[1], &err));
    assert_string_equal(decisions[0], decisions[1]);
    assert_string_equal(results[0], results[1]);
    assert_int_equal(peek(path, "SELECT count(*) FROM observation"), N_EXAMPLES);
    check_whole_batches(path);
}

/* RLIMIT_FSIZE stands in for a full disk: writes beyond it fail. In a child, so that the limit ends with it. */
static void full_disk(void **state) {
    char path[256], decisions[65], results[65];
    in_scratch(state, "full.db", path);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit limit = {1500000, 1500000};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        error err = {0};
        status st = finish(path, decisions, results, &err);
        bool named = strstr(err.text, path) != NULL;
        _exit(st == STATUS_IO && named ? 0 : (fprintf(stderr, "%s: %s\n", status_name(st), err.text), 1));
    }
    int how;
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
    check_whole_batches(path);
    assert_true(peek(path, "SELECT count(*) FROM observation") >= 1000);
    ok(finish(path, decisions, results, &err));
    assert_int_equal(peek(path, "SELECT count(*) FROM observation"), N_EXAMPLES);
}

/* A batch that waits becomes visible by itself through store_tick. */
static void batches_age(void **state) {
    char path[256];
    store *s;
    fixture_ids id;
    ok(store_open(in_scratch(state, "a.db", path), STORE_WRITE, &s, &err));
    put_parents(s, &id);
    int64_t run = put_run(s, &id, "one", "");
    int64_t item = put_item(s, &id, run, "cnn", 0, 5000);
    ok(store_flush(s, &err));
    append_examples(s, item, id.clean, 0, 5, 7, false);
    assert_int_equal(peek(path, "SELECT count(*) FROM observation"), 0);
    struct timespec wait = {.tv_nsec = 300000000L};
    nanosleep(&wait, NULL);
    ok(store_tick(s, &err));
    assert_int_equal(peek(path, "SELECT count(*) FROM observation"), 5);
    append_examples(s, item, id.clean, 5, 3000, 7, false);
    ok(store_tick(s, &err));
    assert_true(peek(path, "SELECT count(*) FROM observation") >= 2000);
    store_close(s);
    assert_int_equal(peek(path, "SELECT count(*) FROM observation"), 3005);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {T(kill_and_resume), T(full_disk), T(batches_age)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
