/* SPDX-License-Identifier: Apache-2.0
 * A template (recurrent_loop.h): one step of LSTM. Gates i, o, f, c lie in this order; p_i, p_o, p_f are peepholes,
 *     i = f(z_i + p_i C), f = f(z_f + p_f C) or 1 - i (input_forget), g = g(z_c)
 *     C' = f C + i g, o = f(z_o + p_o C'), H' = o h(C') */
/* no include guard: included once for each type */

static void NAME(cell)(const ox_recurrent *s, size_t d, REAL *z, REAL *y, REAL *c, REAL *squashed, REAL *h) {
    const size_t H = s->H;
    const REAL *p = (const REAL *)s->peephole + d * 3 * H;
    REAL *zi = z, *zo = z + H, *zf = z + 2 * H, *zg = z + 3 * H;
    REAL *yi = y, *yo = y + H, *yf = y + 2 * H, *yg = y + 3 * H;
    for (size_t i = 0; i < H; i++) {
        zi[i] += p[i] * c[i];
        zf[i] += p[2 * H + i] * c[i];
    }
    NAME(activate)(&s->act[d][0], zi, yi, H);
    NAME(activate)(&s->act[d][1], zg, yg, H);
    if (s->variant) {
        for (size_t i = 0; i < H; i++) {
            yf[i] = 1 - yi[i];
        }
    } else {
        NAME(activate)(&s->act[d][0], zf, yf, H);
    }
    for (size_t i = 0; i < H; i++) {
        c[i] = yf[i] * c[i] + yi[i] * yg[i];
        zo[i] += p[H + i] * c[i];
    }
    NAME(activate)(&s->act[d][0], zo, yo, H);
    NAME(activate)(&s->act[d][2], c, squashed, H);
    for (size_t i = 0; i < H; i++) {
        h[i] = yo[i] * squashed[i];
    }
}

static void NAME(step)(const ox_recurrent *s, size_t d, size_t step) {
    REAL *h = s->h, *c = s->cell, *q = s->q, *u = s->u;
    const REAL *bw = (const REAL *)s->bias_w + d * s->GH, *br = (const REAL *)s->bias_r + d * s->GH;
    NAME(multiply)(s, s->N, h, s->H, &s->rt[d][0], q, s->GH);
    for (size_t n = 0; n < s->N; n++) {
        if (step >= s->length[n]) {
            continue;
        }
        REAL *hn = h + n * s->H, *cn = c + n * s->H;
        REAL *z = NAME(gates)(s, s->z, d, n, step), *y = NAME(gates)(s, s->y, d, n, step);
        for (size_t i = 0; i < s->GH; i++) {
            z[i] += q[n * s->GH + i] + (bw[i] + br[i]);
        }
        NAME(keep)(s, s->h_before, d, n, step, hn);
        NAME(keep)(s, s->c_before, d, n, step, cn);
        NAME(cell)(s, d, z, y, cn, u, hn);
        NAME(keep)(s, s->c, d, n, step, cn);
        NAME(keep)(s, s->squashed, d, n, step, u);
    }
}

/* dh, dc: of after the step; dc becomes that of before. dz: (4 H). t: (H) of scratch. */
static void NAME(cell_back)(const ox_recurrent *s, size_t d, size_t n, size_t step, const REAL *dh, REAL *dc, REAL *dz,
                            REAL *t, assay_vjp_mode mode) {
    const size_t H = s->H;
    const REAL *z = NAME(gates)(s, s->z, d, n, step), *y = NAME(gates)(s, s->y, d, n, step);
    const REAL *yi = y, *yo = y + H, *yf = y + 2 * H, *yg = y + 3 * H;
    const REAL *c = NAME(kept)(s, s->c, d, n, step), *before = NAME(kept)(s, s->c_before, d, n, step);
    const REAL *squashed = NAME(kept)(s, s->squashed, d, n, step), *p = (const REAL *)s->peephole + d * 3 * H;
    REAL *di = dz, *dout = dz + H, *df = dz + 2 * H, *dg = dz + 3 * H;
    for (size_t i = 0; i < H; i++) {
        dout[i] = dh[i] * squashed[i];
        t[i] = dh[i] * yo[i];
    }
    NAME(slope)(&s->act[d][0], z + H, yo, dout, H, mode);
    NAME(slope)(&s->act[d][2], c, squashed, t, H, mode);
    for (size_t i = 0; i < H; i++) {
        t[i] += dc[i] + p[H + i] * dout[i];
        di[i] = t[i] * yg[i];
        df[i] = t[i] * before[i];
        dg[i] = t[i] * yi[i];
        dc[i] = t[i] * yf[i];
    }
    for (size_t i = 0; s->variant && i < H; i++) {
        di[i] -= df[i];
        df[i] = 0;
    }
    NAME(slope)(&s->act[d][0], z, yi, di, H, mode);
    NAME(slope)(&s->act[d][1], z + 3 * H, yg, dg, H, mode);
    if (!s->variant) {
        NAME(slope)(&s->act[d][0], z + 2 * H, yf, df, H, mode);
    }
    for (size_t i = 0; i < H; i++) {
        dc[i] += p[i] * di[i] + p[2 * H + i] * df[i];
    }
}

static void NAME(step_back)(const ox_recurrent *s, size_t d, size_t step, assay_vjp_mode mode) {
    REAL *dh = s->h, *dc = s->cell, *q = s->q, *u = s->u;
    for (size_t n = 0; n < s->N; n++) {
        REAL *g = q + n * s->GH;
        if (step >= s->length[n]) {
            memset(g, 0, s->GH * sizeof *g);
            continue;
        }
        NAME(cell_back)(s, d, n, step, dh + n * s->H, dc + n * s->H, g, u, mode);
        memcpy(NAME(gates)(s, s->dz, d, n, step), g, s->GH * sizeof *g);
    }
    NAME(multiply)(s, s->N, q, s->GH, &s->r[d][0], u, s->H);
    for (size_t n = 0; n < s->N; n++) {
        if (step < s->length[n]) {
            memcpy(dh + n * s->H, u + n * s->H, s->H * sizeof *dh);
        }
    }
}
