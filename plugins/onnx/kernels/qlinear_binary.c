/* SPDX-License-Identifier: Apache-2.0
 * com.microsoft.QLinearAdd and QLinearMul: A, A_scale, A_zero, B, B_scale, B_zero, C_scale, C_zero, per tensor, with
 * broadcasting. The result is that of DequantizeLinear of both, Add or Mul in float32, QuantizeLinear, to the last bit.
 * Exact and leaky gradients are zero; straight-through, per quantum, where no saturation was needed. */
#include "kernels/quantized.h"
#include "kernels/simd.h"

enum { A, A_SCALE, A_ZERO, B, B_SCALE, B_ZERO, C_SCALE, C_ZERO };

#define BLOCK 256u /* outputs at a time */

typedef struct job {
    float a[256], b[256]; /* real values */
    float sa, sb, sc;
    bool multiply;
    ox_requant q;
    ox_walk w;
} job;

static status infer(ox_node *n, error *err) {
    uint32_t dtype = 0, n_dims = 0;
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    TRY(ox_need_byte(n, A, err));
    TRY(ox_need_byte(n, B, err));
    if (n->in[A]->dtype != n->in[B]->dtype) {
        return error_set(err, STATUS_MODEL, "A is %s and B is %s", ox_dtype_name(n->in[A]->dtype),
                         ox_dtype_name(n->in[B]->dtype));
    }
    TRY(ox_need_scale(n, A_SCALE, err));
    TRY(ox_need_scale(n, B_SCALE, err));
    TRY(ox_need_zero(n, A_ZERO, A, err));
    TRY(ox_need_zero(n, B_ZERO, B, err));
    TRY(ox_need_output(n, C_SCALE, C_ZERO, &dtype, err));
    TRY(ox_broadcast(n->in[A], n->in[B], shape, &n_dims, err));
    if (n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "the output is missing");
    }
    return ox_set_shape(n->out[0], dtype, shape, n_dims, err);
}

static void open_job(const ox_node *n, job *j) {
    j->sa = ox_f32(n->in[A_SCALE])[0];
    j->sb = ox_f32(n->in[B_SCALE])[0];
    j->sc = ox_f32(n->in[C_SCALE])[0];
    j->multiply = strcmp(n->kernel->op, "com.microsoft.QLinearMul") == 0;
    j->q = ox_requant_of(n->out[0]->dtype, ox_zero_of(ox_input(n, C_ZERO), 0));
    ox_dequantize_table(n->in[A]->dtype, j->sa, ox_zero_of(ox_input(n, A_ZERO), 0), j->a);
    ox_dequantize_table(n->in[B]->dtype, j->sb, ox_zero_of(ox_input(n, B_ZERO), 0), j->b);
    ox_walk_init(&j->w, n->in[A], n->in[B], n->out[0]);
}

/* Quanta before saturation of a block of a run. */
static void open_run(const job *j, const uint8_t *a, size_t sa, const uint8_t *b, size_t sb, size_t len, float *v) {
    for (size_t i = 0; i < len; i++) {
        float x = j->a[a[i * sa]], y = j->b[b[i * sb]];
        v[i] = j->multiply ? x * y : x + y;
    }
    const ox_vf scale = ox_v_set(j->sc), magic = ox_v_set(12582912.0F), far = ox_v_set(1024.0F);
    for (size_t i = 0; i < len; i += OX_LANES) { /* v has room; far beyond the range it need not be exact */
        ox_vf q = ox_v_min(ox_v_max(ox_v_load(v + i) / scale, -far), far);
        ox_v_store(v + i, ((q + magic) - magic) + j->q.zero);
    }
}

static void store_run(const job *j, const float *v, size_t len, uint8_t *y) {
    for (size_t i = 0; i < len; i++) {
        float q = v[i] > j->q.hi ? j->q.hi : v[i];
        y[i] = (uint8_t)(int)(q < j->q.lo ? j->q.lo : q);
    }
}

static status forward(ox_node *n, error *err) {
    (void)err;
    job j;
    open_job(n, &j);
    const uint8_t *a = n->in[A]->data, *b = n->in[B]->data;
    uint8_t *y = n->out[0]->data;
    size_t idx[ASSAY_MAX_DIMS] = {0}, ia = 0, ib = 0, last = j.w.n_dims - 1;
    float v[BLOCK] = {0};
    do {
        for (size_t i = 0; i < j.w.shape[last] && n->out[0]->n > 0; i += BLOCK) {
            size_t len = j.w.shape[last] - i < BLOCK ? j.w.shape[last] - i : BLOCK;
            open_run(&j, a + ia + i * j.w.sa[last], j.w.sa[last], b + ib + i * j.w.sb[last], j.w.sb[last], len, v);
            store_run(&j, v, len, y);
            y += len;
        }
    } while (ox_walk_next(&j.w, idx, &ia, &ib));
    return STATUS_OK;
}

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    job j;
    open_job(n, &j);
    const uint8_t *a = n->in[A]->data, *b = n->in[B]->data;
    uint8_t *y = n->out[0]->data;
    size_t idx[ASSAY_MAX_DIMS] = {0}, ia = 0, ib = 0, last = j.w.n_dims - 1;
    do {
        for (size_t i = 0; i < j.w.shape[last] && n->out[0]->n > 0; i++) {
            float p = j.a[a[ia + i * j.w.sa[last]]], q = j.b[b[ib + i * j.w.sb[last]]];
            *y++ = ox_quantum_saturate(j.q, ox_quantum_open(j.q, j.multiply ? p * q : p + q, j.sc));
        }
    } while (ox_walk_next(&j.w, idx, &ia, &ib));
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)err;
    float *da = ox_grad_in(n, A), *db = ox_grad_in(n, B);
    const float *g = ox_grad_out(n, 0);
    if (mode != ASSAY_VJP_STRAIGHT_THROUGH || g == NULL || n->out[0]->n == 0) {
        return STATUS_OK;
    }
    job j;
    open_job(n, &j);
    const uint8_t *a = n->in[A]->data, *b = n->in[B]->data;
    size_t idx[ASSAY_MAX_DIMS] = {0}, ia = 0, ib = 0, last = j.w.n_dims - 1;
    do {
        for (size_t i = 0; i < j.w.shape[last]; i++, g++) {
            size_t at = ia + i * j.w.sa[last], bt = ib + i * j.w.sb[last];
            float p = j.a[a[at]], q = j.b[b[bt]];
            if (!ox_in_range(j.q, ox_quantum_open(j.q, j.multiply ? p * q : p + q, j.sc))) {
                continue;
            }
            if (da != NULL) {
                da[at] += *g * (j.multiply ? q : 1) * j.sa / j.sc;
            }
            if (db != NULL) {
                db[bt] += *g * (j.multiply ? p : 1) * j.sb / j.sc;
            }
        }
    } while (ox_walk_next(&j.w, idx, &ia, &ib));
    return STATUS_OK;
}

#define QLINEAR_BINARY(symbol, name)                                                                                   \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = 1,                                                              \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH | OX_ZERO_GRADIENT,                                  \
                                          .min_in = 7,                                                                 \
                                          .max_in = 8,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .forward = forward,                                                          \
                                          .forward_reference = forward_reference,                                      \
                                          .vjp = vjp}
QLINEAR_BINARY(qlinear_add, "com.microsoft.QLinearAdd");
QLINEAR_BINARY(qlinear_mul, "com.microsoft.QLinearMul");
