/* SPDX-License-Identifier: Apache-2.0
 * The ONNX executor through the plug-in host: predict and vjp (exact) of a model file, timed.
 * link: assay_model
 * usage: bench_onnx PLUGIN.so MODEL.onnx [-b 1,32,128] [-t 1,2] [-w predict,vjp] [-T TILE] [-s SECONDS] [-c]
 *                   [-d DIR] [KEY=VALUE ...]
 * Rows as in timing.h. -c: processor time. -d: writes what the peers read to compare with: inputs (MODEL.x.f32),
 * outputs (MODEL.y.f32) and gradients of the sum of outputs weighted with MODEL.c.f32 (MODEL.g.f32) of CHECKED
 * examples. */
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "model/host.h"
#include "timing.h"

enum { MAX_LIST = 8, MAX_OPTIONS = 8, CHECKED = 32, TILE = 32, SHARED_TILE = 8 };

typedef struct job {
    const char *name, *dir, *what;
    size_t batches[MAX_LIST], threads[MAX_LIST];
    size_t n_batches, n_threads;
    uint32_t tile; /* 0: chosen by tile_of */
    double budget_s, macs;
    bool cpu;
    model *m;
} job;

/* What one timed call needs. */
typedef struct call {
    session *s;
    const float *x, *cotangent;
    float *y, *gradient;
    size_t n;
    error err;
} call;

static bool predict(void *context) {
    call *c = context;
    return session_predict(c->s, c->x, c->n, c->y, &c->err) == STATUS_OK;
}

static bool vjp(void *context) {
    call *c = context;
    return session_vjp(c->s, c->x, c->n, c->cotangent, ASSAY_VJP_EXACT, NULL, c->gradient, &c->err) == STATUS_OK;
}

/* The session's tile is the batch, as far as tiles go; where threads share a batch of one tile, smaller tiles. */
static uint32_t tile_of(const job *j, size_t batch, size_t threads) {
    if (j->tile > 0) {
        return j->tile;
    }
    if (batch < SHARED_TILE) {
        return 1;
    }
    return batch < TILE * threads ? SHARED_TILE : TILE;
}

/* On one line, whatever the text. */
static void unsupported(const job *j, const char *what, const char *text) {
    (void)printf("unsupported: %s %s: ", j->name, what);
    for (const char *c = text; *c != '\0'; c++) {
        (void)fputs(*c == '\n' ? "; " : (char[2]){*c, '\0'}, stdout);
    }
    (void)putchar('\n');
    (void)fflush(stdout);
}

static void measure(const job *j, call *c, const char *what, size_t batch, size_t threads) {
    if (strstr(j->what, what) == NULL) {
        return;
    }
    session_options so = {.tile = tile_of(j, batch, threads), .n_threads = (uint32_t)threads};
    c->n = batch;
    timing t;
    if (session_open(j->m, &so, &c->s, &c->err) != STATUS_OK ||
        !timing_measure(what[0] == 'v' ? vjp : predict, c, j->budget_s, j->cpu, &t)) {
        unsupported(j, what, c->err.text);
    } else {
        timing_row("assay", j->name, what, batch, (unsigned)threads, &t, j->macs);
    }
    session_close(c->s);
    c->s = NULL;
}

static void dump(const job *j, const char *suffix, const float *v, size_t n) {
    FILE *f = timing_file(j->dir, j->name, suffix, "wbe");
    if (f == NULL || fwrite(v, sizeof *v, n, f) != n || fclose(f) != 0) {
        (void)fprintf(stderr, "bench_onnx: cannot write to %s\n", j->dir);
        exit(1);
    }
}

static void dump_results(const job *j, call *c, const model_facts *f) {
    session_options so = {.tile = TILE, .n_threads = 1};
    c->n = CHECKED;
    if (session_open(j->m, &so, &c->s, &c->err) != STATUS_OK || !predict(c)) {
        unsupported(j, "predict", c->err.text);
    } else {
        dump(j, "x.f32", c->x, CHECKED * f->n_features);
        dump(j, "y.f32", c->y, CHECKED * f->n_outputs);
        dump(j, "c.f32", c->cotangent, CHECKED * f->n_outputs);
        if (strstr(j->what, "vjp") != NULL && vjp(c)) {
            dump(j, "g.f32", c->gradient, CHECKED * f->n_features);
        }
    }
    session_close(c->s);
    c->s = NULL;
}

static void run(job *j) {
    const model_facts *f = model_get_facts(j->m);
    assay_cost_info cost = {.struct_size = sizeof cost};
    j->macs = model_cost(j->m, &cost) ? (double)cost.n_macs : 0;
    (void)printf("macs %s %.0f\n", j->name, j->macs);
    size_t most = CHECKED;
    for (size_t b = 0; b < j->n_batches; b++) {
        most = j->batches[b] > most ? j->batches[b] : most;
    }
    float *x = mem_zalloc(most * f->n_features * sizeof *x), *gradient = mem_zalloc(most * f->n_features * sizeof *x);
    float *y = mem_zalloc(most * f->n_outputs * sizeof *y), *cotangent = mem_zalloc(most * f->n_outputs * sizeof *y);
    timing_fill(x, most * f->n_features, 1);
    timing_fill(cotangent, most * f->n_outputs, 2);
    call c = {.x = x, .cotangent = cotangent, .y = y, .gradient = gradient};
    if (j->dir != NULL) {
        dump_results(j, &c, f);
    }
    for (size_t t = 0; t < j->n_threads; t++) {
        for (size_t b = 0; b < j->n_batches; b++) {
            measure(j, &c, "predict", j->batches[b], j->threads[t]);
            measure(j, &c, "vjp", j->batches[b], j->threads[t]);
        }
    }
    mem_free(x);
    mem_free(gradient);
    mem_free(y);
    mem_free(cotangent);
}

static size_t parse_list(const char *text, size_t *v) {
    size_t n = 0;
    for (char *end = NULL; n < MAX_LIST && *text != '\0'; text = *end == ',' ? end + 1 : end) {
        v[n++] = strtoul(text, &end, 10);
        if (end == text || v[n - 1] == 0) {
            (void)fprintf(stderr, "bench_onnx: not a list of numbers: %s\n", text);
            exit(2);
        }
    }
    return n;
}

static void parse(int argc, char **argv, job *j) {
    for (int c = 0; (c = getopt(argc, argv, "b:t:w:T:s:d:c")) != -1;) {
        switch (c) {
        case 'b': j->n_batches = parse_list(optarg, j->batches); break;
        case 't': j->n_threads = parse_list(optarg, j->threads); break;
        case 'w': j->what = optarg; break;
        case 'T': j->tile = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 's': j->budget_s = strtod(optarg, NULL); break;
        case 'd': j->dir = optarg; break;
        case 'c': j->cpu = true; break;
        default: exit(2);
        }
    }
}

int main(int argc, char **argv) {
    job j = {.batches = {1, 32, 128},
             .n_batches = 3,
             .threads = {1, 2},
             .n_threads = 2,
             .what = "predict,vjp",
             .budget_s = 0.3};
    parse(argc, argv, &j);
    if (argc - optind < 2) {
        (void)fprintf(stderr, "usage: bench_onnx [OPTIONS] PLUGIN.so MODEL.onnx [KEY=VALUE ...]\n");
        return 2;
    }
    const char *env[CPU_ENV_MAX];
    size_t n_env = cpu_worker_env(cpu_detect(), env);
    for (size_t i = 0; i < n_env; i++) {
        (void)putenv((char *)(uintptr_t)env[i]); /* before the plug-in loads its libraries */
    }
    assay_option options[MAX_OPTIONS];
    size_t n_options = 0;
    for (int i = optind + 2; i < argc && n_options < MAX_OPTIONS; i++) {
        char *eq = strchr(argv[i], '=');
        if (eq != NULL) {
            *eq = '\0';
            options[n_options++] = (assay_option){argv[i], eq + 1};
        }
    }
    char name[128];
    timing_model_name(argv[optind + 1], name, sizeof name);
    j.name = name;
    error err = {0};
    plugin *p = NULL;
    if (plugin_load(argv[optind], &p, &err) != STATUS_OK) {
        (void)fprintf(stderr, "bench_onnx: %s\n", err.text);
        return 1;
    }
    if (model_open(p, argv[optind + 1], options, n_options, &j.m, &err) != STATUS_OK) {
        unsupported(&j, "open", err.text);
    } else {
        run(&j);
    }
    model_close(j.m);
    plugin_unload(p);
    return 0;
}
