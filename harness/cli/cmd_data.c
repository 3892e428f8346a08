/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/table.h"
#include "cli/cli.h"
#include "run/config.h"

static int list(const manifest *m, arena *mem) {
    static const char *const head[] = {"id", "split", "modality", "reader", "licence", "title"};
    table *t = table_new("llllll");
    table_row(t, head);
    for (size_t i = 0; i < m->n_records; i++) {
        const manifest_record *r = &m->records[i];
        const char *cells[] = {r->id, r->split, r->modality, r->reader, r->licence, r->title};
        table_row(t, cells);
    }
    (void)mem;
    strbuf b = {0};
    table_render(t, &b);
    (void)fputs(strbuf_str(&b), stdout);
    strbuf_free(&b);
    table_free(t);
    return 0;
}

static void print_labels(const dataset *d, arena *mem) {
    if (d->label == NULL || d->n_classes == 0) {
        return;
    }
    size_t *count = arena_alloc(mem, d->n_classes * sizeof *count);
    for (size_t i = 0; i < d->n; i++) {
        if (d->label[i] >= 0) {
            count[d->label[i]]++;
        }
    }
    (void)printf("classes      ");
    for (size_t k = 0; k < d->n_classes; k++) {
        (void)printf("%s%s (%zu)", k == 0 ? "" : ", ", d->class_names == NULL ? "?" : d->class_names[k], count[k]);
    }
    (void)printf("\n");
}

static void print_columns(const dataset *d) {
    for (size_t i = 0; i < d->n_columns; i++) {
        const data_column *c = &d->columns[i];
        (void)printf("column       %s (%s%s)\n", c->name, c->type == COLUMN_REAL ? "real" : "category",
                     c->sensitive ? ", sensitive" : "");
    }
}

static int info_one(const manifest *m, const char *id, arena *mem, error *err) {
    const manifest_record *r = NULL;
    dataset *d = NULL;
    CLI_TRY(manifest_get(m, id, &r, err));
    CLI_TRY(dataset_load(r, &d, err));
    char hex[DIGEST_HEX];
    digest_hex(&d->sha256, hex);
    (void)printf("id           %s\ntitle        %s\nsplit        %s\nexamples     %zu\nshape        (", r->id, r->title,
                 r->split == NULL ? "" : r->split, d->n);
    for (uint32_t i = 0; i < d->n_dims; i++) {
        (void)printf("%s%lld", i == 0 ? "" : ", ", (long long)d->shape[i]);
    }
    (void)printf(")\nrange        %g..%g\nlicence      %s\nprovenance   %s\ncitation     %s\ncontent      sha256:%s\n",
                 d->range_lo, d->range_hi, r->licence, r->provenance, r->citation, hex);
    for (size_t i = 0; i < r->n_files; i++) {
        (void)printf("file         %s: %s (%llu bytes)\n", r->files[i].role, r->files[i].path,
                     (unsigned long long)r->files[i].n_bytes);
    }
    print_labels(d, mem);
    print_columns(d);
    dataset_close(d);
    return 0;
}

/* All records, even after one that fails; the exit code is the worst. */
static int verify(const manifest *m, const char *id, error *err) {
    int code = 0;
    const manifest_record *only = NULL;
    if (id != NULL) {
        CLI_TRY(manifest_get(m, id, &only, err));
    }
    for (size_t i = 0; i < m->n_records; i++) {
        const manifest_record *r = &m->records[i];
        if (only != NULL && r != only) {
            continue;
        }
        error one = {0};
        status s = manifest_verify(r, &one);
        (void)printf("%-22s %s%s%s\n", r->id, s == STATUS_OK ? "ok" : "FAILED", s == STATUS_OK ? "" : ": ",
                     s == STATUS_OK ? "" : one.text);
        code = exit_code_worst(code, status_exit_code(s));
    }
    if (code != 0) {
        (void)error_set(err, STATUS_DATA, "some data do not match %s", m->path);
    }
    return code;
}

static int run(const cli_args *args, arena *mem, error *err) {
    const char *path = cli_has(args, "manifest") ? cli_get(args, "manifest") : config_find_manifest(".", mem);
    const char *what = args->v[0];
    const char *id = args->n > 1 ? args->v[1] : NULL;
    manifest *m = NULL;
    if (path == NULL) {
        return cli_fail(error_set(err, STATUS_USAGE,
                                  "no datasets.manifest here or above; name one with --manifest or ASSAY_MANIFEST"));
    }
    CLI_TRY(manifest_load(path, &m, err));
    int code = 0;
    if (strcmp(what, "list") == 0 && id == NULL) {
        code = list(m, mem);
    } else if (strcmp(what, "info") == 0 && id != NULL) {
        code = info_one(m, id, mem, err);
    } else if (strcmp(what, "verify") == 0) {
        code = verify(m, id, err);
    } else {
        code = cli_fail(error_set(err, STATUS_USAGE, "usage: assay data list | info ID | verify [ID]"));
    }
    manifest_close(m);
    return code;
}

static const cli_option options[] = {{"manifest", 0, "PATH", "the datasets.manifest (default: the nearest above)"}};

const command command_data = {
    .info = {.id = "data", .summary = "List, show or verify the datasets of the manifest"},
    .usage = "list | info ID | verify [ID]",
    .details = "verify checks bytes and SHA-256 of every file and says which record failed.",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .min_args = 1,
    .max_args = 2,
    .run = run,
};
