/* SPDX-License-Identifier: Apache-2.0
 * Which nodes a plan needs, their shapes at two batch sizes, and what of them is constant. */
#include <inttypes.h>
#include <string.h>

#include "plan_build.h"

/* ---- which nodes -------------------------------------------------------------------------------- */

static void mark_needed(ox_builder *b) {
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

static ox_node make_node(ox_builder *b, const ox_op *op, ox_tensor *tensors) {
    ox_node n = {.name = op->name,
                 .op = op->op,
                 .opset = op->opset,
                 .attrs = op->attrs,
                 .n_attrs = op->n_attrs,
                 .kernel = op->kernel,
                 .reference = b->args->reference,
                 .unpadded = b->args->unpadded};
    ox_build_ports(b, &n, op->n_in, op->n_out);
    for (size_t i = 0; i < op->n_in; i++) {
        n.in[i] = op->in[i] == OX_ABSENT ? NULL : &tensors[op->in[i]];
    }
    for (size_t i = 0; i < op->n_out; i++) {
        n.out[i] = op->out[i] == OX_ABSENT ? NULL : &tensors[op->out[i]];
    }
    return n;
}

static status set_input(const ox_builder *b, ox_tensor *t, int64_t batch) {
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
    if (ox_set_shape(t, g->input_dtype, shape, g->input_n_dims, b->err) != STATUS_OK) {
        return error_prefix(b->err, "%s: input \"%s\": ", g->file, t->name);
    }
    return STATUS_OK;
}

static status init_tensors(ox_builder *b) {
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

/* Computes the outputs of a node at one batch size. */
static status fold_one(ox_builder *b, ox_node *n) {
    for (size_t i = 0; i < n->n_out; i++) {
        if (n->out[i] != NULL) {
            TRY(ox_build_constant(b, n->out[i]));
        }
    }
    status s = n->kernel->prepare != NULL ? n->kernel->prepare(n, false, b->err) : STATUS_OK;
    if (s == STATUS_OK) {
        s = ox_node_forward(n, b->err);
    }
    ox_node_release(n);
    for (size_t i = 0; i < n->n_out && s == STATUS_OK; i++) {
        if (n->out[i] != NULL) {
            n->out[i]->is_const = true;
        }
    }
    return s;
}

static status infer_other(const ox_builder *b, ox_node *n) {
    if (n->kernel->infer(n, b->err) != STATUS_OK) {
        (void)error_prefix(b->err, "at batch %" PRId64 ": ", b->other);
        return STATUS_UNSUPPORTED;
    }
    return STATUS_OK;
}

/* Constants that follow from a shape (Shape -> Gather -> Concat -> Reshape, as exporters write it) may be others at
 * the other batch size: then they are computed for both, and the shadow has data of its own. */
static bool depends_on_batch(const ox_builder *b, const ox_tensor *t) {
    return !b->args->only_this_batch && t->is_const && b->shadow[t - b->p->tensors].data != t->data;
}

/* (.., batch, ..) and (.., other, ..) with the same slice everywhere along that dimension, as a class token that was
 * expanded, or the initial state of a recurrent network, whose batch is the second dimension. */
static bool same_slices(const ox_builder *b, const ox_tensor *t, const ox_tensor *s, uint32_t *dim) {
    size_t outer = 1, run = ox_dtype_bytes(t->dtype);
    bool found = false, same = t->n_dims == s->n_dims && t->dtype == s->dtype;
    for (uint32_t d = 0; d < t->n_dims && same; d++) {
        if (t->shape[d] != s->shape[d]) {
            same = !found && t->shape[d] == b->args->batch && s->shape[d] == b->other;
            found = true;
            *dim = d;
        } else if (found) {
            run *= (size_t)t->shape[d];
        } else {
            outer *= (size_t)t->shape[d];
        }
    }
    const ox_tensor *const both[2] = {t, s};
    for (size_t k = 0; k < 2 && same && found; k++) {
        size_t n = (size_t)both[k]->shape[*dim], row = run * (size_t)s->shape[*dim];
        for (size_t r = 0; r < outer * n && same; r++) {
            same = memcmp((const char *)both[k]->data + r * run, (const char *)s->data + r / n * row, run) == 0;
        }
    }
    return same && found;
}

/* All inputs are constant, or only their shapes are read: computes the outputs once, and where they may depend on the
 * batch, also at the other one. What came out equal is one constant from here on. */
static status fold(ox_builder *b, const ox_op *op, ox_node *n) {
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
            uint32_t dim = 0;
            t->has_batch = s->has_batch = same_slices(b, t, s, &dim) && dim == 0;
        }
    }
    return STATUS_OK;
}

/* What is computed from the number of examples, other than a shape, would make results depend on it. */
static status check_constants(const ox_builder *b, const ox_node *n) {
    for (size_t i = 0; i < n->n_in; i++) {
        const ox_tensor *t = n->in[i];
        bool shape = i > 0 && (n->kernel->flags & OX_TAKES_SHAPE) != 0;
        uint32_t dim = 0;
        if (t != NULL && depends_on_batch(b, t) && !shape && !same_slices(b, t, &b->shadow[t - b->p->tensors], &dim)) {
            return error_set(b->err, STATUS_UNSUPPORTED, "\"%s\" depends on the number of examples in a batch",
                             t->name);
        }
    }
    return STATUS_OK;
}

/* Does t carry the batch, seen from its shapes at both batches? */
static status classify(const ox_builder *b, ox_tensor *t, ox_tensor *s) {
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

static status infer_node(ox_builder *b, const ox_op *op) {
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

static status infer_all(ox_builder *b) {
    TRY(init_tensors(b));
    for (size_t k = 0; k < b->g->n_ops; k++) {
        const ox_op *op = &b->g->ops[k];
        if (b->needed[k] && infer_node(b, op) != STATUS_OK) {
            return ox_node_error(b->g, op->name, op->op, b->err);
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

status ox_build_shapes(ox_builder *b) {
    mark_needed(b);
    return infer_all(b);
}
