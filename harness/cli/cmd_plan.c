/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/io.h"
#include "base/table.h"
#include "cli/cli.h"
#include "cli/overrides.h"
#include "run/plan.h"
#include "store/store.h"
#include "suites/suites.h"

static status item_state(store *db, const plan_item *it, const char **word, char key[DIGEST_HEX], error *err) {
    digest_hex(&it->key, key);
    *word = "to run";
    if (db == NULL) {
        return STATUS_OK;
    }
    store_item_state have;
    TRY(store_item_find(db, key, &have, err));
    *word = have.outcome != OUTCOME_NONE ? outcome_name(have.outcome) : have.item_id != 0 ? "begun" : "to run";
    return STATUS_OK;
}

static status print_plan(const plan *p, store *db, error *err) {
    table *t = table_new("llllrr");
    static const char *const head[] = {"key", "model", "suite", "dataset", "examples", "state"};
    size_t n_cached = 0;
    arena a = {0};
    status s = STATUS_OK;
    table_row(t, head);
    for (size_t i = 0; s == STATUS_OK && i < p->n_items; i++) {
        const plan_item *it = &p->items[i];
        char key[DIGEST_HEX];
        const char *word = "";
        s = item_state(db, it, &word, key, err);
        n_cached += word[0] >= 'A' && word[0] <= 'Z';
        const char *cells[] = {arena_printf(&a, "%.12s", key),
                               p->models[it->i_model].config->name,
                               p->config->suites[it->i_suite].suite->info.id,
                               arena_printf(&a, "%s[%zu]", p->config->datasets[it->i_dataset].id, it->i_shard),
                               arena_printf(&a, "%zu", it->n_index),
                               word};
        table_row(t, cells);
    }
    strbuf b = {0};
    table_render(t, &b);
    strbuf_addf(&b, "%zu items: %zu cached, %zu to run%s\n", p->n_items, n_cached, p->n_items - n_cached,
                p->limited ? " (limited)" : "");
    (void)fputs(strbuf_str(&b), stdout);
    strbuf_free(&b);
    table_free(t);
    arena_free(&a);
    return s;
}

static int run(const cli_args *args, arena *mem, error *err) {
    (void)mem;
    cli_cpu cpu = {0};
    CLI_TRY(cli_cpu_choice(args, &cpu, err));
    suite_list suites = {0};
    suites.v = suite_all(&suites.n);
    config_override over = CONFIG_OVERRIDE_NONE;
    CLI_TRY(cli_overrides(args, &over, err));
    config *c = NULL;
    plan *p = NULL;
    store *db = NULL;
    CLI_TRY(config_load(args->v[0], suites, &over, &c, err));
    status s = plan_make(c, (worker_env){cpu.env, cpu.n_env}, false, &p, err);
    if (s == STATUS_OK && io_exists(c->store)) {
        s = store_open(c->store, STORE_READ, &db, err);
    }
    if (s == STATUS_OK) {
        s = print_plan(p, db, err);
    }
    store_close(db);
    plan_close(p);
    config_close(c);
    return cli_fail(s);
}

static const cli_option options[] = {CLI_OVERRIDE_OPTIONS, CLI_ISA_OPTION};

const command command_plan = {
    .info = {.id = "plan", .summary = "Print the items of a run and which of them are in the store"},
    .usage = "CONFIG",
    .details = "",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
