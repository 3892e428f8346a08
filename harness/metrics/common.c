/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/common.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "math/interval.h"

bool metric_labelled(uint32_t flags, int32_t label) {
    return (flags & OBS_NO_LABEL) == 0 && label >= 0;
}

bool metric_is_correct(int32_t label, int32_t pred, uint32_t flags) {
    return label >= 0 && pred == label && (flags & (OBS_NONFINITE | OBS_LABEL_UNKNOWN | OBS_NO_LABEL)) == 0;
}

int64_t metric_n_labelled(const columns *c) {
    int64_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        n += metric_labelled(c->flags[i], c->label[i]) ? 1 : 0;
    }
    return n;
}

/* Appends "; what: n" if n > 0; what does not fit is cut. */
static void add_note(char note[METRIC_NOTE_BYTES], const char *what, long long n) {
    const size_t at = strlen(note);
    if (n > 0) {
        (void)snprintf(note + at, METRIC_NOTE_BYTES - at, "%s%s: %lld", at > 0 ? "; " : "", what, n);
    }
}

const char *metric_note(const columns *c, char note[METRIC_NOTE_BYTES]) {
    long long unlabelled = 0;
    long long nonfinite = 0;
    long long unknown = 0;
    long long ties = 0;
    for (size_t i = 0; i < c->n; i++) {
        const bool labelled = metric_labelled(c->flags[i], c->label[i]);
        unlabelled += labelled ? 0 : 1;
        nonfinite += labelled && (c->flags[i] & OBS_NONFINITE) != 0 ? 1 : 0;
        unknown += labelled && (c->flags[i] & OBS_LABEL_UNKNOWN) != 0 ? 1 : 0;
        ties += labelled && (c->flags[i] & OBS_TIE) != 0 ? 1 : 0;
    }
    note[0] = '\0';
    add_note(note, "left out, no label", unlabelled);
    add_note(note, "non-finite output, counted wrong", nonfinite);
    add_note(note, "label unknown to the model, counted wrong", unknown);
    add_note(note, "largest output not unique", ties);
    if (c->n < c->n_expected) {
        add_note(note, "planned examples that were not observed", (long long)(c->n_expected - c->n));
    }
    return note;
}

void metric_undefined(const metric_sink *sink, const char *name, const char *unit, better b, int64_t n, double level,
                      const char *reason) {
    sink->row(sink->context, &(metric_row){.name = name,
                                           .slice = "",
                                           .value = NAN,
                                           .lo = NAN,
                                           .hi = NAN,
                                           .level = level,
                                           .n = n,
                                           .ci_method = "",
                                           .unit = unit,
                                           .better = b,
                                           .flags = METRIC_FLAG_DEGENERATE,
                                           .reason = reason});
}

void metric_proportion(const metric_sink *sink, const char *name, const char *slice, int64_t k, int64_t n, double level,
                       uint32_t flags, const char *reason) {
    const interval v = interval_wilson(k, n, level);
    const bool none = n == 0;
    sink->row(sink->context, &(metric_row){.name = name,
                                           .slice = slice,
                                           .value = none ? NAN : (double)k / (double)n,
                                           .lo = none ? NAN : v.lo,
                                           .hi = none ? NAN : v.hi,
                                           .level = level,
                                           .n = n,
                                           .ci_method = none ? "" : "wilson",
                                           .unit = "fraction",
                                           .better = BETTER_HIGHER,
                                           .flags = flags | (none ? METRIC_FLAG_DEGENERATE : 0),
                                           .reason = none && reason[0] == '\0' ? "no labelled examples" : reason});
}
