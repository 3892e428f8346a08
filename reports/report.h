/* SPDX-License-Identifier: Apache-2.0
 * Reports of one run and of comparisons. They read the store, never live objects; the same store gives the same bytes.
 */
#ifndef REPORTS_REPORT_H
#define REPORTS_REPORT_H

#include "reports/data.h"
#include "reports/renderer.h"
#include "reports/section.h"

/* run_id 0 or a store without runs: an empty report. */
status report_load(store *s, int64_t run_id, arena *a, report_data *out, error *err);

/* format: id of a renderer ("terminal", "md", "json"); STATUS_USAGE if there is no such. Appends to out. */
status report_render(const report_data *d, const char *format, strbuf *out, error *err);

/* What `assay run` prints at its end: the sections marked SECTION_BRIEF, for the terminal. */
status report_print_summary(store *s, int64_t run_id, strbuf *out, error *err);

/* What `assay compare` prints. */
status report_render_compare(const compare_set *set, const char *format, strbuf *out, error *err);

#endif
