/* SPDX-License-Identifier: Apache-2.0
 * Conv (opset 1 on), one to three spatial dimensions: x (N, C, ...), weights (K, C / group, ...), bias (K).
 * The fast path runs a batch-1 convolution of oneDNN for each example, so that an example's bits depend neither on
 * its position nor on its neighbours by construction. */
#include "kernels/conv.h"
#include "kernels/dnnl.h"
#include "kernels/epilogue.h"

typedef struct conv_state {
    ox_conv_shape s;
    ox_conv_dnnl *fast;     /* NULL: reference loops (float64, empty tensors) */
    ox_conv_narrow *narrow; /* NULL: oneDNN's backward pass */
    bool fixed;             /* weights reordered at prepare */
    bool want_vjp;
    ox_isa isa;
    float *dx;         /* one example's gradient before it is added */
    float *dy;         /* one example's cotangent behind the activation */
    ox_reorder *plain; /* where `narrow` needs the rows of a blocked cotangent */
    float *rows;
} conv_state;

static status get_shape(const ox_node *n, ox_conv_shape *s, error *err) {
    const ox_tensor *x = n->in[0], *weights = n->in[1];
    int64_t x_shape[ASSAY_MAX_DIMS];
    uint32_t n_dims = 0;
    ox_logical_shape(x, x_shape, &n_dims);
    *s = (ox_conv_shape){.groups = 1, .x_block = x->block, .y_block = n->out[0]->block};
    if (n_dims < 3 || weights->n_dims != n_dims) {
        return error_set(err, STATUS_MODEL, "the input has %u and the weights have %u dimensions", n_dims,
                         weights->n_dims);
    }
    TRY(ox_check_attr(n, "group", OX_INT, err));
    int64_t groups = ox_attr_int(n, "group", 1), c = x_shape[1], k = weights->shape[0];
    if (groups < 1 || c < 1 || k < 1 || c % groups != 0 || k % groups != 0) {
        return error_set(err, STATUS_MODEL, "group = %lld does not divide %lld input and %lld output channels",
                         (long long)groups, (long long)c, (long long)k);
    }
    if (weights->shape[1] != c / groups) {
        return error_set(err, STATUS_MODEL, "the weights are for %lld channels per group; the input has %lld",
                         (long long)weights->shape[1], (long long)(c / groups));
    }
    s->batch = (size_t)x_shape[0];
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
        ox_reorder_destroy(st->plain);
        mem_free(st->dx);
        mem_free(st->dy);
        mem_free(st->rows);
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
    return s->x_step <= INT32_MAX && s->y_step <= INT32_MAX && n->in[1]->n <= INT32_MAX;
}

static status floats(size_t n, float **p, error *err) {
    *p = mem_try(n, sizeof(float), "gradient", err);
    return *p == NULL ? STATUS_MEMORY : STATUS_OK;
}

/* Scratch of the backward pass. */
static status prepare_vjp(const ox_node *n, conv_state *st, bool narrow, error *err) {
    const ox_conv_shape *s = &st->s;
    if (ox_has_epilogue(n)) {
        TRY(floats(s->y_step, &st->dy, err));
    }
    if (!narrow) {
        return floats(s->x_step, &st->dx, err);
    }
    if (s->y_block > 0) {
        const ox_window *w = &s->w;
        int64_t dims[4] = {1, (int64_t)s->c_out, (int64_t)w->out[1], (int64_t)w->out[2]};
        TRY(ox_reorder_create(dims, s->y_block, 0, &st->plain, err));
        TRY(floats(s->c_out * w->out_plane, &st->rows, err));
    }
    return ox_conv_narrow_create(s, &st->narrow, err);
}

static status prepare_fast(ox_node *n, conv_state *st, bool want_vjp, error *err) {
    const ox_tensor *b = ox_input(n, 2);
    bool narrow = want_vjp && st->s.x_block == 0 && ox_conv_narrow_pays(&st->s);
    status code = ox_conv_dnnl_create(&st->s, b != NULL, want_vjp && !narrow, &st->fast, err);
    if (code == STATUS_UNSUPPORTED && st->s.x_block == 0 && st->s.y_block == 0) {
        return STATUS_OK; /* a geometry that oneDNN has no kernel for: the loops have */
    }
    TRY(code);
    st->fixed = n->in[1]->is_const && (b == NULL || b->is_const);
    if (st->fixed) {
        TRY(load_weights(n, st, err));
    }
    return want_vjp ? prepare_vjp(n, st, narrow, err) : STATUS_OK;
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    conv_state *st = mem_zalloc(sizeof *st);
    n->state = st;
    st->want_vjp = want_vjp;
    st->isa = ox_isa_best();
    status code = get_shape(n, &st->s, err);
    if (code == STATUS_OK && st->s.batch > 0) {
        st->s.x_step = n->in[0]->n / st->s.batch;
        st->s.y_step = n->out[0]->n / st->s.batch;
    }
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
    float *y = n->out[0]->data;
    const ox_tensor *r = ox_input(n, OX_RESIDUAL);
    const float *residual = r == NULL ? NULL : r->data;
    if (st->fast == NULL) {
        TRY(forward_reference(n, err));
        ox_epilogue_apply(st->isa, &n->epilogue, y, residual, n->out[0]->n);
        return STATUS_OK;
    }
    if (!st->fixed) {
        TRY(load_weights(n, st, err));
    }
    const float *x = n->in[0]->data;
    for (size_t b = 0; b < st->s.batch; b++, x += st->s.x_step, y += st->s.y_step) {
        TRY(ox_conv_dnnl_forward(st->fast, x, y, err));
        if (ox_has_epilogue(n)) { /* while the example is in the cache */
            ox_epilogue_apply(st->isa, &n->epilogue, y, residual, st->s.y_step);
            residual = residual == NULL ? NULL : residual + st->s.y_step;
        }
    }
    return STATUS_OK;
}

/* Scatter form, in float: each output's gradient goes to the inputs and weights it was made of. */
static void vjp_loops(const ox_node *n, const float *g, bool input, bool parameters) {
    const conv_state *st = n->state;
    const ox_window *w = &st->s.w;
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
        vjp_loops(n, ox_grad_out(n, 0), true, true);
    }
    return STATUS_OK;
}

/* The loops behind an epilogue, of which the oracle knows nothing. */
static status vjp_slow(ox_node *n, const conv_state *st, assay_vjp_mode mode, error *err) {
    float *g = NULL, *dr = ox_grad_in(n, OX_RESIDUAL);
    if (!ox_has_epilogue(n)) {
        return vjp_reference(n, mode, err);
    }
    TRY(floats(n->out[0]->n, &g, err));
    ox_epilogue_vjp(st->isa, &n->epilogue, mode, n->out[0]->data, ox_grad_out(n, 0), g, n->out[0]->n);
    vjp_loops(n, g, true, true);
    if (dr != NULL) {
        ox_accumulate(st->isa, dr, g, n->out[0]->n, false);
    }
    mem_free(g);
    return STATUS_OK;
}

/* One example's dx from the cotangent of the product itself. */
static status backward_one(ox_node *n, conv_state *st, const float *dy, float *dx, error *err) {
    if (st->narrow != NULL) {
        if (st->plain != NULL) {
            TRY(ox_reorder_run(st->plain, dy, st->rows, err));
            dy = st->rows;
        }
        if (ox_is_fresh(n, 0)) {
            memset(dx, 0, st->s.x_step * sizeof *dx);
        }
        ox_conv_narrow_backward(st->narrow, n->in[1]->data, dy, dx);
        return STATUS_OK;
    }
    bool fresh = ox_is_fresh(n, 0);
    TRY(ox_conv_dnnl_backward(st->fast, dy, fresh ? dx : st->dx, err));
    if (!fresh) {
        ox_accumulate(st->isa, dx, st->dx, st->s.x_step, false);
    }
    return STATUS_OK;
}

static status vjp_fast(ox_node *n, conv_state *st, assay_vjp_mode mode, error *err) {
    const float *g = ox_grad_out(n, 0), *y = n->out[0]->data;
    float *dx = ox_grad_in(n, 0), *dr = ox_grad_in(n, OX_RESIDUAL);
    size_t x_step = st->s.x_step, y_step = st->s.y_step;
    for (size_t b = 0; b < st->s.batch; b++, g += y_step, y += y_step) {
        const float *dy = g;
        if (st->dy != NULL) {
            ox_epilogue_vjp(st->isa, &n->epilogue, mode, y, g, st->dy, y_step);
            dy = st->dy;
        }
        if (dr != NULL) {
            ox_accumulate(st->isa, dr + b * y_step, dy, y_step, ox_is_fresh(n, OX_RESIDUAL));
        }
        if (dx != NULL) {
            TRY(backward_one(n, st, dy, dx + b * x_step, err));
        }
    }
    return STATUS_OK;
}

/* Weights are constants in every inference graph, and where there is an epilogue: no fast path for their gradients. */
static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    conv_state *st = n->state;
    if (st->fast == NULL || !st->want_vjp || ox_grad_out(n, 0) == NULL) {
        ox_clear_fresh(n);
        return ox_grad_out(n, 0) == NULL ? STATUS_OK : vjp_slow(n, st, mode, err);
    }
    TRY(vjp_fast(n, st, mode, err));
    vjp_loops(n, ox_grad_out(n, 0), false, true);
    return STATUS_OK;
}

static void layout(const ox_node *n, uint32_t *in_block, uint32_t *out_block) {
    ox_conv_shape s;
    *in_block = *out_block = 0;
    if (n->in[0]->dtype == ASSAY_F32 && n->in[0]->n > 0 && n->out[0]->n > 0 && n->in[1]->is_const &&
        get_shape(n, &s, NULL) == STATUS_OK && s.w.n_spatial == 2 && n->in[0]->n / s.batch <= INT32_MAX &&
        n->out[0]->n / s.batch <= INT32_MAX && n->in[1]->n <= INT32_MAX) {
        ox_conv_dnnl_blocks(&s, in_block, out_block);
    }
}

static uint64_t macs(const ox_node *n) {
    ox_conv_shape s;
    if (get_shape(n, &s, NULL) != STATUS_OK) {
        return 0;
    }
    return (uint64_t)s.batch * s.c_out * s.w.out_plane * (s.c_in / s.groups) * s.w.taps;
}

const ox_kernel ox_kernel_conv = {.op = "Conv",
                                  .min_opset = 1,
                                  .max_opset = 9999,
                                  .flags = OX_KEEPS_BATCH | OX_EPILOGUE | OX_STORES_GRADIENT,
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
                                  .layout = layout,
                                  .macs = macs};
