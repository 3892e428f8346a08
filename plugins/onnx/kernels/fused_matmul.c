/* SPDX-License-Identifier: Apache-2.0
 * com.microsoft.FusedMatMul: alpha * A' B' with numpy's broadcast of leading dimensions, where transA and transB swap
 * the last two dimensions of an operand. */
#include "kernels/common.h"
#include "kernels/sgemm.h"

typedef struct sizes {
    size_t m, n, k, a_row, a_col, b_row, b_col;
    float alpha;
} sizes;

typedef struct state {
    sizes s;
    ox_walk w; /* over the leading dimensions; strides count matrices */
    size_t pairs;
    bool fixed; /* B is one constant matrix and is packed */
    ox_isa isa;
    float *b, *bt, *g, *product; /* packed B, B^T, G; one product before it is added */
} state;

/* The leading dimensions as tensors of matrices, for ox_broadcast and ox_walk_init. */
static ox_tensor leading(const ox_tensor *t) {
    ox_tensor l = {.n_dims = t->n_dims > 2 ? t->n_dims - 2 : 0, .n = 1};
    memcpy(l.shape, t->shape, l.n_dims * sizeof l.shape[0]);
    l.n = ox_count(&l, 0, l.n_dims);
    return l;
}

static status check_attrs(const ox_node *n, error *err) {
    static const char *const flags[] = {"transA", "transB", "transBatchA", "transBatchB"};
    TRY(ox_check_attr(n, "alpha", OX_FLOAT, err));
    for (size_t i = 0; i < 4; i++) {
        TRY(ox_check_attr(n, flags[i], OX_INT, err));
        if (i >= 2 && ox_attr_int(n, flags[i], 0) != 0) {
            return error_set(err, STATUS_UNSUPPORTED, "attribute %s", flags[i]);
        }
    }
    return STATUS_OK;
}

static status get_sizes(const ox_node *n, sizes *s, ox_tensor *lead, error *err) {
    const ox_tensor *a = n->in[0], *b = n->in[1];
    if (a->n_dims < 2 || b->n_dims < 2) {
        return error_set(err, a->n_dims * b->n_dims == 0 ? STATUS_MODEL : STATUS_UNSUPPORTED,
                         "operands of %u and %u dimensions", a->n_dims, b->n_dims);
    }
    bool ta = ox_attr_int(n, "transA", 0) != 0, tb = ox_attr_int(n, "transB", 0) != 0;
    size_t ra = (size_t)a->shape[a->n_dims - 2], ca = (size_t)a->shape[a->n_dims - 1];
    size_t rb = (size_t)b->shape[b->n_dims - 2], cb = (size_t)b->shape[b->n_dims - 1];
    *s = (sizes){.m = ta ? ca : ra,
                 .n = tb ? rb : cb,
                 .k = ta ? ra : ca,
                 .a_row = ta ? 1 : ca,
                 .a_col = ta ? ca : 1,
                 .b_row = tb ? 1 : cb,
                 .b_col = tb ? cb : 1,
                 .alpha = ox_attr_float(n, "alpha", 1)};
    if (s->k != (tb ? cb : rb)) {
        return error_set(err, STATUS_MODEL, "the left operand has %zu columns, the right one %zu rows", s->k,
                         tb ? cb : rb);
    }
    if ((a->has_batch && a->n_dims == 2 && ta) || (b->has_batch && b->n_dims == 2)) {
        return error_set(err, STATUS_UNSUPPORTED,
                         "the product sums over the batch: examples would depend on each other");
    }
    ox_tensor la = leading(a), lb = leading(b);
    return ox_broadcast(&la, &lb, lead->shape, &lead->n_dims, err);
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_float(n, 0, err));
    TRY(ox_need_dtype_of_first(n, 1, err));
    TRY(check_attrs(n, err));
    sizes s = {0};
    ox_tensor lead = {0};
    TRY(get_sizes(n, &s, &lead, err));
    int64_t shape[ASSAY_MAX_DIMS + 2] = {0};
    memcpy(shape, lead.shape, lead.n_dims * sizeof shape[0]);
    shape[lead.n_dims] = (int64_t)s.m;
    shape[lead.n_dims + 1] = (int64_t)s.n;
    return ox_set_shape(n->out[0], n->in[0]->dtype, shape, lead.n_dims + 2, err);
}

static void release(ox_node *n) {
    state *s = n->state;
    if (s != NULL) {
        mem_free(s->b);
        mem_free(s->bt);
        mem_free(s->g);
        mem_free(s->product);
        mem_free(s);
        n->state = NULL;
    }
}

static status packed_space(size_t k, size_t n, float **p, error *err) {
    size_t floats = 0;
    if (!ox_gemm_packed(k, n, &floats)) {
        return error_set(err, STATUS_MEMORY, "the packed matrix overflows");
    }
    *p = mem_try(floats > 0 ? floats : 1, sizeof(float), "packed matrix", err);
    return *p == NULL ? STATUS_MEMORY : STATUS_OK;
}

static status fill(ox_node *n, state *s, bool want_vjp, error *err) {
    const ox_tensor *a = n->in[0], *b = n->in[1];
    ox_tensor lead = {0}, la = leading(a), lb = leading(b);
    TRY(get_sizes(n, &s->s, &lead, err));
    lead.n = s->pairs = ox_count(&lead, 0, lead.n_dims);
    ox_walk_init(&s->w, &la, &lb, &lead);
    if (a->dtype != ASSAY_F32) {
        return STATUS_OK;
    }
    const sizes *z = &s->s;
    s->isa = ox_isa_best();
    s->fixed = lb.n == 1 && b->is_const;
    TRY(packed_space(z->k, z->n, &s->b, err));
    if (s->fixed) {
        ox_gemm_pack(b->data, z->k, z->n, z->b_row, z->b_col, s->b);
    }
    if (!want_vjp) {
        return STATUS_OK;
    }
    TRY(packed_space(z->n, z->k, &s->bt, err));
    TRY(packed_space(z->m, z->n, &s->g, err));
    size_t rows = z->m > z->n ? z->m : z->n;
    s->product = mem_try(z->k > 0 && rows > 0 ? z->k : 1, rows > 0 ? rows * sizeof(float) : 1, "gradient", err);
    return s->product == NULL ? STATUS_MEMORY : STATUS_OK;
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    n->state = mem_zalloc(sizeof(state));
    status code = fill(n, n->state, want_vjp, err);
    if (code != STATUS_OK) {
        release(n);
    }
    return code;
}

/* First elements of the operands and of the output of one pair. */
typedef void (*pair_job)(const ox_node *n, state *s, size_t a, size_t b, size_t y);

static void each_pair(const ox_node *n, pair_job job) {
    state *s = n->state;
    const sizes *z = &s->s;
    size_t last = s->w.n_dims - 1, idx[ASSAY_MAX_DIMS] = {0}, ia = 0, ib = 0, done = 0;
    bool more = s->pairs > 0;
    while (more) {
        for (size_t i = 0; i < s->w.shape[last]; i++, done++) {
            size_t a = ia + i * s->w.sa[last], b = ib + i * s->w.sb[last];
            job(n, s, a * z->m * z->k, b * z->k * z->n, done * z->m * z->n);
        }
        more = ox_walk_next(&s->w, idx, &ia, &ib);
    }
}

static void multiply_plain(const ox_node *n, state *s, size_t a, size_t b, size_t y) {
    const sizes *z = &s->s;
    for (size_t i = 0; i < z->m; i++) {
        for (size_t j = 0; j < z->n; j++) {
            double sum = 0;
            for (size_t k = 0; k < z->k; k++) {
                sum +=
                    ox_at(n->in[0], a + i * z->a_row + k * z->a_col) * ox_at(n->in[1], b + k * z->b_row + j * z->b_col);
            }
            ox_put(n->out[0], y + i * z->n + j, (double)z->alpha * sum);
        }
    }
}

static void multiply(const ox_node *n, state *s, size_t a, size_t b, size_t y) {
    const sizes *z = &s->s;
    float *out = (float *)n->out[0]->data + y;
    if (!s->fixed) {
        ox_gemm_pack(ox_f32(n->in[1]) + b, z->k, z->n, z->b_row, z->b_col, s->b);
    }
    ox_gemm(s->isa, z->m, z->n, z->k, ox_f32(n->in[0]) + a, z->a_row, z->a_col, s->b, out, z->n);
    for (size_t i = 0; z->alpha != 1 && i < z->m * z->n; i++) {
        out[i] *= z->alpha;
    }
}

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    each_pair(n, multiply_plain);
    return STATUS_OK;
}

static status forward(ox_node *n, error *err) {
    (void)err;
    each_pair(n, n->in[0]->dtype == ASSAY_F32 ? multiply : multiply_plain);
    return STATUS_OK;
}

static void backward_plain(const ox_node *n, state *s, size_t a, size_t b, size_t y) {
    const sizes *z = &s->s;
    float *da = ox_grad_in(n, 0), *db = ox_grad_in(n, 1);
    const float *g = ox_grad_out(n, 0) + y;
    for (size_t i = 0; da != NULL && i < z->m; i++) {
        for (size_t k = 0; k < z->k; k++) {
            double sum = 0;
            for (size_t j = 0; j < z->n; j++) {
                sum += (double)g[i * z->n + j] * ox_at(n->in[1], b + k * z->b_row + j * z->b_col);
            }
            da[a + i * z->a_row + k * z->a_col] += (float)((double)z->alpha * sum);
        }
    }
    for (size_t k = 0; db != NULL && k < z->k; k++) {
        for (size_t j = 0; j < z->n; j++) {
            double sum = 0;
            for (size_t i = 0; i < z->m; i++) {
                sum += (double)g[i * z->n + j] * ox_at(n->in[0], a + i * z->a_row + k * z->a_col);
            }
            db[b + k * z->b_row + j * z->b_col] += (float)((double)z->alpha * sum);
        }
    }
}

static void backward_fast(const ox_node *n, state *s, size_t a, size_t b, size_t y) {
    const sizes *z = &s->s;
    float *da = ox_grad_in(n, 0), *db = ox_grad_in(n, 1);
    const float *g = ox_grad_out(n, 0) + y;
    if (da != NULL) { /* G B'^T */
        ox_gemm_pack(ox_f32(n->in[1]) + b, z->n, z->k, z->b_col, z->b_row, s->bt);
        ox_gemm(s->isa, z->m, z->k, z->n, g, z->n, 1, s->bt, s->product, z->k);
        for (size_t i = 0; i < z->m; i++) {
            for (size_t k = 0; k < z->k; k++) {
                da[a + i * z->a_row + k * z->a_col] += z->alpha * s->product[i * z->k + k];
            }
        }
    }
    if (db != NULL) { /* A'^T G */
        ox_gemm_pack(g, z->m, z->n, z->n, 1, s->g);
        ox_gemm(s->isa, z->k, z->n, z->m, ox_f32(n->in[0]) + a, z->a_col, z->a_row, s->g, s->product, z->n);
        for (size_t k = 0; k < z->k; k++) {
            for (size_t j = 0; j < z->n; j++) {
                db[b + k * z->b_row + j * z->b_col] += z->alpha * s->product[k * z->n + j];
            }
        }
    }
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    if (ox_grad_out(n, 0) != NULL) {
        each_pair(n, backward_plain);
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    const state *s = n->state;
    if (s->product == NULL) {
        return vjp_reference(n, mode, err);
    }
    if (ox_grad_out(n, 0) != NULL) {
        each_pair(n, backward_fast);
    }
    return STATUS_OK;
}

static uint64_t macs(const ox_node *n) {
    sizes s = {0};
    ox_tensor lead = {0};
    error ignored = {0};
    return get_sizes(n, &s, &lead, &ignored) != STATUS_OK ? 0 : (uint64_t)n->out[0]->n * s.k;
}

const ox_kernel ox_kernel_fused_matmul = {.op = "com.microsoft.FusedMatMul",
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
