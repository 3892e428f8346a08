/* SPDX-License-Identifier: Apache-2.0
 * LpPool and GlobalLpPool (opset 1 on; p is a float in opset 1, dilations and ceil_mode of LpPool from 18): the p-norm
 * of each window, y = (sum |x|^p)^(1/p), sums in double. Where y is zero so is the gradient, and at x = 0 |x| has slope
 * zero. GlobalLpPool is a window as large as the image. */
#include <inttypes.h>
#include <math.h>

#include "kernels/window.h"

typedef struct plan {
    ox_window w;
    size_t planes;
    double p;
} plan;

static status read_power(const ox_node *n, double *p, error *err) {
    const ox_attr *a = ox_attr_find(n, "p");
    if (a != NULL && a->kind != OX_INT && a->kind != OX_FLOAT) {
        return error_set(err, STATUS_MODEL, "attribute p has the wrong type");
    }
    *p = a == NULL ? 2 : (a->kind == OX_INT ? (double)a->i : (double)a->f);
    if (!(*p > 0) || !isfinite(*p)) {
        return error_set(err, STATUS_MODEL, "a norm of p = %g", *p);
    }
    return STATUS_OK;
}

static bool is_global(const ox_node *n) {
    return strcmp(n->kernel->op, "GlobalLpPool") == 0;
}

static status read_plan(const ox_node *n, plan *p, error *err) {
    TRY(ox_need_float(n, 0, err));
    TRY(read_power(n, &p->p, err));
    const ox_tensor *x = n->in[0];
    if (!is_global(n)) {
        TRY(ox_window_read(n, NULL, true, &p->w, err));
        p->planes = ox_count(x, 0, 2);
        return STATUS_OK;
    }
    if (x->n_dims < 3) {
        return error_set(err, STATUS_MODEL, "the input has %u dimensions; at least 3 are needed", x->n_dims);
    }
    size_t plane = ox_count(x, 2, x->n_dims);
    p->w = (ox_window){.k = {1, 1, plane},
                       .stride = {1, 1, 1},
                       .dilation = {1, 1, 1},
                       .in = {1, 1, plane},
                       .out = {1, 1, 1},
                       .in_plane = plane,
                       .out_plane = 1,
                       .taps = plane};
    p->planes = ox_count(x, 0, 2);
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    plan p = {0};
    TRY(read_plan(n, &p, err));
    const ox_tensor *x = n->in[0];
    int64_t shape[ASSAY_MAX_DIMS] = {x->shape[0], x->shape[1], 1, 1, 1, 1, 1, 1};
    for (uint32_t i = 0; i < p.w.n_spatial; i++) {
        shape[2 + i] = (int64_t)p.w.out[3 - p.w.n_spatial + i];
    }
    return ox_set_shape(n->out[0], x->dtype, shape, x->n_dims, err);
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    plan *p = mem_zalloc(sizeof *p);
    n->state = p;
    return read_plan(n, p, err);
}

static void release(ox_node *n) {
    mem_free(n->state);
    n->state = NULL;
}

typedef struct place {
    ox_taps t[3];
} place;

static place place_of(const ox_window *w, size_t o) {
    return (place){{ox_window_taps(w, 0, o / (w->out[1] * w->out[2])), ox_window_taps(w, 1, o / w->out[2] % w->out[1]),
                    ox_window_taps(w, 2, o % w->out[2])}};
}

/* `at`: element of the plane, in scan order. */
#define EACH_TAP(p, w, body)                                                                                           \
    for (size_t i_ = 0; i_ < (p).t[0].end - (p).t[0].first; i_++) {                                                    \
        for (size_t j_ = 0; j_ < (p).t[1].end - (p).t[1].first; j_++) {                                                \
            size_t z_ = (p).t[0].at + i_ * (w)->dilation[0], y_ = (p).t[1].at + j_ * (w)->dilation[1];                 \
            for (size_t t_ = 0; t_ < (p).t[2].end - (p).t[2].first; t_++) {                                            \
                size_t at = (z_ * (w)->in[1] + y_) * (w)->in[2] + (p).t[2].at + t_ * (w)->dilation[2];                 \
                body;                                                                                                  \
            }                                                                                                          \
        }                                                                                                              \
    }

static double power(double x, double p) {
    x = fabs(x);
    return p == 2 ? x * x : (p == 1 ? x : pow(x, p));
}

static status forward(ox_node *n, error *err) {
    (void)err;
    const plan *p = n->state;
    for (size_t o = 0; o < p->w.out_plane; o++) {
        place at_o = place_of(&p->w, o);
        for (size_t i = 0; i < p->planes; i++) {
            double sum = 0;
            EACH_TAP(at_o, &p->w, sum += power(ox_at(n->in[0], i * p->w.in_plane + at), p->p))
            ox_put(n->out[0], i * p->w.out_plane + o, p->p == 2 ? sqrt(sum) : (p->p == 1 ? sum : pow(sum, 1 / p->p)));
        }
    }
    return STATUS_OK;
}

/* dy/dx = sign(x) (|x| / y)^(p - 1). */
static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const plan *p = n->state;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    for (size_t o = 0; g != NULL && dx != NULL && o < p->w.out_plane; o++) {
        place at_o = place_of(&p->w, o);
        for (size_t i = 0; i < p->planes; i++) {
            double y = ox_at(n->out[0], i * p->w.out_plane + o), gy = (double)g[i * p->w.out_plane + o];
            EACH_TAP(at_o, &p->w, {
                double x = ox_at(n->in[0], i * p->w.in_plane + at);
                if (y != 0 && x != 0) {
                    dx[i * p->w.in_plane + at] += (float)(copysign(power(x / y, p->p - 1), x) * gy);
                }
            })
        }
    }
    return STATUS_OK;
}

#define LP_POOL(symbol, name)                                                                                          \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = 1,                                                              \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH,                                                     \
                                          .min_in = 1,                                                                 \
                                          .max_in = 1,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .prepare = prepare,                                                          \
                                          .release = release,                                                          \
                                          .forward = forward,                                                          \
                                          .vjp = vjp}
LP_POOL(lp_pool, "LpPool");
LP_POOL(global_lp_pool, "GlobalLpPool");
