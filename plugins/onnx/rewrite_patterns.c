/* SPDX-License-Identifier: Apache-2.0
 * Operators that exporters write out in simpler ones, because the opset had no name for them or the framework did not:
 * LayerNormalization (Ba et al. 2016, arXiv:1607.06450) and Gelu (Hendrycks and Gimpel 2016, arXiv:1606.08415). */
#include <math.h>

#include "rewrite.h"

/* Node n becomes another operator of `n_in` inputs, as a file of `opset` would have it. */
static bool become(rewriter *w, ox_node *n, const char *op, int opset, size_t n_in) {
    const ox_kernel *kernel = ox_kernel_find(op, opset);
    if (kernel == NULL) {
        return false;
    }
    ox_tensor *out = n->out[0];
    ox_build_ports(w->b, n, n_in, 1);
    n->out[0] = out;
    n->op = kernel->op;
    n->opset = opset;
    n->kernel = kernel;
    n->attrs = NULL;
    n->n_attrs = 0;
    return true;
}

/* ---- LayerNormalization -------------------------------------------------------------------------- */

/* ReduceMean over the last axis alone, which stays as 1. */
static bool is_row_mean(const ox_node *n) {
    const ox_attr *a = ox_attr_find(n, "axes");
    int64_t axis = 0;
    if (!rw_is(n, "ReduceMean") || ox_attr_int(n, "keepdims", 1) == 0) {
        return false;
    }
    if (a != NULL && a->kind == OX_INTS && a->n == 1) {
        axis = a->ints[0];
    } else if (n->n_in == 2 && n->in[1] != NULL && n->in[1]->is_const && n->in[1]->n == 1 &&
               n->in[1]->dtype == ASSAY_I64) {
        axis = *(const int64_t *)n->in[1]->data;
    } else {
        return false;
    }
    int64_t rank = (int64_t)n->in[0]->n_dims;
    return axis == -1 || axis == rank - 1;
}

/* x * x, or x to the power of 2 */
static bool is_square(const ox_node *n, const ox_tensor *x) {
    float v = 0;
    return (rw_is(n, "Mul") && n->in[0] == x && n->in[1] == x) ||
           (rw_is(n, "Pow") && n->in[0] == x && rw_scalar(n, 1, &v) && v == 2);
}

/* The variance of the rows of `centred`, plus epsilon. */
static bool is_variance(const rewriter *w, const ox_node *n, const ox_tensor *centred, float *epsilon) {
    if (!rw_is(n, "Add")) {
        return false;
    }
    size_t c = rw_constant(n, 0) != NULL ? 0 : 1;
    const ox_node *mean = rw_maker(w, n->in[1 - c]);
    return rw_scalar(n, c, epsilon) && is_row_mean(mean) && is_square(rw_maker(w, mean->in[0]), centred);
}

/* centred / sqrt(variance + epsilon): becomes a LayerNormalization with a scale of ones. */
bool rw_layer_norm(rewriter *w, size_t k) {
    ox_node *n = &w->p->nodes[k];
    if (!rw_is(n, "Div") || !rw_f32(n->out[0])) {
        return false;
    }
    ox_tensor *centred = n->in[0];
    const ox_node *root = rw_maker(w, n->in[1]), *sub = rw_maker(w, centred);
    float epsilon = 0;
    if (!rw_is(root, "Sqrt") || !rw_is(sub, "Sub") || !is_variance(w, rw_maker(w, root->in[0]), centred, &epsilon)) {
        return false;
    }
    ox_tensor *x = sub->in[0];
    const ox_node *mean = rw_maker(w, sub->in[1]);
    if (!is_row_mean(mean) || mean->in[0] != x || x->is_const || !ox_same_shape(x, n->out[0]) || x->n_dims == 0) {
        return false;
    }
    ox_tensor *ones = rw_new_constant(w, &x->shape[x->n_dims - 1], 1);
    if (ones == NULL || !become(w, n, "LayerNormalization", 17, 2)) {
        return false;
    }
    for (size_t i = 0; i < ones->n; i++) {
        ((float *)ones->data)[i] = 1;
    }
    ox_attr *attr = arena_alloc(&w->p->memory, sizeof *attr);
    *attr = (ox_attr){.name = "epsilon", .kind = OX_FLOAT, .f = epsilon};
    n->attrs = attr;
    n->n_attrs = 1;
    n->in[0] = x;
    n->in[1] = ones;
    w->uses[rw_index(w, x)]++;
    return true;
}

/* A constant row of the last axis. */
static ox_tensor *row_constant(const ox_node *n, size_t i) {
    const ox_tensor *y = n->out[0];
    bool row = rw_constant(n, i) != NULL && n->in[i]->n_dims == 1 && y->n_dims > 0 &&
               n->in[i]->shape[0] == y->shape[y->n_dims - 1];
    return row ? n->in[i] : NULL;
}

/* Scale and bias behind the LayerNormalization that rw_layer_norm has made. */
bool rw_layer_norm_affine(rewriter *w, size_t k) {
    ox_node *n = &w->p->nodes[k];
    bool mul = rw_is(n, "Mul");
    if (!mul && !rw_is(n, "Add")) {
        return false;
    }
    for (size_t i = 0; i < 2; i++) {
        ox_node *norm = rw_sole_maker(w, n->in[i]);
        ox_tensor *row = row_constant(n, 1 - i);
        bool ours = rw_is(norm, "LayerNormalization") && norm->in[1]->name == rw_folded && norm->n_in == 2;
        if (row == NULL || !rw_is(norm, "LayerNormalization") || norm->n_in != 2 || norm->n_out != 1 ||
            (mul && !ours) || !ox_same_shape(n->in[i], n->out[0])) {
            continue;
        }
        norm->in[mul ? 1 : 2] = row;
        norm->n_in = mul ? 2 : 3;
        rw_absorb(w, k, norm);
        return true;
    }
    return false;
}

/* ---- Gelu --------------------------------------------------------------------------------------- */

static bool near(float v, double want) {
    return fabs((double)v - want) <= 1e-6 * want;
}

/* n = op(a, constant) or, where `either`, op(constant, a): a, and the constant's value is near `want`. */
static ox_tensor *other_than(const ox_node *n, const char *op, double want, bool either) {
    float v = 0;
    for (size_t i = 0; rw_is(n, op) && i < (either ? 2u : 1u); i++) {
        if (rw_scalar(n, 1 - i, &v) && near(v, want)) {
            return n->in[i];
        }
    }
    return NULL;
}

/* 1 + erf(x / sqrt 2): x */
static ox_tensor *under_erf(const rewriter *w, const ox_tensor *t) {
    const ox_tensor *erf = other_than(rw_maker(w, t), "Add", 1, true);
    const ox_node *n = rw_maker(w, erf);
    if (!rw_is(n, "Erf")) {
        return NULL;
    }
    const ox_node *scaled = rw_maker(w, n->in[0]);
    ox_tensor *x = other_than(scaled, "Div", sqrt(2.0), false);
    return x != NULL ? x : other_than(scaled, "Mul", sqrt(0.5), true);
}

/* a * b is x * (1 + erf(x / sqrt 2)), or with `half` x / 2 * (...): x */
static ox_tensor *gelu_product(const rewriter *w, ox_tensor *a, ox_tensor *b, bool half) {
    ox_tensor *x = under_erf(w, b);
    if (x == NULL) {
        return NULL;
    }
    if (!half) {
        return a == x ? x : NULL;
    }
    ox_tensor *halved = other_than(rw_maker(w, a), "Mul", 0.5, true);
    halved = halved != NULL ? halved : other_than(rw_maker(w, a), "Div", 2, false);
    return halved == x ? x : NULL;
}

/* x / 2 * (1 + erf(x / sqrt 2)) in any order. */
static ox_tensor *gelu_of(const rewriter *w, const ox_node *n) {
    for (size_t i = 0; rw_is(n, "Mul") && i < 2; i++) {
        ox_tensor *x = gelu_product(w, n->in[i], n->in[1 - i], true);
        if (x != NULL) {
            return x;
        }
    }
    const ox_node *product = rw_maker(w, other_than(n, "Mul", 0.5, true));
    for (size_t i = 0; rw_is(product, "Mul") && i < 2; i++) {
        ox_tensor *x = gelu_product(w, product->in[i], product->in[1 - i], false);
        if (x != NULL) {
            return x;
        }
    }
    return NULL;
}

bool rw_gelu(rewriter *w, size_t k) {
    ox_node *n = &w->p->nodes[k];
    ox_tensor *x = rw_f32(n->out[0]) ? gelu_of(w, n) : NULL;
    if (x == NULL || x->is_const || !ox_same_shape(x, n->out[0]) || !become(w, n, "Gelu", 20, 1)) {
        return false;
    }
    n->in[0] = x;
    w->uses[rw_index(w, x)]++;
    return true;
}
