/* SPDX-License-Identifier: Apache-2.0
 * labels: threads
 * run/protocol and run/worker_proc: round trips, frames in pieces, lengths from a hostile worker. This binary is its
 * own worker, as assay is: started as `__worker` it plays what ASSAY_T_WORKER says. */
#include "unit/base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/proc.h"
#include "run/protocol.h"
#include "run/worker_proc.h"

typedef struct channel {
    int a, b;
} channel;

static channel channel_open(void) {
    int p[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p), 0);
    return (channel){p[0], p[1]};
}

static void channel_close(channel *c) {
    (void)close(c->a);
    (void)close(c->b);
}

static void ok(status s, const error *err) {
    if (s != STATUS_OK) {
        fail_msg("%s", err->text);
    }
}

/* ---- rows --------------------------------------------------------------------------------------- */

static observation make_row(size_t i, const float *logits, uint32_t n_logits) {
    return (observation){.i_example = (int64_t)i * 1000003 - 7,
                         .i_repeat = (int32_t)i,
                         .i_condition = -(int32_t)i,
                         .label = i % 2 == 0 ? -1 : (int32_t)i,
                         .pred = INT32_MAX,
                         .flags = 0xf0f0u | (uint32_t)i,
                         .n_logits = n_logits,
                         .score = i % 3 == 0 ? (double)NAN : 1.0 / (double)i,
                         .latency_ns = i % 2 == 0 ? -1 : INT64_MAX,
                         .logits = logits};
}

static void same_row(const observation *got, const observation *want) {
    assert_true(got->i_example == want->i_example && got->latency_ns == want->latency_ns);
    assert_int_equal(got->i_repeat, want->i_repeat);
    assert_int_equal(got->i_condition, want->i_condition);
    assert_int_equal(got->label, want->label);
    assert_int_equal(got->pred, want->pred);
    assert_int_equal(got->flags, want->flags);
    assert_memory_equal(&got->score, &want->score, sizeof got->score);
    assert_int_equal(got->n_logits, want->n_logits);
    if (want->n_logits == 0) {
        assert_null(got->logits);
    } else {
        assert_int_equal((uintptr_t)got->logits % sizeof(float), 0);
        assert_memory_equal(got->logits, want->logits, want->n_logits * sizeof(float));
    }
}

static void round_trip(size_t n, uint32_t n_logits) {
    channel c = channel_open();
    error err = {0};
    float *z = mem_zalloc((n * n_logits + 1) * sizeof *z);
    observation *rows = mem_zalloc((n + 1) * sizeof *rows);
    for (size_t i = 0; i < n * n_logits; i++) {
        z[i] = i % 17 == 0 ? (float)NAN : (float)i * 0.25f;
    }
    for (size_t i = 0; i < n; i++) {
        rows[i] = make_row(i, n_logits == 0 ? NULL : z + i * n_logits, n_logits);
    }
    ok(frame_write_rows(c.a, rows, n, &err), &err);
    frame f;
    ok(frame_read(c.b, &f, &err), &err);
    assert_int_equal(f.type, FRAME_ROWS);
    observation *got = NULL;
    size_t n_got = 0;
    ok(frame_rows(&f, &got, &n_got, &err), &err);
    assert_int_equal(n_got, n);
    frame_free(&f);
    for (size_t i = 0; i < n; i++) {
        same_row(&got[i], &rows[i]);
    }
    mem_free(got);
    mem_free(rows);
    mem_free(z);
    channel_close(&c);
}

static void test_rows(void **state) {
    (void)state;
    round_trip(1, 0);
    round_trip(37, 0);
    round_trip(1, 1);
    round_trip(37, 10);
    round_trip(3, 1000);
    channel c = channel_open(); /* nothing to send sends nothing */
    error err = {0};
    ok(frame_write_rows(c.a, NULL, 0, &err), &err);
    char byte = 0;
    assert_int_equal(recv(c.b, &byte, 1, MSG_DONTWAIT), -1);
    channel_close(&c);
}

/* Rows of one call share n_logits; anything else would read past somebody's buffer. */
static void test_rows_mixed(void **state) {
    (void)state;
    channel c = channel_open();
    error err = {0};
    const float z[4] = {1, 2, 3, 4};
    observation rows[] = {make_row(0, z, 4), make_row(1, z, 3)};
    assert_int_equal(frame_write_rows(c.a, rows, 2, &err), STATUS_INTERNAL);
    rows[1] = make_row(1, NULL, 4);
    assert_int_equal(frame_write_rows(c.a, rows, 2, &err), STATUS_INTERNAL);
    rows[1] = make_row(1, NULL, 0);
    assert_int_equal(frame_write_rows(c.a, rows, 2, &err), STATUS_INTERNAL);
    rows[0] = make_row(0, z, (FRAME_MAX_BYTES - 8) / 4); /* one row that fits no frame */
    assert_int_equal(frame_write_rows(c.a, rows, 1, &err), STATUS_UNSUPPORTED);
    rows[0] = make_row(0, z, UINT32_MAX);
    assert_int_equal(frame_write_rows(c.a, rows, 1, &err), STATUS_UNSUPPORTED);
    channel_close(&c);
}

typedef struct writer {
    int fd;
    const observation *rows;
    size_t n;
    status s;
} writer;

static void *write_them(void *arg) {
    writer *w = arg;
    w->s = frame_write_rows(w->fd, w->rows, w->n, NULL);
    return NULL;
}

/* What does not fit one frame comes in several, through the supervisor's buffer. */
static void test_rows_split(void **state) {
    (void)state;
    enum { N_LOGITS = 6 << 20, N = 5 }; /* two rows of 24 MiB in a frame of 64 MiB */
    channel c = channel_open();
    error err = {0};
    float *z = mem_zalloc((size_t)N_LOGITS * sizeof *z);
    z[N_LOGITS - 1] = 5;
    observation rows[N];
    for (size_t i = 0; i < N; i++) {
        rows[i] = make_row(i, z, N_LOGITS);
    }
    writer w = {c.a, rows, N, STATUS_INTERNAL};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_them, &w), 0);
    frame_buffer b = {0};
    size_t seen = 0;
    size_t frames = 0;
    while (seen < N) {
        frame f;
        bool have = false;
        bool eof = false;
        ok(frame_buffer_next(&b, &f, &have, &err), &err);
        if (!have) {
            ok(frame_buffer_fill(&b, c.b, &eof, &err), &err);
            assert_false(eof);
            continue;
        }
        observation *got = NULL;
        size_t n = 0;
        ok(frame_rows(&f, &got, &n, &err), &err);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(got[i].i_repeat, seen + i);
            assert_true(got[i].logits[N_LOGITS - 1] == 5);
        }
        seen += n;
        frames++;
        mem_free(got);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(w.s, STATUS_OK);
    assert_int_equal(frames, 3);
    assert_true(b.cap <= 3 * (size_t)FRAME_MAX_BYTES); /* bounded by the largest frame, not by the stream */
    frame_buffer_free(&b);
    mem_free(z);
    channel_close(&c);
}

static void refused_rows(const void *payload, size_t n) {
    /* in a block of its own size, so that ASan sees a byte read too many */
    uint8_t *exact = malloc(n + (n == 0));
    assert_non_null(exact);
    memcpy(exact, payload, n);
    frame f = {FRAME_ROWS, (uint32_t)n, exact};
    observation *rows = NULL;
    size_t n_rows = 0;
    error err = {0};
    status s = frame_rows(&f, &rows, &n_rows, &err);
    free(exact);
    assert_int_equal(s, STATUS_MODEL);
    assert_null(rows);
    check_has(err.text, "channel");
}

static void test_rows_hostile(void **state) {
    (void)state;
    enum { ROW = 48 };
    static const uint32_t heads[][2] = {{1, 0},
                                        {2, 1},
                                        {UINT32_MAX, 0},
                                        {UINT32_MAX, UINT32_MAX},
                                        {1, UINT32_MAX},
                                        {0x80000000u, 0x80000000u},
                                        {0x10000000u, 0x3ffffff4u}, /* n * row = 2^60: a multiple of 2^32 */
                                        {0x40000000u, 0x7ffffff4u}, /* n * (48 + 4 k) = 2^63 */
                                        {0x80000000u, 0xfffffff4u - 0x80000000u},
                                        {3, 0}};
    uint8_t payload[8 + 2 * ROW + 5] = {0};
    for (size_t i = 0; i < N_OF(heads); i++) {
        memcpy(payload, heads[i], 8);
        for (size_t n = 8; n <= sizeof payload; n++) {
            size_t row = ROW + 4 * (size_t)heads[i][1];
            if (!(heads[i][0] == (n - 8) / row && (n - 8) % row == 0)) {
                refused_rows(payload, n);
            }
        }
    }
    for (size_t n = 0; n < 8; n++) {
        refused_rows(payload, n);
    }
    /* no rows of many logits is nothing, and allocates nothing */
    const uint32_t none[2] = {0, UINT32_MAX};
    memcpy(payload, none, 8);
    frame f = {FRAME_ROWS, 8, payload};
    observation *rows = NULL;
    size_t n = 9;
    error err = {0};
    ok(frame_rows(&f, &rows, &n, &err), &err);
    assert_int_equal(n, 0);
    mem_free(rows);
}

/* ---- frames ------------------------------------------------------------------------------------- */

typedef struct bytes {
    uint8_t v[4096];
    size_t n;
} bytes;

static void add_frame(bytes *b, uint32_t type, const void *payload, uint32_t n) {
    const uint32_t header[2] = {type, n};
    memcpy(b->v + b->n, header, 8);
    memcpy(b->v + b->n + 8, payload, n);
    b->n += 8 + n;
}

static bytes three_frames(void) {
    bytes b = {.n = 0};
    char text[300];
    memset(text, 'x', sizeof text);
    add_frame(&b, FRAME_LOG, "{}", 2);
    add_frame(&b, FRAME_DONE, "", 0);
    add_frame(&b, 77, text, sizeof text);
    return b;
}

/* Takes what is whole; returns how many frames were seen, `seen` before. */
static size_t take(frame_buffer *b, size_t seen) {
    static const uint32_t types[] = {FRAME_LOG, FRAME_DONE, 77};
    static const uint32_t sizes[] = {2, 0, 300};
    error err = {0};
    frame f;
    bool have = true;
    for (;;) {
        ok(frame_buffer_next(b, &f, &have, &err), &err);
        if (!have) {
            return seen;
        }
        assert_true(seen < 3);
        assert_int_equal(f.type, types[seen]);
        assert_int_equal(f.n_bytes, sizes[seen]);
        assert_true(seen != 2 || (f.payload[0] == 'x' && f.payload[299] == 'x'));
        seen++;
    }
}

static void send_bytes(int fd, const uint8_t *v, size_t n) {
    assert_int_equal(send(fd, v, n, 0), n);
}

static void test_buffer_pieces(void **state) {
    (void)state;
    bytes all = three_frames();
    channel c = channel_open();
    error err = {0};
    frame_buffer b = {0};
    bool eof = false;
    for (size_t cut = 0; cut <= all.n; cut++) {
        send_bytes(c.a, all.v, cut);
        ok(frame_buffer_fill(&b, c.b, &eof, &err), &err);
        size_t seen = take(&b, 0);
        size_t whole = cut >= all.n ? 3 : cut >= 18 ? 2 : cut >= 10 ? 1 : 0;
        assert_int_equal(seen, whole);
        send_bytes(c.a, all.v + cut, all.n - cut);
        ok(frame_buffer_fill(&b, c.b, &eof, &err), &err);
        assert_int_equal(take(&b, seen), 3);
        assert_int_equal(b.len, b.start);
    }
    size_t seen = 0;
    for (size_t i = 0; i < all.n; i++) { /* a byte at a time */
        send_bytes(c.a, all.v + i, 1);
        ok(frame_buffer_fill(&b, c.b, &eof, &err), &err);
        seen = take(&b, seen);
    }
    assert_int_equal(seen, 3);
    ok(frame_buffer_fill(&b, c.b, &eof, &err), &err); /* nothing there is not an error */
    assert_false(eof);
    (void)close(c.a);
    ok(frame_buffer_fill(&b, c.b, &eof, &err), &err);
    assert_true(eof);
    (void)close(c.b);
    assert_int_equal(frame_buffer_fill(&b, c.b, &eof, &err), STATUS_IO);
    frame_buffer_free(&b);
}

static void test_huge_claims(void **state) {
    (void)state;
    static const uint32_t sizes[] = {FRAME_MAX_BYTES + 1, 0x7fffffffu, 0x80000000u, UINT32_MAX};
    for (size_t i = 0; i < N_OF(sizes); i++) {
        channel c = channel_open();
        error err = {0};
        const uint32_t header[2] = {FRAME_ROWS, sizes[i]};
        send_bytes(c.a, (const uint8_t *)header, 8);
        send_bytes(c.a, (const uint8_t *)header, 8);
        frame_buffer b = {0};
        frame f;
        bool eof = false;
        bool have = false;
        ok(frame_buffer_fill(&b, c.b, &eof, &err), &err);
        assert_int_equal(frame_buffer_next(&b, &f, &have, &err), STATUS_MODEL);
        assert_false(have);
        assert_true(b.cap < 1 << 20); /* a claim allocates nothing */
        frame_buffer_free(&b);
        send_bytes(c.a, (const uint8_t *)header, 8);
        assert_int_equal(frame_read(c.b, &f, &err), STATUS_MODEL);
        channel_close(&c);
    }
    error err = {0};
    assert_int_equal(frame_write(-1, FRAME_LOG, "", (size_t)FRAME_MAX_BYTES + 1, &err), STATUS_INTERNAL);
    assert_int_equal(frame_write(-1, FRAME_LOG, "", SIZE_MAX, &err), STATUS_INTERNAL);
}

static void test_read(void **state) {
    (void)state;
    error err = {0};
    frame f;
    for (size_t cut = 0; cut <= 10; cut++) { /* a stream that ends anywhere */
        channel c = channel_open();
        bytes all = three_frames();
        send_bytes(c.a, all.v, cut);
        (void)close(c.a);
        status s = frame_read(c.b, &f, &err);
        assert_int_equal(s, cut == 10 ? STATUS_OK : STATUS_IO);
        if (s == STATUS_OK) {
            assert_string_equal((char *)f.payload, "{}"); /* a NUL stands behind */
            frame_free(&f);
            assert_null(f.payload);
        }
        (void)close(c.b);
    }
    assert_int_equal(frame_read(-1, &f, &err), STATUS_IO);
}

/* A vanished peer is an error value, not a signal. */
static void test_gone(void **state) {
    (void)state;
    channel c = channel_open();
    error err = {0};
    (void)close(c.b);
    observation row = make_row(1, NULL, 0);
    assert_int_equal(frame_write(c.a, FRAME_LOG, "x", 1, &err), STATUS_IO);
    assert_int_equal(frame_write_rows(c.a, &row, 1, &err), STATUS_IO);
    assert_int_equal(frame_write_json(c.a, FRAME_LOG, json_object(), &err), STATUS_IO);
    (void)close(c.a);
}

static void test_json(void **state) {
    (void)state;
    channel c = channel_open();
    error err = {0};
    frame f;
    json_t *o = json_pack("{s:s, s:f, s:I}", "z", "\xc3\xa9\"\n", "a", 0.1, "i", (json_int_t)INT64_MAX);
    ok(frame_write_json(c.a, FRAME_FACTS, o, &err), &err);
    ok(frame_read(c.b, &f, &err), &err);
    check_has((char *)f.payload, "{\"a\":0.1");
    json_t *got = frame_json(&f, &err);
    assert_string_equal(json_string_value(json_object_get(got, "z")), "\xc3\xa9\"\n");
    assert_true(json_real_value(json_object_get(got, "a")) == 0.1);
    assert_true(json_integer_value(json_object_get(got, "i")) == INT64_MAX);
    json_decref(got);
    frame_free(&f);
    assert_int_equal(frame_write_json(c.a, FRAME_LOG, NULL, &err), STATUS_INTERNAL);
    channel_close(&c);
}

static void test_json_garbage(void **state) {
    (void)state;
    static const char *const texts[] = {"",
                                        "null",
                                        "[]",
                                        "[{}]",
                                        "1",
                                        "\"x\"",
                                        "{",
                                        "}",
                                        "{}x",
                                        "{}{}",
                                        "{'a':1}",
                                        "{\"a\":1,\"a\":2}",
                                        "{\"a\":\"\xff\"}",
                                        "{\"a\":\"\\ud800\"}",
                                        "{a:1}",
                                        "{\"a\":nan}",
                                        "{\"a\":1e999}",
                                        "{\"a\":\"\\u0000\"}",
                                        "\xef\xbb\xbf{}",
                                        "\x01"};
    error err = {0};
    for (size_t i = 0; i < N_OF(texts); i++) {
        size_t n = strlen(texts[i]);
        uint8_t *exact = malloc(n + (n == 0));
        assert_non_null(exact);
        memcpy(exact, texts[i], n);
        frame f = {FRAME_DONE, (uint32_t)n, exact};
        json_t *o = frame_json(&f, &err);
        free(exact);
        if (o != NULL) {
            fail_msg("\"%s\" was taken for a message", texts[i]);
        }
        assert_int_equal(err.code, STATUS_MODEL);
    }
    enum { DEEP = 200000 };
    uint8_t *deep = malloc(DEEP);
    assert_non_null(deep);
    memset(deep, '[', DEEP);
    memcpy(deep, "{\"a\":", 5);
    frame f = {FRAME_DONE, DEEP, deep};
    assert_null(frame_json(&f, &err));
    free(deep);
}

/* ---- workers ------------------------------------------------------------------------------------ */

static int play(const char *part) {
    frame f;
    error err = {0};
    if (strcmp(part, "exit") == 0) {
        return 7;
    }
    if (frame_read(PROC_CHANNEL_FD, &f, &err) != STATUS_OK) {
        return 0;
    }
    frame_free(&f);
    if (strcmp(part, "crash") == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        (void)raise(SIGSEGV);
    } else if (strcmp(part, "hang") == 0) {
        (void)pause();
    } else if (strcmp(part, "garbage") == 0) {
        (void)send(PROC_CHANNEL_FD, "\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9, 0);
        (void)pause();
    } else if (strcmp(part, "chatter") == 0) { /* other frames without end are no answer */
        while (frame_write(PROC_CHANNEL_FD, FRAME_LOG, "{}", 2, &err) == STATUS_OK) {
        }
    } else if (strcmp(part, "list") == 0) {
        (void)frame_write(PROC_CHANNEL_FD, FRAME_PROBED, "[]", 2, &err);
        (void)pause();
    } else {
        (void)frame_write(PROC_CHANNEL_FD, FRAME_LOG, "{}", 2, &err);
        (void)frame_write(PROC_CHANNEL_FD, FRAME_PROBED, part, strlen(part), &err);
    }
    return 0;
}

static status probe(const char *part, double timeout_s, json_t **answer, outcome *how, error *err) {
    char text[200];
    (void)snprintf(text, sizeof text, "ASSAY_T_WORKER=%s", part);
    const char *const env[] = {text};
    return worker_probe((worker_env){env, 1}, "some.so", timeout_s, answer, how, err);
}

static void test_probe(void **state) {
    (void)state;
    json_t *answer = NULL;
    outcome how = OUTCOME_NONE;
    error err = {0};
    ok(probe("{\"name\": \"n\"}", 20, &answer, &how, &err), &err);
    assert_string_equal(json_string_value(json_object_get(answer, "name")), "n");
    json_decref(answer);
    static const struct {
        const char *part;
        outcome how;
        const char *expected;
        double timeout_s;
    } rows[] = {{"{\"error\": \"no such model\"}", OUTCOME_FAILED, "no such model", 20},
                {"{\"error\": 5}", OUTCOME_FAILED, "malformed", 20},
                {"crash", OUTCOME_CRASHED, "SIGSEGV", 20},
                {"exit", OUTCOME_CRASHED, "exit status 7", 20},
                {"garbage", OUTCOME_CRASHED, "some.so", 20},
                {"list", OUTCOME_CRASHED, "some.so", 20},
                {"hang", OUTCOME_TIMEOUT, "more than 0.2 s", 0.2},
                {"chatter", OUTCOME_TIMEOUT, "more than 0.2 s", 0.2}};
    for (size_t i = 0; i < N_OF(rows); i++) {
        int64_t t = clock_ns();
        assert_int_equal(probe(rows[i].part, rows[i].timeout_s, &answer, &how, &err), STATUS_MODEL);
        assert_null(answer);
        check_has(err.text, rows[i].expected);
        assert_int_equal(how, rows[i].how);
        assert_true(clock_ns() - t < 10000000000);
    }
}

static void test_stop(void **state) {
    (void)state;
    const char *const env[] = {"ASSAY_T_WORKER=hang"};
    worker_proc w;
    error err = {0};
    ok(worker_start(&w, (worker_env){env, 1}, &err), &err);
    worker_exit e = worker_stop(&w, false); /* its channel closes: it ends by itself */
    assert_false(e.signalled);
    assert_int_equal(e.exit_status, 0);
    assert_true(e.max_rss_bytes > 100000);
    assert_int_equal(w.pid, 0);
    assert_int_equal(w.fd, -1);
    e = worker_stop(&w, true); /* twice is harmless */
    assert_false(e.signalled);
    ok(worker_start(&w, (worker_env){env, 1}, &err), &err);
    e = worker_stop(&w, true);
    assert_true(e.signalled);
    assert_int_equal(e.signal, SIGKILL);
    /* one whose end was taken by somebody else has not succeeded */
    ok(worker_start(&w, (worker_env){env, 1}, &err), &err);
    (void)kill(w.pid, SIGKILL);
    assert_int_equal(waitpid(w.pid, NULL, 0), w.pid);
    e = worker_stop(&w, false);
    assert_true(e.signalled || e.exit_status != 0);
}

/* Started with its standard descriptors closed, the channel must not land on one of them. */
static int closed_descriptors(void) {
    for (int fd = 0; fd < 8; fd++) {
        (void)close(fd);
    }
    const char *const env[] = {"ASSAY_T_WORKER={\"name\": \"n\"}"};
    worker_proc w;
    if (worker_start(&w, (worker_env){env, 1}, NULL) != STATUS_OK || w.fd <= STDERR_FILENO) {
        return 1;
    }
    (void)worker_stop(&w, true);
    json_t *answer = NULL;
    outcome how = OUTCOME_NONE;
    status s = worker_probe((worker_env){env, 1}, "some.so", 20, &answer, &how, NULL);
    json_decref(answer);
    return s == STATUS_OK ? 0 : 2;
}

static void test_closed_descriptors(void **state) {
    (void)state;
    const char *const argv[] = {"test", "closed", NULL};
    proc_spec spec = {.argv = argv, .channel = -1, .out = -1};
    pid_t pid = 0;
    error err = {0};
    ok(proc_spawn(&spec, &pid, &err), &err);
    assert_int_equal(proc_wait(pid), 0);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "__worker") == 0) {
        const char *part = getenv("ASSAY_T_WORKER");
        return play(part == NULL ? "" : part);
    }
    if (argc > 1 && strcmp(argv[1], "closed") == 0) {
        return closed_descriptors();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_rows_mixed),
        cmocka_unit_test(test_rows_split),
        cmocka_unit_test(test_rows_hostile),
        cmocka_unit_test(test_buffer_pieces),
        cmocka_unit_test(test_huge_claims),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_garbage),
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_closed_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
