/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/qmatmul.h"

#define MAX_PART 256u /* columns of one call of a sink, at most: igemm.c */

static const ox_tensor *optional(const ox_node *n, size_t i) {
    return i == SIZE_MAX ? NULL : ox_input(n, i);
}

/* The leading dimensions as tensors of matrices, for ox_broadcast and ox_walk_init. */
static ox_tensor leading(const ox_tensor *t) {
    ox_tensor l = {.n_dims = t->n_dims > 2 ? t->n_dims - 2 : 0, .n = 1};
    memcpy(l.shape, t->shape, l.n_dims * sizeof l.shape[0]);
    l.n = ox_count(&l, 0, l.n_dims);
    return l;
}

static status get_sizes(ox_qmatmul *q, const ox_node *n, ox_tensor *lead, error *err) {
    const ox_tensor *a = n->in[q->in.a], *b = n->in[q->in.b];
    if (a->n_dims == 0 || b->n_dims == 0) {
        return error_set(err, STATUS_MODEL, "an operand is a scalar");
    }
    size_t rows_a = a->n_dims == 1 ? 1 : (size_t)a->shape[a->n_dims - 2], cols_a = (size_t)a->shape[a->n_dims - 1];
    size_t cols_b = b->n_dims == 1 ? 1 : (size_t)b->shape[b->n_dims - 1];
    size_t rows_b = (size_t)b->shape[b->n_dims == 1 ? 0 : b->n_dims - 2];
    q->m = q->rows_of_a = q->in.trans_a ? cols_a : rows_a;
    q->k = q->in.trans_a ? rows_a : cols_a;
    q->n = q->in.trans_b ? rows_b : cols_b;
    q->a_row = q->in.trans_a ? 1 : cols_a;
    q->a_col = q->in.trans_a ? cols_a : 1;
    q->b_row = q->in.trans_b ? 1 : cols_b;
    q->b_col = q->in.trans_b ? cols_b : 1;
    if (q->k != (q->in.trans_b ? cols_b : rows_b)) {
        return error_set(err, STATUS_MODEL, "the left operand has %zu columns, the right one %zu rows", q->k,
                         q->in.trans_b ? cols_b : rows_b);
    }
    bool sums = a->has_batch && (a->n_dims == 1 || (a->n_dims == 2 && q->in.trans_a));
    if (sums || (b->has_batch && b->n_dims <= 2)) {
        return error_set(err, STATUS_UNSUPPORTED,
                         "the product sums over the batch: examples would depend on each other");
    }
    ox_tensor la = leading(a), lb = leading(b);
    TRY(ox_broadcast(&la, &lb, lead->shape, &lead->n_dims, err));
    return STATUS_OK;
}

/* One value, or a vector of `len`, or the shape of `of` with a 1 at dimension `one`. */
static status need_values(const ox_node *n, size_t i, const ox_tensor *of, size_t len, uint32_t one, error *err) {
    const ox_tensor *t = optional(n, i);
    if (t == NULL || t->n == 1 || (t->n_dims == 1 && t->n == len)) {
        return STATUS_OK;
    }
    bool ok = t->n_dims == of->n_dims && of->n_dims >= 2;
    for (uint32_t d = 0; ok && d < t->n_dims; d++) {
        ok = t->shape[d] == (d == one ? 1 : of->shape[d]);
    }
    return ok ? STATUS_OK
              : error_set(err, STATUS_MODEL, "input %zu has %zu values; 1, or %zu, or one for each is needed", i, t->n,
                          len);
}

status ox_qmatmul_need_rows(const ox_node *n, size_t i, const ox_qmatmul_inputs *in, error *err) {
    const ox_tensor *a = n->in[in->a];
    ox_qmatmul q = {.in = *in};
    ox_tensor lead = {0};
    TRY(get_sizes(&q, n, &lead, err));
    return need_values(n, i, a, q.m, a->n_dims - (in->trans_a ? 2 : 1), err);
}

status ox_qmatmul_need_columns(const ox_node *n, size_t i, const ox_qmatmul_inputs *in, error *err) {
    const ox_tensor *b = n->in[in->b];
    ox_qmatmul q = {.in = *in};
    ox_tensor lead = {0};
    TRY(get_sizes(&q, n, &lead, err));
    return need_values(n, i, b, q.n, b->n_dims - (in->trans_b ? 1 : 2), err);
}

size_t ox_qmatmul_row(const ox_qmatmul *q, const ox_tensor *t, size_t a_row) {
    return t->n == 1 ? 0 : (t->n_dims == 1 ? a_row % q->rows_of_a : a_row);
}

size_t ox_qmatmul_column(const ox_qmatmul *q, const ox_tensor *t, size_t b_matrix, size_t col) {
    return t->n == 1 ? 0 : (t->n_dims == 1 ? col : b_matrix * q->n + col);
}

static status same_type(const ox_node *n, size_t zero, size_t of, error *err) {
    const ox_tensor *z = optional(n, zero);
    if (z != NULL && z->dtype != n->in[of]->dtype) {
        return error_set(err, STATUS_MODEL, "zero point %zu is %s, its values are %s", zero, ox_dtype_name(z->dtype),
                         ox_dtype_name(n->in[of]->dtype));
    }
    return STATUS_OK;
}

status ox_qmatmul_infer(ox_node *n, ox_qmatmul_inputs in, uint32_t dtype, error *err) {
    TRY(ox_need_byte(n, in.a, err));
    TRY(ox_need_byte(n, in.b, err));
    TRY(same_type(n, in.a_zero, in.a, err));
    TRY(same_type(n, in.b_zero, in.b, err));
    ox_qmatmul q = {.in = in};
    ox_tensor lead = {0};
    TRY(get_sizes(&q, n, &lead, err));
    TRY(ox_qmatmul_need_rows(n, in.a_zero, &in, err));
    TRY(ox_qmatmul_need_columns(n, in.b_zero, &in, err));
    if (n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "the output is missing");
    }
    int64_t shape[ASSAY_MAX_DIMS + 2] = {0};
    uint32_t n_dims = lead.n_dims;
    memcpy(shape, lead.shape, n_dims * sizeof shape[0]);
    if (n->in[in.a]->n_dims > 1) {
        shape[n_dims++] = (int64_t)q.m;
    }
    if (n->in[in.b]->n_dims > 1) {
        shape[n_dims++] = (int64_t)q.n;
    }
    return ox_set_shape(n->out[0], dtype, shape, n_dims, err);
}

void ox_qmatmul_release(ox_qmatmul *q) {
    mem_free(q->packed);
    mem_free(q->b_sums);
    mem_free(q->b_zero);
    mem_free(q->scratch);
    mem_free(q->g);
    mem_free(q->b_real);
    mem_free(q->bt);
    mem_free(q->gs);
    mem_free(q->da);
}

static void pack(ox_qmatmul *q, const ox_node *n) {
    const ox_tensor *b = n->in[q->in.b], *z = optional(n, q->in.b_zero);
    bool is_signed = b->dtype == ASSAY_I8;
    for (size_t i = 0; i < q->n_b; i++) {
        const uint8_t *from = (const uint8_t *)b->data + i * q->k * q->n;
        ox_igemm_pack(from, is_signed, q->k, q->n, q->b_row, q->b_col, q->packed + i * q->packed_bytes,
                      q->b_sums + i * q->n);
        for (size_t j = 0; j < q->n; j++) {
            int32_t zero = z == NULL ? 0 : (int32_t)ox_int_at(z, ox_qmatmul_column(q, z, i, j));
            q->b_zero[i * q->n + j] = ox_shifted_weight(zero, is_signed);
        }
    }
}

static status take(void *at, size_t n, size_t item, error *err) {
    void *p = mem_try(n > 0 ? n : 1, item, "integer product", err);
    memcpy(at, &p, sizeof p);
    return p == NULL ? STATUS_MEMORY : STATUS_OK;
}

static status prepare_vjp(ox_qmatmul *q, const ox_node *n, error *err) {
    size_t packed = 0, gs = 0, da = 0;
    if (!ox_gemm_packed(q->n, q->k, &packed) || !mem_mul(q->m, q->n, &gs) || !mem_mul(q->m, q->k, &da)) {
        return error_set(err, STATUS_MEMORY, "the packed matrix overflows");
    }
    q->float_isa = ox_isa_best();
    TRY(take(&q->g, n->out[0]->n, sizeof(float), err));
    TRY(take(&q->b_real, n->in[q->in.b]->n, sizeof(float), err));
    TRY(take(&q->bt, packed, sizeof(float), err));
    TRY(take(&q->gs, gs, sizeof(float), err));
    return take(&q->da, da, sizeof(float), err);
}

status ox_qmatmul_prepare(ox_qmatmul *q, const ox_node *n, ox_qmatmul_inputs in, bool want_vjp, error *err) {
    const ox_tensor *a = n->in[in.a], *b = n->in[in.b], *z = optional(n, in.b_zero);
    ox_tensor lead = {0}, la = leading(a), lb = leading(b);
    q->in = in;
    q->want_vjp = want_vjp;
    q->isa = ox_int8_best();
    TRY(get_sizes(q, n, &lead, err));
    lead.n = q->pairs = ox_count(&lead, 0, lead.n_dims);
    q->n_b = lb.n;
    if (lb.n == 1 && la.n == lead.n && !in.trans_a) { /* A's leading dimensions join its rows */
        q->m *= la.n;
        q->pairs = 1;
        la = lb = lead = (ox_tensor){.n = 1};
    }
    ox_walk_init(&q->w, &la, &lb, &lead);
    size_t all = 0, scratch = 0, columns = 0;
    if (!ox_igemm_packed(q->k, q->n, &q->packed_bytes) || !mem_mul(q->packed_bytes, q->n_b, &all) ||
        !mem_mul(q->n, q->n_b, &columns) || !ox_igemm_scratch(q->k, &scratch)) {
        return error_set(err, STATUS_MEMORY, "the packed matrix overflows");
    }
    TRY(take(&q->packed, all, 1, err));
    TRY(take(&q->b_sums, columns, sizeof(int32_t), err));
    TRY(take(&q->b_zero, columns, sizeof(int32_t), err));
    TRY(take(&q->scratch, scratch, 1, err));
    q->fixed = b->is_const && (z == NULL || z->is_const);
    if (q->fixed) {
        pack(q, n);
    }
    return want_vjp ? prepare_vjp(q, n, err) : STATUS_OK;
}

/* ---- pairs of matrices -------------------------------------------------------------------------- */

typedef struct pair {
    size_t a, b, y; /* matrices */
} pair;

typedef struct pairs {
    size_t idx[ASSAY_MAX_DIMS], ia, ib, i, done;
    bool more;
} pairs;

static bool next_pair(const ox_qmatmul *q, pairs *s, pair *p) {
    size_t last = q->w.n_dims - 1;
    if (s->done == 0 && s->i == 0) {
        s->more = q->pairs > 0;
    }
    if (!s->more) {
        return false;
    }
    *p = (pair){s->ia + s->i * q->w.sa[last], s->ib + s->i * q->w.sb[last], s->done++};
    if (++s->i == q->w.shape[last]) {
        s->i = 0;
        s->more = s->done < q->pairs && ox_walk_next(&q->w, s->idx, &s->ia, &s->ib);
    }
    return true;
}

/* ---- forward ------------------------------------------------------------------------------------ */

typedef struct correction {
    ox_qmatmul *q;
    const ox_tensor *a, *a_zero;
    pair p;
    bool b_zeros; /* some column has a zero point: the rows' sums are needed */
    ox_qmatmul_sink sink;
    void *ctx;
} correction;

static int32_t row_zero(const correction *c, size_t row) {
    int32_t z = c->a_zero == NULL ? 0 : (int32_t)ox_int_at(c->a_zero, ox_qmatmul_row(c->q, c->a_zero, row));
    return z;
}

static uint32_t row_sum(const correction *c, size_t row) {
    const uint8_t *a = (const uint8_t *)c->a->data + c->p.a * c->q->m * c->q->k + row * c->q->a_row;
    const uint8_t flip = c->a->dtype == ASSAY_I8 ? 0x80 : 0;
    uint32_t sum = 0;
    for (size_t k = 0; k < c->q->k; k++) {
        sum += a[k * c->q->a_col] ^ flip;
    }
    return sum;
}

/* Sums of shifted bytes to those of (a - a_zero) * (b - b_zero), modulo 2^32. */
static void correct(void *ctx, size_t row, size_t col, const int32_t *acc, size_t len) {
    const correction *c = ctx;
    const ox_qmatmul *q = c->q;
    ox_qmatmul_part part = {.row = c->p.y * q->m + row, .a_row = c->p.a * q->m + row, .b_matrix = c->p.b, .col = col};
    uint32_t za = (uint32_t)ox_shifted_activation(row_zero(c, part.a_row), c->a->dtype == ASSAY_I8);
    const int32_t *sums = q->b_sums + c->p.b * q->n + col, *zeros = q->b_zero + c->p.b * q->n + col;
    int32_t out[MAX_PART];
    for (size_t j = 0; j < len; j++) {
        out[j] = (int32_t)((uint32_t)acc[j] - za * (uint32_t)sums[j]);
    }
    if (c->b_zeros) {
        uint32_t rest = row_sum(c, row) - za * (uint32_t)q->k;
        for (size_t j = 0; j < len; j++) {
            out[j] = (int32_t)((uint32_t)out[j] - (uint32_t)zeros[j] * rest);
        }
    }
    c->sink(c->ctx, &part, out, len);
}

static void plain_pair(const correction *c, const ox_node *n) {
    const ox_qmatmul *q = c->q;
    const ox_tensor *b = n->in[q->in.b], *bz = optional(n, q->in.b_zero);
    for (size_t i = 0; i < q->m; i++) {
        ox_qmatmul_part part = {.row = c->p.y * q->m + i, .a_row = c->p.a * q->m + i, .b_matrix = c->p.b};
        int32_t za = row_zero(c, part.a_row);
        for (size_t j = 0; j < q->n; j++) {
            int32_t zb = bz == NULL ? 0 : (int32_t)ox_int_at(bz, ox_qmatmul_column(q, bz, c->p.b, j));
            uint32_t sum = 0;
            for (size_t k = 0; k < q->k; k++) {
                int32_t x = (int32_t)ox_int_at(c->a, c->p.a * q->m * q->k + i * q->a_row + k * q->a_col) - za;
                int32_t y = (int32_t)ox_int_at(b, c->p.b * q->k * q->n + k * q->b_row + j * q->b_col) - zb;
                sum += (uint32_t)(x * y);
            }
            int32_t acc = (int32_t)sum;
            part.col = j;
            c->sink(c->ctx, &part, &acc, 1);
        }
    }
}

void ox_qmatmul_run(ox_qmatmul *q, const ox_node *n, bool plain, ox_qmatmul_sink sink, void *ctx) {
    const ox_tensor *a = n->in[q->in.a];
    correction c = {.q = q, .a = a, .a_zero = optional(n, q->in.a_zero), .sink = sink, .ctx = ctx};
    if (!q->fixed && !plain) {
        pack(q, n);
    }
    for (size_t i = 0; i < q->n_b * q->n && !plain; i++) {
        c.b_zeros = c.b_zeros || q->b_zero[i] != 0;
    }
    pairs s = {0};
    while (next_pair(q, &s, &c.p)) {
        if (plain) {
            plain_pair(&c, n);
            continue;
        }
        const uint8_t *from = (const uint8_t *)a->data + c.p.a * q->m * q->k;
        ox_igemm(q->isa, q->m, q->n, q->k, from, a->dtype == ASSAY_I8, q->a_row, q->a_col,
                 q->packed + c.p.b * q->packed_bytes, q->scratch, correct, &c);
    }
}

/* ---- gradients ---------------------------------------------------------------------------------- */

/* dA = G B'^T with rows of G times their factor. */
static void vjp_a(ox_qmatmul *q, pair p, const float *a_factor, const float *g, float *da) {
    const float *b = q->b_real + p.b * q->k * q->n;
    for (size_t i = 0; i < q->m; i++) {
        for (size_t j = 0; j < q->n; j++) {
            q->gs[i * q->n + j] = g[i * q->n + j] * a_factor[p.a * q->m + i];
        }
    }
    ox_gemm_pack(b, q->n, q->k, q->b_col, q->b_row, q->bt);
    ox_gemm(q->float_isa, q->m, q->k, q->n, q->gs, q->n, 1, q->bt, q->da, q->k);
    for (size_t i = 0; i < q->m; i++) {
        for (size_t k = 0; k < q->k; k++) {
            da[i * q->a_row + k * q->a_col] += q->da[i * q->k + k];
        }
    }
}

static void vjp_a_plain(const ox_qmatmul *q, pair p, const float *a_factor, const float *g, float *da) {
    for (size_t i = 0; i < q->m; i++) {
        for (size_t k = 0; k < q->k; k++) {
            const float *b = q->b_real + p.b * q->k * q->n + k * q->b_row;
            double sum = 0;
            for (size_t j = 0; j < q->n; j++) {
                sum += (double)g[i * q->n + j] * (double)b[j * q->b_col];
            }
            da[i * q->a_row + k * q->a_col] += (float)(sum * (double)a_factor[p.a * q->m + i]);
        }
    }
}

/* dB = A'^T G; B is seldom computed, so there is no fast path. */
static void vjp_b(const ox_qmatmul *q, const ox_node *n, pair p, const float *a_factor, const float *b_factor,
                  const float *g, float *db) {
    const ox_tensor *a = n->in[q->in.a], *z = optional(n, q->in.a_zero);
    for (size_t k = 0; k < q->k; k++) {
        for (size_t j = 0; j < q->n; j++) {
            double sum = 0;
            for (size_t i = 0; i < q->m; i++) {
                size_t row = p.a * q->m + i;
                int32_t zero = z == NULL ? 0 : (int32_t)ox_int_at(z, ox_qmatmul_row(q, z, row));
                int32_t x = (int32_t)ox_int_at(a, p.a * q->m * q->k + i * q->a_row + k * q->a_col) - zero;
                sum += (double)(a_factor[row] * (float)x) * (double)g[i * q->n + j];
            }
            db[k * q->b_row + j * q->b_col] += (float)(sum * (double)b_factor[p.b * q->n + j]);
        }
    }
}

static void load_b_real(ox_qmatmul *q, const ox_node *n, const float *b_factor) {
    const ox_tensor *b = n->in[q->in.b], *z = optional(n, q->in.b_zero);
    for (size_t i = 0; i < q->n_b; i++) {
        for (size_t j = 0; j < q->n; j++) {
            int32_t zero = z == NULL ? 0 : (int32_t)ox_int_at(z, ox_qmatmul_column(q, z, i, j));
            for (size_t k = 0; k < q->k; k++) {
                size_t at = i * q->k * q->n + k * q->b_row + j * q->b_col;
                q->b_real[at] = (float)((int32_t)ox_int_at(b, at) - zero) * b_factor[i * q->n + j];
            }
        }
    }
}

void ox_qmatmul_vjp(ox_qmatmul *q, const ox_node *n, const float *a_factor, const float *b_factor, bool plain) {
    float *da = ox_grad_in(n, q->in.a), *db = ox_grad_in(n, q->in.b);
    if (da != NULL) {
        load_b_real(q, n, b_factor);
    }
    pairs s = {0};
    pair p;
    while (next_pair(q, &s, &p)) {
        const float *g = q->g + p.y * q->m * q->n;
        size_t a = p.a * q->m * q->k, b = p.b * q->k * q->n;
        if (da != NULL && plain) {
            vjp_a_plain(q, p, a_factor, g, da + a);
        } else if (da != NULL) {
            vjp_a(q, p, a_factor, g, da + a);
        }
        if (db != NULL) {
            vjp_b(q, n, p, a_factor, b_factor, g, db + b);
        }
    }
}

uint64_t ox_qmatmul_macs(const ox_node *n, ox_qmatmul_inputs in) {
    ox_qmatmul q = {.in = in};
    ox_tensor lead = {0};
    error ignored = {0};
    return get_sizes(&q, n, &lead, &ignored) != STATUS_OK ? 0 : (uint64_t)n->out[0]->n * q.k;
}
