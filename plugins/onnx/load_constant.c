/* SPDX-License-Identifier: Apache-2.0
 * What a condition or trip count is, while the graph is being put together. Nodes above it are inferred at two batch
 * sizes, and computed where all their inputs are constant or only shapes are read, as the plan does it later: so a
 * condition on a shape (PyTorch's squeeze) is constant as long as it does not ask for the batch. */
#include "load.h"

#define MAX_COMPUTED ((size_t)1 << 30 >> OX_LIMIT_SHIFT)

typedef struct stack {
    size_t *at; /* ops */
    size_t n, cap;
} stack;

static void push(stack *s, size_t op) {
    s->at = mem_grow(s->at, &s->cap, s->n + 1, sizeof *s->at);
    s->at[s->n++] = op;
}

static ox_tensor *tensor_at(const loader *l, int32_t v, size_t w) {
    return l->values[v].constant != NULL ? l->values[v].constant : l->notes[v].at[w];
}

/* One node at batch w, its tensors in `in` and `out`; the caller has allocated the lists. */
static bool make_node(loader *l, const ox_op *op, size_t w, ox_node *n) {
    *n = (ox_node){.name = op->name,
                   .op = op->op,
                   .opset = op->opset,
                   .attrs = op->attrs,
                   .n_attrs = op->n_attrs,
                   .n_in = op->n_in,
                   .n_out = op->n_out,
                   .kernel = op->kernel,
                   .reference = true};
    n->in = arena_alloc(&l->scratch, op->n_in * sizeof *n->in);
    n->out = arena_alloc(&l->scratch, op->n_out * sizeof *n->out);
    n->grad_in = arena_alloc(&l->scratch, op->n_in * sizeof *n->grad_in);
    n->grad_out = arena_alloc(&l->scratch, op->n_out * sizeof *n->grad_out);
    for (size_t i = 0; i < op->n_in; i++) {
        n->in[i] = op->in[i] == OX_ABSENT ? NULL : tensor_at(l, op->in[i], w);
        if (op->in[i] != OX_ABSENT && n->in[i] == NULL) {
            return false;
        }
    }
    for (size_t i = 0; i < op->n_out; i++) {
        if (op->out[i] != OX_ABSENT) {
            n->out[i] = arena_alloc(&l->scratch, sizeof *n->out[i]);
            n->out[i]->name = l->values[op->out[i]].name;
        }
    }
    return true;
}

static bool is_computable(const ox_node *n) {
    bool constant = true;
    for (size_t i = 0; i < n->n_in; i++) {
        constant = constant && (n->in[i] == NULL || n->in[i]->is_const);
    }
    return constant || (n->kernel->flags & OX_READS_SHAPE) != 0;
}

static bool allocate(loader *l, ox_node *n, error *err) {
    for (size_t i = 0; i < n->n_out; i++) {
        if (n->out[i] == NULL) {
            continue;
        }
        size_t bytes = n->out[i]->n * ox_dtype_bytes(n->out[i]->dtype); /* no overflow: ox_set_shape */
        if (bytes > MAX_COMPUTED || (l->n_computed_bytes += bytes) > MAX_COMPUTED) {
            return false;
        }
        l->computed = mem_grow(l->computed, &l->cap_computed, l->n_computed + 1, sizeof *l->computed);
        n->out[i]->data = l->computed[l->n_computed] = mem_try(bytes, 1, "a computed constant", err);
        if (n->out[i]->data == NULL) {
            return false;
        }
        l->n_computed++;
    }
    return true;
}

static bool compute(loader *l, ox_node *n, error *err) {
    if (!allocate(l, n, err)) {
        return false;
    }
    status s = n->kernel->prepare != NULL ? n->kernel->prepare(n, false, err) : STATUS_OK;
    if (s == STATUS_OK) {
        bool oracle = n->kernel->forward_reference != NULL;
        s = oracle ? n->kernel->forward_reference(n, err) : n->kernel->forward(n, err);
    }
    if (n->kernel->release != NULL) {
        n->kernel->release(n);
    }
    for (size_t i = 0; i < n->n_out; i++) {
        if (n->out[i] != NULL) {
            n->out[i]->is_const = s == STATUS_OK;
        }
    }
    return s == STATUS_OK;
}

/* The batch leads both shapes, and they agree in the rest: plan.c's rule. */
static void mark_batch(const loader *l, ox_tensor *a, ox_tensor *b) {
    const ox_tensor *x = l->notes[l->g->input].at[0], *y = l->notes[l->g->input].at[1];
    if (x == NULL || y == NULL || a->n_dims == 0 || a->n_dims != b->n_dims) {
        return;
    }
    bool same = a->shape[0] == x->shape[0] && b->shape[0] == y->shape[0];
    for (uint32_t d = 1; d < a->n_dims; d++) {
        same = same && a->shape[d] == b->shape[d];
    }
    a->has_batch = b->has_batch = same;
}

/* Failures are no errors here: what cannot be computed is not constant, and the plan will say why. A graph whose batch
 * is fixed may not be inferable at another one; then its own is the one that counts. */
static void run_op(loader *l, size_t k) {
    const ox_op *op = &l->ops[k];
    ox_node n[2];
    bool ok[2] = {false, false};
    for (size_t w = 0; w < 2 && op->kernel != NULL; w++) {
        error err = {0};
        ok[w] = make_node(l, op, w, &n[w]) && op->kernel->infer(&n[w], &err) == STATUS_OK &&
                (!is_computable(&n[w]) || compute(l, &n[w], &err));
    }
    bool fixed = l->g->input_shape[0] > 0;
    for (size_t i = 0; i < op->n_out && ok[0] && (ok[1] || fixed); i++) {
        if (op->out[i] == OX_ABSENT) {
            continue;
        }
        if (ok[1]) {
            mark_batch(l, n[0].out[i], n[1].out[i]);
        }
        l->notes[op->out[i]].at[0] = n[0].out[i];
        l->notes[op->out[i]].at[1] = ok[1] ? n[1].out[i] : NULL;
    }
}

static int32_t pending(const loader *l, int32_t v) {
    int32_t producer = v == OX_ABSENT ? -1 : l->values[v].producer;
    return producer >= 0 && l->op_done[producer] == 0 ? producer : -1;
}

/* All nodes above op `last`, inputs first: without recursion, since a chain may be as long as the file. */
static void run_ancestors(loader *l, size_t last) {
    stack s = {0};
    push(&s, last);
    while (s.n > 0) {
        size_t k = s.at[s.n - 1], before = s.n;
        for (size_t i = 0; l->op_done[k] == 0 && i < l->ops[k].n_in; i++) {
            int32_t p = pending(l, l->ops[k].in[i]);
            if (p >= 0) {
                push(&s, (size_t)p);
            }
        }
        if (s.n > before) {
            continue;
        }
        s.n--;
        if (l->op_done[k] == 0) {
            l->op_done[k] = 1;
            run_op(l, k);
        }
    }
    mem_free(s.at);
}

const ox_tensor *load_constant(loader *l, int32_t value) {
    if (value == OX_ABSENT || l->values[value].constant != NULL) {
        return value == OX_ABSENT ? NULL : l->values[value].constant;
    }
    l->op_done = mem_grow(l->op_done, &l->cap_op_done, l->n_ops, 1);
    if (pending(l, value) >= 0) {
        run_ancestors(l, (size_t)l->values[value].producer);
    }
    const ox_tensor *a = l->notes[value].at[0], *b = l->notes[value].at[1];
    if (a == NULL || !a->is_const) {
        return NULL;
    }
    if (b == NULL) { /* only at the graph's own batch */
        return a;
    }
    bool same = b->is_const && a->dtype == b->dtype && ox_same_shape(a, b) &&
                memcmp(a->data, b->data, a->n * ox_dtype_bytes(a->dtype)) == 0;
    return same ? a : NULL;
}
