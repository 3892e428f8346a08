/* SPDX-License-Identifier: Apache-2.0
 * A template (recurrent_loop.h): one step of RNN, H_t = f(W X_t + R H_(t-1) + b). */
/* no include guard: included once for each type */

static void NAME(step)(const ox_recurrent *s, size_t d, size_t step) {
    REAL *h = s->h, *q = s->q;
    const REAL *bw = (const REAL *)s->bias_w + d * s->H, *br = (const REAL *)s->bias_r + d * s->H;
    NAME(multiply)(s, s->N, h, s->H, &s->rt[d][0], q, s->H);
    for (size_t n = 0; n < s->N; n++) {
        if (step >= s->length[n]) {
            continue;
        }
        REAL *z = NAME(gates)(s, s->z, d, n, step), *y = NAME(gates)(s, s->y, d, n, step);
        for (size_t i = 0; i < s->H; i++) {
            z[i] += q[n * s->H + i] + (bw[i] + br[i]);
        }
        NAME(keep)(s, s->h_before, d, n, step, h + n * s->H);
        NAME(activate)(&s->act[d][0], z, y, s->H);
        memcpy(h + n * s->H, y, s->H * sizeof *h);
    }
}

static void NAME(step_back)(const ox_recurrent *s, size_t d, size_t step, assay_vjp_mode mode) {
    REAL *dh = s->h, *q = s->q, *u = s->u;
    for (size_t n = 0; n < s->N; n++) {
        REAL *g = q + n * s->H;
        if (step >= s->length[n]) {
            memset(g, 0, s->H * sizeof *g);
            continue;
        }
        memcpy(g, dh + n * s->H, s->H * sizeof *g);
        NAME(slope)(&s->act[d][0], NAME(gates)(s, s->z, d, n, step), NAME(gates)(s, s->y, d, n, step), g, s->H, mode);
        memcpy(NAME(gates)(s, s->dz, d, n, step), g, s->H * sizeof *g);
    }
    NAME(multiply)(s, s->N, q, s->H, &s->r[d][0], u, s->H);
    for (size_t n = 0; n < s->N; n++) {
        if (step < s->length[n]) {
            memcpy(dh + n * s->H, u + n * s->H, s->H * sizeof *dh);
        }
    }
}
