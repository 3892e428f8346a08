/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/qconv.h"

static status get_shape(const ox_node *n, ox_qconv_inputs in, ox_conv_shape *s, error *err) {
    const ox_tensor *x = n->in[in.x], *w = n->in[in.w];
    *s = (ox_conv_shape){.groups = 1};
    if (x->n_dims < 3 || w->n_dims != x->n_dims) {
        return error_set(err, STATUS_MODEL, "the input has %u and the weights have %u dimensions", x->n_dims,
                         w->n_dims);
    }
    TRY(ox_check_attr(n, "group", OX_INT, err));
    int64_t groups = ox_attr_int(n, "group", 1), c = x->shape[1], k = w->shape[0];
    if (groups < 1 || c < 1 || k < 1 || c % groups != 0 || k % groups != 0) {
        return error_set(err, STATUS_MODEL, "group = %lld does not divide %lld input and %lld output channels",
                         (long long)groups, (long long)c, (long long)k);
    }
    if (w->shape[1] != c / groups) {
        return error_set(err, STATUS_MODEL, "the weights are for %lld channels per group; the input has %lld",
                         (long long)w->shape[1], (long long)(c / groups));
    }
    s->batch = (size_t)x->shape[0];
    s->groups = (size_t)groups;
    s->c_in = (size_t)c;
    s->c_out = (size_t)k;
    return ox_window_read(n, w->shape + 2, false, &s->w, err);
}

static const ox_tensor *optional(const ox_node *n, size_t i) {
    return i == SIZE_MAX ? NULL : ox_input(n, i);
}

status ox_qconv_infer(ox_node *n, ox_qconv_inputs in, uint32_t dtype, ox_conv_shape *s, error *err) {
    TRY(ox_need_byte(n, in.x, err));
    TRY(ox_need_byte(n, in.w, err));
    TRY(get_shape(n, in, s, err));
    TRY(ox_need_zero(n, in.x_zero, in.x, err));
    const ox_tensor *z = optional(n, in.w_zero);
    if (z != NULL && z->dtype != n->in[in.w]->dtype) {
        return error_set(err, STATUS_MODEL, "the weights' zero point is %s, they are %s", ox_dtype_name(z->dtype),
                         ox_dtype_name(n->in[in.w]->dtype));
    }
    if (z != NULL && z->n != 1 && (z->n_dims != 1 || z->n != s->c_out)) {
        return error_set(err, STATUS_MODEL, "%zu zero points for %zu output channels", z->n, s->c_out);
    }
    if (n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "the output is missing");
    }
    int64_t shape[5] = {(int64_t)s->batch, (int64_t)s->c_out};
    for (uint32_t i = 0; i < s->w.n_spatial; i++) {
        shape[2 + i] = (int64_t)s->w.out[3 - s->w.n_spatial + i];
    }
    return ox_set_shape(n->out[0], dtype, shape, n->in[in.x]->n_dims, err);
}

void ox_qconv_release(ox_qconv *q) {
    ox_iconv_destroy(q->fast);
    ox_conv_dnnl_destroy(q->back);
    mem_free(q->w_zero);
    mem_free(q->g);
    mem_free(q->dx);
    mem_free(q->w_real);
}

static void load_weights(ox_qconv *q, const ox_node *n) {
    const ox_tensor *w = n->in[q->in.w], *z = optional(n, q->in.w_zero);
    for (size_t k = 0; k < q->s.c_out; k++) {
        q->w_zero[k] = ox_zero_of(z, k);
    }
    if (q->fast != NULL) {
        ox_iconv_weights(q->fast, w->data, w->dtype == ASSAY_I8, q->w_zero);
    }
}

static status floats(float **p, size_t n, error *err) {
    *p = mem_try(n > 0 ? n : 1, sizeof **p, "gradients of a convolution", err);
    return *p == NULL ? STATUS_MEMORY : STATUS_OK;
}

/* oneDNN counts in int. */
static bool fits_int(const ox_conv_shape *s, size_t n_weights) {
    size_t x = 0, y = 0;
    return mem_mul(s->c_in, s->w.in_plane, &x) && mem_mul(s->c_out, s->w.out_plane, &y) && x > 0 && y > 0 &&
           x <= INT32_MAX && y <= INT32_MAX && n_weights <= INT32_MAX;
}

static status prepare_vjp(ox_qconv *q, const ox_node *n, error *err) {
    const ox_conv_shape *s = &q->s;
    TRY(floats(&q->g, s->c_out * s->w.out_plane, err));
    TRY(floats(&q->dx, s->c_in * s->w.in_plane, err));
    TRY(floats(&q->w_real, n->in[q->in.w]->n, err));
    if (n->reference || !fits_int(s, n->in[q->in.w]->n)) {
        return STATUS_OK;
    }
    status code = ox_conv_dnnl_create(s, false, true, &q->back, err);
    return code == STATUS_UNSUPPORTED ? STATUS_OK : code; /* a geometry that oneDNN has no kernel for */
}

status ox_qconv_prepare(ox_qconv *q, const ox_node *n, ox_qconv_inputs in, bool want_vjp, error *err) {
    const ox_tensor *w = n->in[in.w], *z = optional(n, in.w_zero);
    q->in = in;
    q->want_vjp = want_vjp;
    TRY(get_shape(n, in, &q->s, err));
    if (!n->reference && q->s.batch > 0) {
        status code = ox_iconv_create(&q->s, ox_int8_best(), &q->fast, err);
        if (code != STATUS_OK && code != STATUS_UNSUPPORTED) {
            return code;
        }
    }
    q->w_zero = mem_try(q->s.c_out, sizeof *q->w_zero, "zero points", err);
    if (q->w_zero == NULL) {
        return STATUS_MEMORY;
    }
    q->fixed = w->is_const && (z == NULL || z->is_const);
    if (q->fixed) {
        load_weights(q, n);
    }
    return want_vjp ? prepare_vjp(q, n, err) : STATUS_OK;
}

void ox_qconv_begin(ox_qconv *q, const ox_node *n) {
    if (!q->fixed) {
        load_weights(q, n);
    }
    if (q->fast != NULL) {
        ox_iconv_begin(q->fast, n->in[q->in.x]->dtype == ASSAY_I8, ox_zero_of(optional(n, q->in.x_zero), 0));
    }
}

void ox_qconv_example(ox_qconv *q, const ox_node *n, size_t example, bool plain, ox_iconv_sink sink, void *ctx) {
    const ox_tensor *x = n->in[q->in.x], *w = n->in[q->in.w];
    const uint8_t *from = (const uint8_t *)x->data + example * q->s.c_in * q->s.w.in_plane;
    if (q->fast != NULL && !plain) {
        ox_iconv_run(q->fast, from, sink, ctx);
        return;
    }
    int32_t zero = ox_zero_of(optional(n, q->in.x_zero), 0);
    for (size_t k = 0; k < q->s.c_out; k++) {
        for (size_t o = 0; o < q->s.w.out_plane; o++) {
            int32_t sum =
                ox_iconv_at(&q->s, from, x->dtype == ASSAY_I8, zero, w->data, w->dtype == ASSAY_I8, q->w_zero[k], k, o);
            const ox_iconv_rows one = {.channel = k, .position = o, .acc = &sum, .pitch = 1, .len = 1, .n = 1};
            sink(ctx, &one);
        }
    }
}

/* ---- gradients ---------------------------------------------------------------------------------- */

status ox_qconv_begin_vjp(ox_qconv *q, const ox_node *n, const float *factor, bool constant, error *err) {
    if (q->back_fixed) {
        return STATUS_OK;
    }
    const ox_tensor *w = n->in[q->in.w];
    size_t per = w->n / q->s.c_out;
    for (size_t i = 0; i < w->n; i++) {
        size_t k = i / per;
        q->w_real[i] = (float)((int32_t)ox_int_at(w, i) - q->w_zero[k]) * factor[k];
    }
    q->back_fixed = q->fixed && constant;
    return q->back == NULL ? STATUS_OK : ox_conv_dnnl_weights(q->back, q->w_real, NULL, err);
}

/* The taps of one output element, each product once: scatter form. dx: one example's, dw with `v` times factor. */
static void scatter(const ox_qconv *q, const ox_tensor *x, size_t x0, int32_t x_zero, size_t k, size_t o, float v,
                    float factor, float *dx, float *dw) {
    const ox_window *w = &q->s.w;
    size_t per_in = q->s.c_in / q->s.groups, first = k / (q->s.c_out / q->s.groups) * per_in;
    ox_taps d = ox_window_taps(w, 0, o / (w->out[1] * w->out[2])), h = ox_window_taps(w, 1, o / w->out[2] % w->out[1]);
    ox_taps t = ox_window_taps(w, 2, o % w->out[2]);
    for (size_t c = 0; c < per_in; c++) {
        for (size_t i = d.first; i < d.end; i++) {
            for (size_t j = h.first; j < h.end; j++) {
                size_t z = d.at + (i - d.first) * w->dilation[0], y = h.at + (j - h.first) * w->dilation[1];
                size_t row = (first + c) * w->in_plane + (z * w->in[1] + y) * w->in[2] + t.at;
                size_t tap = (k * per_in + c) * w->taps + (i * w->k[1] + j) * w->k[2];
                for (size_t s = t.first; s < t.end; s++) {
                    size_t at = row + (s - t.first) * w->dilation[2];
                    if (dx != NULL) {
                        dx[at] += v * q->w_real[tap + s];
                    }
                    if (dw != NULL) {
                        dw[tap + s] += v * factor * (float)((int32_t)ox_int_at(x, x0 + at) - x_zero);
                    }
                }
            }
        }
    }
}

status ox_qconv_vjp(ox_qconv *q, const ox_node *n, size_t example, const float *factor, bool plain, error *err) {
    const ox_conv_shape *s = &q->s;
    size_t x_step = s->c_in * s->w.in_plane;
    float *dx = ox_grad_in(n, q->in.x), *dw = ox_grad_in(n, q->in.w);
    dx = dx == NULL ? NULL : dx + example * x_step;
    if (dx != NULL && q->back != NULL && !plain) {
        TRY(ox_conv_dnnl_backward(q->back, q->g, q->dx, err));
        for (size_t i = 0; i < x_step; i++) {
            dx[i] += q->dx[i];
        }
        dx = NULL;
    }
    int32_t zero = ox_zero_of(optional(n, q->in.x_zero), 0);
    for (size_t i = 0; i < s->c_out * s->w.out_plane && (dx != NULL || dw != NULL); i++) {
        size_t k = i / s->w.out_plane;
        if (q->g[i] != 0) {
            scatter(q, n->in[q->in.x], example * x_step, zero, k, i % s->w.out_plane, q->g[i], factor[k], dx, dw);
        }
    }
    return STATUS_OK;
}

uint64_t ox_qconv_macs(const ox_node *n, size_t w) {
    const ox_tensor *weights = n->in[w];
    return weights->shape[0] == 0 ? 0 : (uint64_t)n->out[0]->n * (weights->n / (size_t)weights->shape[0]);
}
