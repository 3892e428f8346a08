/* SPDX-License-Identifier: Apache-2.0
 * One block for activations, with reuse as soon as a value has been read for the last time (never in a plan for
 * gradients: backward reads them all), and one for gradients. A view shares the places of its root. */
#include <inttypes.h>
#include <string.h>

#include "input.h"
#include "plan_build.h"
#include "pool.h"

static size_t tensor_bytes(const ox_tensor *t) {
    return t->n * ox_dtype_bytes(t->dtype); /* no overflow: ox_set_shape */
}

/* The limit of activations, and again of gradients, at the plan's batch. */
static size_t limit_bytes(const ox_plan *p) {
    size_t n = 0;
    return mem_mul(OX_MAX_EXAMPLE_BYTES, (size_t)p->batch, &n) && n < OX_MAX_PLAN_BYTES ? n : OX_MAX_PLAN_BYTES;
}

static status too_large(const ox_builder *b, const char *what) {
    return error_set(b->err, STATUS_UNSUPPORTED, "%s: %s at batch %" PRId64 " need more than %zu bytes", b->g->file,
                     what, b->p->batch, limit_bytes(b->p));
}

static size_t root_of(const ox_plan *p, const ox_tensor *t) {
    return p->root[t - p->tensors];
}

/* ---- activations -------------------------------------------------------------------------------- */

/* Offsets of buffers; `last[r]`: index of the node that reads root r last, n_nodes for what is wanted. */
typedef struct layout {
    ox_builder *b;
    pool pool;
    size_t *at;
    size_t *last;
} layout;

static bool place(layout *l, const ox_tensor *t) {
    return t == NULL || t->is_const || pool_take(&l->pool, tensor_bytes(t), &l->at[root_of(l->b->p, t)]);
}

static void drop(layout *l, const ox_tensor *t, size_t node) {
    if (t == NULL || t->is_const) {
        return;
    }
    size_t r = root_of(l->b->p, t);
    if (l->last[r] == node) {
        pool_give(&l->pool, l->at[r], tensor_bytes(t));
        l->last[r] = SIZE_MAX; /* once, also where a node reads it twice */
    }
}

static void find_last_uses(layout *l) {
    ox_plan *p = l->b->p;
    for (size_t k = 0; k < p->n_nodes; k++) {
        const ox_node *n = &p->nodes[k];
        for (size_t i = 0; i < n->n_out; i++) {
            if (n->out[i] != NULL) {
                l->last[root_of(p, n->out[i])] = k;
            }
        }
        for (size_t i = 0; i < n->n_in; i++) {
            if (n->in[i] != NULL) {
                l->last[root_of(p, n->in[i])] = k;
            }
        }
    }
    for (size_t v = 0; v < p->n_tensors; v++) {
        if (l->b->wanted[v]) {
            l->last[p->root[v]] = p->n_nodes;
        }
    }
}

static bool place_all(layout *l) {
    ox_plan *p = l->b->p;
    if (!place(l, &p->tensors[p->graph->input])) {
        return false;
    }
    for (size_t k = 0; k < p->n_nodes; k++) {
        const ox_node *n = &p->nodes[k];
        for (size_t i = 0; i < n->n_out; i++) {
            if (!place(l, n->out[i])) {
                return false;
            }
        }
        for (size_t i = 0; i < n->n_in && !p->want_vjp; i++) {
            drop(l, n->in[i], k);
        }
        for (size_t i = 0; i < n->n_out && !p->want_vjp; i++) {
            drop(l, n->out[i], k);
        }
    }
    return true;
}

static void set_data(const layout *l, ox_tensor *t) {
    if (t != NULL && !t->is_const) {
        t->data = (uint8_t *)l->b->p->activations + l->at[root_of(l->b->p, t)];
    }
}

static status allocate_activations(ox_builder *b) {
    ox_plan *p = b->p;
    layout l = {.b = b, .pool = {.limit = limit_bytes(p)}};
    l.at = arena_alloc(&p->memory, p->n_tensors * sizeof *l.at);
    l.last = arena_alloc(&p->memory, p->n_tensors * sizeof *l.last);
    find_last_uses(&l);
    bool ok = place_all(&l);
    p->n_activation_bytes = l.pool.top;
    pool_destroy(&l.pool);
    if (!ok) {
        return too_large(b, "activations");
    }
    p->activations = mem_try(p->n_activation_bytes, 1, "activations", b->err);
    if (p->activations == NULL) {
        return STATUS_MEMORY;
    }
    set_data(&l, &p->tensors[b->g->input]);
    if (b->g->input_dtype != ASSAY_F32) {
        p->input_floats = mem_try(p->tensors[b->g->input].n, sizeof(float), "examples", b->err);
        TRY(p->input_floats == NULL ? STATUS_MEMORY : STATUS_OK);
    }
    for (size_t k = 0; k < p->n_nodes; k++) {
        for (size_t i = 0; i < p->nodes[k].n_out; i++) {
            set_data(&l, p->nodes[k].out[i]);
        }
    }
    for (size_t v = 0; v < p->n_tensors; v++) {
        if (p->root[v] != v) {
            p->tensors[v].data = p->tensors[p->root[v]].data;
        }
    }
    return STATUS_OK;
}

/* ---- gradients ---------------------------------------------------------------------------------- */

/* A gradient flows to the input, and on to every output of a node that can pass one on: float values, and the
 * quantised ones between QuantizeLinear and DequantizeLinear, where it is "per quantum". By root. */
static bool *find_flow(ox_builder *b) {
    ox_plan *p = b->p;
    bool *flow = arena_alloc(&p->memory, p->n_tensors * sizeof *flow);
    flow[b->g->input] = ox_input_has_gradient(b->g->input_dtype);
    for (size_t k = 0; k < p->n_nodes; k++) {
        const ox_node *n = &p->nodes[k];
        bool any = false;
        for (size_t i = 0; i < n->n_in && !any; i++) {
            any = n->kernel->vjp != NULL && n->in[i] != NULL && flow[root_of(p, n->in[i])];
        }
        for (size_t i = 0; i < n->n_out && any; i++) {
            if (n->out[i] != NULL) {
                flow[root_of(p, n->out[i])] = true;
            }
        }
    }
    return flow;
}

static status place_gradients(ox_builder *b, const bool *flow) {
    ox_plan *p = b->p;
    pool spans = {.limit = limit_bytes(p)};
    size_t *at = arena_alloc(&p->memory, p->n_tensors * sizeof *at);
    bool ok = true;
    for (size_t v = 0; v < p->n_tensors && ok; v++) {
        size_t bytes = 0;
        ok = !flow[v] || (mem_mul(p->tensors[v].n, sizeof(float), &bytes) && pool_take(&spans, bytes, &at[v]));
    }
    p->n_gradient_bytes = spans.top;
    pool_destroy(&spans);
    if (!ok) {
        return too_large(b, "gradients");
    }
    p->gradients = mem_try(p->n_gradient_bytes, 1, "gradients", b->err);
    if (p->gradients == NULL) {
        return STATUS_MEMORY;
    }
    for (size_t v = 0; v < p->n_tensors; v++) {
        if (flow[p->root[v]]) {
            p->grads[v] = (float *)((uint8_t *)p->gradients + at[p->root[v]]);
        }
    }
    return STATUS_OK;
}

/* Does input i share its gradient with another input of the node? */
static bool read_twice(const ox_node *n, size_t i) {
    for (size_t j = 0; j < n->n_in; j++) {
        if (j != i && n->grad_in[j] == n->grad_in[i]) {
            return true;
        }
    }
    return false;
}

/* Who writes a gradient first, going backwards, may store it; all others add. What nobody can store is zeroed before,
 * as are the cotangents' places, to which the caller adds. */
static void find_first_writers(ox_builder *b, const bool *flow) {
    ox_plan *p = b->p;
    bool *seen = arena_alloc(&p->memory, p->n_tensors * sizeof *seen);
    bool *stored = arena_alloc(&p->memory, p->n_tensors * sizeof *stored);
    for (size_t v = 0; v < p->n_tensors; v++) {
        seen[p->root[v]] = seen[p->root[v]] || b->wanted[v];
    }
    for (size_t k = p->n_nodes; k-- > 0;) {
        ox_node *n = &p->nodes[k];
        bool stores = (n->kernel->flags & OX_STORES_GRADIENT) != 0 && !n->reference;
        for (size_t i = 0; i < n->n_in; i++) {
            if (n->grad_in[i] == NULL) {
                continue;
            }
            size_t r = root_of(p, n->in[i]);
            bool part = i < 2 && n->in_view[i] != NULL; /* of the tensor: others write the rest */
            n->fresh[i] = stores && !part && !seen[r] && !read_twice(n, i);
            stored[r] = stored[r] || n->fresh[i];
            seen[r] = true;
        }
    }
    p->zeroed = arena_alloc(&p->memory, p->n_tensors * sizeof *p->zeroed);
    for (size_t v = 0; v < p->n_tensors; v++) {
        if (flow[v] && !stored[v]) {
            p->zeroed[p->n_zeroed++] = (ox_span){p->grads[v], p->tensors[v].n};
        }
    }
}

static status allocate_gradients(ox_builder *b) {
    ox_plan *p = b->p;
    const bool *flow = find_flow(b);
    TRY(place_gradients(b, flow));
    for (size_t k = 0; k < p->n_nodes; k++) {
        ox_node *n = &p->nodes[k];
        for (size_t i = 0; i < n->n_in && n->kernel->vjp != NULL; i++) {
            n->grad_in[i] = n->in[i] == NULL ? NULL : p->grads[n->in[i] - p->tensors];
        }
        for (size_t i = 0; i < n->n_out; i++) {
            n->grad_out[i] = n->out[i] == NULL ? NULL : p->grads[n->out[i] - p->tensors];
        }
    }
    find_first_writers(b, flow);
    return STATUS_OK;
}

status ox_build_memory(ox_builder *b) {
    TRY(allocate_activations(b));
    return b->args->want_vjp ? allocate_gradients(b) : STATUS_OK;
}
