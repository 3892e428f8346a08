/* SPDX-License-Identifier: Apache-2.0
 * YAML 1.2 as a small immutable tree whose every node knows where it stands (libfyaml's event parser below).
 * Scalars are text; the reader of a key says which type it wants, so `licence: NO` is a string where a string
 * is declared. Every mistake is one line, `FILE:LINE:COLUMN: ...`, with STATUS_USAGE.
 *
 * Refused on purpose: anchors, aliases and tags (no file of ours needs them, and aliases are how small files
 * become huge trees), duplicate keys, keys that are not scalars, several documents, depth above
 * YAML_MAX_DEPTH, more than YAML_MAX_NODES nodes, directives, runs of more than 256 blanks, NUL bytes and invalid
 * UTF-8.
 *
 *     const yaml_node *root = NULL;
 *     TRY(yaml_load_file(path, YAML_MAX_BYTES, &mem, &root, err));
 *     static const char *const keys[] = {"seed", "limits"};
 *     TRY(yaml_check_keys(root, "the config", keys, 2, err));
 *     TRY(yaml_opt_int(root, "seed", 0, INT64_MAX, &cfg->seed, err));      absent: cfg->seed is left alone
 */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/info.h"
#include "base/mem.h"
#include "base/status.h"

#define YAML_MAX_BYTES ((size_t)1 << 20)
#define YAML_MAX_DEPTH 32
#define YAML_MAX_NODES 100000

typedef enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING } yaml_kind;

typedef struct yaml_node yaml_node;
struct yaml_node {
    yaml_kind kind;
    bool quoted;                  /* scalar in quotes or a block: surely a string, never a number or a boolean */
    int line, col;                /* from 1 */
    const char *file;             /* as given to yaml_load_* */
    const char *text;             /* scalar: UTF-8, NUL-terminated, "" for a value left empty; else NULL */
    size_t n;                     /* items of a sequence, pairs of a mapping; 0 for a scalar */
    const yaml_node *const *key;  /* mapping: (n) scalars, else NULL */
    const yaml_node *const *item; /* sequence: (n) items; mapping: (n) values */
};

/* The tree is allocated in `a`; a part of it that is left by an error is freed with `a`. An empty file is an
 * empty mapping. STATUS_IO if unreadable, else STATUS_USAGE. `file` is the name in error texts. */
status yaml_load_file(const char *path, size_t limit, arena *a, const yaml_node **root, error *err);
status yaml_load_text(const char *file, const char *text, size_t n, arena *a, const yaml_node **root, error *err);

/* Sets `FILE:LINE:COL: ` and the text; returns STATUS_USAGE. */
status yaml_fail(const yaml_node *at, error *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
const char *yaml_kind_name(const yaml_node *n); /* "a list", "a mapping", "text", "empty": for error texts */

/* ---- mappings. `what` names the thing in error texts: "a dataset record", "suite accuracy" --------------- */

status yaml_want(const yaml_node *n, yaml_kind kind, const char *what, error *err);
/* STATUS_USAGE unless `map` is a mapping with allowed keys only: "did you mean" and the allowed keys. */
status yaml_check_keys(const yaml_node *map, const char *what, const char *const *allowed, size_t n_allowed,
                       error *err);
const yaml_node *yaml_get(const yaml_node *map, const char *key);    /* the value, NULL if absent */
const yaml_node *yaml_key_at(const yaml_node *map, const char *key); /* the key's own node, for positions */
status yaml_need(const yaml_node *map, const char *key, const char *what, const yaml_node **out, error *err);

/* ---- scalars. `name` is the key in error texts. The text stays in the tree's arena ----------------------- */

bool yaml_is_empty(const yaml_node *n); /* `key:` with nothing behind it, or a plain `~` or `null` */
status yaml_string(const yaml_node *n, const char *name, const char **out, error *err); /* empty only if quoted */
status yaml_int(const yaml_node *n, const char *name, int64_t min, int64_t max, int64_t *out, error *err);
status yaml_real(const yaml_node *n, const char *name, double min, double max, double *out, error *err);
status yaml_bool(const yaml_node *n, const char *name, bool *out, error *err); /* true or false */
/* One of `choices` by its index, with "did you mean". */
status yaml_choice(const yaml_node *n, const char *name, const char *const *choices, size_t n_choices, size_t *out,
                   error *err);
/* A list of scalars; one scalar counts as a list of one. Arrays in `a`. */
status yaml_strings(const yaml_node *n, const char *name, arena *a, const char *const **out, size_t *n_out, error *err);
status yaml_ints(const yaml_node *n, const char *name, int64_t min, int64_t max, arena *a, const int64_t **out,
                 size_t *n_out, error *err);
status yaml_reals(const yaml_node *n, const char *name, double min, double max, arena *a, const double **out,
                  size_t *n_out, error *err);

/* The same by key of a mapping; where the key is absent *out keeps its value (the default). */
status yaml_opt_string(const yaml_node *map, const char *key, const char **out, error *err);
status yaml_opt_int(const yaml_node *map, const char *key, int64_t min, int64_t max, int64_t *out, error *err);
status yaml_opt_real(const yaml_node *map, const char *key, double min, double max, double *out, error *err);
status yaml_opt_bool(const yaml_node *map, const char *key, bool *out, error *err);

/* ---- parameter tables (base/info.h) ---------------------------------------------------------------------- */

/* Sets in `block` (already holding the defaults) every parameter of `i` that `map` names. Other keys are an
 * error, but for the n_also in `also`, which the caller reads itself. */
status yaml_set_params(const yaml_node *map, const info *i, const char *const *also, size_t n_also, void *block,
                       arena *a, error *err);

#endif
