/* SPDX-License-Identifier: Apache-2.0
 * What a suite collects and the store keeps: one row per example, condition and repeat; and how an item ends. */
#ifndef BASE_OBSERVATION_H
#define BASE_OBSERVATION_H

#include <stdbool.h>
#include <stdint.h>

/* X(name, final): every outcome is counted and printed, even when zero. */
#define OUTCOME_LIST(X) X(OK) X(SKIPPED) X(FAILED) X(UNTRUSTWORTHY) X(CRASHED) X(TIMEOUT)

typedef enum outcome {
    OUTCOME_NONE = 0, /* not finished */
#define OUTCOME_ENUM(name) OUTCOME_##name,
    OUTCOME_LIST(OUTCOME_ENUM)
#undef OUTCOME_ENUM
        OUTCOME_COUNT
} outcome;

const char *outcome_name(outcome o);     /* "OK"; "" for NONE */
outcome outcome_parse(const char *name); /* NONE if unknown */

/* Flags of one observation. */
#define OBS_NONFINITE 1u     /* the model returned NaN or Inf: pred is -1, score is NaN (NULL in the store) */
#define OBS_TIE 2u           /* the largest logit is not unique: pred is the lowest index among equals */
#define OBS_NO_LABEL 4u      /* the example has no label */
#define OBS_LABEL_UNKNOWN 8u /* the label is not among the model's classes */

typedef struct observation {
    int64_t i_example; /* row in the dataset, 0-based: the example's stable id */
    int32_t i_repeat;
    int32_t i_condition; /* index into the item's condition list; 0 = clean */
    int32_t label;       /* -1: none */
    int32_t pred;        /* -1: none */
    uint32_t flags;      /* OBS_* */
    uint32_t n_logits;   /* 0: none kept */
    double score;        /* probability of the predicted class, or what the suite documents; NaN: none */
    int64_t latency_ns;  /* -1: not measured */
    const float *logits; /* n_logits values, owned by the caller; NULL when n_logits is 0 */
} observation;

/* The same bits; every NaN counts as the same (the store keeps them as NULL). */
bool observation_same_score(double a, double b);

#endif
