/* SPDX-License-Identifier: Apache-2.0
 * Tables of capabilities, and the check of every argument before anything is done with it. */
#include "api.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "input.h"
#include "inspect.h"
#include "session.h"

static const assay_host *the_host; /* from init to deinit; used for logging only */

/* ---- errors ------------------------------------------------------------------------------------- */

static assay_status code_of(status s) {
    switch (s) {
    case STATUS_OK: return ASSAY_OK;
    case STATUS_USAGE: return ASSAY_ERR_ARGUMENT;
    case STATUS_MODEL:
    case STATUS_DATA: return ASSAY_ERR_MODEL;
    case STATUS_UNSUPPORTED: return ASSAY_ERR_UNSUPPORTED;
    case STATUS_MEMORY: return ASSAY_ERR_MEMORY;
    case STATUS_IO: return ASSAY_ERR_IO;
    default: return ASSAY_ERR_INTERNAL;
    }
}

static assay_status give(status s, const error *from, assay_error *to) {
    if (s == STATUS_OK || to == NULL || to->struct_size < sizeof *to || to->capacity == 0 || to->text == NULL) {
        return code_of(s);
    }
    size_t n = strnlen(from->text, sizeof from->text);
    n = n < to->capacity ? n : to->capacity - 1;
    n = str_utf8_valid(from->text, n); /* never half a character */
    memcpy(to->text, from->text, n);
    to->text[n] = '\0';
    return code_of(s);
}

static assay_status refuse(assay_error *to, const char *why) {
    error e = {0};
    return give(error_set(&e, STATUS_USAGE, "%s", why), &e, to);
}

/* ---- tensors of a call -------------------------------------------------------------------------- */

typedef struct expected {
    const char *what;
    uint32_t n_dims;
    const int64_t *shape; /* shape[0] is ignored */
} expected;

/* A float32 tensor (batch, shape[1..]); *batch 0: the tensor decides. */
static status check_tensor(const assay_tensor *t, const expected *x, int64_t *batch, error *err) {
    if (t->struct_size < sizeof *t) {
        return error_set(err, STATUS_USAGE, "%s: struct_size is %u, not %zu", x->what, t->struct_size, sizeof *t);
    }
    if (t->dtype != ASSAY_F32 || t->data == NULL) {
        return error_set(err, STATUS_USAGE, "%s: %s", x->what, t->data == NULL ? "data is NULL" : "is not float32");
    }
    if (t->n_dims != x->n_dims) {
        return error_set(err, STATUS_USAGE, "%s: %u dimensions, not %u", x->what, t->n_dims, x->n_dims);
    }
    *batch = *batch == 0 ? t->shape[0] : *batch;
    if (t->shape[0] < 1 || t->shape[0] != *batch) {
        return error_set(err, STATUS_USAGE, "%s: batch %" PRId64 " where %" PRId64 " is needed", x->what, t->shape[0],
                         *batch < 1 ? 1 : *batch);
    }
    size_t bytes = sizeof(float);
    bool fits = mem_mul(bytes, (size_t)*batch, &bytes);
    for (uint32_t i = 1; i < x->n_dims; i++) {
        if (t->shape[i] != x->shape[i]) {
            return error_set(err, STATUS_USAGE, "%s: dimension %u is %" PRId64 ", not %" PRId64, x->what, i,
                             t->shape[i], x->shape[i]);
        }
        fits = fits && mem_mul(bytes, (size_t)x->shape[i], &bytes);
    }
    if (!fits || t->size_bytes != bytes) {
        return error_set(err, STATUS_USAGE, "%s: size_bytes is %" PRIu64 ", its shape needs %zu", x->what,
                         t->size_bytes, bytes);
    }
    return STATUS_OK;
}

static status check_input(const assay_session *s, const assay_tensor *inputs, uint32_t n_inputs, int64_t *batch,
                          error *err) {
    if (s == NULL || inputs == NULL || n_inputs != 1) {
        return error_set(err, STATUS_USAGE, "session is NULL, or not one input");
    }
    const ox_preprocess *pre = &s->model->pre;
    *batch = 0;
    return check_tensor(inputs, &(expected){"the input", pre->n_dims, pre->shape}, batch, err);
}

/* Tensors of the output ports; those without data stay NULL. */
static status check_outputs(const assay_session *s, const assay_tensor *outputs, uint32_t n, const char *kind,
                            int64_t batch, float *data[2], error *err) {
    if (outputs == NULL || n != s->model->n_ports) {
        return error_set(err, STATUS_USAGE, "%u %ss where the model has %u", n, kind, s->model->n_ports);
    }
    for (uint32_t i = 0; i < n; i++) {
        char what[160];
        const ox_port *port = &s->model->ports[i];
        (void)snprintf(what, sizeof what, "%s \"%.100s\"", kind, port->name);
        data[i] = outputs[i].data;
        if (data[i] != NULL) {
            TRY(check_tensor(&outputs[i], &(expected){what, port->n_dims, port->shape}, &batch, err));
        }
    }
    return STATUS_OK;
}

/* ---- predict, vjp, embed ------------------------------------------------------------------------ */

static assay_status predict(assay_session *s, const assay_tensor *inputs, uint32_t n_inputs, assay_tensor *outputs,
                            uint32_t n_outputs, assay_error *err) {
    error e = {0};
    int64_t batch = 0;
    float *out[2] = {NULL, NULL};
    status st = check_input(s, inputs, n_inputs, &batch, &e);
    if (st == STATUS_OK) {
        st = check_outputs(s, outputs, n_outputs, "output", batch, out, &e);
    }
    if (st == STATUS_OK) {
        st = ox_session_predict(s, inputs->data, (size_t)batch, out, &e);
    }
    return give(st, &e, err);
}

/* The tensors of set k; cotangents and gradients are checked against the input's batch. */
static status take_set(const assay_session *s, const assay_tensor *cotangents, uint32_t n_outputs,
                       const assay_tensor *gradient, int64_t batch, ox_vjp_set *set, error *err) {
    float *data[2] = {NULL, NULL};
    const ox_preprocess *pre = &s->model->pre;
    TRY(check_tensor(gradient, &(expected){"the gradient", pre->n_dims, pre->shape}, &batch, err));
    TRY(check_outputs(s, cotangents, n_outputs, "cotangent", batch, data, err));
    *set = (ox_vjp_set){{data[0], data[1]}, gradient->data};
    return STATUS_OK;
}

typedef struct vjp_call {
    const assay_tensor *inputs, *cotangents;
    assay_tensor *outputs, *gradients;
    uint32_t n_inputs, n_outputs, n_sets, mode;
} vjp_call;

static status run_vjp(assay_session *s, const vjp_call *c, error *err) {
    int64_t batch = 0;
    float *out[2] = {NULL, NULL};
    TRY(check_input(s, c->inputs, c->n_inputs, &batch, err));
    if (c->gradients == NULL || c->cotangents == NULL || c->n_sets < 1 || c->n_outputs != s->model->n_ports) {
        return error_set(err, STATUS_USAGE, "gradients or cotangents is NULL, no sets, or not %u outputs",
                         s->model->n_ports);
    }
    if (c->mode > ASSAY_VJP_STRAIGHT_THROUGH) {
        return error_set(err, STATUS_USAGE, "mode %u is unknown", c->mode);
    }
    if (c->outputs != NULL) {
        TRY(check_outputs(s, c->outputs, c->n_outputs, "output", batch, out, err));
    }
    ox_vjp_set *sets = mem_try(c->n_sets, sizeof *sets, "sets of cotangents", err);
    status st = sets == NULL ? STATUS_MEMORY : STATUS_OK;
    for (size_t k = 0; k < c->n_sets && st == STATUS_OK; k++) {
        st = take_set(s, c->cotangents + k * c->n_outputs, c->n_outputs, &c->gradients[k], batch, &sets[k], err);
    }
    if (st == STATUS_OK) {
        st = ox_session_vjp_sets(s, c->inputs->data, (size_t)batch, sets, c->n_sets, out, (assay_vjp_mode)c->mode, err);
    }
    mem_free(sets);
    return st;
}

static assay_status vjp(assay_session *s, const assay_tensor *inputs, uint32_t n_inputs, const assay_tensor *cotangents,
                        uint32_t n_outputs, assay_tensor *outputs, assay_tensor *gradients, uint32_t mode,
                        assay_error *err) {
    error e = {0};
    vjp_call c = {inputs, cotangents, outputs, gradients, n_inputs, n_outputs, 1, mode};
    return give(run_vjp(s, &c, &e), &e, err);
}

static assay_status vjp_sets(assay_session *s, const assay_tensor *inputs, uint32_t n_inputs,
                             const assay_tensor *cotangents, uint32_t n_outputs, uint32_t n_sets, assay_tensor *outputs,
                             assay_tensor *gradients, uint32_t mode, assay_error *err) {
    error e = {0};
    vjp_call c = {inputs, cotangents, outputs, gradients, n_inputs, n_outputs, n_sets, mode};
    return give(run_vjp(s, &c, &e), &e, err);
}

static uint32_t n_layers(const assay_model *m) {
    return m == NULL ? 0 : (uint32_t)m->n_layers;
}

static const char *layer_name(const assay_model *m, uint32_t i) {
    return m == NULL || i >= m->n_layers ? NULL : m->layers[i].name;
}

static uint64_t layer_size(const assay_model *m, const char *name) {
    const ox_layer *l = m == NULL || name == NULL ? NULL : ox_model_layer(m, name);
    return l == NULL ? 0 : l->n;
}

static const char *layer_alias_of(const assay_model *m, const char *name) {
    const ox_layer *l = m == NULL || name == NULL ? NULL : ox_model_layer(m, name);
    const char *own = l == NULL ? NULL : m->graph.values[l->value].name;
    return own == NULL || strcmp(own, name) == 0 ? NULL : own;
}

static status run_embed(assay_session *s, const assay_tensor *inputs, uint32_t n_inputs, const char *layer,
                        const assay_tensor *output, error *err) {
    int64_t batch = 0;
    TRY(check_input(s, inputs, n_inputs, &batch, err));
    const ox_layer *l = layer == NULL ? NULL : ox_model_layer(s->model, layer);
    if (l == NULL || output == NULL) {
        (void)error_set(err, STATUS_USAGE, "output is NULL, or there is no layer \"%.100s\"",
                        layer != NULL ? layer : "");
        return STATUS_USAGE;
    }
    int64_t shape[2] = {-1, (int64_t)l->n};
    TRY(check_tensor(output, &(expected){"the output", 2, shape}, &batch, err));
    return ox_session_embed(s, inputs->data, (size_t)batch, l, output->data, err);
}

static assay_status embed(assay_session *s, const assay_tensor *inputs, uint32_t n_inputs, const char *layer,
                          assay_tensor *output, assay_error *err) {
    error e = {0};
    return give(run_embed(s, inputs, n_inputs, layer, output, &e), &e, err);
}

/* ---- io, labels, cost --------------------------------------------------------------------------- */

static uint32_t n_ports(const assay_model *m, uint32_t direction) {
    if (m == NULL) {
        return 0;
    }
    return direction == ASSAY_DIRECTION_INPUT ? 1 : direction == ASSAY_DIRECTION_OUTPUT ? m->n_ports : 0;
}

static assay_port input_port(const assay_model *m) {
    const ox_preprocess *pre = &m->pre;
    assay_port p = {.kind = ASSAY_PORT_FEATURES, .name = m->graph.values[m->graph.input].name, .n_dims = pre->n_dims};
    memcpy(p.shape, pre->shape, sizeof p.shape);
    p.range_lo = pre->range_lo;
    p.range_hi = pre->range_hi;
    return p;
}

static assay_port output_port(const ox_port *o) {
    assay_port p = {.kind = o->kind, .name = o->name, .n_dims = o->n_dims};
    memcpy(p.shape, o->shape, sizeof p.shape);
    p.range_lo = o->kind == ASSAY_PORT_PROBABILITIES ? 0 : -INFINITY;
    p.range_hi = o->kind == ASSAY_PORT_PROBABILITIES ? 1 : INFINITY;
    return p;
}

/* Writes what fits into the host's struct. */
static void copy_out(void *to, const void *from, size_t own) {
    uint32_t theirs = 0;
    memcpy(&theirs, to, sizeof theirs);
    size_t n = theirs < own ? theirs : own;
    memcpy((char *)to + sizeof theirs, (const char *)from + sizeof theirs, n - sizeof theirs);
}

static assay_status port(const assay_model *m, uint32_t direction, uint32_t i, assay_port *out, assay_error *err) {
    if (m == NULL || out == NULL || out->struct_size < sizeof(uint32_t) || i >= n_ports(m, direction)) {
        return refuse(err, "model or port is NULL, struct_size is too small, or there is no such port");
    }
    assay_port p = direction == ASSAY_DIRECTION_INPUT ? input_port(m) : output_port(&m->ports[i]);
    p.dtype = ASSAY_F32;
    copy_out(out, &p, sizeof p);
    return ASSAY_OK;
}

static uint32_t n_labels(const assay_model *m) {
    return m == NULL ? 0 : m->n_labels;
}

static const char *label(const assay_model *m, uint32_t i) {
    return m == NULL || i >= m->n_labels ? NULL : m->labels[i];
}

static uint32_t n_columns(const assay_model *m) {
    return m == NULL ? 0 : m->n_columns;
}

static const char *column(const assay_model *m, uint32_t i) {
    return m == NULL || i >= m->n_columns ? NULL : m->columns[i];
}

static assay_status cost(const assay_model *m, assay_cost_info *info, assay_error *err) {
    if (m == NULL || info == NULL || info->struct_size < sizeof(uint32_t)) {
        return refuse(err, "model or info is NULL, or struct_size is too small");
    }
    copy_out(info, &m->cost, sizeof m->cost);
    return ASSAY_OK;
}

static uint32_t n_costs(const assay_model *m) {
    return m == NULL ? 0 : (uint32_t)m->n_costs;
}

static assay_status layer_cost(const assay_model *m, uint32_t i, assay_layer_info *info, assay_error *err) {
    if (m == NULL || info == NULL || info->struct_size < sizeof(uint32_t) || i >= m->n_costs) {
        return refuse(err, "model or layer is NULL, struct_size is too small, or there is no such layer");
    }
    copy_out(info, &m->costs[i], sizeof m->costs[i]);
    return ASSAY_OK;
}

static assay_status inspect(const assay_open_args *args,
                            void (*fact)(void *context, const char *key, const char *value), void *context,
                            assay_error *err) {
    if (args == NULL || args->struct_size < sizeof *args || args->path == NULL || fact == NULL) {
        return refuse(err, "args, path or fact is NULL, or struct_size is too small");
    }
    error e = {0};
    return give(ox_inspect(args->path, fact, context, &e), &e, err);
}

/* ---- models and sessions ------------------------------------------------------------------------ */

static void say(assay_log_level level, const char *text) {
    if (the_host != NULL && the_host->log != NULL) {
        the_host->log(the_host->context, level, text);
    }
}

static assay_status model_open(const assay_open_args *args, assay_model **model, assay_error *err) {
    if (model == NULL) {
        return refuse(err, "model is NULL");
    }
    *model = NULL;
    if (args == NULL || args->struct_size < sizeof *args || args->path == NULL ||
        (args->n_options > 0 && args->options == NULL)) {
        return refuse(err, "args or path is NULL, struct_size is too small, or options is NULL");
    }
    error e = {0};
    status s = ox_model_open(args, model, &e);
    if (s == STATUS_OK && (*model)->one_by_one) {
        char line[2200];
        (void)snprintf(line, sizeof line, "runs one example at a time: %s", (*model)->reason);
        say(ASSAY_LOG_INFO, line);
    }
    return give(s, &e, err);
}

static assay_status session_open(assay_model *m, const assay_session_args *args, assay_session **session,
                                 assay_error *err) {
    if (session == NULL) {
        return refuse(err, "session is NULL");
    }
    *session = NULL;
    if (m == NULL || args == NULL || args->struct_size < sizeof *args) {
        return refuse(err, "model or args is NULL, or struct_size is too small");
    }
    if (args->tile < 1 || args->tile > OX_MAX_TILE || args->n_threads < 1) {
        return refuse(err, "tile must be 1..1024 and n_threads at least 1");
    }
    if ((args->flags & ~ASSAY_SESSION_UNPADDED) != 0) {
        return refuse(err, "unknown flags");
    }
    *session = ox_session_open(m, args->tile, args->n_threads, (args->flags & ASSAY_SESSION_UNPADDED) != 0);
    return ASSAY_OK;
}

static assay_status memory(assay_model *m, const assay_session_args *args, uint64_t batch, assay_memory_info *info,
                           assay_error *err) {
    if (info == NULL || info->struct_size < sizeof(uint32_t) || batch < 1 || batch > UINT32_MAX) {
        return refuse(err, "info is NULL, struct_size is too small, or the batch is not in 1 to 2^32 - 1");
    }
    assay_session *s = NULL;
    assay_status st = session_open(m, args, &s, err);
    if (st != ASSAY_OK) {
        return st;
    }
    error e = {0};
    assay_memory_info own = {.struct_size = sizeof own};
    st = give(ox_session_memory(s, (size_t)batch, &own, &e), &e, err);
    if (st == ASSAY_OK) {
        copy_out(info, &own, sizeof own);
    }
    ox_session_close(s);
    return st;
}

#define ALL_MODES (1u << ASSAY_VJP_EXACT | 1u << ASSAY_VJP_LEAKY | 1u << ASSAY_VJP_STRAIGHT_THROUGH)

static const void *capability(const assay_model *m, const char *id) {
    static const assay_io io = {.struct_size = sizeof io, .n_ports = n_ports, .port = port};
    static const assay_predict predicts = {.struct_size = sizeof predicts, .predict = predict};
    static const assay_vjp vjps = {.struct_size = sizeof vjps, .modes = ALL_MODES, .vjp = vjp};
    static const assay_vjp_sets sets = {.struct_size = sizeof sets, .modes = ALL_MODES, .vjp = vjp_sets};
    static const assay_embed embeds = {.struct_size = sizeof embeds,
                                       .n_layers = n_layers,
                                       .layer_name = layer_name,
                                       .layer_size = layer_size,
                                       .embed = embed,
                                       .layer_alias_of = layer_alias_of};
    static const assay_labels labels = {
        .struct_size = sizeof labels, .n_labels = n_labels, .label = label, .n_columns = n_columns, .column = column};
    static const assay_cost costs = {.struct_size = sizeof costs, .cost = cost};
    static const assay_layers nodes = {.struct_size = sizeof nodes, .n_layers = n_costs, .layer = layer_cost};
    static const assay_memory memories = {.struct_size = sizeof memories, .memory = memory};
    const struct {
        const char *id;
        const void *table;
        bool there;
    } all[] = {
        {ASSAY_IO_1, &io, true},
        {ASSAY_PREDICT_1, &predicts, true},
        {ASSAY_VJP_1, &vjps, m != NULL && ox_input_has_gradient(m->graph.input_dtype)},
        {ASSAY_VJP_2, &sets, m != NULL && ox_input_has_gradient(m->graph.input_dtype)},
        {ASSAY_EMBED_1, &embeds, m != NULL && m->n_layers > 0},
        {ASSAY_LABELS_1, &labels, m != NULL && m->n_labels + m->n_columns > 0},
        {ASSAY_COST_1, &costs, true},
        {ASSAY_LAYERS_1, &nodes, true},
        {ASSAY_MEMORY_1, &memories, true},
    };
    for (size_t i = 0; m != NULL && id != NULL && i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(all[i].id, id) == 0) {
            return all[i].there ? all[i].table : NULL;
        }
    }
    return NULL;
}

assay_status ox_api_init(const assay_host *host, assay_error *err) {
    if (host == NULL || host->struct_size < sizeof *host || host->abi_version != ASSAY_ABI_VERSION) {
        return refuse(err, "the host is NULL, too old, or of another ABI version");
    }
    the_host = host;
    return ASSAY_OK;
}

void ox_api_deinit(void) {
    the_host = NULL;
}

const void *ox_api_get(const char *id) {
    static const assay_model_api models = {.struct_size = sizeof models,
                                           .open = model_open,
                                           .close = ox_model_close,
                                           .session_open = session_open,
                                           .session_close = ox_session_close,
                                           .capability = capability};
    static const assay_environment environment = {.struct_size = sizeof environment,
                                                  .describe = ox_environment_describe};
    static const assay_inspect inspector = {.struct_size = sizeof inspector, .inspect = inspect};
    if (id == NULL) {
        return NULL;
    }
    if (strcmp(id, ASSAY_MODEL_1) == 0) {
        return &models;
    }
    if (strcmp(id, ASSAY_INSPECT_1) == 0) {
        return &inspector;
    }
    return strcmp(id, ASSAY_ENVIRONMENT_1) == 0 ? &environment : NULL;
}
