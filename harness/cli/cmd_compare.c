/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/table.h"
#include "cli/cli.h"
#include "run/compare.h"

static const char *number(arena *a, double v, const char *format) {
    return isnan(v) ? "-" : arena_printf(a, format, v);
}

static const char *range(arena *a, interval i, const char *format) {
    return isnan(i.lo) ? "-" : arena_printf(a, format, i.lo, i.hi);
}

static void add_row(table *t, const compare_result *r, arena *a) {
    const char *cells[] = {r->dataset,
                           r->model_a,
                           r->model_b,
                           arena_printf(a, "%lld", (long long)r->n_pair),
                           number(a, r->accuracy_a, "%.4f"),
                           number(a, r->accuracy_b, "%.4f"),
                           number(a, r->difference, "%+.4f"),
                           range(a, r->difference_ci, "[%+.4f, %+.4f]"),
                           arena_printf(a, "%lld", (long long)r->n_newly_wrong),
                           arena_printf(a, "%lld", (long long)r->n_newly_right),
                           number(a, r->p_exact, "%.3g"),
                           number(a, r->p_holm, "%.3g"),
                           compare_verdict_name(compare_verdict_of(r))};
    table_row(t, cells);
}

static void print_flips(const compare_result *r, int64_t limit) {
    size_t n = r->n_flips < (size_t)limit ? r->n_flips : (size_t)limit;
    if (n == 0) {
        return;
    }
    (void)printf("\n%s -> %s on %s, first %zu changed examples:\n", r->model_a, r->model_b, r->dataset, n);
    for (size_t i = 0; i < n; i++) {
        const compare_flip *f = &r->flips[i];
        (void)printf("  example %-8lld label %-4d %d -> %-4d newly %s\n", (long long)f->i_example, f->label, f->pred_a,
                     f->pred_b, f->newly_right ? "right" : "wrong");
    }
}

static void print_notes(const compare_set *c) {
    for (size_t i = 0; i < c->n; i++) {
        const compare_result *r = &c->v[i];
        if (compare_verdict_of(r) == COMPARE_NO_EVIDENCE && !isnan(r->detectable)) {
            (void)printf("%s, %s against %s: these %lld pairs show a difference of %.4f or more with %.0f %% power\n",
                         r->dataset, r->model_b, r->model_a, (long long)r->n_pair, r->detectable, 100 * r->power);
        }
        if (r->limited) {
            (void)printf("%s, %s against %s: LIMITED run, not all examples\n", r->dataset, r->model_b, r->model_a);
        }
        if (r->allowed[0] != '\0') {
            (void)printf("allowed to differ: %s\n", r->allowed);
        }
    }
    for (size_t i = 0; i < c->n_unmatched; i++) {
        (void)printf("not compared: %s\n", c->unmatched[i]);
    }
}

static void print_set(const compare_set *c, int64_t n_flips, arena *a) {
    static const char *const head[] = {"dataset",  "baseline",   "candidate", "pairs",       "acc base",
                                       "acc cand", "difference", "95 % CI",   "newly wrong", "newly right",
                                       "p",        "p Holm",     "verdict"};
    table *t = table_new("lllrrrrrrrrrl");
    table_row(t, head);
    for (size_t i = 0; i < c->n; i++) {
        add_row(t, &c->v[i], a);
    }
    strbuf b = {0};
    table_render(t, &b);
    (void)fputs(strbuf_str(&b), stdout);
    strbuf_free(&b);
    table_free(t);
    (void)printf("exact McNemar test on paired examples; p Holm is adjusted over the %zu comparisons of this table\n",
                 c->n);
    print_notes(c);
    for (size_t i = 0; i < c->n; i++) {
        print_flips(&c->v[i], n_flips);
    }
}

static int run(const cli_args *args, arena *mem, error *err) {
    store *s = NULL;
    compare_set set = {0};
    int64_t n_flips = 0;
    const char *allow[] = {cli_get(args, "allow-differ"), NULL};
    compare_options o = {.allow_differ = allow[0] == NULL ? NULL : allow};
    CLI_TRY(cli_int(args, "flips", 0, COMPARE_FLIPS, &n_flips, err));
    CLI_TRY(store_open(cli_store_path(args), STORE_READ, &s, err));
    status st = compare_texts(s, args->v, args->n, &o, mem, &set, err);
    if (st == STATUS_OK) {
        print_set(&set, n_flips, mem);
    }
    store_close(s);
    if (st == STATUS_OK && set.n == 0) {
        st = error_set(err, STATUS_REFUSED, "there is nothing that both sides have in common");
    }
    return cli_fail(st);
}

static const cli_option options[] = {
    CLI_STORE_OPTION,
    {"flips", 0, "N", "list the first N changed examples of each pair (at most 50)"},
    {"allow-differ", 0, "FIELD", "compare although this field of the comparability key differs; it is printed"},
};

const command command_compare = {
    .info = {.id = "compare", .summary = "Compare models or runs, paired example by example"},
    .usage = "BASE CANDIDATE...",
    .details =
        "Each side is RUN, RUN:MODEL, or MODEL (of the latest run); RUN is a run id or its beginning, a label or "
        "\"latest\". Refuses (exit 4) what is not comparable and says which field differs.",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .min_args = 2,
    .max_args = 64,
    .run = run,
};
