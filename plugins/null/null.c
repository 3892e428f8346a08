/* SPDX-License-Identifier: Apache-2.0
 * The plug-in `null`: what a model that costs nothing costs, i.e. the overhead floor of the harness. It needs no model
 * file; logit k of an example is its feature k * F / K, so predictions, ties and gradients are defined.
 *
 * Options (lists separated by newlines)
 *   shape     shape of one example without the batch    default "1\n28\n28"
 *   features  short for a shape of one dimension
 *   classes   K                                         default "10"
 *   range     legal raw range, two whole numbers        default unbounded
 *   labels    K class names                             default none
 *   columns   F column names                            default none */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assay/plugin.h"

#define MAX_VALUES (1 << 24) /* features or classes */

typedef struct names {
    char *text; /* owned: the option's value, cut at the newlines */
    char **v;   /* owned */
    uint32_t n;
} names;

struct assay_model {
    uint32_t n_dims;
    int64_t shape[ASSAY_MAX_DIMS]; /* without the batch */
    int64_t n_features, n_classes;
    double lo, hi;
    names labels, columns;
};

struct assay_session {
    const assay_model *model;
};

static assay_status fail(assay_error *err, assay_status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static assay_status fail(assay_error *err, assay_status code, const char *fmt, ...) {
    if (err != NULL && err->struct_size >= sizeof *err && err->text != NULL && err->capacity > 0) {
        va_list ap;
        va_start(ap, fmt);
        /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang-tidy 14 does not see va_start here */
        (void)vsnprintf(err->text, err->capacity, fmt, ap);
        va_end(ap);
    }
    return code;
}

/* ---- options ------------------------------------------------------------------------------------ */

/* Whole numbers separated by newlines; 0 if the text is anything else or there are more than `max`. */
static uint32_t parse_numbers(const char *text, int64_t lo, int64_t hi, int64_t *out, uint32_t max) {
    uint32_t n = 0;
    for (const char *p = text; n < max;) {
        char *end = NULL;
        errno = 0;
        long long v = strtoll(p, &end, 10);
        if (end == p || errno != 0 || v < lo || v > hi) {
            return 0;
        }
        out[n++] = v;
        if (*end == '\0') {
            return n;
        }
        if (*end != '\n') {
            return 0;
        }
        p = end + 1;
    }
    return 0;
}

static assay_status set_shape(assay_model *m, const char *text, uint32_t max, assay_error *err) {
    m->n_dims = parse_numbers(text, 1, MAX_VALUES, m->shape, max);
    m->n_features = 1;
    for (uint32_t d = 0; d < m->n_dims; d++) {
        m->n_features = m->n_features > MAX_VALUES ? m->n_features : m->n_features * m->shape[d];
    }
    if (m->n_dims == 0 || m->n_features > MAX_VALUES) {
        return fail(err, ASSAY_ERR_ARGUMENT, "shape: 1 to %u sizes of at least 1, product at most %d, not \"%s\"", max,
                    MAX_VALUES, text);
    }
    return ASSAY_OK;
}

static void names_free(names *l) {
    free(l->text);
    free(l->v);
    *l = (names){0};
}

static assay_status set_names(names *l, const char *text, assay_error *err) {
    names_free(l);
    size_t bytes = strlen(text) + 1;
    size_t n = 1;
    for (const char *p = text; *p != '\0'; p++) {
        n += *p == '\n';
    }
    l->text = malloc(bytes);
    l->v = malloc(n * sizeof *l->v);
    if (l->text == NULL || l->v == NULL || n > MAX_VALUES) {
        return fail(err, ASSAY_ERR_MEMORY, "no memory for %zu names", n);
    }
    memcpy(l->text, text, bytes);
    char *p = l->text;
    for (l->n = 0; l->n < n; l->n++) {
        l->v[l->n] = p;
        p += strcspn(p, "\n");
        *p++ = '\0';
    }
    return ASSAY_OK;
}

static assay_status set_option(assay_model *m, const assay_option *o, assay_error *err) {
    if (o->key == NULL || o->value == NULL) {
        return fail(err, ASSAY_ERR_ARGUMENT, "an option without key or value");
    }
    if (strcmp(o->key, "shape") == 0) {
        return set_shape(m, o->value, ASSAY_MAX_DIMS - 1, err);
    }
    if (strcmp(o->key, "features") == 0) {
        return set_shape(m, o->value, 1, err);
    }
    if (strcmp(o->key, "classes") == 0) {
        return parse_numbers(o->value, 1, MAX_VALUES, &m->n_classes, 1) == 1
                   ? ASSAY_OK
                   : fail(err, ASSAY_ERR_ARGUMENT, "classes: 1 to %d, not \"%s\"", MAX_VALUES, o->value);
    }
    if (strcmp(o->key, "range") == 0) {
        int64_t r[2];
        if (parse_numbers(o->value, -1000000, 1000000, r, 2) != 2 || r[0] >= r[1]) {
            return fail(err, ASSAY_ERR_ARGUMENT, "range: two whole numbers, the lower first, not \"%s\"", o->value);
        }
        m->lo = (double)r[0];
        m->hi = (double)r[1];
        return ASSAY_OK;
    }
    if (strcmp(o->key, "labels") == 0) {
        return set_names(&m->labels, o->value, err);
    }
    if (strcmp(o->key, "columns") == 0) {
        return set_names(&m->columns, o->value, err);
    }
    return fail(err, ASSAY_ERR_ARGUMENT,
                "unknown option \"%s\"; known are shape, features, classes, range, labels, columns", o->key);
}

/* ---- model and session -------------------------------------------------------------------------- */

static void model_close(assay_model *m) {
    if (m != NULL) {
        names_free(&m->labels);
        names_free(&m->columns);
        free(m);
    }
}

static assay_status configure(assay_model *m, const assay_open_args *args, assay_error *err) {
    assay_status s = set_shape(m, "1\n28\n28", ASSAY_MAX_DIMS - 1, err);
    for (uint32_t i = 0; s == ASSAY_OK && i < args->n_options; i++) {
        s = set_option(m, &args->options[i], err);
    }
    if (s == ASSAY_OK && m->labels.n > 0 && m->labels.n != m->n_classes) {
        s = fail(err, ASSAY_ERR_ARGUMENT, "labels: %u names for %lld classes", m->labels.n, (long long)m->n_classes);
    }
    if (s == ASSAY_OK && m->columns.n > 0 && m->columns.n != m->n_features) {
        s = fail(err, ASSAY_ERR_ARGUMENT, "columns: %u names for %lld features", m->columns.n,
                 (long long)m->n_features);
    }
    return s;
}

static assay_status model_open(const assay_open_args *args, assay_model **model, assay_error *err) {
    *model = NULL;
    if (args == NULL || args->struct_size < sizeof *args || (args->n_options > 0 && args->options == NULL)) {
        return fail(err, ASSAY_ERR_ARGUMENT, "open: incomplete arguments");
    }
    if (args->path != NULL) {
        return fail(err, ASSAY_ERR_ARGUMENT, "%s: null reads no model file: give none", args->path);
    }
    assay_model *m = calloc(1, sizeof *m);
    if (m == NULL) {
        return fail(err, ASSAY_ERR_MEMORY, "no memory for a model");
    }
    m->n_classes = 10;
    m->lo = -INFINITY;
    m->hi = INFINITY;
    assay_status s = configure(m, args, err);
    if (s != ASSAY_OK) {
        model_close(m);
        return s;
    }
    *model = m;
    return ASSAY_OK;
}

static assay_status session_open(assay_model *model, const assay_session_args *args, assay_session **session,
                                 assay_error *err) {
    *session = NULL;
    if (model == NULL || args == NULL || args->struct_size < sizeof *args) {
        return fail(err, ASSAY_ERR_ARGUMENT, "session_open: incomplete arguments");
    }
    assay_session *s = malloc(sizeof *s);
    if (s == NULL) {
        return fail(err, ASSAY_ERR_MEMORY, "no memory for a session");
    }
    s->model = model;
    *session = s;
    return ASSAY_OK;
}

static void session_close(assay_session *s) {
    free(s);
}

/* ---- assay.io/1 --------------------------------------------------------------------------------- */

static uint32_t n_ports(const assay_model *m, uint32_t direction) {
    (void)m;
    return direction <= ASSAY_DIRECTION_OUTPUT ? 1 : 0;
}

static assay_status port(const assay_model *m, uint32_t direction, uint32_t i, assay_port *p, assay_error *err) {
    if (m == NULL || direction > ASSAY_DIRECTION_OUTPUT || i != 0 || p == NULL || p->struct_size < sizeof *p) {
        return fail(err, ASSAY_ERR_ARGUMENT, "port: there is one input and one output");
    }
    p->dtype = ASSAY_F32;
    p->shape[0] = -1;
    if (direction == ASSAY_DIRECTION_INPUT) {
        p->kind = ASSAY_PORT_FEATURES;
        p->name = "input";
        p->n_dims = m->n_dims + 1;
        memcpy(p->shape + 1, m->shape, m->n_dims * sizeof m->shape[0]);
        p->range_lo = m->lo;
        p->range_hi = m->hi;
        return ASSAY_OK;
    }
    p->kind = ASSAY_PORT_LOGITS;
    p->name = "logits";
    p->n_dims = 2;
    p->shape[1] = m->n_classes;
    p->range_lo = -INFINITY;
    p->range_hi = INFINITY;
    return ASSAY_OK;
}

/* ---- assay.predict/1, assay.vjp/1 --------------------------------------------------------------- */

/* Of `batch` examples with n_dims - 1 sizes after the batch. */
static int tensor_ok(const assay_tensor *t, int64_t batch, uint32_t n_dims, const int64_t *shape) {
    uint64_t n = (uint64_t)batch;
    if (t->struct_size < sizeof *t || t->dtype != ASSAY_F32 || t->n_dims != n_dims || t->shape[0] != batch) {
        return 0;
    }
    for (uint32_t d = 1; d < n_dims; d++) {
        if (t->shape[d] != shape[d - 1]) {
            return 0;
        }
        n *= (uint64_t)shape[d - 1];
    }
    return t->data == NULL || t->size_bytes == n * sizeof(float);
}

/* The batch size, or 0 with an error. At most 2^31 examples, so that no product overflows. */
static int64_t check_call(const assay_session *s, const assay_tensor *in, uint32_t n_in, const assay_tensor *out,
                          uint32_t n_out, assay_error *err) {
    if (s == NULL || in == NULL || out == NULL || n_in != 1 || n_out != 1 || in->data == NULL) {
        (void)fail(err, ASSAY_ERR_ARGUMENT, "one input with data and one output are needed");
        return 0;
    }
    const assay_model *m = s->model;
    int64_t n = in->struct_size < sizeof *in ? 0 : in->shape[0];
    if (n < 1 || n > INT32_MAX || !tensor_ok(in, n, m->n_dims + 1, m->shape) || !tensor_ok(out, n, 2, &m->n_classes)) {
        (void)fail(err, ASSAY_ERR_ARGUMENT, "a tensor's struct_size, dtype, shape or size_bytes does not fit its port");
        return 0;
    }
    return n;
}

/* Class k reads this feature. */
static size_t source(const assay_model *m, int64_t k) {
    return (size_t)(k * m->n_features / m->n_classes); /* both < 2^24 */
}

static void forward(const assay_model *m, const float *x, int64_t n, float *z) {
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < m->n_classes; k++) {
            z[i * m->n_classes + k] = x[(size_t)(i * m->n_features) + source(m, k)];
        }
    }
}

static assay_status predict(assay_session *s, const assay_tensor *in, uint32_t n_in, assay_tensor *out, uint32_t n_out,
                            assay_error *err) {
    int64_t n = check_call(s, in, n_in, out, n_out, err);
    if (n == 0) {
        return ASSAY_ERR_ARGUMENT;
    }
    if (out->data != NULL) {
        forward(s->model, in->data, n, out->data);
    }
    return ASSAY_OK;
}

static assay_status vjp(assay_session *s, const assay_tensor *in, uint32_t n_in, const assay_tensor *cotangent,
                        uint32_t n_out, assay_tensor *out, assay_tensor *gradient, uint32_t mode, assay_error *err) {
    int64_t n = check_call(s, in, n_in, cotangent, n_out, err);
    if (n == 0) {
        return ASSAY_ERR_ARGUMENT;
    }
    const assay_model *m = s->model;
    if (mode > ASSAY_VJP_STRAIGHT_THROUGH || gradient == NULL || gradient->data == NULL ||
        !tensor_ok(gradient, n, m->n_dims + 1, m->shape) || (out != NULL && !tensor_ok(out, n, 2, &m->n_classes))) {
        return fail(err, ASSAY_ERR_ARGUMENT, "unknown mode, or the gradient does not fit the input");
    }
    float *g = gradient->data;
    const float *ct = cotangent->data;
    memset(g, 0, gradient->size_bytes);
    for (int64_t i = 0; ct != NULL && i < n; i++) {
        for (int64_t k = 0; k < m->n_classes; k++) {
            g[(size_t)(i * m->n_features) + source(m, k)] += ct[i * m->n_classes + k];
        }
    }
    if (out != NULL && out->data != NULL) {
        forward(m, in->data, n, out->data);
    }
    return ASSAY_OK;
}

/* ---- assay.labels/1, assay.cost/1 --------------------------------------------------------------- */

static uint32_t n_labels(const assay_model *m) {
    return m->labels.n;
}

static const char *label(const assay_model *m, uint32_t i) {
    return i < m->labels.n ? m->labels.v[i] : NULL;
}

static uint32_t n_columns(const assay_model *m) {
    return m->columns.n;
}

static const char *column(const assay_model *m, uint32_t i) {
    return i < m->columns.n ? m->columns.v[i] : NULL;
}

static assay_status cost(const assay_model *m, assay_cost_info *info, assay_error *err) {
    if (m == NULL || info == NULL || info->struct_size < sizeof *info) {
        return fail(err, ASSAY_ERR_ARGUMENT, "cost: incomplete arguments");
    }
    info->n_params = info->n_params_zero = info->n_macs = info->weight_bytes = 0;
    info->weight_bits = 0;
    info->peak_bytes = (uint64_t)(m->n_features + m->n_classes) * sizeof(float);
    return ASSAY_OK;
}

/* ---- tables ------------------------------------------------------------------------------------- */

static const void *capability(const assay_model *m, const char *id) {
    static const assay_io io = {.struct_size = sizeof io, .n_ports = n_ports, .port = port};
    static const assay_predict p = {.struct_size = sizeof p, .predict = predict};
    static const assay_vjp v = {.struct_size = sizeof v, .modes = 7, .vjp = vjp}; /* linear: all modes are equal */
    static const assay_labels l = {
        .struct_size = sizeof l, .n_labels = n_labels, .label = label, .n_columns = n_columns, .column = column};
    static const assay_cost c = {.struct_size = sizeof c, .cost = cost};
    static const struct {
        const char *id;
        const void *table;
    } all[] = {{ASSAY_IO_1, &io}, {ASSAY_PREDICT_1, &p}, {ASSAY_VJP_1, &v}, {ASSAY_LABELS_1, &l}, {ASSAY_COST_1, &c}};
    (void)m;
    for (size_t i = 0; id != NULL && i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(all[i].id, id) == 0) {
            return all[i].table;
        }
    }
    return NULL;
}

static assay_status init(const assay_host *host, assay_error *err) {
    (void)host;
    (void)err;
    return ASSAY_OK;
}

static void deinit(void) {
}

static const void *get_api(const char *id) {
    static const assay_model_api api = {.struct_size = sizeof api,
                                        .open = model_open,
                                        .close = model_close,
                                        .session_open = session_open,
                                        .session_close = session_close,
                                        .capability = capability};
    return id != NULL && strcmp(id, ASSAY_MODEL_1) == 0 ? &api : NULL;
}

ASSAY_EXPORT extern const assay_plugin assay_plugin_entry;
const assay_plugin assay_plugin_entry = {
    .struct_size = sizeof assay_plugin_entry,
    .abi_version = ASSAY_ABI_VERSION,
    .name = "null",
    .version = "1.0.0",
    .description = "copies a few features to its outputs: the overhead floor",
    .init = init,
    .deinit = deinit,
    .get_api = get_api,
};
