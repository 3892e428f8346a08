/* SPDX-License-Identifier: Apache-2.0
 * Parents by natural key, runs, events, metrics. */
#include <string.h>

#include "base/clock.h"
#include "store/store_internal.h"

/* id of the row whose natural key is `key`, or 0. */
static status find(store *s, store_sql id, const char *key, int64_t *row_id, error *err) {
    sqlite3_stmt *q = NULL;
    bool row;
    TRY(store_sql_get(s, id, &q, err));
    TRY(store_sql_bind(s, q, err, "e", key));
    TRY(store_sql_step(s, q, &row, err));
    *row_id = row ? sqlite3_column_int64(q, 0) : 0;
    sqlite3_reset(q);
    return STATUS_OK;
}

/* Finds the row by `key` or inserts it with the values given. */
static status put(store *s, store_sql find_id, store_sql put_id, const char *key, int64_t *row_id, error *err,
                  const char *types, ...) {
    if (key == NULL || key[0] == '\0') {
        return error_set(err, STATUS_INTERNAL, "%s: a row without its natural key", s->path);
    }
    TRY(find(s, find_id, key, row_id, err));
    if (*row_id != 0) {
        return STATUS_OK;
    }
    TRY(store_begin(s, err));
    sqlite3_stmt *q = NULL;
    TRY(store_sql_get(s, put_id, &q, err));
    va_list ap;
    va_start(ap, types);
    status st = store_sql_vbind(s, q, err, types, ap);
    va_end(ap);
    TRY(st);
    bool row;
    TRY(store_sql_step(s, q, &row, err));
    *row_id = sqlite3_last_insert_rowid(s->db);
    return STATUS_OK;
}

status store_put_build(store *s, const store_build *b, int64_t *id, error *err) {
    return put(s, SQL_FIND_BUILD, SQL_PUT_BUILD, b->sha256, id, err, "eeziej", b->sha256, b->version, b->git,
               (int64_t)b->dirty, b->compiler, b->libraries_json);
}

status store_put_host(store *s, const store_host *h, int64_t *id, error *err) {
    return put(s, SQL_FIND_HOST, SQL_PUT_HOST, h->hw_sha256, id, err, "eeeeiieej", h->hw_sha256, h->name, h->cpu,
               h->cpu_flags, h->n_cores, h->ram_bytes, h->kernel, h->blas_core, h->json);
}

status store_put_model(store *s, const store_model *m, int64_t *id, error *err) {
    return put(s, SQL_FIND_MODEL, SQL_PUT_MODEL, m->key_sha256, id, err, "eeeeij", m->key_sha256, m->sha256, m->name,
               m->format, m->size_bytes, m->json);
}

status store_put_plugin(store *s, const store_plugin *p, int64_t *id, error *err) {
    return put(s, SQL_FIND_PLUGIN, SQL_PUT_PLUGIN, p->so_sha256, id, err, "eeei", p->so_sha256, p->name, p->version,
               p->abi);
}

status store_put_dataset(store *s, const store_dataset *d, int64_t *id, error *err) {
    TRY(put(s, SQL_FIND_DATASET, SQL_PUT_DATASET, d->sha256, id, err, "eeeij", d->sha256, d->name, d->split, d->n,
            d->json));
    /* title, licence and provenance are facts about the content that may be corrected */
    TRY(store_begin(s, err));
    return store_sql_run(s, SQL_SET_DATASET_JSON, err, "ij", *id, d->json);
}

status store_put_suite(store *s, const store_suite *u, int64_t *id, error *err) {
    return put(s, SQL_FIND_SUITE, SQL_PUT_SUITE, u->spec_sha256, id, err, "eeij", u->spec_sha256, u->name, u->version,
               u->params_json);
}

status store_put_condition(store *s, const store_condition *c, int64_t *id, error *err) {
    return put(s, SQL_FIND_CONDITION, SQL_PUT_CONDITION, c->key, id, err, "eeeidj", c->key, c->kind, c->algo,
               c->version, c->severity, c->params_json);
}

/* ---- runs --------------------------------------------------------------------------------------- */

status store_run_begin(store *s, const store_run_spec *r, int64_t *run_id, error *err) {
    TRY(find(s, SQL_FIND_RUN, r->run_uid, run_id, err));
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
    TRY(put(s, SQL_FIND_RUN, SQL_PUT_RUN, r->run_uid, run_id, err, "eiizeejeeeziie", r->run_uid, r->build_id,
            r->host_id, r->label, r->config_path, r->config_text, r->config_json, r->config_sha256, r->plan_sha256,
            r->command_line, r->git_revision, r->seed, (int64_t)r->limited, now));
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
