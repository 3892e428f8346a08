/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "cli/cli.h"
#include "cli/finish.h"
#include "store/store.h"

static void print_line(void *context, const char *line) {
    (void)context;
    (void)printf("%s\n", line);
}

static status check(const char *path, error *err) {
    store *s = NULL;
    TRY(store_open(path, STORE_READ, &s, err));
    status st = store_check(s, print_line, NULL, err);
    store_close(s);
    return st;
}

static status os_error(const char *path, error *err) {
    return error_set(err, STATUS_IO, "%s: %s", path, strerror(errno));
}

/* Through a temporary file, so that what was there stays until all is written; a device or a pipe is written to. */
static status export_to_file(store *s, const cli_args *args, const char *format, const char *path, error *err) {
    arena a = {0};
    struct stat there;
    bool special = stat(path, &there) == 0 && !S_ISREG(there.st_mode);
    const char *to = special ? path : arena_printf(&a, "%s.tmp.%ld", path, (long)getpid());
    int fd = open(to, O_WRONLY | O_CLOEXEC | (special ? 0 : O_CREAT | O_EXCL | O_NOFOLLOW), 0666);
    status st = fd < 0 ? os_error(path, err) : store_export(s, args->v[1], format, fd, err);
    if (st == STATUS_OK && !special && fsync(fd) != 0) {
        st = os_error(path, err);
    }
    if (fd >= 0 && close(fd) != 0 && st == STATUS_OK) {
        st = os_error(path, err);
    }
    if (st == STATUS_OK && !special && rename(to, path) != 0) {
        st = os_error(path, err);
    }
    if (st != STATUS_OK && !special && fd >= 0) {
        (void)unlink(to);
    }
    arena_free(&a);
    return st;
}

static status export_table(const cli_args *args, const char *path, error *err) {
    store *s = NULL;
    const char *format = cli_has(args, "format") ? cli_get(args, "format") : "csv";
    if (args->n != 2) {
        return error_set(err, STATUS_USAGE,
                         "usage: assay db export TABLE|VIEW [--format csv|json] (docs/STORE.md lists them)");
    }
    TRY(store_open(path, STORE_READ, &s, err));
    const char *out = cli_get(args, "output");
    bool to_stdout = out == NULL || strcmp(out, "-") == 0;
    status st =
        to_stdout ? store_export(s, args->v[1], format, STDOUT_FILENO, err) : export_to_file(s, args, format, out, err);
    store_close(s);
    return st;
}

static status backup(const cli_args *args, const char *path, error *err) {
    store *s = NULL;
    if (args->n != 2) {
        return error_set(err, STATUS_USAGE, "usage: assay db backup FILE");
    }
    TRY(store_open(path, STORE_READ, &s, err));
    status st = store_backup(s, args->v[1], err);
    store_close(s);
    return st;
}

static status prune(const cli_args *args, const char *path, arena *mem, error *err) {
    int64_t keep = -1;
    TRY(cli_int(args, "keep", 0, 1 << 30, &keep, err));
    if ((keep < 0) == (args->n < 2)) {
        return error_set(err, STATUS_USAGE, "usage: assay db prune --keep N | RUN... [--dry-run]");
    }
    if (!io_exists(path)) { /* opening for writing would make one */
        return error_set(err, STATUS_IO, "%s: %s", path, strerror(ENOENT));
    }
    store *s = NULL;
    TRY(cli_open_store_for_writing(path, &s, err));
    int64_t *ids = arena_alloc(mem, args->n * sizeof *ids);
    status st = STATUS_OK;
    for (size_t i = 1; st == STATUS_OK && i < args->n; i++) {
        store_run_row row;
        st = store_run_get(s, args->v[i], mem, &row, err);
        ids[i - 1] = row.run_id;
    }
    int64_t n_runs = 0;
    int64_t n_items = 0;
    int64_t n_obs = 0;
    if (st == STATUS_OK) {
        st = store_prune(s, keep, ids, args->n - 1, cli_has(args, "dry-run"), &n_runs, &n_items, &n_obs, err);
    }
    if (st == STATUS_OK) {
        (void)printf("%s %lld runs, %lld items, %lld observations\n",
                     cli_has(args, "dry-run") ? "would delete" : "deleted", (long long)n_runs, (long long)n_items,
                     (long long)n_obs);
    }
    store_close(s);
    return st;
}

static int run(const cli_args *args, arena *mem, error *err) {
    const char *what = args->v[0];
    const char *path = cli_store_path(args);
    if (strcmp(what, "check") == 0) {
        if (args->n > 1) {
            return cli_fail(error_set(err, STATUS_USAGE, "usage: assay db check [--store PATH]"));
        }
        return cli_fail(check(path, err));
    }
    if (strcmp(what, "export") == 0) {
        return cli_fail(export_table(args, path, err));
    }
    if (strcmp(what, "backup") == 0) {
        return cli_fail(backup(args, path, err));
    }
    if (strcmp(what, "prune") == 0) {
        return cli_fail(prune(args, path, mem, err));
    }
    return cli_fail(
        error_set(err, STATUS_USAGE, "assay db knows check, export, backup and prune, not \"%.40s\"", what));
}

static const cli_option options[] = {
    CLI_STORE_OPTION,
    CLI_OUTPUT_OPTION,
    {"format", 0, "FORMAT", "export: csv or json (one object per line)"},
    {"keep", 0, "N", "prune: keep the newest N runs"},
    {"dry-run", 0, NULL, "prune: only say what would be deleted"},
};

const command command_db = {
    .info = {.id = "db", .summary = "Check, export, back up or prune a store"},
    .usage = "check | export TABLE | backup FILE | prune [RUN...]",
    .details =
        "check verifies integrity, references and the digest of every item. docs/STORE.md documents tables and views.",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .min_args = 1,
    .max_args = 1000,
    .run = run,
};
