/* SPDX-License-Identifier: Apache-2.0
 * Numbered migrations. Each runs in its own transaction together with its user_version, so that a file is never
 * half migrated; before the first one an existing file is copied to NAME.vN.bak. */
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/str.h"
#include "store/store_internal.h"

static const char *const *const migrations[STORE_SCHEMA] = {
    store_migration_001,
};

/* NAME.vN.bak, or NAME.vN.bak.K when an earlier attempt left one: a copy is never overwritten. */
static status copy_before(store *s, int64_t version, error *err) {
    strbuf name = {0};
    for (int k = 0; k < 100; k++) {
        name.len = 0;
        strbuf_addf(&name, "%s.v%lld.bak", s->path, (long long)version);
        if (k > 0) {
            strbuf_addf(&name, ".%d", k);
        }
        if (!io_exists(strbuf_str(&name))) {
            break;
        }
    }
    status st = store_backup(s, strbuf_str(&name), err);
    if (st != STATUS_OK) {
        error_prefix(err, "copy before migrating: ");
    }
    strbuf_free(&name);
    return st;
}

static status check_foreign_keys(store *s, error *err) {
    sqlite3_stmt *q = NULL;
    TRY(store_sql_prepare(s, "PRAGMA foreign_key_check", &q, err));
    bool row;
    status st = store_sql_step(s, q, &row, err);
    if (st == STATUS_OK && row) {
        st = error_set(err, STATUS_IO, "%s: a row of table %s refers to nothing", s->path,
                       (const char *)sqlite3_column_text(q, 0));
    }
    sqlite3_finalize(q);
    return st;
}

static status apply(store *s, int number, error *err) {
    char pragma[80];
    for (const char *const *sql = migrations[number - 1]; *sql != NULL; sql++) {
        TRY(store_sql_exec(s, *sql, err));
    }
    snprintf(pragma, sizeof pragma, "PRAGMA application_id = %d", STORE_APPLICATION_ID);
    TRY(store_sql_exec(s, pragma, err));
    snprintf(pragma, sizeof pragma, "PRAGMA user_version = %d", number);
    TRY(store_sql_exec(s, pragma, err));
    return check_foreign_keys(s, err);
}

status store_migrate(store *s, int64_t version, bool fresh, error *err) {
    if (version >= STORE_SCHEMA) {
        return STATUS_OK;
    }
    if (!fresh) {
        TRY(copy_before(s, version, err));
    }
    for (int number = (int)version + 1; number <= STORE_SCHEMA; number++) {
        TRY(store_begin(s, err));
        status st = apply(s, number, err);
        if (st == STATUS_OK) {
            st = store_commit(s, err);
        }
        if (st != STATUS_OK) {
            store_rollback(s);
            return error_prefix(err, "migration to schema %d (nothing was changed): ", number);
        }
    }
    return STATUS_OK;
}
