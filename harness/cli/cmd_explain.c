/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/kinds.h"

static const char *const type_words[] = {
    [PARAM_BOOL] = "true or false",    [PARAM_INT] = "integer",          [PARAM_REAL] = "number",
    [PARAM_STRING] = "text",           [PARAM_CHOICE] = "choice",        [PARAM_INTS] = "list of integers",
    [PARAM_REALS] = "list of numbers", [PARAM_STRINGS] = "list of texts"};

static void print_param(const info *f, const param *p, arena *a) {
    void *block = arena_alloc(a, f->params_bytes + 1);
    params_default(f, block, a);
    char lo[STR_DOUBLE_BYTES];
    char hi[STR_DOUBLE_BYTES];
    bool ranged = p->type == PARAM_INT || p->type == PARAM_REAL || p->type == PARAM_INTS || p->type == PARAM_REALS;
    (void)printf("  %-14s %s\n                 %s", p->name, p->help, type_words[p->type]);
    if (ranged) {
        (void)printf(" in %s..%s", str_from_double(p->min, lo), str_from_double(p->max, hi));
    }
    if (p->type == PARAM_CHOICE) {
        (void)printf(": %s", p->choices);
    }
    (void)printf("%s%s; default %s\n", p->unit != NULL && p->unit[0] ? " " : "", p->unit == NULL ? "" : p->unit,
                 param_text(p, block, a));
}

static void print_info(const char *kind_name, const info *f, arena *a) {
    (void)printf("%s (%s, version %u)\n  %s\n", f->id, kind_name, f->version, f->summary);
    if (f->cite != NULL && f->cite[0] != '\0') {
        (void)printf("  Source: %s\n", f->cite);
    }
    (void)printf(f->n_params == 0 ? "  No parameters.\n" : "Parameters:\n");
    for (size_t i = 0; i < f->n_params; i++) {
        print_param(f, &f->params[i], a);
    }
}

static int run(const cli_args *args, arena *mem, error *err) {
    size_t n_kinds = 0;
    const kind *kinds = kind_all(&n_kinds);
    const char *ids[512];
    size_t n_ids = 0;
    size_t n_hits = 0;
    for (size_t k = 0; k < n_kinds; k++) {
        for (size_t i = 0; kinds[k].at(i) != NULL; i++) {
            const info *f = kinds[k].at(i);
            if (n_ids < sizeof ids / sizeof ids[0]) {
                ids[n_ids++] = f->id;
            }
            if (strcmp(f->id, args->v[0]) == 0) {
                print_info(kinds[k].name, f, mem);
                n_hits++;
            }
        }
    }
    if (n_hits > 0) {
        return 0;
    }
    const char *near = str_nearest(args->v[0], ids, n_ids);
    return cli_fail(error_set(err, STATUS_USAGE,
                              "nothing is called \"%.60s\"%s%s%s (assay list KIND shows what there is)", args->v[0],
                              near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : ""));
}

const command command_explain = {
    .info = {.id = "explain", .summary = "Explain a suite, metric, reader or section and its parameters"},
    .usage = "ID",
    .details = "",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
