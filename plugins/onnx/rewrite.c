/* SPDX-License-Identifier: Apache-2.0
 * Graph work on the nodes of a plan: views instead of copies, BatchNormalization folded into the weights before it,
 * bias, residual and activation appended to the product that they follow. A rule looks at one node, whose producers
 * are known, and either leaves it or takes it out of the plan. What is wanted by name stays as written. A plan for
 * gradients is rewritten in the same way, so that it computes the same bits. */
#include <math.h>

#include "rewrite.h"

const char rw_folded[] = "folded";

/* ---- views -------------------------------------------------------------------------------------- */

static bool view(rewriter *w, size_t k) {
    const ox_node *n = &w->p->nodes[k];
    if ((n->kernel->flags & OX_VIEW) == 0 || n->n_out != 1 || n->in[0]->is_const ||
        n->in[0]->dtype != n->out[0]->dtype || n->in[0]->n != n->out[0]->n) {
        return false;
    }
    size_t in = rw_index(w, n->in[0]), out = rw_index(w, n->out[0]);
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
        const ox_tensor *t = rw_constant(n, i + 1);
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

ox_tensor *rw_new_constant(rewriter *w, const int64_t *shape, uint32_t n_dims) {
    ox_tensor *t = ox_build_tensor(w->b, rw_folded);
    w->failure = ox_set_shape(t, ASSAY_F32, shape, n_dims, w->b->err);
    if (w->failure == STATUS_OK) {
        w->failure = ox_build_constant(w->b, t);
    }
    t->is_const = true;
    return w->failure == STATUS_OK ? t : NULL;
}

/* Weights of `rows` output channels, one after the other; of a Gemm without transB they are columns. */
static bool fold_batch_norm(rewriter *w, size_t k) {
    ox_node *n = &w->p->nodes[k], *conv = rw_sole_maker(w, n->in[0]);
    affine a = {0};
    if (!rw_is(n, "BatchNormalization") || !rw_is(conv, "Conv") || !rw_takes_more(conv) || n->n_out != 1 ||
        conv->n_in > 3 || !read_affine(n, &a)) {
        return false;
    }
    const ox_tensor *weights = rw_constant(conv, 1), *bias = rw_constant(conv, 2);
    if (weights == NULL || (conv->n_in > 2 && conv->in[2] != NULL && bias == NULL) ||
        (size_t)weights->shape[0] != a.n || a.n == 0) {
        return false;
    }
    const int64_t rows[1] = {(int64_t)a.n};
    ox_tensor *new_weights = rw_new_constant(w, weights->shape, weights->n_dims);
    ox_tensor *new_bias = new_weights == NULL ? NULL : rw_new_constant(w, rows, 1);
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
    rw_absorb(w, k, conv);
    return true;
}

/* ---- epilogues ---------------------------------------------------------------------------------- */

/* MatMul + vector over the last axis: the bias of a linear layer. */
static bool add_bias(rewriter *w, size_t k) {
    ox_node *n = &w->p->nodes[k];
    if (!rw_is(n, "Add")) {
        return false;
    }
    for (size_t i = 0; i < 2; i++) {
        ox_node *product = rw_sole_maker(w, n->in[i]);
        ox_tensor *bias = n->in[1 - i];
        const ox_tensor *y = n->out[0];
        if (rw_is(product, "MatMul") && product->n_in == 2 && rw_takes_more(product) && bias->is_const &&
            rw_f32(bias) && bias->n_dims == 1 && y->n_dims > 0 && bias->shape[0] == y->shape[y->n_dims - 1] &&
            ox_same_shape(y, n->in[i])) {
            product->in[2] = bias;
            product->n_in = 3;
            rw_absorb(w, k, product);
            return true;
        }
    }
    return false;
}

/* The node of the two operands that runs later takes the other in: by then that one is there. */
static bool add_residual(rewriter *w, size_t k) {
    ox_node *n = &w->p->nodes[k];
    if (!rw_is(n, "Add") || !ox_same_shape(n->in[0], n->in[1]) || n->in[0] == n->in[1] || !rw_f32(n->in[0])) {
        return false;
    }
    for (size_t i = 0; i < 2; i++) {
        ox_node *host = rw_sole_maker(w, n->in[i]);
        ox_tensor *other = n->in[1 - i];
        size_t other_maker = w->maker[w->p->root[rw_index(w, other)]];
        if (!rw_takes_more(host) || host->n_in > OX_RESIDUAL || other->is_const || other->block > 0 ||
            other_maker > (size_t)(host - w->p->nodes) + 1) {
            continue;
        }
        host->in[OX_RESIDUAL] = other;
        host->n_in = OX_RESIDUAL + 1;
        rw_absorb(w, k, host);
        return true;
    }
    return false;
}

/* A product times a constant, as the scores of attention are. */
static bool scale(rewriter *w, size_t k) {
    ox_node *n = &w->p->nodes[k];
    bool divides = rw_is(n, "Div");
    float v = 0;
    for (size_t i = 0; (divides || rw_is(n, "Mul")) && i < (divides ? 1u : 2u); i++) {
        ox_node *host = rw_scalar(n, 1 - i, &v) ? rw_sole_maker(w, n->in[i]) : NULL;
        v = divides ? 1 / v : v;
        if (!rw_takes_more(host) || (host->kernel->flags & OX_SCALES) == 0 || host->n_in != 2 ||
            host->epilogue.scale != 0 || !isfinite(v) || v == 0 || !ox_same_shape(n->in[i], n->out[0])) {
            continue;
        }
        host->epilogue.scale = v;
        rw_absorb(w, k, host);
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
            const ox_tensor *t = rw_constant(n, i + 1);
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
    if (rw_is(n, "Relu")) {
        *e = (ox_epilogue){.act = OX_ACT_RELU};
        return true;
    }
    if (rw_is(n, "LeakyRelu")) {
        *e = (ox_epilogue){.act = OX_ACT_LEAKY_RELU, .alpha = ox_attr_float(n, "alpha", 0.01F)};
        return e->alpha > 0;
    }
    return rw_is(n, "Clip") && read_clip(n, e);
}

static bool activation(rewriter *w, size_t k) {
    ox_node *n = &w->p->nodes[k];
    ox_epilogue e;
    ox_node *host =
        n->n_in > 0 && n->n_out == 1 && rw_f32(n->out[0]) && read_activation(n, &e) ? rw_sole_maker(w, n->in[0]) : NULL;
    if (!rw_takes_more(host)) {
        return false;
    }
    e.scale = host->epilogue.scale;
    host->epilogue = e;
    rw_absorb(w, k, host);
    return true;
}

/* ---- all of them -------------------------------------------------------------------------------- */

static bool (*const rules[])(rewriter *, size_t) = {
    view,    rw_take_views, rw_give_view, fold_batch_norm, scale, rw_layer_norm, rw_layer_norm_affine,
    rw_gelu, add_bias,      add_residual, activation};

static void count(rewriter *w) {
    for (size_t v = 0; v < w->p->n_tensors; v++) {
        w->uses[v] = w->b->wanted[v];
    }
    for (size_t k = 0; k < w->p->n_nodes; k++) {
        const ox_node *n = &w->p->nodes[k];
        for (size_t i = 0; i < n->n_in; i++) {
            if (n->in[i] != NULL) {
                w->uses[rw_index(w, n->in[i])]++;
            }
        }
        for (size_t i = 0; i < n->n_out; i++) {
            if (n->out[i] != NULL) {
                w->maker[rw_index(w, n->out[i])] = k + 1;
            }
        }
    }
}

static status apply_rules(rewriter *w, size_t k) {
    ox_node *n = &w->p->nodes[k];
    bool usual = n->n_in > 0 && n->in[0] != NULL && n->n_out > 0 && n->out[0] != NULL;
    for (size_t r = 0; usual && !w->gone[k] && r < sizeof rules / sizeof rules[0]; r++) {
        (void)rules[r](w, k);
        if (w->failure != STATUS_OK) {
            return ox_node_error(w->b->g, n->name, n->op, w->b->err);
        }
    }
    return STATUS_OK;
}

/* What nobody reads any more, seen from the end. */
static void drop_unread(rewriter *w) {
    ox_plan *p = w->p;
    bool *read = arena_alloc(&p->memory, p->n_tensors * sizeof *read);
    for (size_t v = 0; v < p->n_tensors; v++) {
        read[p->root[v]] = read[p->root[v]] || w->b->wanted[v];
    }
    for (size_t k = p->n_nodes; k-- > 0;) {
        const ox_node *n = &p->nodes[k];
        bool needed = false;
        for (size_t i = 0; i < n->n_out && !w->gone[k]; i++) {
            needed = needed || (n->out[i] != NULL && read[p->root[rw_index(w, n->out[i])]]);
        }
        w->gone[k] = !needed;
        for (size_t i = 0; i < n->n_in && needed; i++) {
            if (n->in[i] != NULL) {
                read[p->root[rw_index(w, n->in[i])]] = true;
            }
        }
    }
    size_t kept = 0;
    for (size_t k = 0; k < p->n_nodes; k++) {
        if (!w->gone[k]) {
            p->nodes[kept++] = p->nodes[k];
        }
    }
    p->n_nodes = kept;
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
        TRY(apply_rules(&w, k));
    }
    drop_unread(&w);
    return STATUS_OK;
}
