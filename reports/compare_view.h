/* SPDX-License-Identifier: Apache-2.0
 * Comparisons as blocks, for the report's section and for `assay compare`. */
#ifndef REPORTS_COMPARE_VIEW_H
#define REPORTS_COMPARE_VIEW_H

#include "reports/doc.h"
#include "run/compare.h"

/* `details`: also the accuracy of both sides, runs and the first changed examples. */
void compare_view(const compare_set *set, bool details, report_doc *doc);

#endif
