/* SPDX-License-Identifier: Apache-2.0 */
#include "reports/compare_view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "reports/data.h"

/* A column that is the same for all rows goes into the text above the table. */
static bool same_place(const compare_result *a, const compare_result *b) {
    return strcmp(a->dataset, b->dataset) == 0 && strcmp(a->suite, b->suite) == 0;
}

static void add_result(const compare_result *r, report_doc *doc) {
    char accuracy_a[REPORT_NUMBER_BYTES];
    char accuracy_b[REPORT_NUMBER_BYTES];
    char difference[REPORT_NUMBER_BYTES];
    char range[REPORT_NUMBER_BYTES];
    char p[REPORT_NUMBER_BYTES];
    char holm[REPORT_NUMBER_BYTES];
    char number[4][24];
    char both[2 * REPORT_NUMBER_BYTES];
    (void)snprintf(number[0], sizeof number[0], "%lld", (long long)r->n_pair);
    (void)snprintf(number[1], sizeof number[1], "%lld", (long long)r->n_newly_wrong);
    (void)snprintf(number[2], sizeof number[2], "%lld", (long long)r->n_newly_right);
    (void)snprintf(difference, sizeof difference, r->difference > 0 ? "+%.4f" : "%.4f", r->difference);
    (void)snprintf(both, sizeof both, "%s %s", difference,
                   report_interval(r->difference_ci.lo, r->difference_ci.hi, range));
    const bool any = r->n_pair > 0;
    doc_row(doc, (const char *const[]){r->model_b, r->model_a, number[0], report_number(r->accuracy_a, accuracy_a),
                                       report_number(r->accuracy_b, accuracy_b), any ? both : "–",
                                       any ? number[1] : "–", any ? number[2] : "–", report_p(r->p_exact, p),
                                       report_p(r->p_holm, holm), compare_verdict_name(compare_verdict_of(r))});
}

static void add_table(const compare_result *v, size_t n, report_doc *doc) {
    static const doc_column columns[] = {
        {"model", "", 'l'},    {"baseline", "", 'l'},   {"pairs", "", 'r'},       {"base acc.", "", 'r'},
        {"accuracy", "", 'r'}, {"difference", "", 'r'}, {"newly wrong", "", 'r'}, {"newly right", "", 'r'},
        {"p", "", 'r'},        {"p (Holm)", "", 'r'},   {"verdict", "", 'l'},
    };
    doc_table(doc, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < n; i++) {
        add_result(&v[i], doc);
    }
}

/* What must be said about one result in words. */
static void add_remarks(const compare_result *r, report_doc *doc) {
    const bool silent = compare_verdict_of(r) == COMPARE_NO_EVIDENCE;
    if (silent && isnan(r->detectable)) {
        doc_text(doc, "%s: no difference detected; %lld pairs are too few to detect any difference with %.0f %% power.",
                 r->model_b, (long long)r->n_pair, r->power * 100);
    } else if (silent) {
        doc_text(
            doc,
            "%s: no difference detected; %lld pairs detect a difference of %.4f or more with %.0f %% power (before "
            "adjustment for several comparisons).",
            r->model_b, (long long)r->n_pair, r->detectable, r->power * 100);
    }
    if (r->n_pair < r->n_a || r->n_pair < r->n_b) {
        doc_notice(doc, "%s: %lld examples are common to both; the baseline has %lld, the model %lld.", r->model_b,
                   (long long)r->n_pair, (long long)r->n_a, (long long)r->n_b);
    }
    if (r->n_missing_a > 0 || r->n_missing_b > 0) {
        doc_notice(doc,
                   "%s: planned examples without a result (items failed or unfinished): baseline %lld, model %lld.",
                   r->model_b, (long long)r->n_missing_a, (long long)r->n_missing_b);
    }
    if (r->n_doubtful_a > 0 || r->n_doubtful_b > 0) {
        doc_notice(doc, "%s: rests on UNTRUSTWORTHY items: baseline %lld, model %lld.", r->model_b,
                   (long long)r->n_doubtful_a, (long long)r->n_doubtful_b);
    }
    if (r->allowed[0] != '\0') {
        doc_notice(doc, "%s: allowed to differ: %s", r->model_b, r->allowed);
    }
}

static void add_details(const compare_result *r, report_doc *doc) {
    char range[REPORT_NUMBER_BYTES];
    doc_heading(doc, 3, "%s against %s", r->model_b, r->model_a);
    doc_fact(doc, "runs", "%s (baseline %s)", r->run_b, r->run_a);
    doc_fact(doc, "baseline accuracy", "%.4f %s, Wilson", r->accuracy_a,
             report_interval(r->accuracy_a_ci.lo, r->accuracy_a_ci.hi, range));
    doc_fact(doc, "accuracy", "%.4f %s, Wilson", r->accuracy_b,
             report_interval(r->accuracy_b_ci.lo, r->accuracy_b_ci.hi, range));
    doc_fact(doc, "McNemar mid-p", "%s", report_p(r->p_mid, range));
    if (r->n_flips == 0) {
        return;
    }
    const int64_t n_changed = r->n_newly_right + r->n_newly_wrong;
    doc_text(doc, "Changed examples, the first %zu of %lld:", r->n_flips, (long long)n_changed);
    static const doc_column columns[] = {{"example", "", 'r'},
                                         {"label", "", 'r'},
                                         {"baseline says", "", 'r'},
                                         {"model says", "", 'r'},
                                         {"change", "", 'l'}};
    doc_table(doc, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < r->n_flips; i++) {
        char cell[4][24];
        (void)snprintf(cell[0], sizeof cell[0], "%lld", (long long)r->flips[i].i_example);
        (void)snprintf(cell[1], sizeof cell[1], "%d", (int)r->flips[i].label);
        (void)snprintf(cell[2], sizeof cell[2], "%d", (int)r->flips[i].pred_a);
        (void)snprintf(cell[3], sizeof cell[3], "%d", (int)r->flips[i].pred_b);
        doc_row(doc, (const char *const[]){cell[0], cell[1], cell[2], cell[3],
                                           r->flips[i].newly_right ? "newly right" : "newly wrong"});
    }
}

void compare_view(const compare_set *set, bool details, report_doc *doc) {
    for (size_t i = 0; i < set->n && details; i++) {
        if (set->v[i].limited) {
            doc_notice(doc, "LIMITED RUN: at least one side used only a part of its data.");
            break;
        }
    }
    for (size_t i = 0; i < set->n;) {
        size_t end = i + 1;
        while (end < set->n && same_place(&set->v[i], &set->v[end])) {
            end++;
        }
        doc_heading(doc, details ? 2 : 3, "%s: paired comparison, suite %s", set->v[i].dataset, set->v[i].suite);
        add_table(set->v + i, end - i, doc);
        for (size_t k = i; k < end; k++) {
            add_remarks(&set->v[k], doc);
        }
        for (size_t k = i; k < end && details; k++) {
            add_details(&set->v[k], doc);
        }
        i = end;
    }
    for (size_t i = 0; i < set->n_unmatched; i++) {
        doc_notice(doc, "Nothing to compare with: %s", set->unmatched[i]);
    }
    const size_t family = compare_family(set);
    if (family > 0) {
        doc_text(doc,
                 "Difference = accuracy minus baseline accuracy over the common examples, with Tango's %.0f %% score "
                 "interval; p: exact McNemar test; Holm over %zu comparison%s, which decides the verdict.",
                 set->v[0].level * 100, family, family == 1 ? "" : "s");
    }
}
