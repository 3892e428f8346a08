/* SPDX-License-Identifier: Apache-2.0
 * The peer: ONNX Runtime's forward pass of the same file, through its C API.
 * link: assay_base dl m
 * usage: bench_ort LIBRARY MODEL.onnx [-b 1,32,128] [-t 1,2] [-s SECONDS] [-c] [-m MACS] [-d DIR]
 * Rows as in timing.h. -c: processor time. -d: compares with the outputs that bench_onnx has written there: "check
 * MODEL RESIDUAL ok".
 *
 * npm's onnxruntime-node brings the library but no header. OrtApi is a table of function pointers in an order that
 * is only ever appended to (onnxruntime_c_api.h says so, and ONNX Runtime asserts it); the places used here are those
 * of its first version. probe() checks them by behaviour before anything is timed. */
#include <dlfcn.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "timing.h"

typedef void (*function)(void);
typedef struct ort_base {
    const function *(*get_api)(uint32_t version);
    const char *(*version)(void);
} ort_base;
typedef void *status_ptr; /* OrtStatus *; NULL: success */

enum { /* places in OrtApi */
       ORT_GET_ERROR_CODE = 1,
       ORT_GET_ERROR_MESSAGE = 2,
       ORT_CREATE_ENV = 3,
       ORT_CREATE_SESSION = 7,
       ORT_RUN = 9,
       ORT_CREATE_SESSION_OPTIONS = 10,
       ORT_SET_SESSION_EXECUTION_MODE = 13,
       ORT_SET_GRAPH_OPTIMIZATION_LEVEL = 23,
       ORT_SET_INTRA_OP_NUM_THREADS = 24,
       ORT_SESSION_GET_INPUT_COUNT = 30,
       ORT_SESSION_GET_INPUT_TYPE_INFO = 33,
       ORT_SESSION_GET_OUTPUT_TYPE_INFO = 34,
       ORT_SESSION_GET_INPUT_NAME = 36,
       ORT_SESSION_GET_OUTPUT_NAME = 37,
       ORT_CREATE_TENSOR_WITH_DATA = 49,
       ORT_CAST_TYPE_INFO_TO_TENSOR_INFO = 55,
       ORT_GET_TENSOR_ELEMENT_TYPE = 60,
       ORT_GET_DIMENSIONS_COUNT = 61,
       ORT_GET_DIMENSIONS = 62,
       ORT_CREATE_CPU_MEMORY_INFO = 69,
       ORT_GET_ALLOCATOR_WITH_DEFAULT_OPTIONS = 78,
       ORT_RELEASE_STATUS = 93,
       ORT_RELEASE_SESSION = 95,
       ORT_RELEASE_VALUE = 96
};
enum {
    ORT_API_VERSION = 1,
    ORT_FLOAT = 1,
    ORT_SEQUENTIAL = 0,
    ORT_ENABLE_ALL = 99,
    ORT_LOG_ERROR = 3,
    ORT_NO_FILE = 3
};
enum { MAX_DIMS = 8, MAX_LIST = 8, CHECKED = 32 };

/* A place of the table as a function of these parameters; results are OrtStatus pointers. */
#define ORT(place, ...) ((status_ptr(*)(__VA_ARGS__))api[place])

static const function *api;

typedef struct port {
    char *name;
    int64_t shape[MAX_DIMS];
    size_t n_dims, n; /* n: values of one example */
} port;

typedef struct peer {
    void *env, *memory, *allocator, *session;
    port in, out;
    const char *path;
    char model[128];
    /* of the call that is timed */
    void *x, *y;
} peer;

static const char *message(status_ptr s) {
    return ((const char *(*)(const void *))api[ORT_GET_ERROR_MESSAGE])(s);
}

static void must(status_ptr s) {
    if (s != NULL) {
        (void)printf("skipped: ONNX Runtime: %s\n", message(s));
        exit(0);
    }
}

static void require(bool ok, const char *what) {
    if (!ok) {
        (void)fprintf(stderr, "bench_ort: %s\n", what);
        exit(1);
    }
}

static void *options_of(size_t threads) {
    void *o = NULL;
    must(ORT(ORT_CREATE_SESSION_OPTIONS, void **)(&o));
    must(ORT(ORT_SET_SESSION_EXECUTION_MODE, void *, int)(o, ORT_SEQUENTIAL));
    must(ORT(ORT_SET_GRAPH_OPTIMIZATION_LEVEL, void *, int)(o, ORT_ENABLE_ALL));
    must(ORT(ORT_SET_INTRA_OP_NUM_THREADS, void *, int)(o, (int)threads));
    return o;
}

static status_ptr open_session(peer *p, const char *path, size_t threads) {
    return ORT(ORT_CREATE_SESSION, void *, const char *, const void *, void **)(p->env, path, options_of(threads),
                                                                                &p->session);
}

/* A file that is not there must be reported as such, with its name: places 1, 2, 3, 7 and 10 are what we think. An
 * optimisation level and a mode that do not exist must be refused: 13 and 23. */
static void probe(peer *p) {
    status_ptr s = open_session(p, "no-such-file.onnx", 1);
    require(s != NULL && ((int (*)(const void *))api[ORT_GET_ERROR_CODE])(s) == ORT_NO_FILE &&
                strstr(message(s), "no-such-file.onnx") != NULL,
            "OrtApi is not laid out as expected (CreateSession)");
    ((void (*)(void *))api[ORT_RELEASE_STATUS])(s);
    s = ORT(ORT_SET_GRAPH_OPTIMIZATION_LEVEL, void *, int)(options_of(1), -1);
    require(s != NULL && strstr(message(s), "optimization") != NULL,
            "OrtApi is not laid out as expected (SetSessionGraphOptimizationLevel)");
    s = ORT(ORT_SET_SESSION_EXECUTION_MODE, void *, int)(options_of(1), -1);
    require(s != NULL && strstr(message(s), "execution_mode") != NULL,
            "OrtApi is not laid out as expected (SetSessionExecutionMode)");
}

static void describe(peer *p, bool output, port *t) {
    void *info = NULL;
    const void *tensor = NULL;
    int type = 0;
    must(ORT(output ? ORT_SESSION_GET_OUTPUT_TYPE_INFO : ORT_SESSION_GET_INPUT_TYPE_INFO, void *, size_t,
             void **)(p->session, 0, &info));
    must(ORT(ORT_CAST_TYPE_INFO_TO_TENSOR_INFO, const void *, const void **)(info, &tensor));
    must(ORT(ORT_GET_TENSOR_ELEMENT_TYPE, const void *, int *)(tensor, &type));
    must(ORT(ORT_GET_DIMENSIONS_COUNT, const void *, size_t *)(tensor, &t->n_dims));
    require(type == ORT_FLOAT && t->n_dims > 0 && t->n_dims <= MAX_DIMS, "not a float32 tensor with a batch");
    must(ORT(ORT_GET_DIMENSIONS, const void *, int64_t *, size_t)(tensor, t->shape, t->n_dims));
    t->n = 1;
    for (size_t i = 1; i < t->n_dims; i++) {
        require(t->shape[i] > 0, "only the batch may be dynamic");
        t->n *= (size_t)t->shape[i];
    }
    must(ORT(output ? ORT_SESSION_GET_OUTPUT_NAME : ORT_SESSION_GET_INPUT_NAME, void *, size_t, void *,
             char **)(p->session, 0, p->allocator, &t->name));
}

static void *tensor_of(peer *p, port *t, float *data, size_t batch) {
    void *v = NULL;
    t->shape[0] = (int64_t)batch;
    must(ORT(ORT_CREATE_TENSOR_WITH_DATA, const void *, void *, size_t, const int64_t *, size_t, int,
             void **)(p->memory, data, batch * t->n * sizeof *data, t->shape, t->n_dims, ORT_FLOAT, &v));
    return v;
}

/* Into an output that is there before, as cheap as it gets. */
static bool run(void *context) {
    peer *p = context;
    const char *const in[] = {p->in.name}, *const out[] = {p->out.name};
    const void *const x[] = {p->x};
    void *y[] = {p->y};
    must(ORT(ORT_RUN, void *, const void *, const char *const *, const void *const *, size_t, const char *const *,
             size_t, void **)(p->session, NULL, in, x, 1, out, 1, y));
    return true;
}

static void load(peer *p, size_t threads) {
    must(open_session(p, p->path, threads));
    size_t n = 0;
    must(ORT(ORT_SESSION_GET_INPUT_COUNT, void *, size_t *)(p->session, &n));
    require(n == 1, "not a model with one input");
    describe(p, false, &p->in);
    describe(p, true, &p->out);
}

/* Binds buffers of `batch` examples, runs, timed or once, and lets go of them. */
static void with_batch(peer *p, float *x, float *y, size_t batch, double budget_s, bool cpu, timing *t) {
    p->x = tensor_of(p, &p->in, x, batch);
    p->y = tensor_of(p, &p->out, y, batch);
    if (t == NULL) {
        (void)run(p);
    } else {
        (void)timing_measure(run, p, budget_s, cpu, t);
    }
    ((void (*)(void *))api[ORT_RELEASE_VALUE])(p->x);
    ((void (*)(void *))api[ORT_RELEASE_VALUE])(p->y);
}

static bool read_floats(const char *dir, const char *model, const char *suffix, float *v, size_t n) {
    FILE *f = timing_file(dir, model, suffix, "rbe");
    bool ok = f != NULL && fread(v, sizeof *v, n, f) == n;
    if (f != NULL) {
        (void)fclose(f);
    }
    return ok;
}

/* |theirs - ours| / |theirs| over all outputs. Of a quantised network only that it is the same one can be seen: the
 * library's int8 kernels round elsewhere, so single values come out one quantum apart, and random weights amplify that.
 */
static void check(peer *p, const char *dir) {
    size_t n = CHECKED * p->out.n;
    float *x = mem_zalloc(CHECKED * p->in.n * sizeof *x), *y = mem_zalloc(n * sizeof *y);
    float *ours = mem_zalloc(n * sizeof *ours);
    if (read_floats(dir, p->model, "x.f32", x, CHECKED * p->in.n) && read_floats(dir, p->model, "y.f32", ours, n)) {
        with_batch(p, x, y, CHECKED, 0, false, NULL);
        double difference = 0, size = 0;
        for (size_t i = 0; i < n; i++) {
            double d = (double)y[i] - (double)ours[i];
            difference += d * d;
            size += (double)y[i] * (double)y[i];
        }
        double residual = sqrt(difference / size), limit = strstr(p->model, "-int8") != NULL ? 0.2 : 1e-3;
        (void)printf("check ort %s predict %.2e %s\n", p->model, residual, residual < limit ? "ok" : "DIFFERS");
    }
    mem_free(x);
    mem_free(y);
    mem_free(ours);
}

static size_t parse_list(const char *text, size_t *v) {
    size_t n = 0;
    for (char *end = NULL; n < MAX_LIST && *text != '\0'; text = *end == ',' ? end + 1 : end) {
        v[n++] = strtoul(text, &end, 10);
        require(end != text && v[n - 1] > 0, "not a list of numbers");
    }
    return n;
}

static void load_api(const char *library) {
    void *lib = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    const ort_base *(*get_base)(void) = NULL;
    if (lib != NULL) {
        *(void **)&get_base = dlsym(lib, "OrtGetApiBase");
    }
    if (get_base == NULL) {
        (void)printf("skipped: ONNX Runtime: %s\n", dlerror());
        exit(0);
    }
    api = get_base()->get_api(ORT_API_VERSION);
    require(api != NULL, "this ONNX Runtime does not offer its API");
    (void)printf("# onnxruntime %s\n", get_base()->version());
}

int main(int argc, char **argv) {
    size_t batches[MAX_LIST] = {1, 32, 128}, threads[MAX_LIST] = {1, 2}, n_batches = 3, n_threads = 2;
    double budget_s = 0.3, macs = 0;
    bool cpu = false;
    const char *dir = NULL;
    for (int c = 0; (c = getopt(argc, argv, "b:t:s:m:d:c")) != -1;) {
        switch (c) {
        case 'b': n_batches = parse_list(optarg, batches); break;
        case 't': n_threads = parse_list(optarg, threads); break;
        case 's': budget_s = strtod(optarg, NULL); break;
        case 'm': macs = strtod(optarg, NULL); break;
        case 'd': dir = optarg; break;
        case 'c': cpu = true; break;
        default: return 2;
        }
    }
    require(argc - optind == 2, "usage: bench_ort [OPTIONS] LIBRARY MODEL.onnx");
    load_api(argv[optind]);
    peer p = {.path = argv[optind + 1]};
    timing_model_name(p.path, p.model, sizeof p.model);
    must(ORT(ORT_CREATE_ENV, int, const char *, void **)(ORT_LOG_ERROR, "bench", &p.env));
    must(ORT(ORT_CREATE_CPU_MEMORY_INFO, int, int, void **)(1, 0, &p.memory)); /* arena, default memory */
    must(ORT(ORT_GET_ALLOCATOR_WITH_DEFAULT_OPTIONS, void **)(&p.allocator));
    probe(&p);
    for (size_t i = 0; i < n_threads; i++) {
        load(&p, threads[i]);
        if (i == 0 && dir != NULL) {
            check(&p, dir);
        }
        for (size_t b = 0; b < n_batches; b++) {
            float *x = mem_zalloc(batches[b] * p.in.n * sizeof *x), *y = mem_zalloc(batches[b] * p.out.n * sizeof *y);
            timing_fill(x, batches[b] * p.in.n, 1);
            timing t;
            with_batch(&p, x, y, batches[b], budget_s, cpu, &t);
            timing_row("ort", p.model, "predict", batches[b], (unsigned)threads[i], &t, macs);
            mem_free(x);
            mem_free(y);
        }
        ((void (*)(void *))api[ORT_RELEASE_SESSION])(p.session);
    }
    return 0;
}
