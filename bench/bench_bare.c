/* SPDX-License-Identifier: Apache-2.0
 * The bare plug-in: load, read the data, predict in a loop, nothing else. What `assay run` adds to this is overhead.
 * link: assay_data assay_model
 * usage: bench_bare PLUGIN.so MODEL MANIFEST DATASET [KEY=VALUE ...]; prints seconds of the parts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "data/manifest.h"
#include "model/host.h"

enum { BATCH = 128, TILE = 32 };

static void must(status s, const error *err) {
    if (s != STATUS_OK) {
        (void)fprintf(stderr, "bench_bare: %s\n", err->text);
        exit(1);
    }
}

static double since(int64_t t0) {
    return (double)(clock_ns() - t0) / 1e9;
}

int main(int argc, char **argv) {
    if (argc < 5) {
        return 2;
    }
    const char *env[CPU_ENV_MAX];
    size_t n_env = cpu_worker_env(cpu_detect(), env);
    for (size_t i = 0; i < n_env; i++) {
        (void)putenv((char *)(uintptr_t)env[i]); /* before the plug-in loads its libraries */
    }
    error err = {0};
    int64_t t0 = clock_ns();
    manifest *m = NULL;
    const manifest_record *r = NULL;
    dataset *d = NULL;
    must(manifest_load(argv[3], &m, &err), &err);
    must(manifest_get(m, argv[4], &r, &err), &err);
    must(dataset_load(r, &d, &err), &err);
    double data_s = since(t0);
    assay_option options[8];
    size_t n_options = 0;
    for (int i = 5; i < argc && n_options < 8; i++) {
        char *eq = strchr(argv[i], '=');
        *eq = '\0';
        options[n_options++] = (assay_option){argv[i], eq + 1};
    }
    plugin *p = NULL;
    model *mo = NULL;
    session *s = NULL;
    session_options so = {.tile = TILE, .n_threads = 1};
    t0 = clock_ns();
    must(plugin_load(argv[1], &p, &err), &err);
    must(model_open(p, argv[2][0] == '-' ? NULL : argv[2], options, n_options, &mo, &err), &err);
    must(session_open(mo, &so, &s, &err), &err);
    double load_s = since(t0);
    size_t k = model_get_facts(mo)->n_outputs;
    float *x = mem_zalloc(BATCH * d->n_features * sizeof *x);
    float *z = mem_zalloc(BATCH * k * sizeof *z);
    uint32_t index[BATCH];
    double predict_s = 0;
    double gather_s = 0;
    for (size_t i = 0; i < d->n; i += BATCH) {
        size_t n = d->n - i < BATCH ? d->n - i : BATCH;
        t0 = clock_ns();
        for (size_t j = 0; j < n; j++) {
            index[j] = (uint32_t)(i + j);
        }
        dataset_gather(d, index, n, x);
        gather_s += since(t0);
        t0 = clock_ns();
        must(session_predict(s, x, n, z, &err), &err);
        predict_s += since(t0);
    }
    (void)printf("%zu %.6f %.6f %.6f %.6f\n", d->n, predict_s, load_s, data_s, gather_s);
    mem_free(x);
    mem_free(z);
    session_close(s);
    model_close(mo);
    plugin_unload(p);
    dataset_close(d);
    manifest_close(m);
    return 0;
}
