/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/finish.h"

#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "reports/report.h"
#include "run/judge.h"
#include "run/register.h"

status cli_open_store_for_writing(const char *path, store **out, error *err) {
    arena a = {0};
    status s = strchr(path, '/') == NULL ? STATUS_OK : io_make_dirs(io_dirname(&a, path), err);
    arena_free(&a);
    TRY(s);
    TRY(store_open(path, STORE_WRITE, out, err));
    if (store_warning(*out)[0] != '\0') {
        (void)fprintf(stderr, "warn: %s\n", store_warning(*out));
    }
    return STATUS_OK;
}

/* ---- which metrics, with which parameters --------------------------------------------------------- */

typedef struct metric_choice {
    const config *c;
    arena *a;
} metric_choice;

static const char *const *metrics_for(void *context, const char *suite_id, const char *params) {
    (void)params;
    const metric_choice *m = context;
    for (size_t i = 0; i < m->c->n_suites; i++) {
        const config_suite *s = &m->c->suites[i];
        if (strcmp(s->suite->info.id, suite_id) == 0) {
            const char **ids = arena_alloc(m->a, (s->n_metrics + 1) * sizeof *ids);
            for (size_t k = 0; k < s->n_metrics; k++) {
                ids[k] = s->metrics[k].metric->info.id;
            }
            return ids;
        }
    }
    return NULL;
}

static judge_param *judge_params(const config *c, arena *a, size_t *n) {
    *n = 0;
    for (size_t i = 0; i < c->n_suites; i++) {
        for (size_t k = 0; k < c->suites[i].n_metrics; k++) {
            *n += c->suites[i].metrics[k].n_params;
        }
    }
    judge_param *v = arena_alloc(a, (*n + 1) * sizeof *v);
    size_t at = 0;
    for (size_t i = 0; i < c->n_suites; i++) {
        for (size_t k = 0; k < c->suites[i].n_metrics; k++) {
            const config_metric *m = &c->suites[i].metrics[k];
            for (size_t p = 0; p < m->n_params; p++) {
                v[at++] = (judge_param){.suite = c->suites[i].suite->info.id,
                                        .metric = m->metric->info.id,
                                        .name = m->params[p].key,
                                        .text = m->params[p].value};
            }
        }
    }
    return v;
}

static status judge(const config *c, store *s, int64_t run_id, arena *a, error *err) {
    metric_choice choice = {c, a};
    judge_options o = {.metrics_for = metrics_for, .context = &choice};
    o.params = judge_params(c, a, &o.n_params);
    return judge_run(s, run_id, &o, err);
}

/* ---- the last lines ------------------------------------------------------------------------------- */

static void print_counts(const plan *p, const run_result *r, const char *run_uid) {
    (void)printf("\nrun %s: %zu items: %zu cached, %zu run", run_uid, p->n_items, r->n_cached, r->n_run);
    (void)printf(" (%zu examples, %.2f s", r->n_examples_run, (double)r->elapsed_ns / 1e9);
    if (r->rows_ns > 0) {
        (void)printf(", %.0f rows/s", (double)r->n_examples_run / ((double)r->rows_ns / 1e9));
    }
    (void)printf(")%s\n", p->limited ? ", LIMITED: not all examples" : "");
    (void)printf("outcomes  ");
    for (unsigned o = 1; o < OUTCOME_COUNT; o++) {
        (void)printf(" %s %zu", outcome_name((outcome)o), r->n_outcome[o]);
    }
    (void)printf("\n");
    if (r->verify) {
        (void)printf("verified   %zu cached items run again: %zu different\n", r->n_verified, r->n_different);
    }
}

static void print_digests(const char *decisions, const char *results, const char *env) {
    (void)printf("decisions  %.16s\nresults    %.16s  (comparable where the numeric environment is equal: ", decisions,
                 results);
    for (const char *c = env; *c != '\0'; c++) {
        (void)fputs(*c == '\n' ? "; " : (char[]){*c, '\0'}, stdout);
    }
    (void)printf(")\n");
}

status finish_run(const plan *p, store *s, const run_result *r, error *err) {
    arena a = {0};
    strbuf summary = {0};
    char decisions[DIGEST_HEX];
    char results[DIGEST_HEX];
    store_run_row row;
    char *env = plan_environments(p, &a);
    status st = judge(p->config, s, r->run_id, &a, err);
    st = st == STATUS_OK ? store_run_digests(s, r->run_id, decisions, results, err) : st;
    st = st == STATUS_OK ? store_run_end(s, r->run_id, "done", decisions, results, env, err) : st;
    st = st == STATUS_OK ? report_print_summary(s, r->run_id, &summary, err) : st;
    st = st == STATUS_OK ? store_run_get(s, arena_printf(&a, "%lld", (long long)r->run_id), &a, &row, err) : st;
    if (st == STATUS_OK) {
        (void)fputs(strbuf_str(&summary), stdout);
        print_counts(p, r, row.run_uid);
        print_digests(decisions, results, env);
    }
    strbuf_free(&summary);
    arena_free(&a);
    return st;
}
