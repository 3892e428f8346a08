/* SPDX-License-Identifier: Apache-2.0
 *
 * skeleton: the file to copy when you bring your own model to assay. It is a complete plug-in, a linear softmax
 * classifier, in one file that uses nothing but assay/plugin.h and libc:
 *
 *     z[k] = bias[k] + sum_j weight[k][j] * scale * x[j]          port 0, LOGITS
 *     p[k] = exp(z[k]) / sum_l exp(z[l])                          port 1, PROBABILITIES
 *
 * To make it yours: (1) the weights and how they are read, (2) the ports, (3) forward(), (4) backward() or leave out
 * assay.vjp/1, (5) name, version and description at the end. docs/PLUGIN_ABI.md walks through it. Build and try it:
 *
 *   gcc -std=c11 -O2 -fPIC -shared -fvisibility=hidden -Iharness/include plugins/skeleton/skeleton.c -lm -o skeleton.so
 *   assay validate ./skeleton.so plugins/skeleton/corners.weights
 *
 * Options
 *   scale   factor on the raw input, default 1 (a model trained on 0..1 reads raw 0..255 with 0.00392156862745098)
 *
 * The model file is text: words separated by white space; a word that begins with '#' begins a comment (see
 * corners.weights). */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assay/plugin.h"

#define MAX_FILE_BYTES (64L << 20)
#define MAX_FEATURES 1000000
#define MAX_CLASSES 100000

/* ---- 1. the model: immutable after open, shared by all sessions --------------------------------- */

struct assay_model {
    int64_t n_features, n_classes;
    double lo, hi, scale;
    char *text;     /* the file; columns and labels point into it */
    char **columns; /* n_features */
    char **labels;  /* n_classes */
    float *weights; /* (n_classes, n_features + 1), the bias last */
};

/* A session holds whatever one thread needs for itself. Here: scratch of one example. */
struct assay_session {
    const assay_model *model;
    double *z, *p; /* n_classes each */
};

/* Errors are a status and a sentence in the caller's buffer; err may be NULL. */
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

/* ---- reading the file: it may be anything, so every number is checked before it is used ---------- */

typedef struct reader {
    const char *path;
    char *at;
    int line, next_line; /* of the last word; of `at` */
} reader;

/* The next word, NUL-terminated in place, or NULL at the end. */
static char *next_word(reader *r) {
    for (; *r->at != '\0' && strchr(" \t\r\n#", *r->at) != NULL; r->at++) {
        if (*r->at == '#') {
            r->at += strcspn(r->at, "\n");
        }
        if (*r->at == '\n') {
            r->next_line++;
        } else if (*r->at == '\0') {
            break;
        }
    }
    r->line = r->next_line;
    if (*r->at == '\0') {
        return NULL;
    }
    char *word = r->at;
    r->at += strcspn(r->at, " \t\r\n");
    if (*r->at != '\0') {
        r->next_line += *r->at == '\n';
        *r->at++ = '\0';
    }
    return word;
}

static assay_status expect(reader *r, const char *keyword, assay_error *err) {
    const char *word = next_word(r);
    if (word == NULL || strcmp(word, keyword) != 0) {
        return fail(err, ASSAY_ERR_MODEL, "%s:%d: expected \"%s\", not \"%s\"", r->path, r->line, keyword,
                    word == NULL ? "the end" : word);
    }
    return ASSAY_OK;
}

/* A finite number within lo..hi. (The host calls with the "C" locale: strtod reads a decimal point.) */
static assay_status number(reader *r, double lo, double hi, double *out, assay_error *err) {
    char *word = next_word(r);
    char *end = word;
    double v = word == NULL ? 0 : strtod(word, &end);
    if (word == NULL || end == word || *end != '\0' || !(v >= lo && v <= hi)) {
        return fail(err, ASSAY_ERR_MODEL, "%s:%d: expected a number from %g to %g, not \"%s\"", r->path, r->line, lo,
                    hi, word == NULL ? "the end" : word);
    }
    *out = v;
    return ASSAY_OK;
}

static assay_status count(reader *r, const char *keyword, double max, int64_t *out, assay_error *err) {
    double v = 0;
    assay_status s = expect(r, keyword, err);
    s = s == ASSAY_OK ? number(r, 1, max, &v, err) : s;
    *out = (int64_t)v;
    if (s == ASSAY_OK && (double)*out != v) {
        s = fail(err, ASSAY_ERR_MODEL, "%s:%d: %s must be a whole number", r->path, r->line, keyword);
    }
    return s;
}

static assay_status names(reader *r, const char *keyword, int64_t n, char **out, assay_error *err) {
    assay_status s = expect(r, keyword, err);
    for (int64_t i = 0; s == ASSAY_OK && i < n; i++) {
        out[i] = next_word(r);
        if (out[i] == NULL) {
            s = fail(err, ASSAY_ERR_MODEL, "%s:%d: the file ends within %s", r->path, r->line, keyword);
        }
    }
    return s;
}

/* The whole file as text; NULL with an error. */
static char *slurp(const char *path, size_t *n, assay_error *err) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        (void)fail(err, ASSAY_ERR_IO, "%s: %s", path, strerror(errno));
        return NULL;
    }
    long size = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    char *text = NULL;
    if (size < 0 || size > MAX_FILE_BYTES || fseek(f, 0, SEEK_SET) != 0) {
        (void)fail(err, ASSAY_ERR_IO, "%s: not a file of at most %ld bytes", path, MAX_FILE_BYTES);
    } else if ((text = malloc((size_t)size + 1)) == NULL) {
        (void)fail(err, ASSAY_ERR_MEMORY, "%s: no memory for %ld bytes", path, size);
    } else if (fread(text, 1, (size_t)size, f) != (size_t)size || memchr(text, 0, (size_t)size) != NULL) {
        (void)fail(err, ASSAY_ERR_IO, "%s: cannot be read as text", path);
        free(text);
        text = NULL;
    } else {
        text[size] = '\0';
        *n = (size_t)size;
    }
    (void)fclose(f);
    return text;
}

static assay_status read_weights(reader *r, assay_model *m, assay_error *err) {
    assay_status s = expect(r, "weights", err);
    size_t n = (size_t)(m->n_classes * (m->n_features + 1));
    for (size_t i = 0; s == ASSAY_OK && i < n; i++) {
        double v = 0;
        s = number(r, -1e30, 1e30, &v, err);
        m->weights[i] = (float)v;
    }
    if (s == ASSAY_OK && next_word(r) != NULL) {
        s = fail(err, ASSAY_ERR_MODEL, "%s:%d: more numbers than %lld x (%lld + 1)", r->path, r->line,
                 (long long)m->n_classes, (long long)m->n_features);
    }
    return s;
}

static assay_status parse(assay_model *m, const char *path, size_t n_bytes, assay_error *err) {
    reader r = {path, m->text, 1, 1};
    double version = 0;
    assay_status s = expect(&r, "skeleton-weights", err);
    s = s == ASSAY_OK ? number(&r, 1, 1, &version, err) : s;
    s = s == ASSAY_OK ? count(&r, "features", MAX_FEATURES, &m->n_features, err) : s;
    s = s == ASSAY_OK ? count(&r, "classes", MAX_CLASSES, &m->n_classes, err) : s;
    s = s == ASSAY_OK ? expect(&r, "range", err) : s;
    s = s == ASSAY_OK ? number(&r, -1e30, 1e30, &m->lo, err) : s;
    s = s == ASSAY_OK ? number(&r, -1e30, 1e30, &m->hi, err) : s;
    if (s != ASSAY_OK) {
        return s;
    }
    /* Never allocate what the file cannot hold: a number takes two bytes at least, with its separator. */
    size_t n_weights = (size_t)(m->n_classes * (m->n_features + 1));
    if (n_weights > n_bytes / 2 || !(m->lo < m->hi)) {
        return fail(err, ASSAY_ERR_MODEL, "%s: the range is empty, or the file is too short for %lld x %lld weights",
                    path, (long long)m->n_classes, (long long)m->n_features);
    }
    m->columns = calloc((size_t)m->n_features, sizeof *m->columns);
    m->labels = calloc((size_t)m->n_classes, sizeof *m->labels);
    m->weights = malloc(n_weights * sizeof *m->weights);
    if (m->columns == NULL || m->labels == NULL || m->weights == NULL) {
        return fail(err, ASSAY_ERR_MEMORY, "%s: no memory for the weights", path);
    }
    s = names(&r, "columns", m->n_features, m->columns, err);
    s = s == ASSAY_OK ? names(&r, "labels", m->n_classes, m->labels, err) : s;
    return s == ASSAY_OK ? read_weights(&r, m, err) : s;
}

/* ---- open and close ----------------------------------------------------------------------------- */

/* An unknown option is an error that names the known ones: a typo must not pass in silence. */
static assay_status set_options(assay_model *m, const assay_open_args *args, assay_error *err) {
    m->scale = 1;
    for (uint32_t i = 0; i < args->n_options; i++) {
        const assay_option *o = &args->options[i];
        if (o->key == NULL || o->value == NULL || strcmp(o->key, "scale") != 0) {
            return fail(err, ASSAY_ERR_ARGUMENT, "unknown option \"%s\"; known is: scale",
                        o->key == NULL ? "" : o->key);
        }
        char *end = NULL;
        m->scale = strtod(o->value, &end);
        if (end == o->value || *end != '\0' || !isfinite(m->scale)) {
            return fail(err, ASSAY_ERR_ARGUMENT, "scale: \"%s\" is not a number", o->value);
        }
    }
    return ASSAY_OK;
}

static void model_close(assay_model *m) {
    if (m != NULL) {
        free(m->text);
        free(m->columns);
        free(m->labels);
        free(m->weights);
        free(m);
    }
}

static assay_status model_open(const assay_open_args *args, assay_model **model, assay_error *err) {
    *model = NULL;
    if (args == NULL || args->struct_size < sizeof *args || (args->n_options > 0 && args->options == NULL)) {
        return fail(err, ASSAY_ERR_ARGUMENT, "open: incomplete arguments");
    }
    if (args->path == NULL) {
        return fail(err, ASSAY_ERR_ARGUMENT, "open: a model file is needed");
    }
    assay_model *m = calloc(1, sizeof *m);
    if (m == NULL) {
        return fail(err, ASSAY_ERR_MEMORY, "no memory for a model");
    }
    size_t n = 0;
    assay_status s = set_options(m, args, err);
    if (s == ASSAY_OK && (m->text = slurp(args->path, &n, err)) == NULL) {
        s = ASSAY_ERR_IO;
    }
    s = s == ASSAY_OK ? parse(m, args->path, n, err) : s;
    if (s != ASSAY_OK) {
        model_close(m); /* nothing is left behind */
        return s;
    }
    *model = m;
    return ASSAY_OK;
}

static void session_close(assay_session *s) {
    if (s != NULL) {
        free(s->z);
        free(s->p);
        free(s);
    }
}

/* args->tile and n_threads are hints for plug-ins whose kernels depend on the batch: forward() below computes each
 * example by itself, so the result can depend on neither. */
static assay_status session_open(assay_model *model, const assay_session_args *args, assay_session **session,
                                 assay_error *err) {
    *session = NULL;
    if (model == NULL || args == NULL || args->struct_size < sizeof *args) {
        return fail(err, ASSAY_ERR_ARGUMENT, "session_open: incomplete arguments");
    }
    assay_session *s = calloc(1, sizeof *s);
    if (s != NULL) {
        s->model = model;
        s->z = calloc((size_t)model->n_classes, sizeof *s->z);
        s->p = calloc((size_t)model->n_classes, sizeof *s->p);
    }
    if (s == NULL || s->z == NULL || s->p == NULL) {
        session_close(s);
        return fail(err, ASSAY_ERR_MEMORY, "no memory for a session");
    }
    *session = s;
    return ASSAY_OK;
}

/* ---- 2. assay.io/1: the ports ------------------------------------------------------------------- */

static uint32_t n_ports(const assay_model *m, uint32_t direction) {
    (void)m;
    return direction == ASSAY_DIRECTION_INPUT ? 1 : direction == ASSAY_DIRECTION_OUTPUT ? 2 : 0;
}

static assay_status port(const assay_model *m, uint32_t direction, uint32_t i, assay_port *p, assay_error *err) {
    if (m == NULL || i >= n_ports(m, direction) || p == NULL || p->struct_size < sizeof *p) {
        return fail(err, ASSAY_ERR_ARGUMENT, "port: no such port");
    }
    int input = direction == ASSAY_DIRECTION_INPUT;
    p->kind = input ? ASSAY_PORT_FEATURES : i == 0 ? ASSAY_PORT_LOGITS : ASSAY_PORT_PROBABILITIES;
    p->name = input ? "input" : i == 0 ? "logits" : "probabilities";
    p->dtype = ASSAY_F32;
    p->n_dims = 2;
    p->shape[0] = -1; /* any batch */
    p->shape[1] = input ? m->n_features : m->n_classes;
    p->range_lo = input ? m->lo : -INFINITY; /* the RAW range: before `scale` */
    p->range_hi = input ? m->hi : INFINITY;
    return ASSAY_OK;
}

/* ---- 3. assay.predict/1 ------------------------------------------------------------------------- */

/* One example: x (n_features) -> s->z, s->p (n_classes). Double accumulators in a fixed order. */
static void forward(assay_session *s, const float *x) {
    const assay_model *m = s->model;
    double top = -INFINITY;
    double sum = 0;
    for (int64_t k = 0; k < m->n_classes; k++) {
        const float *w = m->weights + k * (m->n_features + 1);
        double z = (double)w[m->n_features];
        for (int64_t j = 0; j < m->n_features; j++) {
            z += (double)w[j] * (m->scale * (double)x[j]);
        }
        s->z[k] = z;
        top = z > top ? z : top;
    }
    for (int64_t k = 0; k < m->n_classes; k++) {
        s->p[k] = exp(s->z[k] - top);
        sum += s->p[k];
    }
    for (int64_t k = 0; k < m->n_classes; k++) {
        s->p[k] /= sum;
    }
}

/* A tensor of `batch` x `width` float32? The host checks too, but a plug-in may meet other hosts. */
static int fits(const assay_tensor *t, int64_t batch, int64_t width) {
    return t->struct_size >= sizeof *t && t->dtype == ASSAY_F32 && t->n_dims == 2 && t->shape[0] == batch &&
           t->shape[1] == width &&
           (t->data == NULL || t->size_bytes == (uint64_t)batch * (uint64_t)width * sizeof(float));
}

/* The batch size of a call, or 0 with an error. `outs` are the outputs or the cotangents. */
static int64_t check_call(const assay_session *s, const assay_tensor *in, uint32_t n_in, const assay_tensor *outs,
                          uint32_t n_out, assay_error *err) {
    if (s == NULL || in == NULL || n_in != 1 || outs == NULL || n_out != 2 || in->struct_size < sizeof *in) {
        (void)fail(err, ASSAY_ERR_ARGUMENT, "one input and two outputs are needed");
        return 0;
    }
    int64_t n = in->shape[0];
    const assay_model *m = s->model;
    if (n < 1 || n > INT32_MAX || in->data == NULL || !fits(in, n, m->n_features) || !fits(&outs[0], n, m->n_classes) ||
        !fits(&outs[1], n, m->n_classes)) {
        (void)fail(err, ASSAY_ERR_ARGUMENT, "a tensor's dtype, shape or size does not fit its port");
        return 0;
    }
    return n;
}

/* An output whose data is NULL is not wanted. */
static void store(assay_tensor *t, int64_t i, const double *v, int64_t n) {
    float *out = t->data;
    for (int64_t k = 0; out != NULL && k < n; k++) {
        out[i * n + k] = (float)v[k];
    }
}

static assay_status predict(assay_session *s, const assay_tensor *in, uint32_t n_in, assay_tensor *out, uint32_t n_out,
                            assay_error *err) {
    int64_t n = check_call(s, in, n_in, out, n_out, err);
    for (int64_t i = 0; i < n; i++) {
        forward(s, (const float *)in->data + i * s->model->n_features);
        store(&out[0], i, s->z, s->model->n_classes);
        store(&out[1], i, s->p, s->model->n_classes);
    }
    return n == 0 ? ASSAY_ERR_ARGUMENT : ASSAY_OK;
}

/* ---- 4. assay.vjp/1: gradients. Leave it out if you have none: white-box attacks are then skipped -- */

/* After forward(): g (n_features) from the cotangents u of the logits and v of the probabilities (NULL counts as 0).
 *     dz[k] = u[k] + p[k] * (v[k] - sum_l v[l] p[l])        the softmax's own vjp
 *     g[j]  = scale * sum_k dz[k] * weight[k][j]            with respect to the RAW input */
static void backward(const assay_session *s, const float *u, const float *v, float *g) {
    const assay_model *m = s->model;
    double mean = 0;
    for (int64_t k = 0; v != NULL && k < m->n_classes; k++) {
        mean += (double)v[k] * s->p[k];
    }
    for (int64_t j = 0; j < m->n_features; j++) {
        double sum = 0;
        for (int64_t k = 0; k < m->n_classes; k++) {
            double dz = (u == NULL ? 0 : (double)u[k]) + (v == NULL ? 0 : s->p[k] * ((double)v[k] - mean));
            sum += dz * (double)m->weights[k * (m->n_features + 1) + j];
        }
        g[j] = (float)(m->scale * sum);
    }
}

static assay_status vjp(assay_session *s, const assay_tensor *in, uint32_t n_in, const assay_tensor *cotangents,
                        uint32_t n_out, assay_tensor *outputs, assay_tensor *gradients, uint32_t mode,
                        assay_error *err) {
    int64_t n = check_call(s, in, n_in, cotangents, n_out, err);
    if (n == 0 || (outputs != NULL && check_call(s, in, n_in, outputs, n_out, err) == 0)) {
        return ASSAY_ERR_ARGUMENT;
    }
    const assay_model *m = s->model;
    if (mode > ASSAY_VJP_STRAIGHT_THROUGH || gradients == NULL || gradients->data == NULL ||
        !fits(gradients, n, m->n_features)) {
        return fail(err, ASSAY_ERR_ARGUMENT, "unknown mode, or the gradient does not fit the input");
    }
    const float *u = cotangents[0].data;
    const float *v = cotangents[1].data;
    for (int64_t i = 0; i < n; i++) {
        forward(s, (const float *)in->data + i * m->n_features);
        backward(s, u == NULL ? NULL : u + i * m->n_classes, v == NULL ? NULL : v + i * m->n_classes,
                 (float *)gradients->data + i * m->n_features);
        if (outputs != NULL) {
            store(&outputs[0], i, s->z, m->n_classes);
            store(&outputs[1], i, s->p, m->n_classes);
        }
    }
    return ASSAY_OK;
}

/* ---- assay.labels/1 and assay.cost/1: optional, but reports are better with them ----------------- */

static uint32_t n_labels(const assay_model *m) {
    return (uint32_t)m->n_classes;
}

static const char *label(const assay_model *m, uint32_t i) {
    return i < n_labels(m) ? m->labels[i] : NULL;
}

static uint32_t n_columns(const assay_model *m) {
    return (uint32_t)m->n_features;
}

static const char *column(const assay_model *m, uint32_t i) {
    return i < n_columns(m) ? m->columns[i] : NULL;
}

static assay_status cost(const assay_model *m, assay_cost_info *info, assay_error *err) {
    if (m == NULL || info == NULL || info->struct_size < sizeof *info) {
        return fail(err, ASSAY_ERR_ARGUMENT, "cost: incomplete arguments");
    }
    uint64_t n = (uint64_t)(m->n_classes * (m->n_features + 1));
    info->n_params = n;
    info->n_params_zero = 0;
    for (uint64_t i = 0; i < n; i++) {
        info->n_params_zero += m->weights[i] == 0;
    }
    info->n_macs = (uint64_t)(m->n_classes * m->n_features);
    info->weight_bytes = n * sizeof(float);
    info->weight_bits = 32;
    info->peak_bytes = (uint64_t)(m->n_features + 2 * m->n_classes) * sizeof(float);
    return ASSAY_OK;
}

/* ---- 5. what assay finds: entry -> model api -> capabilities ------------------------------------- */

/* An unknown id gives NULL. That is how old plug-ins meet new hosts. */
static const void *capability(const assay_model *m, const char *id) {
    static const assay_io io = {.struct_size = sizeof io, .n_ports = n_ports, .port = port};
    static const assay_predict p = {.struct_size = sizeof p, .predict = predict};
    static const assay_vjp v = {.struct_size = sizeof v,
                                .modes = 1u << ASSAY_VJP_EXACT | 1u << ASSAY_VJP_LEAKY |
                                         1u << ASSAY_VJP_STRAIGHT_THROUGH, /* smooth: all modes are the same */
                                .vjp = vjp};
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

/* Called once before anything else; host->log is the place for messages, never stdout. */
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
    .name = "skeleton",
    .version = "1.0.0", /* raise it whenever a result bit may change */
    .description = "a linear softmax classifier, the plug-in to copy",
    .init = init,
    .deinit = deinit,
    .get_api = get_api,
};
