/* SPDX-License-Identifier: Apache-2.0
 * com.microsoft.SkipLayerNormalization: LayerNormalization of input + skip (+ bias) over the last dimension; inputs
 * input, skip, gamma, beta, bias; outputs output, mean, inverse standard deviation, the sum. skip has the input's shape
 * or that of its last dimensions. */
#include "kernels/fused_inner.h"

extern const ox_kernel ox_kernel_layer_norm;

enum { INPUT, SKIP, GAMMA, BETA, BIAS };
enum { SUM = 3 };

typedef struct state {
    ox_inner inner;
    ox_tensor sum;
    ox_attr epsilon;
    float *g; /* gradient of the sum */
} state;

static void fill_inner(const ox_node *n, ox_inner *i, ox_attr *epsilon, ox_tensor *sum) {
    *epsilon = (ox_attr){.name = "epsilon", .kind = OX_FLOAT, .f = ox_attr_float(n, "epsilon", 1e-12F)};
    ox_inner_open(i, n, &ox_kernel_layer_norm, ox_input(n, BETA) == NULL ? 2 : 3, 1);
    i->n.attrs = epsilon;
    i->n.n_attrs = 1;
    *sum = *n->in[INPUT];
    sum->is_const = false;
    i->in[0] = sum;
    i->in[1] = n->in[GAMMA];
    i->in[2] = ox_input(n, BETA);
    i->out[0] = n->out[0];
}

static status check_skip(const ox_node *n, error *err) {
    const ox_tensor *x = n->in[INPUT], *s = n->in[SKIP];
    bool ok = s->n_dims <= x->n_dims;
    uint32_t lost = ok ? x->n_dims - s->n_dims : 0;
    bool leading = true; /* leading dimensions of 1 mean nothing */
    for (uint32_t d = 0; ok && d < s->n_dims; d++) {
        leading = leading && s->shape[d] == 1 && x->shape[lost + d] != 1;
        ok = leading || s->shape[d] == x->shape[lost + d];
    }
    return ok && (s->n > 0 || x->n == 0)
               ? STATUS_OK
               : error_set(err, STATUS_MODEL, "skip does not have the shape of the input's last dimensions");
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, INPUT, err));
    TRY(ox_need_dtype_of_first(n, SKIP, err));
    TRY(ox_check_attr(n, "epsilon", OX_FLOAT, err));
    const ox_tensor *x = n->in[INPUT];
    if (x->n_dims < 2 || n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "an input of %u dimensions, or no output", x->n_dims);
    }
    if (ox_output(n, 1) != NULL || ox_output(n, 2) != NULL) {
        return error_set(err, STATUS_UNSUPPORTED, "the outputs mean and inv_std_var");
    }
    TRY(check_skip(n, err));
    size_t width = (size_t)x->shape[x->n_dims - 1];
    TRY(ox_need_vector(n, GAMMA, width, err));
    for (size_t i = BETA; i <= BIAS; i++) {
        if (ox_input(n, i) != NULL) {
            TRY(ox_need_vector(n, i, width, err));
        }
    }
    if (ox_output(n, SUM) != NULL) {
        TRY(ox_set_shape(n->out[SUM], x->dtype, x->shape, x->n_dims, err));
    }
    ox_inner i;
    ox_attr epsilon;
    ox_tensor sum;
    fill_inner(n, &i, &epsilon, &sum);
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
    size_t len = n->in[INPUT]->n > 0 ? n->in[INPUT]->n : 1;
    fill_inner(n, &s->inner, &s->epsilon, &s->sum);
    s->sum.data = mem_try(len, ox_dtype_bytes(s->sum.dtype), "sum", err);
    s->g = want_vjp ? mem_try(len, sizeof *s->g, "gradient", err) : NULL;
    if (s->sum.data == NULL || (want_vjp && s->g == NULL)) {
        return STATUS_MEMORY;
    }
    return ox_inner_prepare(&s->inner, want_vjp, err);
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    n->state = mem_zalloc(sizeof(state));
    state *s = n->state;
    status code = fill(n, s, want_vjp, err);
    if (code != STATUS_OK) {
        release(n);
    }
    return code;
}

static void add_f32(const ox_node *n, float *to) {
    const ox_tensor *x = n->in[INPUT], *skip = n->in[SKIP], *bias = ox_input(n, BIAS);
    for (size_t i = 0; i < x->n; i += skip->n) {
        for (size_t k = 0; k < skip->n; k++) {
            to[i + k] = ox_f32(x)[i + k] + ox_f32(skip)[k];
        }
    }
    for (size_t i = 0; bias != NULL && i < x->n; i += bias->n) {
        for (size_t k = 0; k < bias->n; k++) {
            to[i + k] += ox_f32(bias)[k];
        }
    }
}

static status run(ox_node *n, bool plain, error *err) {
    state *s = n->state;
    const ox_tensor *x = n->in[INPUT], *skip = n->in[SKIP], *bias = ox_input(n, BIAS);
    if (x->dtype == ASSAY_F32) {
        add_f32(n, s->sum.data);
    } else {
        for (size_t i = 0; i < x->n; i++) {
            double b = bias == NULL ? 0 : ox_at(bias, i % bias->n);
            ox_put(&s->sum, i, ox_at(x, i) + ox_at(skip, i % skip->n) + b);
        }
    }
    if (ox_output(n, SUM) != NULL) {
        memcpy(n->out[SUM]->data, s->sum.data, x->n * ox_dtype_bytes(x->dtype));
    }
    return ox_inner_forward(&s->inner, plain, err);
}

static status forward(ox_node *n, error *err) {
    return run(n, false, err);
}

static status forward_reference(ox_node *n, error *err) {
    return run(n, true, err);
}

static void spread(const ox_node *n, size_t i, const float *g) {
    float *d = ox_grad_in(n, i);
    for (size_t k = 0; d != NULL && k < n->in[INPUT]->n; k++) {
        d[k % n->in[i]->n] += g[k];
    }
}

static status backward(ox_node *n, assay_vjp_mode mode, bool plain, error *err) {
    state *s = n->state;
    const float *extra = ox_grad_out(n, SUM);
    const size_t len = n->in[INPUT]->n;
    memset(s->g, 0, len * sizeof *s->g);
    if (n->grad_out[0] != NULL) {
        s->inner.grad_out[0] = n->grad_out[0];
        s->inner.grad_in[0] = s->g;
        s->inner.grad_in[1] = ox_grad_in(n, GAMMA);
        s->inner.grad_in[2] = ox_grad_in(n, BETA);
        TRY(ox_inner_vjp(&s->inner, mode, plain, err));
    }
    for (size_t i = 0; extra != NULL && i < len; i++) {
        s->g[i] += extra[i];
    }
    spread(n, INPUT, s->g);
    spread(n, SKIP, s->g);
    spread(n, BIAS, s->g);
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    return backward(n, mode, false, err);
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    return backward(n, mode, true, err);
}

const ox_kernel ox_kernel_contrib_skip_norm = {.op = "com.microsoft.SkipLayerNormalization",
                                               .min_opset = 1,
                                               .max_opset = 9999,
                                               .flags = OX_KEEPS_BATCH,
                                               .min_in = 3,
                                               .max_in = 5,
                                               .min_out = 1,
                                               .max_out = 4,
                                               .infer = infer,
                                               .prepare = prepare,
                                               .release = release,
                                               .forward = forward,
                                               .forward_reference = forward_reference,
                                               .vjp = vjp,
                                               .vjp_reference = vjp_reference};
