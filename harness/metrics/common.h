/* SPDX-License-Identifier: Apache-2.0
 * What the metrics share: which examples count, what is right, rows for proportions and for undefined values. */
#ifndef METRICS_COMMON_H
#define METRICS_COMMON_H

#include "metrics/metric.h"

enum { METRIC_NOTE_BYTES = 512 };

/* Examples without a label are no part of any n. */
bool metric_labelled(uint32_t flags, int32_t label);
/* Non-finite outputs and labels that the model does not know are wrong, never dropped. */
bool metric_is_correct(int32_t label, int32_t pred, uint32_t flags);
int64_t metric_n_labelled(const columns *c);

/* "left out, no label: 12; non-finite output, counted wrong: 3", or "". */
const char *metric_note(const columns *c, char note[METRIC_NOTE_BYTES]);

/* k of n as a row with Wilson interval; n = 0 gives NaN with reason. `reason` is a note, "" if there is none. */
void metric_proportion(const metric_sink *sink, const char *name, const char *slice, int64_t k, int64_t n, double level,
                       uint32_t flags, const char *reason);
/* One row with value NaN. */
void metric_undefined(const metric_sink *sink, const char *name, const char *unit, better b, int64_t n, double level,
                      const char *reason);

#endif
