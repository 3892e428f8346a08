/* SPDX-License-Identifier: Apache-2.0
 * The observations of one group as columns, for the judge. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_internal.h"

typedef struct group_item {
    int64_t item_id;
    int64_t n_rows, n_vecs, vec_min, vec_max; /* lengths in bytes */
} group_item;

static status list_items(store *s, int64_t run_id, const store_group *g, group_item **items, size_t *n,
                         size_t *n_expected, error *err) {
    sqlite3_stmt *q = NULL;
    TRY(store_sql_get(s, SQL_GROUP_ITEMS, &q, err));
    TRY(store_sql_bind(s, q, err, "ieiii", run_id, g->model_name, g->model_id, g->dataset_id, g->suite_id));
    size_t cap = 0;
    bool row = false;
    status st;
    while ((st = store_sql_step(s, q, &row, err)) == STATUS_OK && row) {
        const char *word = (const char *)sqlite3_column_text(q, 2);
        outcome o = word != NULL ? outcome_parse(word) : OUTCOME_NONE;
        *n_expected += (size_t)sqlite3_column_int64(q, 1);
        if (o == OUTCOME_OK || o == OUTCOME_UNTRUSTWORTHY) {
            *items = mem_grow(*items, &cap, *n + 1, sizeof **items);
            (*items)[(*n)++] = (group_item){.item_id = sqlite3_column_int64(q, 0)};
        }
    }
    return st;
}

static status count_item(store *s, group_item *it, int64_t condition_id, bool want_logits, error *err) {
    sqlite3_stmt *q = NULL;
    bool row;
    TRY(store_sql_get(s, SQL_COUNT_ROWS, &q, err));
    TRY(store_sql_bind(s, q, err, "ii", it->item_id, condition_id));
    TRY(store_sql_step(s, q, &row, err));
    it->n_rows = row ? sqlite3_column_int64(q, 0) : 0;
    sqlite3_reset(q);
    if (!want_logits) {
        return STATUS_OK;
    }
    TRY(store_sql_get(s, SQL_COUNT_VECS, &q, err));
    TRY(store_sql_bind(s, q, err, "ii", it->item_id, condition_id));
    TRY(store_sql_step(s, q, &row, err));
    it->n_vecs = sqlite3_column_int64(q, 0);
    it->vec_min = sqlite3_column_int64(q, 1);
    it->vec_max = sqlite3_column_int64(q, 2);
    sqlite3_reset(q);
    return STATUS_OK;
}

/* Length in bytes that all vectors of all items share, or 0 when one is missing or differs. */
static int64_t common_length(const group_item *items, size_t n) {
    int64_t length = 0;
    for (size_t i = 0; i < n; i++) {
        if (items[i].n_rows == 0) {
            continue;
        }
        if (items[i].n_vecs != items[i].n_rows || items[i].vec_min != items[i].vec_max || items[i].vec_min <= 0 ||
            items[i].vec_min % 4 != 0 || (length != 0 && length != items[i].vec_min)) {
            return 0;
        }
        length = items[i].vec_min;
    }
    return length;
}

/* Allocations are bounded by what the file can hold: a damaged record may claim any length. */
static status check_bound(store *s, size_t n, size_t row_bytes, error *err) {
    int64_t n_pages, page_bytes;
    size_t bytes, file_bytes;
    TRY(store_sql_int(s, "PRAGMA page_count", &n_pages, err));
    TRY(store_sql_int(s, "PRAGMA page_size", &page_bytes, err));
    if (!mem_mul((size_t)n_pages, (size_t)page_bytes, &file_bytes) || !mem_mul(n, row_bytes, &bytes) ||
        bytes > file_bytes) {
        return error_set(err, STATUS_IO, "%s: damaged: vectors larger than the file", s->path);
    }
    return STATUS_OK;
}

static void allocate(arena *a, store_columns *c, size_t n) {
    c->i_example = arena_alloc(a, n * sizeof *c->i_example);
    c->label = arena_alloc(a, n * sizeof *c->label);
    c->pred = arena_alloc(a, n * sizeof *c->pred);
    c->score = arena_alloc(a, n * sizeof *c->score);
    c->flags = arena_alloc(a, n * sizeof *c->flags);
    if (c->n_classes > 0) {
        c->logits = arena_alloc(a, n * c->n_classes * sizeof *c->logits);
    }
}

static void copy_vector(float *to, const uint8_t *from, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = from + 4 * i;
        uint32_t bits = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        memcpy(&to[i], &bits, sizeof bits);
    }
}

static int32_t class_or_none(sqlite3_stmt *q, int i) {
    if (sqlite3_column_type(q, i) == SQLITE_NULL) {
        return -1;
    }
    int64_t v = sqlite3_column_int64(q, i);
    return v < 0 || v > INT32_MAX ? -1 : (int32_t)v;
}

/* At most `cap` rows in all: another process may have added some since they were counted. */
static status load_item(store *s, const group_item *it, int64_t condition_id, store_columns *c, size_t cap,
                        error *err) {
    sqlite3_stmt *q = NULL;
    TRY(store_sql_get(s, c->logits != NULL ? SQL_LOAD_ROWS_VECS : SQL_LOAD_ROWS, &q, err));
    TRY(store_sql_bind(s, q, err, "ii", it->item_id, condition_id));
    bool row = false;
    status st = STATUS_OK;
    while (c->n < cap && (st = store_sql_step(s, q, &row, err)) == STATUS_OK && row) {
        size_t k = c->n++;
        c->i_example[k] = sqlite3_column_int64(q, 0);
        c->label[k] = class_or_none(q, 1);
        c->pred[k] = class_or_none(q, 2);
        c->score[k] = sqlite3_column_type(q, 3) == SQLITE_NULL ? NAN : sqlite3_column_double(q, 3);
        c->flags[k] = (uint32_t)sqlite3_column_int64(q, 4);
        if (c->logits != NULL) {
            const uint8_t *blob = sqlite3_column_blob(q, 5);
            if (blob == NULL || (size_t)sqlite3_column_bytes(q, 5) != 4 * c->n_classes) {
                st = error_set(err, STATUS_IO, "%s: damaged: a vector changed while it was read", s->path);
                break;
            }
            copy_vector(c->logits + k * c->n_classes, blob, c->n_classes);
        }
    }
    sqlite3_reset(q);
    return st;
}

typedef struct order {
    int64_t i_example;
    size_t at;
} order;

static int by_example(const void *x, const void *y) {
    const order *a = x, *b = y;
    if (a->i_example != b->i_example) {
        return a->i_example < b->i_example ? -1 : 1;
    }
    return a->at < b->at ? -1 : 1; /* stable: repeats keep their order */
}

static void permute(void *column, const order *o, size_t n, size_t bytes, uint8_t *spare) {
    for (size_t i = 0; i < n; i++) {
        memcpy(spare + i * bytes, (const uint8_t *)column + o[i].at * bytes, bytes);
    }
    memcpy(column, spare, n * bytes);
}

/* Items follow each other by first example, so this is rarely needed (interleaved shards). */
static status sort_columns(store_columns *c, error *err) {
    bool ascending = true;
    for (size_t i = 1; i < c->n; i++) {
        ascending = ascending && c->i_example[i - 1] <= c->i_example[i];
    }
    if (ascending) {
        return STATUS_OK;
    }
    size_t vec_bytes = c->logits != NULL ? c->n_classes * sizeof *c->logits : 0;
    order *o = mem_try(c->n, sizeof *o, "observations", err);
    uint8_t *spare = o != NULL ? mem_try(c->n, vec_bytes > 8 ? vec_bytes : 8, "observations", err) : NULL;
    if (spare == NULL) {
        mem_free(o);
        return STATUS_MEMORY;
    }
    for (size_t i = 0; i < c->n; i++) {
        o[i] = (order){c->i_example[i], i};
    }
    qsort(o, c->n, sizeof *o, by_example);
    permute(c->i_example, o, c->n, sizeof *c->i_example, spare);
    permute(c->label, o, c->n, sizeof *c->label, spare);
    permute(c->pred, o, c->n, sizeof *c->pred, spare);
    permute(c->score, o, c->n, sizeof *c->score, spare);
    permute(c->flags, o, c->n, sizeof *c->flags, spare);
    if (vec_bytes > 0) {
        permute(c->logits, o, c->n, vec_bytes, spare);
    }
    mem_free(o);
    mem_free(spare);
    return STATUS_OK;
}

static status load_all(store *s, group_item *items, size_t n_items, int64_t condition_id, bool want_logits, arena *a,
                       store_columns *c, error *err) {
    size_t n = 0;
    for (size_t i = 0; i < n_items; i++) {
        TRY(count_item(s, &items[i], condition_id, want_logits, err));
        n += (size_t)items[i].n_rows;
    }
    if (n == 0) {
        return STATUS_OK;
    }
    size_t vec_bytes = want_logits ? (size_t)common_length(items, n_items) : 0;
    TRY(check_bound(s, n, vec_bytes, err));
    c->n_classes = vec_bytes / sizeof(float);
    allocate(a, c, n);
    for (size_t i = 0; i < n_items; i++) {
        TRY(load_item(s, &items[i], condition_id, c, n, err));
    }
    return sort_columns(c, err);
}

/* Nothing if there is no such condition. */
static status load_condition(store *s, group_item *items, size_t n_items, const char *condition_key, bool want_logits,
                             arena *a, store_columns *out, error *err) {
    sqlite3_stmt *q = NULL;
    bool row;
    const char *key = condition_key == NULL || condition_key[0] == '\0' ? "clean" : condition_key;
    TRY(store_sql_get(s, SQL_FIND_CONDITION, &q, err));
    TRY(store_sql_bind(s, q, err, "e", key));
    TRY(store_sql_step(s, q, &row, err));
    if (!row) {
        return STATUS_OK;
    }
    int64_t condition_id = sqlite3_column_int64(q, 0);
    sqlite3_reset(q);
    return load_all(s, items, n_items, condition_id, want_logits, a, out, err);
}

status store_load_columns(store *s, int64_t run_id, const store_group *g, const char *condition_key, bool want_logits,
                          arena *a, store_columns *out, error *err) {
    memset(out, 0, sizeof *out);
    group_item *items = NULL;
    size_t n_items = 0;
    status st = list_items(s, run_id, g, &items, &n_items, &out->n_expected, err);
    if (st == STATUS_OK) {
        st = load_condition(s, items, n_items, condition_key, want_logits, a, out, err);
    }
    mem_free(items);
    return st;
}

status store_load_item_columns(store *s, int64_t item_id, const char *condition_key, bool want_logits, arena *a,
                               store_columns *out, error *err) {
    memset(out, 0, sizeof *out);
    group_item one = {.item_id = item_id};
    return load_condition(s, &one, 1, condition_key, want_logits, a, out, err);
}
