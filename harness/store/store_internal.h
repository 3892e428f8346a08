/* SPDX-License-Identifier: Apache-2.0
 * Inside the store: the connection, its prepared statements, transactions and schema. Nobody outside
 * harness/store includes this. */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/mem.h"
#include "store/store.h"

#define STORE_APPLICATION_ID 0x41535359 /* "ASSY": chosen once, never changed; file(1) prints it */
#define STORE_SCHEMA 1                  /* number of the newest migration */

/* A commit per >= 1,000 rows or 250 ms, whichever comes first: survives power loss at no measurable cost. */
#define STORE_BATCH_ROWS 1000
#define STORE_BATCH_NS INT64_C(250000000)

/* X(name, text): every statement that is used more than once; prepared on first use, finalised at close. */
#define STORE_SQL_LIST(X)                                                                                              \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                                        \
    X(COMMIT, "COMMIT")                                                                                                \
    X(FIND_BUILD, "SELECT build_id FROM build WHERE sha256 = ?1")                                                      \
    X(PUT_BUILD, "INSERT INTO build(sha256, version, git, dirty, compiler, libraries_json) VALUES (?,?,?,?,?,?)")      \
    X(FIND_HOST, "SELECT host_id FROM host WHERE hw_sha256 = ?1")                                                      \
    X(PUT_HOST, "INSERT INTO host(hw_sha256, name, cpu, cpu_flags, n_cores, ram_bytes, kernel, blas_core, json)"       \
                " VALUES (?,?,?,?,?,?,?,?,?)")                                                                         \
    X(FIND_MODEL, "SELECT model_id FROM model WHERE key_sha256 = ?1")                                                  \
    X(PUT_MODEL, "INSERT INTO model(key_sha256, sha256, name, format, size_bytes, json) VALUES (?,?,?,?,?,?)")         \
    X(FIND_PLUGIN, "SELECT plugin_id FROM plugin WHERE so_sha256 = ?1")                                                \
    X(PUT_PLUGIN, "INSERT INTO plugin(so_sha256, name, version, abi) VALUES (?,?,?,?)")                                \
    X(FIND_DATASET, "SELECT dataset_id FROM dataset WHERE sha256 = ?1 AND name = ?2 AND split = ?3")                   \
    X(PUT_DATASET, "INSERT INTO dataset(sha256, name, split, n, json) VALUES (?,?,?,?,?)")                             \
    X(SET_DATASET_JSON, "UPDATE dataset SET json = ?2 WHERE dataset_id = ?1 AND json <> ?2")                           \
    X(FIND_SUITE, "SELECT suite_id FROM suite WHERE spec_sha256 = ?1")                                                 \
    X(PUT_SUITE, "INSERT INTO suite(spec_sha256, name, version, params_json) VALUES (?,?,?,?)")                        \
    X(FIND_CONDITION, "SELECT condition_id FROM condition WHERE key = ?1")                                             \
    X(PUT_CONDITION, "INSERT INTO condition(key, kind, algo, version, severity, params_json) VALUES (?,?,?,?,?,?)")    \
    X(FIND_RUN, "SELECT run_id FROM run WHERE run_uid = ?1")                                                           \
    X(PUT_RUN, "INSERT INTO run(run_uid, build_id, host_id, label, config_path, config_text, config_json,"             \
               " config_sha256, plan_sha256, command_line, git_revision, seed, limited, started_at, status)"           \
               " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,'running')")                                                      \
    X(RESTART_RUN, "UPDATE run SET status = 'running', finished_at = NULL WHERE run_id = ?1")                          \
    X(BURY_RUNS, "UPDATE run SET status = 'interrupted' WHERE status = 'running'")                                     \
    X(END_RUN, "UPDATE run SET status = ?2, finished_at = ?3, decisions_digest = ?4, results_digest = ?5,"             \
               " numeric_env = ?6 WHERE run_id = ?1")                                                                  \
    X(PUT_EVENT, "INSERT INTO run_event(run_id, seq, t_ns, level, kind, msg) VALUES (?1,"                              \
                 " (SELECT ifnull(max(seq), 0) + 1 FROM run_event WHERE run_id = ?1), ?2, ?3, ?4, ?5)")                \
    X(FIND_ITEM, "SELECT item_id, outcome, reason, n_observed,"                                                        \
                 " (SELECT count(*) FROM item_attempt a WHERE a.item_id = i.item_id) FROM item i WHERE item_key = ?1") \
    X(PUT_ITEM, "INSERT INTO item(item_key, model_id, plugin_id, suite_id, dataset_id, i_shard, i_first, n_expected,"  \
                " n_conditions, n_repeats, params_json, numeric_env, comparability_key, comparability_json)"           \
                " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)")                                                               \
    X(RESET_VEC, "DELETE FROM observation_vec WHERE item_id = ?1")                                                     \
    X(RESET_OBSERVATION, "DELETE FROM observation WHERE item_id = ?1")                                                 \
    X(RESET_ITEM, "UPDATE item SET outcome = NULL, reason = NULL, decisions_digest = NULL, results_digest = NULL,"     \
                  " n_observed = NULL WHERE item_id = ?1")                                                             \
    X(PUT_RUN_ITEM, "INSERT INTO run_item(run_id, item_id, model_name, reused) VALUES (?1,?2,?3,?4)"                   \
                    " ON CONFLICT DO UPDATE SET reused = excluded.reused")                                             \
    X(PUT_RUN_MODEL, "INSERT INTO run_model(run_id, model_name, variant_of) VALUES (?1,?2,?3)"                         \
                     " ON CONFLICT DO UPDATE SET variant_of = excluded.variant_of")                                    \
    X(SET_MODEL_JSON, "UPDATE model SET json = CASE json_type(json, '$.plugins') WHEN 'object' THEN"                   \
                      " json_patch(json_object('plugins', json_extract(json, '$.plugins')), ?2) ELSE ?2 END"           \
                      " WHERE model_id = ?1")                                                                          \
    X(COUNT_FLAG, "SELECT count(*) FROM observation WHERE item_id = ?1 AND (flags & ?2) <> 0")                         \
    X(EXAMPLES, "SELECT i_example FROM observation WHERE item_id = ?1 GROUP BY i_example"                              \
                " HAVING count(*) >= (SELECT n_conditions * n_repeats FROM item WHERE item_id = ?1)"                   \
                " ORDER BY i_example")                                                                                 \
    X(APPEND, "INSERT INTO observation(item_id, condition_id, i_example, i_repeat, label, pred, score, latency_ns,"    \
              " flags) VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING")                                             \
    X(APPEND_VEC, "INSERT INTO observation_vec(item_id, condition_id, i_example, i_repeat, kind, blob)"                \
                  " VALUES (?,?,?,?,'logits',?) ON CONFLICT DO NOTHING")                                               \
    X(PUT_ATTEMPT, "INSERT INTO item_attempt(item_id, attempt, host_id, started_at, ended_at, elapsed_ns, outcome,"    \
                   " reason, signal, rusage_json) VALUES (?1,"                                                         \
                   " (SELECT ifnull(max(attempt), 0) + 1 FROM item_attempt WHERE item_id = ?1), ?2, ?3, ?4, ?5, ?6,"   \
                   " ?7, ?8, json_object('max_rss_bytes', ?9, 'user_us', ?10, 'system_us', ?11))")                     \
    X(END_ITEM, "UPDATE item SET outcome = ?2, reason = ?3, decisions_digest = ?4, results_digest = ?5,"               \
                " n_observed = ?6 WHERE item_id = ?1")                                                                 \
    X(ITEM_IDENTITY, "SELECT i.item_key, m.key_sha256, i.comparability_key, i.i_first, i.n_expected, i.n_conditions,"  \
                     " i.n_repeats, i.outcome, i.decisions_digest, i.results_digest FROM item i"                       \
                     " JOIN model m ON m.model_id = i.model_id WHERE i.item_id = ?1")                                  \
    X(NEXT_CONDITION, "SELECT min(condition_id) FROM observation WHERE item_id = ?1 AND condition_id > ?2")            \
    X(CONDITION_KEY, "SELECT key FROM condition WHERE condition_id = ?1")                                              \
    X(DIGEST_ROWS, "SELECT i_example, i_repeat, label, pred, flags, score FROM observation"                            \
                   " WHERE item_id = ?1 AND condition_id = ?2 ORDER BY i_example, i_repeat")                           \
    X(DIGEST_VECS, "SELECT i_example, i_repeat, blob FROM observation_vec WHERE item_id = ?1 AND condition_id = ?2"    \
                   " AND kind = 'logits' ORDER BY i_example, i_repeat")                                                \
    X(CLEAR_METRICS, "DELETE FROM metric WHERE run_id = ?1")                                                           \
    X(PUT_METRIC, "INSERT INTO metric(run_id, model_name, dataset, suite, condition, metric, metric_version, name,"    \
                  " slice, value, lo, hi, level, n, flags, ci_method, unit, better, reason)"                           \
                  " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"                                                    \
                  " ON CONFLICT(run_id, model_name, dataset, suite, condition, metric, name, slice) DO UPDATE SET"     \
                  " metric_version = excluded.metric_version, value = excluded.value, lo = excluded.lo,"               \
                  " hi = excluded.hi, level = excluded.level, n = excluded.n, flags = excluded.flags,"                 \
                  " ci_method = excluded.ci_method, unit = excluded.unit, better = excluded.better,"                   \
                  " reason = excluded.reason")                                                                         \
    X(GROUP_ITEMS, "SELECT i.item_id, i.n_expected, i.outcome FROM run_item ri JOIN item i ON i.item_id = ri.item_id"  \
                   " WHERE ri.run_id = ?1 AND ri.model_name = ?2 AND i.model_id = ?3 AND i.dataset_id = ?4"            \
                   " AND i.suite_id = ?5 ORDER BY i.i_first, i.i_shard, i.item_key")                                   \
    X(COUNT_ROWS, "SELECT count(*) FROM observation WHERE item_id = ?1 AND condition_id = ?2")                         \
    X(COUNT_VECS, "SELECT count(*), min(length(blob)), max(length(blob)) FROM observation_vec"                         \
                  " WHERE item_id = ?1 AND condition_id = ?2 AND kind = 'logits'")                                     \
    X(LOAD_ROWS, "SELECT i_example, label, pred, score, flags FROM observation WHERE item_id = ?1"                     \
                 " AND condition_id = ?2 ORDER BY i_example, i_repeat")                                                \
    X(LOAD_ROWS_VECS, "SELECT o.i_example, o.label, o.pred, o.score, o.flags, v.blob FROM observation o"               \
                      " JOIN observation_vec v ON v.item_id = o.item_id AND v.condition_id = o.condition_id"           \
                      " AND v.i_example = o.i_example AND v.i_repeat = o.i_repeat AND v.kind = 'logits'"               \
                      " WHERE o.item_id = ?1 AND o.condition_id = ?2 ORDER BY o.i_example, o.i_repeat")

typedef enum store_sql {
#define STORE_SQL_ENUM(name, text) SQL_##name,
    STORE_SQL_LIST(STORE_SQL_ENUM)
#undef STORE_SQL_ENUM
        SQL_COUNT
} store_sql;

struct store {
    sqlite3 *db;
    char *path;
    char *lock_path; /* NULL: no lock held */
    int lock_fd;
    bool writable, memory, in_tx;
    int64_t n_pending;   /* observations since the last commit */
    int64_t tx_start_ns; /* monotonic */
    sqlite3_stmt *stmt[SQL_COUNT];
    uint8_t *swap; /* little-endian copy of one vector, big-endian hosts only */
    size_t swap_cap;
    char warning[512];
};

/* ---- store_sql.c -------------------------------------------------------------------------------- */
/* Turns a SQLite result code into a status with text "PATH: what: message"; rolls the batch back when SQLite
 * cannot go on with it (disk full, I/O error). */
status store_sql_error(store *s, int rc, error *err, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The prepared statement, reset and without bindings. */
status store_sql_get(store *s, store_sql id, sqlite3_stmt **out, error *err);
/* One-off statement; the caller finalises it. */
status store_sql_prepare(store *s, const char *sql, sqlite3_stmt **out, error *err);
/* One letter per parameter: i int64_t, p int64_t with negative = NULL, d double with NaN = NULL, t text with
 * NULL = NULL, z text with NULL and "" = NULL, e text with NULL = "", j JSON text with NULL = "{}". Text is not
 * copied: it must live until the statement is reset. */
status store_sql_bind(store *s, sqlite3_stmt *q, error *err, const char *types, ...);
status store_sql_vbind(store *s, sqlite3_stmt *q, error *err, const char *types, va_list ap);
/* *row: a row is there; otherwise the statement is done and reset. */
status store_sql_step(store *s, sqlite3_stmt *q, bool *row, error *err);
/* Binds, runs to the end, resets. Inside a batch (store_begin). */
status store_sql_run(store *s, store_sql id, error *err, const char *types, ...);
/* First column of the first row of one-off SQL without parameters. */
status store_sql_int(store *s, const char *sql, int64_t *out, error *err);
/* One-off SQL without a result. */
status store_sql_exec(store *s, const char *sql, error *err);

/* Text of a column in the arena, never NULL. */
const char *store_column_text(sqlite3_stmt *q, int i, arena *a);

/* ---- transactions ------------------------------------------------------------------------------- */
status store_begin(store *s, error *err);  /* opens the batch if none is open */
status store_commit(store *s, error *err); /* commits the batch if one is open */
void store_rollback(store *s);

/* ---- schema.c ----------------------------------------------------------------------------------- */
extern const char *const store_migration_001[]; /* NULL-terminated statements */
/* Brings an opened file (ours, or empty) to STORE_SCHEMA. `version`: its user_version; `fresh`: nothing to copy. */
status store_migrate(store *s, int64_t version, bool fresh, error *err);

/* ---- store_json.c ------------------------------------------------------------------------------- */
int store_json_register(sqlite3 *db); /* a result code */

/* ---- store_digest.c ----------------------------------------------------------------------------- */
typedef struct store_item_digest {
    char decisions[DIGEST_HEX], results[DIGEST_HEX];
    int64_t n_observed; /* examples with every condition and repeat */
    int64_t n_rows;
} store_item_digest;
/* Computes both digests from the rows of the item for an outcome word; docs/STORE.md has the byte layout. */
status store_digest_item(store *s, int64_t item_id, const char *outcome_word, store_item_digest *out, error *err);

#endif
