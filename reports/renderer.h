/* SPDX-License-Identifier: Apache-2.0
 * An output format: reports/render_<name>.c defines `const renderer renderer_<name>`, one line in
 * reports/renderers.def. Most read the blocks; JSON reads the data. */
#ifndef REPORTS_RENDERER_H
#define REPORTS_RENDERER_H

#include "base/info.h"
#include "reports/data.h"
#include "reports/doc.h"

typedef struct renderer {
    info info;
    const char *extension; /* of a file in this format, without the dot */
    status (*report)(const report_data *d, const report_doc *doc, strbuf *out, error *err);
    status (*comparison)(const compare_set *set, const report_doc *doc, strbuf *out, error *err);
} renderer;

const renderer *renderer_find(const char *id);
const renderer *const *renderer_all(size_t *n);

#endif
