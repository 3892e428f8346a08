/* SPDX-License-Identifier: Apache-2.0
 * Pad, any dtype: constant, reflect, edge, wrap (opset 19 on); negative pads cut. Pads (paddings in opset 1) and value
 * are attributes before opset 11 and inputs from then on; opset 18 adds axes. */
#include <inttypes.h>

#include "kernels/moves.h"

typedef enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP } pad_mode;

typedef struct pads {
    pad_mode mode;
    int64_t lo[ASSAY_MAX_DIMS], hi[ASSAY_MAX_DIMS], dim[ASSAY_MAX_DIMS], stride[ASSAY_MAX_DIMS];
} pads;

static status read_mode(const ox_node *n, pad_mode *mode, error *err) {
    static const char *const names[] = {"constant", "reflect", "edge", "wrap"};
    TRY(ox_check_attr(n, "mode", OX_STRING, err));
    const ox_attr *a = ox_attr_find(n, "mode");
    for (unsigned i = 0; i < (n->opset < 19 ? 3 : 4); i++) {
        if (a == NULL || strcmp(a->s, names[i]) == 0) {
            *mode = (pad_mode)i;
            return STATUS_OK;
        }
    }
    return error_set(err, STATUS_UNSUPPORTED, "mode \"%.40s\"", a->s);
}

static status check_dim(const pads *p, uint32_t d, error *err) {
    int64_t dim = p->dim[d], lo = p->lo[d], hi = p->hi[d], out = 0;
    if (__builtin_add_overflow(lo, dim, &out) || __builtin_add_overflow(out, hi, &out) || out < 0) {
        return error_set(err, STATUS_MODEL,
                         "pads %" PRId64 " and %" PRId64 " of dimension %u with %" PRId64 " elements", lo, hi, d, dim);
    }
    bool reflects = p->mode != PAD_REFLECT || ((lo <= 0 || lo < dim) && (hi <= 0 || hi < dim));
    bool repeats = (p->mode != PAD_EDGE && p->mode != PAD_WRAP) || (lo <= 0 && hi <= 0) || dim > 0;
    if (!reflects || !repeats) {
        return error_set(err, STATUS_MODEL,
                         "dimension %u has %" PRId64 " elements, too few for pads %" PRId64 " and %" PRId64, d, dim, lo,
                         hi);
    }
    return STATUS_OK;
}

static status read_pads(const ox_node *n, pads *p, error *err) {
    const ox_tensor *x = n->in[0];
    bool attrs = n->opset < 11;
    ox_list list, axes;
    *p = (pads){0};
    TRY(read_mode(n, &p->mode, err));
    TRY(ox_list_read(n, !attrs ? NULL : n->opset < 2 ? "paddings" : "pads", attrs ? SIZE_MAX : 1, &list, err));
    TRY(ox_list_read(n, NULL, n->opset < 18 ? SIZE_MAX : 3, &axes, err));
    TRY(ox_list_axes(&axes, x->n_dims, err));
    size_t k = axes.present ? axes.n : x->n_dims;
    if (!list.present || list.n != 2 * k) {
        return error_set(err, STATUS_MODEL, "%zu pads for %zu dimensions", list.n, k);
    }
    for (uint32_t d = 0; d < x->n_dims; d++) {
        p->dim[d] = x->shape[d];
        p->stride[d] = (int64_t)ox_count(x, d + 1, x->n_dims);
    }
    for (size_t i = 0; i < k; i++) {
        size_t d = axes.present ? (size_t)axes.v[i] : i;
        p->lo[d] = list.v[i];
        p->hi[d] = list.v[k + i];
        TRY(check_dim(p, (uint32_t)d, err));
    }
    if (x->has_batch && (p->lo[0] != 0 || p->hi[0] != 0)) {
        return error_set(err, STATUS_UNSUPPORTED, "the axis is the batch's");
    }
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    TRY(ox_check_attr(n, "value", OX_FLOAT, err));
    const ox_tensor *x = n->in[0];
    if (ox_input(n, 2) != NULL) {
        TRY(ox_need_dtype_of_first(n, 2, err));
        if (n->in[2]->n != 1) {
            return error_set(err, STATUS_MODEL, "the fill value is not one value");
        }
    }
    if (n->opset < 11 && !ox_is_float(x->dtype)) {
        return error_set(err, STATUS_MODEL, "input 0 is %s; opset 11 allowed it", ox_dtype_name(x->dtype));
    }
    pads p;
    TRY(read_pads(n, &p, err));
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    for (uint32_t d = 0; d < x->n_dims; d++) {
        shape[d] = p.lo[d] + p.dim[d] + p.hi[d];
    }
    return ox_set_shape(n->out[0], x->dtype, shape, x->n_dims, err);
}

static int64_t source(const void *how, uint32_t d, size_t i) {
    const pads *p = how;
    int64_t j = (int64_t)i - p->lo[d], last = p->dim[d] - 1;
    if (j < 0 || j > last) {
        switch (p->mode) {
        case PAD_CONSTANT: return OX_FILL;
        case PAD_REFLECT: j = j < 0 ? -j : 2 * last - j; break;
        case PAD_WRAP: j = (j % p->dim[d] + p->dim[d]) % p->dim[d]; break;
        default: j = j < 0 ? 0 : last;
        }
    }
    return j * p->stride[d];
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    pads p;
    TRY(read_pads(n, &p, err));
    return ox_moves_prepare(n, n->out[0]->shape, n->out[0]->n_dims, source, &p, err);
}

static status forward(ox_node *n, error *err) {
    (void)err;
    const ox_tensor *x = n->in[0], *fill = ox_input(n, 2);
    double wide = (double)ox_attr_float(n, "value", 0);
    float narrow = (float)wide;
    const void *value = fill != NULL ? fill->data : NULL;
    if (n->opset < 11) {
        value = x->dtype == ASSAY_F32 ? (const void *)&narrow : &wide;
    }
    ox_moves_copy(n->state, x->data, n->out[0]->data, ox_dtype_bytes(x->dtype), value);
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    double at_fill = 0;
    if (ox_grad_out(n, 0) != NULL) {
        ox_moves_add(n->state, ox_grad_out(n, 0), ox_grad_in(n, 0), &at_fill);
    }
    if (ox_grad_in(n, 2) != NULL) {
        n->grad_in[2][0] += (float)at_fill;
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_pad = {.op = "Pad",
                                 .min_opset = 1,
                                 .max_opset = 9999,
                                 .flags = 0,
                                 .min_in = 1,
                                 .max_in = 4,
                                 .min_out = 1,
                                 .max_out = 1,
                                 .infer = infer,
                                 .prepare = prepare,
                                 .release = ox_moves_release,
                                 .forward = forward,
                                 .vjp = vjp};
