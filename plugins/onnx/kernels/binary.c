/* SPDX-License-Identifier: Apache-2.0
 * Add, Sub, Mul, Div with numpy broadcasting (opset 7 on). float32 and float64 with gradients; int32 and int64
 * (shape arithmetic of exported graphs) without, wrapping around as two's complement. Forward is the plain loop. */
#include "kernels/common.h"

typedef enum binary_op { ADD, SUB, MUL, DIV } binary_op;

static binary_op op_of(const ox_node *n) {
    switch (n->op[0]) {
    case 'A': return ADD;
    case 'S': return SUB;
    case 'M': return MUL;
    default: return DIV;
    }
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_dtype_of_first(n, 0, err));
    TRY(ox_need_dtype_of_first(n, 1, err));
    uint32_t dtype = n->in[0]->dtype;
    if (!ox_is_float(dtype) && dtype != ASSAY_I32 && dtype != ASSAY_I64) {
        return error_set(err, STATUS_UNSUPPORTED, "%s of %s is not supported", n->op, ox_dtype_name(dtype));
    }
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    uint32_t n_dims = 0;
    TRY(ox_broadcast(n->in[0], n->in[1], shape, &n_dims, err));
    return ox_set_shape(n->out[0], dtype, shape, n_dims, err);
}

/* One innermost run; an operand of stride 0 is one value. */
#define RUN(type, expr)                                                                                                \
    if (sa != 0 && sb != 0) {                                                                                          \
        for (size_t i = 0; i < len; i++) {                                                                             \
            type x = a[i], y = b[i];                                                                                   \
            o[i] = (expr);                                                                                             \
        }                                                                                                              \
    } else if (sa != 0) {                                                                                              \
        type y = *b;                                                                                                   \
        for (size_t i = 0; i < len; i++) {                                                                             \
            type x = a[i];                                                                                             \
            o[i] = (expr);                                                                                             \
        }                                                                                                              \
    } else {                                                                                                           \
        for (size_t i = 0; i < len; i++) {                                                                             \
            type x = *a, y = b[i * sb];                                                                                \
            o[i] = (expr);                                                                                             \
        }                                                                                                              \
    }                                                                                                                  \
    break

static void run_f32(binary_op op, const float *a, size_t sa, const float *b, size_t sb, float *restrict o, size_t len) {
    switch (op) {
    case ADD: RUN(float, x + y);
    case SUB: RUN(float, x - y);
    case MUL: RUN(float, x *y);
    default: RUN(float, x / y);
    }
}

static void run_f64(binary_op op, const double *a, size_t sa, const double *b, size_t sb, double *restrict o,
                    size_t len) {
    switch (op) {
    case ADD: RUN(double, x + y);
    case SUB: RUN(double, x - y);
    case MUL: RUN(double, x *y);
    default: RUN(double, x / y);
    }
}

static int64_t integer_at(const ox_tensor *t, size_t i) {
    return t->dtype == ASSAY_I64 ? ((const int64_t *)t->data)[i] : ((const int32_t *)t->data)[i];
}

static status run_int(const ox_node *n, binary_op op, const size_t from[3], const size_t stride[2], size_t len,
                      error *err) {
    for (size_t i = 0; i < len; i++) {
        int64_t x = integer_at(n->in[0], from[0] + i * stride[0]), y = integer_at(n->in[1], from[1] + i * stride[1]);
        uint64_t ux = (uint64_t)x, uy = (uint64_t)y, r = 0;
        switch (op) {
        case ADD: r = ux + uy; break;
        case SUB: r = ux - uy; break;
        case MUL: r = ux * uy; break;
        default:
            if (y == 0) {
                return error_set(err, STATUS_MODEL, "integer division by zero");
            }
            r = y == -1 ? 0 - ux : (uint64_t)(x / y); /* -1: the smallest integer has no negative */
        }
        if (n->out[0]->dtype == ASSAY_I64) {
            ((int64_t *)n->out[0]->data)[from[2] + i] = (int64_t)r;
        } else {
            ((int32_t *)n->out[0]->data)[from[2] + i] = (int32_t)(uint32_t)r;
        }
    }
    return STATUS_OK;
}

static status forward(ox_node *n, error *err) {
    const ox_tensor *a = n->in[0], *b = n->in[1];
    ox_tensor *o = n->out[0];
    binary_op op = op_of(n);
    ox_walk w;
    ox_walk_init(&w, a, b, o);
    size_t idx[ASSAY_MAX_DIMS] = {0}, ia = 0, ib = 0, last = w.n_dims - 1, len = w.shape[last];
    if (o->n == 0) {
        return STATUS_OK;
    }
    for (size_t io = 0;; io += len) {
        if (o->dtype == ASSAY_F32) {
            run_f32(op, (const float *)a->data + ia, w.sa[last], (const float *)b->data + ib, w.sb[last],
                    (float *)o->data + io, len);
        } else if (o->dtype == ASSAY_F64) {
            run_f64(op, (const double *)a->data + ia, w.sa[last], (const double *)b->data + ib, w.sb[last],
                    (double *)o->data + io, len);
        } else {
            TRY(run_int(n, op, (size_t[3]){ia, ib, io}, (size_t[2]){w.sa[last], w.sb[last]}, len, err));
        }
        if (!ox_walk_next(&w, idx, &ia, &ib)) {
            return STATUS_OK;
        }
    }
}

/* Adds a run of gradients; a broadcast operand receives their sum (double, in order). */
#define ADD_RUN(dst, stride, expr)                                                                                     \
    if ((stride) != 0) {                                                                                               \
        for (size_t i = 0; i < len; i++) {                                                                             \
            (dst)[i] += (float)(expr);                                                                                 \
        }                                                                                                              \
    } else {                                                                                                           \
        double sum = 0;                                                                                                \
        for (size_t i = 0; i < len; i++) {                                                                             \
            sum += (double)(expr);                                                                                     \
        }                                                                                                              \
        *(dst) += (float)sum;                                                                                          \
    }                                                                                                                  \
    break

/* g is the output's gradient; a and b are at their runs. */
static void vjp_run(binary_op op, bool first, const ox_tensor *a, size_t ia, size_t sa, const ox_tensor *b, size_t ib,
                    size_t sb, const float *g, float *dst, size_t len) {
    size_t sd = first ? sa : sb;
    if (first) {
        switch (op) {
        case ADD:
        case SUB: ADD_RUN(dst, sd, g[i]);
        case MUL: ADD_RUN(dst, sd, (double)g[i] * ox_at(b, ib + i * sb));
        default: ADD_RUN(dst, sd, (double)g[i] / ox_at(b, ib + i * sb));
        }
        return;
    }
    switch (op) {
    case ADD: ADD_RUN(dst, sd, g[i]);
    case SUB: ADD_RUN(dst, sd, -g[i]);
    case MUL: ADD_RUN(dst, sd, (double)g[i] * ox_at(a, ia + i * sa));
    default: {
        ADD_RUN(dst, sd, -(double)g[i] * ox_at(a, ia + i * sa) / ox_at(b, ib + i * sb) / ox_at(b, ib + i * sb));
    }
    }
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const ox_tensor *a = n->in[0], *b = n->in[1];
    const float *g = ox_grad_out(n, 0);
    if (g == NULL || n->out[0]->n == 0) {
        return STATUS_OK;
    }
    ox_walk w;
    ox_walk_init(&w, a, b, n->out[0]);
    for (size_t k = 0; k < 2; k++) {
        float *dst = ox_grad_in(n, k);
        if (dst == NULL) {
            continue;
        }
        size_t idx[ASSAY_MAX_DIMS] = {0}, ia = 0, ib = 0, last = w.n_dims - 1, len = w.shape[last], io = 0;
        do {
            vjp_run(op_of(n), k == 0, a, ia, w.sa[last], b, ib, w.sb[last], g + io, dst + (k == 0 ? ia : ib), len);
            io += len;
        } while (ox_walk_next(&w, idx, &ia, &ib));
    }
    return STATUS_OK;
}

#define BINARY(symbol, name)                                                                                           \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = 7,                                                              \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH,                                                     \
                                          .min_in = 2,                                                                 \
                                          .max_in = 2,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .forward = forward,                                                          \
                                          .vjp = vjp}
BINARY(add, "Add");
BINARY(sub, "Sub");
BINARY(mul, "Mul");
BINARY(div, "Div");
