/* SPDX-License-Identifier: Apache-2.0
 * Parents by natural key, runs, events, metrics. */
#include <string.h>

#include "base/clock.h"
#include "store/store_internal.h"

/* id of the row whose natural key is the first values of `ap`, of these types, or 0. */
static status find(store *s, store_sql id, const char *key_types, va_list ap, int64_t *row_id, error *err) {
    sqlite3_stmt *q = NULL;
    bool row;
    TRY(store_sql_get(s, id, &q, err));
    TRY(store_sql_vbind(s, q, err, key_types, ap));
    TRY(store_sql_step(s, q, &row, err));
    *row_id = row ? sqlite3_column_int64(q, 0) : 0;
    sqlite3_reset(q);
    return STATUS_OK;
}

static status insert(store *s, store_sql id, const char *types, va_list ap, int64_t *row_id, error *err) {
    sqlite3_stmt *q = NULL;
    bool row;
    TRY(store_begin(s, err));
    TRY(store_sql_get(s, id, &q, err));
    TRY(store_sql_vbind(s, q, err, types, ap));
    TRY(store_sql_step(s, q, &row, err));
    *row_id = sqlite3_last_insert_rowid(s->db);
    return STATUS_OK;
}

/* Finds the row by its natural key, the values that key_types covers, or inserts it with all of them. */
static status put(store *s, store_sql find_id, store_sql put_id, const char *key_types, int64_t *row_id, error *err,
                  const char *types, ...) {
    va_list ap; /* binding leaves it where it is */
    va_start(ap, types);
    status st = find(s, find_id, key_types, ap, row_id, err);
    if (st == STATUS_OK && *row_id == 0) {
        st = insert(s, put_id, types, ap, row_id, err);
    }
    va_end(ap);
    return st;
}

static status need_key(const store *s, const char *key, error *err) {
    return key != NULL && key[0] != '\0'
               ? STATUS_OK
               : error_set(err, STATUS_INTERNAL, "%s: a row without its natural key", s->path);
}

status store_put_build(store *s, const store_build *b, int64_t *id, error *err) {
    TRY(need_key(s, b->sha256, err));
    return put(s, SQL_FIND_BUILD, SQL_PUT_BUILD, "e", id, err, "eeziej", b->sha256, b->version, b->git,
               (int64_t)b->dirty, b->compiler, b->libraries_json);
}

status store_put_host(store *s, const store_host *h, int64_t *id, error *err) {
    TRY(need_key(s, h->hw_sha256, err));
    return put(s, SQL_FIND_HOST, SQL_PUT_HOST, "e", id, err, "eeeeiieej", h->hw_sha256, h->name, h->cpu, h->cpu_flags,
               h->n_cores, h->ram_bytes, h->kernel, h->blas_core, h->json);
}

status store_put_model(store *s, const store_model *m, int64_t *id, error *err) {
    TRY(need_key(s, m->key_sha256, err));
    return put(s, SQL_FIND_MODEL, SQL_PUT_MODEL, "e", id, err, "eeeeij", m->key_sha256, m->sha256, m->name, m->format,
               m->size_bytes, m->json);
}

status store_put_plugin(store *s, const store_plugin *p, int64_t *id, error *err) {
    TRY(need_key(s, p->so_sha256, err));
    return put(s, SQL_FIND_PLUGIN, SQL_PUT_PLUGIN, "e", id, err, "eeei", p->so_sha256, p->name, p->version, p->abi);
}

status store_put_dataset(store *s, const store_dataset *d, int64_t *id, error *err) {
    TRY(need_key(s, d->sha256, err));
    TRY(put(s, SQL_FIND_DATASET, SQL_PUT_DATASET, "eee", id, err, "eeeij", d->sha256, d->name, d->split, d->n,
            d->json));
    /* title, licence and provenance are facts about the content that may be corrected */
    TRY(store_begin(s, err));
    return store_sql_run(s, SQL_SET_DATASET_JSON, err, "ij", *id, d->json);
}

status store_put_suite(store *s, const store_suite *u, int64_t *id, error *err) {
    TRY(need_key(s, u->spec_sha256, err));
    return put(s, SQL_FIND_SUITE, SQL_PUT_SUITE, "e", id, err, "eeij", u->spec_sha256, u->name, u->version,
               u->params_json);
}

status store_put_condition(store *s, const store_condition *c, int64_t *id, error *err) {
    TRY(need_key(s, c->key, err));
    return put(s, SQL_FIND_CONDITION, SQL_PUT_CONDITION, "e", id, err, "eeeidj", c->key, c->kind, c->algo, c->version,
               c->severity, c->params_json);
}

/* ---- runs --------------------------------------------------------------------------------------- */

static status find_run(store *s, int64_t *run_id, error *err, const char *key_type, ...) {
    va_list ap;
    va_start(ap, key_type);
    status st = find(s, SQL_FIND_RUN, key_type, ap, run_id, err);
    va_end(ap);
    return st;
}

status store_run_begin(store *s, const store_run_spec *r, int64_t *run_id, error *err) {
    TRY(need_key(s, r->run_uid, err));
    TRY(find_run(s, run_id, err, "e", r->run_uid));
    if (*run_id != 0) {
        TRY(store_begin(s, err));
        TRY(store_sql_run(s, SQL_RESTART_RUN, err, "i", *run_id));
        return store_commit(s, err);
    }
    char now[CLOCK_ISO_BYTES];
    clock_iso(clock_wall_ns(), now);
    /* there is one writer: what still says "running" was killed */
    TRY(store_begin(s, err));
    TRY(store_sql_run(s, SQL_BURY_RUNS, err, ""));
    TRY(put(s, SQL_FIND_RUN, SQL_PUT_RUN, "e", run_id, err, "eiizeejeeeziie", r->run_uid, r->build_id, r->host_id,
            r->label, r->config_path, r->config_text, r->config_json, r->config_sha256, r->plan_sha256, r->command_line,
            r->git_revision, r->seed, (int64_t)r->limited, now));
    return store_commit(s, err);
}

status store_run_end(store *s, int64_t run_id, const char *run_status, const char *decisions, const char *results,
                     const char *numeric_env, error *err) {
    char now[CLOCK_ISO_BYTES];
    clock_iso(clock_wall_ns(), now);
    TRY(store_begin(s, err));
    TRY(store_sql_run(s, SQL_END_RUN, err, "iezzzz", run_id, run_status, now, decisions, results, numeric_env));
    return store_commit(s, err);
}

status store_run_event(store *s, int64_t run_id, const char *level, const char *kind, const char *message, error *err) {
    TRY(store_begin(s, err));
    TRY(store_sql_run(s, SQL_PUT_EVENT, err, "iieee", run_id, clock_wall_ns(), level, kind, message));
    return store_tick(s, err);
}

/* ---- metrics ------------------------------------------------------------------------------------ */

status store_metrics_clear(store *s, int64_t run_id, error *err) {
    TRY(store_begin(s, err));
    return store_sql_run(s, SQL_CLEAR_METRICS, err, "i", run_id);
}

status store_metric_put(store *s, const store_metric *m, error *err) {
    TRY(store_begin(s, err));
    return store_sql_run(s, SQL_PUT_METRIC, err, "ieeeeeieeddddiieeee", m->run_id, m->model_name, m->dataset, m->suite,
                         m->condition, m->metric_id, m->metric_version, m->name, m->slice, m->value, m->lo, m->hi,
                         m->level, m->n, m->flags, m->ci_method, m->unit, m->better != NULL ? m->better : "none",
                         m->reason);
}
