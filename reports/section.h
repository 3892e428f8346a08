/* SPDX-License-Identifier: Apache-2.0
 * A section of a report: reports/sections/<name>.c defines `const section section_<name>`, one line in
 * reports/sections/registry.def, in the order of the report. It turns data into blocks and knows no format. */
#ifndef REPORTS_SECTION_H
#define REPORTS_SECTION_H

#include "base/info.h"
#include "reports/data.h"
#include "reports/doc.h"

#define SECTION_BRIEF 1u /* also in the summary that ends `assay run` */

typedef struct section {
    info info; /* info.flags: SECTION_* */
    /* Writes nothing where there is nothing to say. Must cope with an empty store, hostile names and missing numbers.
     */
    status (*render)(const report_data *d, report_doc *doc, error *err);
} section;

const section *section_find(const char *id);
const section *const *section_all(size_t *n);

#endif
