/* SPDX-License-Identifier: Apache-2.0 */
#include "reports/data.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

const store_metric *report_metric(const report_group *g, const char *name, const char *slice) {
    const size_t len = strlen(name);
    const bool prefix = len > 0 && name[len - 1] == '{';
    for (size_t i = 0; i < g->n_metrics; i++) {
        const store_metric *m = g->metrics[i];
        const bool named = prefix ? strncmp(m->name, name, len) == 0 : strcmp(m->name, name) == 0;
        if (named && strcmp(m->slice, slice) == 0) {
            return m;
        }
    }
    return NULL;
}

char *report_number(double v, char buf[REPORT_NUMBER_BYTES]) {
    if (isnan(v)) {
        (void)snprintf(buf, REPORT_NUMBER_BYTES, "–");
    } else if (fabs(v) < 1e6 || isinf(v)) {
        (void)snprintf(buf, REPORT_NUMBER_BYTES, "%.4f", v == 0 ? 0.0 : v); /* no "-0.0000" for a zero */
    } else {
        (void)snprintf(buf, REPORT_NUMBER_BYTES, "%.6g", v);
    }
    return buf;
}

char *report_interval(double lo, double hi, char buf[REPORT_NUMBER_BYTES]) {
    char a[REPORT_NUMBER_BYTES];
    char b[REPORT_NUMBER_BYTES];
    (void)snprintf(buf, REPORT_NUMBER_BYTES, "[%.28s, %.28s]", report_number(lo, a), report_number(hi, b));
    return buf;
}

char *report_with_interval(const store_metric *m, char buf[REPORT_NUMBER_BYTES]) {
    if (m == NULL || isnan(m->value)) {
        return report_number(NAN, buf);
    }
    char value[REPORT_NUMBER_BYTES];
    char range[REPORT_NUMBER_BYTES];
    const bool has = !isnan(m->lo) && !isnan(m->hi);
    (void)snprintf(buf, REPORT_NUMBER_BYTES, "%.20s%s%.40s", report_number(m->value, value), has ? " " : "",
                   has ? report_interval(m->lo, m->hi, range) : "");
    return buf;
}

char *report_p(double p, char buf[REPORT_NUMBER_BYTES]) {
    if (p >= 0 && p < 0.0001) {
        (void)snprintf(buf, REPORT_NUMBER_BYTES, "< 0.0001");
        return buf;
    }
    return report_number(p, buf);
}

char *report_outcomes(const int64_t n_outcome[OUTCOME_COUNT], arena *a) {
    strbuf b = {0};
    int kinds = 0;
    for (int o = 0; o < OUTCOME_COUNT; o++) {
        kinds += n_outcome[o] > 0 ? 1 : 0;
    }
    for (int o = 1; o <= OUTCOME_COUNT; o++) { /* unfinished items last */
        const int i = o % OUTCOME_COUNT;
        const char *name = i == OUTCOME_NONE ? "unfinished" : outcome_name((outcome)i);
        if (n_outcome[i] > 0 && kinds == 1) {
            strbuf_add(&b, name);
        } else if (n_outcome[i] > 0) {
            strbuf_addf(&b, "%s%s %lld", b.len > 0 ? ", " : "", name, (long long)n_outcome[i]);
        }
    }
    char *text = arena_strdup(a, b.len > 0 ? strbuf_str(&b) : "–");
    strbuf_free(&b);
    return text;
}
