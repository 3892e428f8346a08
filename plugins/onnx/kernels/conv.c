/* SPDX-License-Identifier: Apache-2.0
 * Conv (opset 1 on), one to three spatial dimensions: x (N, C, ...), weights (K, C / group, ...), bias (K).
 * The fast path runs a batch-1 convolution of oneDNN for each example, so that an example's bits depend neither on
 * its position nor on its neighbours by construction. */
#include "kernels/conv.h"

typedef struct conv_state {
    ox_conv_shape s;
    ox_conv_dnnl *fast;     /* NULL: reference loops (float64, empty tensors) */
    ox_conv_narrow *narrow; /* NULL: oneDNN's backward pass */
    bool fixed;             /* weights reordered at prepare */
    bool want_vjp;
    float *dx; /* one example's gradient before it is added */
} conv_state;

static status get_shape(const ox_node *n, ox_conv_shape *s, error *err) {
    const ox_tensor *x = n->in[0], *weights = n->in[1];
    *s = (ox_conv_shape){.groups = 1};
    if (x->n_dims < 3 || weights->n_dims != x->n_dims) {
        return error_set(err, STATUS_MODEL, "the input has %u and the weights have %u dimensions", x->n_dims,
                         weights->n_dims);
    }
    TRY(ox_check_attr(n, "group", OX_INT, err));
    int64_t groups = ox_attr_int(n, "group", 1), c = x->shape[1], k = weights->shape[0];
    if (groups < 1 || c < 1 || k < 1 || c % groups != 0 || k % groups != 0) {
        return error_set(err, STATUS_MODEL, "group = %lld does not divide %lld input and %lld output channels",
                         (long long)groups, (long long)c, (long long)k);
    }
    if (weights->shape[1] != c / groups) {
        return error_set(err, STATUS_MODEL, "the weights are for %lld channels per group; the input has %lld",
                         (long long)weights->shape[1], (long long)(c / groups));
    }
    s->batch = (size_t)x->shape[0];
    s->groups = (size_t)groups;
    s->c_in = (size_t)c;
    s->c_out = (size_t)k;
    return ox_window_read(n, weights->shape + 2, false, &s->w, err);
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    TRY(ox_need_dtype_of_first(n, 1, err));
    ox_conv_shape s;
    TRY(get_shape(n, &s, err));
    if (ox_input(n, 2) != NULL) {
        TRY(ox_need_vector(n, 2, s.c_out, err));
    }
    int64_t shape[5] = {(int64_t)s.batch, (int64_t)s.c_out};
    for (uint32_t i = 0; i < s.w.n_spatial; i++) {
        shape[2 + i] = (int64_t)s.w.out[3 - s.w.n_spatial + i];
    }
    return ox_set_shape(n->out[0], n->in[0]->dtype, shape, n->in[0]->n_dims, err);
}

static void release(ox_node *n) {
    conv_state *st = n->state;
    if (st != NULL) {
        ox_conv_dnnl_destroy(st->fast);
        ox_conv_narrow_destroy(st->narrow);
        mem_free(st->dx);
        mem_free(st);
        n->state = NULL;
    }
}

static status load_weights(const ox_node *n, conv_state *st, error *err) {
    const ox_tensor *b = ox_input(n, 2);
    return ox_conv_dnnl_weights(st->fast, n->in[1]->data, b == NULL ? NULL : b->data, err);
}

/* oneDNN counts in int. */
static bool fits_int(const ox_node *n, const ox_conv_shape *s) {
    if (s->batch == 0) {
        return false; /* the plain loops do nothing at all, which is right */
    }
    size_t per_x = n->in[0]->n / s->batch, per_y = n->out[0]->n / s->batch;
    return per_x <= INT32_MAX && per_y <= INT32_MAX && n->in[1]->n <= INT32_MAX;
}

static status prepare_fast(ox_node *n, conv_state *st, bool want_vjp, error *err) {
    const ox_tensor *b = ox_input(n, 2);
    bool narrow = want_vjp && ox_conv_narrow_pays(&st->s);
    status code = ox_conv_dnnl_create(&st->s, b != NULL, want_vjp && !narrow, &st->fast, err);
    if (code == STATUS_UNSUPPORTED) {
        return STATUS_OK; /* a geometry that oneDNN has no kernel for: the loops have */
    }
    TRY(code);
    st->fixed = n->in[1]->is_const && (b == NULL || b->is_const);
    if (st->fixed) {
        TRY(load_weights(n, st, err));
    }
    if (narrow) {
        return ox_conv_narrow_create(&st->s, &st->narrow, err);
    }
    if (want_vjp) {
        st->dx = mem_try(st->s.c_in * st->s.w.in_plane, sizeof(float), "gradient", err);
        return st->dx == NULL ? STATUS_MEMORY : STATUS_OK;
    }
    return STATUS_OK;
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    conv_state *st = mem_zalloc(sizeof *st);
    n->state = st;
    st->want_vjp = want_vjp;
    status code = get_shape(n, &st->s, err);
    if (code == STATUS_OK && !n->reference && n->in[0]->dtype == ASSAY_F32 && n->in[0]->n > 0 && n->out[0]->n > 0 &&
        fits_int(n, &st->s)) {
        code = prepare_fast(n, st, want_vjp, err);
    }
    if (code != STATUS_OK) {
        release(n);
    }
    return code;
}

/* Where one output element looks: its taps and first elements of x and weights. */
typedef struct place {
    ox_taps d, h, c;
    size_t x, w, channels; /* channels per group */
} place;

static place place_of(const ox_conv_shape *s, size_t b, size_t k, size_t o) {
    const ox_window *w = &s->w;
    size_t per_in = s->c_in / s->groups, per_out = s->c_out / s->groups, g = k / per_out;
    return (place){.d = ox_window_taps(w, 0, o / (w->out[1] * w->out[2])),
                   .h = ox_window_taps(w, 1, o / w->out[2] % w->out[1]),
                   .c = ox_window_taps(w, 2, o % w->out[2]),
                   .x = (b * s->c_in + g * per_in) * w->in_plane,
                   .w = k * per_in * w->taps,
                   .channels = per_in};
}

/* For each product of an output element: `ix` and `iw` are the elements of x and weights. */
#define EACH_PRODUCT(p, wd, body)                                                                                      \
    for (size_t c_ = 0; c_ < (p).channels; c_++) {                                                                     \
        for (size_t i_ = (p).d.first; i_ < (p).d.end; i_++) {                                                          \
            for (size_t j_ = (p).h.first; j_ < (p).h.end; j_++) {                                                      \
                size_t z_ = (p).d.at + (i_ - (p).d.first) * (wd)->dilation[0];                                         \
                size_t y_ = (p).h.at + (j_ - (p).h.first) * (wd)->dilation[1];                                         \
                size_t row_ = (p).x + c_ * (wd)->in_plane + (z_ * (wd)->in[1] + y_) * (wd)->in[2] + (p).c.at;          \
                size_t tap_ = (p).w + c_ * (wd)->taps + (i_ * (wd)->k[1] + j_) * (wd)->k[2];                           \
                for (size_t t_ = (p).c.first; t_ < (p).c.end; t_++) {                                                  \
                    size_t ix = row_ + (t_ - (p).c.first) * (wd)->dilation[2], iw = tap_ + t_;                         \
                    body;                                                                                              \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    const conv_state *st = n->state;
    const ox_window *w = &st->s.w;
    const ox_tensor *x = n->in[0], *weights = n->in[1], *bias = ox_input(n, 2);
    for (size_t i = 0; i < n->out[0]->n; i++) {
        size_t k = i / w->out_plane % st->s.c_out;
        place p = place_of(&st->s, i / w->out_plane / st->s.c_out, k, i % w->out_plane);
        double sum = 0;
        EACH_PRODUCT(p, w, sum += ox_at(x, ix) * ox_at(weights, iw))
        ox_put(n->out[0], i, sum + (bias == NULL ? 0 : ox_at(bias, k)));
    }
    return STATUS_OK;
}

static status forward(ox_node *n, error *err) {
    conv_state *st = n->state;
    if (st->fast == NULL) {
        return forward_reference(n, err);
    }
    if (!st->fixed) {
        TRY(load_weights(n, st, err));
    }
    const float *x = n->in[0]->data;
    float *y = n->out[0]->data;
    size_t x_step = st->s.c_in * st->s.w.in_plane, y_step = st->s.c_out * st->s.w.out_plane;
    for (size_t b = 0; b < st->s.batch; b++) {
        TRY(ox_conv_dnnl_forward(st->fast, x + b * x_step, y + b * y_step, err));
    }
    return STATUS_OK;
}

/* Scatter form, in float: each output's gradient goes to the inputs and weights it was made of. */
static void vjp_loops(const ox_node *n, bool input, bool parameters) {
    const conv_state *st = n->state;
    const ox_window *w = &st->s.w;
    const float *g = ox_grad_out(n, 0);
    float *dx = input ? ox_grad_in(n, 0) : NULL;
    float *dw = parameters ? ox_grad_in(n, 1) : NULL, *db = parameters ? ox_grad_in(n, 2) : NULL;
    if (dx == NULL && dw == NULL && db == NULL) {
        return;
    }
    for (size_t i = 0; i < n->out[0]->n; i++) {
        size_t k = i / w->out_plane % st->s.c_out;
        place p = place_of(&st->s, i / w->out_plane / st->s.c_out, k, i % w->out_plane);
        double v = (double)g[i];
        if (dx != NULL) {
            EACH_PRODUCT(p, w, dx[ix] += (float)(v * ox_at(n->in[1], iw)))
        }
        if (dw != NULL) {
            EACH_PRODUCT(p, w, dw[iw] += (float)(v * ox_at(n->in[0], ix)))
        }
        if (db != NULL) {
            db[k] += g[i];
        }
    }
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    if (ox_grad_out(n, 0) != NULL) {
        vjp_loops(n, true, true);
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    conv_state *st = n->state;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    if (st->fast == NULL || !st->want_vjp) {
        return vjp_reference(n, mode, err);
    }
    if (g == NULL) {
        return STATUS_OK;
    }
    size_t x_step = st->s.c_in * st->s.w.in_plane, y_step = st->s.c_out * st->s.w.out_plane;
    for (size_t b = 0; dx != NULL && b < st->s.batch; b++, dx += x_step, g += y_step) {
        if (st->narrow != NULL) {
            ox_conv_narrow_backward(st->narrow, n->in[1]->data, g, dx);
            continue;
        }
        TRY(ox_conv_dnnl_backward(st->fast, g, st->dx, err));
        for (size_t i = 0; i < x_step; i++) {
            dx[i] += st->dx[i];
        }
    }
    vjp_loops(n, false, true); /* weights are constants in every inference graph: no fast path */
    return STATUS_OK;
}

static uint64_t macs(const ox_node *n) {
    ox_conv_shape s;
    if (get_shape(n, &s, NULL) != STATUS_OK) {
        return 0;
    }
    return (uint64_t)n->out[0]->n * (s.c_in / s.groups) * s.w.taps;
}

const ox_kernel ox_kernel_conv = {.op = "Conv",
                                  .min_opset = 1,
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
                                  .forward_reference = forward_reference,
                                  .vjp = vjp,
                                  .vjp_reference = vjp_reference,
                                  .macs = macs};
