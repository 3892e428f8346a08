/* SPDX-License-Identifier: Apache-2.0
 * Making, running and freeing plans; the stages of making one are in plan_infer.c, rewrite.c, blocked.c and
 * plan_memory.c. */
#include "plan.h"

#include <string.h>

#include "plan_build.h"

status ox_node_error(const ox_graph *g, const char *name, const char *op, error *err) {
    if (err->code == STATUS_OK) { /* a kernel that failed without a word */
        (void)error_set(err, STATUS_INTERNAL, "failed");
    }
    return error_prefix(err, "%s: node \"%s\" (%s): ", g->file, name, op);
}

status ox_node_forward(ox_node *n, error *err) {
    bool oracle = n->reference && n->kernel->forward_reference != NULL;
    return oracle ? n->kernel->forward_reference(n, err) : n->kernel->forward(n, err);
}

void ox_node_release(ox_node *n) {
    if (n->kernel->release != NULL) {
        n->kernel->release(n);
    }
}

/* ---- making ------------------------------------------------------------------------------------- */

ox_tensor *ox_build_tensor(ox_builder *b, const char *name) {
    ox_tensor *t = &b->p->tensors[b->p->n_tensors];
    b->p->root[b->p->n_tensors] = b->p->n_tensors;
    b->p->n_tensors++;
    t->name = name;
    return t;
}

status ox_build_constant(ox_builder *b, ox_tensor *t) {
    ox_plan *p = b->p;
    size_t bytes = t->n * ox_dtype_bytes(t->dtype); /* no overflow: ox_set_shape */
    if (!mem_add(p->n_folded_bytes, bytes, &p->n_folded_bytes) || p->n_folded_bytes > OX_MAX_FOLDED_BYTES) {
        return error_set(b->err, STATUS_UNSUPPORTED, "the graph's computed constants need more than 2 GiB");
    }
    p->folded = mem_grow(p->folded, &p->cap_folded, p->n_folded + 1, sizeof *p->folded);
    t->data = mem_try(bytes, 1, "a computed constant", b->err);
    if (t->data == NULL) {
        return STATUS_MEMORY;
    }
    p->folded[p->n_folded++] = t->data;
    return STATUS_OK;
}

void ox_build_ports(ox_builder *b, ox_node *n, size_t n_in, size_t n_out) {
    arena *m = &b->p->memory;
    size_t room = n_in > OX_RESIDUAL ? n_in : OX_RESIDUAL + 1; /* rewrite.c may append */
    n->n_in = n_in;
    n->n_out = n_out;
    n->in = arena_alloc(m, room * sizeof *n->in);
    n->grad_in = arena_alloc(m, room * sizeof *n->grad_in);
    n->fresh = arena_alloc(m, room * sizeof *n->fresh);
    n->out = arena_alloc(m, n_out * sizeof *n->out);
    n->grad_out = arena_alloc(m, n_out * sizeof *n->grad_out);
}

static status prepare_all(ox_builder *b) {
    for (size_t k = 0; k < b->p->n_nodes; k++) {
        ox_node *n = &b->p->nodes[k];
        b->p->n_prepared = k + 1;
        if (n->kernel->prepare != NULL && n->kernel->prepare(n, b->args->want_vjp, b->err) != STATUS_OK) {
            return ox_node_error(b->g, n->name, n->op, b->err);
        }
    }
    return STATUS_OK;
}

static status build(ox_builder *b) {
    TRY(ox_build_shapes(b));
    if (!b->args->as_written && !b->args->reference && !b->args->unpadded) {
        TRY(ox_build_rewrite(b));
        TRY(ox_build_layouts(b));
    }
    TRY(ox_build_memory(b));
    return prepare_all(b);
}

static void reserve(ox_builder *b) {
    ox_plan *p = b->p;
    arena *m = &p->memory;
    const ox_graph *g = b->g;
    size_t n_in = 0; /* each input of a node may need a reorder, all are counted in the file */
    for (size_t k = 0; k < g->n_ops; k++) {
        n_in += g->ops[k].n_in;
    }
    size_t n = g->n_values + OX_MORE_TENSORS * g->n_ops + n_in;
    p->tensors = arena_alloc(m, n * sizeof *p->tensors);
    p->in_plan = arena_alloc(m, n * sizeof *p->in_plan);
    p->grads = arena_alloc(m, n * sizeof *p->grads);
    p->root = arena_alloc(m, n * sizeof *p->root);
    p->nodes = arena_alloc(m, (g->n_ops + n_in) * sizeof *p->nodes);
    b->needed = arena_alloc(m, g->n_ops * sizeof *b->needed);
    b->shadow = arena_alloc(m, g->n_values * sizeof *b->shadow);
    b->wanted = arena_alloc(m, n * sizeof *b->wanted);
    p->n_tensors = g->n_values;
    p->cap_tensors = n;
    for (size_t v = 0; v < g->n_values; v++) {
        p->root[v] = v;
    }
    for (size_t i = 0; i < b->args->n_wanted; i++) {
        b->wanted[b->args->wanted[i]] = true;
    }
}

status ox_plan_make(const ox_graph *g, const ox_plan_args *args, ox_plan **out, error *err) {
    *out = NULL;
    error local = {0};
    ox_plan *p = mem_zalloc(sizeof *p);
    p->graph = g;
    p->batch = args->batch;
    p->want_vjp = args->want_vjp;
    ox_builder b = {.p = p, .g = g, .args = args, .err = err != NULL ? err : &local};
    b.other = args->batch == 1 ? 2 : 1;
    reserve(&b);
    status s = build(&b);
    if (s != STATUS_OK) {
        ox_plan_free(p);
        return s;
    }
    *out = p;
    return STATUS_OK;
}

void ox_plan_free(ox_plan *p) {
    if (p == NULL) {
        return;
    }
    for (size_t k = 0; k < p->n_prepared; k++) {
        ox_node_release(&p->nodes[k]);
    }
    for (size_t i = 0; i < p->n_folded; i++) {
        mem_free(p->folded[i]);
    }
    mem_free(p->folded);
    mem_free(p->activations);
    mem_free(p->input_floats);
    mem_free(p->gradients);
    arena_free(&p->memory);
    mem_free(p);
}

/* ---- running ------------------------------------------------------------------------------------ */

status ox_plan_forward(ox_plan *p, error *err) {
    error local = {0};
    err = err != NULL ? err : &local;
    for (size_t k = 0; k < p->n_nodes; k++) {
        ox_node *n = &p->nodes[k];
        if (ox_node_forward(n, err) != STATUS_OK) {
            return ox_node_error(p->graph, n->name, n->op, err);
        }
    }
    return STATUS_OK;
}

void ox_plan_zero_gradients(ox_plan *p) {
    for (size_t i = 0; i < p->n_zeroed; i++) {
        memset(p->zeroed[i].data, 0, p->zeroed[i].n * sizeof(float));
    }
}

static bool any_gradient(const ox_node *n) {
    for (size_t i = 0; i < n->n_in; i++) {
        if (n->grad_in[i] != NULL) {
            return true;
        }
    }
    return false;
}

status ox_plan_backward(ox_plan *p, assay_vjp_mode mode, error *err) {
    error local = {0};
    err = err != NULL ? err : &local;
    for (size_t k = p->n_nodes; k-- > 0;) {
        ox_node *n = &p->nodes[k];
        const ox_kernel *kernel = n->kernel;
        if (kernel->vjp == NULL || !any_gradient(n)) {
            continue;
        }
        bool oracle = n->reference && kernel->vjp_reference != NULL;
        status s = oracle ? kernel->vjp_reference(n, mode, err) : kernel->vjp(n, mode, err);
        if (s != STATUS_OK) {
            return ox_node_error(p->graph, n->name, n->op, err);
        }
    }
    return STATUS_OK;
}

uint64_t ox_plan_macs(const ox_plan *p) {
    uint64_t total = 0;
    for (size_t k = 0; k < p->n_nodes; k++) {
        const ox_kernel *kernel = p->nodes[k].kernel;
        uint64_t macs = kernel->macs != NULL ? kernel->macs(&p->nodes[k]) : 0;
        total = total > UINT64_MAX - macs ? UINT64_MAX : total + macs;
    }
    return total;
}
