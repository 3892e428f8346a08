/* SPDX-License-Identifier: Apache-2.0
 * Items and their observations: the writer's hot path. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "store/store_internal.h"

status store_item_examples(store *s, int64_t item_id, arena *a, int64_t **i_example, size_t *n, error *err) {
    *i_example = NULL;
    *n = 0;
    sqlite3_stmt *q = NULL;
    TRY(store_sql_get(s, SQL_EXAMPLES, &q, err));
    TRY(store_sql_bind(s, q, err, "i", item_id));
    int64_t *found = NULL;
    size_t cap = 0, k = 0;
    bool row = true;
    status st = STATUS_OK;
    while ((st = store_sql_step(s, q, &row, err)) == STATUS_OK && row) {
        found = mem_grow(found, &cap, k + 1, sizeof *found);
        found[k++] = sqlite3_column_int64(q, 0);
    }
    if (st == STATUS_OK && k > 0) {
        *i_example = arena_alloc(a, k * sizeof *found);
        memcpy(*i_example, found, k * sizeof *found);
        *n = k;
    }
    mem_free(found);
    return st;
}

status store_item_find(store *s, const char *item_key, store_item_state *out, error *err) {
    memset(out, 0, sizeof *out);
    sqlite3_stmt *q = NULL;
    bool row;
    TRY(store_sql_get(s, SQL_FIND_ITEM, &q, err));
    TRY(store_sql_bind(s, q, err, "e", item_key));
    TRY(store_sql_step(s, q, &row, err));
    if (!row) {
        return STATUS_OK;
    }
    const char *word = (const char *)sqlite3_column_text(q, 1);
    const char *reason = (const char *)sqlite3_column_text(q, 2);
    out->item_id = sqlite3_column_int64(q, 0);
    out->outcome = word != NULL ? outcome_parse(word) : OUTCOME_NONE;
    snprintf(out->reason, sizeof out->reason, "%s", reason != NULL ? reason : "");
    bool counted = sqlite3_column_type(q, 3) != SQLITE_NULL;
    out->n_observed = sqlite3_column_int64(q, 3);
    out->n_attempts = sqlite3_column_int64(q, 4);
    sqlite3_reset(q);
    if (!counted) { /* unfinished: look at the rows themselves */
        arena a = {0};
        int64_t *i_example;
        size_t n = 0;
        status st = store_item_examples(s, out->item_id, &a, &i_example, &n, err);
        out->n_observed = (int64_t)n;
        arena_free(&a);
        return st;
    }
    return STATUS_OK;
}

status store_item_put(store *s, const store_item_spec *p, int64_t *item_id, error *err) {
    store_item_state state;
    TRY(store_item_find(s, p->item_key, &state, err));
    *item_id = state.item_id;
    if (*item_id != 0) {
        return STATUS_OK;
    }
    if (p->item_key == NULL || p->item_key[0] == '\0' || p->n_conditions < 0 || p->n_repeats < 0) {
        return error_set(err, STATUS_INTERNAL, "%s: an item without key or with a negative size", s->path);
    }
    TRY(store_begin(s, err));
    TRY(store_sql_run(s, SQL_PUT_ITEM, err, "eiiiiiiiiijeej", p->item_key, p->model_id, p->plugin_id, p->suite_id,
                      p->dataset_id, p->i_shard, p->i_first, p->n_expected,
                      p->n_conditions > 0 ? p->n_conditions : INT64_C(1), p->n_repeats > 0 ? p->n_repeats : INT64_C(1),
                      p->params_json, p->numeric_env, p->comparability_key, p->comparability_json));
    *item_id = sqlite3_last_insert_rowid(s->db);
    return STATUS_OK;
}

status store_item_reset(store *s, int64_t item_id, error *err) {
    TRY(store_begin(s, err));
    TRY(store_sql_run(s, SQL_RESET_VEC, err, "i", item_id));
    TRY(store_sql_run(s, SQL_RESET_OBSERVATION, err, "i", item_id));
    return store_sql_run(s, SQL_RESET_ITEM, err, "i", item_id);
}

status store_run_item(store *s, int64_t run_id, int64_t item_id, const char *model_name, bool reused, error *err) {
    TRY(store_begin(s, err));
    TRY(store_sql_run(s, SQL_PUT_RUN_ITEM, err, "iiei", run_id, item_id, model_name, (int64_t)reused));
    return store_tick(s, err);
}

/* ---- observations ------------------------------------------------------------------------------- */

/* Vectors are stored little-endian; on such a host SQLite reads the caller's memory. */
static const void *little_endian(store *s, const float *v, size_t n) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    (void)s, (void)n;
    return v;
#else
    s->swap = mem_grow(s->swap, &s->swap_cap, n * sizeof *v, 1);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], sizeof bits);
        for (size_t k = 0; k < 4; k++) {
            s->swap[4 * i + k] = (uint8_t)(bits >> (8 * k));
        }
    }
    return s->swap;
#endif
}

static void bind_or_null(sqlite3_stmt *q, int i, int64_t v) {
    if (v < 0) {
        sqlite3_bind_null(q, i);
    } else {
        sqlite3_bind_int64(q, i, v);
    }
}

/* Binding integers to a reset statement with valid indexes cannot fail: no result codes in the hot loop. */
static int append_row(sqlite3_stmt *q, int64_t condition_id, const observation *o) {
    sqlite3_bind_int64(q, 2, condition_id);
    sqlite3_bind_int64(q, 3, o->i_example);
    sqlite3_bind_int(q, 4, o->i_repeat);
    bind_or_null(q, 5, o->label);
    bind_or_null(q, 6, o->pred);
    sqlite3_bind_double(q, 7, o->score); /* NaN becomes NULL */
    bind_or_null(q, 8, o->latency_ns);
    sqlite3_bind_int64(q, 9, o->flags);
    int rc = sqlite3_step(q);
    return rc == SQLITE_DONE ? sqlite3_reset(q) : rc;
}

static int append_vec(store *s, sqlite3_stmt *q, int64_t condition_id, const observation *o) {
    sqlite3_bind_int64(q, 2, condition_id);
    sqlite3_bind_int64(q, 3, o->i_example);
    sqlite3_bind_int(q, 4, o->i_repeat);
    int rc =
        sqlite3_bind_blob64(q, 5, little_endian(s, o->logits, o->n_logits), o->n_logits * sizeof(float), SQLITE_STATIC);
    if (rc != SQLITE_OK) {
        return rc;
    }
    rc = sqlite3_step(q);
    return rc == SQLITE_DONE ? sqlite3_reset(q) : rc;
}

static status append_failed(store *s, int rc, sqlite3_stmt *rows, sqlite3_stmt *vecs, int64_t i_example, error *err) {
    int64_t lost = s->n_pending;
    sqlite3_reset(rows);
    sqlite3_reset(vecs);
    status st = store_sql_error(s, rc, err, "cannot write example %lld", (long long)i_example);
    return s->in_tx || lost == 0 ? st : error_prefix(err, "%lld uncommitted observations given up: ", (long long)lost);
}

/* A batch that is due is committed before the next rows, not after its last: so that the end of an item, which commits
 * as well, costs no second one. */
status store_append(store *s, int64_t item_id, const int64_t *condition_id, const observation *rows, size_t n,
                    error *err) {
    sqlite3_stmt *q, *vec;
    TRY(store_tick(s, err));
    if (n == 0) {
        return STATUS_OK;
    }
    TRY(store_begin(s, err));
    TRY(store_sql_get(s, SQL_APPEND, &q, err));
    TRY(store_sql_get(s, SQL_APPEND_VEC, &vec, err));
    sqlite3_bind_int64(q, 1, item_id);
    sqlite3_bind_int64(vec, 1, item_id);
    for (size_t i = 0; i < n; i++) {
        const observation *o = &rows[i];
        if (o->i_condition < 0 || o->i_example < 0 || o->i_repeat < 0) {
            return error_set(err, STATUS_INTERNAL, "%s: an observation with a negative index", s->path);
        }
        int64_t condition = condition_id[o->i_condition];
        int rc = append_row(q, condition, o);
        if (rc == SQLITE_OK && o->n_logits > 0 && o->logits != NULL) {
            rc = append_vec(s, vec, condition, o);
        }
        if (rc != SQLITE_OK) {
            return append_failed(s, rc, q, vec, o->i_example, err);
        }
    }
    s->n_pending += (int64_t)n;
    return STATUS_OK;
}

/* ---- the end of an item ------------------------------------------------------------------------- */

static status put_attempt(store *s, int64_t item_id, outcome o, const char *reason, const store_attempt *t,
                          error *err) {
    char started[CLOCK_ISO_BYTES], ended[CLOCK_ISO_BYTES];
    const char *why = t->reason != NULL ? t->reason : reason;
    return store_sql_run(s, SQL_PUT_ATTEMPT, err, "iieeizziiii", item_id, t->host_id, clock_iso(t->started_ns, started),
                         clock_iso(t->ended_ns, ended), t->ended_ns - t->started_ns, outcome_name(o), why, t->signal,
                         t->max_rss_bytes, t->user_us, t->system_us);
}

static status check_complete(store *s, int64_t item_id, int64_t n_observed, error *err) {
    sqlite3_stmt *q = NULL;
    bool row;
    TRY(store_sql_get(s, SQL_ITEM_IDENTITY, &q, err));
    TRY(store_sql_bind(s, q, err, "i", item_id));
    TRY(store_sql_step(s, q, &row, err));
    int64_t n_expected = row ? sqlite3_column_int64(q, 4) : 0;
    sqlite3_reset(q);
    if (n_observed < n_expected) {
        return error_set(err, STATUS_INTERNAL, "%s: item %lld cannot be OK with %lld of %lld examples", s->path,
                         (long long)item_id, (long long)n_observed, (long long)n_expected);
    }
    return STATUS_OK;
}

status store_item_end(store *s, int64_t item_id, outcome o, const char *reason, const store_attempt *attempt,
                      error *err) {
    store_item_digest d;
    TRY(store_begin(s, err));
    if (o != OUTCOME_NONE) {
        const char *word = outcome_name(o);
        TRY(store_digest_item(s, item_id, word, &d, err));
        if (o == OUTCOME_OK) {
            TRY(check_complete(s, item_id, d.n_observed, err));
        }
        TRY(store_sql_run(s, SQL_END_ITEM, err, "iezeei", item_id, word, reason, d.decisions, d.results, d.n_observed));
    }
    if (attempt != NULL) {
        TRY(put_attempt(s, item_id, o, reason, attempt, err));
    }
    return store_commit(s, err);
}

status store_run_model(store *s, int64_t run_id, const char *model_name, const char *variant_of, error *err) {
    TRY(store_begin(s, err));
    return store_sql_run(s, SQL_PUT_RUN_MODEL, err, "itz", run_id, model_name, variant_of);
}

status store_set_model_json(store *s, int64_t model_id, const char *json, error *err) {
    TRY(store_begin(s, err));
    return store_sql_run(s, SQL_SET_MODEL_JSON, err, "ij", model_id, json);
}

status store_item_count_flag(store *s, int64_t item_id, uint32_t flags, int64_t *n, error *err) {
    sqlite3_stmt *q = NULL;
    bool row;
    *n = 0;
    TRY(store_sql_get(s, SQL_COUNT_FLAG, &q, err));
    TRY(store_sql_bind(s, q, err, "ii", item_id, (int64_t)flags));
    TRY(store_sql_step(s, q, &row, err));
    *n = row ? sqlite3_column_int64(q, 0) : 0;
    sqlite3_reset(q);
    return STATUS_OK;
}
