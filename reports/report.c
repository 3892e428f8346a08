/* SPDX-License-Identifier: Apache-2.0 */
#include "reports/report.h"

#include <string.h>

#include "reports/compare_view.h"

static status find_format(const char *format, const renderer **out, error *err) {
    *out = renderer_find(format);
    if (*out != NULL) {
        return STATUS_OK;
    }
    size_t n = 0;
    const renderer *const *all = renderer_all(&n);
    strbuf names = {0};
    for (size_t i = 0; i < n; i++) {
        strbuf_addf(&names, "%s%s", i > 0 ? ", " : "", all[i]->info.id);
    }
    const status st =
        error_set(err, STATUS_USAGE, "there is no report format \"%.40s\" (there are: %s)", format, strbuf_str(&names));
    strbuf_free(&names);
    return st;
}

/* Title and stamps stand before any section, so that no section can forget them. */
static void add_head(const report_data *d, bool brief, report_doc *doc) {
    if (d->empty) {
        doc_heading(doc, 1, "assay report");
        doc_text(doc, "The store holds no runs.");
        return;
    }
    const char *label = d->run.label != NULL ? d->run.label : "";
    if (!brief) {
        doc_heading(doc, 1, "assay report: %s", label[0] != '\0' ? label : d->run.run_uid);
    }
    if (d->run.limited) {
        doc_notice(doc, "LIMITED RUN: it used only a part of its data (--limit or a limit in the configuration). Its "
                        "numbers hold for that part, and it cannot become a baseline.");
    }
    if (d->run.status != NULL && d->run.status[0] != '\0' && strcmp(d->run.status, "done") != 0) {
        doc_notice(doc, "The run's status is \"%s\": some of its items have no result.", d->run.status);
    }
}

static status build(const report_data *d, bool brief, report_doc *doc, error *err) {
    add_head(d, brief, doc);
    size_t n = 0;
    const section *const *all = section_all(&n);
    for (size_t i = 0; i < n && !d->empty; i++) {
        if (!brief || (all[i]->info.flags & SECTION_BRIEF) != 0) {
            TRY(all[i]->render(d, doc, err));
        }
    }
    return STATUS_OK;
}

static status render(const report_data *d, const renderer *r, bool brief, strbuf *out, error *err) {
    report_doc *doc = doc_new();
    status st = build(d, brief, doc, err);
    if (st == STATUS_OK) {
        st = r->report(d, doc, out, err);
    }
    doc_free(doc);
    return st;
}

status report_render(const report_data *d, const char *format, strbuf *out, error *err) {
    const renderer *r = NULL;
    TRY(find_format(format, &r, err));
    return render(d, r, false, out, err);
}

status report_print_summary(store *s, int64_t run_id, strbuf *out, error *err) {
    arena a = {0};
    report_data d = {0};
    status st = report_load(s, run_id, &a, &d, err);
    if (st == STATUS_OK) {
        st = render(&d, renderer_find("terminal"), true, out, err);
    }
    arena_free(&a);
    return st;
}

status report_render_compare(const compare_set *set, const char *format, strbuf *out, error *err) {
    const renderer *r = NULL;
    TRY(find_format(format, &r, err));
    report_doc *doc = doc_new();
    compare_view(set, true, doc);
    const status st = r->comparison(set, doc, out, err);
    doc_free(doc);
    return st;
}
