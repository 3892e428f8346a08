/* SPDX-License-Identifier: Apache-2.0
 * MaxUnpool (opset 9 on): x goes where MaxPool's Indices (int64, into the whole output) say, the rest is zero. An index
 * outside its own example is an error. Of several elements for one place the last stays, and it alone has a gradient.
 * output_shape must be the size that kernel, strides and pads give: for another one the published case (opset 11) reads
 * the indices in the inferred shape, ONNX Runtime and later versions of the case in output_shape itself (onnx issue
 * 5398). */
#include <inttypes.h>

#include "kernels/moves.h"
#include "kernels/window.h"

static status check_target(const ox_node *n, const int64_t *shape, uint32_t n_dims, error *err) {
    ox_list target;
    TRY(ox_list_read(n, NULL, 2, &target, err));
    if (!target.present) {
        return STATUS_OK;
    }
    if (target.n != n_dims) {
        return error_set(err, STATUS_MODEL, "output_shape has %zu values for %u dimensions", target.n, n_dims);
    }
    for (uint32_t d = 0; d < n_dims; d++) {
        bool one = d == 0 && target.v[0] == 1 && n->in[0]->has_batch; /* an export at batch 1 */
        if (target.v[d] != shape[d] && !one) {
            return error_set(err, STATUS_UNSUPPORTED, "output_shape[%u] is %" PRId64 ", the window gives %" PRId64, d,
                             target.v[d], shape[d]);
        }
    }
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    const ox_tensor *x = n->in[0], *index = ox_input(n, 1);
    if (index == NULL || index->dtype != ASSAY_I64 || !ox_same_shape(index, x)) {
        return error_set(err, STATUS_MODEL, "input 1 is not one int64 for each element of input 0");
    }
    ox_window w;
    TRY(ox_window_read_transposed(n, NULL, &w, err));
    int64_t shape[5] = {x->shape[0], x->shape[1]};
    for (uint32_t i = 0; i < w.n_spatial; i++) {
        shape[2 + i] = (int64_t)w.in[3 - w.n_spatial + i];
    }
    TRY(check_target(n, shape, x->n_dims, err));
    return ox_set_shape(n->out[0], x->dtype, shape, x->n_dims, err);
}

/* A mark for each place of the output: taken. */
static status prepare(ox_node *n, bool want_vjp, error *err) {
    if (want_vjp) {
        n->state = mem_try(n->out[0]->n, 1, "marks of an output", err);
        return n->state == NULL ? STATUS_MEMORY : STATUS_OK;
    }
    return STATUS_OK;
}

static void release(ox_node *n) {
    mem_free(n->state);
    n->state = NULL;
}

static status check_index(const ox_node *n, size_t i, error *err) {
    size_t batch = (size_t)n->in[0]->shape[0], from = n->in[0]->n / batch, to = n->out[0]->n / batch;
    int64_t at = ((const int64_t *)n->in[1]->data)[i];
    if (at < 0 || to == 0 || (size_t)at / to != i / from) {
        return error_set(err, STATUS_MODEL, "index %zu is %" PRId64 ": outside its example", i, at);
    }
    return STATUS_OK;
}

static status forward(ox_node *n, error *err) {
    const int64_t *index = n->in[1]->data;
    memset(n->out[0]->data, 0, n->out[0]->n * ox_dtype_bytes(n->out[0]->dtype));
    for (size_t i = 0; i < n->in[0]->n; i++) {
        TRY(check_index(n, i, err));
        ox_put(n->out[0], (size_t)index[i], ox_at(n->in[0], i));
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    const int64_t *index = n->in[1]->data;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    uint8_t *taken = n->state;
    if (g == NULL || dx == NULL || n->out[0]->n == 0) {
        return STATUS_OK;
    }
    memset(taken, 0, n->out[0]->n);
    for (size_t i = n->in[0]->n; i-- > 0;) {
        TRY(check_index(n, i, err));
        if (taken[index[i]] == 0) {
            taken[index[i]] = 1;
            dx[i] += g[index[i]];
        }
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_max_unpool = {.op = "MaxUnpool",
                                        .min_opset = 9,
                                        .max_opset = 9999,
                                        .flags = OX_KEEPS_BATCH,
                                        .min_in = 2,
                                        .max_in = 3,
                                        .min_out = 1,
                                        .max_out = 1,
                                        .infer = infer,
                                        .prepare = prepare,
                                        .release = release,
                                        .forward = forward,
                                        .vjp = vjp};
