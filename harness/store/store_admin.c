/* SPDX-License-Identifier: Apache-2.0
 * `assay db`: check, backup, prune. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/str.h"
#include "store/store_internal.h"

/* ---- check -------------------------------------------------------------------------------------- */

typedef struct checker {
    store *s;
    void (*line)(void *, const char *);
    void *context;
    int64_t n_bad;
} checker;

static void say(checker *c, bool bad, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void say(checker *c, bool bad, const char *fmt, ...) {
    char text[1000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (char *p = text; *p != '\0'; p++) { /* names in a damaged file may hold anything */
        *p = (unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p;
    }
    c->n_bad += bad ? 1 : 0;
    if (c->line != NULL) {
        c->line(c->context, text);
    }
}

static const char *text_of(sqlite3_stmt *q, int i) {
    const char *text = (const char *)sqlite3_column_text(q, i);
    return text != NULL ? text : "";
}

static status check_integrity(checker *c, error *err) {
    sqlite3_stmt *q = NULL;
    TRY(store_sql_prepare(c->s, "PRAGMA integrity_check", &q, err));
    bool row = false;
    status st;
    while ((st = store_sql_step(c->s, q, &row, err)) == STATUS_OK && row) {
        if (strcmp(text_of(q, 0), "ok") != 0) {
            say(c, true, "integrity: %s", text_of(q, 0));
        }
    }
    sqlite3_finalize(q);
    return st;
}

static status check_references(checker *c, error *err) {
    sqlite3_stmt *q = NULL;
    TRY(store_sql_prepare(c->s, "PRAGMA foreign_key_check", &q, err));
    bool row = false;
    status st;
    while ((st = store_sql_step(c->s, q, &row, err)) == STATUS_OK && row) {
        say(c, true, "reference: a row of %s refers to a row of %s that is not there", text_of(q, 0), text_of(q, 2));
    }
    sqlite3_finalize(q);
    return st;
}

static status check_vectors(checker *c, error *err) {
    sqlite3_stmt *q = NULL;
    TRY(store_sql_prepare(c->s,
                          "SELECT v.item_id, count(*) FROM observation_vec v WHERE NOT EXISTS (SELECT 1 FROM"
                          " observation o WHERE o.item_id = v.item_id AND o.condition_id = v.condition_id AND"
                          " o.i_example = v.i_example AND o.i_repeat = v.i_repeat) GROUP BY v.item_id",
                          &q, err));
    bool row = false;
    status st;
    while ((st = store_sql_step(c->s, q, &row, err)) == STATUS_OK && row) {
        say(c, true, "item %lld: %lld vectors without their observation", (long long)sqlite3_column_int64(q, 0),
            (long long)sqlite3_column_int64(q, 1));
    }
    sqlite3_finalize(q);
    return st;
}

static status check_item(checker *c, int64_t item_id, const char *key, const char *word, const char *decisions,
                         const char *results, int64_t *n_rows, error *err) {
    store_item_digest d;
    status st = store_digest_item(c->s, item_id, word, &d, err);
    if (st != STATUS_OK) {
        say(c, true, "item %.16s: %s", key, err != NULL ? err->text : status_sentence(st));
        return st == STATUS_MEMORY ? st : STATUS_OK; /* go on with the others */
    }
    *n_rows += d.n_rows;
    if (strcmp(decisions, d.decisions) != 0) {
        say(c, true, "item %.16s: its decisions were changed (digest %.16s, stored %.16s)", key, d.decisions,
            decisions);
    } else if (strcmp(results, d.results) != 0) {
        say(c, true, "item %.16s: its scores or vectors were changed (digest %.16s, stored %.16s)", key, d.results,
            results);
    }
    return STATUS_OK;
}

static status check_items(checker *c, error *err) {
    sqlite3_stmt *q = NULL;
    TRY(store_sql_prepare(c->s,
                          "SELECT item_id, item_key, outcome, decisions_digest, results_digest FROM item"
                          " ORDER BY item_key",
                          &q, err));
    int64_t n_items = 0, n_open = 0, n_rows = 0;
    bool row = false;
    status st;
    while ((st = store_sql_step(c->s, q, &row, err)) == STATUS_OK && row) {
        n_items++;
        if (sqlite3_column_type(q, 2) == SQLITE_NULL) {
            n_open++;
            continue;
        }
        st = check_item(c, sqlite3_column_int64(q, 0), text_of(q, 1), text_of(q, 2), text_of(q, 3), text_of(q, 4),
                        &n_rows, err);
        if (st != STATUS_OK) {
            break;
        }
    }
    sqlite3_finalize(q);
    if (st == STATUS_OK) {
        say(c, false, "%lld items (%lld unfinished), %lld observations of finished items", (long long)n_items,
            (long long)n_open, (long long)n_rows);
    }
    return st;
}

status store_check(store *s, void (*line)(void *, const char *), void *context, error *err) {
    checker c = {.s = s, .line = line, .context = context};
    status (*const step[])(checker *, error *) = {check_integrity, check_references, check_vectors, check_items};
    TRY(store_commit(s, err));
    for (size_t i = 0; i < sizeof step / sizeof step[0]; i++) {
        error e = {0};
        status st = step[i](&c, &e);
        if (st == STATUS_MEMORY) {
            return error_set(err, st, "%s", e.text);
        }
        if (st != STATUS_OK) {
            say(&c, true, "%s", e.text);
        }
    }
    if (c.n_bad > 0) {
        return error_set(err, STATUS_IO, "%s: damaged: %lld problem%s found", s->path, (long long)c.n_bad,
                         c.n_bad == 1 ? "" : "s");
    }
    say(&c, false, "ok");
    return STATUS_OK;
}

/* ---- backup ------------------------------------------------------------------------------------- */

static status sync_file(const char *path, error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        status st = error_set(err, STATUS_IO, "%s: cannot sync: %s", path, strerror(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        return st;
    }
    (void)close(fd);
    return STATUS_OK;
}

/* VACUUM uses SQLite's own functions only, so json_valid of store_json.c does not help here: the schema is trusted for
 * as long as it takes, which lets in nothing but built-in functions. `into`: NULL for the file itself. */
static status vacuum(store *s, const char *into, error *err) {
    sqlite3_stmt *q = NULL;
    bool row;
    TRY(store_sql_prepare(s, into != NULL ? "VACUUM INTO ?1" : "VACUUM", &q, err));
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 1, NULL);
    status st = into != NULL ? store_sql_bind(s, q, err, "e", into) : STATUS_OK;
    if (st == STATUS_OK) {
        st = store_sql_step(s, q, &row, err);
    }
    sqlite3_finalize(q);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return st;
}

/* Under a temporary name first: the name asked for never holds half a copy, and an existing file is kept. */
status store_backup(store *s, const char *path, error *err) {
    TRY(store_commit(s, err));
    if (io_exists(path)) {
        return error_set(err, STATUS_IO, "%s: exists already; a copy never replaces a file", path);
    }
    strbuf tmp = {0};
    strbuf_addf(&tmp, "%s.tmp.%ld", path, (long)getpid());
    (void)unlink(strbuf_str(&tmp));
    status st = vacuum(s, strbuf_str(&tmp), err);
    if (st == STATUS_OK) {
        st = sync_file(strbuf_str(&tmp), err);
    }
    if (st == STATUS_OK && link(strbuf_str(&tmp), path) != 0 &&
        (errno == EEXIST || rename(strbuf_str(&tmp), path) != 0)) { /* link: refuses what appeared meanwhile */
        st = error_set(err, STATUS_IO, "%s: %s", path, strerror(errno));
    }
    (void)unlink(strbuf_str(&tmp));
    if (st != STATUS_OK) {
        error_prefix(err, "cannot copy to %s: ", path);
    }
    strbuf_free(&tmp);
    return st;
}

/* ---- prune -------------------------------------------------------------------------------------- */

static status choose_runs(store *s, int64_t keep, const int64_t *run_ids, size_t n_run_ids, error *err) {
    TRY(store_sql_exec(s, "CREATE TEMP TABLE IF NOT EXISTS prune_run (run_id INTEGER PRIMARY KEY)", err));
    TRY(store_sql_exec(s, "CREATE TEMP TABLE IF NOT EXISTS prune_item (item_id INTEGER PRIMARY KEY)", err));
    TRY(store_sql_exec(s, "DELETE FROM temp.prune_run", err));
    TRY(store_sql_exec(s, "DELETE FROM temp.prune_item", err));
    sqlite3_stmt *q = NULL;
    bool row;
    const char *sql = n_run_ids > 0 ? "INSERT OR REPLACE INTO temp.prune_run SELECT run_id FROM run WHERE run_id = ?1"
                                    : "INSERT INTO temp.prune_run SELECT run_id FROM run"
                                      " ORDER BY started_at DESC, run_id DESC LIMIT -1 OFFSET ?1";
    TRY(store_sql_prepare(s, sql, &q, err));
    status st = STATUS_OK;
    for (size_t i = 0; i < (n_run_ids > 0 ? n_run_ids : 1) && st == STATUS_OK; i++) {
        sqlite3_bind_int64(q, 1, n_run_ids > 0 ? run_ids[i] : keep);
        st = store_sql_step(s, q, &row, err);
        if (st == STATUS_OK && n_run_ids > 0 && sqlite3_changes(s->db) == 0) {
            st = error_set(err, STATUS_USAGE, "%s: there is no run %lld", s->path, (long long)run_ids[i]);
        }
    }
    sqlite3_finalize(q);
    TRY(st);
    return store_sql_exec(s,
                          "INSERT INTO temp.prune_item SELECT item_id FROM item i WHERE NOT EXISTS (SELECT 1 FROM"
                          " run_item ri WHERE ri.item_id = i.item_id AND ri.run_id NOT IN (SELECT run_id FROM"
                          " temp.prune_run))",
                          err);
}

static status delete_chosen(store *s, error *err) {
    static const char *const sql[] = {
        "DELETE FROM metric WHERE run_id IN (SELECT run_id FROM temp.prune_run)",
        "DELETE FROM run_event WHERE run_id IN (SELECT run_id FROM temp.prune_run)",
        "DELETE FROM run_model WHERE run_id IN (SELECT run_id FROM temp.prune_run)",
        "DELETE FROM run_item WHERE run_id IN (SELECT run_id FROM temp.prune_run)",
        "DELETE FROM run WHERE run_id IN (SELECT run_id FROM temp.prune_run)",
        "DELETE FROM observation_vec WHERE item_id IN (SELECT item_id FROM temp.prune_item)",
        "DELETE FROM observation WHERE item_id IN (SELECT item_id FROM temp.prune_item)",
        "DELETE FROM item_attempt WHERE item_id IN (SELECT item_id FROM temp.prune_item)",
        "DELETE FROM item WHERE item_id IN (SELECT item_id FROM temp.prune_item)",
    };
    for (size_t i = 0; i < sizeof sql / sizeof sql[0]; i++) {
        TRY(store_sql_exec(s, sql[i], err));
    }
    return STATUS_OK;
}

static status prune_steps(store *s, int64_t keep, const int64_t *run_ids, size_t n_run_ids, bool dry_run,
                          int64_t *n_runs, int64_t *n_items, int64_t *n_observations, error *err) {
    TRY(choose_runs(s, keep, run_ids, n_run_ids, err));
    TRY(store_sql_int(s, "SELECT count(*) FROM temp.prune_run", n_runs, err));
    TRY(store_sql_int(s, "SELECT count(*) FROM temp.prune_item", n_items, err));
    TRY(store_sql_int(s, "SELECT count(*) FROM temp.prune_item p JOIN observation o ON o.item_id = p.item_id",
                      n_observations, err));
    return dry_run ? STATUS_OK : delete_chosen(s, err);
}

status store_prune(store *s, int64_t keep, const int64_t *run_ids, size_t n_run_ids, bool dry_run, int64_t *n_runs,
                   int64_t *n_items, int64_t *n_observations, error *err) {
    *n_runs = *n_items = *n_observations = 0;
    if (n_run_ids == 0 && keep < 0) {
        return error_set(err, STATUS_USAGE, "say which runs to delete, or how many to keep (0 or more)");
    }
    TRY(store_commit(s, err)); /* what was pending stays, whatever happens here */
    TRY(store_begin(s, err));
    status st = prune_steps(s, keep, run_ids, n_run_ids, dry_run, n_runs, n_items, n_observations, err);
    if (st != STATUS_OK || dry_run) {
        store_rollback(s);
        return st;
    }
    TRY(store_commit(s, err));
    error e;
    if (*n_items > 0 && vacuum(s, NULL, &e) != STATUS_OK) { /* the rows are gone; the space stays */
        snprintf(s->warning, sizeof s->warning, "could not shrink the file: %.400s", e.text);
    }
    return STATUS_OK;
}
