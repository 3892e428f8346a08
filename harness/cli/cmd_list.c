/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "cli/cli.h"
#include "cli/kinds.h"
#include "run/config.h"
#include "run/worker_proc.h"

static void print(table *t) {
    strbuf b = {0};
    table_render(t, &b);
    (void)fputs(strbuf_str(&b), stdout);
    strbuf_free(&b);
    table_free(t);
}

static void list_kind(const kind *k) {
    static const char *const head[] = {"id", "version", "summary"};
    table *t = table_new("lrl");
    arena a = {0};
    table_row(t, head);
    for (size_t i = 0; k->at(i) != NULL; i++) {
        const info *f = k->at(i);
        const char *cells[] = {f->id, arena_printf(&a, "%u", f->version), f->summary};
        table_row(t, cells);
    }
    print(t);
    arena_free(&a);
}

static int so_name(const struct dirent *d) {
    const char *dot = strrchr(d->d_name, '.');
    return dot != NULL && strcmp(dot, ".so") == 0;
}

/* Each plug-in is asked in a worker: loading one may crash. */
static void add_plugin(table *t, const char *path, const char *id, worker_env env, arena *a) {
    json_t *answer = NULL;
    outcome how = OUTCOME_NONE;
    error err = {0};
    status s = worker_probe(env, path, 60, &answer, &how, &err);
    const char *version = s == STATUS_OK ? json_string_value(json_object_get(answer, "version")) : "-";
    const char *what = s == STATUS_OK ? json_string_value(json_object_get(answer, "description"))
                                      : arena_printf(a, "not available: %s", err.text);
    const char *e = s == STATUS_OK ? json_string_value(json_object_get(answer, "environment")) : "";
    const char *cells[] = {arena_strdup(a, id), arena_strdup(a, version), arena_strdup(a, what), arena_strdup(a, e)};
    table_row(t, cells);
    json_decref(answer);
}

/* The plug-ins of one folder that a configuration would find there by their name. */
static void add_folder(table *t, const char *dir, worker_env env, arena *mem) {
    struct dirent **names = NULL;
    int n = scandir(dir, &names, so_name, alphasort);
    for (int i = 0; i < n; i++) {
        char *id = arena_strndup(mem, names[i]->d_name, strlen(names[i]->d_name) - 3);
        char *path = arena_printf(mem, "%s/%s", dir, names[i]->d_name);
        const char *found = config_plugin_path(id, mem);
        if (found != NULL && strcmp(found, path) == 0) {
            add_plugin(t, path, id, env, mem);
        }
        free(names[i]);
    }
    free(names);
}

static int list_plugins(const cli_args *args, arena *mem, error *err) {
    static const char *const head[] = {"id", "version", "description", "numeric environment"};
    cli_cpu cpu = {0};
    CLI_TRY(cli_cpu_choice(args, &cpu, err));
    table *t = table_new("llll");
    table_row(t, head);
    size_t n = 0;
    const char *const *dirs = config_plugin_dirs(mem, &n);
    for (size_t i = 0; i < n; i++) {
        bool again = false;
        for (size_t j = 0; j < i; j++) {
            again = again || strcmp(dirs[i], dirs[j]) == 0;
        }
        if (!again) {
            add_folder(t, dirs[i], (worker_env){cpu.env, cpu.n_env}, mem);
        }
    }
    print(t);
    return 0;
}

static int list_datasets(arena *mem, error *err) {
    const char *path = config_find_manifest(".", mem);
    manifest *m = NULL;
    if (path == NULL) {
        return cli_fail(error_set(err, STATUS_USAGE, "no datasets.manifest here or above"));
    }
    CLI_TRY(manifest_load(path, &m, err));
    static const char *const head[] = {"id", "title"};
    table *t = table_new("ll");
    table_row(t, head);
    for (size_t i = 0; i < m->n_records; i++) {
        const char *cells[] = {m->records[i].id, m->records[i].title};
        table_row(t, cells);
    }
    print(t);
    manifest_close(m);
    return 0;
}

static int run(const cli_args *args, arena *mem, error *err) {
    const char *what = args->n == 0 ? "" : args->v[0];
    const kind *k = kind_find(what);
    if (k != NULL) {
        list_kind(k);
        return 0;
    }
    if (strcmp(what, "plugins") == 0) {
        return list_plugins(args, mem, err);
    }
    if (strcmp(what, "datasets") == 0) {
        return list_datasets(mem, err);
    }
    size_t n = 0;
    const kind *all = kind_all(&n);
    const char **names = arena_alloc(mem, (n + 2) * sizeof *names);
    strbuf b = {0};
    for (size_t i = 0; i < n; i++) {
        names[i] = all[i].name;
        strbuf_addf(&b, "%s ", all[i].name);
    }
    names[n] = "plugins";
    names[n + 1] = "datasets";
    strbuf_add(&b, "plugins datasets");
    const char *near = str_nearest(what, names, n + 2);
    int code = cli_fail(error_set(err, STATUS_USAGE, "list what? One of: %s%s%s%s", strbuf_str(&b),
                                  near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : ""));
    strbuf_free(&b);
    return code;
}

static const cli_option options[] = {CLI_ISA_OPTION};

const command command_list = {
    .info = {.id = "list", .summary = "List what is registered: suites, metrics, readers, plugins, ..."},
    .usage = "KIND",
    .details = "",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .max_args = 1,
    .run = run,
};
