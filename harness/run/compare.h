/* SPDX-License-Identifier: Apache-2.0
 * Paired comparison of two models example by example: a is the baseline, b the candidate. Refuses (STATUS_REFUSED) what
 * is not comparable and names the fields and both values. */
#ifndef RUN_COMPARE_H
#define RUN_COMPARE_H

#include "math/interval.h"
#include "store/store.h"

enum { COMPARE_FLIPS = 50 }; /* changed examples that are kept by name */

typedef struct compare_options {
    double level; /* 0 = 0.95; alpha is 1 - level */
    double power; /* 0 = 0.8 */
    /* Fields of the comparability key that may differ; recorded in the result. NULL-terminated or NULL. */
    const char *const *allow_differ;
} compare_options;

typedef struct compare_flip {
    int64_t i_example;
    int32_t label, pred_a, pred_b;
    bool newly_right;
} compare_flip;

typedef struct compare_result {
    const char *run_a, *run_b; /* run_uid */
    const char *model_a, *model_b, *model_sha256_a, *model_sha256_b;
    const char *dataset, *suite;
    bool limited;                          /* either run was */
    int64_t n_a, n_b, n_pair;              /* labelled examples of each side and in both */
    int64_t n_missing_a, n_missing_b;      /* planned examples without a result: failed or unfinished items */
    int64_t n_doubtful_a, n_doubtful_b;    /* items with outcome UNTRUSTWORTHY: their examples count */
    int64_t n_right_a, n_right_b;          /* among the pairs */
    double accuracy_a, accuracy_b;         /* over the pairs; NaN without pairs */
    interval accuracy_a_ci, accuracy_b_ci; /* Wilson */
    int64_t n_newly_wrong, n_newly_right;
    double difference; /* b - a; NaN without pairs */
    interval difference_ci;
    double p_exact, p_mid, p_holm; /* McNemar; p_holm: p_exact adjusted over the set it is part of */
    double detectable;             /* smallest difference these pairs show with that power; NaN: none */
    double level, power;
    const compare_flip *flips; /* the first COMPARE_FLIPS, by example */
    size_t n_flips;
    const char *allowed; /* fields that were allowed to differ and do, with both values; "" */
} compare_result;

/* Comparisons judged as one family, in (dataset, suite, model_b, model_a) order, and what had no partner. */
typedef struct compare_set {
    compare_result *v;
    size_t n;
    const char *const *unmatched;
    size_t n_unmatched;
} compare_set;

typedef enum compare_verdict {
    COMPARE_NO_DATA,    /* no pairs */
    COMPARE_IMPROVED,   /* p_holm <= alpha, difference > 0 */
    COMPARE_REGRESSED,  /* p_holm <= alpha, difference < 0 */
    COMPARE_NO_EVIDENCE /* no difference detected; see `detectable` */
} compare_verdict;
compare_verdict compare_verdict_of(const compare_result *r);
const char *compare_verdict_name(compare_verdict v); /* "improved", ..., "no difference detected" */

/* RUN, RUN:MODEL, or MODEL of the latest run. model NULL = all. Ambiguous or unknown: STATUS_USAGE. */
typedef struct compare_ref {
    store_run_row run;
    const char *model;
} compare_ref;
status compare_resolve(store *s, const char *text, arena *a, compare_ref *out, error *err);

status compare_groups(store *s, const store_run_row *run_a, const store_group *ga, const store_run_row *run_b,
                      const store_group *gb, const compare_options *o, arena *a, compare_result *out, error *err);

/* Every (dataset, suite) that both sides have; where a side names no model, models of the same name. */
status compare_refs(store *s, const compare_ref *ref_a, const compare_ref *ref_b, const compare_options *o, arena *a,
                    compare_set *out, error *err);
/* `compare A B [C ...]`: each of the others against the first, Holm over all of them. */
status compare_texts(store *s, const char *const *refs, size_t n_refs, const compare_options *o, arena *a,
                     compare_set *out, error *err);
/* How many comparisons Holm's adjustment is over: those with pairs. */
size_t compare_family(const compare_set *set);
/* Within one run, every model that is a variant of another against that one. */
status compare_variants(store *s, const store_run_row *run, const compare_options *o, arena *a, compare_set *out,
                        error *err);

#endif
