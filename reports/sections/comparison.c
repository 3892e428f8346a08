/* SPDX-License-Identifier: Apache-2.0
 * Section comparison: every variant against its baseline, paired by example. */
#include "reports/compare_view.h"
#include "reports/section.h"

static status render(const report_data *d, report_doc *doc, error *err) {
    (void)err;
    const bool problem = d->comparison_problem[0] != '\0';
    if (d->comparisons.n == 0 && d->comparisons.n_unmatched == 0 && !problem) {
        return STATUS_OK;
    }
    doc_heading(doc, 2, "Variants against their baselines");
    if (problem) {
        doc_notice(doc, "Not compared: %s", d->comparison_problem);
    }
    compare_view(&d->comparisons, false, doc);
    return STATUS_OK;
}

const section section_comparison = {
    .info = {.id = "comparison",
             .summary = "paired comparison of every variant with its baseline",
             .cite = "McNemar 1947; Tango 1998; Holm 1979",
             .version = 1,
             .flags = SECTION_BRIEF},
    .render = render,
};
