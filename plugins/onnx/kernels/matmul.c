/* SPDX-License-Identifier: Apache-2.0
 * MatMul as numpy.matmul has it (opset 1 on): (..., M, K) x (..., K, N) with broadcast leading dimensions; a vector
 * on the left is a row, on the right a column, and its dimension falls away. */
#include "kernels/common.h"
#include "kernels/sgemm.h"

typedef struct matmul_state {
    size_t m, n, k;
    ox_walk w;    /* over the leading dimensions; strides count matrices */
    size_t pairs; /* matrices of the output */
    bool one_b;   /* B is one matrix: A's leading dimensions join M */
    bool const_b;
    ox_isa isa;
    float *b, *bt, *g, *product; /* packed B, B^T, G; one product before it is added */
} matmul_state;

/* The leading dimensions as tensors of matrices, for ox_broadcast and ox_walk_init. */
static ox_tensor leading(const ox_tensor *t) {
    ox_tensor l = {.n_dims = t->n_dims > 2 ? t->n_dims - 2 : 0, .n = 1};
    memcpy(l.shape, t->shape, l.n_dims * sizeof l.shape[0]);
    l.n = ox_count(&l, 0, l.n_dims);
    return l;
}

static status get_sizes(const ox_node *n, matmul_state *s, ox_tensor *lead, error *err) {
    const ox_tensor *a = n->in[0], *b = n->in[1];
    if (a->n_dims == 0 || b->n_dims == 0) {
        return error_set(err, STATUS_MODEL, "an operand is a scalar");
    }
    s->m = a->n_dims == 1 ? 1 : (size_t)a->shape[a->n_dims - 2];
    s->k = (size_t)a->shape[a->n_dims - 1];
    s->n = b->n_dims == 1 ? 1 : (size_t)b->shape[b->n_dims - 1];
    size_t k = (size_t)b->shape[b->n_dims == 1 ? 0 : b->n_dims - 2];
    if (k != s->k) {
        return error_set(err, STATUS_MODEL, "the left operand has %zu columns, the right one %zu rows", s->k, k);
    }
    if ((a->has_batch && a->n_dims == 1) || (b->has_batch && b->n_dims <= 2)) {
        return error_set(err, STATUS_UNSUPPORTED,
                         "the product sums over the batch: examples would depend on each other");
    }
    ox_tensor la = leading(a), lb = leading(b);
    TRY(ox_broadcast(&la, &lb, lead->shape, &lead->n_dims, err));
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    TRY(ox_need_dtype_of_first(n, 1, err));
    matmul_state s = {0};
    ox_tensor lead = {0};
    TRY(get_sizes(n, &s, &lead, err));
    int64_t shape[ASSAY_MAX_DIMS + 2] = {0};
    uint32_t n_dims = lead.n_dims;
    memcpy(shape, lead.shape, n_dims * sizeof shape[0]);
    if (n->in[0]->n_dims > 1) {
        shape[n_dims++] = (int64_t)s.m;
    }
    if (n->in[1]->n_dims > 1) {
        shape[n_dims++] = (int64_t)s.n;
    }
    return ox_set_shape(n->out[0], n->in[0]->dtype, shape, n_dims, err);
}

static void release(ox_node *n) {
    matmul_state *s = n->state;
    if (s != NULL) {
        mem_free(s->b);
        mem_free(s->bt);
        mem_free(s->g);
        mem_free(s->product);
        mem_free(s);
        n->state = NULL;
    }
}

static status space(size_t k, size_t n, float **p, error *err) {
    size_t floats = 0;
    if (!ox_gemm_packed(k, n, &floats)) {
        return error_set(err, STATUS_MEMORY, "the packed matrix overflows");
    }
    *p = mem_try(floats, sizeof(float), "packed matrix", err);
    return *p == NULL ? STATUS_MEMORY : STATUS_OK;
}

static status fill_state(ox_node *n, matmul_state *s, bool want_vjp, error *err) {
    const ox_tensor *a = n->in[0], *b = n->in[1];
    ox_tensor lead = {0}, la = leading(a), lb = leading(b);
    TRY(get_sizes(n, s, &lead, err));
    lead.n = s->pairs = ox_count(&lead, 0, lead.n_dims);
    s->one_b = lb.n == 1 && la.n == lead.n;
    if (s->one_b) {
        s->m *= la.n;
        s->pairs = 1;
        la = lb = lead = (ox_tensor){.n = 1};
    }
    ox_walk_init(&s->w, &la, &lb, &lead);
    if (a->dtype != ASSAY_F32) {
        return STATUS_OK;
    }
    s->isa = ox_isa_best();
    s->const_b = s->one_b && b->is_const;
    TRY(space(s->k, s->n, &s->b, err));
    if (s->const_b) {
        ox_gemm_pack(b->data, s->k, s->n, s->n, 1, s->b);
    }
    if (!want_vjp) {
        return STATUS_OK;
    }
    TRY(space(s->n, s->k, &s->bt, err));
    TRY(space(s->m, s->n, &s->g, err));
    if (s->const_b) {
        ox_gemm_pack(b->data, s->n, s->k, 1, s->n, s->bt);
    }
    s->product = mem_try(s->k, s->m > s->n ? s->m * sizeof(float) : s->n * sizeof(float), "gradient", err);
    return s->product == NULL ? STATUS_MEMORY : STATUS_OK;
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    n->state = mem_zalloc(sizeof(matmul_state));
    status st = fill_state(n, n->state, want_vjp, err);
    if (st != STATUS_OK) {
        release(n);
    }
    return st;
}

/* Runs `body` for each pair of matrices: a_, b_, y_ are the first elements of each. */
#define EACH_PAIR(s, body)                                                                                             \
    do {                                                                                                               \
        size_t last_ = (s)->w.n_dims - 1, idx_[ASSAY_MAX_DIMS] = {0}, ia_ = 0, ib_ = 0, done_ = 0;                     \
        bool more_ = (s)->pairs > 0;                                                                                   \
        while (more_) {                                                                                                \
            for (size_t i_ = 0; i_ < (s)->w.shape[last_]; i_++, done_++) {                                             \
                size_t a_ = (ia_ + i_ * (s)->w.sa[last_]) * (s)->m * (s)->k;                                           \
                size_t b_ = (ib_ + i_ * (s)->w.sb[last_]) * (s)->k * (s)->n;                                           \
                size_t y_ = done_ * (s)->m * (s)->n;                                                                   \
                body;                                                                                                  \
            }                                                                                                          \
            more_ = ox_walk_next(&(s)->w, idx_, &ia_, &ib_);                                                           \
        }                                                                                                              \
    } while (0)

static void multiply(const ox_node *n, const matmul_state *s, size_t a, size_t b, size_t y) {
    for (size_t i = 0; i < s->m; i++) {
        for (size_t j = 0; j < s->n; j++) {
            double sum = 0;
            for (size_t k = 0; k < s->k; k++) {
                sum += ox_at(n->in[0], a + i * s->k + k) * ox_at(n->in[1], b + k * s->n + j);
            }
            ox_put(n->out[0], y + i * s->n + j, sum);
        }
    }
}

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    const matmul_state *s = n->state;
    EACH_PAIR(s, multiply(n, s, a_, b_, y_));
    return STATUS_OK;
}

static void multiply_fast(const ox_node *n, const matmul_state *s, size_t a, size_t b, size_t y) {
    const float *left = (const float *)n->in[0]->data + a;
    const float *right = (const float *)n->in[1]->data + b;
    float *out = (float *)n->out[0]->data + y;
    if (n->unpadded && ox_gemm_blas(s->m, s->n, s->k, left, s->k, 1, right, s->n, 1, out)) {
        return;
    }
    if (!s->const_b) {
        ox_gemm_pack(right, s->k, s->n, s->n, 1, s->b);
    }
    ox_gemm(s->isa, s->m, s->n, s->k, left, s->k, 1, s->b, out, s->n);
}

static status forward(ox_node *n, error *err) {
    const matmul_state *s = n->state;
    if (s->b == NULL) {
        return forward_reference(n, err);
    }
    EACH_PAIR(s, multiply_fast(n, s, a_, b_, y_));
    return STATUS_OK;
}

static void gradients(const ox_node *n, const matmul_state *s, size_t a, size_t b, size_t y) {
    const float *g = n->grad_out[0] + y;
    float *da = ox_grad_in(n, 0), *db = ox_grad_in(n, 1);
    for (size_t i = 0; da != NULL && i < s->m; i++) {
        for (size_t k = 0; k < s->k; k++) {
            double sum = 0;
            for (size_t j = 0; j < s->n; j++) {
                sum += (double)g[i * s->n + j] * ox_at(n->in[1], b + k * s->n + j);
            }
            da[a + i * s->k + k] += (float)sum;
        }
    }
    for (size_t k = 0; db != NULL && k < s->k; k++) {
        for (size_t j = 0; j < s->n; j++) {
            double sum = 0;
            for (size_t i = 0; i < s->m; i++) {
                sum += ox_at(n->in[0], a + i * s->k + k) * (double)g[i * s->n + j];
            }
            db[b + k * s->n + j] += (float)sum;
        }
    }
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const matmul_state *s = n->state;
    if (ox_grad_out(n, 0) != NULL) {
        EACH_PAIR(s, gradients(n, s, a_, b_, y_));
    }
    return STATUS_OK;
}

static void add(float *to, const float *from, size_t len) {
    for (size_t i = 0; i < len; i++) {
        to[i] += from[i];
    }
}

/* dA = G B^T, dB = A^T G */
static void gradients_fast(const ox_node *n, const matmul_state *s, size_t a, size_t b, size_t y) {
    const float *g = n->grad_out[0] + y;
    float *da = ox_grad_in(n, 0), *db = ox_grad_in(n, 1);
    if (da != NULL) {
        if (!s->const_b) {
            ox_gemm_pack((const float *)n->in[1]->data + b, s->n, s->k, 1, s->n, s->bt);
        }
        ox_gemm(s->isa, s->m, s->k, s->n, g, s->n, 1, s->bt, s->product, s->k);
        add(da + a, s->product, s->m * s->k);
    }
    if (db != NULL) {
        ox_gemm_pack(g, s->m, s->n, s->n, 1, s->g);
        ox_gemm(s->isa, s->k, s->n, s->m, (const float *)n->in[0]->data + a, 1, s->k, s->g, s->product, s->n);
        add(db + b, s->product, s->k * s->n);
    }
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    const matmul_state *s = n->state;
    if (s->product == NULL) {
        return vjp_reference(n, mode, err);
    }
    if (ox_grad_out(n, 0) != NULL) {
        EACH_PAIR(s, gradients_fast(n, s, a_, b_, y_));
    }
    return STATUS_OK;
}

static uint64_t macs(const ox_node *n) {
    return (uint64_t)n->out[0]->n * (uint64_t)n->in[0]->shape[n->in[0]->n_dims - 1];
}

const ox_kernel ox_kernel_matmul = {.op = "MatMul",
                                    .min_opset = 1,
                                    .max_opset = 9999,
                                    .flags = OX_KEEPS_BATCH,
                                    .min_in = 2,
                                    .max_in = 2,
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
