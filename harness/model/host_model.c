/* SPDX-License-Identifier: Apache-2.0
 * Models: open, ports, labels and columns, capabilities, the binding to a dataset's columns. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/host_internal.h"

#define MAX_TEXT 1024u

size_t host_dtype_bytes(uint32_t dtype) {
    switch (dtype) {
    case ASSAY_U8:
    case ASSAY_I8:
    case ASSAY_BOOL: return 1;
    case ASSAY_F32:
    case ASSAY_I32: return 4;
    case ASSAY_I64:
    case ASSAY_F64: return 8;
    default: return 0;
    }
}

size_t host_table_min(const char *id) {
    static const struct {
        const char *id;
        size_t min;
    } tables[] = {
        {ASSAY_MODEL_1, offsetof(assay_model_api, capability) + sizeof(void *)},
        {ASSAY_ENVIRONMENT_1, offsetof(assay_environment, describe) + sizeof(void *)},
        {ASSAY_IO_1, offsetof(assay_io, port) + sizeof(void *)},
        {ASSAY_PREDICT_1, offsetof(assay_predict, predict) + sizeof(void *)},
        {ASSAY_VJP_1, offsetof(assay_vjp, vjp) + sizeof(void *)},
        {ASSAY_VJP_2, offsetof(assay_vjp_sets, vjp) + sizeof(void *)},
        {ASSAY_EMBED_1, offsetof(assay_embed, embed) + sizeof(void *)},
        {ASSAY_LABELS_1, offsetof(assay_labels, column) + sizeof(void *)},
        {ASSAY_COST_1, offsetof(assay_cost, cost) + sizeof(void *)},
        {ASSAY_LAYERS_1, offsetof(assay_layers, layer) + sizeof(void *)},
        {ASSAY_MEMORY_1, offsetof(assay_memory, memory) + sizeof(void *)},
        {ASSAY_INSPECT_1, offsetof(assay_inspect, inspect) + sizeof(void *)},
        {ASSAY_TEXT_1, offsetof(assay_text, predict_text) + sizeof(void *)},
    };
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (strcmp(tables[i].id, id) == 0) {
            return tables[i].min;
        }
    }
    return sizeof(uint32_t);
}

/* The plug-in's table, or NULL; not looked into. */
static const void *ask(const model *m, const char *id) {
    guard_state g;
    guard_enter(&g);
    const void *table = m->plugin->api.capability(m->raw, id);
    host_note(m->plugin, guard_leave(&g), "capability");
    return table;
}

const void *model_capability(const model *m, const char *capability) {
    const void *table = ask(m, capability);
    uint32_t n = 0;
    if (table != NULL) {
        memcpy(&n, table, sizeof n);
    }
    return n >= host_table_min(capability) ? table : NULL;
}

bool model_has(const model *m, const char *capability) {
    return model_capability(m, capability) != NULL;
}

/* ---- ports -------------------------------------------------------------------------------------- */

static status bad_port(const model *m, uint32_t direction, uint32_t i, error *err, const char *text) {
    return error_set(err, STATUS_MODEL, "plug-in \"%s\": %s port %u: %s", m->plugin->entry.name,
                     direction == ASSAY_DIRECTION_INPUT ? "input" : "output", i, text);
}

/* Sets n_values: the product of the dimensions after the batch, 0 if one of them is open. */
static const char *check_dims(host_port *hp) {
    const assay_port *p = &hp->port;
    size_t n = 1;
    if (p->n_dims < 1 || p->n_dims > ASSAY_MAX_DIMS) {
        return "the number of dimensions must be 1 to 8";
    }
    if (p->shape[0] != -1) {
        return "shape[0] must be -1 (any batch)";
    }
    for (uint32_t d = 1; d < p->n_dims; d++) {
        if (p->shape[d] < 1 && p->shape[d] != -1) {
            return "a dimension is zero or negative";
        }
        size_t dim = p->shape[d] < 0 ? 0 : (size_t)p->shape[d];
        if (!mem_mul(n, dim, &n) || n > HOST_MAX_FEATURES) {
            return "an example has more than 2^28 values";
        }
    }
    hp->n_values = n;
    return NULL;
}

static const char *check_port(host_port *hp, uint32_t direction) {
    const assay_port *p = &hp->port;
    size_t n = p->name == NULL ? 0 : strnlen(p->name, MAX_TEXT);
    if (n == 0 || n >= MAX_TEXT || str_utf8_valid(p->name, n) != n) {
        return "the name is missing, longer than 1,023 bytes or not UTF-8";
    }
    if (p->kind < ASSAY_PORT_FEATURES || p->kind > ASSAY_PORT_OTHER) {
        return "unknown kind";
    }
    if (host_dtype_bytes(p->dtype) == 0) {
        return "unknown dtype";
    }
    const char *wrong = check_dims(hp);
    if (wrong == NULL && direction == ASSAY_DIRECTION_INPUT && !(p->range_lo < p->range_hi)) {
        return "the range is empty or NaN";
    }
    return wrong;
}

static status read_ports(model *m, uint32_t direction, host_port *ports, uint32_t *n, error *err) {
    guard_state g;
    guard_enter(&g);
    *n = m->io.n_ports(m->raw, direction);
    host_note(m->plugin, guard_leave(&g), "n_ports");
    if (*n < 1 || *n > HOST_MAX_PORTS) {
        return error_set(err, STATUS_MODEL, "plug-in \"%s\": %u %s ports (1 to %u are possible)", m->plugin->entry.name,
                         *n, direction == ASSAY_DIRECTION_INPUT ? "input" : "output", HOST_MAX_PORTS);
    }
    for (uint32_t i = 0; i < *n; i++) {
        host_error e;
        host_error_init(&e);
        assay_port *p = &ports[i].port;
        *p = (assay_port){.struct_size = sizeof *p};
        guard_enter(&g);
        assay_status rc = m->io.port(m->raw, direction, i, p, &e.e);
        host_note(m->plugin, guard_leave(&g), "port");
        TRY(host_status(m->plugin, rc, &e, "port", STATUS_MODEL, err));
        const char *wrong = check_port(&ports[i], direction);
        if (wrong != NULL) {
            return bad_port(m, direction, i, err, wrong);
        }
        p->name = arena_strdup(&m->arena, p->name);
    }
    return STATUS_OK;
}

/* K of an (N, K) output; trailing or leading dimensions of 1 do not matter. 0 if it is not one. */
static size_t class_count(const host_port *hp) {
    int wide = 0;
    for (uint32_t d = 1; d < hp->port.n_dims; d++) {
        wide += hp->port.shape[d] != 1;
    }
    bool flat = hp->port.dtype == ASSAY_F32 && hp->port.n_dims >= 2 && wide <= 1;
    return flat && hp->n_values <= HOST_MAX_OUTPUTS ? hp->n_values : 0;
}

/* The first LOGITS, else the first PROBABILITIES, else the first float32 (N, K). */
static status choose_output(model *m, error *err) {
    static const uint32_t order[] = {ASSAY_PORT_LOGITS, ASSAY_PORT_PROBABILITIES, 0};
    for (size_t o = 0; o < sizeof order / sizeof order[0]; o++) {
        for (uint32_t i = 0; i < m->n_out; i++) {
            uint32_t kind = m->out[i].port.kind;
            if (class_count(&m->out[i]) > 0 && (order[o] == 0 || kind == order[o])) {
                m->i_out = i;
                m->facts.n_outputs = m->out[i].n_values;
                m->facts.probabilities = kind == ASSAY_PORT_PROBABILITIES;
                m->facts.output_name = m->out[i].port.name;
                return STATUS_OK;
            }
        }
    }
    return error_set(err, STATUS_MODEL, "plug-in \"%s\": the model has no float32 output of shape (N, K)",
                     m->plugin->entry.name);
}

static status choose_input(model *m, error *err) {
    const assay_port *p = &m->in[0].port;
    if (m->n_in != 1) {
        return error_set(err, STATUS_UNSUPPORTED, "plug-in \"%s\": the model has %u inputs; one is supported",
                         m->plugin->entry.name, m->n_in);
    }
    if (p->dtype != ASSAY_F32 || p->n_dims < 2 || m->in[0].n_values == 0) {
        return error_set(err, STATUS_UNSUPPORTED,
                         "plug-in \"%s\": input \"%s\" must be float32 with at least one dimension after the batch, "
                         "all known",
                         m->plugin->entry.name, p->name);
    }
    m->facts.n_dims = p->n_dims - 1;
    memcpy(m->facts.shape, p->shape + 1, m->facts.n_dims * sizeof p->shape[0]);
    m->facts.n_features = m->facts.n_model_features = m->in[0].n_values;
    m->facts.range_lo = p->range_lo;
    m->facts.range_hi = p->range_hi;
    return STATUS_OK;
}

/* ---- capabilities at open ----------------------------------------------------------------------- */

static status read_tables(model *m, error *err) {
    const char *name = m->plugin->entry.name;
    const void *io = ask(m, ASSAY_IO_1);
    if (io == NULL || !host_copy_table(io, &m->io, sizeof m->io, host_table_min(ASSAY_IO_1)) || m->io.n_ports == NULL ||
        m->io.port == NULL) {
        return error_set(err, STATUS_MODEL, "plug-in \"%s\": the model lacks a complete %s", name, ASSAY_IO_1);
    }
    const void *predict = ask(m, ASSAY_PREDICT_1);
    if (predict != NULL &&
        (!host_copy_table(predict, &m->predict, sizeof m->predict, host_table_min(ASSAY_PREDICT_1)) ||
         m->predict.predict == NULL)) {
        return error_set(err, STATUS_MODEL, "plug-in \"%s\": %s is incomplete", name, ASSAY_PREDICT_1);
    }
    const void *vjp = ask(m, ASSAY_VJP_1);
    if (vjp != NULL &&
        (!host_copy_table(vjp, &m->vjp, sizeof m->vjp, host_table_min(ASSAY_VJP_1)) || m->vjp.vjp == NULL)) {
        return error_set(err, STATUS_MODEL, "plug-in \"%s\": %s is incomplete", name, ASSAY_VJP_1);
    }
    const void *sets = ask(m, ASSAY_VJP_2);
    if (sets != NULL && (!host_copy_table(sets, &m->vjp_sets, sizeof m->vjp_sets, host_table_min(ASSAY_VJP_2)) ||
                         m->vjp_sets.vjp == NULL || m->vjp.vjp == NULL)) {
        return error_set(err, STATUS_MODEL, "plug-in \"%s\": %s is incomplete or without %s", name, ASSAY_VJP_2,
                         ASSAY_VJP_1);
    }
    return STATUS_OK;
}

/* Copies n names; STATUS_MODEL if one is missing, too long or not UTF-8. */
static status read_names(model *m, const char *what, uint32_t n,
                         const char *(*get)(const assay_model *model, uint32_t i), const char *const **out,
                         error *err) {
    const char **names = arena_alloc(&m->arena, n * sizeof *names);
    for (uint32_t i = 0; i < n; i++) {
        const char *s = get(m->raw, i);
        size_t len = s == NULL ? 0 : strnlen(s, MAX_TEXT);
        if (s == NULL || len >= MAX_TEXT || str_utf8_valid(s, len) != len) {
            return error_set(err, STATUS_MODEL,
                             "plug-in \"%s\": %s %u is missing, longer than 1,023 bytes or not UTF-8",
                             m->plugin->entry.name, what, i);
        }
        names[i] = arena_strndup(&m->arena, s, len);
    }
    *out = names;
    return STATUS_OK;
}

static status read_labels(model *m, error *err) {
    const void *table = ask(m, ASSAY_LABELS_1);
    assay_labels t;
    if (table == NULL) {
        return STATUS_OK;
    }
    if (!host_copy_table(table, &t, sizeof t, host_table_min(ASSAY_LABELS_1)) || t.n_labels == NULL ||
        t.label == NULL || t.n_columns == NULL || t.column == NULL) {
        return error_set(err, STATUS_MODEL, "plug-in \"%s\": %s is incomplete", m->plugin->entry.name, ASSAY_LABELS_1);
    }
    uint32_t n = t.n_labels(m->raw);
    if (n > 0 && n != m->facts.n_outputs) {
        return error_set(err, STATUS_MODEL, "plug-in \"%s\": %u labels for %zu outputs", m->plugin->entry.name, n,
                         m->facts.n_outputs);
    }
    if (n > 0) {
        TRY(read_names(m, "label", n, t.label, &m->facts.labels, err));
    }
    n = t.n_columns(m->raw);
    if (n > 0 && (n != m->facts.n_features || n > HOST_MAX_NAMES)) {
        return error_set(err, STATUS_MODEL, "plug-in \"%s\": %u column names for %zu input features",
                         m->plugin->entry.name, n, m->facts.n_features);
    }
    m->facts.n_columns = n;
    return n == 0 ? STATUS_OK : read_names(m, "column", n, t.column, &m->facts.columns, err);
}

/* ---- open, close -------------------------------------------------------------------------------- */

static status call_open(model *m, const char *path, const assay_option *options, size_t n_options, error *err) {
    plugin *p = m->plugin;
    guard_state g;
    host_error e;
    host_error_init(&e);
    assay_open_args args = {
        .struct_size = sizeof args, .n_options = (uint32_t)n_options, .path = path, .options = options};
    guard_enter(&g);
    assay_status rc = p->api.open(&args, &m->raw, &e.e);
    host_note(p, guard_leave(&g), "open");
    if (rc != ASSAY_OK) {
        m->raw = NULL; /* the contract says so; what it points to cannot be trusted */
        status s = host_status(p, rc, &e, "open", STATUS_USAGE, err);
        return path == NULL || strstr(e.text, path) != NULL ? s : error_prefix(err, "%s: ", path);
    }
    if (m->raw == NULL) {
        return error_set(err, STATUS_MODEL, "plug-in \"%s\": open reports success but gives no model", p->entry.name);
    }
    return STATUS_OK;
}

status model_open(plugin *p, const char *path, const assay_option *options, size_t n_options, model **out, error *err) {
    *out = NULL;
    if (n_options > HOST_MAX_NAMES) {
        return error_set(err, STATUS_USAGE, "%zu options are too many", n_options);
    }
    model *m = mem_zalloc(sizeof *m);
    m->plugin = p;
    status s = call_open(m, path, options, n_options, err);
    if (s == STATUS_OK) {
        s = read_tables(m, err);
    }
    if (s == STATUS_OK) {
        s = read_ports(m, ASSAY_DIRECTION_INPUT, m->in, &m->n_in, err);
    }
    if (s == STATUS_OK) {
        s = read_ports(m, ASSAY_DIRECTION_OUTPUT, m->out, &m->n_out, err);
    }
    if (s == STATUS_OK) {
        s = choose_input(m, err);
    }
    if (s == STATUS_OK) {
        s = choose_output(m, err);
    }
    if (s == STATUS_OK) {
        guard_state g;
        guard_enter(&g);
        s = read_labels(m, err);
        host_note(p, guard_leave(&g), "labels");
    }
    if (s != STATUS_OK) {
        model_close(m);
        return s;
    }
    *out = m;
    return STATUS_OK;
}

void model_close(model *m) {
    if (m == NULL) {
        return;
    }
    if (m->raw != NULL) {
        guard_state g;
        guard_enter(&g);
        m->plugin->api.close(m->raw);
        host_note(m->plugin, guard_leave(&g), "close");
    }
    arena_free(&m->arena);
    mem_free(m);
}

plugin *model_plugin(const model *m) {
    return m->plugin;
}

const model_facts *model_get_facts(const model *m) {
    return &m->facts;
}

bool model_cost(const model *m, assay_cost_info *out) {
    const void *table = model_capability(m, ASSAY_COST_1);
    assay_cost t;
    if (table == NULL || !host_copy_table(table, &t, sizeof t, host_table_min(ASSAY_COST_1)) || t.cost == NULL) {
        return false;
    }
    guard_state g;
    host_error e;
    host_error_init(&e);
    *out = (assay_cost_info){.struct_size = sizeof *out};
    guard_enter(&g);
    assay_status rc = t.cost(m->raw, out, &e.e);
    host_note(m->plugin, guard_leave(&g), "cost");
    return rc == ASSAY_OK;
}

/* ---- columns and shapes ------------------------------------------------------------------------- */

status model_set_columns(model *m, const char *const *columns, size_t n, error *err) {
    if (n != m->facts.n_model_features) {
        return error_set(err, STATUS_USAGE, "%zu column names for a model of %zu input features", n,
                         m->facts.n_model_features);
    }
    const char **names = arena_alloc(&m->arena, n * sizeof *names);
    for (size_t i = 0; i < n; i++) {
        names[i] = arena_strdup(&m->arena, columns[i]);
    }
    m->facts.columns = names;
    m->facts.n_columns = n;
    return STATUS_OK;
}

static status find_column(const char *column, const char *const *names, size_t n, uint32_t *out, error *err) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], column) == 0) {
            *out = (uint32_t)i;
            return STATUS_OK;
        }
    }
    const char *near = str_nearest(column, names, n);
    return near == NULL
               ? error_set(err, STATUS_USAGE, "the model reads column \"%s\", which the dataset does not have", column)
               : error_set(err, STATUS_USAGE,
                           "the model reads column \"%s\", which the dataset does not have; did you mean "
                           "\"%s\"?",
                           column, near);
}

status model_bind_columns(model *m, const char *const *dataset_feature_names, size_t n_features, error *err) {
    if (m->facts.n_columns == 0) {
        return error_set(err, STATUS_USAGE, "the model does not name the columns that it reads: `columns` must");
    }
    if (n_features == 0 || n_features > HOST_MAX_FEATURES) {
        return error_set(err, STATUS_USAGE, "%zu dataset features cannot be bound", n_features);
    }
    uint32_t *gather = arena_alloc(&m->arena, m->facts.n_columns * sizeof *gather);
    for (size_t i = 0; i < m->facts.n_columns; i++) {
        TRY(find_column(m->facts.columns[i], dataset_feature_names, n_features, &gather[i], err));
    }
    m->gather = gather;
    m->facts.n_features = n_features;
    m->facts.n_dims = 1;
    m->facts.shape[0] = (int64_t)n_features;
    return STATUS_OK;
}

static void shape_text(const int64_t *shape, size_t n, strbuf *out) {
    strbuf_add(out, "(");
    for (size_t i = 0; i < n; i++) {
        strbuf_addf(out, "%s%lld", i > 0 ? ", " : "", (long long)shape[i]);
    }
    strbuf_add(out, ")");
}

/* Dimensions other than 1, at most ASSAY_MAX_DIMS of them. */
static size_t squeeze(const int64_t *shape, size_t n_dims, int64_t *out, size_t *product) {
    size_t n = 0;
    *product = 1;
    for (size_t i = 0; i < n_dims && n < ASSAY_MAX_DIMS; i++) {
        if (shape[i] != 1) {
            out[n++] = shape[i];
        }
        if (shape[i] < 0 || !mem_mul(*product, (size_t)shape[i], product)) {
            *product = 0;
        }
    }
    return n;
}

status model_check_shape(const model *m, const int64_t *shape, size_t n_dims, error *err) {
    int64_t a[ASSAY_MAX_DIMS];
    int64_t b[ASSAY_MAX_DIMS];
    size_t size_a = 0;
    size_t size_b = 0;
    size_t na = squeeze(m->facts.shape, m->facts.n_dims, a, &size_a);
    size_t nb = squeeze(shape, n_dims, b, &size_b);
    bool same = na == nb && memcmp(a, b, na * sizeof a[0]) == 0;
    if (size_a == size_b && (same || na <= 1 || nb <= 1)) {
        return STATUS_OK;
    }
    strbuf want = {0};
    strbuf have = {0};
    shape_text(m->facts.shape, m->facts.n_dims, &want);
    shape_text(shape, n_dims, &have);
    status s = error_set(err, STATUS_USAGE, "the model reads examples of shape %s, the dataset has %s",
                         strbuf_str(&want), strbuf_str(&have));
    strbuf_free(&want);
    strbuf_free(&have);
    return s;
}
