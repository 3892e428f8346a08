/* SPDX-License-Identifier: Apache-2.0
 * MatMulInteger (opset 10): A, B, zero points of A (scalar or per row) and of B (scalar or per column), all 8-bit;
 * int32 sums, modulo 2^32. Each product is linear, so the gradients per quantum are those of MatMul, in every mode. */
#include "kernels/qmatmul.h"

static const ox_qmatmul_inputs inputs = {.a = 0, .b = 1, .a_zero = 2, .b_zero = 3};

typedef struct state {
    ox_qmatmul q;
    float *ones; /* for rows and for columns */
} state;

static status infer(ox_node *n, error *err) {
    return ox_qmatmul_infer(n, inputs, ASSAY_I32, err);
}

static void release(ox_node *n) {
    state *s = n->state;
    if (s != NULL) {
        ox_qmatmul_release(&s->q);
        mem_free(s->ones);
        mem_free(s);
        n->state = NULL;
    }
}

static status fill(ox_node *n, state *s, bool want_vjp, error *err) {
    TRY(ox_qmatmul_prepare(&s->q, n, inputs, want_vjp, err));
    if (!want_vjp) {
        return STATUS_OK;
    }
    size_t a = n->in[0]->n, b = n->in[1]->n, columns = s->q.n * s->q.n_b, len = a > b ? a : b;
    len = len > columns ? len : columns; /* no fewer than rows or columns */
    len = len > s->q.m * s->q.pairs ? len : s->q.m * s->q.pairs;
    s->ones = mem_try(len > 0 ? len : 1, sizeof *s->ones, "factors", err);
    for (size_t i = 0; s->ones != NULL && i < len; i++) {
        s->ones[i] = 1;
    }
    return s->ones == NULL ? STATUS_MEMORY : STATUS_OK;
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    n->state = mem_zalloc(sizeof(state));
    status code = fill(n, n->state, want_vjp, err);
    if (code != STATUS_OK) {
        release(n);
    }
    return code;
}

static void store(void *ctx, const ox_qmatmul_part *p, const int32_t *acc, size_t len) {
    const ox_node *n = ctx;
    const state *s = n->state;
    memcpy((int32_t *)n->out[0]->data + p->row * s->q.n + p->col, acc, len * sizeof *acc);
}

static status forward(ox_node *n, error *err) {
    (void)err;
    state *s = n->state;
    ox_qmatmul_run(&s->q, n, false, store, n);
    return STATUS_OK;
}

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    state *s = n->state;
    ox_qmatmul_run(&s->q, n, true, store, n);
    return STATUS_OK;
}

static status backward(ox_node *n, bool plain) {
    state *s = n->state;
    const float *g = ox_grad_out(n, 0);
    if (g != NULL && s->q.want_vjp) {
        memcpy(s->q.g, g, n->out[0]->n * sizeof *g);
        ox_qmatmul_vjp(&s->q, n, s->ones, s->ones, plain);
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    return backward(n, false);
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    return backward(n, true);
}

static uint64_t macs(const ox_node *n) {
    return ox_qmatmul_macs(n, inputs);
}

const ox_kernel ox_kernel_matmul_integer = {.op = "MatMulInteger",
                                            .min_opset = 10,
                                            .max_opset = 9999,
                                            .flags = OX_KEEPS_BATCH,
                                            .min_in = 2,
                                            .max_in = 4,
                                            .min_out = 1,
                                            .max_out = 1,
                                            .infer = infer,
                                            .prepare = prepare,
                                            .release = release,
                                            .forward = forward,
                                            .forward_reference = forward_reference,
                                            .vjp = vjp,
                                            .vjp_reference = vjp_reference,
                                            .macs = macs};
