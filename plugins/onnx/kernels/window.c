/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/window.h"

#include <inttypes.h>

#define MAX_STEP ((int64_t)1 << 30) /* kernel, stride, dilation: products of two stay inside int64 */
#define MAX_PAD ((int64_t)1 << 20)

static status read_list(const ox_node *n, const char *name, uint32_t count, int64_t lo, int64_t hi, size_t *v,
                        error *err) {
    const int64_t *list = NULL;
    TRY(ox_attr_ints(n, name, count, &list, NULL, err));
    for (uint32_t i = 0; list != NULL && i < count; i++) {
        if (list[i] < lo || list[i] > hi) {
            return error_set(err, STATUS_MODEL, "%s[%u] = %" PRId64 " is outside %" PRId64 "..%" PRId64, name, i,
                             list[i], lo, hi);
        }
        v[i] = (size_t)list[i];
    }
    return STATUS_OK;
}

static status read_kernel(const ox_node *n, const int64_t *kernel, ox_window *w, uint32_t first, error *err) {
    const int64_t *list = NULL;
    TRY(ox_attr_ints(n, "kernel_shape", w->n_spatial, &list, NULL, err));
    if (list == NULL && kernel == NULL) {
        return error_set(err, STATUS_MODEL, "attribute kernel_shape is missing");
    }
    for (uint32_t i = 0; i < w->n_spatial; i++) {
        int64_t k = list != NULL ? list[i] : kernel[i];
        if (k < 1 || k > MAX_STEP || (kernel != NULL && k != kernel[i])) {
            return error_set(err, STATUS_MODEL, "kernel_shape[%u] = %" PRId64 " is not possible here", i, k);
        }
        w->k[first + i] = (size_t)k;
    }
    return STATUS_OK;
}

typedef enum padding { NOTSET, VALID, SAME_UPPER, SAME_LOWER } padding;

static status read_auto_pad(const ox_node *n, padding *p, error *err) {
    static const char *const names[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
    TRY(ox_check_attr(n, "auto_pad", OX_STRING, err));
    const ox_attr *a = ox_attr_find(n, "auto_pad");
    *p = NOTSET;
    for (unsigned i = 0; a != NULL && i < 4; i++) {
        if (strcmp(a->s, names[i]) == 0) {
            *p = (padding)i;
            return STATUS_OK;
        }
    }
    if (a != NULL) {
        return error_set(err, STATUS_MODEL, "auto_pad is \"%s\"", a->s);
    }
    return STATUS_OK;
}

/* Output size of dimension d; fills in the pads of SAME. With ceil_mode the last window has to start inside the
 * input or its leading padding (as PyTorch and ONNX from opset 19 on have it). */
static status size_of(ox_window *w, unsigned d, padding p, bool ceil_mode, error *err) {
    size_t extent = (w->k[d] - 1) * w->dilation[d] + 1, in = w->in[d], s = w->stride[d];
    if (p == SAME_UPPER || p == SAME_LOWER) {
        w->out[d] = (in + s - 1) / s;
        size_t need = in == 0 ? 0 : (w->out[d] - 1) * s + extent, total = need > in ? need - in : 0;
        w->pad_lo[d] = p == SAME_UPPER ? total / 2 : total - total / 2;
        w->pad_hi[d] = total - w->pad_lo[d];
        return STATUS_OK;
    }
    size_t padded = in + w->pad_lo[d] + w->pad_hi[d];
    if (padded < extent) {
        return error_set(err, STATUS_MODEL, "a window of %zu does not fit a padded input of %zu", extent, padded);
    }
    w->out[d] = (padded - extent + (ceil_mode ? s - 1 : 0)) / s + 1;
    if (ceil_mode && (w->out[d] - 1) * s >= in + w->pad_lo[d]) {
        w->out[d]--;
    }
    return STATUS_OK;
}

/* Every window then has a tap inside the input: pads < extent puts its last tap at 0 or beyond and its first one
 * before the input's end, and of taps no further apart than the input is long one falls into it. */
static status check_pool(const ox_window *w, error *err) {
    for (unsigned d = 0; d < 3; d++) {
        size_t extent = (w->k[d] - 1) * w->dilation[d] + 1;
        if (w->pad_lo[d] >= extent || w->pad_hi[d] >= extent) {
            return error_set(err, STATUS_MODEL, "pads of a pool must be smaller than its window (%zu)", extent);
        }
        if (w->in[d] == 0 || (w->k[d] > 1 && w->dilation[d] > w->in[d])) {
            return error_set(err, STATUS_MODEL, "a dilation of %zu for an input of %zu", w->dilation[d], w->in[d]);
        }
    }
    return STATUS_OK;
}

/* Products that later loops use as plain sizes. */
static status products(ox_window *w, error *err) {
    w->in_plane = w->out_plane = w->taps = 1;
    for (unsigned d = 0; d < 3; d++) {
        if (!mem_mul(w->in_plane, w->in[d], &w->in_plane) || !mem_mul(w->out_plane, w->out[d], &w->out_plane) ||
            !mem_mul(w->taps, w->k[d], &w->taps)) {
            return error_set(err, STATUS_MODEL, "the window's sizes overflow");
        }
    }
    return STATUS_OK;
}

/* strides, dilations and pads (the latter unless auto_pad says otherwise). */
static status read_steps(const ox_node *n, ox_window *w, padding *p, error *err) {
    uint32_t spatial = w->n_spatial, first = 3 - spatial;
    size_t pads[6] = {0};
    TRY(read_list(n, "strides", spatial, 1, MAX_STEP, w->stride + first, err));
    TRY(read_list(n, "dilations", spatial, 1, MAX_STEP, w->dilation + first, err));
    TRY(read_list(n, "pads", 2 * spatial, 0, MAX_PAD, pads, err));
    TRY(read_auto_pad(n, p, err));
    for (uint32_t i = 0; *p == NOTSET && i < spatial; i++) {
        w->pad_lo[first + i] = pads[i];
        w->pad_hi[first + i] = pads[spatial + i];
    }
    return STATUS_OK;
}

static uint32_t rank_of(const ox_tensor *x) {
    return x->block > 0 ? x->n_dims - 1 : x->n_dims; /* blocks of channels come last */
}

static status check_rank(const ox_tensor *x, error *err) {
    uint32_t n_dims = rank_of(x);
    if (n_dims < 3 || n_dims > 5) {
        return error_set(err, n_dims < 3 ? STATUS_MODEL : STATUS_UNSUPPORTED,
                         "the input has %u dimensions; 3 to 5 are supported", n_dims);
    }
    return STATUS_OK;
}

static const ox_window unit_window = {
    .k = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}, .in = {1, 1, 1}, .out = {1, 1, 1}};

status ox_window_read(const ox_node *n, const int64_t *kernel, bool pool, ox_window *w, error *err) {
    const ox_tensor *x = n->in[0];
    TRY(check_rank(x, err));
    uint32_t spatial = rank_of(x) - 2, first = 3 - spatial;
    *w = unit_window;
    w->n_spatial = spatial;
    padding p = NOTSET;
    TRY(read_kernel(n, kernel, w, first, err));
    TRY(read_steps(n, w, &p, err));
    TRY(ox_check_attr(n, "ceil_mode", OX_INT, err));
    bool ceil_mode = pool && ox_attr_int(n, "ceil_mode", 0) != 0;
    for (uint32_t i = 0; i < spatial; i++) {
        w->in[first + i] = (size_t)x->shape[2 + i];
    }
    for (unsigned d = 0; d < 3; d++) {
        TRY(size_of(w, d, d < first ? NOTSET : p, ceil_mode, err));
    }
    TRY(products(w, err));
    return pool ? check_pool(w, err) : STATUS_OK;
}

/* Pads and output size of dimension d, `target` is the output's size as asked for (0: not). Where it is larger than
 * what the taps reach, the rest is zero. An odd pad is the longer one at the start unless SAME_UPPER: the text of opset
 * 11; opset 1 had it the other way round, and nobody followed it. */
static status transposed_size(ox_window *w, unsigned d, padding p, size_t extra, size_t target, error *err) {
    size_t full = w->out[d] == 0 ? 0 : (w->out[d] - 1) * w->stride[d] + (w->k[d] - 1) * w->dilation[d] + 1 + extra;
    if (target == 0 && (p == SAME_UPPER || p == SAME_LOWER)) {
        target = w->out[d] * w->stride[d];
    }
    if (target > 0) {
        size_t total = full > target ? full - target : 0;
        w->pad_lo[d] = p == SAME_UPPER ? total / 2 : total - total / 2;
        w->pad_hi[d] = total - w->pad_lo[d];
        w->in[d] = target;
        return STATUS_OK;
    }
    if (w->pad_lo[d] + w->pad_hi[d] > full) {
        return error_set(err, STATUS_MODEL, "pads of %zu for an output of %zu", w->pad_lo[d] + w->pad_hi[d], full);
    }
    w->in[d] = full - w->pad_lo[d] - w->pad_hi[d];
    return STATUS_OK;
}

/* Attribute output_shape: the spatial dimensions, or all of them. */
static status read_output_shape(const ox_node *n, uint32_t spatial, size_t *target, error *err) {
    const int64_t *list = NULL;
    size_t count = 0;
    TRY(ox_attr_ints(n, "output_shape", SIZE_MAX, &list, &count, err));
    if (list != NULL && count != spatial && count != spatial + 2) {
        return error_set(err, STATUS_MODEL, "output_shape has %zu values for %u dimensions", count, spatial);
    }
    for (uint32_t i = 0; list != NULL && i < spatial; i++) {
        int64_t v = list[count - spatial + i];
        if (v < 1 || v > MAX_STEP) {
            return error_set(err, STATUS_MODEL, "output_shape has %" PRId64, v);
        }
        target[i] = (size_t)v;
    }
    return STATUS_OK;
}

status ox_window_read_transposed(const ox_node *n, const int64_t *kernel, ox_window *w, error *err) {
    const ox_tensor *x = n->in[0];
    TRY(check_rank(x, err));
    uint32_t spatial = rank_of(x) - 2, first = 3 - spatial;
    *w = unit_window;
    w->n_spatial = spatial;
    size_t extra[3] = {0}, target[3] = {0};
    padding p = NOTSET;
    TRY(read_kernel(n, kernel, w, first, err));
    TRY(read_steps(n, w, &p, err));
    TRY(read_list(n, "output_padding", spatial, 0, MAX_PAD, extra + first, err));
    TRY(read_output_shape(n, spatial, target + first, err));
    for (uint32_t i = 0; i < spatial; i++) {
        if (x->shape[2 + i] > MAX_STEP) {
            return error_set(err, STATUS_UNSUPPORTED, "an image of %" PRId64 " rows or columns", x->shape[2 + i]);
        }
        w->out[first + i] = (size_t)x->shape[2 + i];
    }
    for (unsigned d = first; d < 3; d++) {
        TRY(transposed_size(w, d, p, extra[d], target[d], err));
    }
    return products(w, err);
}

status ox_window_read_image(const ox_node *n, ox_window *w, error *err) {
    padding p = NOTSET;
    TRY(read_steps(n, w, &p, err));
    for (unsigned d = 3 - w->n_spatial; d < 3; d++) {
        TRY(size_of(w, d, NOTSET, false, err));
    }
    return products(w, err);
}
