/* SPDX-License-Identifier: Apache-2.0
 * Digests of items and runs. They depend on what was measured and on nothing else: not on ids, order of
 * insertion, threads, the machine or its numeric environment (which the item key holds, hence the key stays out);
 * latency is excluded. The byte layout is part of the store's contract: docs/STORE.md. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_internal.h"

#define ROW_BYTES 24   /* i_example 8, i_repeat 4, label 4, pred 4, flags 4 */
#define SCORE_BYTES 16 /* score 8, length of the vector 8 */

/* A hash behind a buffer: one call per few hundred rows instead of one per row. */
typedef struct hasher {
    digest *d;
    size_t n;
    uint8_t buf[4096];
} hasher;

static void hasher_flush(hasher *h) {
    digest_add(h->d, h->buf, h->n);
    h->n = 0;
}

/* Room for `n` bytes (at most SCORE_BYTES or ROW_BYTES), to be filled by the caller. */
static uint8_t *hasher_room(hasher *h, size_t n) {
    if (h->n + n > sizeof h->buf) {
        hasher_flush(h);
    }
    uint8_t *p = h->buf + h->n;
    h->n += n;
    return p;
}

static void hasher_add(hasher *h, const void *bytes, size_t n) {
    if (n > sizeof h->buf - h->n) {
        hasher_flush(h);
    }
    if (n > sizeof h->buf) {
        digest_add(h->d, bytes, n);
    } else {
        memcpy(h->buf + h->n, bytes, n);
        h->n += n;
    }
}

static void hasher_field_str(hasher *h, const char *tag, const char *value) {
    hasher_flush(h);
    digest_field_str(h->d, tag, value);
}

static digest_value hasher_finish(hasher *h) {
    hasher_flush(h);
    return digest_finish(h->d);
}

static void put_le(uint8_t *p, uint64_t v, int n) {
    for (int i = 0; i < n; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

typedef struct condition_ref {
    int64_t id;
    char *key;
} condition_ref;

static int by_key(const void *a, const void *b) {
    return strcmp(((const condition_ref *)a)->key, ((const condition_ref *)b)->key);
}

static status condition_key(store *s, int64_t id, char **key, error *err) {
    sqlite3_stmt *q = NULL;
    bool row;
    TRY(store_sql_get(s, SQL_CONDITION_KEY, &q, err));
    TRY(store_sql_bind(s, q, err, "i", id));
    TRY(store_sql_step(s, q, &row, err));
    if (!row) {
        return error_set(err, STATUS_IO, "%s: observations refer to condition %lld, which is not there", s->path,
                         (long long)id);
    }
    const char *text = (const char *)sqlite3_column_text(q, 0);
    *key = mem_strdup(text != NULL ? text : "");
    sqlite3_reset(q);
    return STATUS_OK;
}

static void free_conditions(condition_ref *c, size_t n) {
    for (size_t i = 0; i < n; i++) {
        mem_free(c[i].key);
    }
    mem_free(c);
}

/* The conditions an item has rows of, in key order. One index seek per condition, not one step per row. */
static status list_conditions(store *s, int64_t item_id, condition_ref **out, size_t *n, error *err) {
    *out = NULL;
    *n = 0;
    size_t cap = 0;
    int64_t last = INT64_MIN;
    for (;;) {
        sqlite3_stmt *q;
        bool row;
        TRY(store_sql_get(s, SQL_NEXT_CONDITION, &q, err));
        TRY(store_sql_bind(s, q, err, "ii", item_id, last));
        TRY(store_sql_step(s, q, &row, err));
        bool more = row && sqlite3_column_type(q, 0) != SQLITE_NULL;
        last = row ? sqlite3_column_int64(q, 0) : 0;
        sqlite3_reset(q);
        if (!more) {
            break;
        }
        *out = mem_grow(*out, &cap, *n + 1, sizeof **out);
        (*out)[*n] = (condition_ref){last, NULL};
        TRY(condition_key(s, last, &(*out)[(*n)++].key, err));
    }
    if (*n > 1) {
        qsort(*out, *n, sizeof **out, by_key);
    }
    return STATUS_OK;
}

/* Vectors of one condition, read alongside the rows (both in key order). */
typedef struct vec_cursor {
    sqlite3_stmt *q;
    bool row;
    int64_t i_example, i_repeat;
} vec_cursor;

static status vec_next(store *s, vec_cursor *v, error *err) {
    TRY(store_sql_step(s, v->q, &v->row, err));
    if (v->row) {
        v->i_example = sqlite3_column_int64(v->q, 0);
        v->i_repeat = sqlite3_column_int64(v->q, 1);
    }
    return STATUS_OK;
}

static status vec_open(store *s, int64_t item_id, int64_t condition_id, vec_cursor *v, error *err) {
    TRY(store_sql_get(s, SQL_DIGEST_VECS, &v->q, err));
    TRY(store_sql_bind(s, v->q, err, "ii", item_id, condition_id));
    return vec_next(s, v, err);
}

/* Score and vector of one row into the results hash: 8 bytes, 8 bytes of length, the blob. */
static status add_results(store *s, hasher *results, double score, int64_t i_example, int64_t i_repeat, vec_cursor *v,
                          error *err) {
    uint8_t *b = hasher_room(results, SCORE_BYTES);
    uint64_t bits = UINT64_C(0x7ff8000000000000); /* one NaN for all */
    if (!isnan(score)) {
        memcpy(&bits, &score, sizeof bits);
    }
    put_le(b, bits, 8);
    while (v->row && (v->i_example < i_example || (v->i_example == i_example && v->i_repeat < i_repeat))) {
        TRY(vec_next(s, v, err)); /* a vector without its row: store_check reports it */
    }
    bool here = v->row && v->i_example == i_example && v->i_repeat == i_repeat;
    const void *blob = here ? sqlite3_column_blob(v->q, 2) : NULL;
    size_t n = here ? (size_t)sqlite3_column_bytes(v->q, 2) : 0;
    put_le(b + 8, n, 8);
    if (n > 0) {
        hasher_add(results, blob, n);
    }
    return STATUS_OK;
}

static int64_t int_or(sqlite3_stmt *q, int i, int64_t missing) {
    return sqlite3_column_type(q, i) == SQLITE_NULL ? missing : sqlite3_column_int64(q, i);
}

static status digest_condition(store *s, int64_t item_id, const condition_ref *c, hasher *decisions, hasher *results,
                               int64_t *n_rows, error *err) {
    sqlite3_stmt *q = NULL;
    vec_cursor v = {0};
    hasher_field_str(decisions, "condition", c->key);
    hasher_field_str(results, "condition", c->key);
    TRY(store_sql_get(s, SQL_DIGEST_ROWS, &q, err));
    TRY(store_sql_bind(s, q, err, "ii", item_id, c->id));
    TRY(vec_open(s, item_id, c->id, &v, err));
    bool row = false;
    status st;
    *n_rows = 0;
    while ((st = store_sql_step(s, q, &row, err)) == STATUS_OK && row) {
        int64_t i_example = sqlite3_column_int64(q, 0), i_repeat = sqlite3_column_int64(q, 1);
        uint8_t *b = hasher_room(decisions, ROW_BYTES);
        put_le(b, (uint64_t)i_example, 8);
        put_le(b + 8, (uint64_t)i_repeat, 4);
        put_le(b + 12, (uint64_t)int_or(q, 2, -1), 4);
        put_le(b + 16, (uint64_t)int_or(q, 3, -1), 4);
        put_le(b + 20, (uint64_t)sqlite3_column_int64(q, 4), 4);
        double score = sqlite3_column_type(q, 5) == SQLITE_NULL ? NAN : sqlite3_column_double(q, 5);
        st = add_results(s, results, score, i_example, i_repeat, &v, err);
        if (st != STATUS_OK) {
            break;
        }
        (*n_rows)++;
    }
    sqlite3_reset(q);
    sqlite3_reset(v.q);
    return st;
}

/* What the item is, free of the machine: model, what the numbers may be compared with, and its block. */
static status add_identity(store *s, int64_t item_id, const char *outcome_word, digest *d, int64_t *n_conditions,
                           int64_t *n_repeats, error *err) {
    sqlite3_stmt *q = NULL;
    bool row;
    TRY(store_sql_get(s, SQL_ITEM_IDENTITY, &q, err));
    TRY(store_sql_bind(s, q, err, "i", item_id));
    TRY(store_sql_step(s, q, &row, err));
    if (!row) {
        return error_set(err, STATUS_INTERNAL, "%s: there is no item %lld", s->path, (long long)item_id);
    }
    const char *model = (const char *)sqlite3_column_text(q, 1);
    const char *comparability = (const char *)sqlite3_column_text(q, 2);
    digest_field_str(d, "assay", "decisions/1");
    digest_field_str(d, "model", model != NULL ? model : "");
    digest_field_str(d, "comparability", comparability != NULL ? comparability : "");
    digest_field_u64(d, "first", (uint64_t)sqlite3_column_int64(q, 3));
    digest_field_u64(d, "expected", (uint64_t)sqlite3_column_int64(q, 4));
    digest_field_str(d, "outcome", outcome_word);
    *n_conditions = sqlite3_column_int64(q, 5);
    *n_repeats = sqlite3_column_int64(q, 6);
    sqlite3_reset(q);
    return STATUS_OK;
}

static status count_rows(store *s, int64_t item_id, int64_t condition_id, int64_t *n_rows, error *err) {
    sqlite3_stmt *q = NULL;
    bool row;
    TRY(store_sql_get(s, SQL_COUNT_ROWS, &q, err));
    TRY(store_sql_bind(s, q, err, "ii", item_id, condition_id));
    TRY(store_sql_step(s, q, &row, err));
    *n_rows = row ? sqlite3_column_int64(q, 0) : 0;
    sqlite3_reset(q);
    return STATUS_OK;
}

/* All conditions of the item; rows count only for outcomes that are judged (what a crashed item left is chance). */
static status digest_rows(store *s, int64_t item_id, bool judged, int64_t n_conditions, int64_t n_repeats,
                          hasher *decisions, hasher *results, store_item_digest *out, error *err) {
    condition_ref *c = NULL;
    size_t n = 0;
    status st = list_conditions(s, item_id, &c, &n, err);
    int64_t fewest = INT64_MAX;
    for (size_t i = 0; i < n && st == STATUS_OK; i++) {
        int64_t n_rows = 0;
        st = judged ? digest_condition(s, item_id, &c[i], decisions, results, &n_rows, err)
                    : count_rows(s, item_id, c[i].id, &n_rows, err);
        out->n_rows += n_rows;
        fewest = n_rows < fewest ? n_rows : fewest;
    }
    out->n_observed = n == 0 || (int64_t)n < n_conditions ? 0 : fewest / (n_repeats > 0 ? n_repeats : 1);
    free_conditions(c, n);
    return st;
}

status store_digest_item(store *s, int64_t item_id, const char *outcome_word, store_item_digest *out, error *err) {
    memset(out, 0, sizeof *out);
    bool judged = strcmp(outcome_word, "OK") == 0 || strcmp(outcome_word, "UNTRUSTWORTHY") == 0;
    int64_t n_conditions = 1, n_repeats = 1;
    hasher decisions, scores;
    decisions.d = digest_new();
    scores.d = digest_new();
    decisions.n = scores.n = 0;
    status st = add_identity(s, item_id, outcome_word, decisions.d, &n_conditions, &n_repeats, err);
    if (st == STATUS_OK) {
        st = digest_rows(s, item_id, judged, n_conditions, n_repeats, &decisions, &scores, out, err);
    }
    digest_value d = hasher_finish(&decisions), sc = hasher_finish(&scores);
    if (st != STATUS_OK) {
        return st;
    }
    digest *results = digest_new(); /* over the decisions digest, so that equal results imply equal decisions */
    digest_field_str(results, "assay", "results/1");
    digest_field(results, "decisions", d.bytes, sizeof d.bytes);
    digest_field(results, "scores", sc.bytes, sizeof sc.bytes);
    digest_value r = digest_finish(results);
    digest_hex(&d, out->decisions);
    digest_hex(&r, out->results);
    return STATUS_OK;
}

/* ---- runs --------------------------------------------------------------------------------------- */

/* Digest over the items' digests in ascending order; "" when an item has none yet or there are none. */
static status run_digest(store *s, int64_t run_id, const char *sql, const char *tag, char out[65], error *err) {
    out[0] = '\0';
    sqlite3_stmt *q = NULL;
    TRY(store_sql_prepare(s, sql, &q, err));
    status st = store_sql_bind(s, q, err, "i", run_id);
    digest *d = digest_new();
    digest_field_str(d, "assay", tag);
    bool row = false, complete = true;
    size_t n = 0;
    while (st == STATUS_OK && (st = store_sql_step(s, q, &row, err)) == STATUS_OK && row) {
        const char *hex = (const char *)sqlite3_column_text(q, 0);
        complete = complete && hex != NULL;
        digest_field_str(d, "item", hex != NULL ? hex : "");
        n++;
    }
    sqlite3_finalize(q);
    digest_value v = digest_finish(d);
    if (st == STATUS_OK && complete && n > 0) {
        digest_hex(&v, out);
    }
    return st;
}

#define RUN_DIGEST_SQL(column)                                                                                         \
    "SELECT i." column " FROM item i WHERE i.item_id IN (SELECT item_id FROM run_item WHERE run_id = ?1)"              \
    " ORDER BY 1"

status store_run_digests(store *s, int64_t run_id, char decisions[65], char results[65], error *err) {
    decisions[0] = results[0] = '\0';
    TRY(run_digest(s, run_id, RUN_DIGEST_SQL("decisions_digest"), "run/decisions/1", decisions, err));
    return run_digest(s, run_id, RUN_DIGEST_SQL("results_digest"), "run/results/1", results, err);
}
