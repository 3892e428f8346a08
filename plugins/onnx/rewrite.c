/* SPDX-License-Identifier: Apache-2.0
 * Graph work on the nodes of a plan: views instead of copies, BatchNormalization folded into the weights before it,
 * bias, residual and activation appended to the product that they follow. A rule looks at one node, whose producers
 * are known, and either leaves it or takes it out of the plan. What is wanted by name stays as written. A plan for
 * gradients is rewritten in the same way, so that it computes the same bits. */
#include <math.h>
#include <string.h>

#include "plan_build.h"

typedef struct rewriter {
    ox_builder *b;
    ox_plan *p;
    size_t *uses;   /* by tensor: inputs that read it, one more where it is wanted */
    size_t *maker;  /* by tensor: index of the node + 1, 0: none */
    bool *gone;     /* by node */
    status failure; /* of a rule, with b->err set */
} rewriter;

static size_t index_of(const rewriter *w, const ox_tensor *t) {
    return (size_t)(t - w->p->tensors);
}

static bool is_op(const ox_node *n, const char *op) {
    return n != NULL && strcmp(n->op, op) == 0;
}

/* The node that made `t` for one reader alone, so that the two can become one; else NULL. */
static ox_node *sole_maker(const rewriter *w, const ox_tensor *t) {
    if (t == NULL || t->is_const || w->uses[index_of(w, t)] != 1) {
        return NULL;
    }
    size_t k = w->maker[index_of(w, t)];
    ox_node *n = k == 0 ? NULL : &w->p->nodes[k - 1];
    return n != NULL && n->out[0] == t ? n : NULL;
}

/* Node k is no more: its one result is written by `by`. */
static void absorb(rewriter *w, size_t k, ox_node *by) {
    ox_node *n = &w->p->nodes[k];
    by->out[0] = n->out[0];
    w->maker[index_of(w, n->out[0])] = (size_t)(by - w->p->nodes) + 1;
    w->gone[k] = true;
}

static bool plain_f32(const ox_tensor *t) {
    return t->dtype == ASSAY_F32;
}

/* A product that could still take something behind it. */
static bool takes_more(const ox_node *n) {
    return n != NULL && (n->kernel->flags & OX_EPILOGUE) != 0 && n->epilogue.act == OX_ACT_LINEAR &&
           plain_f32(n->out[0]);
}

static const ox_tensor *constant_input(const ox_node *n, size_t i) {
    return i < n->n_in && n->in[i] != NULL && n->in[i]->is_const && plain_f32(n->in[i]) ? n->in[i] : NULL;
}

/* ---- views -------------------------------------------------------------------------------------- */

static bool view(rewriter *w, size_t k) {
    const ox_node *n = &w->p->nodes[k];
    if ((n->kernel->flags & OX_VIEW) == 0 || n->n_out != 1 || n->in[0]->is_const ||
        n->in[0]->dtype != n->out[0]->dtype || n->in[0]->n != n->out[0]->n) {
        return false;
    }
    size_t in = index_of(w, n->in[0]), out = index_of(w, n->out[0]);
    /* both names of the bytes may be wanted; the input itself is wanted as the model's input */
    w->p->root[out] = w->p->root[in];
    w->uses[in] += w->uses[out]; /* the view's readers read it; two of them already keep fusion away */
    w->gone[k] = true;
    return true;
}

/* ---- BatchNormalization behind a product ---------------------------------------------------------- */

typedef struct affine {
    const float *scale, *shift, *mean, *var;
    double epsilon;
    size_t n;
} affine;

static bool read_affine(const ox_node *n, affine *a) {
    const float **fields[4] = {&a->scale, &a->shift, &a->mean, &a->var};
    for (size_t i = 0; i < 4; i++) {
        const ox_tensor *t = constant_input(n, i + 1);
        if (t == NULL) {
            return false;
        }
        *fields[i] = t->data;
        a->n = t->n;
    }
    a->epsilon = (double)ox_attr_float(n, "epsilon", 1e-5F);
    return true;
}

/* y = s * (x - mean) + shift, s = scale / sqrt(var + epsilon) */
static double slope(const affine *a, size_t c) {
    return (double)a->scale[c] / sqrt((double)a->var[c] + a->epsilon);
}

/* A new constant of t's shape (or a vector of n). */
static ox_tensor *new_constant(rewriter *w, const ox_tensor *like, size_t n) {
    ox_tensor *t = ox_build_tensor(w->b, "folded");
    int64_t vector[1] = {(int64_t)n};
    w->failure = like != NULL ? ox_set_shape(t, ASSAY_F32, like->shape, like->n_dims, w->b->err)
                              : ox_set_shape(t, ASSAY_F32, vector, 1, w->b->err);
    if (w->failure == STATUS_OK) {
        w->failure = ox_build_constant(w->b, t);
    }
    t->is_const = true;
    return w->failure == STATUS_OK ? t : NULL;
}

/* Weights of `rows` output channels, one after the other; of a Gemm without transB they are columns. */
static bool fold_batch_norm(rewriter *w, size_t k) {
    ox_node *n = &w->p->nodes[k], *conv = sole_maker(w, n->in[0]);
    affine a = {0};
    if (!is_op(n, "BatchNormalization") || !is_op(conv, "Conv") || !takes_more(conv) || n->n_out != 1 ||
        conv->n_in > 3 || !read_affine(n, &a)) {
        return false;
    }
    const ox_tensor *weights = constant_input(conv, 1), *bias = constant_input(conv, 2);
    if (weights == NULL || (conv->n_in > 2 && conv->in[2] != NULL && bias == NULL) ||
        (size_t)weights->shape[0] != a.n || a.n == 0) {
        return false;
    }
    ox_tensor *new_weights = new_constant(w, weights, 0);
    ox_tensor *new_bias = new_weights == NULL ? NULL : new_constant(w, NULL, a.n);
    if (new_bias == NULL) {
        return false;
    }
    const float *from = weights->data, *b = bias == NULL ? NULL : bias->data;
    float *to = new_weights->data, *to_bias = new_bias->data;
    size_t row = weights->n / a.n;
    for (size_t c = 0; c < a.n; c++) {
        double s = slope(&a, c);
        for (size_t i = 0; i < row; i++) {
            to[c * row + i] = (float)(s * (double)from[c * row + i]);
        }
        double at = b == NULL ? 0 : (double)b[c];
        to_bias[c] = (float)(s * (at - (double)a.mean[c]) + (double)a.shift[c]);
    }
    conv->in[1] = new_weights;
    conv->in[2] = new_bias;
    conv->n_in = 3;
    absorb(w, k, conv);
    return true;
}

/* ---- epilogues ---------------------------------------------------------------------------------- */

/* MatMul + vector over the last axis: the bias of a linear layer. */
static bool add_bias(rewriter *w, size_t k) {
    ox_node *n = &w->p->nodes[k];
    if (!is_op(n, "Add")) {
        return false;
    }
    for (size_t i = 0; i < 2; i++) {
        ox_node *product = sole_maker(w, n->in[i]);
        ox_tensor *bias = n->in[1 - i];
        const ox_tensor *y = n->out[0];
        if (is_op(product, "MatMul") && product->n_in == 2 && takes_more(product) && bias->is_const &&
            plain_f32(bias) && bias->n_dims == 1 && y->n_dims > 0 && bias->shape[0] == y->shape[y->n_dims - 1] &&
            ox_same_shape(y, n->in[i])) {
            product->in[2] = bias;
            product->n_in = 3;
            absorb(w, k, product);
            return true;
        }
    }
    return false;
}

/* The node of the two operands that runs later takes the other in: by then that one is there. */
static bool add_residual(rewriter *w, size_t k) {
    ox_node *n = &w->p->nodes[k];
    if (!is_op(n, "Add") || !ox_same_shape(n->in[0], n->in[1]) || n->in[0] == n->in[1] || !plain_f32(n->in[0])) {
        return false;
    }
    for (size_t i = 0; i < 2; i++) {
        ox_node *host = sole_maker(w, n->in[i]);
        ox_tensor *other = n->in[1 - i];
        size_t other_maker = w->maker[w->p->root[index_of(w, other)]];
        if (!takes_more(host) || host->n_in > OX_RESIDUAL || other->is_const || other->block > 0 ||
            other_maker > (size_t)(host - w->p->nodes) + 1) {
            continue;
        }
        host->in[OX_RESIDUAL] = other;
        host->n_in = OX_RESIDUAL + 1;
        absorb(w, k, host);
        return true;
    }
    return false;
}

static bool read_clip(const ox_node *n, ox_epilogue *e) {
    float bounds[2] = {-INFINITY, INFINITY};
    for (size_t i = 0; i < 2; i++) {
        if (n->opset < 11) {
            bounds[i] = ox_attr_float(n, i == 0 ? "min" : "max", bounds[i]);
        } else if (n->n_in > i + 1 && n->in[i + 1] != NULL) {
            const ox_tensor *t = constant_input(n, i + 1);
            if (t == NULL || t->n != 1) {
                return false;
            }
            bounds[i] = *(const float *)t->data;
        }
    }
    *e = (ox_epilogue){.act = OX_ACT_CLIP, .lo = bounds[0], .hi = bounds[1]};
    return bounds[0] < bounds[1];
}

static bool read_activation(const ox_node *n, ox_epilogue *e) {
    if (is_op(n, "Relu")) {
        *e = (ox_epilogue){.act = OX_ACT_RELU};
        return true;
    }
    if (is_op(n, "LeakyRelu")) {
        *e = (ox_epilogue){.act = OX_ACT_LEAKY_RELU, .alpha = ox_attr_float(n, "alpha", 0.01F)};
        return e->alpha > 0;
    }
    return is_op(n, "Clip") && read_clip(n, e);
}

static bool activation(rewriter *w, size_t k) {
    ox_node *n = &w->p->nodes[k];
    ox_epilogue e;
    ox_node *host = n->n_in > 0 && plain_f32(n->out[0]) && read_activation(n, &e) ? sole_maker(w, n->in[0]) : NULL;
    if (!takes_more(host)) {
        return false;
    }
    host->epilogue = e;
    absorb(w, k, host);
    return true;
}

/* ---- all of them -------------------------------------------------------------------------------- */

static bool (*const rules[])(rewriter *, size_t) = {view, fold_batch_norm, add_bias, add_residual, activation};

static void count(rewriter *w) {
    for (size_t v = 0; v < w->p->n_tensors; v++) {
        w->uses[v] = w->b->wanted[v];
    }
    for (size_t k = 0; k < w->p->n_nodes; k++) {
        const ox_node *n = &w->p->nodes[k];
        for (size_t i = 0; i < n->n_in; i++) {
            if (n->in[i] != NULL) {
                w->uses[index_of(w, n->in[i])]++;
            }
        }
        for (size_t i = 0; i < n->n_out; i++) {
            if (n->out[i] != NULL) {
                w->maker[index_of(w, n->out[i])] = k + 1;
            }
        }
    }
}

status ox_build_rewrite(ox_builder *b) {
    ox_plan *p = b->p;
    size_t room = b->g->n_values + OX_MORE_TENSORS * b->g->n_ops;
    rewriter w = {.b = b, .p = p};
    w.uses = arena_alloc(&p->memory, room * sizeof *w.uses);
    w.maker = arena_alloc(&p->memory, room * sizeof *w.maker);
    w.gone = arena_alloc(&p->memory, p->n_nodes * sizeof *w.gone);
    count(&w);
    for (size_t k = 0; k < p->n_nodes; k++) {
        bool changed = false;
        for (size_t r = 0; r < sizeof rules / sizeof rules[0] && !changed; r++) {
            changed = rules[r](&w, k);
            if (w.failure != STATUS_OK) {
                return ox_node_error(b->g, p->nodes[k].name, p->nodes[k].op, b->err);
            }
        }
    }
    size_t kept = 0;
    for (size_t k = 0; k < p->n_nodes; k++) {
        if (!w.gone[k]) {
            p->nodes[kept++] = p->nodes[k];
        }
    }
    p->n_nodes = kept;
    return STATUS_OK;
}
