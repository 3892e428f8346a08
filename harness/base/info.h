/* SPDX-License-Identifier: Apache-2.0
 * What every registered thing (suite, metric, perturbation, attack, reader, section, ...) begins with.
 * The params table gives config parsing, range errors with file:line:column, `assay explain ID` and docs
 * from one place. */
#ifndef BASE_INFO_H
#define BASE_INFO_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/status.h"

typedef enum param_type {
    PARAM_BOOL,   /* bool */
    PARAM_INT,    /* int64_t */
    PARAM_REAL,   /* double */
    PARAM_STRING, /* const char * */
    PARAM_CHOICE, /* const char *: one of `choices`, separated by '|' */
    PARAM_INTS,   /* param_ints: a list of integers, each within min..max */
    PARAM_REALS,  /* param_reals */
    PARAM_STRINGS /* param_strings */
} param_type;

typedef struct param_ints {
    size_t n;
    const int64_t *v;
} param_ints;
typedef struct param_reals {
    size_t n;
    const double *v;
} param_reals;
typedef struct param_strings {
    size_t n;
    const char *const *v;
} param_strings;

typedef struct param {
    const char *name, *help, *unit; /* unit "" where there is none */
    size_t offset;                  /* in the owner's parameter struct */
    param_type type;
    double def, min, max; /* BOOL, INT, REAL and list members; inclusive */
    const char *def_text; /* STRING, CHOICE and lists ("1,3,5"); NULL = "" */
    const char *choices;  /* CHOICE */
} param;

typedef struct info {
    const char *id, *summary, *cite; /* cite: paper or standard, "" where there is none */
    uint32_t version;                /* rises whenever any output bit may change */
    uint32_t flags;                  /* meaning per kind */
    const param *params;
    size_t n_params, params_bytes; /* params_bytes: size of the owner's parameter struct */
} info;

/* `block` has params_bytes bytes. Defaults first, then single values by name from text, with
 * STATUS_USAGE and a text like `"k" must be 1..1000, not 0`. Lists are comma- or newline-separated. */
void params_default(const info *i, void *block, arena *a);
status param_set_text(const info *i, void *block, const char *name, const char *text, arena *a, error *err);
const param *param_find(const info *i, const char *name);
/* The value as canonical text (defaults filled in), for item keys and `explain`. */
char *param_text(const param *p, const void *block, arena *a);
/* All parameters as canonical JSON with sorted keys: {"batch":32,"k":[1,3,5]}. */
char *params_json(const info *i, const void *block, arena *a);

#endif
