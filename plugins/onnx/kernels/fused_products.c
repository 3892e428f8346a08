/* SPDX-License-Identifier: Apache-2.0
 * com.microsoft.FusedConv: Conv of X, W, B, plus Z (of the output's shape), then an activation.
 * com.microsoft.FusedGemm: Gemm of A, B, C, then an activation. */
#include "kernels/fused_activation.h"
#include "kernels/fused_inner.h"

extern const ox_kernel ox_kernel_conv, ox_kernel_gemm;

enum { Z = 3 }; /* of FusedConv */

typedef struct state {
    ox_inner inner;
    ox_fused act;
    float *g; /* the cotangent before the activation */
} state;

static void fill_inner(const ox_node *n, ox_inner *i) {
    bool conv = strcmp(n->kernel->op, "com.microsoft.FusedConv") == 0;
    ox_inner_open(i, n, conv ? &ox_kernel_conv : &ox_kernel_gemm, n->n_in < Z ? n->n_in : Z, 1);
    i->n.opset = 13;
    for (size_t k = 0; k < i->n.n_in; k++) {
        i->in[k] = n->in[k];
    }
    i->out[0] = n->out[0];
}

static status infer(ox_node *n, error *err) {
    ox_inner i;
    ox_fused act;
    TRY(ox_fused_read(n, &act, err));
    if (n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "the output is missing");
    }
    fill_inner(n, &i);
    TRY(i.n.kernel->infer(&i.n, err));
    if (ox_input(n, Z) != NULL && (!ox_same_shape(n->in[Z], n->out[0]) || n->in[Z]->dtype != n->out[0]->dtype)) {
        return error_set(err, STATUS_MODEL, "Z does not have the output's shape and type");
    }
    return STATUS_OK;
}

static void release(ox_node *n) {
    state *s = n->state;
    if (s != NULL) {
        ox_inner_release(&s->inner);
        mem_free(s->g);
        mem_free(s);
        n->state = NULL;
    }
}

static status fill(ox_node *n, state *s, bool want_vjp, error *err) {
    TRY(ox_fused_read(n, &s->act, err));
    fill_inner(n, &s->inner);
    TRY(ox_inner_prepare(&s->inner, want_vjp, err));
    if (want_vjp) {
        s->g = mem_try(n->out[0]->n > 0 ? n->out[0]->n : 1, sizeof *s->g, "gradient", err);
        return s->g == NULL ? STATUS_MEMORY : STATUS_OK;
    }
    return STATUS_OK;
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    n->state = mem_zalloc(sizeof(state));
    status code = fill(n, n->state, want_vjp, err);
    if (code != STATUS_OK) {
        release(n);
    }
    return code;
}

static status run(ox_node *n, bool plain, error *err) {
    state *s = n->state;
    const ox_tensor *z = ox_input(n, Z);
    ox_tensor *y = n->out[0];
    s->inner.n.unpadded = n->unpadded;
    TRY(ox_inner_forward(&s->inner, plain, err));
    if (z != NULL && y->dtype == ASSAY_F32) {
        float *to = y->data;
        for (size_t i = 0; i < y->n; i++) {
            to[i] += ox_f32(z)[i];
        }
    } else if (z != NULL) {
        for (size_t i = 0; i < y->n; i++) {
            ox_put(y, i, ox_at(y, i) + ox_at(z, i));
        }
    }
    ox_fused_apply(&s->act, y);
    return STATUS_OK;
}

static status forward(ox_node *n, error *err) {
    return run(n, false, err);
}

static status forward_reference(ox_node *n, error *err) {
    return run(n, true, err);
}

static status backward(ox_node *n, assay_vjp_mode mode, bool plain, error *err) {
    state *s = n->state;
    const float *g = ox_grad_out(n, 0);
    if (g == NULL || s->g == NULL) {
        return STATUS_OK;
    }
    ox_fused_vjp(&s->act, mode, n->out[0], g, s->g);
    float *dz = ox_grad_in(n, Z);
    for (size_t i = 0; dz != NULL && i < n->out[0]->n; i++) {
        dz[i] += s->g[i];
    }
    for (size_t k = 0; k < s->inner.n.n_in; k++) {
        s->inner.grad_in[k] = n->grad_in[k];
    }
    s->inner.grad_out[0] = s->g;
    return ox_inner_vjp(&s->inner, mode, plain, err);
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    return backward(n, mode, false, err);
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    return backward(n, mode, true, err);
}

static uint64_t macs(const ox_node *n) {
    ox_inner i;
    fill_inner(n, &i);
    return i.n.kernel->macs(&i.n);
}

#define FUSED(symbol, name, inputs)                                                                                    \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = 1,                                                              \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH,                                                     \
                                          .min_in = 2,                                                                 \
                                          .max_in = (inputs),                                                          \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .prepare = prepare,                                                          \
                                          .release = release,                                                          \
                                          .forward = forward,                                                          \
                                          .forward_reference = forward_reference,                                      \
                                          .vjp = vjp,                                                                  \
                                          .vjp_reference = vjp_reference,                                              \
                                          .macs = macs}
FUSED(fused_conv, "com.microsoft.FusedConv", 4);
FUSED(fused_gemm, "com.microsoft.FusedGemm", 3);
