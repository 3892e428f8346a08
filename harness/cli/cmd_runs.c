/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/table.h"
#include "cli/cli.h"
#include "store/store.h"

static void add_row(table *t, const store_run_row *r, arena *a) {
    int64_t bad = r->n_outcome[OUTCOME_FAILED] + r->n_outcome[OUTCOME_CRASHED] + r->n_outcome[OUTCOME_TIMEOUT] +
                  r->n_outcome[OUTCOME_UNTRUSTWORTHY];
    const char *cells[] = {r->run_uid,
                           r->label,
                           r->started_at,
                           r->status,
                           r->limited ? "limited" : "full",
                           arena_printf(a, "%lld", (long long)r->n_items),
                           arena_printf(a, "%lld", (long long)r->n_reused),
                           arena_printf(a, "%lld", (long long)bad),
                           arena_printf(a, "%.16s", r->decisions)};
    table_row(t, cells);
}

static int run(const cli_args *args, arena *mem, error *err) {
    store *s = NULL;
    CLI_TRY(store_open(cli_store_path(args), STORE_READ, &s, err));
    store_run_row *rows = NULL;
    size_t n = 0;
    status st = store_runs(s, mem, &rows, &n, err);
    if (st == STATUS_OK) {
        static const char *const head[] = {"run",   "label",  "started", "status",   "examples",
                                           "items", "cached", "faulty",  "decisions"};
        table *t = table_new("lllllrrrl");
        table_row(t, head);
        for (size_t i = 0; i < n; i++) {
            add_row(t, &rows[i], mem);
        }
        strbuf b = {0};
        table_render(t, &b);
        (void)fputs(n == 0 ? "no runs\n" : strbuf_str(&b), stdout);
        strbuf_free(&b);
        table_free(t);
    }
    store_close(s);
    return cli_fail(st);
}

static const cli_option options[] = {CLI_STORE_OPTION};

const command command_runs = {
    .info = {.id = "runs", .summary = "List the runs of a store, newest first"},
    .usage = "",
    .details = "",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = run,
};
