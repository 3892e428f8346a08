/* SPDX-License-Identifier: Apache-2.0
 * MatMul as numpy.matmul has it (opset 1 on): (..., M, K) x (..., K, N) with broadcast leading dimensions; a vector
 * on the left is a row, on the right a column, and its dimension falls away. The plan may give operands as views
 * (kernel.h), a bias over N as in[2], and an epilogue. */
#include "kernels/epilogue.h"

/* One operand as matrices (rows, columns) in memory. */
typedef struct matrices {
    size_t row, col; /* strides */
    size_t lead[ASSAY_MAX_DIMS];
    size_t offset;
} matrices;

typedef struct pair {
    size_t a, b, y; /* first elements */
} pair;

typedef struct matmul_state {
    size_t m, n, k;
    matrices a, b, y;
    pair *pairs;
    size_t n_pairs;
    bool one_a, one_b; /* an element of A (of B) takes part in one pair alone */
    bool const_b;      /* one constant B, packed by prepare */
    ox_isa isa;
    float *packed, *packed_t, *packed_g; /* B, B^T, and G or A for the gradient of B */
    float *product;                      /* one gradient before it is added */
    float *g;                            /* (M, N): the cotangent of the product itself, behind epilogue and scale */
} matmul_state;

/* ---- shapes ------------------------------------------------------------------------------------- */

static ox_view dense(const ox_tensor *t) {
    ox_view v = {.n_dims = t->n_dims};
    size_t stride = 1;
    for (uint32_t d = t->n_dims; d-- > 0;) {
        v.shape[d] = t->shape[d];
        v.stride[d] = stride;
        stride *= (size_t)t->shape[d];
    }
    return v;
}

static ox_view operand(const ox_node *n, size_t i) {
    return n->in_view[i] != NULL ? *n->in_view[i] : dense(n->in[i]);
}

/* The leading dimensions as tensors of matrices, for ox_broadcast. */
static ox_tensor leading(const ox_view *v) {
    ox_tensor l = {.n_dims = v->n_dims > 2 ? v->n_dims - 2 : 0, .n = 1};
    memcpy(l.shape, v->shape, l.n_dims * sizeof l.shape[0]);
    l.n = ox_count(&l, 0, l.n_dims);
    return l;
}

static status get_sizes(const ox_node *n, matmul_state *s, ox_tensor *lead, error *err) {
    const ox_view a = operand(n, 0), b = operand(n, 1);
    if (a.n_dims == 0 || b.n_dims == 0) {
        return error_set(err, STATUS_MODEL, "an operand is a scalar");
    }
    s->m = a.n_dims == 1 ? 1 : (size_t)a.shape[a.n_dims - 2];
    s->k = (size_t)a.shape[a.n_dims - 1];
    s->n = b.n_dims == 1 ? 1 : (size_t)b.shape[b.n_dims - 1];
    size_t k = (size_t)b.shape[b.n_dims == 1 ? 0 : b.n_dims - 2];
    if (k != s->k) {
        return error_set(err, STATUS_MODEL, "the left operand has %zu columns, the right one %zu rows", s->k, k);
    }
    if ((n->in[0]->has_batch && n->in[0]->n_dims == 1) || (n->in[1]->has_batch && n->in[1]->n_dims <= 2)) {
        return error_set(err, STATUS_UNSUPPORTED,
                         "the product sums over the batch: examples would depend on each other");
    }
    ox_tensor la = leading(&a), lb = leading(&b);
    TRY(ox_broadcast(&la, &lb, lead->shape, &lead->n_dims, err));
    lead->n = ox_count(lead, 0, lead->n_dims);
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

/* Strides of `v` over the leading dimensions `lead`: 0 where it is broadcast. vector: v's one dimension is a row's
 * ('r') or a column's ('c'). */
static matrices matrices_of(const ox_view *v, const ox_tensor *lead, char vector) {
    matrices x = {.offset = v->offset};
    if (v->n_dims == 1) {
        x.row = vector == 'c' ? v->stride[0] : 0;
        x.col = vector == 'c' ? 0 : v->stride[0];
        return x;
    }
    x.row = v->stride[v->n_dims - 2];
    x.col = v->stride[v->n_dims - 1];
    uint32_t own = v->n_dims - 2;
    for (uint32_t d = 0; d < own; d++) {
        bool repeats = v->shape[d] == 1 && lead->shape[lead->n_dims - own + d] != 1;
        x.lead[lead->n_dims - own + d] = repeats ? 0 : v->stride[d];
    }
    return x;
}

/* Does the last leading dimension continue the rows, so that both are one dimension? */
static bool continues(const matrices *x, uint32_t d, size_t m) {
    return x->lead[d] == x->row * m;
}

/* Where all rows meet the same B, leading dimensions of A become rows. */
static void join_rows(matmul_state *s, ox_tensor *lead) {
    while (lead->n_dims > 0) {
        uint32_t d = lead->n_dims - 1;
        size_t len = (size_t)lead->shape[d];
        if (len != 1 && (s->b.lead[d] != 0 || !continues(&s->a, d, s->m) || !continues(&s->y, d, s->m))) {
            return;
        }
        s->m *= len;
        lead->n_dims--;
    }
}

static bool repeats(const matrices *x, const ox_tensor *lead) {
    for (uint32_t d = 0; d < lead->n_dims; d++) {
        if (x->lead[d] == 0 && lead->shape[d] > 1) {
            return true;
        }
    }
    return false;
}

static status list_pairs(matmul_state *s, const ox_tensor *lead, error *err) {
    s->n_pairs = ox_count(lead, 0, lead->n_dims);
    s->pairs = mem_try(s->n_pairs, sizeof *s->pairs, "matrices", err);
    if (s->pairs == NULL) {
        return STATUS_MEMORY;
    }
    for (size_t i = 0; i < s->n_pairs; i++) {
        pair p = {s->a.offset, s->b.offset, s->y.offset};
        size_t rest = i;
        for (uint32_t d = lead->n_dims; d-- > 0;) {
            size_t at = rest % (size_t)lead->shape[d];
            rest /= (size_t)lead->shape[d];
            p.a += at * s->a.lead[d];
            p.b += at * s->b.lead[d];
            p.y += at * s->y.lead[d];
        }
        s->pairs[i] = p;
    }
    return STATUS_OK;
}

static status find_matrices(const ox_node *n, matmul_state *s, error *err) {
    ox_tensor lead = {0};
    TRY(get_sizes(n, s, &lead, err));
    const ox_view a = operand(n, 0), b = operand(n, 1);
    ox_view y = n->out_view != NULL ? *n->out_view : dense(n->out[0]);
    s->a = matrices_of(&a, &lead, 'r');
    s->b = matrices_of(&b, &lead, 'c');
    s->y = (matrices){.row = s->n, .col = 1, .offset = y.offset};
    if (n->out_view != NULL) {
        s->y = matrices_of(&y, &lead, 'r');
    } else {
        size_t stride = s->m * s->n;
        for (uint32_t d = lead.n_dims; d-- > 0;) {
            s->y.lead[d] = stride;
            stride *= (size_t)lead.shape[d];
        }
    }
    join_rows(s, &lead);
    s->one_a = !repeats(&s->a, &lead);
    s->one_b = !repeats(&s->b, &lead);
    s->const_b = n->in[1]->is_const && ox_count(&lead, 0, lead.n_dims) == 1;
    return list_pairs(s, &lead, err);
}

/* ---- memory ------------------------------------------------------------------------------------- */

static void release(ox_node *n) {
    matmul_state *s = n->state;
    if (s != NULL) {
        mem_free(s->pairs);
        mem_free(s->packed);
        mem_free(s->packed_t);
        mem_free(s->packed_g);
        mem_free(s->product);
        mem_free(s->g);
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

static status space(size_t rows, size_t columns, float **p, error *err) {
    size_t floats = 0;
    if (!mem_mul(rows, columns, &floats)) {
        return error_set(err, STATUS_MEMORY, "the matrix overflows");
    }
    *p = mem_try(floats, sizeof(float), "gradient", err);
    return *p == NULL ? STATUS_MEMORY : STATUS_OK;
}

static bool is_scaled(const ox_node *n) {
    return n->epilogue.scale != 0;
}

static status vjp_space(const ox_node *n, matmul_state *s, error *err) {
    TRY(packed_space(s->n, s->k, &s->packed_t, err));
    if (s->const_b) {
        ox_gemm_pack((const float *)n->in[1]->data + s->b.offset, s->n, s->k, s->b.col, s->b.row, s->packed_t);
    } else {
        TRY(packed_space(s->m, s->n > s->k ? s->n : s->k, &s->packed_g, err));
    }
    if (ox_has_epilogue(n) || is_scaled(n)) {
        TRY(space(s->m, s->n, &s->g, err));
    }
    return space(s->k, s->m > s->n ? s->m : s->n, &s->product, err);
}

static status fill_state(ox_node *n, matmul_state *s, bool want_vjp, error *err) {
    TRY(find_matrices(n, s, err));
    if (n->in[0]->dtype != ASSAY_F32) {
        return STATUS_OK;
    }
    s->isa = ox_isa_best();
    TRY(packed_space(s->k, s->n, &s->packed, err));
    if (s->const_b) {
        ox_gemm_pack((const float *)n->in[1]->data + s->b.offset, s->k, s->n, s->b.row, s->b.col, s->packed);
    }
    return want_vjp ? vjp_space(n, s, err) : STATUS_OK;
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    n->state = mem_zalloc(sizeof(matmul_state));
    status st = fill_state(n, n->state, want_vjp, err);
    if (st != STATUS_OK) {
        release(n);
    }
    return st;
}

/* ---- forward ------------------------------------------------------------------------------------ */

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    const matmul_state *s = n->state;
    for (size_t p = 0; p < s->n_pairs; p++) {
        pair at = s->pairs[p];
        for (size_t i = 0; i < s->m; i++) {
            for (size_t j = 0; j < s->n; j++) {
                double sum = 0;
                for (size_t k = 0; k < s->k; k++) {
                    sum += ox_at(n->in[0], at.a + i * s->a.row + k * s->a.col) *
                           ox_at(n->in[1], at.b + k * s->b.row + j * s->b.col);
                }
                ox_put(n->out[0], at.y + i * s->y.row + j * s->y.col, sum);
            }
        }
    }
    return STATUS_OK;
}

/* An unpadded session's second implementation; false where it cannot. */
static bool blas(const ox_node *n, const matmul_state *s, pair at) {
    return n->unpadded &&
           ox_gemm_blas(s->m, s->n, s->k, (const float *)n->in[0]->data + at.a, s->a.row, s->a.col,
                        (const float *)n->in[1]->data + at.b, s->b.row, s->b.col, (float *)n->out[0]->data + at.y);
}

static status forward(ox_node *n, error *err) {
    const matmul_state *s = n->state;
    if (s->packed == NULL) {
        return forward_reference(n, err);
    }
    const ox_tensor *bias = ox_input(n, 2), *residual = ox_input(n, OX_RESIDUAL);
    ox_gemm_tail tail = {.scale = is_scaled(n) ? n->epilogue.scale : 1, .ldr = s->y.row, .act = n->epilogue};
    tail.bias = bias == NULL ? NULL : bias->data;
    bool plain = !ox_has_epilogue(n) && !is_scaled(n) && bias == NULL;
    size_t in_pack = s->const_b ? s->b.offset : SIZE_MAX; /* first element of what is packed */
    for (size_t p = 0; p < s->n_pairs; p++) {
        pair at = s->pairs[p];
        if (blas(n, s, at)) {
            continue;
        }
        if (at.b != in_pack) {
            ox_gemm_pack((const float *)n->in[1]->data + at.b, s->k, s->n, s->b.row, s->b.col, s->packed);
            in_pack = at.b;
        }
        tail.residual = residual == NULL ? NULL : (const float *)residual->data + at.y;
        ox_gemm_then(s->isa, s->m, s->n, s->k, (const float *)n->in[0]->data + at.a, s->a.row, s->a.col, s->packed,
                     (float *)n->out[0]->data + at.y, s->y.row, plain ? NULL : &tail);
    }
    return STATUS_OK;
}

/* ---- backward ----------------------------------------------------------------------------------- */

static void gradients(const ox_node *n, const matmul_state *s, pair at) {
    const float *g = n->grad_out[0] + at.y;
    float *da = ox_grad_in(n, 0), *db = ox_grad_in(n, 1);
    for (size_t i = 0; da != NULL && i < s->m; i++) {
        for (size_t k = 0; k < s->k; k++) {
            double sum = 0;
            for (size_t j = 0; j < s->n; j++) {
                sum += (double)g[i * s->y.row + j] * ox_at(n->in[1], at.b + k * s->b.row + j * s->b.col);
            }
            da[at.a + i * s->a.row + k * s->a.col] += (float)sum;
        }
    }
    for (size_t k = 0; db != NULL && k < s->k; k++) {
        for (size_t j = 0; j < s->n; j++) {
            double sum = 0;
            for (size_t i = 0; i < s->m; i++) {
                sum += ox_at(n->in[0], at.a + i * s->a.row + k * s->a.col) * (double)g[i * s->y.row + j];
            }
            db[at.b + k * s->b.row + j * s->b.col] += (float)sum;
        }
    }
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const matmul_state *s = n->state;
    for (size_t p = 0; ox_grad_out(n, 0) != NULL && p < s->n_pairs; p++) {
        gradients(n, s, s->pairs[p]);
    }
    return STATUS_OK;
}

/* A gradient (rows, columns) and where it goes. */
typedef struct target {
    float *to;
    size_t row, col;
    bool store; /* every element is this product's alone, and nothing is there yet */
} target;

/* Runs the product into the target, by way of s->product where it must be added. */
static void into(const matmul_state *s, target t, size_t rows, size_t columns, size_t inner, const float *a,
                 size_t a_row, size_t a_col, const float *packed) {
    if (t.store && t.col == 1) {
        ox_gemm(s->isa, rows, columns, inner, a, a_row, a_col, packed, t.to, t.row);
        return;
    }
    ox_gemm(s->isa, rows, columns, inner, a, a_row, a_col, packed, s->product, columns);
    for (size_t i = 0; i < rows; i++) {
        const float *from = s->product + i * columns;
        float *to = t.to + i * t.row;
        if (t.col == 1) {
            ox_accumulate(s->isa, to, from, columns, t.store);
            continue;
        }
        for (size_t j = 0; j < columns; j++) {
            to[j * t.col] = t.store ? from[j] : to[j * t.col] + from[j];
        }
    }
}

/* The cotangent of the product itself: (M, N) and its row stride. The residual gets its share. */
static const float *inner_cotangent(const ox_node *n, const matmul_state *s, pair at, assay_vjp_mode mode,
                                    size_t *row) {
    const float *g = n->grad_out[0] + at.y, *y = (const float *)n->out[0]->data + at.y;
    float *dr = ox_grad_in(n, OX_RESIDUAL);
    *row = s->y.row;
    if (s->g == NULL) {
        return g;
    }
    for (size_t i = 0; i < s->m; i++) {
        float *to = s->g + i * s->n;
        ox_epilogue_vjp(s->isa, &n->epilogue, mode, y + i * s->y.row, g + i * s->y.row, to, s->n);
        if (dr != NULL) {
            ox_accumulate(s->isa, dr + at.y + i * s->y.row, to, s->n, ox_is_fresh(n, OX_RESIDUAL));
        }
        for (size_t j = 0; is_scaled(n) && j < s->n; j++) {
            to[j] *= n->epilogue.scale;
        }
    }
    *row = s->n;
    return s->g;
}

/* dA = G B^T */
static void gradient_of_a(const ox_node *n, const matmul_state *s, pair at, const float *g, size_t g_row) {
    target t = {n->grad_in[0] + at.a, s->a.row, s->a.col, ox_is_fresh(n, 0) && s->one_a};
    if (!s->const_b) {
        ox_gemm_pack((const float *)n->in[1]->data + at.b, s->n, s->k, s->b.col, s->b.row, s->packed_t);
    }
    into(s, t, s->m, s->k, s->n, g, g_row, 1, s->packed_t);
}

/* dB = A^T G, or where B stands by columns dB^T = G^T A: so that what is written runs along memory. */
static void gradient_of_b(const ox_node *n, const matmul_state *s, pair at, const float *g, size_t g_row) {
    const float *a = (const float *)n->in[0]->data + at.a;
    bool store = ox_is_fresh(n, 1) && s->one_b;
    if (s->b.row == 1 && s->b.col != 1) {
        ox_gemm_pack(a, s->m, s->k, s->a.row, s->a.col, s->packed_g);
        into(s, (target){n->grad_in[1] + at.b, s->b.col, 1, store}, s->n, s->k, s->m, g, 1, g_row, s->packed_g);
        return;
    }
    ox_gemm_pack(g, s->m, s->n, g_row, 1, s->packed_g);
    into(s, (target){n->grad_in[1] + at.b, s->b.row, s->b.col, store}, s->k, s->n, s->m, a, s->a.col, s->a.row,
         s->packed_g);
}

static void clear(const ox_node *n, size_t i) {
    if (ox_grad_in(n, i) != NULL && ox_is_fresh(n, i)) {
        memset(n->grad_in[i], 0, n->in[i]->n * sizeof(float));
    }
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    const matmul_state *s = n->state;
    if (s->product == NULL || (ox_grad_in(n, 1) != NULL && s->const_b)) {
        ox_clear_fresh(n);
        return vjp_reference(n, mode, err);
    }
    if (ox_grad_out(n, 0) == NULL) {
        ox_clear_fresh(n);
        return STATUS_OK;
    }
    if (!s->one_a || s->n_pairs == 0) {
        clear(n, 0);
    }
    if (!s->one_b || s->n_pairs == 0) {
        clear(n, 1);
    }
    for (size_t p = 0; p < s->n_pairs; p++) {
        size_t row = 0;
        const float *g = inner_cotangent(n, s, s->pairs[p], mode, &row);
        if (ox_grad_in(n, 0) != NULL) {
            gradient_of_a(n, s, s->pairs[p], g, row);
        }
        if (ox_grad_in(n, 1) != NULL) {
            gradient_of_b(n, s, s->pairs[p], g, row);
        }
    }
    return STATUS_OK;
}

static uint64_t macs(const ox_node *n) {
    matmul_state s = {0};
    ox_tensor lead = {0};
    return get_sizes(n, &s, &lead, NULL) == STATUS_OK ? (uint64_t)n->out[0]->n * s.k : 0;
}

const ox_kernel ox_kernel_matmul = {.op = "MatMul",
                                    .min_opset = 1,
                                    .max_opset = 9999,
                                    .flags =
                                        OX_KEEPS_BATCH | OX_EPILOGUE | OX_SCALES | OX_TAKES_VIEWS | OX_STORES_GRADIENT,
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
