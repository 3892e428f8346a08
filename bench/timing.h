/* SPDX-License-Identifier: Apache-2.0
 * What the executor benchmarks share: adaptive timing, inputs of a fixed seed, raw float files, the row format. */
#ifndef BENCH_TIMING_H
#define BENCH_TIMING_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"

enum { TIMING_MAX_RUNS = 2000, TIMING_MIN_RUNS = 5 };

/* One call of what is measured; false: it failed and has said so. */
typedef bool (*timing_work)(void *context);

typedef struct timing {
    double median_s, best_s;
    size_t n_runs;
} timing;

static inline int timing_order(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Processor time of this process is what other load on the machine disturbs least, but right for one thread only. */
static inline double timing_now(bool cpu) {
    struct timespec t;
    (void)clock_gettime(cpu ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One warm-up call, then calls until `budget_s` has passed and at least TIMING_MIN_RUNS are done, or fewer where
 * a single call takes a good part of the budget. */
static inline bool timing_measure(timing_work work, void *context, double budget_s, bool cpu, timing *out) {
    static double seconds[TIMING_MAX_RUNS];
    if (!work(context)) {
        return false;
    }
    double start = timing_now(cpu), total = 0;
    size_t n = 0;
    while (n < TIMING_MAX_RUNS && (total < budget_s || (n < TIMING_MIN_RUNS && total < 3 * budget_s))) {
        double t0 = timing_now(cpu);
        if (!work(context)) {
            return false;
        }
        double t1 = timing_now(cpu);
        seconds[n++] = t1 - t0;
        total = t1 - start;
    }
    qsort(seconds, n, sizeof *seconds, timing_order);
    *out = (timing){.median_s = (seconds[n / 2] + seconds[(n - 1) / 2]) / 2, .best_s = seconds[0], .n_runs = n};
    return true;
}

/* Uniform in [0, 1), the same everywhere (splitmix64). */
static inline void timing_fill(float *x, size_t n, uint64_t seed) {
    for (size_t i = 0; i < n; i++) {
        uint64_t z = seed += 0x9e3779b97f4a7c15U;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
        x[i] = (float)((z ^ (z >> 31)) >> 40) / 16777216.0F;
    }
}

/* Raw little-endian floats in DIR/MODEL.SUFFIX. */
static inline FILE *timing_file(const char *dir, const char *name, const char *suffix, const char *mode) {
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s.%s", dir, name, suffix);
    return fopen(path, mode);
}

/* "row IMPL MODEL WHAT BATCH THREADS EXAMPLES/S(median) EXAMPLES/S(best) GFLOP/S(median)": two operations per
 * multiply-accumulate; a vjp counts as two forward passes (there are no weight gradients). */
static inline void timing_row(const char *impl, const char *name, const char *what, size_t batch, unsigned threads,
                              const timing *t, double macs) {
    double rate = (double)batch / t->median_s;
    double passes = what[0] == 'v' ? 2 : 1;
    (void)printf("row %s %s %s %zu %u %.1f %.1f %.2f\n", impl, name, what, batch, threads, rate,
                 (double)batch / t->best_s, rate * 2 * macs * passes / 1e9);
    (void)fflush(stdout);
}

/* The file's name without folders and `.onnx`. */
static inline void timing_model_name(const char *path, char *name, size_t capacity) {
    const char *base = path;
    for (const char *p = path; *p != '\0'; p++) {
        base = *p == '/' ? p + 1 : base;
    }
    size_t n = 0;
    while (base[n] != '\0' && base[n] != '.' && n + 1 < capacity) {
        name[n] = base[n];
        n++;
    }
    name[n] = '\0';
}

#endif
