/* SPDX-License-Identifier: Apache-2.0
 * QLinearConv (opset 10): x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias (int32). Weight scale and zero
 * point: one, or one per output channel. y = saturate(round((sum + bias) * scale) + y_zero) with scale = x_scale *
 * w_scale / y_scale, in float32 and in this order, rounded half to even, as ONNX Runtime computes it (MLAS).
 *
 * Exact and leaky gradients are zero. Straight-through, per quantum: an output that needed no saturation passes
 * scale * (w - w_zero); scales count as constants. */
#include "kernels/qconv.h"

static const ox_qconv_inputs inputs = {.x = 0, .x_zero = 2, .w = 3, .w_zero = 5};
enum { X_SCALE = 1, W_SCALE = 4, Y_SCALE = 6, Y_ZERO = 7, BIAS = 8 };

typedef struct state {
    ox_qconv q;
    float *scale;  /* by output channel */
    int32_t *bias; /* the same; zeros where there is none */
} state;

static status infer(ox_node *n, error *err) {
    uint32_t dtype = 0;
    ox_conv_shape s;
    TRY(ox_need_scale(n, X_SCALE, err));
    TRY(ox_need_scales(n, W_SCALE, err));
    TRY(ox_need_output(n, Y_SCALE, Y_ZERO, &dtype, err));
    TRY(ox_qconv_infer(n, inputs, dtype, &s, err));
    const ox_tensor *ws = n->in[W_SCALE], *b = ox_input(n, BIAS);
    if (ws->n != 1 && (ws->n_dims != 1 || ws->n != s.c_out)) {
        return error_set(err, STATUS_MODEL, "%zu weight scales for %zu output channels", ws->n, s.c_out);
    }
    if (b != NULL && (b->dtype != ASSAY_I32 || b->n_dims != 1 || b->n != s.c_out)) {
        return error_set(err, STATUS_MODEL, "the bias is not a vector of %zu int32", s.c_out);
    }
    return STATUS_OK;
}

static void release(ox_node *n) {
    state *s = n->state;
    if (s != NULL) {
        ox_qconv_release(&s->q);
        mem_free(s->scale);
        mem_free(s->bias);
        mem_free(s);
        n->state = NULL;
    }
}

static status fill(ox_node *n, state *s, bool want_vjp, error *err) {
    TRY(ox_qconv_prepare(&s->q, n, inputs, want_vjp, err));
    s->scale = mem_try(s->q.s.c_out, sizeof *s->scale, "scales", err);
    s->bias = mem_try(s->q.s.c_out, sizeof *s->bias, "bias", err);
    return s->scale == NULL || s->bias == NULL ? STATUS_MEMORY : STATUS_OK;
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    n->state = mem_zalloc(sizeof(state));
    status code = fill(n, n->state, want_vjp, err);
    if (code != STATUS_OK) {
        release(n);
    }
    return code;
}

/* One example: where its outputs, or its cotangents, go. */
typedef struct target {
    const state *s;
    ox_requant r;
    uint8_t *y;
    const float *g;
} target;

static target target_of(const ox_node *n) {
    return (target){.s = n->state, .r = ox_requant_of(n->out[0]->dtype, ox_zero_of(ox_input(n, Y_ZERO), 0))};
}

static void begin(ox_node *n) {
    state *s = n->state;
    const ox_tensor *b = ox_input(n, BIAS);
    ox_qconv_begin(&s->q, n);
    for (size_t k = 0; k < s->q.s.c_out; k++) {
        s->scale[k] = ox_f32(n->in[X_SCALE])[0] * ox_scale_of(n->in[W_SCALE], k) / ox_f32(n->in[Y_SCALE])[0];
        s->bias[k] = b == NULL ? 0 : ((const int32_t *)b->data)[k];
    }
}

static void store(void *ctx, const ox_iconv_rows *r) {
    const target *t = ctx;
    uint8_t *y = t->y + r->channel * t->s->q.s.w.out_plane + r->position;
    ox_requantize_rows(t->r, r->acc, r->pitch, r->len, r->n, t->s->bias[r->channel], t->s->scale[r->channel], y);
}

static void run(ox_node *n, bool plain) {
    state *s = n->state;
    target t = target_of(n);
    begin(n);
    for (size_t b = 0; b < s->q.s.batch; b++) {
        t.y = (uint8_t *)n->out[0]->data + b * s->q.s.c_out * s->q.s.w.out_plane;
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

/* The cotangent where the output was inside its range, which only the sum can tell. */
static void pass(void *ctx, const ox_iconv_rows *r) {
    const target *t = ctx;
    const size_t at = r->channel * t->s->q.s.w.out_plane + r->position;
    const uint32_t bias = (uint32_t)t->s->bias[r->channel];
    const float scale = t->s->scale[r->channel], *g = t->g + at;
    float *to = t->s->q.g + at;
    for (size_t i = 0; i < r->n; i++, g += r->len, to += r->len) {
        const int32_t *acc = r->acc + i * r->pitch;
        for (size_t j = 0; j < r->len; j++) {
            bool in = ox_in_range(t->r, ox_requantize_open(t->r, (int32_t)((uint32_t)acc[j] + bias), scale));
            to[j] = in ? g[j] : 0;
        }
    }
}

static status backward(ox_node *n, assay_vjp_mode mode, bool plain, error *err) {
    state *s = n->state;
    const float *g = ox_grad_out(n, 0);
    if (mode != ASSAY_VJP_STRAIGHT_THROUGH || g == NULL || !s->q.want_vjp) {
        return STATUS_OK;
    }
    target t = target_of(n);
    begin(n);
    bool constant = n->in[X_SCALE]->is_const && n->in[W_SCALE]->is_const && n->in[Y_SCALE]->is_const;
    TRY(ox_qconv_begin_vjp(&s->q, n, s->scale, constant, err));
    for (size_t b = 0; b < s->q.s.batch; b++) {
        t.g = g + b * s->q.s.c_out * s->q.s.w.out_plane;
        ox_qconv_example(&s->q, n, b, plain, pass, &t);
        TRY(ox_qconv_vjp(&s->q, n, b, s->scale, plain, err));
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    return backward(n, mode, false, err);
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    return backward(n, mode, true, err);
}

static uint64_t macs(const ox_node *n) {
    return ox_qconv_macs(n, inputs.w);
}

const ox_kernel ox_kernel_qlinear_conv = {.op = "QLinearConv",
                                          .min_opset = 10,
                                          .max_opset = 9999,
                                          .flags = OX_KEEPS_BATCH | OX_ZERO_GRADIENT,
                                          .min_in = 8,
                                          .max_in = 9,
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
