/* SPDX-License-Identifier: Apache-2.0
 * QLinearMatMul (opset 10 and 21): a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero; scales and zero points of a
 * per tensor or per row, of b per tensor or per column. com.microsoft.QGemm: the same of two matrices with transA,
 * transB, alpha and an int32 bias C (quantised with alpha * a_scale * b_scale) before y_scale; without y_scale its
 * output is float32.
 *
 * y = saturate(round((sum + C) * scale) + y_zero) with scale = alpha * a_scale * b_scale / y_scale, in float32 and in
 * this order, rounded half to even, as ONNX Runtime computes it (MLAS). An 8-bit output has exact and leaky gradients
 * of zero; straight-through, per quantum, an output that needed no saturation passes; a float output is linear in the
 * sums. Scales count as constants. */
#include "kernels/qmatmul.h"

#define MAX_PART 256 /* columns of one part */

typedef struct roles {
    ox_qmatmul_inputs in;
    size_t a_scale, b_scale, c, y_scale, y_zero; /* SIZE_MAX: none */
    float alpha;
} roles;

typedef struct state {
    ox_qmatmul q;
    roles r;
    ox_requant to;
    float *a_factor, *b_factor; /* by row of all of A, by column of all of B: alpha and y_scale are in b_factor */
    float *scale;               /* by column, where a_scale is one value */
    size_t c_row, c_col;        /* strides of C */
    bool bytes;                 /* the output is 8-bit */
    const float *g;
} state;

static bool is_gemm(const ox_node *n) {
    return strcmp(n->kernel->op, "QLinearMatMul") != 0;
}

static roles roles_of(const ox_node *n) {
    roles r = {.in = {.a = 0, .a_zero = 2, .b = 3, .b_zero = 5}, .a_scale = 1, .b_scale = 4, .alpha = 1};
    if (is_gemm(n)) {
        r.in.trans_a = ox_attr_int(n, "transA", 0) != 0;
        r.in.trans_b = ox_attr_int(n, "transB", 0) != 0;
        r.alpha = ox_attr_float(n, "alpha", 1);
        r.c = ox_input(n, 6) == NULL ? SIZE_MAX : 6;
        r.y_scale = ox_input(n, 7) == NULL ? SIZE_MAX : 7;
        r.y_zero = r.y_scale == SIZE_MAX ? SIZE_MAX : 8;
    } else {
        r.c = SIZE_MAX;
        r.y_scale = 6;
        r.y_zero = 7;
    }
    return r;
}

static status check_gemm(const ox_node *n, error *err) {
    TRY(ox_check_attr(n, "alpha", OX_FLOAT, err));
    TRY(ox_check_attr(n, "transA", OX_INT, err));
    TRY(ox_check_attr(n, "transB", OX_INT, err));
    for (size_t i = 0; i <= 3; i += 3) {
        if (ox_input(n, i) == NULL || n->in[i]->n_dims != 2) {
            return error_set(err, STATUS_MODEL, "input %zu is not a matrix", i);
        }
    }
    if (ox_input(n, 7) == NULL && ox_input(n, 8) != NULL) {
        return error_set(err, STATUS_MODEL, "a zero point of the output without a scale");
    }
    return STATUS_OK;
}

static status check_c(const ox_node *n, error *err) {
    const ox_tensor *c = n->in[6];
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    uint32_t n_dims = 0;
    if (c->dtype != ASSAY_I32) {
        return error_set(err, STATUS_MODEL, "C is %s; it must be int32", ox_dtype_name(c->dtype));
    }
    TRY(ox_broadcast(n->out[0], c, shape, &n_dims, err));
    if (n_dims != 2 || shape[0] != n->out[0]->shape[0] || shape[1] != n->out[0]->shape[1]) {
        return error_set(err, STATUS_MODEL, "C does not broadcast to the output");
    }
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    if (is_gemm(n)) {
        TRY(check_gemm(n, err));
    }
    roles r = roles_of(n);
    uint32_t dtype = ASSAY_F32;
    TRY(ox_need_scales(n, r.a_scale, err));
    TRY(ox_need_scales(n, r.b_scale, err));
    if (r.y_scale != SIZE_MAX) {
        TRY(ox_need_output(n, r.y_scale, r.y_zero, &dtype, err));
    }
    TRY(ox_qmatmul_infer(n, r.in, dtype, err));
    TRY(ox_qmatmul_need_rows(n, r.a_scale, &r.in, err));
    TRY(ox_qmatmul_need_columns(n, r.b_scale, &r.in, err));
    return r.c == SIZE_MAX ? STATUS_OK : check_c(n, err);
}

static void release(ox_node *n) {
    state *s = n->state;
    if (s != NULL) {
        ox_qmatmul_release(&s->q);
        mem_free(s->a_factor);
        mem_free(s->b_factor);
        mem_free(s->scale);
        mem_free(s);
        n->state = NULL;
    }
}

static status floats(float **p, size_t n, error *err) {
    *p = mem_try(n > 0 ? n : 1, sizeof **p, "scales", err);
    return *p == NULL ? STATUS_MEMORY : STATUS_OK;
}

static status fill(ox_node *n, state *s, bool want_vjp, error *err) {
    s->r = roles_of(n);
    s->bytes = n->out[0]->dtype != ASSAY_F32;
    TRY(ox_qmatmul_prepare(&s->q, n, s->r.in, want_vjp, err));
    size_t columns = s->q.n * s->q.n_b, rows = s->q.k > 0 ? n->in[0]->n / s->q.k : s->q.m * s->q.pairs;
    TRY(floats(&s->a_factor, rows, err));
    TRY(floats(&s->b_factor, columns, err));
    TRY(floats(&s->scale, columns, err));
    if (s->r.c != SIZE_MAX) {
        const ox_tensor *c = n->in[s->r.c];
        size_t width = c->n_dims >= 1 ? (size_t)c->shape[c->n_dims - 1] : 1;
        s->c_col = width == 1 ? 0 : 1;
        s->c_row = c->n_dims == 2 && c->shape[0] != 1 ? width : 0;
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

/* The scale of one output, in the order that the head comment gives. */
static float scale_at(const ox_node *n, const state *s, size_t a_row, size_t b_matrix, size_t col) {
    const ox_tensor *as = n->in[s->r.a_scale], *bs = n->in[s->r.b_scale];
    float v = s->r.alpha * ox_f32(as)[ox_qmatmul_row(&s->q, as, a_row)] *
              ox_f32(bs)[ox_qmatmul_column(&s->q, bs, b_matrix, col)];
    return s->r.y_scale == SIZE_MAX ? v : v / ox_f32(n->in[s->r.y_scale])[0];
}

static void begin(ox_node *n) {
    state *s = n->state;
    if (s->bytes) {
        s->to = ox_requant_of(n->out[0]->dtype, ox_zero_of(ox_input(n, s->r.y_zero), 0));
    }
    for (size_t i = 0; n->in[s->r.a_scale]->n == 1 && i < s->q.n * s->q.n_b; i++) {
        s->scale[i] = scale_at(n, s, 0, i / s->q.n, i % s->q.n);
    }
}

/* Scales of a part: of all rows, or computed into `own`. */
static const float *scales_of(const ox_node *n, const ox_qmatmul_part *p, size_t len, float own[MAX_PART]) {
    const state *s = n->state;
    if (n->in[s->r.a_scale]->n == 1) {
        return s->scale + p->b_matrix * s->q.n + p->col;
    }
    for (size_t j = 0; j < len; j++) {
        own[j] = scale_at(n, s, p->a_row, p->b_matrix, p->col + j);
    }
    return own;
}

static const int32_t *with_c(const ox_node *n, const ox_qmatmul_part *p, const int32_t *acc, size_t len,
                             int32_t own[MAX_PART]) {
    const state *s = n->state;
    if (s->r.c == SIZE_MAX) {
        return acc;
    }
    const int32_t *c = (const int32_t *)n->in[s->r.c]->data + p->row * s->c_row + p->col * s->c_col;
    for (size_t j = 0; j < len; j++) {
        own[j] = (int32_t)((uint32_t)acc[j] + (uint32_t)c[j * s->c_col]);
    }
    return own;
}

static void store(void *ctx, const ox_qmatmul_part *p, const int32_t *acc, size_t len) {
    const ox_node *n = ctx;
    const state *s = n->state;
    float scales[MAX_PART];
    int32_t sums[MAX_PART];
    const float *scale = scales_of(n, p, len, scales);
    acc = with_c(n, p, acc, len, sums);
    size_t at = p->row * s->q.n + p->col;
    if (s->bytes) {
        ox_requantize_columns(s->to, acc, scale, (uint8_t *)n->out[0]->data + at, len);
        return;
    }
    float *y = (float *)n->out[0]->data + at;
    for (size_t j = 0; j < len; j++) {
        y[j] = (float)acc[j] * scale[j];
    }
}

static status forward(ox_node *n, error *err) {
    (void)err;
    state *s = n->state;
    begin(n);
    ox_qmatmul_run(&s->q, n, false, store, n);
    return STATUS_OK;
}

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    state *s = n->state;
    begin(n);
    ox_qmatmul_run(&s->q, n, true, store, n);
    return STATUS_OK;
}

/* The cotangent where the output was inside its range, which only the sum can tell. */
static void pass(void *ctx, const ox_qmatmul_part *p, const int32_t *acc, size_t len) {
    const ox_node *n = ctx;
    state *s = n->state;
    float scales[MAX_PART];
    int32_t sums[MAX_PART];
    const float *scale = scales_of(n, p, len, scales);
    acc = with_c(n, p, acc, len, sums);
    size_t at = p->row * s->q.n + p->col;
    for (size_t j = 0; j < len; j++) {
        bool in = ox_in_range(s->to, ox_requantize_open(s->to, acc[j], scale[j]));
        s->q.g[at + j] = in ? s->g[at + j] : 0;
    }
}

static void load_factors(const ox_node *n, state *s) {
    const ox_tensor *as = n->in[s->r.a_scale], *bs = n->in[s->r.b_scale];
    size_t rows = s->q.k > 0 ? n->in[0]->n / s->q.k : s->q.m * s->q.pairs;
    float rest = s->r.y_scale == SIZE_MAX ? s->r.alpha : s->r.alpha / ox_f32(n->in[s->r.y_scale])[0];
    for (size_t i = 0; i < rows; i++) {
        s->a_factor[i] = ox_f32(as)[ox_qmatmul_row(&s->q, as, i)];
    }
    for (size_t i = 0; i < s->q.n * s->q.n_b; i++) {
        s->b_factor[i] = ox_f32(bs)[ox_qmatmul_column(&s->q, bs, i / s->q.n, i % s->q.n)] * rest;
    }
}

static status backward(ox_node *n, assay_vjp_mode mode, bool plain) {
    state *s = n->state;
    s->g = ox_grad_out(n, 0);
    if (s->g == NULL || !s->q.want_vjp || (s->bytes && mode != ASSAY_VJP_STRAIGHT_THROUGH)) {
        return STATUS_OK;
    }
    begin(n);
    if (s->bytes) {
        ox_qmatmul_run(&s->q, n, plain, pass, n);
    } else {
        memcpy(s->q.g, s->g, n->out[0]->n * sizeof *s->g);
    }
    load_factors(n, s);
    ox_qmatmul_vjp(&s->q, n, s->a_factor, s->b_factor, plain);
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)err;
    return backward(n, mode, false);
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)err;
    return backward(n, mode, true);
}

static uint64_t macs(const ox_node *n) {
    return ox_qmatmul_macs(n, roles_of(n).in);
}

const ox_kernel ox_kernel_qlinear_matmul = {.op = "QLinearMatMul",
                                            .min_opset = 10,
                                            .max_opset = 9999,
                                            .flags = OX_KEEPS_BATCH | OX_ZERO_GRADIENT,
                                            .min_in = 8,
                                            .max_in = 8,
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

/* Not OX_ZERO_GRADIENT: a float output is linear. */
const ox_kernel ox_kernel_qgemm = {.op = "com.microsoft.QGemm",
                                   .min_opset = 1,
                                   .max_opset = 9999,
                                   .flags = OX_KEEPS_BATCH,
                                   .min_in = 6,
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
