/* SPDX-License-Identifier: Apache-2.0
 * Gemm: Y (M, N) = alpha * A' (M, K) * B' (K, N) + beta * C, C broadcast (opset 7 on; C optional from 11). */
#include "kernels/epilogue.h"

typedef struct dims {
    size_t m, n, k;
    size_t a_row, a_col, b_row, b_col; /* strides of A' and B' */
    float alpha, beta;
} dims;

typedef struct gemm_state {
    ox_isa isa;
    bool const_b;
    float *b;  /* B' packed */
    float *bt; /* its transpose packed, for the gradient of A */
    float *g;  /* packing of G, where B wants a gradient */
    float *da; /* (M, K) or (K, N): a product before it is added */
    float *dy; /* (M, N): the cotangent behind the epilogue */
} gemm_state;

static dims get_dims(const ox_node *n) {
    bool ta = ox_attr_int(n, "transA", 0) != 0, tb = ox_attr_int(n, "transB", 0) != 0;
    const int64_t *a = n->in[0]->shape, *b = n->in[1]->shape;
    return (dims){.m = (size_t)a[ta ? 1 : 0],
                  .k = (size_t)a[ta ? 0 : 1],
                  .n = (size_t)b[tb ? 0 : 1],
                  .a_row = ta ? 1 : (size_t)a[1],
                  .a_col = ta ? (size_t)a[1] : 1,
                  .b_row = tb ? 1 : (size_t)b[1],
                  .b_col = tb ? (size_t)b[1] : 1,
                  .alpha = ox_attr_float(n, "alpha", 1.0F),
                  .beta = ox_attr_float(n, "beta", 1.0F)};
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    TRY(ox_need_dtype_of_first(n, 1, err));
    TRY(ox_check_attr(n, "alpha", OX_FLOAT, err));
    TRY(ox_check_attr(n, "beta", OX_FLOAT, err));
    TRY(ox_check_attr(n, "transA", OX_INT, err));
    TRY(ox_check_attr(n, "transB", OX_INT, err));
    const ox_tensor *a = n->in[0], *b = n->in[1], *c = ox_input(n, 2);
    if (a->n_dims != 2 || b->n_dims != 2) {
        return error_set(err, STATUS_MODEL, "A has %u and B has %u dimensions; both need 2", a->n_dims, b->n_dims);
    }
    if ((a->has_batch && ox_attr_int(n, "transA", 0) != 0) || b->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED,
                         "the product sums over the batch: examples would depend on each other");
    }
    dims d = get_dims(n);
    size_t k = (size_t)b->shape[ox_attr_int(n, "transB", 0) != 0 ? 1 : 0];
    if (k != d.k) {
        return error_set(err, STATUS_MODEL, "A has %zu columns, but B has %zu rows", d.k, k);
    }
    TRY(ox_set_shape(n->out[0], a->dtype, (int64_t[2]){(int64_t)d.m, (int64_t)d.n}, 2, err));
    if (c == NULL) {
        return STATUS_OK;
    }
    TRY(ox_need_dtype_of_first(n, 2, err));
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    uint32_t n_dims = 0;
    TRY(ox_broadcast(n->out[0], c, shape, &n_dims, err));
    if (n_dims != 2 || shape[0] != n->out[0]->shape[0] || shape[1] != n->out[0]->shape[1]) {
        return error_set(err, STATUS_MODEL, "C does not broadcast to (%zu, %zu)", d.m, d.n);
    }
    return STATUS_OK;
}

static void release(ox_node *n) {
    gemm_state *s = n->state;
    if (s != NULL) {
        mem_free(s->b);
        mem_free(s->bt);
        mem_free(s->g);
        mem_free(s->da);
        mem_free(s->dy);
        mem_free(s);
        n->state = NULL;
    }
}

static status packed_space(size_t k, size_t n, float **p, error *err) {
    size_t floats = 0;
    if (!ox_gemm_packed(k, n, &floats)) {
        return error_set(err, STATUS_MEMORY, "the packed matrix overflows");
    }
    *p = mem_try(floats, sizeof(float), "packed matrix", err);
    return *p == NULL ? STATUS_MEMORY : STATUS_OK;
}

static status fill_state(ox_node *n, gemm_state *s, bool want_vjp, error *err) {
    dims d = get_dims(n);
    const ox_tensor *b = n->in[1];
    TRY(packed_space(d.k, d.n, &s->b, err));
    if (s->const_b) {
        ox_gemm_pack(b->data, d.k, d.n, d.b_row, d.b_col, s->b);
    }
    if (!want_vjp) {
        return STATUS_OK;
    }
    TRY(packed_space(d.n, d.k, &s->bt, err));
    if (s->const_b) {
        ox_gemm_pack(b->data, d.n, d.k, d.b_col, d.b_row, s->bt);
    } else {
        TRY(packed_space(d.m, d.n, &s->g, err));
    }
    if (ox_has_epilogue(n)) {
        s->dy = mem_try(n->out[0]->n, sizeof(float), "gradient", err);
        TRY(s->dy == NULL ? STATUS_MEMORY : STATUS_OK);
    }
    size_t space = n->in[0]->n > b->n ? n->in[0]->n : b->n;
    s->da = mem_try(space, sizeof(float), "gradient", err);
    return s->da == NULL ? STATUS_MEMORY : STATUS_OK;
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    if (n->in[0]->dtype != ASSAY_F32) {
        return STATUS_OK;
    }
    gemm_state *s = mem_zalloc(sizeof *s);
    n->state = s;
    s->isa = ox_isa_best();
    s->const_b = n->in[1]->is_const;
    status st = fill_state(n, s, want_vjp, err);
    if (st != STATUS_OK) {
        release(n);
    }
    return st;
}

/* Strides of C over (M, N), 0 where it is broadcast. */
static void c_strides(const ox_tensor *c, size_t *row, size_t *col) {
    size_t columns = c->n_dims >= 1 ? (size_t)c->shape[c->n_dims - 1] : 1;
    size_t rows = c->n_dims == 2 ? (size_t)c->shape[0] : 1;
    *col = columns == 1 ? 0 : 1;
    *row = rows == 1 ? 0 : columns;
}

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    dims d = get_dims(n);
    const ox_tensor *a = n->in[0], *b = n->in[1], *c = ox_input(n, 2);
    size_t c_row = 0, c_col = 0;
    if (c != NULL) {
        c_strides(c, &c_row, &c_col);
    }
    for (size_t i = 0; i < d.m; i++) {
        for (size_t j = 0; j < d.n; j++) {
            double sum = 0;
            for (size_t k = 0; k < d.k; k++) {
                sum += ox_at(a, i * d.a_row + k * d.a_col) * ox_at(b, k * d.b_row + j * d.b_col);
            }
            double bias = c == NULL ? 0 : (double)d.beta * ox_at(c, i * c_row + j * c_col);
            ox_put(n->out[0], i * d.n + j, (double)d.alpha * sum + bias);
        }
    }
    return STATUS_OK;
}

/* alpha, beta * C and the epilogue over a finished product. */
static void finish(const ox_node *n, const dims *d) {
    const ox_tensor *c = ox_input(n, 2), *residual = ox_input(n, OX_RESIDUAL);
    float *y = n->out[0]->data;
    size_t c_row = 0, c_col = 0;
    if (c != NULL) {
        c_strides(c, &c_row, &c_col);
    }
    for (size_t i = 0; i < d->m; i++, y += d->n) {
        for (size_t j = 0; d->alpha != 1.0F && j < d->n; j++) {
            y[j] *= d->alpha;
        }
        const float *bias = c == NULL ? NULL : ox_f32(c) + i * c_row;
        for (size_t j = 0; bias != NULL && j < d->n; j++) {
            y[j] += d->beta * bias[j * c_col];
        }
    }
    if (ox_has_epilogue(n)) {
        ox_epilogue_apply(ox_isa_best(), &n->epilogue, n->out[0]->data, residual == NULL ? NULL : residual->data,
                          n->out[0]->n);
    }
}

/* The case of every linear layer: all of it can be done as the product is stored. */
static bool as_tail(const ox_node *n, const dims *d, ox_gemm_tail *t) {
    const ox_tensor *c = ox_input(n, 2), *residual = ox_input(n, OX_RESIDUAL);
    size_t c_row = 0, c_col = 1;
    if (c != NULL) {
        c_strides(c, &c_row, &c_col);
    }
    *t = (ox_gemm_tail){.scale = 1, .ldr = d->n, .act = n->epilogue};
    t->bias = c == NULL ? NULL : c->data;
    t->residual = residual == NULL ? NULL : residual->data;
    return d->alpha == 1.0F && (c == NULL || (d->beta == 1.0F && c_row == 0 && c_col == 1));
}

static status forward(ox_node *n, error *err) {
    gemm_state *s = n->state;
    if (s == NULL) {
        return forward_reference(n, err);
    }
    dims d = get_dims(n);
    float *y = n->out[0]->data;
    if (n->unpadded &&
        ox_gemm_blas(d.m, d.n, d.k, n->in[0]->data, d.a_row, d.a_col, n->in[1]->data, d.b_row, d.b_col, y)) {
        finish(n, &d);
        return STATUS_OK;
    }
    if (!s->const_b) {
        ox_gemm_pack(n->in[1]->data, d.k, d.n, d.b_row, d.b_col, s->b);
    }
    ox_gemm_tail tail;
    bool fused = as_tail(n, &d, &tail);
    ox_gemm_then(s->isa, d.m, d.n, d.k, n->in[0]->data, d.a_row, d.a_col, s->b, y, d.n, fused ? &tail : NULL);
    if (!fused) {
        finish(n, &d);
    }
    return STATUS_OK;
}

static void vjp_c(const ox_node *n, const dims *d, const float *g) {
    float *dc = ox_grad_in(n, 2);
    if (dc == NULL) {
        return;
    }
    size_t c_row = 0, c_col = 0;
    c_strides(n->in[2], &c_row, &c_col);
    for (size_t i = 0; i < d->m; i++) {
        for (size_t j = 0; j < d->n; j++) {
            dc[i * c_row + j * c_col] += d->beta * g[i * d->n + j];
        }
    }
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const float *g = ox_grad_out(n, 0);
    float *da = ox_grad_in(n, 0), *db = ox_grad_in(n, 1);
    dims d = get_dims(n);
    if (g == NULL) {
        return STATUS_OK;
    }
    for (size_t i = 0; da != NULL && i < d.m; i++) {
        for (size_t k = 0; k < d.k; k++) {
            double sum = 0;
            for (size_t j = 0; j < d.n; j++) {
                sum += (double)g[i * d.n + j] * ox_at(n->in[1], k * d.b_row + j * d.b_col);
            }
            da[i * d.a_row + k * d.a_col] += (float)((double)d.alpha * sum);
        }
    }
    for (size_t k = 0; db != NULL && k < d.k; k++) {
        for (size_t j = 0; j < d.n; j++) {
            double sum = 0;
            for (size_t i = 0; i < d.m; i++) {
                sum += ox_at(n->in[0], i * d.a_row + k * d.a_col) * (double)g[i * d.n + j];
            }
            db[k * d.b_row + j * d.b_col] += (float)((double)d.alpha * sum);
        }
    }
    vjp_c(n, &d, g);
    return STATUS_OK;
}

/* dA' = alpha G B'^T */
static void gradient_of_a(const ox_node *n, gemm_state *s, const dims *d, const float *g) {
    float *da = n->grad_in[0];
    bool fresh = ox_is_fresh(n, 0);
    if (!s->const_b) {
        ox_gemm_pack(n->in[1]->data, d->n, d->k, d->b_col, d->b_row, s->bt);
    }
    if (fresh && d->a_col == 1 && d->alpha == 1.0F) {
        ox_gemm(s->isa, d->m, d->k, d->n, g, d->n, 1, s->bt, da, d->a_row);
        return;
    }
    ox_gemm(s->isa, d->m, d->k, d->n, g, d->n, 1, s->bt, s->da, d->k);
    for (size_t i = 0; i < d->m; i++) {
        for (size_t k = 0; k < d->k; k++) {
            size_t at = i * d->a_row + k * d->a_col;
            float v = d->alpha * s->da[i * d->k + k];
            da[at] = fresh ? v : da[at] + v;
        }
    }
}

/* dB' = alpha A'^T G */
static void gradient_of_b(const ox_node *n, gemm_state *s, const dims *d, const float *g) {
    float *db = n->grad_in[1];
    bool fresh = ox_is_fresh(n, 1);
    ox_gemm_pack(g, d->m, d->n, d->n, 1, s->g);
    ox_gemm(s->isa, d->k, d->n, d->m, n->in[0]->data, d->a_col, d->a_row, s->g, s->da, d->n);
    for (size_t k = 0; k < d->k; k++) {
        for (size_t j = 0; j < d->n; j++) {
            size_t at = k * d->b_row + j * d->b_col;
            float v = d->alpha * s->da[k * d->n + j];
            db[at] = fresh ? v : db[at] + v;
        }
    }
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    gemm_state *s = n->state;
    const float *g = ox_grad_out(n, 0);
    float *dr = ox_grad_in(n, OX_RESIDUAL);
    if (s == NULL || s->bt == NULL || (ox_grad_in(n, 1) != NULL && s->g == NULL) || g == NULL) {
        ox_clear_fresh(n);
        return vjp_reference(n, mode, err);
    }
    dims d = get_dims(n);
    if (s->dy != NULL) {
        ox_epilogue_vjp(s->isa, &n->epilogue, mode, n->out[0]->data, g, s->dy, n->out[0]->n);
        g = s->dy;
    }
    if (dr != NULL) {
        ox_accumulate(s->isa, dr, g, n->out[0]->n, ox_is_fresh(n, OX_RESIDUAL));
    }
    if (ox_grad_in(n, 0) != NULL) {
        gradient_of_a(n, s, &d, g);
    }
    if (ox_grad_in(n, 1) != NULL) {
        gradient_of_b(n, s, &d, g);
    }
    if (ox_grad_in(n, 2) != NULL && ox_is_fresh(n, 2)) {
        memset(n->grad_in[2], 0, n->in[2]->n * sizeof(float));
    }
    vjp_c(n, &d, g);
    return STATUS_OK;
}

static uint64_t macs(const ox_node *n) {
    dims d = get_dims(n);
    return (uint64_t)d.m * d.n * d.k;
}

const ox_kernel ox_kernel_gemm = {.op = "Gemm",
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
                                  .macs = macs};
