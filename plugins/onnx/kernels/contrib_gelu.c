/* SPDX-License-Identifier: Apache-2.0
 * com.microsoft.Gelu, BiasGelu (exact Gelu of X + bias), FastGelu (by tanh; bias optional): Gelu on a node of its own;
 * QuickGelu: x / (1 + exp(-alpha x)). */
#include "kernels/fused_inner.h"
#include "kernels/map.h"

extern const ox_kernel ox_kernel_gelu;

static const ox_attr by_tanh = {.name = "approximate", .kind = OX_STRING, .s = "tanh"};

typedef struct state {
    ox_inner inner;
    ox_tensor sum;
    float *g; /* gradient of the sum */
} state;

static void fill_inner(const ox_node *n, ox_inner *i) {
    bool fast = strcmp(n->kernel->op, "com.microsoft.FastGelu") == 0;
    ox_inner_open(i, n, &ox_kernel_gelu, 1, 1);
    i->n.attrs = &by_tanh;
    i->n.n_attrs = fast ? 1 : 0;
    i->in[0] = n->in[0];
    i->out[0] = n->out[0];
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    const ox_tensor *x = n->in[0], *b = ox_input(n, 1);
    if (n->out[0] == NULL || (b == NULL && strcmp(n->kernel->op, "com.microsoft.BiasGelu") == 0)) {
        return error_set(err, STATUS_MODEL, "bias or output is missing");
    }
    if (b != NULL) {
        if (x->n_dims == 0) {
            return error_set(err, STATUS_MODEL, "a scalar with a bias");
        }
        TRY(ox_need_vector(n, 1, (size_t)x->shape[x->n_dims - 1], err));
        if (x->has_batch && x->n_dims == 1) {
            return error_set(err, STATUS_UNSUPPORTED, "a bias for each example of the batch");
        }
    }
    ox_inner i;
    fill_inner(n, &i);
    return i.n.kernel->infer(&i.n, err);
}

static void release(ox_node *n) {
    state *s = n->state;
    if (s != NULL) {
        ox_inner_release(&s->inner);
        mem_free(s->sum.data);
        mem_free(s->g);
        mem_free(s);
        n->state = NULL;
    }
}

static status fill(ox_node *n, state *s, bool want_vjp, error *err) {
    fill_inner(n, &s->inner);
    size_t len = n->in[0]->n > 0 ? n->in[0]->n : 1;
    if (ox_input(n, 1) != NULL) {
        s->sum = *n->in[0];
        s->sum.is_const = false;
        s->sum.data = mem_try(len, ox_dtype_bytes(s->sum.dtype), "sum with the bias", err);
        s->g = want_vjp ? mem_try(len, sizeof *s->g, "gradient", err) : NULL;
        if (s->sum.data == NULL || (want_vjp && s->g == NULL)) {
            return STATUS_MEMORY;
        }
        s->inner.in[0] = &s->sum;
    }
    return ox_inner_prepare(&s->inner, want_vjp, err);
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    n->state = mem_zalloc(sizeof(state));
    status code = fill(n, n->state, want_vjp, err);
    if (code != STATUS_OK) {
        release(n);
    }
    return code;
}

static void add_bias(const ox_node *n, state *s) {
    const ox_tensor *x = n->in[0], *b = n->in[1];
    for (size_t i = 0; i < x->n; i += b->n) {
        for (size_t k = 0; k < b->n; k++) {
            if (x->dtype == ASSAY_F32) {
                ((float *)s->sum.data)[i + k] = ox_f32(x)[i + k] + ox_f32(b)[k];
            } else {
                ox_put(&s->sum, i + k, ox_at(x, i + k) + ox_at(b, k));
            }
        }
    }
}

static status run(ox_node *n, bool plain, error *err) {
    state *s = n->state;
    if (s->sum.data != NULL && n->in[0]->n > 0) {
        add_bias(n, s);
    }
    return ox_inner_forward(&s->inner, plain, err);
}

static status forward(ox_node *n, error *err) {
    return run(n, false, err);
}

static status forward_reference(ox_node *n, error *err) {
    return run(n, true, err);
}

static status backward(ox_node *n, assay_vjp_mode mode, bool plain, error *err) {
    state *s = n->state;
    float *dx = ox_grad_in(n, 0), *db = ox_grad_in(n, 1);
    const size_t len = n->in[0]->n;
    s->inner.grad_out[0] = n->grad_out[0];
    s->inner.grad_in[0] = s->g == NULL ? dx : s->g;
    if (s->g == NULL) {
        return ox_inner_vjp(&s->inner, mode, plain, err);
    }
    memset(s->g, 0, len * sizeof *s->g);
    TRY(ox_inner_vjp(&s->inner, mode, plain, err));
    for (size_t i = 0; dx != NULL && i < len; i++) {
        dx[i] += s->g[i];
    }
    for (size_t i = 0; db != NULL && i < len; i++) {
        db[i % n->in[1]->n] += s->g[i];
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    return backward(n, mode, false, err);
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    return backward(n, mode, true, err);
}

#define CONTRIB_GELU(symbol, name, least, most)                                                                        \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = 1,                                                              \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH,                                                     \
                                          .min_in = (least),                                                           \
                                          .max_in = (most),                                                            \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .prepare = prepare,                                                          \
                                          .release = release,                                                          \
                                          .forward = forward,                                                          \
                                          .forward_reference = forward_reference,                                      \
                                          .vjp = vjp,                                                                  \
                                          .vjp_reference = vjp_reference}
CONTRIB_GELU(contrib_gelu, "com.microsoft.Gelu", 1, 1);
CONTRIB_GELU(contrib_bias_gelu, "com.microsoft.BiasGelu", 2, 2);
CONTRIB_GELU(contrib_fast_gelu, "com.microsoft.FastGelu", 1, 2);

static const ox_map_attrs contrib_quick_gelu_attrs = {{"alpha", NULL}, {1.702F, 0}};
OX_INLINE double logistic(double x) {
    double e = exp(-fabs(x)); /* no overflow on either side */
    return (x >= 0 ? 1 : e) / (1 + e);
}
OX_INLINE double quick_gelu(double x, double a, double b) {
    (void)b;
    double s = logistic(a * x);
    return s == 0 ? 0 : x * s;
}
OX_INLINE double quick_gelu_slope(double x, double a, double b, assay_vjp_mode mode) {
    (void)b;
    (void)mode;
    double s = logistic(a * x), bend = s * (1 - s);
    return s + (bend == 0 ? 0 : a * x * bend);
}
OX_MAP(contrib_quick_gelu, "com.microsoft.QuickGelu", 1, quick_gelu, quick_gelu_slope);
