/* SPDX-License-Identifier: Apache-2.0
 * AffineGrid (opset 20 on) as PyTorch's affine_grid: theta (N, k, k + 1), k 2 or 3, size constant (N, C, spatial...),
 * to the grid (N, spatial..., k) = theta [x, y(, z), 1] over the image's own coordinates in -1..1. */
#include <inttypes.h>

#include "kernels/moves.h"

static status infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    TRY(ox_check_attr(n, "align_corners", OX_INT, err));
    const ox_tensor *theta = n->in[0];
    ox_list size;
    TRY(ox_list_read(n, NULL, 1, &size, err));
    if (!size.present || (size.n != 4 && size.n != 5) || theta->n_dims != 3 || theta->shape[1] != (int64_t)size.n - 2 ||
        theta->shape[2] != (int64_t)size.n - 1) {
        return error_set(err, STATUS_MODEL, "theta of %u dimensions for a size of %zu", theta->n_dims, size.n);
    }
    bool one = size.v[0] == 1 && theta->has_batch; /* an export at batch 1 */
    if (size.v[0] != theta->shape[0] && !one) {
        return error_set(err, STATUS_MODEL, "%" PRId64 " matrices for a batch of %" PRId64, theta->shape[0], size.v[0]);
    }
    int64_t shape[5] = {theta->shape[0]};
    for (size_t i = 2; i < size.n; i++) {
        shape[i - 1] = size.v[i];
    }
    shape[size.n - 1] = (int64_t)size.n - 2;
    return ox_set_shape(n->out[0], theta->dtype, shape, (uint32_t)size.n, err);
}

/* Coordinate of place i of size: the centres of the outermost elements are at -1 and 1, or their outer borders. */
static double place(size_t i, size_t size, bool align) {
    if (align) {
        return size > 1 ? 2 * (double)i / ((double)size - 1) - 1 : 0;
    }
    return (2 * (double)i + 1) / (double)size - 1;
}

/* base = (x, y(, z), 1) of point p. */
static void base_of(const ox_node *n, size_t p, double base[4]) {
    const ox_tensor *y = n->out[0];
    bool align = ox_attr_int(n, "align_corners", 0) != 0;
    uint32_t k = y->n_dims - 2;
    for (uint32_t i = 0; i < k; i++) {
        size_t size = (size_t)y->shape[k - i];
        base[i] = place(p % size, size, align);
        p /= size;
    }
    base[k] = 1;
}

static status forward(ox_node *n, error *err) {
    (void)err;
    ox_tensor *y = n->out[0];
    size_t k = y->n_dims - 2, batch = (size_t)y->shape[0], points = ox_count(y, 1, y->n_dims - 1);
    double base[4] = {0};
    for (size_t p = 0; p < points; p++) {
        base_of(n, p, base);
        for (size_t r = 0; r < batch * k; r++) {
            double sum = 0;
            for (size_t j = 0; j <= k; j++) {
                sum += ox_at(n->in[0], r * (k + 1) + j) * base[j];
            }
            ox_put(y, (r / k * points + p) * k + r % k, sum);
        }
    }
    return STATUS_OK;
}

/* One entry of theta at a time: its sum is in double. */
static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const ox_tensor *y = n->out[0];
    const float *g = ox_grad_out(n, 0);
    float *dtheta = ox_grad_in(n, 0);
    size_t k = y->n_dims - 2, points = ox_count(y, 1, y->n_dims - 1);
    double base[4] = {0};
    for (size_t r = 0; g != NULL && dtheta != NULL && r < (size_t)y->shape[0] * k; r++) {
        double sum[4] = {0};
        for (size_t p = 0; p < points; p++) {
            base_of(n, p, base);
            for (size_t j = 0; j <= k; j++) {
                sum[j] += (double)g[(r / k * points + p) * k + r % k] * base[j];
            }
        }
        for (size_t j = 0; j <= k; j++) {
            dtheta[r * (k + 1) + j] += (float)sum[j];
        }
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_affine_grid = {.op = "AffineGrid",
                                         .min_opset = 20,
                                         .max_opset = 9999,
                                         .flags = OX_KEEPS_BATCH | OX_TAKES_SHAPE,
                                         .min_in = 2,
                                         .max_in = 2,
                                         .min_out = 1,
                                         .max_out = 1,
                                         .infer = infer,
                                         .forward = forward,
                                         .vjp = vjp};
