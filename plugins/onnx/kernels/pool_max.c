/* SPDX-License-Identifier: Apache-2.0
 * MaxPool (opset 1 on; dilations and ceil_mode from 10, int8 and uint8 from 12), one to three spatial dimensions.
 * Padding never wins. A NaN wins over everything, the last of several in scan order. Of equal maxima the first in
 * scan order (D, H, W) gets the whole gradient. */
#include "kernels/simd.h"
#include "kernels/window.h"

static status infer(ox_node *n, error *err) {
    TRY(ox_need_dtype_of_first(n, 0, err));
    const ox_tensor *x = n->in[0];
    if (!ox_is_float(x->dtype) && x->dtype != ASSAY_I8 && x->dtype != ASSAY_U8) {
        return error_set(err, STATUS_UNSUPPORTED, "MaxPool of %s is not supported", ox_dtype_name(x->dtype));
    }
    if (ox_output(n, 1) != NULL) {
        return error_set(err, STATUS_UNSUPPORTED, "the output Indices is not supported");
    }
    ox_window w;
    TRY(ox_window_read(n, NULL, true, &w, err));
    int64_t shape[5] = {x->shape[0], x->shape[1]};
    for (uint32_t i = 0; i < w.n_spatial; i++) {
        shape[2 + i] = (int64_t)w.out[3 - w.n_spatial + i];
    }
    return ox_set_shape(n->out[0], x->dtype, shape, x->n_dims, err);
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    ox_window *w = mem_zalloc(sizeof *w);
    status st = ox_window_read(n, NULL, true, w, err);
    if (st != STATUS_OK) {
        mem_free(w);
        return st;
    }
    n->state = w;
    return STATUS_OK;
}

static void release(ox_node *n) {
    mem_free(n->state);
    n->state = NULL;
}

/* Index in its plane of the maximum of one window; `base` is the plane's first element. */
static size_t argmax(const ox_tensor *x, size_t base, const ox_window *w, size_t od, size_t oh, size_t ow) {
    ox_taps d = ox_window_taps(w, 0, od), h = ox_window_taps(w, 1, oh), c = ox_window_taps(w, 2, ow);
    size_t best_at = (d.at * w->in[1] + h.at) * w->in[2] + c.at;
    double best = ox_at(x, base + best_at);
    for (size_t i = d.first; i < d.end; i++) {
        for (size_t j = h.first; j < h.end; j++) {
            size_t row = (d.at + (i - d.first) * w->dilation[0]) * w->in[1] + h.at + (j - h.first) * w->dilation[1];
            for (size_t k = c.first; k < c.end; k++) {
                size_t at = row * w->in[2] + c.at + (k - c.first) * w->dilation[2];
                double v = ox_at(x, base + at);
                if (v > best || v != v) {
                    best = v;
                    best_at = at;
                }
            }
        }
    }
    return best_at;
}

/* Calls `body` for each window with `base` (plane of x), `i` (element of y). */
#define EACH_WINDOW(body)                                                                                              \
    for (size_t p = 0, i = 0; p < planes; p++) {                                                                       \
        size_t base = p * w->in_plane;                                                                                 \
        for (size_t od = 0; od < w->out[0]; od++) {                                                                    \
            for (size_t oh = 0; oh < w->out[1]; oh++) {                                                                \
                for (size_t ow = 0; ow < w->out[2]; ow++, i++) {                                                       \
                    body;                                                                                              \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    const ox_window *w = n->state;
    const ox_tensor *x = n->in[0];
    size_t planes = ox_count(x, 0, 2), item = ox_dtype_bytes(x->dtype);
    EACH_WINDOW({
        size_t at = base + argmax(x, base, w, od, oh, ow);
        memcpy((char *)n->out[0]->data + i * item, (const char *)x->data + at * item, item);
    })
    return STATUS_OK;
}

static inline float wins(float v, float best) {
    float r = v > best ? v : best;
    return v != v ? v : r;
}

static inline ox_vf v_wins(ox_vf v, ox_vf best) {
    ox_vf r = ox_v_max(v, best);
    return ox_v_select(v != v, v, r);
}

/* 2x2 windows, stride 2 across, without padding: the case of most small networks. */
static void plane_2x2(const float *x, float *y, const ox_window *w) {
    for (size_t oh = 0; oh < w->out[1]; oh++, y += w->out[2]) {
        const float *r0 = x + oh * w->stride[1] * w->in[2], *r1 = r0 + w->in[2];
        size_t ow = 0;
        for (; ow + OX_LANES <= w->out[2]; ow += OX_LANES) {
            ox_vf a0 = ox_v_load(r0 + 2 * ow), a1 = ox_v_load(r0 + 2 * ow + OX_LANES);
            ox_vf b0 = ox_v_load(r1 + 2 * ow), b1 = ox_v_load(r1 + 2 * ow + OX_LANES);
            ox_vf best = v_wins(ox_v_odd(a0, a1), ox_v_even(a0, a1));
            ox_v_store(y + ow, v_wins(ox_v_odd(b0, b1), v_wins(ox_v_even(b0, b1), best)));
        }
        for (; ow < w->out[2]; ow++) {
            y[ow] = wins(r1[2 * ow + 1], wins(r1[2 * ow], wins(r0[2 * ow + 1], r0[2 * ow])));
        }
    }
}

static bool is_2x2(const ox_window *w) {
    bool plain = w->k[0] == 1 && w->k[1] == 2 && w->k[2] == 2 && w->stride[2] == 2 && w->dilation[1] == 1 &&
                 w->dilation[2] == 1 && w->in[0] == 1;
    for (unsigned d = 0; d < 3; d++) {
        plain = plain && w->pad_lo[d] == 0 && w->pad_hi[d] == 0 &&
                (w->out[d] - 1) * w->stride[d] + w->k[d] <= w->in[d]; /* ceil_mode may reach beyond */
    }
    return plain;
}

/* One output of the general case in float32. */
static float window_max(const float *x, const ox_window *w, ox_taps d, ox_taps h, ox_taps c) {
    float best = x[(d.at * w->in[1] + h.at) * w->in[2] + c.at];
    for (size_t i = d.first; i < d.end; i++) {
        for (size_t j = h.first; j < h.end; j++) {
            size_t row = (d.at + (i - d.first) * w->dilation[0]) * w->in[1] + h.at + (j - h.first) * w->dilation[1];
            const float *v = x + row * w->in[2] + c.at;
            for (size_t k = c.first; k < c.end; k++, v += w->dilation[2]) {
                best = wins(*v, best);
            }
        }
    }
    return best;
}

static void plane_any(const float *x, float *y, const ox_window *w) {
    for (size_t od = 0; od < w->out[0]; od++) {
        ox_taps d = ox_window_taps(w, 0, od);
        for (size_t oh = 0; oh < w->out[1]; oh++) {
            ox_taps h = ox_window_taps(w, 1, oh);
            for (size_t ow = 0; ow < w->out[2]; ow++) {
                *y++ = window_max(x, w, d, h, ox_window_taps(w, 2, ow));
            }
        }
    }
}

static status forward(ox_node *n, error *err) {
    const ox_window *w = n->state;
    if (n->in[0]->dtype != ASSAY_F32) {
        return forward_reference(n, err);
    }
    bool small = is_2x2(w);
    for (size_t p = 0, planes = ox_count(n->in[0], 0, 2); p < planes; p++) {
        const float *x = ox_f32(n->in[0]) + p * w->in_plane;
        float *y = (float *)n->out[0]->data + p * w->out_plane;
        if (small) {
            plane_2x2(x, y, w);
        } else {
            plane_any(x, y, w);
        }
    }
    return STATUS_OK;
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const ox_window *w = n->state;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    size_t planes = g == NULL || dx == NULL ? 0 : ox_count(n->in[0], 0, 2);
    EACH_WINDOW(dx[base + argmax(n->in[0], base, w, od, oh, ow)] += g[i])
    return STATUS_OK;
}

/* Four windows of two rows: g goes to the first place that equals the maximum m. */
static void vjp_four(const float *r0, const float *r1, ox_vf m, ox_vf g, float *d0, float *d1) {
    ox_vf a0 = ox_v_load(r0), a1 = ox_v_load(r0 + OX_LANES), b0 = ox_v_load(r1);
    ox_vf b1 = ox_v_load(r1 + OX_LANES);
    ox_vi first = ox_v_even(a0, a1) == m, second = ox_v_odd(a0, a1) == m, third = ox_v_even(b0, b1) == m;
    ox_vi above = first | second;
    ox_vf p0 = (ox_vf)(first & (ox_vi)g), p1 = (ox_vf)(~first & second & (ox_vi)g);
    ox_vf p2 = (ox_vf)(~above & third & (ox_vi)g), p3 = (ox_vf)(~(above | third) & (ox_vi)g);
    ox_v_store(d0, ox_v_load(d0) + __builtin_shufflevector(p0, p1, 0, 4, 1, 5));
    ox_v_store(d0 + OX_LANES, ox_v_load(d0 + OX_LANES) + __builtin_shufflevector(p0, p1, 2, 6, 3, 7));
    ox_v_store(d1, ox_v_load(d1) + __builtin_shufflevector(p2, p3, 0, 4, 1, 5));
    ox_v_store(d1 + OX_LANES, ox_v_load(d1 + OX_LANES) + __builtin_shufflevector(p2, p3, 2, 6, 3, 7));
}

/* Windows of stride 2 both ways do not overlap: each of the four places is decided by comparisons alone. y is the
 * maximum that forward left. Where it is NaN no place equals it and the last one gets g. */
static void vjp_plane_2x2(const float *x, const float *y, const float *g, float *dx, const ox_window *w) {
    for (size_t oh = 0; oh < w->out[1]; oh++, y += w->out[2], g += w->out[2]) {
        size_t at = oh * 2 * w->in[2], ow = 0;
        const float *r0 = x + at, *r1 = r0 + w->in[2];
        float *d0 = dx + at, *d1 = d0 + w->in[2];
        for (; ow + OX_LANES <= w->out[2]; ow += OX_LANES) {
            vjp_four(r0 + 2 * ow, r1 + 2 * ow, ox_v_load(y + ow), ox_v_load(g + ow), d0 + 2 * ow, d1 + 2 * ow);
        }
        for (; ow < w->out[2]; ow++) {
            float m = y[ow];
            size_t place = r0[2 * ow] == m ? 0 : (r0[2 * ow + 1] == m ? 1 : (r1[2 * ow] == m ? 2 : 3));
            (place < 2 ? d0 : d1)[2 * ow + place % 2] += g[ow];
        }
    }
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    const ox_window *w = n->state;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    if (g == NULL || dx == NULL || n->in[0]->dtype != ASSAY_F32 || !is_2x2(w) || w->stride[1] != 2) {
        return vjp_reference(n, mode, err);
    }
    for (size_t p = 0, planes = ox_count(n->in[0], 0, 2); p < planes; p++) {
        vjp_plane_2x2(ox_f32(n->in[0]) + p * w->in_plane, ox_f32(n->out[0]) + p * w->out_plane, g + p * w->out_plane,
                      dx + p * w->in_plane, w);
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_max_pool = {.op = "MaxPool",
                                      .min_opset = 1,
                                      .max_opset = 9999,
                                      .flags = OX_KEEPS_BATCH,
                                      .min_in = 1,
                                      .max_in = 1,
                                      .min_out = 1,
                                      .max_out = 2,
                                      .infer = infer,
                                      .prepare = prepare,
                                      .release = release,
                                      .forward = forward,
                                      .forward_reference = forward_reference,
                                      .vjp = vjp,
                                      .vjp_reference = vjp_reference};
