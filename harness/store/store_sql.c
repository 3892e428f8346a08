/* SPDX-License-Identifier: Apache-2.0
 * Prepared statements, bindings, errors and transactions. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "store/store_internal.h"

static const char *const sql_text[SQL_COUNT] = {
#define STORE_SQL_TEXT(name, text) [SQL_##name] = (text),
    STORE_SQL_LIST(STORE_SQL_TEXT)
#undef STORE_SQL_TEXT
};

static status status_of(int rc) {
    switch (rc & 0xff) {
    case SQLITE_NOMEM: return STATUS_MEMORY;
    case SQLITE_CONSTRAINT: /* we check before we bind: a violation is our own mistake */
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
    case SQLITE_TOOBIG: return STATUS_INTERNAL;
    default: return STATUS_IO;
    }
}

/* What a person can do about it; "" where SQLite's own words are enough. */
static const char *advice_of(int rc) {
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return " (another process is writing to it)";
    case SQLITE_FULL: return " (what was committed before is kept)";
    case SQLITE_CORRUPT: return " (damaged or truncated; `assay db check` tells more)";
    default: return "";
    }
}

status store_sql_error(store *s, int rc, error *err, const char *fmt, ...) {
    char message[400], what[600];
    snprintf(message, sizeof message, "%s", s->db != NULL ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc));
    int os = s->db != NULL ? sqlite3_system_errno(s->db) : 0;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    bool os_matters = os != 0 && ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN);
    switch (rc & 0xff) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
    case SQLITE_CORRUPT:
    case SQLITE_READONLY: store_rollback(s); break;
    default: break;
    }
    return error_set(err, status_of(rc), "%s: %s: %s%s%s%s", s->path, what, message, os_matters ? ": " : "",
                     os_matters ? strerror(os) : "", advice_of(rc));
}

status store_sql_prepare(store *s, const char *sql, sqlite3_stmt **out, error *err) {
    int rc = sqlite3_prepare_v3(s->db, sql, -1, 0, out, NULL);
    return rc == SQLITE_OK ? STATUS_OK : store_sql_error(s, rc, err, "cannot read its tables");
}

status store_sql_get(store *s, store_sql id, sqlite3_stmt **out, error *err) {
    sqlite3_stmt *q = s->stmt[id];
    if (q == NULL) {
        int rc = sqlite3_prepare_v3(s->db, sql_text[id], -1, SQLITE_PREPARE_PERSISTENT, &q, NULL);
        if (rc != SQLITE_OK) {
            return store_sql_error(s, rc, err, "cannot read its tables");
        }
        s->stmt[id] = q;
    } else {
        sqlite3_reset(q);
        sqlite3_clear_bindings(q);
    }
    *out = q;
    return STATUS_OK;
}

static int bind_text(sqlite3_stmt *q, int i, const char *text) {
    return text == NULL ? sqlite3_bind_null(q, i) : sqlite3_bind_text(q, i, text, -1, SQLITE_STATIC);
}

static int bind_one(sqlite3_stmt *q, int i, char type, va_list *ap) {
    if (type == 'i' || type == 'p') {
        int64_t v = va_arg(*ap, int64_t);
        return type == 'p' && v < 0 ? sqlite3_bind_null(q, i) : sqlite3_bind_int64(q, i, v);
    }
    if (type == 'd') {
        double v = va_arg(*ap, double);
        return isnan(v) ? sqlite3_bind_null(q, i) : sqlite3_bind_double(q, i, v);
    }
    const char *text = va_arg(*ap, const char *);
    if (text == NULL) {
        return type == 't' || type == 'z' ? sqlite3_bind_null(q, i) : bind_text(q, i, type == 'j' ? "{}" : "");
    }
    return bind_text(q, i, type == 'z' && text[0] == '\0' ? NULL : text);
}

status store_sql_vbind(store *s, sqlite3_stmt *q, error *err, const char *types, va_list ap) {
    va_list copy;
    va_copy(copy, ap);
    int rc = SQLITE_OK;
    for (int i = 0; types[i] != '\0' && rc == SQLITE_OK; i++) {
        rc = bind_one(q, i + 1, types[i], &copy);
    }
    va_end(copy);
    return rc == SQLITE_OK ? STATUS_OK : store_sql_error(s, rc, err, "cannot bind a value");
}

status store_sql_bind(store *s, sqlite3_stmt *q, error *err, const char *types, ...) {
    va_list ap;
    va_start(ap, types);
    status st = store_sql_vbind(s, q, err, types, ap);
    va_end(ap);
    return st;
}

status store_sql_step(store *s, sqlite3_stmt *q, bool *row, error *err) {
    int rc = sqlite3_step(q);
    *row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) {
        return STATUS_OK;
    }
    sqlite3_reset(q); /* before a rollback, and so that no read snapshot stays behind */
    if (rc == SQLITE_DONE) {
        return STATUS_OK;
    }
    return store_sql_error(s, rc, err, sqlite3_stmt_readonly(q) ? "cannot read" : "cannot write");
}

status store_sql_run(store *s, store_sql id, error *err, const char *types, ...) {
    sqlite3_stmt *q = NULL;
    TRY(store_sql_get(s, id, &q, err));
    va_list ap;
    va_start(ap, types);
    status st = store_sql_vbind(s, q, err, types, ap);
    va_end(ap);
    bool row = true;
    while (st == STATUS_OK && row) {
        st = store_sql_step(s, q, &row, err);
    }
    return st;
}

status store_sql_int(store *s, const char *sql, int64_t *out, error *err) {
    sqlite3_stmt *q = NULL;
    TRY(store_sql_prepare(s, sql, &q, err));
    bool row;
    status st = store_sql_step(s, q, &row, err);
    *out = st == STATUS_OK && row ? sqlite3_column_int64(q, 0) : 0;
    sqlite3_finalize(q);
    return st;
}

status store_sql_exec(store *s, const char *sql, error *err) {
    sqlite3_stmt *q = NULL;
    TRY(store_sql_prepare(s, sql, &q, err));
    bool row = true;
    status st = STATUS_OK;
    while (st == STATUS_OK && row) {
        st = store_sql_step(s, q, &row, err);
    }
    sqlite3_finalize(q);
    return st;
}

const char *store_column_text(sqlite3_stmt *q, int i, arena *a) {
    const char *text = (const char *)sqlite3_column_text(q, i);
    return text == NULL ? "" : arena_strndup(a, text, (size_t)sqlite3_column_bytes(q, i));
}

status store_begin(store *s, error *err) {
    if (s->in_tx) {
        return STATUS_OK;
    }
    if (!s->writable) {
        return error_set(err, STATUS_INTERNAL, "%s: opened for reading only", s->path);
    }
    TRY(store_sql_run(s, SQL_BEGIN, err, ""));
    s->in_tx = true;
    s->n_pending = 0;
    s->tx_start_ns = clock_ns();
    return STATUS_OK;
}

status store_commit(store *s, error *err) {
    if (!s->in_tx) {
        return STATUS_OK;
    }
    status st = store_sql_run(s, SQL_COMMIT, err, "");
    if (st != STATUS_OK) {
        store_rollback(s);
        return st;
    }
    s->in_tx = false;
    s->n_pending = 0;
    return STATUS_OK;
}

void store_rollback(store *s) {
    if (s->db != NULL && sqlite3_get_autocommit(s->db) == 0) {
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    }
    s->in_tx = false;
    s->n_pending = 0;
}

status store_flush(store *s, error *err) {
    return store_commit(s, err);
}

status store_tick(store *s, error *err) {
    bool due = s->in_tx && (s->n_pending >= STORE_BATCH_ROWS || clock_ns() - s->tx_start_ns >= STORE_BATCH_NS);
    return due ? store_commit(s, err) : STATUS_OK;
}
