/* SPDX-License-Identifier: Apache-2.0
 * topk: share of examples whose label is among the k largest outputs. Ties go to the lower index, so that k = 1 equals
 * accuracy; ties = highest is what sklearn's top_k_accuracy_score does (scikit-learn#34425). */
#include <stdio.h>
#include <string.h>

#include "metrics/common.h"

typedef struct topk_params {
    param_ints k;
    const char *ties; /* "lowest" or "highest": which index wins */
} topk_params;

/* Classes that come before `label` in the order of outputs; -1 where it cannot be in any top k. */
static int64_t rank_of(const columns *c, size_t i, bool highest) {
    const int32_t label = c->label[i];
    if ((c->flags[i] & (OBS_NONFINITE | OBS_LABEL_UNKNOWN)) != 0 || label < 0 || (size_t)label >= c->n_classes) {
        return -1;
    }
    const float *z = c->logits + i * c->n_classes;
    int64_t rank = 0;
    for (size_t j = 0; j < c->n_classes; j++) {
        rank += z[j] > z[label] || (z[j] == z[label] && (highest ? j > (size_t)label : j < (size_t)label)) ? 1 : 0;
    }
    return rank;
}

static bool seen_before(const param_ints *k, size_t i) {
    for (size_t j = 0; j < i; j++) {
        if (k->v[j] == k->v[i]) {
            return true;
        }
    }
    return false;
}

static status compute(const void *params, const columns *c, double level, const metric_sink *sink, error *err) {
    (void)err;
    const topk_params *p = params;
    const int64_t n = metric_n_labelled(c);
    char note[METRIC_NOTE_BYTES];
    char name[64];
    const bool highest = strcmp(p->ties, "highest") == 0;
    (void)metric_note(c, note);
    for (size_t i = 0; i < p->k.n; i++) {
        const int64_t k = p->k.v[i];
        if (seen_before(&p->k, i)) {
            continue;
        }
        int64_t hits = 0;
        for (size_t e = 0; e < c->n; e++) {
            const int64_t rank = metric_labelled(c->flags[e], c->label[e]) ? rank_of(c, e, highest) : -1;
            hits += rank >= 0 && rank < k ? 1 : 0;
        }
        (void)snprintf(name, sizeof name, "topk{k=%lld%s}", (long long)k, highest ? ",ties=highest" : "");
        const bool all = n > 0 && (size_t)k >= c->n_classes;
        metric_proportion(sink, name, "", hits, n, level, all ? METRIC_FLAG_DEGENERATE : 0,
                          all && note[0] == '\0' ? "k is not below the number of classes" : note);
    }
    return STATUS_OK;
}

static const param params[] = {
    {.name = "k",
     .help = "how many of the largest outputs may hold the label",
     .unit = "classes",
     .offset = offsetof(topk_params, k),
     .type = PARAM_INTS,
     .def_text = "1,3,5",
     .min = 1,
     .max = 1e6},
    {.name = "ties",
     .help = "which of equal outputs comes first: the lowest index (as argmax), or the highest (as sklearn)",
     .unit = "",
     .offset = offsetof(topk_params, ties),
     .type = PARAM_CHOICE,
     .def_text = "lowest",
     .choices = "lowest|highest"},
};

const metric metric_topk = {
    .info = {.id = "topk",
             .summary = "share of examples whose label is among the k largest outputs; ties go to the lower index",
             .cite = "",
             .version = 1,
             .flags = METRIC_NEEDS_LABEL | METRIC_NEEDS_LOGITS,
             .params = params,
             .n_params = sizeof params / sizeof params[0],
             .params_bytes = sizeof(topk_params)},
    .compute = compute,
};
