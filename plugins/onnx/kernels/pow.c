/* SPDX-License-Identifier: Apache-2.0
 * Pow: x to the power y. Both of one float dtype before opset 12; from there on the base is float32, float64, int32 or
 * int64, the exponent any number, and the result of the base's dtype. Integers to integers are exact and wrap; to a
 * negative power they are truncated, so 0 but for 1 and -1 (0 to a negative power, which is undefined, is 0 too); to a
 * float they are computed in double and converted as Cast does. Gradients as in PyTorch: y = 0 passes nothing to x,
 * x = 0 nothing to y >= 0; y's gradient is NaN where x < 0, around which the function is not defined. */
#include "kernels/pairs.h"
#include "kernels/saturate.h"

static status infer(ox_node *n, error *err) {
    TRY(ox_need_dtype_of_first(n, 0, err));
    if (n->opset < 12) {
        TRY(ox_need_dtype_of_first(n, 1, err));
    }
    const ox_tensor *x = n->in[0], *y = ox_input(n, 1);
    bool base = ox_is_float(x->dtype) || (n->opset >= 12 && (x->dtype == ASSAY_I32 || x->dtype == ASSAY_I64));
    if (!base || y == NULL || (!ox_is_float(y->dtype) && !ox_is_integer(y->dtype))) {
        return error_set(err, y == NULL ? STATUS_MODEL : STATUS_UNSUPPORTED, "Pow of %s to %s is not supported",
                         ox_dtype_name(x->dtype), y == NULL ? "nothing" : ox_dtype_name(y->dtype));
    }
    return ox_pair_infer(n, x->dtype, err);
}

static int64_t integer_power(int64_t x, int64_t y) {
    if (y < 0) {
        return x == 1 ? 1 : (x == -1 ? (y % 2 == 0 ? 1 : -1) : 0);
    }
    uint64_t r = 1, square = (uint64_t)x;
    for (; y > 0; y >>= 1) {
        r = (y & 1) != 0 ? r * square : r;
        square *= square;
    }
    return (int64_t)r;
}

/* Element ib of y is the exponent: an int64 beyond 2^53 keeps its parity, which decides the sign. */
static double power(double x, const ox_tensor *y, size_t ib) {
    double r = pow(x, ox_at(y, ib));
    return y->dtype == ASSAY_I64 ? copysign(r, x < 0 && (ox_int_at(y, ib) & 1) != 0 ? -1 : r) : r;
}

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    const ox_tensor *x = n->in[0], *y = n->in[1];
    ox_tensor *z = n->out[0];
    ox_pair p;
    ox_pair_of(&p, n);
    if (ox_is_integer(x->dtype) && ox_is_integer(y->dtype)) {
        ox_pair_integers(n, integer_power);
    } else if (ox_is_integer(x->dtype)) {
        OX_PAIR_INDICES(&p, ox_int_put(z, io, ox_saturate(power(ox_at(x, ia), y, ib), z->dtype)));
    } else {
        OX_PAIR_INDICES(&p, ox_put(z, io, power(ox_at(x, ia), y, ib)));
    }
    return STATUS_OK;
}

/* One exponent for everything (NaN: there is none), as in the squares and roots of normalisations. */
static double one_exponent(const ox_node *n) {
    const ox_tensor *x = n->in[0], *y = n->in[1];
    return x->dtype == ASSAY_F32 && y->n == 1 && n->out[0]->n == x->n ? ox_at(y, 0) : (double)NAN;
}

/* The powers that need no pow(), in double and rounded once. */
static status forward(ox_node *n, error *err) {
    double y = one_exponent(n);
    const float *restrict x = n->in[0]->data;
    float *restrict z = n->out[0]->data;
    size_t len = n->out[0]->n;
    if (y == 2) {
        for (size_t i = 0; i < len; i++) {
            z[i] = x[i] * x[i];
        }
    } else if (y == 3) {
        for (size_t i = 0; i < len; i++) {
            z[i] = (float)((double)x[i] * (double)x[i] * (double)x[i]);
        }
    } else if (y == 0.5) {
        for (size_t i = 0; i < len; i++) { /* the power of -infinity is infinity, of -0 is 0 */
            z[i] = x[i] == -INFINITY ? INFINITY : sqrtf(x[i]) + 0.0F;
        }
    } else {
        return forward_reference(n, err);
    }
    return STATUS_OK;
}

static double base_term(double x, double y, double g, assay_vjp_mode mode) {
    (void)mode;
    return y == 0 || g == 0 ? 0 : g * y * pow(x, y - 1);
}

static double exponent_term(double x, double y, double g, assay_vjp_mode mode) {
    (void)mode;
    return g == 0 || (x == 0 && y >= 0) ? 0 : g * pow(x, y) * log(x);
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)err;
    ox_pair_gradient(n, 0, base_term, mode);
    ox_pair_gradient(n, 1, exponent_term, mode);
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    if (one_exponent(n) != 2 || ox_grad_in(n, 0) == NULL || ox_grad_out(n, 0) == NULL) {
        return vjp_reference(n, mode, err);
    }
    const float *restrict x = n->in[0]->data;
    const float *restrict g = n->grad_out[0];
    float *restrict dx = n->grad_in[0];
    for (size_t i = 0; i < n->out[0]->n; i++) {
        dx[i] += (float)(2 * (double)g[i] * (double)x[i]);
    }
    ox_pair_gradient(n, 1, exponent_term, mode);
    return STATUS_OK;
}

const ox_kernel ox_kernel_pow = {.op = "Pow",
                                 .min_opset = 1,
                                 .max_opset = 9999,
                                 .flags = OX_KEEPS_BATCH,
                                 .min_in = 2,
                                 .max_in = 2,
                                 .min_out = 1,
                                 .max_out = 1,
                                 .infer = infer,
                                 .forward = forward,
                                 .forward_reference = forward_reference,
                                 .vjp = vjp,
                                 .vjp_reference = vjp_reference};
