/* SPDX-License-Identifier: Apache-2.0
 * run/config: a good configuration, every kind of mistake with its place, the canonical JSON, cut and broken texts. */
#include "unit/base/check.h"

#include <jansson.h>

#include "run/config.h"
#include "suites/suites.h"

/* A suite with parameters of its own, beside the registered ones. */
typedef struct probe_params {
    int64_t steps;
    double eps;
    const char *norm;
    bool targeted;
    param_ints ks;
} probe_params;

#define AT(member) .help = "h", .offset = offsetof(probe_params, member)

static const param probe_table[] = {
    {.name = "steps", AT(steps), .unit = "steps", .type = PARAM_INT, .def = 40, .min = 1, .max = 1000},
    {.name = "eps", AT(eps), .unit = "", .type = PARAM_REAL, .def = 0.1, .min = 0, .max = 1},
    {.name = "norm", AT(norm), .unit = "", .type = PARAM_CHOICE, .def_text = "linf", .choices = "linf|l2"},
    {.name = "targeted", AT(targeted), .unit = "", .type = PARAM_BOOL, .def = 0},
    {.name = "ks", AT(ks), .unit = "", .type = PARAM_INTS, .def_text = "1,5", .min = 1, .max = 1e6},
};

static const char *const probe_metrics[] = {"accuracy", NULL};
static const suite suite_probe = {.info = {.id = "probe",
                                           .summary = "",
                                           .cite = "",
                                           .version = 1,
                                           .params = probe_table,
                                           .n_params = N_OF(probe_table),
                                           .params_bytes = sizeof(probe_params)},
                                  .metrics = probe_metrics};

static const suite *suites_v[16];

static suite_list suites(void) {
    size_t n = 0;
    const suite *const *all = suite_all(&n);
    assert_true(n + 1 <= N_OF(suites_v));
    for (size_t i = 0; i < n; i++) {
        suites_v[i] = all[i];
    }
    suites_v[n] = &suite_probe;
    return (suite_list){n + 1, suites_v};
}

static status load(const char *text, config **c, error *err) {
    static const config_override none = CONFIG_OVERRIDE_NONE;
    *c = NULL;
    return config_load_text("conf/eval.yaml", text, suites(), &none, c, err);
}

static config *loaded(const char *text) {
    config *c = NULL;
    error err = {0};
    if (load(text, &c, &err) != STATUS_OK) {
        fail_msg("%s", err.text);
    }
    return c;
}

static const char good[] = "# an evaluation\n"
                           "label: nightly\n"
                           "seed: 7\n"
                           "store: {path: out/a.db, logits: all}\n"
                           "workers: 4\n"
                           "threads: 2\n"
                           "tile: 8\n"
                           "batch: 64\n"
                           "shard: 500\n"
                           "limit: 3000\n"
                           "limits: {timeout_s: 1.5, memory_mib: 0}\n"
                           "datasets:\n"
                           "  - fashion-mnist\n"
                           "  - {id: hmda-test, limit: 100}\n"
                           "models:\n"
                           "  - name: base\n"
                           "    plugin: ./null.so\n"
                           "    path: models/m.onnx\n"
                           "    preprocess: {scale: 255, mean: [0.5, 0.25], layout: NHWC}\n"
                           "    options: {classes: 10}\n"
                           "    columns: [pirat, hirat]\n"
                           "    datasets: [fashion-mnist]\n"
                           "  - {name: small, plugin: /abs/null.so, variant_of: base}\n"
                           "suites:\n"
                           "  accuracy:\n"
                           "  probe: {eps: 0.25, ks: [1, 3], limit: 50, metrics: [accuracy, {topk: {k: [1, 2]}}]}\n";

static void test_good(void **state) {
    (void)state;
    config *c = loaded(good);
    assert_string_equal(c->label, "nightly");
    assert_int_equal(c->seed, 7);
    assert_string_equal(c->store, "out/a.db");
    assert_int_equal(c->logits, KEEP_ALL);
    assert_true(c->workers == 4 && c->threads == 2 && c->tile == 8 && c->batch == 64 && c->shard == 500);
    assert_true(c->limit == 3000 && c->timeout_s == 1.5 && c->memory_mib == 0);
    assert_int_equal(c->n_datasets, 2);
    assert_string_equal(c->datasets[1].id, "hmda-test");
    assert_int_equal(c->datasets[1].limit, 100);
    assert_int_equal(c->datasets[1].line, 14);
    assert_int_equal(c->n_models, 2);
    const config_model *m = &c->models[0];
    assert_string_equal(m->plugin, "./null.so");
    assert_string_equal(m->plugin_path, "conf/./null.so");
    assert_string_equal(m->path, "conf/models/m.onnx");
    assert_null(m->variant_of);
    assert_int_equal(m->n_options, 4);
    assert_string_equal(m->options[1].key, "preprocess.mean");
    assert_string_equal(m->options[1].value, "0.5\n0.25");
    assert_string_equal(m->options[3].key, "classes");
    assert_int_equal(m->n_columns, 2);
    assert_int_equal(m->n_datasets, 1);
    assert_int_equal(m->line, 16);
    assert_string_equal(c->models[1].plugin_path, "/abs/null.so");
    assert_string_equal(c->models[1].variant_of, "base");
    assert_null(c->models[1].path);
    assert_int_equal(c->n_suites, 2);
    assert_string_equal(c->suites[0].suite->info.id, "accuracy");
    assert_int_equal(c->suites[0].n_metrics, 4);
    const probe_params *p = c->suites[1].params;
    assert_true(p->eps == 0.25 && p->steps == 40 && p->ks.n == 2 && p->ks.v[1] == 3);
    assert_int_equal(c->suites[1].limit, 50);
    assert_int_equal(c->suites[1].n_metrics, 2);
    assert_string_equal(c->suites[1].metrics[1].params[0].value, "1\n2");
    config_close(c);
}

#define DATA "datasets: [fashion-mnist]\n"
#define MODEL "models: [{name: m, plugin: ./null.so}]\n"
#define SUITE "suites: {accuracy: }\n"

static void test_defaults(void **state) {
    (void)state;
    config *c = loaded(DATA MODEL SUITE);
    assert_string_equal(c->label, "");
    assert_string_equal(c->store, "assay.db");
    assert_int_equal(c->logits, KEEP_CLEAN);
    assert_true(c->seed == 1 && c->workers == 1 && c->threads == 1 && c->tile == 32 && c->batch == 128);
    assert_true(c->shard == 1024 && c->limit == 0 && c->timeout_s == 600 && c->memory_mib == 8192);
    config_close(c);
    config_close(NULL);
}

static void test_override(void **state) {
    (void)state;
    const config_override over = {8, 3, 16, 20, 0, "b.db", "l", "none"};
    config *c = NULL;
    error err = {0};
    assert_int_equal(config_load_text("e.yaml", DATA MODEL SUITE, suites(), &over, &c, &err), STATUS_OK);
    assert_true(c->workers == 8 && c->threads == 3 && c->batch == 16 && c->limit == 20 && c->seed == 0);
    assert_string_equal(c->store, "b.db");
    assert_string_equal(c->label, "l");
    assert_int_equal(c->logits, KEEP_NONE);
    config_close(c);
    config_override bad = CONFIG_OVERRIDE_NONE;
    bad.logits = "some";
    c = NULL;
    assert_int_equal(config_load_text("e.yaml", DATA MODEL SUITE, suites(), &bad, &c, &err), STATUS_USAGE);
    assert_null(c);
    check_has(err.text, "--logits must be clean, all or none, not \"some\"");
}

/* ---- mistakes ----------------------------------------------------------------------------------- */

typedef struct mistake {
    const char *text, *place, *expected;
} mistake;

static const mistake top_mistakes[] = {
    {"", "1:1", "\"models\" is missing"},
    {"# nothing\n", "1:1", "\"models\" is missing"},
    {"[a, b]\n", "1:1", "must be a mapping, not a list"},
    {"just text\n", "1:1", "must be a mapping, not text"},
    {MODEL SUITE, "1:1", "\"datasets\" is missing"},
    {DATA SUITE, "1:1", "\"models\" is missing"},
    {DATA MODEL, "1:1", "\"suites\" is missing"},
    {DATA MODEL SUITE "worker: 2\n", "4:1", "unknown key \"worker\", did you mean \"workers\"?"},
    {DATA MODEL SUITE "sede: 2\n", "4:1", "did you mean \"seed\"?"},
    {DATA MODEL SUITE "frobnicate: 2\n", "4:1", "(allowed: label, seed, manifest"},
    {DATA MODEL SUITE "seed: 1\nseed: 2\n", "5:1", "duplicate key \"seed\" (first on line 4)"},
    {DATA MODEL SUITE "seed: x\n", "4:7", "\"seed\" must be an integer, not \"x\""},
    {DATA MODEL SUITE "seed: -1\n", "4:7", "\"seed\" must be in 0..9223372036854775807, not -1"},
    {DATA MODEL SUITE "seed: 9223372036854775808\n", "4:7", "must be an integer"},
    {DATA MODEL SUITE "seed: \"7\"\n", "4:7", "not quoted text"},
    {DATA MODEL SUITE "seed: 1.5\n", "4:7", "must be an integer"},
    {DATA MODEL SUITE "seed: [1]\n", "4:7", "not a list"},
    {DATA MODEL SUITE "seed:\n", "4:1", "not empty"},
    {DATA MODEL SUITE "workers: 0\n", "4:10", "\"workers\" must be in 1..256, not 0"},
    {DATA MODEL SUITE "workers: 257\n", "4:10", "\"workers\" must be in 1..256"},
    {DATA MODEL SUITE "threads: 0\n", "4:10", "\"threads\" must be in 1..256"},
    {DATA MODEL SUITE "batch: 0\n", "4:8", "\"batch\" must be in 1..1048576"},
    {DATA MODEL SUITE "shard: 1048577\n", "4:8", "\"shard\" must be in 1..1048576"},
    {DATA MODEL SUITE "limit: 0\n", "4:8", "\"limit\" must be in 1.."},
    {DATA MODEL SUITE "tile: 16\n", "4:7", "tile must be 1, 8 or 32, not 16"},
    {DATA MODEL SUITE "tile: 33\n", "4:7", "\"tile\" must be in 1..32"},
    {DATA MODEL SUITE "label: [a]\n", "4:8", "\"label\" must be text, not a list"},
    {DATA MODEL SUITE "limits: {timeout: 5}\n", "4:10", "unknown key \"timeout\", did you mean \"timeout_s\"?"},
    {DATA MODEL SUITE "limits: {timeout_s: 0}\n", "4:21", "\"timeout_s\" must be in 0.001..10000000, not 0"},
    {DATA MODEL SUITE "limits: {timeout_s: .inf}\n", "4:21", "\"timeout_s\" must be in"},
    {DATA MODEL SUITE "limits: {timeout_s: .nan}\n", "4:21", "\"timeout_s\" must be a number"},
    {DATA MODEL SUITE "limits: {memory_mib: -1}\n", "4:22", "\"memory_mib\" must be in 0..16777216"},
    {DATA MODEL SUITE "limits: 5\n", "4:9", "limits must be a mapping"},
    {DATA MODEL SUITE "store: {path: a.db, logit: all}\n", "4:21", "did you mean \"logits\"?"},
    {DATA MODEL SUITE "store: {logits: al}\n", "4:17", "\"logits\" cannot be \"al\", did you mean \"all\"?"},
    {DATA MODEL SUITE "store: [a.db]\n", "4:8", "store must be a mapping, not a list"},
    {DATA MODEL SUITE "store:\n", "4:1", "\"store\" must be text, not empty"},
};

static const mistake syntax_mistakes[] = {
    {"a: [1, 2\nb: 3\n", NULL, "not well-formed YAML"},
    {"a: b: c\n", NULL, "not well-formed YAML"},
    {"\tseed: 1\n", NULL, "not well-formed YAML"},
    {"a: \"x\n", NULL, "not well-formed YAML"},
    {"a: &x 1\n", "1:7", "anchors"},
    {"a: *x\n", NULL, ""},
    {"a: !!int 1\n", NULL, "tags"},
    {DATA "---\nb: 1\n", NULL, "a second document"},
    {"seed: \xff\n", "1:7", "invalid UTF-8"},
    {"label: \xed\xa0\x80\n", "1:8", "invalid UTF-8"},
};

static const mistake model_mistakes[] = {
    {DATA "models: m\n" SUITE, "2:9", "models must be a list, not text"},
    {DATA "models: []\n" SUITE, "2:9", "models is empty"},
    {DATA "models: [m]\n" SUITE, "2:10", "a model must be a mapping, not text"},
    {DATA "models: [{plugin: ./a.so}]\n" SUITE, "2:10", "a model: the key \"name\" is missing"},
    {DATA "models: [{name: , plugin: ./a.so}]\n" SUITE, "2:11", "\"name\" must be text, not empty"},
    {DATA "models: [{name: \"\", plugin: ./a.so}]\n" SUITE, "2:17", "\"name\" must not be empty"},
    {DATA "models: [{nam: m}]\n" SUITE, "2:11", "unknown key \"nam\", did you mean \"name\"?"},
    {DATA "models: [{name: m, plugin: onxx}]\n" SUITE, "2:10", "there is no plug-in \"onxx\""},
    {DATA "models: [{name: m, plugin: \"\"}]\n" SUITE, "2:10", "there is no plug-in \"\""},
    {DATA "models:\n  - {name: m, plugin: ./a.so}\n  - {name: m, plugin: ./a.so}\n" SUITE, "4:5",
     "two models are called \"m\""},
    {DATA "models:\n  - {name: base, plugin: ./a.so}\n  - {name: m, plugin: ./a.so, variant_of: bsae}\n" SUITE, "4:43",
     "there is no other model \"bsae\"; did you mean \"base\"?"},
    {DATA "models: [{name: m, plugin: ./a.so, variant_of: m}]\n" SUITE, "2:48", "there is no other model \"m\""},
    {DATA "models: [{name: m, plugin: ./a.so, preprocess: {meen: 1}}]\n" SUITE, "2:49", "did you mean \"mean\"?"},
    {DATA "models: [{name: m, plugin: ./a.so, preprocess: 1}]\n" SUITE, "2:48", "preprocess must be a mapping"},
    {DATA "models: [{name: m, plugin: ./a.so, preprocess: {mean: {a: 1}}}]\n" SUITE, "2:55", "\"mean\" must be a list"},
    {DATA "models: [{name: m, plugin: ./a.so, options: [1]}]\n" SUITE, "2:45", "options must be a mapping"},
    {DATA "models: [{name: m, plugin: ./a.so, options: {a: [[1]]}}]\n" SUITE, "2:50", "\"a\" must be text, not a list"},
    {DATA "models: [{name: m, plugin: ./a.so, columns: {a: 1}}]\n" SUITE, "2:45", "\"columns\" must be a list"},
    {DATA "models: [{name: m, plugin: ./a.so, datasets: [fashion-mnits]}]\n" SUITE, "2:46",
     "\"fashion-mnits\" is not among the datasets of this configuration; did you mean \"fashion-mnist\"?"},
    {DATA "models: [{name: m, plugin: ./a.so, datasets: [hmda]}]\n" SUITE, "2:46",
     "\"hmda\" is not among the datasets"},
    {DATA "models: [{name: m, plugin: ./a.so, path: [x]}]\n" SUITE, "2:42", "\"path\" must be text"},
};

static const mistake data_mistakes[] = {
    {"datasets: fashion-mnist\n" MODEL SUITE, "1:11", "datasets must be a list, not text"},
    {"datasets: []\n" MODEL SUITE, "1:11", "datasets is empty"},
    {"datasets: [fashon-mnist]\n" MODEL SUITE, "1:12",
     "there is no dataset \"fashon-mnist\", did you mean "
     "\"fashion-mnist\"?"},
    {"datasets: [fashion-mnist, fashion-mnist]\n" MODEL SUITE, "1:27", "dataset \"fashion-mnist\" is listed twice"},
    {"datasets: [{limit: 5}]\n" MODEL SUITE, "1:12", "a dataset: the key \"id\" is missing"},
    {"datasets: [{id: fashion-mnist, limit: 0}]\n" MODEL SUITE, "1:39", "\"limit\" must be in 1.."},
    {"datasets: [{id: fashion-mnist, limits: 5}]\n" MODEL SUITE, "1:32", "did you mean \"limit\"?"},
    {"datasets: [[fashion-mnist]]\n" MODEL SUITE, "1:12", "must be text, not a list"},
    {"datasets: [\"\"]\n" MODEL SUITE, "1:12", "there is no dataset \"\""},
};

static const mistake suite_mistakes[] = {
    {DATA MODEL "suites: [accuracy]\n", "3:9", "suites must be a mapping, not a list"},
    {DATA MODEL "suites: {}\n", "3:9", "suites is empty"},
    {DATA MODEL "suites: {acuracy: }\n", "3:10", "there is no suite \"acuracy\"; did you mean \"accuracy\"?"},
    {DATA MODEL "suites: {accuracy: 5}\n", "3:20", "accuracy must be a mapping"},
    {DATA MODEL "suites: {accuracy: {limt: 5}}\n", "3:21", "unknown key \"limt\", did you mean \"limit\"?"},
    {DATA MODEL "suites: {accuracy: {limit: 0}}\n", "3:28", "\"limit\" must be in 1.."},
    {DATA MODEL "suites: {accuracy: , accuracy: }\n", "3:22", "duplicate key \"accuracy\""},
    {DATA MODEL "suites: {accuracy: {metrics: accuracy}}\n", "3:30", "metrics must be a list, not text"},
    {DATA MODEL "suites: {accuracy: {metrics: [acuracy]}}\n", "3:31",
     "there is no metric \"acuracy\"; did you mean "
     "\"accuracy\"?"},
    {DATA MODEL "suites: {accuracy: {metrics: [{tpok: {k: 1}}]}}\n", "3:32", "did you mean \"topk\"?"},
    {DATA MODEL "suites: {accuracy: {metrics: [{topk: 5}]}}\n", "3:38", "topk must be a mapping"},
    {DATA MODEL "suites: {accuracy: {metrics: [{topk: {n: 5}}]}}\n", "3:39", "unknown key \"n\""},
    {DATA MODEL "suites: {accuracy: {metrics: [{topk: {k: [1, 0]}}]}}\n", "3:42", "\"k\" must be in 1..1000000"},
    {DATA MODEL "suites: {accuracy: {metrics: [{topk: {k: 1}, accuracy: {}}]}}\n", "3:31", "not a mapping"},
    {DATA MODEL "suites: {accuracy: {metrics: [[topk]]}}\n", "3:31", "not a list"},
    {DATA MODEL "suites: {accuracy: {metrics: [accuracy, topk, accuracy]}}\n", "3:47", "\"accuracy\" is listed twice"},
    {DATA MODEL "suites: {accuracy: {metrics: [topk, {topk: {k: 7}}]}}\n", "3:37", "\"topk\" is listed twice"},
    {DATA MODEL "suites: {probe: {epss: 1}}\n", "3:18", "did you mean \"eps\"?"},
    {DATA MODEL "suites: {probe: {eps: 2}}\n", "3:23", "\"eps\" must be in 0..1, not 2"},
    {DATA MODEL "suites: {probe: {eps: x}}\n", "3:23", "\"eps\" must be a number"},
    {DATA MODEL "suites: {probe: {steps: 0}}\n", "3:25", "\"steps\" must be in 1..1000 steps, not 0"},
    {DATA MODEL "suites: {probe: {norm: l1}}\n", "3:24", "\"norm\" must be linf|l2, not \"l1\""},
    {DATA MODEL "suites: {probe: {targeted: 1}}\n", "3:28", "\"targeted\" must be true or false"},
    {DATA MODEL "suites: {probe: {ks: [1, x]}}\n", "3:22", "\"ks\" must be an integer, not \"x\""},
    {DATA MODEL "suites: {probe: {ks: [\"1,2\"]}}\n", "3:23", "cannot hold a comma"},
};

static void all_refused(const mistake *m, size_t n) {
    for (size_t i = 0; i < n; i++) {
        config *c = NULL;
        error err = {0};
        status s = load(m[i].text, &c, &err);
        if (s != STATUS_USAGE || c != NULL) {
            fail_msg("status %s for: %s\n%s", status_name(s), m[i].text, err.text);
        }
        int line = 0;
        int col = 0;
        char place[64];
        if (sscanf(err.text, "conf/eval.yaml:%d:%d: ", &line, &col) != 2) {
            fail_msg("no place in \"%s\"", err.text);
        }
        (void)snprintf(place, sizeof place, "%d:%d", line, col);
        if ((m[i].place != NULL && strcmp(place, m[i].place) != 0) || strstr(err.text, m[i].expected) == NULL) {
            fail_msg("expected %s \"%s\" for:\n%sgot: %s", m[i].place, m[i].expected, m[i].text, err.text);
        }
    }
}

static void test_top_mistakes(void **state) {
    (void)state;
    all_refused(top_mistakes, N_OF(top_mistakes));
}

/* A manifest that is not there is a file that cannot be read, at a place of the configuration. */
static void test_absent_manifest(void **state) {
    (void)state;
    config *c = NULL;
    error err = {0};
    assert_int_equal(load(DATA MODEL SUITE "manifest: absent.manifest\n", &c, &err), STATUS_IO);
    assert_null(c);
    check_has(err.text, "conf/eval.yaml:4:11: manifest: conf/absent.manifest");
}

static void test_syntax_mistakes(void **state) {
    (void)state;
    all_refused(syntax_mistakes, N_OF(syntax_mistakes));
}

static void test_model_mistakes(void **state) {
    (void)state;
    all_refused(model_mistakes, N_OF(model_mistakes));
}

static void test_data_mistakes(void **state) {
    (void)state;
    all_refused(data_mistakes, N_OF(data_mistakes));
}

static void test_suite_mistakes(void **state) {
    (void)state;
    all_refused(suite_mistakes, N_OF(suite_mistakes));
}

/* ---- canonical JSON ------------------------------------------------------------------------------ */

static char *json_of(arena *a, const char *text) {
    config *c = loaded(text);
    char *json = arena_strdup(a, c->json);
    digest_value want = digest_of(json, strlen(json));
    assert_true(digest_equal(&want, &c->sha256));
    json_error_t je;
    json_t *o = json_loads(json, JSON_REJECT_DUPLICATES, &je);
    assert_true(json_is_object(o));
    assert_int_equal(json_array_size(json_object_get(o, "models")), c->n_models);
    assert_int_equal(json_array_size(json_object_get(o, "datasets")), c->n_datasets);
    assert_int_equal(json_array_size(json_object_get(o, "suites")), c->n_suites);
    json_decref(o);
    config_close(c);
    return json;
}

static void test_same_json(void **state) {
    (void)state;
    static const char *const same[][2] = {
        {DATA MODEL SUITE, SUITE MODEL DATA},
        {DATA MODEL SUITE,
         "# a comment\nsuites:\n  accuracy: {}\nmodels:\n- plugin: \"./null.so\"\n  name: 'm'\ndatasets:\n"
         "- id: fashion-mnist\n"},
        /* defaults written out */
        {DATA MODEL SUITE, DATA MODEL SUITE "seed: 1\ntile: 32\nshard: 1024\nstore: {logits: clean}\n"},
        {DATA MODEL SUITE, DATA MODEL "suites: {accuracy: {metrics: [accuracy, topk, log-loss, confusion]}}\n"},
        {DATA MODEL "suites: {accuracy: {metrics: [topk]}}\n",
         DATA MODEL "suites: {accuracy: {metrics: [{topk: {k: [1, 3, 5]}}]}}\n"},
        {DATA MODEL "suites: {accuracy: {metrics: [{topk: {k: 7}}]}}\n",
         DATA MODEL "suites: {accuracy: {metrics: [{topk: {k: [007]}}]}}\n"},
        {DATA MODEL "suites: {probe: }\n",
         DATA MODEL "suites: {probe: {steps: 40, eps: 1e-1, norm: linf, targeted: false, ks: [1, 5]}}\n"},
        {DATA MODEL "suites: {probe: {steps: 3, eps: 0.5}}\n", DATA MODEL "suites: {probe: {eps: 0.50, steps: 3}}\n"},
        {DATA MODEL "suites: {probe: , accuracy: }\n", DATA MODEL "suites: {accuracy: , probe: }\n"},
        {DATA "models: [{name: m, plugin: ./a.so, options: {a: 1, b: [x, y]}, preprocess: {std: 2, mean: 1}}]\n" SUITE,
         DATA "models: [{preprocess: {mean: 1, std: 2}, options: {b: [x, y], a: 1}, plugin: ./a.so, name: m}]\n" SUITE},
        /* what changes no result */
        {DATA MODEL SUITE, DATA MODEL SUITE "workers: 9\nthreads: 3\nbatch: 5\nlabel: x\nstore: other.db\n"
                                            "limits: {timeout_s: 1, memory_mib: 5}\n"},
    };
    for (size_t i = 0; i < N_OF(same); i++) {
        arena a = {0};
        assert_string_equal(json_of(&a, same[i][0]), json_of(&a, same[i][1]));
        arena_free(&a);
    }
}

static void test_other_json(void **state) {
    (void)state;
    static const char *const texts[] = {
        DATA MODEL SUITE,
        DATA MODEL SUITE "seed: 2\n",
        DATA MODEL SUITE "tile: 8\n",
        DATA MODEL SUITE "shard: 10\n",
        DATA MODEL SUITE "limit: 10\n",
        DATA MODEL SUITE "store: {logits: none}\n",
        "datasets: [hmda]\n" MODEL SUITE,
        "datasets: [{id: fashion-mnist, limit: 10}]\n" MODEL SUITE,
        DATA "models: [{name: n, plugin: ./null.so}]\n" SUITE,
        DATA "models: [{name: m, plugin: ./other.so}]\n" SUITE,
        DATA "models: [{name: m, plugin: ./null.so, path: m.onnx}]\n" SUITE,
        DATA "models: [{name: m, plugin: ./null.so, options: {a: 1}}]\n" SUITE,
        DATA "models: [{name: m, plugin: ./null.so, columns: [a]}]\n" SUITE,
        DATA MODEL "suites: {probe: }\n",
        DATA MODEL "suites: {probe: {eps: 0.2}}\n",
        DATA MODEL "suites: {accuracy: {limit: 3}}\n",
        DATA MODEL "suites: {accuracy: {metrics: [accuracy]}}\n",
        DATA MODEL "suites: {accuracy: {metrics: [{topk: {k: 2}}]}}\n",
        DATA MODEL "suites: {accuracy: {metrics: [{topk: {k: 3}}]}}\n",
    };
    arena a = {0};
    const char *json[N_OF(texts)];
    for (size_t i = 0; i < N_OF(texts); i++) {
        json[i] = json_of(&a, texts[i]);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(json[i], json[j]);
        }
    }
    arena_free(&a);
}

/* An escape can write what is no character: the configuration is refused, not silently left out of the JSON. */
static void test_escapes(void **state) {
    (void)state;
    static const char *const names[] = {"\\ud800", "\\udfff", "\\ude00\\ud83d", "\\ud83dx", "\\U00110000", "\\0"};
    for (size_t i = 0; i < N_OF(names); i++) {
        char text[300];
        (void)snprintf(text, sizeof text, DATA "models: [{name: \"a%sb\", plugin: ./a.so}]\n" SUITE, names[i]);
        config *c = NULL;
        error err = {0};
        if (load(text, &c, &err) != STATUS_USAGE) {
            fail_msg("%s became \"%s\"", names[i], c == NULL ? err.text : c->models[0].name);
        }
        check_has(err.text, "conf/eval.yaml:2:");
    }
    arena a = {0};
    check_has(json_of(&a, DATA "models: [{name: \"\\u00e9\\U0001f600\\x41\\ud83d\\ude00\", plugin: ./a.so}]\n" SUITE),
              "\"name\":\"\xc3\xa9\xf0\x9f\x98\x80"
              "A\xf0\x9f\x98\x80\"");
    arena_free(&a);
}

/* ---- broken texts -------------------------------------------------------------------------------- */

static void survives(const char *text) {
    config *c = NULL;
    error err = {0};
    status s = load(text, &c, &err);
    if (s == STATUS_OK) {
        assert_non_null(c);
        config_close(c);
    } else {
        assert_int_equal(s, STATUS_USAGE);
        assert_null(c);
        check_has(err.text, "conf/eval.yaml:");
    }
}

static int small_manifest(void **state) {
    if (scratch_setup(state) != 0) {
        return -1;
    }
    scratch *s = *state;
    static const char record[] =
        "datasets:\n"
        "  - id: fashion-mnist\n    title: t\n    split: test\n    modality: tabular\n"
        "    reader: csv\n    files: [{role: table, path: a.csv, bytes: 1, sha256: "
        "0000000000000000000000000000000000000000000000000000000000000000}]\n"
        "    label_column: y\n    classes: [a, b]\n    columns: [{name: x, type: real, feature: "
        "true}]\n    licence: MIT\n    provenance: p\n    citation: c\n    installer: i\n";
    arena *a = &s->mem;
    char *second = arena_strdup(a, record + strlen("datasets:\n"));
    char *id = strstr(second, "fashion-mnist");
    memcpy(id, "hmda-test    ", strlen("fashion-mnist"));
    char *both = arena_printf(a, "%s%s", record, second);
    scratch_write(s, "datasets.manifest", both, strlen(both));
    return setenv("ASSAY_MANIFEST", scratch_path(s, "datasets.manifest"), 1);
}

static int whole_manifest(void **state) {
    (void)state;
    const char *root = getenv("ASSAY_SOURCE_DIR");
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/datasets.manifest", root == NULL ? "." : root);
    return setenv("ASSAY_MANIFEST", path, 1);
}

static int small_manifest_done(void **state) {
    return scratch_teardown(state) != 0 ? -1 : whole_manifest(NULL);
}

static void test_cut(void **state) {
    (void)state;
    config_close(loaded(good)); /* good with the small manifest as well */
    for (size_t n = 0; n < sizeof good; n++) {
        char *text = malloc(n + 1);
        assert_non_null(text);
        memcpy(text, good, n);
        text[n] = '\0';
        survives(text);
        free(text);
    }
}

static void test_one_byte_wrong(void **state) {
    (void)state;
    static const char wrong[] = "\xff:-[]{},\"'#&*!|>%@`\n\t 0";
    char text[sizeof good];
    for (size_t n = 0; n < sizeof good - 1; n++) {
        memcpy(text, good, sizeof good);
        text[n] = wrong[n * 7 % (sizeof wrong - 1)];
        survives(text);
    }
}

static void test_file(void **state) {
    scratch *s = *state;
    const config_override none = CONFIG_OVERRIDE_NONE;
    config *c = NULL;
    error err = {0};
    scratch_write(s, "e.yaml", DATA MODEL SUITE, strlen(DATA MODEL SUITE));
    assert_int_equal(config_load(scratch_path(s, "e.yaml"), suites(), &none, &c, &err), STATUS_OK);
    assert_string_equal(c->models[0].plugin_path, scratch_path(s, "./null.so"));
    config_close(c);
    c = NULL;
    scratch_write(s, "nul.yaml", "seed: 1\0\n", 9);
    assert_int_equal(config_load(scratch_path(s, "nul.yaml"), suites(), &none, &c, &err), STATUS_USAGE);
    check_has(err.text, "NUL");
    assert_int_equal(config_load(scratch_path(s, "absent.yaml"), suites(), &none, &c, &err), STATUS_IO);
    assert_int_equal(config_load(s->dir, suites(), &none, &c, &err), STATUS_IO);
    char *big = mem_zalloc((2u << 20) + 1);
    memset(big, '#', 2u << 20);
    scratch_write(s, "big.yaml", big, 2u << 20);
    mem_free(big);
    assert_int_equal(config_load(scratch_path(s, "big.yaml"), suites(), &none, &c, &err), STATUS_USAGE);
    check_has(err.text, "big.yaml");
    assert_null(c);
}

static void test_manifest_search(void **state) {
    scratch *s = *state;
    arena a = {0};
    char *was = arena_strdup(&a, getenv("ASSAY_MANIFEST"));
    assert_string_equal(config_find_manifest(s->dir, &a), was);
    assert_int_equal(unsetenv("ASSAY_MANIFEST"), 0);
    char *deep = scratch_path(s, "deep");
    assert_int_equal(mkdir(deep, 0700), 0);
    char *want = realpath(s->dir, NULL);
    const char *found = config_find_manifest(deep, &a); /* one folder above */
    assert_string_equal(found, arena_printf(&a, "%s/datasets.manifest", want));
    free(want);
    assert_null(config_find_manifest(scratch_path(s, "absent"), &a));
    (void)unlink(scratch_path(s, "datasets.manifest"));
    const config_override none = CONFIG_OVERRIDE_NONE;
    config *c = NULL;
    error err = {0};
    if (config_find_manifest(deep, &a) == NULL) { /* true unless the machine has one in /tmp or / */
        assert_int_equal(config_load_text(scratch_path(s, "deep/e.yaml"), DATA MODEL SUITE, suites(), &none, &c, &err),
                         STATUS_USAGE);
        check_has(err.text, "deep/e.yaml:1:1: no datasets.manifest");
    }
    arena_free(&a);
}

static void test_plugin_path(void **state) {
    scratch *s = *state;
    arena a = {0};
    assert_string_equal(config_plugin_path("./x.so", &a), "./x.so");
    assert_string_equal(config_plugin_path("/x/y.so", &a), "/x/y.so");
    assert_null(config_plugin_path("no-such-plug-in", &a));
    scratch_write(s, "mine.so", "", 0);
    assert_int_equal(setenv("ASSAY_PLUGIN_PATH", arena_printf(&a, ":/nowhere::%s:", s->dir), 1), 0);
    assert_string_equal(config_plugin_path("mine", &a), scratch_path(s, "mine.so"));
    assert_null(config_plugin_path("theirs", &a));
    assert_int_equal(unsetenv("ASSAY_PLUGIN_PATH"), 0);
    assert_null(config_plugin_path("mine", &a));
    arena_free(&a);
}

#define SMALL(f) cmocka_unit_test_setup_teardown(f, small_manifest, small_manifest_done)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_override),
        cmocka_unit_test(test_top_mistakes),
        cmocka_unit_test(test_absent_manifest),
        cmocka_unit_test(test_syntax_mistakes),
        cmocka_unit_test(test_model_mistakes),
        cmocka_unit_test(test_data_mistakes),
        cmocka_unit_test(test_suite_mistakes),
        cmocka_unit_test(test_same_json),
        cmocka_unit_test(test_other_json),
        cmocka_unit_test(test_escapes),
        SMALL(test_cut),
        SMALL(test_one_byte_wrong),
        SMALL(test_file),
        SMALL(test_manifest_search),
        SMALL(test_plugin_path),
    };
    return cmocka_run_group_tests(tests, whole_manifest, NULL);
}
