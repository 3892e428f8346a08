/* SPDX-License-Identifier: Apache-2.0
 * A template (recurrent_loop.h): one step of GRU. Gates z, r, h lie in this order; x is W X_t, the biases are b, c:
 *     z = f(x_z + R_z H + b_z + c_z), r likewise, H' = (1 - z) g + z H with
 *     g = g(x_h + R_h (r H) + b_h + c_h), or with linear_before_reset g(x_h + b_h + r (R_h H + c_h)).
 * What is kept as `reset` is r H, or R_h H + c_h. */
/* no include guard: included once for each type */

/* z and r from the product in q, whose rows are (3 H). */
static void NAME(update_and_reset)(const ox_recurrent *s, size_t d, const REAL *q, REAL *z, REAL *y) {
    const REAL *bw = (const REAL *)s->bias_w + d * s->GH, *br = (const REAL *)s->bias_r + d * s->GH;
    for (size_t i = 0; i < 2 * s->H; i++) {
        z[i] += q[i] + (bw[i] + br[i]);
    }
    NAME(activate)(&s->act[d][0], z, y, 2 * s->H);
}

/* u = r H for every example. */
static void NAME(reset_all)(const ox_recurrent *s, size_t d, size_t step) {
    const REAL *h = s->h, *q = s->q;
    REAL *u = s->u;
    for (size_t n = 0; n < s->N; n++) {
        REAL *un = u + n * s->H;
        if (step >= s->length[n]) {
            memset(un, 0, s->H * sizeof *un);
            continue;
        }
        REAL *y = NAME(gates)(s, s->y, d, n, step);
        NAME(update_and_reset)(s, d, q + n * s->GH, NAME(gates)(s, s->z, d, n, step), y);
        for (size_t i = 0; i < s->H; i++) {
            un[i] = y[s->H + i] * h[n * s->H + i];
        }
        NAME(keep)(s, s->reset, d, n, step, un);
    }
}

/* What the hidden gate adds to x_h, from the product q in the example's row; by `variant`. */
static void NAME(hidden_input)(const ox_recurrent *s, size_t d, REAL *q, REAL *z, const REAL *y) {
    const size_t H = s->H;
    const REAL *bw = (const REAL *)s->bias_w + d * s->GH + 2 * H, *br = (const REAL *)s->bias_r + d * s->GH + 2 * H;
    for (size_t i = 0; i < H; i++) {
        if (s->variant) {
            q[i] += br[i];
            z[2 * H + i] += y[H + i] * q[i] + bw[i];
        } else {
            z[2 * H + i] += q[i] + (bw[i] + br[i]);
        }
    }
}

static void NAME(step)(const ox_recurrent *s, size_t d, size_t step) {
    const size_t H = s->H;
    REAL *h = s->h, *q = s->q;
    NAME(multiply)(s, s->N, h, H, &s->rt[d][0], q, s->GH);
    if (!s->variant) {
        NAME(reset_all)(s, d, step);
        NAME(multiply)(s, s->N, s->u, H, &s->rt[d][1], q + 2 * H, s->GH);
    }
    for (size_t n = 0; n < s->N; n++) {
        if (step >= s->length[n]) {
            continue;
        }
        REAL *z = NAME(gates)(s, s->z, d, n, step), *y = NAME(gates)(s, s->y, d, n, step), *hn = h + n * H;
        REAL *hidden = q + n * s->GH + 2 * H;
        if (s->variant) {
            NAME(update_and_reset)(s, d, q + n * s->GH, z, y);
        }
        NAME(hidden_input)(s, d, hidden, z, y);
        if (s->variant) {
            NAME(keep)(s, s->reset, d, n, step, hidden);
        }
        NAME(activate)(&s->act[d][1], z + 2 * H, y + 2 * H, H);
        NAME(keep)(s, s->h_before, d, n, step, hn);
        for (size_t i = 0; i < H; i++) {
            hn[i] = (1 - y[i]) * y[2 * H + i] + y[i] * hn[i];
        }
    }
}

/* dz of the update and the hidden gate; dh becomes what passes by the gates. */
static void NAME(blend_back)(const ox_recurrent *s, size_t d, size_t n, size_t step, REAL *dh, REAL *g,
                             assay_vjp_mode mode) {
    const size_t H = s->H;
    const REAL *z = NAME(gates)(s, s->z, d, n, step), *y = NAME(gates)(s, s->y, d, n, step);
    const REAL *before = NAME(kept)(s, s->h_before, d, n, step);
    for (size_t i = 0; i < H; i++) {
        g[i] = dh[i] * (before[i] - y[2 * H + i]);
        g[2 * H + i] = dh[i] * (1 - y[i]);
        dh[i] *= y[i];
    }
    NAME(slope)(&s->act[d][0], z, y, g, H, mode);
    NAME(slope)(&s->act[d][1], z + 2 * H, y + 2 * H, g + 2 * H, H, mode);
}

/* dz of the reset gate; g's last part becomes the gradient of R_h H + c_h (variant), or du = dL/d(r H) goes on. */
static void NAME(reset_back)(const ox_recurrent *s, size_t d, size_t n, size_t step, REAL *dh, const REAL *du, REAL *g,
                             assay_vjp_mode mode) {
    const size_t H = s->H;
    const REAL *z = NAME(gates)(s, s->z, d, n, step), *y = NAME(gates)(s, s->y, d, n, step);
    const REAL *before = NAME(kept)(s, s->h_before, d, n, step), *linear = NAME(kept)(s, s->reset, d, n, step);
    REAL *dz = NAME(gates)(s, s->dz, d, n, step);
    memcpy(dz + 2 * H, g + 2 * H, H * sizeof *dz);
    for (size_t i = 0; i < H; i++) {
        if (s->variant) {
            g[H + i] = g[2 * H + i] * linear[i];
            g[2 * H + i] *= y[H + i];
        } else {
            g[H + i] = du[i] * before[i];
            dh[i] += du[i] * y[H + i];
        }
    }
    NAME(slope)(&s->act[d][0], z + H, y + H, g + H, H, mode);
    memcpy(dz, g, 2 * H * sizeof *dz);
    NAME(keep)(s, s->d_reset, d, n, step, g + 2 * H);
}

static void NAME(step_back)(const ox_recurrent *s, size_t d, size_t step, assay_vjp_mode mode) {
    const size_t H = s->H;
    REAL *dh = s->h, *q = s->q, *u = s->u, *v = s->v;
    for (size_t n = 0; n < s->N; n++) {
        if (step < s->length[n]) {
            NAME(blend_back)(s, d, n, step, dh + n * H, q + n * s->GH, mode);
        } else {
            memset(q + n * s->GH, 0, s->GH * sizeof *q);
        }
    }
    if (!s->variant) {
        NAME(multiply)(s, s->N, q + 2 * H, s->GH, &s->r[d][1], u, H);
    }
    for (size_t n = 0; n < s->N; n++) {
        if (step < s->length[n]) {
            NAME(reset_back)(s, d, n, step, dh + n * H, u + n * H, q + n * s->GH, mode);
        }
    }
    NAME(multiply)(s, s->N, q, s->GH, &s->r[d][0], v, H);
    for (size_t i = 0; i < s->N * H; i++) {
        dh[i] += step < s->length[i / H] ? v[i] : 0;
    }
}
