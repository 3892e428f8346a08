/* SPDX-License-Identifier: Apache-2.0
 * A scratch folder, small files in it and records about them. */
#ifndef UNIT_DATA_FIXTURE_H
#define UNIT_DATA_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/io.h"
#include "base/str.h"
#include "data/manifest.h"
#include "data/reader.h"

typedef struct fixture {
    char dir[64];
    arena mem;
    manifest *m; /* of the last fixture_record; closed by the next one */
} fixture;

static inline int fixture_setup(void **state) {
    fixture *f = mem_zalloc(sizeof *f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/assay-data-XXXXXX");
    *state = f;
    return mkdtemp(f->dir) == NULL ? -1 : 0;
}

static inline int fixture_teardown(void **state) {
    fixture *f = *state;
    manifest_close(f->m);
    DIR *d = opendir(f->dir);
    for (struct dirent *e = NULL; d != NULL && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.') {
            (void)unlink(arena_printf(&f->mem, "%s/%s", f->dir, e->d_name));
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    int rc = rmdir(f->dir);
    arena_free(&f->mem);
    mem_free(f);
    return rc;
}

static inline char *fixture_path(fixture *f, const char *name) {
    return arena_printf(&f->mem, "%s/%s", f->dir, name);
}

static inline const char *source_path(fixture *f, const char *name) {
    const char *dir = getenv("ASSAY_SOURCE_DIR");
    return arena_printf(&f->mem, "%s/%s", dir == NULL ? "." : dir, name);
}

static inline void fixture_write(fixture *f, const char *name, const void *bytes, size_t n) {
    /* A new file each time: ext4 writes a truncated and refilled file out to the disk, which takes milliseconds. */
    (void)unlink(fixture_path(f, name));
    FILE *out = fopen(fixture_path(f, name), "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

static inline void fixture_write_text(fixture *f, const char *name, const char *text) {
    fixture_write(f, name, text, strlen(text));
}

static inline status fixture_manifest(fixture *f, const char *text, error *err) {
    fixture_write_text(f, "datasets.manifest", text);
    manifest_close(f->m);
    f->m = NULL;
    return manifest_load(fixture_path(f, "datasets.manifest"), &f->m, err);
}

/* A manifest of one record "d": the mandatory texts plus `rest` (lines indented by four). */
static inline const manifest_record *fixture_record(fixture *f, const char *rest) {
    error err = {0};
    const char *text =
        arena_printf(&f->mem, "datasets:\n  - id: d\n    title: t\n    licence: CC0-1.0\n    provenance: p\n%s", rest);
    if (fixture_manifest(f, text, &err) != STATUS_OK) {
        fail_msg("%s", err.text);
    }
    return &f->m->records[0];
}

static inline dataset *fixture_load(const manifest_record *r) {
    error err = {0};
    dataset *ds = NULL;
    if (dataset_load(r, &ds, &err) != STATUS_OK) {
        fail_msg("%s", err.text);
    }
    return ds;
}

/* Loading must fail with `s` and a text that holds `part`. */
static inline void fixture_refused(const manifest_record *r, status s, const char *part) {
    error err = {0};
    dataset *ds = NULL;
    status got = dataset_load(r, &ds, &err);
    if (got != s || strstr(err.text, part) == NULL) {
        fail_msg("expected %s with \"%s\", got %s: %s", status_name(s), part, status_name(got), err.text);
    }
    assert_null(ds);
}

#endif
