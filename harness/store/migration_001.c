/* SPDX-License-Identifier: Apache-2.0
 * Schema 1. Natural keys are content hashes (hex SHA-256); integer ids are local to one file. A released migration
 * never changes: what comes later is a migration of its own. docs/STORE.md describes every table and view. */
#include "store/store_internal.h"

#define JSON_COLUMN(name) name " TEXT NOT NULL CHECK (json_valid(" name "))"
#define OUTCOME_COLUMN                                                                                                 \
    "outcome TEXT CHECK (outcome IN ('OK', 'SKIPPED', 'FAILED', 'UNTRUSTWORTHY', 'CRASHED', 'TIMEOUT'))"
#define BOOL_COLUMN(name) name " INTEGER NOT NULL CHECK (" name " IN (0, 1))"

const char *const store_migration_001[] = {
    "CREATE TABLE build (build_id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, version TEXT NOT NULL, git TEXT,"
    " " BOOL_COLUMN("dirty") ", compiler TEXT NOT NULL, " JSON_COLUMN("libraries_json") ") STRICT",

    "CREATE TABLE host (host_id INTEGER PRIMARY KEY, hw_sha256 TEXT NOT NULL UNIQUE, name TEXT NOT NULL,"
    " cpu TEXT NOT NULL, cpu_flags TEXT NOT NULL, n_cores INTEGER NOT NULL, ram_bytes INTEGER NOT NULL,"
    " kernel TEXT NOT NULL, blas_core TEXT NOT NULL, " JSON_COLUMN("json") ") STRICT",

    "CREATE TABLE model (model_id INTEGER PRIMARY KEY, key_sha256 TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL,"
    " name TEXT NOT NULL, format TEXT NOT NULL, size_bytes INTEGER NOT NULL, " JSON_COLUMN("json") ") STRICT",

    "CREATE TABLE plugin (plugin_id INTEGER PRIMARY KEY, so_sha256 TEXT NOT NULL UNIQUE, name TEXT NOT NULL,"
    " version TEXT NOT NULL, abi INTEGER NOT NULL) STRICT",

    /* one content may be known by several ids of a manifest, each with results of its own */
    "CREATE TABLE dataset (dataset_id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL, name TEXT NOT NULL,"
    " split TEXT NOT NULL, n INTEGER NOT NULL, " JSON_COLUMN("json") ", UNIQUE (sha256, name, split)) STRICT",

    "CREATE TABLE suite (suite_id INTEGER PRIMARY KEY, spec_sha256 TEXT NOT NULL UNIQUE, name TEXT NOT NULL,"
    " version INTEGER NOT NULL, " JSON_COLUMN("params_json") ") STRICT",

    "CREATE TABLE condition (condition_id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE,"
    " kind TEXT NOT NULL CHECK (kind IN ('clean', 'perturbation', 'attack', 'load')), algo TEXT NOT NULL,"
    " version INTEGER NOT NULL, severity REAL, " JSON_COLUMN("params_json") ") STRICT",

    "CREATE TABLE run (run_id INTEGER PRIMARY KEY, run_uid TEXT NOT NULL UNIQUE,"
    " build_id INTEGER NOT NULL REFERENCES build(build_id), host_id INTEGER NOT NULL REFERENCES host(host_id),"
    " label TEXT, config_path TEXT NOT NULL, config_text TEXT NOT NULL, " JSON_COLUMN(
        "config_json") ","
                       " config_sha256 TEXT NOT NULL, plan_sha256 TEXT NOT NULL, command_line TEXT NOT NULL, "
                       "git_revision TEXT,"
                       " seed INTEGER NOT NULL, " BOOL_COLUMN(
                           "limited") ", started_at TEXT NOT NULL, finished_at TEXT,"
                                      " status TEXT NOT NULL CHECK (status IN ('running', 'done', 'failed', "
                                      "'interrupted')),"
                                      " parent_run_id INTEGER REFERENCES run(run_id) ON DELETE SET NULL, "
                                      "decisions_digest TEXT, results_digest TEXT,"
                                      " numeric_env TEXT) STRICT",
    "CREATE INDEX run_label ON run(label, started_at)",
    "CREATE INDEX run_started ON run(started_at)",
    "CREATE INDEX run_parent ON run(parent_run_id)",

    "CREATE TABLE run_event (run_id INTEGER NOT NULL REFERENCES run(run_id), seq INTEGER NOT NULL,"
    " t_ns INTEGER NOT NULL, level TEXT NOT NULL, kind TEXT NOT NULL, msg TEXT NOT NULL,"
    " json TEXT CHECK (json_valid(json)), PRIMARY KEY (run_id, seq)) STRICT, WITHOUT ROWID",
    "CREATE TRIGGER run_event_append_only BEFORE UPDATE ON run_event BEGIN"
    " SELECT raise(ABORT, 'run_event is append only'); END",

    "CREATE TABLE item (item_id INTEGER PRIMARY KEY, item_key TEXT NOT NULL UNIQUE,"
    " model_id INTEGER NOT NULL REFERENCES model(model_id), plugin_id INTEGER NOT NULL REFERENCES plugin(plugin_id),"
    " suite_id INTEGER NOT NULL REFERENCES suite(suite_id),"
    " dataset_id INTEGER NOT NULL REFERENCES dataset(dataset_id), i_shard INTEGER NOT NULL, i_first INTEGER NOT NULL,"
    " n_expected INTEGER NOT NULL, n_conditions INTEGER NOT NULL CHECK (n_conditions >= 1),"
    " n_repeats INTEGER NOT NULL CHECK (n_repeats >= 1), " JSON_COLUMN(
        "params_json") ", numeric_env TEXT NOT NULL,"
                       " comparability_key TEXT NOT NULL, " JSON_COLUMN(
                           "comparability_json") ", " OUTCOME_COLUMN ", reason TEXT,"
                                                 " decisions_digest TEXT, results_digest TEXT, n_observed INTEGER) "
                                                 "STRICT",

    "CREATE TABLE run_item (run_id INTEGER NOT NULL REFERENCES run(run_id),"
    " item_id INTEGER NOT NULL REFERENCES item(item_id), model_name TEXT NOT NULL, " BOOL_COLUMN(
        "reused") ","
                  " PRIMARY KEY (run_id, item_id, model_name)) STRICT, WITHOUT ROWID",
    "CREATE INDEX run_item_item ON run_item(item_id)",

    "CREATE TABLE run_model (run_id INTEGER NOT NULL REFERENCES run(run_id), model_name TEXT NOT NULL,"
    " variant_of TEXT, PRIMARY KEY (run_id, model_name)) STRICT, WITHOUT ROWID",

    "CREATE TABLE item_attempt (item_id INTEGER NOT NULL REFERENCES item(item_id), attempt INTEGER NOT NULL,"
    " host_id INTEGER NOT NULL REFERENCES host(host_id), started_at TEXT NOT NULL, ended_at TEXT NOT NULL,"
    " elapsed_ns INTEGER NOT NULL, " OUTCOME_COLUMN ", reason TEXT, signal INTEGER, " JSON_COLUMN(
        "rusage_json") ","
                       " PRIMARY KEY (item_id, attempt)) STRICT, WITHOUT ROWID",

    /* correct: NULL without a label; a missing prediction of a labelled example is wrong, not unknown. */
    "CREATE TABLE observation (item_id INTEGER NOT NULL REFERENCES item(item_id),"
    " condition_id INTEGER NOT NULL REFERENCES condition(condition_id), i_example INTEGER NOT NULL,"
    " i_repeat INTEGER NOT NULL, label INTEGER, pred INTEGER,"
    " correct INTEGER AS (CASE WHEN label IS NULL THEN NULL ELSE label IS pred END) VIRTUAL,"
    " score REAL, latency_ns INTEGER, flags INTEGER NOT NULL,"
    " PRIMARY KEY (item_id, condition_id, i_example, i_repeat)) STRICT, WITHOUT ROWID",

    "CREATE TABLE observation_vec (item_id INTEGER NOT NULL REFERENCES item(item_id),"
    " condition_id INTEGER NOT NULL REFERENCES condition(condition_id), i_example INTEGER NOT NULL,"
    " i_repeat INTEGER NOT NULL, kind TEXT NOT NULL, blob BLOB NOT NULL CHECK (length(blob) % 4 = 0),"
    " PRIMARY KEY (item_id, condition_id, i_example, i_repeat, kind)) STRICT, WITHOUT ROWID",

    "CREATE TABLE metric (metric_id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES run(run_id),"
    " model_name TEXT NOT NULL, dataset TEXT NOT NULL, suite TEXT NOT NULL, condition TEXT NOT NULL,"
    " metric TEXT NOT NULL, metric_version INTEGER NOT NULL, name TEXT NOT NULL, slice TEXT NOT NULL, value REAL,"
    " lo REAL, hi REAL, level REAL, n INTEGER NOT NULL, flags INTEGER NOT NULL, ci_method TEXT NOT NULL,"
    " unit TEXT NOT NULL, better TEXT NOT NULL CHECK (better IN ('higher', 'lower', 'none')), reason TEXT NOT NULL,"
    " UNIQUE (run_id, model_name, dataset, suite, condition, metric, name, slice)) STRICT",

    "CREATE VIEW v_run AS SELECT r.run_id, r.run_uid, r.label, r.status, r.started_at, r.finished_at, r.limited,"
    " r.seed, b.version, b.git AS build_git, b.dirty AS build_dirty, h.name AS host, h.cpu, h.blas_core,"
    " r.numeric_env, r.git_revision, r.config_path, r.config_sha256, r.command_line,"
    " (SELECT count(*) FROM run_item ri WHERE ri.run_id = r.run_id) AS n_items,"
    " (SELECT count(*) FROM run_item ri WHERE ri.run_id = r.run_id AND ri.reused) AS n_reused,"
    " (SELECT count(*) FROM run_item ri JOIN item i ON i.item_id = ri.item_id"
    " WHERE ri.run_id = r.run_id AND i.outcome = 'OK') AS n_ok,"
    " substr(r.decisions_digest, 1, 16) AS decisions, substr(r.results_digest, 1, 16) AS results"
    " FROM run r JOIN build b ON b.build_id = r.build_id JOIN host h ON h.host_id = r.host_id",

    "CREATE VIEW v_item AS SELECT r.run_id, r.run_uid, r.label AS run_label, i.item_id, i.item_key,"
    " ri.model_name AS model, rm.variant_of, m.sha256 AS model_sha256, p.name AS plugin, p.version AS plugin_version,"
    " d.name AS dataset, d.split, s.name AS suite, s.version AS suite_version, i.i_shard, i.i_first, i.n_expected,"
    " i.n_observed, i.outcome, i.reason, ri.reused,"
    " (SELECT count(*) FROM item_attempt a WHERE a.item_id = i.item_id) AS n_attempts, i.numeric_env,"
    " i.comparability_key, i.decisions_digest, i.results_digest FROM run_item ri"
    " JOIN run r ON r.run_id = ri.run_id JOIN item i ON i.item_id = ri.item_id"
    " JOIN model m ON m.model_id = i.model_id JOIN plugin p ON p.plugin_id = i.plugin_id"
    " JOIN dataset d ON d.dataset_id = i.dataset_id JOIN suite s ON s.suite_id = i.suite_id"
    " LEFT JOIN run_model rm ON rm.run_id = ri.run_id AND rm.model_name = ri.model_name",

    "CREATE VIEW v_observation AS SELECT r.run_id, r.run_uid, r.label AS run_label, ri.model_name AS model,"
    " d.name AS dataset, d.split, s.name AS suite, c.key AS condition, c.kind AS condition_kind, c.severity,"
    " o.item_id, o.i_example, o.i_repeat, o.label, o.pred, o.correct, o.score, o.latency_ns, o.flags"
    " FROM run_item ri JOIN run r ON r.run_id = ri.run_id JOIN item i ON i.item_id = ri.item_id"
    " JOIN dataset d ON d.dataset_id = i.dataset_id JOIN suite s ON s.suite_id = i.suite_id"
    " JOIN observation o ON o.item_id = i.item_id JOIN condition c ON c.condition_id = o.condition_id",

    "CREATE VIEW v_metric AS SELECT r.run_id, r.run_uid, r.label AS run_label, r.limited, m.model_name AS model,"
    " m.dataset, m.suite, CASE m.condition WHEN '' THEN 'clean' ELSE m.condition END AS condition, m.name, m.slice,"
    " m.value, m.lo, m.hi, m.level, m.n, m.ci_method, m.unit, m.better, m.flags, m.reason, m.metric,"
    " m.metric_version FROM metric m JOIN run r ON r.run_id = m.run_id",

    /* CROSS JOIN fixes the order of the loops: without ANALYZE the planner may start at observation. */
    "CREATE VIEW v_flips AS SELECT rb.run_id, d.name AS dataset, s.name AS suite, c.key AS condition,"
    " rb.model_name AS base_model, rc.model_name AS cand_model, ob.i_example, ob.i_repeat, ob.label,"
    " ob.pred AS base_pred, oc.pred AS cand_pred, ob.score AS base_score, oc.score AS cand_score"
    " FROM run_item rb CROSS JOIN item ib ON ib.item_id = rb.item_id"
    " CROSS JOIN run_item rc ON rc.run_id = rb.run_id AND rc.model_name <> rb.model_name"
    " CROSS JOIN item ic ON ic.item_id = rc.item_id AND ic.dataset_id = ib.dataset_id AND ic.suite_id = ib.suite_id"
    " AND ic.i_shard = ib.i_shard AND ic.i_first = ib.i_first"
    " CROSS JOIN observation ob ON ob.item_id = ib.item_id"
    " CROSS JOIN observation oc ON oc.item_id = ic.item_id AND oc.condition_id = ob.condition_id"
    " AND oc.i_example = ob.i_example AND oc.i_repeat = ob.i_repeat"
    " JOIN condition c ON c.condition_id = ob.condition_id JOIN dataset d ON d.dataset_id = ib.dataset_id"
    " JOIN suite s ON s.suite_id = ib.suite_id WHERE ob.correct = 1 AND oc.correct = 0",

    "CREATE VIEW v_outcome AS SELECT r.run_id, r.run_uid, r.label AS run_label, w.word AS outcome,"
    " (SELECT count(*) FROM run_item ri JOIN item i ON i.item_id = ri.item_id"
    " WHERE ri.run_id = r.run_id AND ifnull(i.outcome, 'UNFINISHED') = w.word) AS n FROM run r"
    " CROSS JOIN (SELECT 1 AS k, 'OK' AS word UNION ALL SELECT 2, 'SKIPPED' UNION ALL SELECT 3, 'FAILED'"
    " UNION ALL SELECT 4, 'UNTRUSTWORTHY' UNION ALL SELECT 5, 'CRASHED' UNION ALL SELECT 6, 'TIMEOUT'"
    " UNION ALL SELECT 7, 'UNFINISHED') w ORDER BY r.run_id, w.k",

    "CREATE VIEW v_leaderboard AS SELECT run_id, run_uid, run_label, limited, dataset, suite, condition, name,"
    " rank() OVER (PARTITION BY run_id, dataset, suite, condition, metric, name"
    " ORDER BY CASE better WHEN 'higher' THEN -value ELSE value END) AS rank, model, value, lo, hi, n, better"
    " FROM v_metric WHERE slice = '' AND better <> 'none' AND value IS NOT NULL",
    NULL,
};
