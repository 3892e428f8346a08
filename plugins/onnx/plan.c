/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <inttypes.h>
#include <string.h>

#include "pool.h"

typedef struct builder {
    ox_plan *p;
    const ox_graph *g;
    const ox_plan_args *args;
    error *err;
    bool *needed;      /* by node: an ancestor of what is wanted */
    ox_tensor *shadow; /* by value: the same graph at batch `other` */
    int64_t other;
} builder;

static status node_error(const ox_graph *g, const char *name, const char *op, error *err) {
    if (err->code == STATUS_OK) { /* a kernel that failed without a word */
        (void)error_set(err, STATUS_INTERNAL, "failed");
    }
    return error_prefix(err, "%s: node \"%s\" (%s): ", g->file, name, op);
}

/* ---- which nodes -------------------------------------------------------------------------------- */

static void mark_needed(builder *b) {
    const ox_graph *g = b->g;
    for (size_t i = 0; i < b->args->n_wanted; i++) {
        b->p->in_plan[b->args->wanted[i]] = true;
    }
    for (size_t k = g->n_ops; k-- > 0;) {
        const ox_op *op = &g->ops[k];
        for (size_t i = 0; i < op->n_out && !b->needed[k]; i++) {
            b->needed[k] = op->out[i] != OX_ABSENT && b->p->in_plan[op->out[i]];
        }
        for (size_t i = 0; i < op->n_in && b->needed[k]; i++) {
            if (op->in[i] != OX_ABSENT) {
                b->p->in_plan[op->in[i]] = true;
            }
        }
    }
}

/* ---- shapes and constants ----------------------------------------------------------------------- */

static ox_node make_node(const builder *b, const ox_op *op, ox_tensor *tensors) {
    arena *m = &b->p->memory;
    ox_node n = {.name = op->name,
                 .op = op->op,
                 .opset = op->opset,
                 .attrs = op->attrs,
                 .n_attrs = op->n_attrs,
                 .n_in = op->n_in,
                 .n_out = op->n_out,
                 .kernel = op->kernel,
                 .reference = b->args->reference,
                 .unpadded = b->args->unpadded};
    n.in = arena_alloc(m, op->n_in * sizeof *n.in);
    n.out = arena_alloc(m, op->n_out * sizeof *n.out);
    n.grad_in = arena_alloc(m, op->n_in * sizeof *n.grad_in);
    n.grad_out = arena_alloc(m, op->n_out * sizeof *n.grad_out);
    for (size_t i = 0; i < op->n_in; i++) {
        n.in[i] = op->in[i] == OX_ABSENT ? NULL : &tensors[op->in[i]];
    }
    for (size_t i = 0; i < op->n_out; i++) {
        n.out[i] = op->out[i] == OX_ABSENT ? NULL : &tensors[op->out[i]];
    }
    return n;
}

static status set_input(const builder *b, ox_tensor *t, int64_t batch) {
    const ox_graph *g = b->g;
    int64_t shape[ASSAY_MAX_DIMS];
    memcpy(shape, g->input_shape, sizeof shape);
    shape[0] = batch;
    for (uint32_t i = 1; i < g->input_n_dims; i++) {
        if (shape[i] < 0) {
            return error_set(b->err, STATUS_UNSUPPORTED, "%s: input \"%s\": dimension %u has no fixed size", g->file,
                             t->name, i);
        }
    }
    t->has_batch = !b->args->only_this_batch;
    if (ox_set_shape(t, ASSAY_F32, shape, g->input_n_dims, b->err) != STATUS_OK) {
        return error_prefix(b->err, "%s: input \"%s\": ", g->file, t->name);
    }
    return STATUS_OK;
}

static status init_tensors(builder *b) {
    const ox_graph *g = b->g;
    for (size_t v = 0; v < g->n_values; v++) {
        if (g->values[v].constant != NULL) {
            b->p->tensors[v] = *g->values[v].constant;
        }
        b->p->tensors[v].name = g->values[v].name;
        b->shadow[v] = b->p->tensors[v];
    }
    TRY(set_input(b, &b->p->tensors[g->input], b->args->batch));
    return set_input(b, &b->shadow[g->input], b->other);
}

static bool all_constant(const ox_node *n) {
    for (size_t i = 0; i < n->n_in; i++) {
        if (n->in[i] != NULL && !n->in[i]->is_const) {
            return false;
        }
    }
    return true;
}

static status run_forward(ox_node *n, error *err) {
    bool oracle = n->reference && n->kernel->forward_reference != NULL;
    return oracle ? n->kernel->forward_reference(n, err) : n->kernel->forward(n, err);
}

static void release(ox_node *n) {
    if (n->kernel->release != NULL) {
        n->kernel->release(n);
    }
}

static status fold_output(builder *b, ox_tensor *t) {
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

/* Computes the outputs of a node at one batch size. */
static status fold_one(builder *b, ox_node *n) {
    for (size_t i = 0; i < n->n_out; i++) {
        if (n->out[i] != NULL) {
            TRY(fold_output(b, n->out[i]));
        }
    }
    status s = n->kernel->prepare != NULL ? n->kernel->prepare(n, false, b->err) : STATUS_OK;
    if (s == STATUS_OK) {
        s = run_forward(n, b->err);
    }
    release(n);
    for (size_t i = 0; i < n->n_out && s == STATUS_OK; i++) {
        if (n->out[i] != NULL) {
            n->out[i]->is_const = true;
        }
    }
    return s;
}

static status infer_other(const builder *b, ox_node *n) {
    if (n->kernel->infer(n, b->err) != STATUS_OK) {
        (void)error_prefix(b->err, "at batch %" PRId64 ": ", b->other);
        return STATUS_UNSUPPORTED;
    }
    return STATUS_OK;
}

/* Constants that follow from a shape (Shape -> Gather -> Concat -> Reshape, as exporters write it) may be others at
 * the other batch size: then they are computed for both, and the shadow has data of its own. */
static bool depends_on_batch(const builder *b, const ox_tensor *t) {
    return !b->args->only_this_batch && t->is_const && b->shadow[t - b->p->tensors].data != t->data;
}

/* (batch, rest) and (other, rest) with the same row everywhere, as a class token that was expanded. */
static bool same_rows(const builder *b, const ox_tensor *t, const ox_tensor *s) {
    size_t bytes = ox_dtype_bytes(t->dtype);
    bool rows = t->n_dims > 0 && t->n_dims == s->n_dims && t->dtype == s->dtype && t->shape[0] == b->args->batch &&
                s->shape[0] == b->other;
    for (uint32_t d = 1; d < t->n_dims && rows; d++) {
        rows = t->shape[d] == s->shape[d];
        bytes *= (size_t)t->shape[d];
    }
    for (int64_t r = 0; rows && r < t->shape[0]; r++) {
        rows = memcmp((const char *)t->data + (size_t)r * bytes, s->data, bytes) == 0;
    }
    for (int64_t r = 1; rows && r < s->shape[0]; r++) {
        rows = memcmp((const char *)s->data + (size_t)r * bytes, s->data, bytes) == 0;
    }
    return rows;
}

/* All inputs are constant, or only their shapes are read: computes the outputs once, and where they may depend on the
 * batch, also at the other one. What came out equal is one constant from here on. */
static status fold(builder *b, const ox_op *op, ox_node *n) {
    bool both = !b->args->only_this_batch && (n->kernel->flags & OX_READS_SHAPE) != 0;
    for (size_t i = 0; i < n->n_in; i++) {
        both = both || (n->in[i] != NULL && depends_on_batch(b, n->in[i]));
    }
    TRY(fold_one(b, n));
    ox_node other = make_node(b, op, b->shadow);
    if (both) {
        TRY(infer_other(b, &other));
        TRY(fold_one(b, &other));
    }
    for (size_t i = 0; i < n->n_out; i++) {
        ox_tensor *t = n->out[i], *s = other.out[i];
        if (t == NULL) {
            continue;
        }
        if (!both || (ox_same_shape(t, s) && memcmp(t->data, s->data, t->n * ox_dtype_bytes(t->dtype)) == 0)) {
            *s = *t;
        } else {
            t->has_batch = s->has_batch = same_rows(b, t, s);
        }
    }
    return STATUS_OK;
}

/* What is computed from the number of examples, other than a shape, would make results depend on it. */
static status check_constants(const builder *b, const ox_node *n) {
    for (size_t i = 0; i < n->n_in; i++) {
        const ox_tensor *t = n->in[i];
        bool shape = i > 0 && (n->kernel->flags & OX_TAKES_SHAPE) != 0;
        if (t != NULL && depends_on_batch(b, t) && !t->has_batch && !shape) {
            return error_set(b->err, STATUS_UNSUPPORTED, "\"%s\" depends on the number of examples in a batch",
                             t->name);
        }
    }
    return STATUS_OK;
}

/* Does t carry the batch, seen from its shapes at both batches? */
static status classify(const builder *b, ox_tensor *t, ox_tensor *s) {
    if (b->args->only_this_batch) {
        return STATUS_OK;
    }
    bool batch = t->n_dims > 0 && t->n_dims == s->n_dims && t->shape[0] == b->args->batch && s->shape[0] == b->other;
    for (uint32_t i = 1; i < t->n_dims && batch; i++) {
        batch = t->shape[i] == s->shape[i];
    }
    t->has_batch = s->has_batch = batch;
    size_t x = 0, y = 0;
    if (!batch && (!mem_mul(t->n, (size_t)b->other, &x) || !mem_mul(s->n, (size_t)b->args->batch, &y) || x != y)) {
        return error_set(b->err, STATUS_UNSUPPORTED,
                         "\"%s\" has %zu values at batch %" PRId64 " and %zu at batch %" PRId64
                         ": the graph does not treat examples one by one",
                         t->name, t->n, b->args->batch, s->n, b->other);
    }
    return STATUS_OK;
}

static status infer_node(builder *b, const ox_op *op) {
    ox_node n = make_node(b, op, b->p->tensors);
    TRY(op->kernel->infer(&n, b->err));
    if (all_constant(&n) || (op->kernel->flags & OX_READS_SHAPE) != 0) {
        return fold(b, op, &n);
    }
    TRY(check_constants(b, &n));
    if (!b->args->only_this_batch) {
        ox_node other = make_node(b, op, b->shadow);
        TRY(infer_other(b, &other));
    }
    for (size_t i = 0; i < op->n_out; i++) {
        if (n.out[i] != NULL) {
            TRY(classify(b, n.out[i], &b->shadow[op->out[i]]));
        }
    }
    b->p->nodes[b->p->n_nodes++] = n;
    return STATUS_OK;
}

static status infer_all(builder *b) {
    TRY(init_tensors(b));
    for (size_t k = 0; k < b->g->n_ops; k++) {
        const ox_op *op = &b->g->ops[k];
        if (b->needed[k] && infer_node(b, op) != STATUS_OK) {
            return node_error(b->g, op->name, op->op, b->err);
        }
    }
    for (size_t i = 0; i < b->args->n_wanted; i++) {
        const ox_tensor *t = &b->p->tensors[b->args->wanted[i]];
        if (t->is_const) {
            return error_set(b->err, STATUS_UNSUPPORTED, "%s: \"%s\" does not depend on the input", b->g->file,
                             t->name);
        }
        if (!t->has_batch && !b->args->only_this_batch) {
            return error_set(b->err, STATUS_UNSUPPORTED, "%s: the first dimension of \"%s\" is not the batch",
                             b->g->file, t->name);
        }
    }
    return STATUS_OK;
}

/* ---- memory ------------------------------------------------------------------------------------- */

static size_t tensor_bytes(const ox_tensor *t) {
    return t->n * ox_dtype_bytes(t->dtype); /* no overflow: ox_set_shape */
}

/* The limit of activations, and again of gradients, at the plan's batch. */
static size_t limit_bytes(const ox_plan *p) {
    size_t n = 0;
    return mem_mul(OX_MAX_EXAMPLE_BYTES, (size_t)p->batch, &n) && n < OX_MAX_PLAN_BYTES ? n : OX_MAX_PLAN_BYTES;
}

/* Offsets of buffers; `last[v]`: index of the node that reads v last, n_nodes for what is wanted. */
typedef struct layout {
    builder *b;
    pool pool;
    size_t *at;
    size_t *last;
} layout;

static size_t value_of(const layout *l, const ox_tensor *t) {
    return (size_t)(t - l->b->p->tensors);
}

static bool place(layout *l, const ox_tensor *t) {
    return t == NULL || t->is_const || pool_take(&l->pool, tensor_bytes(t), &l->at[value_of(l, t)]);
}

static void drop(layout *l, const ox_tensor *t, size_t node) {
    if (t == NULL || t->is_const || l->last[value_of(l, t)] != node) {
        return;
    }
    pool_give(&l->pool, l->at[value_of(l, t)], tensor_bytes(t));
    l->last[value_of(l, t)] = SIZE_MAX; /* once, also where a node reads it twice */
}

static void find_last_uses(layout *l) {
    ox_plan *p = l->b->p;
    for (size_t k = 0; k < p->n_nodes; k++) {
        const ox_node *n = &p->nodes[k];
        for (size_t i = 0; i < n->n_out; i++) {
            if (n->out[i] != NULL) {
                l->last[value_of(l, n->out[i])] = k;
            }
        }
        for (size_t i = 0; i < n->n_in; i++) {
            if (n->in[i] != NULL) {
                l->last[value_of(l, n->in[i])] = k;
            }
        }
    }
    for (size_t i = 0; i < l->b->args->n_wanted; i++) {
        l->last[l->b->args->wanted[i]] = p->n_nodes;
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

static void set_data(layout *l, ox_tensor *t) {
    if (t != NULL && !t->is_const) {
        t->data = (uint8_t *)l->b->p->activations + l->at[value_of(l, t)];
    }
}

static status allocate_activations(builder *b) {
    ox_plan *p = b->p;
    layout l = {.b = b, .pool = {.limit = limit_bytes(p)}};
    l.at = arena_alloc(&p->memory, b->g->n_values * sizeof *l.at);
    l.last = arena_alloc(&p->memory, b->g->n_values * sizeof *l.last);
    find_last_uses(&l);
    bool ok = place_all(&l);
    p->n_activation_bytes = l.pool.top;
    pool_destroy(&l.pool);
    if (!ok) {
        return error_set(b->err, STATUS_UNSUPPORTED, "%s: activations at batch %" PRId64 " need more than %zu bytes",
                         b->g->file, p->batch, limit_bytes(p));
    }
    p->activations = mem_try(p->n_activation_bytes, 1, "activations", b->err);
    if (p->activations == NULL) {
        return STATUS_MEMORY;
    }
    set_data(&l, &p->tensors[b->g->input]);
    for (size_t k = 0; k < p->n_nodes; k++) {
        for (size_t i = 0; i < p->nodes[k].n_out; i++) {
            set_data(&l, p->nodes[k].out[i]);
        }
    }
    return STATUS_OK;
}

/* A gradient flows to the input and to every output of a node that can pass one on: float values, and the quantised
 * ones between QuantizeLinear and DequantizeLinear, where it is "per quantum". */
static bool has_gradient(const builder *b, size_t v) {
    const ox_tensor *t = &b->p->tensors[v];
    if (!b->p->in_plan[v] || t->is_const) {
        return false;
    }
    int32_t producer = b->g->values[v].producer;
    return producer == OX_FROM_INPUT || (producer >= 0 && b->g->ops[producer].kernel->vjp != NULL);
}

static status allocate_gradients(builder *b) {
    ox_plan *p = b->p;
    pool spans = {.limit = limit_bytes(p)};
    size_t *at = arena_alloc(&p->memory, b->g->n_values * sizeof *at);
    bool ok = true;
    for (size_t v = 0; v < b->g->n_values && ok; v++) {
        size_t bytes = 0;
        ok = !has_gradient(b, v) ||
             (mem_mul(p->tensors[v].n, sizeof(float), &bytes) && pool_take(&spans, bytes, &at[v]));
    }
    p->n_gradient_bytes = spans.top;
    if (!ok) {
        return error_set(b->err, STATUS_UNSUPPORTED, "%s: gradients at batch %" PRId64 " need more than %zu bytes",
                         b->g->file, p->batch, limit_bytes(p));
    }
    p->gradients = mem_try(p->n_gradient_bytes, 1, "gradients", b->err);
    if (p->gradients == NULL) {
        return STATUS_MEMORY;
    }
    for (size_t v = 0; v < b->g->n_values; v++) {
        if (has_gradient(b, v)) {
            p->grads[v] = (float *)((uint8_t *)p->gradients + at[v]);
        }
    }
    for (size_t k = 0; k < p->n_nodes; k++) {
        ox_node *n = &p->nodes[k];
        for (size_t i = 0; i < n->n_in; i++) {
            n->grad_in[i] = n->in[i] == NULL ? NULL : p->grads[n->in[i] - p->tensors];
        }
        for (size_t i = 0; i < n->n_out; i++) {
            n->grad_out[i] = n->out[i] == NULL ? NULL : p->grads[n->out[i] - p->tensors];
        }
    }
    return STATUS_OK;
}

/* Outputs that the graph computes but nobody reads still need a place; they are not in_plan. */
static void adopt_unread_outputs(builder *b) {
    for (size_t k = 0; k < b->p->n_nodes; k++) {
        const ox_node *n = &b->p->nodes[k];
        for (size_t i = 0; i < n->n_out; i++) {
            if (n->out[i] != NULL) {
                b->p->in_plan[n->out[i] - b->p->tensors] = true;
            }
        }
    }
}

static status prepare_all(builder *b) {
    for (size_t k = 0; k < b->p->n_nodes; k++) {
        ox_node *n = &b->p->nodes[k];
        b->p->n_prepared = k + 1;
        if (n->kernel->prepare != NULL && n->kernel->prepare(n, b->args->want_vjp, b->err) != STATUS_OK) {
            return node_error(b->g, n->name, n->op, b->err);
        }
    }
    return STATUS_OK;
}

static status build(builder *b) {
    mark_needed(b);
    TRY(infer_all(b));
    adopt_unread_outputs(b);
    TRY(allocate_activations(b));
    if (b->args->want_vjp) {
        TRY(allocate_gradients(b));
    }
    return prepare_all(b);
}

status ox_plan_make(const ox_graph *g, const ox_plan_args *args, ox_plan **out, error *err) {
    *out = NULL;
    error local = {0};
    ox_plan *p = mem_zalloc(sizeof *p);
    arena *m = &p->memory;
    p->graph = g;
    p->batch = args->batch;
    p->want_vjp = args->want_vjp;
    p->tensors = arena_alloc(m, g->n_values * sizeof *p->tensors);
    p->in_plan = arena_alloc(m, g->n_values * sizeof *p->in_plan);
    p->grads = arena_alloc(m, g->n_values * sizeof *p->grads);
    p->nodes = arena_alloc(m, g->n_ops * sizeof *p->nodes);
    builder b = {.p = p, .g = g, .args = args, .err = err != NULL ? err : &local, .other = args->batch == 1 ? 2 : 1};
    b.needed = arena_alloc(m, g->n_ops * sizeof *b.needed);
    b.shadow = arena_alloc(m, g->n_values * sizeof *b.shadow);
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
        release(&p->nodes[k]);
    }
    for (size_t i = 0; i < p->n_folded; i++) {
        mem_free(p->folded[i]);
    }
    mem_free(p->folded);
    mem_free(p->activations);
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
        if (run_forward(n, err) != STATUS_OK) {
            return node_error(p->graph, n->name, n->op, err);
        }
    }
    return STATUS_OK;
}

void ox_plan_zero_gradients(ox_plan *p) {
    memset(p->gradients, 0, p->n_gradient_bytes);
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
            return node_error(p->graph, n->name, n->op, err);
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
