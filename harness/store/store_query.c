/* SPDX-License-Identifier: Apache-2.0
 * What reports and commands read: runs, groups, metrics. Results live in the caller's arena. */
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "store/store_internal.h"

/* ---- runs --------------------------------------------------------------------------------------- */

#define RUN_COLUMNS                                                                                                    \
    "SELECT r.run_id, r.seed, r.run_uid, r.label, r.status, r.started_at, r.finished_at, r.config_path,"               \
    " r.config_text, r.config_json, r.decisions_digest, r.results_digest, r.numeric_env, r.command_line, "             \
    "r.git_revision, h.name,"                                                                                          \
    " h.cpu, b.version, r.limited FROM run r JOIN host h ON h.host_id = r.host_id"                                     \
    " JOIN build b ON b.build_id = r.build_id "
#define NEWEST_FIRST " ORDER BY r.started_at DESC, r.run_id DESC"

static status count_items(store *s, store_run_row *r, error *err) {
    sqlite3_stmt *q = NULL;
    TRY(store_sql_prepare(s,
                          "SELECT i.outcome, ri.reused, count(*) FROM run_item ri JOIN item i ON i.item_id = ri.item_id"
                          " WHERE ri.run_id = ?1 GROUP BY 1, 2",
                          &q, err));
    status st = store_sql_bind(s, q, err, "i", r->run_id);
    bool row = false;
    while (st == STATUS_OK && (st = store_sql_step(s, q, &row, err)) == STATUS_OK && row) {
        const char *word = (const char *)sqlite3_column_text(q, 0);
        int64_t n = sqlite3_column_int64(q, 2);
        r->n_items += n;
        r->n_reused += sqlite3_column_int(q, 1) != 0 ? n : 0;
        r->n_outcome[word != NULL ? outcome_parse(word) : OUTCOME_NONE] += n;
    }
    sqlite3_finalize(q);
    return st;
}

static void read_run(sqlite3_stmt *q, arena *a, store_run_row *r) {
    const char **text[] = {&r->run_uid,      &r->label,       &r->status,      &r->started_at,
                           &r->finished_at,  &r->config_path, &r->config_text, &r->config_json,
                           &r->decisions,    &r->results,     &r->numeric_env, &r->command_line,
                           &r->git_revision, &r->host_name,   &r->cpu,         &r->version};
    memset(r, 0, sizeof *r);
    r->run_id = sqlite3_column_int64(q, 0);
    r->seed = sqlite3_column_int64(q, 1);
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        *text[i] = store_column_text(q, (int)i + 2, a);
    }
    r->limited = sqlite3_column_int(q, 18) != 0;
}

/* Runs the query; all rows to the arena. */
static status load_runs(store *s, sqlite3_stmt *q, arena *a, store_run_row **out, size_t *n, error *err) {
    store_run_row *rows = NULL;
    size_t cap = 0, k = 0;
    bool row = false;
    status st;
    while ((st = store_sql_step(s, q, &row, err)) == STATUS_OK && row) {
        rows = mem_grow(rows, &cap, k + 1, sizeof *rows);
        read_run(q, a, &rows[k++]);
    }
    for (size_t i = 0; i < k && st == STATUS_OK; i++) {
        st = count_items(s, &rows[i], err);
    }
    *n = st == STATUS_OK ? k : 0;
    *out = *n > 0 ? arena_alloc(a, k * sizeof *rows) : NULL;
    if (*n > 0) {
        memcpy(*out, rows, k * sizeof *rows);
    }
    mem_free(rows);
    return st;
}

status store_runs(store *s, arena *a, store_run_row **out, size_t *n, error *err) {
    sqlite3_stmt *q = NULL;
    *out = NULL;
    *n = 0;
    TRY(store_sql_prepare(s, RUN_COLUMNS NEWEST_FIRST, &q, err));
    status st = load_runs(s, q, a, out, n, err);
    sqlite3_finalize(q);
    return st;
}

/* The meanings of a reference in the order in which they are tried; the first that finds something decides. */
static const char *const run_refs[] = {
    RUN_COLUMNS "WHERE ?1 = 'latest'" NEWEST_FIRST " LIMIT 1",
    RUN_COLUMNS "WHERE r.run_uid = ?1",
    RUN_COLUMNS "WHERE r.label = ?1" NEWEST_FIRST " LIMIT 1",
    RUN_COLUMNS "WHERE CAST(r.run_id AS TEXT) = ?1",
    RUN_COLUMNS "WHERE length(?1) >= 4 AND substr(r.run_uid, 1, length(?1)) = ?1" NEWEST_FIRST " LIMIT 11",
};

static status unknown_run(store *s, const char *ref, error *err) {
    arena a = {0};
    store_run_row *rows;
    size_t n;
    status st = store_runs(s, &a, &rows, &n, err);
    if (st == STATUS_OK && n == 0) {
        st = error_set(err, STATUS_USAGE, "%s: there is no run \"%s\": the store has no runs yet", s->path, ref);
    } else if (st == STATUS_OK) {
        const char **labels = arena_alloc(&a, n * sizeof *labels);
        size_t k = 0;
        for (size_t i = 0; i < n; i++) {
            if (rows[i].label[0] != '\0') {
                labels[k++] = rows[i].label;
            }
        }
        const char *near = str_nearest(ref, labels, k);
        st = error_set(err, STATUS_USAGE, "%s: there is no run \"%s\"%s%s%s (`assay runs` lists them)", s->path, ref,
                       near != NULL ? "; did you mean \"" : "", near != NULL ? near : "", near != NULL ? "\"?" : "");
    }
    arena_free(&a);
    return st;
}

static status ambiguous_run(const store *s, const char *ref, const store_run_row *rows, size_t n, error *err) {
    strbuf b = {0};
    for (size_t i = 0; i < n && i < 10; i++) {
        strbuf_addf(&b, "\n  %.16s  %s  %s", rows[i].run_uid, rows[i].started_at, rows[i].label);
    }
    status st = error_set(err, STATUS_USAGE, "%s: \"%s\" is the beginning of several runs:%s%s", s->path, ref,
                          strbuf_str(&b), n > 10 ? "\n  and more" : "");
    strbuf_free(&b);
    return st;
}

status store_run_get(store *s, const char *ref, arena *a, store_run_row *out, error *err) {
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < sizeof run_refs / sizeof run_refs[0]; i++) {
        sqlite3_stmt *q;
        store_run_row *rows;
        size_t n = 0;
        TRY(store_sql_prepare(s, run_refs[i], &q, err));
        status st = store_sql_bind(s, q, err, "e", ref);
        if (st == STATUS_OK) {
            st = load_runs(s, q, a, &rows, &n, err);
        }
        sqlite3_finalize(q);
        TRY(st);
        if (n > 1) {
            return ambiguous_run(s, ref, rows, n, err);
        }
        if (n == 1) {
            *out = rows[0];
            return STATUS_OK;
        }
    }
    return unknown_run(s, ref != NULL ? ref : "", err);
}

/* ---- groups ------------------------------------------------------------------------------------- */

static const char group_sql[] =
    "SELECT ri.model_name, m.sha256, m.json, p.name, p.version, d.name, d.sha256, d.json, d.split, s.name,"
    " m.size_bytes, d.n, i.model_id, i.dataset_id, i.suite_id, s.version, s.params_json, i.comparability_key,"
    " i.comparability_json, i.n_expected, i.outcome, i.reason, rm.variant_of,"
    " p.so_sha256"
    " FROM run_item ri JOIN item i ON i.item_id = ri.item_id JOIN model m ON m.model_id = i.model_id"
    " JOIN plugin p ON p.plugin_id = i.plugin_id JOIN dataset d ON d.dataset_id = i.dataset_id"
    " JOIN suite s ON s.suite_id = i.suite_id"
    " LEFT JOIN run_model rm ON rm.run_id = ri.run_id AND rm.model_name = ri.model_name WHERE ri.run_id = ?1"
    " ORDER BY d.name, s.name, ri.model_name, d.sha256, s.spec_sha256, m.key_sha256, i.i_first, i.i_shard, i.item_key";

/* What is gathered while the items of one group pass by. */
typedef struct group_state {
    digest *comparability;
    strbuf reasons;
} group_state;

static void group_start(sqlite3_stmt *q, arena *a, store_group *g) {
    const char **text[] = {&g->model_name, &g->model_sha256,   &g->model_json,   &g->plugin, &g->plugin_version,
                           &g->dataset,    &g->dataset_sha256, &g->dataset_json, &g->split,  &g->suite};
    int64_t *number[] = {&g->model_size_bytes, &g->dataset_n, &g->model_id,
                         &g->dataset_id,       &g->suite_id,  &g->suite_version};
    memset(g, 0, sizeof *g);
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        *text[i] = store_column_text(q, (int)i, a);
    }
    for (size_t i = 0; i < sizeof number / sizeof number[0]; i++) {
        *number[i] = sqlite3_column_int64(q, (int)i + 10);
    }
    g->suite_params_json = store_column_text(q, 16, a);
    g->comparability_json = store_column_text(q, 18, a);
    g->variant_of = store_column_text(q, 22, a);
    g->plugin_sha256 = store_column_text(q, 23, a);
}

static bool group_continues(const store_group *g, sqlite3_stmt *q) {
    const char *name = (const char *)sqlite3_column_text(q, 0);
    return g->model_id == sqlite3_column_int64(q, 12) && g->dataset_id == sqlite3_column_int64(q, 13) &&
           g->suite_id == sqlite3_column_int64(q, 14) && strcmp(g->model_name, name != NULL ? name : "") == 0;
}

/* Adds a reason once; lines are the unit, so a newline within one becomes a blank. */
static void add_reason(strbuf *reasons, const char *reason) {
    strbuf line = {0};
    strbuf_add(&line, reason);
    for (size_t i = 0; i < line.len; i++) {
        line.data[i] = line.data[i] == '\n' ? ' ' : line.data[i];
    }
    bool known = false;
    for (const char *p = strbuf_str(reasons); *p != '\0' && !known;) {
        size_t n = strcspn(p, "\n");
        known = n == line.len && memcmp(p, line.data, n) == 0;
        p += n + (p[n] == '\n' ? 1 : 0);
    }
    if (!known && line.len > 0) {
        strbuf_add(reasons, reasons->len > 0 ? "\n" : "");
        strbuf_addn(reasons, line.data, line.len);
    }
    strbuf_free(&line);
}

static void group_add(sqlite3_stmt *q, store_group *g, group_state *t) {
    const char *key = (const char *)sqlite3_column_text(q, 17);
    const char *word = (const char *)sqlite3_column_text(q, 20);
    const char *reason = (const char *)sqlite3_column_text(q, 21);
    outcome o = word != NULL ? outcome_parse(word) : OUTCOME_NONE;
    digest_field_str(t->comparability, "item", key != NULL ? key : "");
    g->n_items++;
    g->n_expected += sqlite3_column_int64(q, 19);
    g->n_outcome[o]++;
    if (o != OUTCOME_OK && reason != NULL) {
        add_reason(&t->reasons, reason);
    }
}

static void group_finish(arena *a, store_group *g, group_state *t) {
    char hex[DIGEST_HEX];
    digest_value v = digest_finish(t->comparability);
    digest_hex(&v, hex);
    g->comparability_key = arena_strdup(a, hex);
    g->reasons = arena_strdup(a, strbuf_str(&t->reasons));
    strbuf_free(&t->reasons);
    *t = (group_state){0};
}

status store_groups(store *s, int64_t run_id, arena *a, store_group **out, size_t *n, error *err) {
    *out = NULL;
    *n = 0;
    sqlite3_stmt *q = NULL;
    TRY(store_sql_prepare(s, group_sql, &q, err));
    store_group *groups = NULL;
    group_state t = {0};
    size_t cap = 0, k = 0;
    bool row = false;
    status st = store_sql_bind(s, q, err, "i", run_id);
    while (st == STATUS_OK && (st = store_sql_step(s, q, &row, err)) == STATUS_OK && row) {
        if (k == 0 || !group_continues(&groups[k - 1], q)) {
            if (k > 0) {
                group_finish(a, &groups[k - 1], &t);
            }
            groups = mem_grow(groups, &cap, k + 1, sizeof *groups);
            group_start(q, a, &groups[k++]);
            t.comparability = digest_new();
        }
        group_add(q, &groups[k - 1], &t);
    }
    if (k > 0) {
        group_finish(a, &groups[k - 1], &t);
    }
    if (st == STATUS_OK && k > 0) {
        *out = arena_alloc(a, k * sizeof *groups);
        memcpy(*out, groups, k * sizeof *groups);
        *n = k;
    }
    mem_free(groups);
    sqlite3_finalize(q);
    return st;
}

/* ---- metrics ------------------------------------------------------------------------------------ */

static double real_or_nan(sqlite3_stmt *q, int i) {
    return sqlite3_column_type(q, i) == SQLITE_NULL ? NAN : sqlite3_column_double(q, i);
}

static void read_metric(sqlite3_stmt *q, arena *a, store_metric *m) {
    const char **text[] = {&m->model_name, &m->dataset,   &m->suite, &m->condition, &m->metric_id, &m->name,
                           &m->slice,      &m->ci_method, &m->unit,  &m->better,    &m->reason};
    double *real[] = {&m->value, &m->lo, &m->hi, &m->level};
    int64_t *number[] = {&m->run_id, &m->metric_version, &m->n, &m->flags};
    const int n_text = (int)(sizeof text / sizeof text[0]);
    memset(m, 0, sizeof *m);
    for (int i = 0; i < n_text; i++) {
        *text[i] = store_column_text(q, i, a);
    }
    for (int i = 0; i < 4; i++) {
        *real[i] = real_or_nan(q, n_text + i);
        *number[i] = sqlite3_column_int64(q, n_text + 4 + i);
    }
}

status store_metrics(store *s, int64_t run_id, arena *a, store_metric **out, size_t *n, error *err) {
    *out = NULL;
    *n = 0;
    sqlite3_stmt *q = NULL;
    TRY(store_sql_prepare(s,
                          "SELECT model_name, dataset, suite, condition, metric, name, slice, ci_method, unit, better,"
                          " reason, value, lo, hi, level, run_id, metric_version, n, flags FROM metric"
                          " WHERE run_id = ?1"
                          " ORDER BY dataset, suite, model_name, condition, metric, name, slice",
                          &q, err));
    store_metric *rows = NULL;
    size_t cap = 0, k = 0;
    bool row = false;
    status st = store_sql_bind(s, q, err, "i", run_id);
    while (st == STATUS_OK && (st = store_sql_step(s, q, &row, err)) == STATUS_OK && row) {
        rows = mem_grow(rows, &cap, k + 1, sizeof *rows);
        read_metric(q, a, &rows[k++]);
    }
    if (st == STATUS_OK && k > 0) {
        *out = arena_alloc(a, k * sizeof *rows);
        memcpy(*out, rows, k * sizeof *rows);
        *n = k;
    }
    mem_free(rows);
    sqlite3_finalize(q);
    return st;
}
