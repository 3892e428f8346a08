/* SPDX-License-Identifier: Apache-2.0
 * ConvTranspose (opset 1 on) over one to three spatial dimensions: x (N, C, in...), w (C, M / group, k...), b (M),
 * y (N, M, out...). It is the transpose of the convolution from y to x with the same weights, so y is columns
 * (M / group * taps, plane) = w^T x of each group, added up in the image (columns.h), and its gradient is that
 * convolution. Products by ox_gemm, one example at a time: an example's bits do not know the batch. */
#include <inttypes.h>

#include "kernels/columns.h"
#include "kernels/sgemm.h"

typedef struct shape {
    ox_window w;                /* in: of y, out: of x */
    size_t batch, groups, c, m; /* channels of x and y of one group */
    size_t rows;                /* m * taps */
} shape;

typedef struct plan {
    shape s;
    ox_isa isa;
    float *columns; /* (rows, plane of x) */
    float *packed;  /* right-hand sides of the products */
    float *product; /* dx of a group, or dw of one; with vjp only */
} plan;

static status read_shape(const ox_node *n, shape *s, error *err) {
    TRY(ox_need_float(n, 0, err));
    TRY(ox_need_dtype_of_first(n, 1, err));
    TRY(ox_check_attr(n, "group", OX_INT, err));
    const ox_tensor *x = n->in[0], *w = n->in[1];
    if (w->n_dims != x->n_dims || x->n_dims < 3) {
        return error_set(err, STATUS_MODEL, "weights of %u dimensions for an input of %u", w->n_dims, x->n_dims);
    }
    *s = (shape){0};
    TRY(ox_window_read_transposed(n, w->shape + 2, &s->w, err));
    int64_t groups = ox_attr_int(n, "group", 1), c = x->shape[1];
    if (groups < 1 || c < 1 || w->shape[0] != c || c % groups != 0 || w->shape[1] < 1) {
        return error_set(err, STATUS_MODEL, "%" PRId64 " channels, %" PRId64 " groups, weights of %" PRId64 "x%" PRId64,
                         c, groups, w->shape[0], w->shape[1]);
    }
    s->batch = (size_t)x->shape[0];
    s->groups = (size_t)groups;
    s->c = (size_t)(c / groups);
    s->m = (size_t)w->shape[1];
    size_t all = 0;
    if (!mem_mul(s->m, s->w.taps, &s->rows) || !mem_mul(s->m, s->groups, &all)) {
        return error_set(err, STATUS_MODEL, "the weights' sizes overflow");
    }
    return ox_input(n, 2) == NULL ? STATUS_OK : ox_need_vector(n, 2, all, err);
}

static status infer(ox_node *n, error *err) {
    shape s = {0};
    TRY(read_shape(n, &s, err));
    int64_t y[5] = {n->in[0]->shape[0], 0};
    if (__builtin_mul_overflow((int64_t)s.m, (int64_t)s.groups, &y[1])) {
        return error_set(err, STATUS_MODEL, "the output's channels overflow");
    }
    for (uint32_t i = 0; i < s.w.n_spatial; i++) {
        y[2 + i] = (int64_t)s.w.in[3 - s.w.n_spatial + i];
    }
    return ox_set_shape(n->out[0], n->in[0]->dtype, y, n->in[0]->n_dims, err);
}

static float *try_floats(size_t n, error *err) {
    return mem_try(n, sizeof(float), "columns of a transposed convolution", err);
}

/* Of the products: x (c, plane) on the right; columns (rows, plane) and their transpose. */
static status packed_floats(const shape *s, bool want_vjp, size_t *most, error *err) {
    size_t plane = s->w.out_plane, a = 0, b = 0, c = 0;
    if (!ox_gemm_packed(s->c, plane, &a) || !ox_gemm_packed(s->rows, plane, &b) ||
        !ox_gemm_packed(plane, s->rows, &c)) {
        return error_set(err, STATUS_MEMORY, "the columns overflow");
    }
    *most = a;
    if (want_vjp) {
        *most = b > *most ? b : *most;
        *most = c > *most ? c : *most;
    }
    return STATUS_OK;
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    plan *p = mem_zalloc(sizeof *p);
    n->state = p;
    TRY(read_shape(n, &p->s, err));
    p->isa = ox_isa_best();
    if (n->in[0]->dtype != ASSAY_F32) {
        return STATUS_OK; /* the plain loops need nothing */
    }
    size_t columns = 0, packed = 0, product = 0, longest = p->s.w.out_plane > p->s.rows ? p->s.w.out_plane : p->s.rows;
    TRY(packed_floats(&p->s, want_vjp, &packed, err));
    if (!mem_mul(p->s.rows, p->s.w.out_plane, &columns) || !mem_mul(p->s.c, longest, &product)) {
        return error_set(err, STATUS_MEMORY, "the columns overflow");
    }
    p->columns = try_floats(columns, err);
    p->packed = try_floats(packed, err);
    p->product = want_vjp ? try_floats(product, err) : NULL;
    return p->columns == NULL || p->packed == NULL || (want_vjp && p->product == NULL) ? STATUS_MEMORY : STATUS_OK;
}

static void release(ox_node *n) {
    plan *p = n->state;
    if (p != NULL) {
        mem_free(p->columns);
        mem_free(p->packed);
        mem_free(p->product);
        mem_free(p);
        n->state = NULL;
    }
}

/* ---- the plain loops ---------------------------------------------------------------------------- */

/* Where tap `tap` of x's place `at` lands in y's plane; false: in the padding. */
static bool lands(const ox_window *w, size_t at, size_t tap, size_t *y) {
    size_t place[3] = {at / (w->out[1] * w->out[2]), at / w->out[2] % w->out[1], at % w->out[2]};
    size_t t[3] = {tap / (w->k[1] * w->k[2]), tap / w->k[2] % w->k[1], tap % w->k[2]};
    *y = 0;
    for (unsigned d = 0; d < 3; d++) {
        size_t padded = place[d] * w->stride[d] + t[d] * w->dilation[d];
        if (padded < w->pad_lo[d] || padded - w->pad_lo[d] >= w->in[d]) {
            return false;
        }
        *y = *y * w->in[d] + padded - w->pad_lo[d];
    }
    return true;
}

/* Calls body for each product of y = w^T x, in a fixed order: xi, wi, yi are elements. */
#define EACH_PRODUCT(n, s, body)                                                                                       \
    for (size_t e_ = 0; e_ < (s)->batch * (s)->groups; e_++) {                                                         \
        for (size_t c_ = 0; c_ < (s)->c; c_++) {                                                                       \
            for (size_t r_ = 0; r_ < (s)->rows; r_++) {                                                                \
                size_t wi = (e_ % (s)->groups * (s)->c + c_) * (s)->rows + r_;                                         \
                for (size_t p_ = 0, y_ = 0; p_ < (s)->w.out_plane; p_++) {                                             \
                    if (lands(&(s)->w, p_, r_ % (s)->w.taps, &y_)) {                                                   \
                        size_t xi = (e_ * (s)->c + c_) * (s)->w.out_plane + p_;                                        \
                        size_t yi = (e_ * (s)->m + r_ / (s)->w.taps) * (s)->w.in_plane + y_;                           \
                        body;                                                                                          \
                    }                                                                                                  \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }

static void put_bias(ox_node *n, const shape *s) {
    const ox_tensor *b = ox_input(n, 2);
    size_t channels = s->m * s->groups, plane = s->w.in_plane;
    bool narrow = n->out[0]->dtype == ASSAY_F32;
    for (size_t i = 0; i < s->batch * channels; i++) {
        double v = b == NULL ? 0 : ox_at(b, i % channels);
        float f = (float)v, *y = (float *)n->out[0]->data + (narrow ? i * plane : 0);
        for (size_t k = 0; narrow && k < plane; k++) {
            y[k] = f;
        }
        for (size_t k = 0; !narrow && k < plane; k++) {
            ox_put(n->out[0], i * plane + k, v);
        }
    }
}

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    const shape *s = &((const plan *)n->state)->s;
    ox_tensor *y = n->out[0];
    put_bias(n, s);
    EACH_PRODUCT(n, s, ox_put(y, yi, ox_at(y, yi) + ox_at(n->in[0], xi) * ox_at(n->in[1], wi)))
    return STATUS_OK;
}

static void add_bias_gradient(const ox_node *n, const shape *s, const float *g) {
    float *db = ox_grad_in(n, 2);
    size_t channels = s->m * s->groups;
    for (size_t i = 0; db != NULL && i < s->batch * channels; i++) {
        double sum = 0;
        for (size_t k = 0; k < s->w.in_plane; k++) {
            sum += (double)g[i * s->w.in_plane + k];
        }
        db[i % channels] += (float)sum;
    }
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const shape *s = &((const plan *)n->state)->s;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0), *dw = ox_grad_in(n, 1);
    if (g == NULL) {
        return STATUS_OK;
    }
    add_bias_gradient(n, s, g);
    if (dx != NULL) {
        EACH_PRODUCT(n, s, dx[xi] += (float)(ox_at(n->in[1], wi) * (double)g[yi]))
    }
    if (dw != NULL) {
        EACH_PRODUCT(n, s, dw[wi] += (float)(ox_at(n->in[0], xi) * (double)g[yi]))
    }
    return STATUS_OK;
}

/* ---- products ----------------------------------------------------------------------------------- */

static status forward(ox_node *n, error *err) {
    plan *p = n->state;
    const shape *s = &p->s;
    size_t plane = s->w.out_plane, from = s->c * plane, to = s->m * s->w.in_plane;
    if (n->in[0]->dtype != ASSAY_F32) {
        return forward_reference(n, err);
    }
    put_bias(n, s);
    for (size_t e = 0; e < s->batch * s->groups; e++) {
        const float *w = ox_f32(n->in[1]) + e % s->groups * s->c * s->rows;
        ox_gemm_pack(ox_f32(n->in[0]) + e * from, s->c, plane, plane, 1, p->packed);
        ox_gemm(p->isa, s->rows, plane, s->c, w, 1, s->rows, p->packed, p->columns, plane);
        ox_columns_add(&s->w, s->m, p->columns, (float *)n->out[0]->data + e * to);
    }
    return STATUS_OK;
}

static void add_product(const float *product, float *to, size_t n) {
    for (size_t i = 0; i < n; i++) {
        to[i] += product[i];
    }
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    plan *p = n->state;
    const shape *s = &p->s;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0), *dw = ox_grad_in(n, 1);
    size_t plane = s->w.out_plane, from = s->c * plane, weights = s->c * s->rows;
    if (n->in[0]->dtype != ASSAY_F32 || g == NULL) {
        return vjp_reference(n, mode, err);
    }
    add_bias_gradient(n, s, g);
    for (size_t e = 0; (dx != NULL || dw != NULL) && e < s->batch * s->groups; e++) {
        size_t group = e % s->groups;
        ox_columns_take(&s->w, s->m, g + e * s->m * s->w.in_plane, p->columns);
        if (dx != NULL) {
            ox_gemm_pack(p->columns, s->rows, plane, plane, 1, p->packed);
            ox_gemm(p->isa, s->c, plane, s->rows, ox_f32(n->in[1]) + group * weights, s->rows, 1, p->packed, p->product,
                    plane);
            add_product(p->product, dx + e * from, from);
        }
        if (dw != NULL) {
            ox_gemm_pack(p->columns, plane, s->rows, 1, plane, p->packed);
            ox_gemm(p->isa, s->c, s->rows, plane, ox_f32(n->in[0]) + e * from, plane, 1, p->packed, p->product,
                    s->rows);
            add_product(p->product, dw + group * weights, weights);
        }
    }
    return STATUS_OK;
}

static uint64_t macs(const ox_node *n) {
    shape s = {0};
    error err = {0};
    if (read_shape(n, &s, &err) != STATUS_OK) {
        return 0;
    }
    return (uint64_t)(s.batch * s.groups * s.c * s.rows * s.w.out_plane);
}

const ox_kernel ox_kernel_conv_transpose = {.op = "ConvTranspose",
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
