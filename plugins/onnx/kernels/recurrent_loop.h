/* SPDX-License-Identifier: Apache-2.0
 * A template, included once with REAL float and once with REAL double (with NAME and SUFFIX, which make the names of
 * the two differ, and REAL_IS_FLOAT): products, the walk through time, the gradients of weights. The operator's header
 * gives the step: NAME(step)(s, d, step)             reads h, cell; writes z, y and what vjp needs, then h, cell
 *     NAME(step_back)(s, d, step, mode)  dL/dh and dL/dcell of after the step in s->h, s->cell become those of before
 */
/* no include guard: see above */

#ifndef OX_JOIN
#define OX_JOIN_(a, b) a##b
#define OX_JOIN(a, b) OX_JOIN_(a, b)
#endif

static void NAME(activate)(const ox_gate *a, const REAL *z, REAL *y, size_t len) {
    OX_JOIN(ox_activate_, SUFFIX)(a, z, y, len);
}

static void NAME(slope)(const ox_gate *a, const REAL *z, const REAL *y, REAL *dy, size_t len, assay_vjp_mode mode) {
    OX_JOIN(ox_slope_, SUFFIX)(a, z, y, dy, len, mode);
}

/* C = A B, A (m, k) with leading dimension lda; C (m, n) dense, or with leading dimension ldc. */
static void NAME(multiply)(const ox_recurrent *s, size_t m, const REAL *a, size_t lda, const ox_weights *b, REAL *c,
                           size_t ldc) {
#if REAL_IS_FLOAT
    const float *right = (const float *)b->t->data + b->at;
    if (s->unpadded && ldc == b->n && ox_gemm_blas(m, b->n, b->k, a, lda, 1, right, b->row, b->col, c)) {
        return;
    }
    ox_gemm(s->isa, m, b->n, b->k, a, lda, 1, b->packed, c, ldc);
#else
    (void)s;
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < b->n; j++) {
            REAL sum = 0;
            for (size_t k = 0; k < b->k; k++) {
                sum += a[i * lda + k] * ox_at(b->t, b->at + k * b->row + j * b->col);
            }
            c[i * ldc + j] = sum;
        }
    }
#endif
}

/* grad (m, n) += A^T B over `rows` rows: A (rows, m) with leading dimension lda, B (rows, n) dense. */
static void NAME(outer)(const ox_recurrent *s, size_t rows, const REAL *a, size_t lda, size_t m, const REAL *b,
                        size_t n, float *grad) {
#if REAL_IS_FLOAT
    float *product = s->product;
    ox_gemm_pack(b, rows, n, n, 1, s->packed_rows);
    ox_gemm(s->isa, m, n, rows, a, 1, lda, s->packed_rows, product, n);
    for (size_t i = 0; i < m * n; i++) {
        grad[i] += product[i];
    }
#else
    (void)s;
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            REAL sum = 0;
            for (size_t r = 0; r < rows; r++) {
                sum += a[r * lda + i] * b[r * n + j];
            }
            grad[i * n + j] += (float)sum;
        }
    }
#endif
}

/* Rows of example n at a step: of z, y, dz; and of what is kept in (D, T * N, H). */
static REAL *NAME(gates)(const ox_recurrent *s, void *buffer, size_t d, size_t n, size_t step) {
    size_t row = ox_recurrent_row(s, ox_recurrent_time(s, d, n, step), n);
    return (REAL *)buffer + row * s->D * s->GH + d * s->GH;
}
static REAL *NAME(kept)(const ox_recurrent *s, void *buffer, size_t d, size_t n, size_t step) {
    size_t row = ox_recurrent_row(s, ox_recurrent_time(s, d, n, step), n);
    return (REAL *)buffer + (d * s->T * s->N + row) * s->H;
}
/* Nothing is kept where there is no buffer (no vjp is wanted). */
static void NAME(keep)(const ox_recurrent *s, void *buffer, size_t d, size_t n, size_t step, const REAL *v) {
    if (buffer != NULL) {
        memcpy(NAME(kept)(s, buffer, d, n, step), v, s->H * sizeof *v);
    }
}

/* ---- the operator's own ------------------------------------------------------------------------- */

static void NAME(step)(const ox_recurrent *s, size_t d, size_t step);
static void NAME(step_back)(const ox_recurrent *s, size_t d, size_t step, assay_vjp_mode mode);

/* ---- forward ------------------------------------------------------------------------------------ */

static void NAME(read_weights)(const ox_node *n, const ox_recurrent *s) {
    const ox_tensor *b = ox_input(n, OX_RNN_B), *p = ox_input(n, OX_RNN_P);
    REAL *w = s->bias_w, *r = s->bias_r, *peephole = s->peephole;
    for (size_t i = 0; b != NULL && i < s->D * s->GH; i++) {
        size_t at = i / s->GH * 2 * s->GH + i % s->GH;
        w[i] = (REAL)ox_at(b, at);
        r[i] = (REAL)ox_at(b, at + s->GH);
    }
    for (size_t i = 0; p != NULL && i < p->n; i++) {
        peephole[i] = (REAL)ox_at(p, i);
    }
}

/* The state of direction d before its first step; zero where the input is absent. */
static void NAME(read_state)(const ox_recurrent *s, const ox_tensor *t, size_t d, REAL *h) {
    for (size_t n = 0; n < s->N; n++) {
        for (size_t i = 0; i < s->H; i++) {
            h[n * s->H + i] = t == NULL ? 0 : (REAL)ox_at(t, ox_recurrent_state_at(s, t, d, n) + i);
        }
    }
}

static void NAME(write)(ox_tensor *t, size_t at, const REAL *v, size_t len) {
    for (size_t i = 0; i < len; i++) {
        ox_put(t, at + i, (double)v[i]);
    }
}

static void NAME(forward_direction)(const ox_node *n, const ox_recurrent *s, size_t d) {
    ox_tensor *y = ox_output(n, 0);
    REAL *h = s->h, *c = s->cell;
    NAME(read_state)(s, ox_input(n, OX_RNN_H), d, h);
    if (s->cell_state) {
        NAME(read_state)(s, ox_input(n, OX_RNN_C), d, c);
    }
    for (size_t step = 0; step < s->T; step++) {
        NAME(step)(s, d, step);
        for (size_t k = 0; y != NULL && k < s->N; k++) {
            if (step < s->length[k]) {
                size_t at = ox_recurrent_at(s, ox_recurrent_time(s, d, k, step), d, k);
                NAME(write)(y, at, h + k * s->H, s->H);
            }
        }
    }
    for (size_t i = 1; i < 3; i++) {
        ox_tensor *last = ox_output(n, i);
        for (size_t k = 0; last != NULL && k < s->N; k++) {
            NAME(write)(last, ox_recurrent_state_at(s, last, d, k), (i == 1 ? h : c) + k * s->H, s->H);
        }
    }
}

static status NAME(forward)(ox_node *n, error *err) {
    (void)err;
    const ox_recurrent *s = n->state;
    const ox_tensor *x = n->in[OX_RNN_X];
    ox_recurrent_begin(n, REAL_IS_FLOAT);
    NAME(read_weights)(n, s);
#if REAL_IS_FLOAT
    const REAL *a = x->data;
#else
    REAL *a = s->x;
    for (size_t i = 0; i < x->n; i++) {
        a[i] = (REAL)ox_at(x, i);
    }
#endif
    if (ox_output(n, 0) != NULL) { /* steps beyond an example's length stay zero */
        memset(n->out[0]->data, 0, n->out[0]->n * ox_dtype_bytes(n->out[0]->dtype));
    }
    NAME(multiply)(s, s->T * s->N, a, s->I, &s->wt, s->z, s->D * s->GH);
    for (size_t d = 0; d < s->D; d++) {
        NAME(forward_direction)(n, s, d);
    }
    return STATUS_OK;
}

/* ---- vjp ---------------------------------------------------------------------------------------- */

static void NAME(read_cotangent)(const ox_node *n, const ox_recurrent *s, size_t i, size_t d, REAL *to) {
    const float *g = ox_grad_out(n, i);
    for (size_t k = 0; k < s->N; k++) {
        for (size_t j = 0; j < s->H; j++) {
            to[k * s->H + j] = g == NULL ? 0 : (REAL)g[ox_recurrent_state_at(s, n->out[i], d, k) + j];
        }
    }
}

static void NAME(add_state)(const ox_node *n, const ox_recurrent *s, size_t i, size_t d, const REAL *from) {
    float *g = ox_grad_in(n, i);
    for (size_t k = 0; g != NULL && k < s->N; k++) {
        float *to = g + ox_recurrent_state_at(s, n->in[i], d, k);
        for (size_t j = 0; j < s->H; j++) {
            to[j] += (float)from[k * s->H + j];
        }
    }
}

/* Back through time: fills dz, and adds the gradients of the initial states. */
static void NAME(back_direction)(const ox_node *n, const ox_recurrent *s, size_t d, assay_vjp_mode mode) {
    const float *g = ox_grad_out(n, 0);
    REAL *dh = s->h, *dc = s->cell;
    NAME(read_cotangent)(n, s, 1, d, dh);
    if (s->cell_state) {
        NAME(read_cotangent)(n, s, 2, d, dc);
    }
    for (size_t step = s->T; step-- > 0;) {
        for (size_t k = 0; g != NULL && k < s->N; k++) {
            if (step < s->length[k]) {
                const float *from = g + ox_recurrent_at(s, ox_recurrent_time(s, d, k, step), d, k);
                for (size_t j = 0; j < s->H; j++) {
                    dh[k * s->H + j] += (REAL)from[j];
                }
            }
        }
        NAME(step_back)(s, d, step, mode);
    }
    NAME(add_state)(n, s, OX_RNN_H, d, dh);
    if (s->cell_state) {
        NAME(add_state)(n, s, OX_RNN_C, d, dc);
    }
}

/* grad[i] += the sum over rows of a[row * lda + i] (times b[row * H + i] where there is one). */
static void NAME(sum_rows)(const ox_recurrent *s, const REAL *a, size_t lda, const REAL *b, size_t len, float *grad) {
    for (size_t i = 0; i < len; i++) {
        double sum = 0;
        for (size_t r = 0; r < s->T * s->N; r++) {
            sum += (double)a[r * lda + i] * (b == NULL ? 1 : (double)b[r * s->H + i]);
        }
        grad[i] += (float)sum;
    }
}

/* Gradients of R, B and P from all steps of a direction at once. The hidden gate of a GRU has its own left or right
 * factor. */
static void NAME(weight_gradients)(const ox_node *n, const ox_recurrent *s, size_t d) {
    size_t rows = s->T * s->N, lda = s->D * s->GH, first = s->reset != NULL ? s->GH - s->H : s->GH;
    const REAL *dz = (const REAL *)s->dz + d * s->GH, *h = (const REAL *)s->h_before + d * rows * s->H;
    const REAL *reset = s->reset == NULL ? NULL : (const REAL *)s->reset + d * rows * s->H;
    const REAL *d_reset = s->reset == NULL ? NULL : (const REAL *)s->d_reset + d * rows * s->H;
    float *dr = ox_grad_in(n, OX_RNN_R), *db = ox_grad_in(n, OX_RNN_B), *dp = ox_grad_in(n, OX_RNN_P);
    if (dr != NULL) {
        dr += d * s->GH * s->H;
        NAME(outer)(s, rows, dz, lda, first, h, s->H, dr);
        if (reset != NULL && s->variant) {
            NAME(outer)(s, rows, d_reset, s->H, s->H, h, s->H, dr + first * s->H);
        } else if (reset != NULL) {
            NAME(outer)(s, rows, dz + first, lda, s->H, reset, s->H, dr + first * s->H);
        }
    }
    if (db != NULL) {
        db += d * 2 * s->GH;
        NAME(sum_rows)(s, dz, lda, NULL, s->GH, db);
        NAME(sum_rows)(s, dz, lda, NULL, first, db + s->GH);
        if (reset != NULL) {
            NAME(sum_rows)
            (s, s->variant ? d_reset : dz + first, s->variant ? s->H : lda, NULL, s->H, db + s->GH + first);
        }
    }
    if (dp != NULL && s->cell_state) { /* gates i, o, f; o sees the new cell */
        const REAL *before = (const REAL *)s->c_before + d * rows * s->H, *c = (const REAL *)s->c + d * rows * s->H;
        dp += d * 3 * s->H;
        NAME(sum_rows)(s, dz, lda, before, s->H, dp);
        NAME(sum_rows)(s, dz + s->H, lda, c, s->H, dp + s->H);
        NAME(sum_rows)(s, dz + 2 * s->H, lda, before, s->H, dp + 2 * s->H);
    }
}

static void NAME(input_gradient)(const ox_recurrent *s, float *dx) {
    size_t rows = s->T * s->N;
    REAL *product = s->product;
    NAME(multiply)(s, rows, s->dz, s->D * s->GH, &s->w, product, s->I);
    for (size_t i = 0; i < rows * s->I; i++) {
        dx[i] += (float)product[i];
    }
}

static status NAME(vjp)(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)err;
    const ox_recurrent *s = n->state;
    size_t rows = s->T * s->N;
    memset(s->dz, 0, rows * s->D * s->GH * sizeof(REAL));
    for (size_t d = 0; d < s->D; d++) {
        NAME(back_direction)(n, s, d, mode);
        NAME(weight_gradients)(n, s, d);
    }
    if (ox_grad_in(n, OX_RNN_W) != NULL) {
        const REAL *x = REAL_IS_FLOAT ? n->in[OX_RNN_X]->data : s->x;
        NAME(outer)(s, rows, s->dz, s->D * s->GH, s->D * s->GH, x, s->I, n->grad_in[OX_RNN_W]);
    }
    if (ox_grad_in(n, OX_RNN_X) != NULL) {
        NAME(input_gradient)(s, n->grad_in[OX_RNN_X]);
    }
    return STATUS_OK;
}
