/* SPDX-License-Identifier: Apache-2.0
 * What the tests of base share: cmocka, a scratch folder, "this text is in that text". */
#ifndef UNIT_BASE_CHECK_H
#define UNIT_BASE_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/status.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static inline void check_has(const char *text, const char *part) {
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", part, text);
    }
}

static inline FILE *golden_open(const char *name) {
    const char *root = getenv("ASSAY_SOURCE_DIR");
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/tests/golden/base/%s", root == NULL ? "." : root, name);
    FILE *f = fopen(path, "r");
    char header[256];
    if (f == NULL || fgets(header, sizeof header, f) == NULL) {
        fail_msg("cannot read %s", path);
    }
    return f;
}

typedef struct scratch {
    char dir[64];
    arena mem;
} scratch;

static inline char *scratch_path(scratch *s, const char *name) {
    return arena_printf(&s->mem, "%s/%s", s->dir, name);
}

static inline int scratch_setup(void **state) {
    scratch *s = mem_zalloc(sizeof *s);
    (void)snprintf(s->dir, sizeof s->dir, "/tmp/assay-base-XXXXXX");
    *state = s;
    return mkdtemp(s->dir) == NULL ? -1 : 0;
}

/* Names in the scratch folder; removed as well if `sweep`. Tests that make folders remove them themselves. */
static inline size_t scratch_count(scratch *s, bool sweep) {
    size_t n = 0;
    DIR *d = opendir(s->dir);
    for (struct dirent *e = NULL; d != NULL && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            n++;
            if (sweep) {
                (void)remove(scratch_path(s, e->d_name));
            }
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    return n;
}

static inline int scratch_teardown(void **state) {
    scratch *s = *state;
    (void)scratch_count(s, true);
    int rc = rmdir(s->dir);
    arena_free(&s->mem);
    mem_free(s);
    return rc;
}

static inline void scratch_write(scratch *s, const char *name, const void *data, size_t n) {
    FILE *f = fopen(scratch_path(s, name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

#endif
