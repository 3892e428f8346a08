/* SPDX-License-Identifier: Apache-2.0
 * A small store for the tests of judge, compare and reports: models that are wrong on chosen examples. */
#ifndef UNIT_RUN_JUDGED_FIXTURE_H
#define UNIT_RUN_JUDGED_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "run/judge.h"
#include "store/store.h"

#define FX_OK(expr)                                                                                                    \
    do {                                                                                                               \
        error err = {0};                                                                                               \
        const status fx_status_ = (expr);                                                                              \
        if (fx_status_ != STATUS_OK) {                                                                                 \
            fail_msg("%s: %s: %s", #expr, status_name(fx_status_), err.text);                                          \
        }                                                                                                              \
    } while (0)

#define FX_REFUSES(expr, code, part)                                                                                   \
    do {                                                                                                               \
        error err = {0};                                                                                               \
        const status fx_status_ = (expr);                                                                              \
        if (fx_status_ != (code) || strstr(err.text, part) == NULL) {                                                  \
            fail_msg("%s: %s, text \"%s\", wanted \"%s\"", #expr, status_name(fx_status_), err.text, part);            \
        }                                                                                                              \
    } while (0)

enum { FX_CLASSES = 4 };

typedef struct fx {
    char dir[64], path[128];
    store *s;
    int64_t build, host, plugin, suite, clean;
} fx;

static inline const char *fx_hash(const char *text, char out[DIGEST_HEX]) {
    const digest_value v = digest_of(text, strlen(text));
    digest_hex(&v, out);
    return out;
}

static inline void fx_open(fx *f) {
    char h[DIGEST_HEX];
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/assay-judged-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof f->path, "%s/store.db", f->dir);
    FX_OK(store_open(f->path, STORE_WRITE, &f->s, &err));
    FX_OK(store_put_build(
        f->s,
        &(store_build){
            .sha256 = fx_hash("b", h), .version = "0.1.0", .git = "abc", .compiler = "cc", .libraries_json = "{}"},
        &f->build, &err));
    FX_OK(store_put_host(f->s,
                         &(store_host){.hw_sha256 = fx_hash("h", h),
                                       .name = "box",
                                       .cpu = "a cpu",
                                       .cpu_flags = "",
                                       .kernel = "",
                                       .blas_core = "",
                                       .json = "{}",
                                       .n_cores = 2},
                         &f->host, &err));
    FX_OK(store_put_plugin(f->s,
                           &(store_plugin){.so_sha256 = fx_hash("p", h), .name = "null", .version = "1", .abi = 1},
                           &f->plugin, &err));
    FX_OK(store_put_suite(
        f->s, &(store_suite){.spec_sha256 = fx_hash("s", h), .name = "accuracy", .version = 1, .params_json = "{}"},
        &f->suite, &err));
    FX_OK(store_put_condition(
        f->s, &(store_condition){.key = "clean", .kind = "clean", .algo = "", .params_json = "{}", .severity = NAN},
        &f->clean, &err));
}

static inline void fx_close(fx *f) {
    store_close(f->s);
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    assert_int_equal(system(command), 0);
}

static inline int64_t fx_run(fx *f, const char *label, int64_t seed, bool limited) {
    char uid[DIGEST_HEX];
    char text[256];
    int64_t run = 0;
    (void)snprintf(text, sizeof text, "run %s %lld", label, (long long)seed);
    const store_run_spec spec = {.run_uid = fx_hash(text, uid),
                                 .label = label,
                                 .config_path = "eval.yaml",
                                 .config_text = "seed: 1\n",
                                 .config_json = "{}",
                                 .config_sha256 = uid,
                                 .plan_sha256 = uid,
                                 .command_line = "assay run eval.yaml",
                                 .git_revision = "",
                                 .build_id = f->build,
                                 .host_id = f->host,
                                 .seed = seed,
                                 .limited = limited};
    FX_OK(store_run_begin(f->s, &spec, &run, &err));
    return run;
}

typedef struct fx_item {
    const char *model, *variant_of, *dataset, *class_names_json; /* [..] or NULL */
    int64_t n, first, seed;
    int64_t wrong_every, wrong_offset; /* wrong where i % wrong_every == wrong_offset; 0: never */
    bool no_logits, probabilities;
    outcome end;        /* NONE = OK */
    const char *reason; /* of that */
} fx_item;

static inline void fx_rows(fx *f, const fx_item *it, int64_t item) {
    for (int64_t i = it->first; i < it->first + it->n; i++) {
        float z[FX_CLASSES] = {0};
        const int32_t label = (int32_t)(i % FX_CLASSES);
        const bool wrong = it->wrong_every > 0 && i % it->wrong_every == it->wrong_offset;
        const int32_t pred = wrong ? (label + 1) % FX_CLASSES : label;
        z[pred] = 2.0f;
        const observation row = {.i_example = i,
                                 .label = label,
                                 .pred = pred,
                                 .score = 0.5,
                                 .latency_ns = -1,
                                 .n_logits = it->no_logits ? 0 : FX_CLASSES,
                                 .logits = it->no_logits ? NULL : z};
        FX_OK(store_append(f->s, item, &f->clean, &row, 1, &err));
    }
}

/* One item with its parents and observations, in `run`. */
static inline void fx_add(fx *f, int64_t run, const fx_item *it) {
    char h[DIGEST_HEX];
    char h2[DIGEST_HEX];
    char text[1024];
    char json[1024];
    int64_t model = 0;
    int64_t dataset = 0;
    int64_t item = 0;
    FX_OK(store_put_model(f->s,
                          &(store_model){.key_sha256 = fx_hash(it->model, h),
                                         .sha256 = h,
                                         .name = it->model,
                                         .format = "onnx",
                                         .size_bytes = 1234,
                                         .json = it->probabilities ? "{\"probabilities\":true}" : "{}"},
                          &model, &err));
    (void)snprintf(json, sizeof json, "{\"title\":\"A <b>title</b> | x\",\"licence\":\"MIT\",\"class_names\":%s}",
                   it->class_names_json == NULL ? "[]" : it->class_names_json);
    FX_OK(store_put_dataset(
        f->s,
        &(store_dataset){
            .sha256 = fx_hash(it->dataset, h), .name = it->dataset, .split = "test", .json = json, .n = 1000},
        &dataset, &err));
    (void)snprintf(text, sizeof text, "item %s %s %lld %lld %lld %lld %lld %d", it->model, it->dataset,
                   (long long)it->seed, (long long)it->first, (long long)it->n, (long long)it->wrong_every,
                   (long long)it->wrong_offset, (int)it->end);
    (void)fx_hash(text, h2);
    (void)snprintf(json, sizeof json,
                   "{\"dataset_sha256\":\"%s\",\"index_sha256\":\"%lld+%lld\",\"seed\":%lld,\"suite\":\"accuracy@1\"}",
                   h, (long long)it->first, (long long)it->n, (long long)it->seed);
    char key[DIGEST_HEX];
    const store_item_spec spec = {.item_key = h2,
                                  .model_id = model,
                                  .plugin_id = f->plugin,
                                  .suite_id = f->suite,
                                  .dataset_id = dataset,
                                  .i_first = it->first,
                                  .n_expected = it->n,
                                  .model_name = it->model,
                                  .params_json = "{}",
                                  .numeric_env = "tile 32",
                                  .comparability_key = fx_hash(json, key),
                                  .comparability_json = json};
    FX_OK(store_item_put(f->s, &spec, &item, &err));
    FX_OK(store_run_item(f->s, run, item, it->model, false, &err));
    FX_OK(store_run_model(f->s, run, it->model, it->variant_of, &err));
    const outcome end = it->end == OUTCOME_NONE ? OUTCOME_OK : it->end;
    if (end == OUTCOME_OK) {
        fx_rows(f, it, item);
    }
    FX_OK(store_item_end(f->s, item, end, it->reason == NULL ? "" : it->reason,
                         &(store_attempt){.host_id = f->host,
                                          .started_ns = 1,
                                          .ended_ns = 2,
                                          .outcome = end,
                                          .reason = it->reason == NULL ? "" : it->reason},
                         &err));
}

static inline const char *const *fx_metrics(void *context, const char *suite, const char *suite_params_json) {
    static const char *const ids[] = {"accuracy", "topk", "log-loss", "confusion", NULL};
    (void)context;
    (void)suite_params_json;
    return strcmp(suite, "accuracy") == 0 ? ids : NULL;
}

static inline void fx_judge(fx *f, int64_t run) {
    const judge_options o = {.metrics_for = fx_metrics};
    FX_OK(judge_run(f->s, run, &o, &err));
}

static inline void fx_end(fx *f, int64_t run) {
    char d[65];
    char r[65];
    FX_OK(store_run_digests(f->s, run, d, r, &err));
    FX_OK(store_run_end(f->s, run, "done", d, r, "tile 32", &err));
}

static inline int fx_setup(void **state) {
    fx *f = calloc(1, sizeof *f);
    fx_open(f);
    *state = f;
    return 0;
}

static inline int fx_teardown(void **state) {
    fx_close(*state);
    free(*state);
    return 0;
}

#endif
