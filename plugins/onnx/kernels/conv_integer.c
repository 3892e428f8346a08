/* SPDX-License-Identifier: Apache-2.0
 * ConvInteger (opset 10): x, w, zero points of x (scalar) and w (scalar, or one per output channel), all 8-bit; int32
 * sums, modulo 2^32. It is linear, so its gradient per quantum is that of a convolution, in every mode. */
#include "kernels/qconv.h"

static const ox_qconv_inputs inputs = {.x = 0, .w = 1, .x_zero = 2, .w_zero = 3};

typedef struct state {
    ox_qconv q;
    float *ones; /* one step of a sum is one step of the output */
} state;

static status infer(ox_node *n, error *err) {
    ox_conv_shape s;
    return ox_qconv_infer(n, inputs, ASSAY_I32, &s, err);
}

static void release(ox_node *n) {
    state *s = n->state;
    if (s != NULL) {
        ox_qconv_release(&s->q);
        mem_free(s->ones);
        mem_free(s);
        n->state = NULL;
    }
}

static status fill(ox_node *n, state *s, bool want_vjp, error *err) {
    TRY(ox_qconv_prepare(&s->q, n, inputs, want_vjp, err));
    s->ones = mem_try(s->q.s.c_out, sizeof *s->ones, "factors", err);
    for (size_t k = 0; s->ones != NULL && k < s->q.s.c_out; k++) {
        s->ones[k] = 1;
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

typedef struct target {
    int32_t *y; /* of one example */
    size_t plane;
} target;

static void store(void *ctx, const ox_iconv_rows *r) {
    const target *t = ctx;
    int32_t *y = t->y + r->channel * t->plane + r->position;
    for (size_t i = 0; i < r->n; i++) {
        memcpy(y + i * r->len, r->acc + i * r->pitch, r->len * sizeof *y);
    }
}

static void run(ox_node *n, bool plain) {
    state *s = n->state;
    size_t plane = s->q.s.w.out_plane;
    ox_qconv_begin(&s->q, n);
    for (size_t b = 0; b < s->q.s.batch; b++) {
        target t = {.y = (int32_t *)n->out[0]->data + b * s->q.s.c_out * plane, .plane = plane};
        ox_qconv_example(&s->q, n, b, plain, store, &t);
    }
}

static status forward(ox_node *n, error *err) {
    (void)err;
    run(n, false);
    return STATUS_OK;
}

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    run(n, true);
    return STATUS_OK;
}

static status backward(ox_node *n, bool plain, error *err) {
    state *s = n->state;
    const float *g = ox_grad_out(n, 0);
    size_t len = s->q.s.c_out * s->q.s.w.out_plane;
    if (g == NULL || !s->q.want_vjp) {
        return STATUS_OK;
    }
    TRY(ox_qconv_begin_vjp(&s->q, n, s->ones, true, err));
    for (size_t b = 0; b < s->q.s.batch; b++) {
        memcpy(s->q.g, g + b * len, len * sizeof *g);
        TRY(ox_qconv_vjp(&s->q, n, b, s->ones, plain, err));
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    return backward(n, false, err);
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    return backward(n, true, err);
}

static uint64_t macs(const ox_node *n) {
    return ox_qconv_macs(n, inputs.w);
}

const ox_kernel ox_kernel_conv_integer = {.op = "ConvInteger",
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
