/* SPDX-License-Identifier: Apache-2.0
 * Whose file it is: foreign, newer, older, garbage, truncated, read-only, in use. */
#include <fcntl.h>
#include <sys/wait.h>

#include "store_fixture.h"

/* A finished small store at `path`. */
static void make_store(const char *path) {
    store *s;
    fixture_ids id;
    ok(store_open(path, STORE_WRITE, &s, &err));
    put_parents(s, &id);
    int64_t run = put_run(s, &id, "one", "");
    int64_t item = put_item(s, &id, run, "cnn", 0, 500);
    append_examples(s, item, id.clean, 0, 500, 7, true);
    end_item(s, &id, item, OUTCOME_OK, NULL);
    store_close(s);
}

static void write_file(const char *path, const void *data, size_t n) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void *read_file(const char *path, size_t *n) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    void *data = malloc((size_t)st.st_size + 1);
    *n = fread(data, 1, (size_t)st.st_size, f);
    assert_int_equal(*n, st.st_size);
    fclose(f);
    return data;
}

static void identity_is_stamped(void **state) {
    char path[256], side[300];
    make_store(in_scratch(state, "a.db", path));
    snprintf(side, sizeof side, "%s.lock", path);
    assert_int_equal(access(side, F_OK), -1);
    snprintf(side, sizeof side, "%s-wal", path);
    assert_int_equal(access(side, F_OK), -1); /* checkpointed at close */
    assert_int_equal(peek(path, "PRAGMA application_id"), 0x41535359);
    assert_int_equal(peek(path, "PRAGMA user_version"), 1);
    assert_int_equal(peek(path, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'"), 1);
}

static void foreign_file_is_left_alone(void **state) {
    char path[256];
    store *s;
    tamper(in_scratch(state, "f.db", path),
           "CREATE TABLE mine (x); PRAGMA application_id = 7; PRAGMA user_version = 3");
    size_t n, m;
    void *before = read_file(path, &n);
    refuses(store_open(path, STORE_WRITE, &s, &err), STATUS_REFUSED, "another application (application_id 0x00000007");
    assert_null(s);
    refuses(store_open(path, STORE_READ, &s, &err), STATUS_REFUSED, "another application");
    void *after = read_file(path, &m);
    assert_int_equal(n, m);
    assert_memory_equal(before, after, n);
    free(before);
    free(after);
    tamper(in_scratch(state, "g.db", path), "CREATE TABLE mine (x)"); /* no id, but not empty */
    refuses(store_open(path, STORE_WRITE, &s, &err), STATUS_REFUSED, "another application");
}

static void newer_schema_is_refused(void **state) {
    char path[256];
    store *s;
    make_store(in_scratch(state, "a.db", path));
    tamper(path, "PRAGMA user_version = 99");
    refuses(store_open(path, STORE_WRITE, &s, &err), STATUS_REFUSED, "newer assay (schema 99");
    refuses(store_open(path, STORE_READ, &s, &err), STATUS_REFUSED, "newer assay");
}

static void older_schema_migrates_with_a_copy(void **state) {
    char path[256], copy[300];
    store *s;
    tamper(in_scratch(state, "a.db", path), "PRAGMA application_id = 1095979865; PRAGMA user_version = 0;"
                                            "CREATE TABLE old (x); INSERT INTO old VALUES (42)");
    refuses(store_open(path, STORE_READ, &s, &err), STATUS_REFUSED, "older schema 0");
    ok(store_open(path, STORE_WRITE, &s, &err));
    store_close(s);
    assert_int_equal(peek(path, "PRAGMA user_version"), 1);
    assert_int_equal(peek(path, "SELECT x FROM old"), 42);
    snprintf(copy, sizeof copy, "%s.v0.bak", path);
    assert_int_equal(peek(copy, "SELECT x FROM old"), 42);
    assert_int_equal(peek(copy, "PRAGMA user_version"), 0);
}

/* A migration that fails half way changes nothing. */
static void failed_migration_changes_nothing(void **state) {
    char path[256];
    store *s;
    tamper(in_scratch(state, "a.db", path), "PRAGMA application_id = 1095979865; CREATE TABLE metric (x)");
    refuses(store_open(path, STORE_WRITE, &s, &err), STATUS_IO, "nothing was changed");
    assert_int_equal(peek(path, "PRAGMA user_version"), 0);
    assert_int_equal(peek(path, "SELECT count(*) FROM sqlite_schema"), 1);
}

static void not_a_database(void **state) {
    char path[256], garbage[9000];
    store *s;
    in_scratch(state, "x.db", path);
    refuses(store_open("", STORE_WRITE, &s, &err), STATUS_USAGE, "empty");
    refuses(store_open(path, STORE_READ, &s, &err), STATUS_IO, "No such file");
    assert_int_equal(access(path, F_OK), -1); /* reading makes no file */
    refuses(store_open(*state, STORE_WRITE, &s, &err), STATUS_IO, "not a regular file");
    refuses(store_open("/nonexistent/dir/x.db", STORE_WRITE, &s, &err), STATUS_IO, "No such file");
    for (size_t i = 0; i < sizeof garbage; i++) {
        garbage[i] = (char)(i * 7919 >> 3);
    }
    const size_t sizes[] = {1, 15, 16, 100, 511, 512, 1024, 4095, 4096, 4097, sizeof garbage};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        write_file(path, garbage, sizes[i]);
        refuses(store_open(path, STORE_WRITE, &s, &err), STATUS_IO, path);
        refuses(store_open(path, STORE_READ, &s, &err), STATUS_IO, path);
        size_t n;
        void *after = read_file(path, &n);
        assert_int_equal(n, sizes[i]);
        assert_memory_equal(after, garbage, n);
        free(after);
    }
    write_file(path, "", 0);
    refuses(store_open(path, STORE_READ, &s, &err), STATUS_IO, "0 bytes");
    ok(store_open(path, STORE_WRITE, &s, &err)); /* an empty file is a new store (mktemp makes such) */
    store_close(s);
}

static void read_everything(store *s) {
    arena a = {0};
    error err;
    store_run_row *rows;
    store_group *g;
    store_columns c;
    size_t n;
    if (store_runs(s, &a, &rows, &n, &err) == STATUS_OK && n > 0 &&
        store_groups(s, rows[0].run_id, &a, &g, &n, &err) == STATUS_OK && n > 0) {
        (void)store_load_columns(s, rows[0].run_id, g, "", true, &a, &c, &err);
    }
    arena_free(&a);
}

/* Every cut ends in one error; none in a crash or in fewer rows taken for all of them. */
static void truncated_file(void **state) {
    char path[256], cut[256];
    make_store(in_scratch(state, "a.db", path));
    in_scratch(state, "cut.db", cut);
    size_t n;
    char *data = read_file(path, &n);
    for (size_t size = 0; size < n; size += size < 200 ? 33 : size < 8192 ? 509 : 3989) {
        store *s;
        write_file(cut, data, size);
        error err;
        status st = store_open(cut, STORE_READ, &s, &err);
        if (st != STATUS_IO) {
            fail_msg("cut at %zu of %zu: %s", size, n, status_name(st));
        }
        if (size > 0) {
            st = store_open(cut, STORE_WRITE, &s, &err);
            if (st != STATUS_IO) {
                fail_msg("cut at %zu of %zu, writing: %s", size, n, status_name(st));
            }
        }
    }
    free(data);
}

/* Bytes changed anywhere: an error or other values, never a crash. */
static void damaged_file(void **state) {
    char path[256], bad[256];
    make_store(in_scratch(state, "a.db", path));
    in_scratch(state, "bad.db", bad);
    size_t n;
    uint8_t *data = read_file(path, &n);
    uint64_t x = 88172645463325252u;
    for (int round = 0; round < 150; round++) {
        uint8_t *copy = malloc(n);
        memcpy(copy, data, n);
        for (int k = 0; k < 1 + round % 8; k++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            copy[100 + x % (round % 2 == 0 ? n - 100 : 12288)] = (uint8_t)(x >> 32);
        }
        write_file(bad, copy, n);
        free(copy);
        store *s;
        error err;
        if (store_open(bad, STORE_READ, &s, &err) == STATUS_OK) {
            read_everything(s);
            (void)store_check(s, NULL, NULL, &err);
            store_close(s);
        }
    }
    free(data);
}

/* As another user than root, who ignores permissions; 0 when the reads work. */
static int read_as_nobody(const char *path) {
    store *s;
    error err = {0};
    arena a = {0};
    store_run_row *rows;
    size_t n = 0;
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) {
        return 3;
    }
    if (store_open(path, STORE_READ, &s, &err) != STATUS_OK || store_runs(s, &a, &rows, &n, &err) != STATUS_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    store_close(s);
    arena_free(&a);
    if (store_open(path, STORE_WRITE, &s, &err) != STATUS_IO) {
        return 4;
    }
    return n == 1 ? 0 : 2;
}

static void read_only_directory(void **state) {
    char path[256];
    make_store(in_scratch(state, "a #1?%41.db", path)); /* characters that mean something in a URI */
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(*state, 0555), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(read_as_nobody(path));
    }
    int how;
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_int_equal(chmod(*state, 0755), 0);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
}

static void one_writer(void **state) {
    char path[256], other[256];
    store *s, *t;
    fixture_ids id;
    ok(store_open(in_scratch(state, "a.db", path), STORE_WRITE, &s, &err));
    put_parents(s, &id);
    refuses(store_open(path, STORE_WRITE, &t, &err), STATUS_IO, "another assay (process ");
    assert_int_equal(symlink(path, in_scratch(state, "b.db", other)), 0);
    refuses(store_open(other, STORE_WRITE, &t, &err), STATUS_IO, "another assay");
    ok(store_flush(s, &err));
    ok(store_open(path, STORE_READ, &t, &err)); /* readers are welcome */
    refuses(store_put_suite(t, &(store_suite){.spec_sha256 = "x"}, &id.suite, &err), STATUS_INTERNAL, "reading only");
    store_close(t);
    put_run(s, &id, "one", "");
    store_close(s);
    ok(store_open(other, STORE_WRITE, &t, &err)); /* free again */
    store_close(t);
}

/* Opens and writes again and again; 0 when every try either worked or was refused by name. */
static int compete(const char *path, int who) {
    int n_won = 0;
    for (int i = 0; i < 400 && n_won < 5; i++) {
        store *s;
        error err = {0};
        status st = store_open(path, STORE_WRITE, &s, &err);
        if (st == STATUS_OK) {
            char name[32], key[DIGEST_HEX];
            int64_t id;
            snprintf(name, sizeof name, "suite %d %d", who, n_won++);
            if (store_put_suite(s, &(store_suite){.spec_sha256 = hash(name, key), .name = name}, &id, &err) !=
                    STATUS_OK ||
                store_flush(s, &err) != STATUS_OK) {
                fprintf(stderr, "%s\n", err.text);
                return 2;
            }
            store_close(s);
        } else if (st != STATUS_IO || strstr(err.text, "another assay") == NULL) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
        usleep(2000);
    }
    return n_won == 5 ? 0 : 3;
}

static void writers_take_turns(void **state) {
    enum { N = 4 };
    char path[256];
    pid_t pid[N];
    in_scratch(state, "a.db", path);
    for (int i = 0; i < N; i++) {
        pid[i] = fork();
        assert_true(pid[i] >= 0);
        if (pid[i] == 0) {
            _exit(compete(path, i));
        }
    }
    for (int i = 0; i < N; i++) {
        int how;
        assert_int_equal(waitpid(pid[i], &how, 0), pid[i]);
        assert_true(WIFEXITED(how));
        assert_int_equal(WEXITSTATUS(how), 0);
    }
    assert_int_equal(peek(path, "SELECT count(*) FROM suite"), 5 * N);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        T(identity_is_stamped),
        T(foreign_file_is_left_alone),
        T(newer_schema_is_refused),
        T(older_schema_migrates_with_a_copy),
        T(failed_migration_changes_nothing),
        T(not_a_database),
        T(truncated_file),
        T(damaged_file),
        T(read_only_directory),
        T(one_writer),
        T(writers_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
