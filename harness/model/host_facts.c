/* SPDX-License-Identifier: Apache-2.0
 * What a plug-in says of a model and its file beyond what running it needs: layers, memory, facts. */
#include <string.h>

#include "model/host_internal.h"

#define MAX_TEXT 1024u
#define MAX_FACTS (1u << 20)

/* A copy of the plug-in's text, cut to MAX_TEXT bytes of valid UTF-8 without control characters; NULL for NULL. */
static const char *copy_text(arena *a, const char *s) {
    if (s == NULL) {
        return NULL;
    }
    char *copy = arena_strndup(a, s, str_utf8_valid(s, strnlen(s, MAX_TEXT - 1)));
    str_make_printable(copy, "");
    return copy;
}

static status incomplete(const plugin *p, const char *id, error *err) {
    return error_set(err, STATUS_MODEL, "plug-in \"%s\": %s is incomplete", p->entry.name, id);
}

status model_layers(const model *m, arena *a, assay_layer_info **out, size_t *n, error *err) {
    plugin *p = m->plugin;
    const void *table = model_capability(m, ASSAY_LAYERS_1);
    assay_layers t;
    *n = 0;
    if (table == NULL) {
        return STATUS_OK;
    }
    if (!host_copy_table(table, &t, sizeof t, host_table_min(ASSAY_LAYERS_1)) || t.n_layers == NULL ||
        t.layer == NULL) {
        return incomplete(p, ASSAY_LAYERS_1, err);
    }
    guard_state g;
    guard_enter(&g);
    uint32_t count = t.n_layers(m->raw);
    host_note(p, guard_leave(&g), "n_layers");
    if (count > HOST_MAX_LAYERS) {
        return error_set(err, STATUS_MODEL, "plug-in \"%s\": %u layers are more than 2^20", p->entry.name, count);
    }
    *out = arena_alloc(a, count * sizeof **out);
    for (uint32_t i = 0; i < count; i++) {
        host_error e;
        host_error_init(&e);
        assay_layer_info *l = &(*out)[i];
        *l = (assay_layer_info){.struct_size = sizeof *l};
        guard_enter(&g);
        assay_status rc = t.layer(m->raw, i, l, &e.e);
        host_note(p, guard_leave(&g), "layer");
        TRY(host_status(p, rc, &e, "layer", STATUS_MODEL, err));
        l->name = copy_text(a, l->name);
        l->op = copy_text(a, l->op);
        if (l->name == NULL || l->op == NULL || l->n_dims > ASSAY_MAX_DIMS) {
            return error_set(err, STATUS_MODEL, "plug-in \"%s\": layer %u has no name, no operator or a wrong shape",
                             p->entry.name, i);
        }
    }
    *n = count;
    return STATUS_OK;
}

status model_embeddings(const model *m, arena *a, model_embedding **out, size_t *n, error *err) {
    plugin *p = m->plugin;
    const void *table = model_capability(m, ASSAY_EMBED_1);
    assay_embed t;
    *n = 0;
    if (table == NULL) {
        return STATUS_OK;
    }
    if (!host_copy_table(table, &t, sizeof t, host_table_min(ASSAY_EMBED_1)) || t.n_layers == NULL ||
        t.layer_name == NULL || t.layer_size == NULL) {
        return incomplete(p, ASSAY_EMBED_1, err);
    }
    guard_state g;
    guard_enter(&g);
    uint32_t count = t.n_layers(m->raw);
    count = count < HOST_MAX_LAYERS ? count : HOST_MAX_LAYERS;
    *out = arena_alloc(a, count * sizeof **out);
    for (uint32_t i = 0; i < count; i++) {
        const char *name = t.layer_name(m->raw, i);
        if (name != NULL) {
            model_embedding *e = &(*out)[(*n)++];
            e->size = t.layer_size(m->raw, name);
            e->alias_of = t.layer_alias_of == NULL ? NULL : copy_text(a, t.layer_alias_of(m->raw, name));
            e->name = copy_text(a, name);
        }
    }
    host_note(p, guard_leave(&g), "embed");
    return STATUS_OK;
}

uint32_t model_n_ports(const model *m, uint32_t direction) {
    return direction == ASSAY_DIRECTION_INPUT ? m->n_in : m->n_out;
}

const assay_port *model_port(const model *m, uint32_t direction, uint32_t i) {
    return direction == ASSAY_DIRECTION_INPUT ? &m->in[i].port : &m->out[i].port;
}

uint32_t model_vjp_modes(const model *m) {
    return m->vjp.vjp == NULL ? 0 : m->vjp.modes;
}

status model_memory(const model *m, const session_options *o, uint64_t batch, arena *a, assay_memory_info *out,
                    error *err) {
    plugin *p = m->plugin;
    const void *table = model_capability(m, ASSAY_MEMORY_1);
    assay_memory t;
    if (table == NULL) {
        return error_set(err, STATUS_UNSUPPORTED, "the model lacks %s", ASSAY_MEMORY_1);
    }
    if (!host_copy_table(table, &t, sizeof t, host_table_min(ASSAY_MEMORY_1)) || t.memory == NULL) {
        return incomplete(p, ASSAY_MEMORY_1, err);
    }
    assay_session_args args = {.struct_size = sizeof args,
                               .tile = o->tile,
                               .n_threads = o->n_threads,
                               .flags = o->unpadded ? ASSAY_SESSION_UNPADDED : 0};
    guard_state g;
    host_error e;
    host_error_init(&e);
    *out = (assay_memory_info){.struct_size = sizeof *out};
    guard_enter(&g);
    assay_status rc = t.memory(m->raw, &args, batch, out, &e.e);
    host_note(p, guard_leave(&g), "memory");
    TRY(host_status(p, rc, &e, "memory", STATUS_MODEL, err));
    out->reason = copy_text(a, out->reason);
    return STATUS_OK;
}

/* ---- facts -------------------------------------------------------------------------------------- */

typedef struct fact_list {
    arena *a;
    model_fact *v;
    size_t n, cap;
} fact_list;

static void add_fact(void *context, const char *key, const char *value) {
    fact_list *l = context;
    if (key == NULL || value == NULL || l->n == MAX_FACTS) {
        return;
    }
    l->v = mem_grow(l->v, &l->cap, l->n + 1, sizeof *l->v);
    l->v[l->n++] = (model_fact){copy_text(l->a, key), copy_text(l->a, value)};
}

status plugin_inspect(plugin *p, const char *path, arena *a, model_fact **out, size_t *n, error *err) {
    *n = 0;
    guard_state g;
    guard_enter(&g);
    const void *table = p->entry.get_api(ASSAY_INSPECT_1);
    host_note(p, guard_leave(&g), "get_api");
    assay_inspect t;
    if (table == NULL) {
        return error_set(err, STATUS_UNSUPPORTED, "plug-in \"%s\" lacks %s", p->entry.name, ASSAY_INSPECT_1);
    }
    if (!host_copy_table(table, &t, sizeof t, host_table_min(ASSAY_INSPECT_1)) || t.inspect == NULL) {
        return incomplete(p, ASSAY_INSPECT_1, err);
    }
    assay_open_args args = {.struct_size = sizeof args, .path = path};
    fact_list l = {.a = a};
    host_error e;
    host_error_init(&e);
    guard_enter(&g);
    assay_status rc = t.inspect(&args, add_fact, &l, &e.e);
    host_note(p, guard_leave(&g), "inspect");
    if (l.n > 0) {
        *out = arena_alloc(a, l.n * sizeof **out);
        memcpy(*out, l.v, l.n * sizeof **out);
        *n = l.n;
    }
    mem_free(l.v);
    return host_status(p, rc, &e, "inspect", STATUS_MODEL, err);
}
