/* SPDX-License-Identifier: Apache-2.0
 * Trilu (opset 14 on), any dtype: the upper or lower triangle of the last two dimensions from diagonal k on, zero
 * elsewhere. k may be computed. */
#include "kernels/moves.h"

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    TRY(ox_check_attr(n, "upper", OX_INT, err));
    const ox_tensor *x = n->in[0], *k = ox_input(n, 1);
    if (x->n_dims < 2) {
        return error_set(err, STATUS_MODEL, "the input has %u dimensions, at least 2 are needed", x->n_dims);
    }
    if (k != NULL && (k->dtype != ASSAY_I64 || k->n != 1)) {
        return error_set(err, STATUS_MODEL, "k is not one int64 value");
    }
    if (x->n_dims == 2 && x->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED, "the rows are the examples of the batch");
    }
    if (k != NULL && k->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED, "one k for the whole batch comes from an example");
    }
    return ox_infer_same(n, err);
}

/* Columns first..end of row r that stay. */
typedef struct span {
    size_t first, end;
} span;

static span kept(const ox_node *n, size_t r, size_t columns) {
    const ox_tensor *x = n->in[0], *k = ox_input(n, 1);
    int64_t rows = x->shape[x->n_dims - 2], c = (int64_t)columns;
    int64_t v = k == NULL ? 0 : *(const int64_t *)k->data;
    v = v < -rows ? -rows : v > c ? c : v; /* beyond, nothing changes any more */
    bool upper = ox_attr_int(n, "upper", 1) != 0;
    int64_t at = (int64_t)r + v + (upper ? 0 : 1); /* the first kept, or the first that is not */
    at = at < 0 ? 0 : at > c ? c : at;
    return upper ? (span){(size_t)at, columns} : (span){0, (size_t)at};
}

static status forward(ox_node *n, error *err) {
    (void)err;
    const ox_tensor *x = n->in[0];
    size_t columns = (size_t)x->shape[x->n_dims - 1], rows = (size_t)x->shape[x->n_dims - 2];
    size_t item = ox_dtype_bytes(x->dtype), bytes = columns * item;
    const char *from = x->data;
    char *to = n->out[0]->data;
    for (size_t i = 0, r = 0; bytes > 0 && i < x->n / columns; i++, from += bytes, to += bytes) {
        span s = kept(n, r, columns);
        memset(to, 0, s.first * item);
        memcpy(to + s.first * item, from + s.first * item, (s.end - s.first) * item);
        memset(to + s.end * item, 0, bytes - s.end * item);
        r = r + 1 < rows ? r + 1 : 0;
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const ox_tensor *x = n->in[0];
    size_t columns = (size_t)x->shape[x->n_dims - 1], rows = (size_t)x->shape[x->n_dims - 2];
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    for (size_t i = 0, r = 0; g != NULL && dx != NULL && columns > 0 && i < x->n / columns; i++) {
        span s = kept(n, r, columns);
        for (size_t c = s.first; c < s.end; c++) {
            dx[i * columns + c] += g[i * columns + c];
        }
        r = r + 1 < rows ? r + 1 : 0;
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_trilu = {.op = "Trilu",
                                   .min_opset = 14,
                                   .max_opset = 9999,
                                   .flags = 0,
                                   .min_in = 1,
                                   .max_in = 2,
                                   .min_out = 1,
                                   .max_out = 1,
                                   .infer = infer,
                                   .forward = forward,
                                   .vjp = vjp};
