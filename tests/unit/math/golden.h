/* SPDX-License-Identifier: Apache-2.0
 * Reads the small golden tables of tests/golden/stats: a name, then numbers, separated by commas. */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN_MAX 8

typedef struct golden_row {
    char name[64];
    double v[GOLDEN_MAX];
    size_t n;
} golden_row;

static inline FILE *golden_open(const char *name) {
    const char *root = getenv("ASSAY_SOURCE_DIR");
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/tests/golden/stats/%s", root == NULL ? "." : root, name);
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        (void)fprintf(stderr, "cannot open %s\n", path);
        abort();
    }
    char header[512];
    if (fgets(header, sizeof header, f) == NULL) {
        abort();
    }
    return f;
}

static inline int golden_next(FILE *f, golden_row *r) {
    char line[1024];
    if (fgets(line, sizeof line, f) == NULL) {
        return 0;
    }
    line[strcspn(line, "\n")] = '\0';
    char *save = NULL;
    char *part = strtok_r(line, ",", &save);
    (void)snprintf(r->name, sizeof r->name, "%s", part);
    r->n = 0;
    while ((part = strtok_r(NULL, ",", &save)) != NULL && r->n < GOLDEN_MAX) {
        r->v[r->n++] = strtod(part, NULL);
    }
    return 1;
}

/* Relative error, absolute below 1e-300. */
static inline double golden_error(double got, double want) {
    if (got == want || (isnan(got) && isnan(want))) {
        return 0;
    }
    return fabs(got - want) / fmax(fabs(want), 1e-300);
}

#endif
