/* SPDX-License-Identifier: Apache-2.0
 * Mod. fmod = 0 (integers): the remainder has the divisor's sign; fmod = 1 (all numbers): the dividend's, as C's %
 * and fmod. An integer divisor of zero is an error. Gradient of x - y * trunc(x / y): the jumps count as steps, which
 * pass nothing of their own. */
#include "kernels/pairs.h"

static status infer(ox_node *n, error *err) {
    TRY(ox_need_dtype_of_first(n, 1, err));
    TRY(ox_check_attr(n, "fmod", OX_INT, err));
    uint32_t dtype = n->in[0]->dtype;
    int64_t fmod_attr = ox_attr_int(n, "fmod", 0);
    if (!ox_is_float(dtype) && !ox_is_integer(dtype)) {
        return error_set(err, STATUS_UNSUPPORTED, "Mod of %s is not supported", ox_dtype_name(dtype));
    }
    if ((fmod_attr != 0 && fmod_attr != 1) || (ox_is_float(dtype) && fmod_attr == 0)) {
        return error_set(err, STATUS_MODEL, "attribute fmod must be 1 for floats, 0 or 1 for integers");
    }
    return ox_pair_infer(n, dtype, err);
}

/* A divisor of -1 leaves nothing, also of the smallest integer, where % is undefined. */
static int64_t as_dividend(int64_t x, int64_t y) {
    return y == -1 ? 0 : x % y;
}

static int64_t as_divisor(int64_t x, int64_t y) {
    int64_t r = as_dividend(x, y);
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

static status forward(ox_node *n, error *err) {
    if (n->out[0]->dtype == ASSAY_F32) {
        OX_PAIR_MAP(n, float, float, fmodf(x, y));
    } else if (n->out[0]->dtype == ASSAY_F64) {
        OX_PAIR_MAP(n, double, double, fmod(x, y));
    } else {
        TRY(ox_pair_divisor(n, err));
        if (ox_attr_int(n, "fmod", 0) != 0) {
            ox_pair_integers(n, as_dividend);
        } else {
            ox_pair_integers(n, as_divisor);
        }
    }
    return STATUS_OK;
}

static double dividend_term(double x, double y, double g, assay_vjp_mode mode) {
    (void)x, (void)y, (void)mode;
    return g;
}

static double truncated_term(double x, double y, double g, assay_vjp_mode mode) {
    (void)mode;
    return g == 0 || isinf(y) ? 0 : -g * nearbyint((x - fmod(x, y)) / y);
}

static double floored_term(double x, double y, double g, assay_vjp_mode mode) {
    (void)mode;
    return g == 0 ? 0 : -g * floor(x / y);
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)err;
    ox_pair_gradient(n, 0, dividend_term, mode);
    if (ox_attr_int(n, "fmod", 0) != 0) {
        ox_pair_gradient(n, 1, truncated_term, mode);
    } else {
        ox_pair_gradient(n, 1, floored_term, mode);
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_mod = {.op = "Mod",
                                 .min_opset = 10,
                                 .max_opset = 9999,
                                 .flags = OX_KEEPS_BATCH,
                                 .min_in = 2,
                                 .max_in = 2,
                                 .min_out = 1,
                                 .max_out = 1,
                                 .infer = infer,
                                 .forward = forward,
                                 .vjp = vjp};
