/* SPDX-License-Identifier: Apache-2.0
 * accuracy: share of examples whose prediction (lowest index among the largest outputs) is the label. */
#include "metrics/common.h"

static status compute(const void *params, const columns *c, double level, const metric_sink *sink, error *err) {
    (void)params;
    (void)err;
    int64_t n = 0;
    int64_t right = 0;
    for (size_t i = 0; i < c->n; i++) {
        n += metric_labelled(c->flags[i], c->label[i]) ? 1 : 0;
        right += metric_is_correct(c->label[i], c->pred[i], c->flags[i]) ? 1 : 0;
    }
    char note[METRIC_NOTE_BYTES];
    metric_proportion(sink, "accuracy", "", right, n, level, 0, metric_note(c, note));
    return STATUS_OK;
}

const metric metric_accuracy = {
    .info = {.id = "accuracy",
             .summary = "share of examples whose predicted class is the label, with Wilson interval",
             .cite = "Wilson 1927, Probable inference, the law of succession, and statistical inference",
             .version = 1,
             .flags = METRIC_NEEDS_LABEL | METRIC_NEEDS_PRED},
    .compute = compute,
};
