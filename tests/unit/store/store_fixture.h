/* SPDX-License-Identifier: Apache-2.0
 * A small store for the tests: parents, a run, items with observations that are a function of the example. */
#ifndef UNIT_STORE_STORE_FIXTURE_H
#define UNIT_STORE_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "store/store.h"

#define ok(expr)                                                                                                       \
    do {                                                                                                               \
        error err = {0};                                                                                               \
        status st_ = (expr);                                                                                           \
        if (st_ != STATUS_OK) {                                                                                        \
            fail_msg("%s: %s: %s", #expr, status_name(st_), err.text);                                                 \
        }                                                                                                              \
    } while (0)

/* Expects the status and a part of the text. */
#define refuses(expr, code, part)                                                                                      \
    do {                                                                                                               \
        error err = {0};                                                                                               \
        status st_ = (expr);                                                                                           \
        if (st_ != (code) || strstr(err.text, part) == NULL) {                                                         \
            fail_msg("%s: %s (wanted %s with \"%s\"): %s", #expr, status_name(st_), status_name(code), part,           \
                     err.text);                                                                                        \
        }                                                                                                              \
    } while (0)

/* A directory of its own for each test, removed at the end. */
static inline int scratch_setup(void **state) {
    char *dir = strdup("/tmp/assay-store-XXXXXX");
    *state = mkdtemp(dir);
    return *state != NULL ? 0 : -1;
}

static inline int scratch_teardown(void **state) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", (const char *)*state);
    int rc = system(command);
    free(*state);
    return rc;
}

static inline const char *in_scratch(void **state, const char *name, char buf[256]) {
    snprintf(buf, 256, "%s/%s", (const char *)*state, name);
    return buf;
}

/* A hex digest that is a function of a word. */
static inline const char *hash(const char *word, char out[DIGEST_HEX]) {
    digest_value v = digest_of(word, strlen(word));
    digest_hex(&v, out);
    return out;
}

typedef struct fixture_ids {
    int64_t build, host, plugin, dataset, suite, clean, run;
} fixture_ids;

static inline void put_parents(store *s, fixture_ids *id) {
    char h[DIGEST_HEX];
    store_build b = {.sha256 = hash("build", h), .version = "0.1.0", .git = "abc", .compiler = "gcc 12", .dirty = true};
    ok(store_put_build(s, &b, &id->build, &err));
    store_host o = {.hw_sha256 = hash("host", h), .name = "box", .cpu = "a cpu", .n_cores = 2, .json = "{\"a\":1}"};
    ok(store_put_host(s, &o, &id->host, &err));
    store_plugin p = {.so_sha256 = hash("plugin", h), .name = "null", .version = "1", .abi = 1};
    ok(store_put_plugin(s, &p, &id->plugin, &err));
    store_dataset d = {.sha256 = hash("dataset", h), .name = "digits", .split = "test", .n = 1000, .json = "{}"};
    ok(store_put_dataset(s, &d, &id->dataset, &err));
    store_suite u = {.spec_sha256 = hash("suite", h), .name = "accuracy", .version = 1, .params_json = "{}"};
    ok(store_put_suite(s, &u, &id->suite, &err));
    store_condition c = {.key = "clean", .kind = "clean", .algo = "", .severity = NAN};
    ok(store_put_condition(s, &c, &id->clean, &err));
}

static inline int64_t put_run(store *s, const fixture_ids *id, const char *word, const char *label) {
    char uid[DIGEST_HEX];
    int64_t run = 0;
    store_run_spec r = {.run_uid = hash(word, uid),
                        .label = label,
                        .config_path = "eval.yaml",
                        .config_text = "seed: 1\n",
                        .config_json = "{\"seed\":1}",
                        .config_sha256 = uid,
                        .plan_sha256 = uid,
                        .command_line = "assay run eval.yaml",
                        .build_id = id->build,
                        .host_id = id->host,
                        .seed = 1};
    ok(store_run_begin(s, &r, &run, &err));
    return run;
}

static inline int64_t put_model(store *s, const char *name) {
    char h[DIGEST_HEX];
    int64_t model = 0;
    store_model m = {.key_sha256 = hash(name, h), .sha256 = h, .name = name, .format = "onnx", .size_bytes = 1234};
    ok(store_put_model(s, &m, &model, &err));
    return model;
}

/* Shard `i_shard` of `n` examples of a model, known to the run. */
static inline int64_t put_item(store *s, const fixture_ids *id, int64_t run, const char *model, int64_t i_shard,
                               int64_t n) {
    char word[128], key[DIGEST_HEX], comparability[DIGEST_HEX];
    int64_t item = 0;
    snprintf(word, sizeof word, "item %s %lld", model, (long long)i_shard);
    hash(word, key);
    snprintf(word, sizeof word, "comparable %lld", (long long)i_shard);
    store_item_spec p = {.item_key = key,
                         .model_id = put_model(s, model),
                         .plugin_id = id->plugin,
                         .suite_id = id->suite,
                         .dataset_id = id->dataset,
                         .i_shard = i_shard,
                         .i_first = i_shard * n,
                         .n_expected = n,
                         .model_name = model,
                         .numeric_env = "tile 8",
                         .comparability_key = hash(word, comparability),
                         .comparability_json = "{\"seed\":1}"};
    ok(store_item_put(s, &p, &item, &err));
    ok(store_run_item(s, run, item, model, false, &err));
    return item;
}

/* Ten classes; `skill` of 10 examples are right. The same for every run of the test. */
static inline observation example_row(int64_t i, int skill, float logits[10]) {
    observation o = {.i_example = i, .label = (int32_t)(i % 10), .latency_ns = 1000 + i};
    o.pred = i % 10 < skill ? o.label : (o.label + 1) % 10;
    o.score = 1.0 / (double)(i + 3);
    if (logits != NULL) {
        for (int k = 0; k < 10; k++) {
            logits[k] = (float)i * 0.1f + (float)k;
        }
        o.logits = logits;
        o.n_logits = 10;
    }
    return o;
}

static inline void append_examples(store *s, int64_t item, int64_t clean, int64_t first, int64_t n, int skill,
                                   bool with_logits) {
    for (int64_t i = first; i < first + n; i++) {
        float logits[10];
        observation o = example_row(i, skill, with_logits ? logits : NULL);
        ok(store_append(s, item, &clean, &o, 1, &err));
    }
}

static inline void end_item(store *s, const fixture_ids *id, int64_t item, outcome o, const char *reason) {
    store_attempt t = {.host_id = id->host, .started_ns = clock_wall_ns(), .ended_ns = clock_wall_ns() + 5};
    ok(store_item_end(s, item, o, reason, &t, &err));
}

/* First column of the first row, read by a connection of its own. */
static inline int64_t peek(const char *path, const char *sql) {
    sqlite3 *db;
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    int64_t v = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    sqlite3_close(db);
    return v;
}

/* Runs SQL as another program would, without our checks. */
static inline void tamper(const char *path, const char *sql) {
    sqlite3 *db;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s: %s", sql, message);
    }
    sqlite3_close(db);
}

#endif
