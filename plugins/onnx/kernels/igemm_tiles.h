/* SPDX-License-Identifier: Apache-2.0
 * Inside of igemm.c: the 256-bit VNNI tile, included once for each encoding of the instruction. TARGET, NAME(x) and
 * DP(acc, unsigned, signed) are set by the includer. */

/* ROWS is a constant after inlining, so that the accumulators live in registers. */
TARGET INLINE void NAME(tile)(const ox_int8_tile *t, const size_t rows, const ox_int8_form form, size_t panel) {
    __m256i acc[4][2];
    UNROLL for (size_t r = 0; r < rows; r++) {
        acc[r][0] = acc[r][1] = _mm256_set1_epi32(t->start == NULL ? 0 : t->start[r]);
    }
    const uint8_t *b = t->b;
    for (size_t o = 0; o < t->n_offsets; o++) {
        const uint8_t *v = t->v + t->offset[o] + panel * t->panel;
        for (size_t i = 0; i < t->inner; i++, v += t->inner_step, b += t->step) {
            __m256i v0 = NAME(load)(v, form, 0), v1 = NAME(load)(v, form, 1);
            UNROLL for (size_t r = 0; r < rows; r++) {
                __m256i w = _mm256_set1_epi32(four(b + r * t->row));
                acc[r][0] = form == OX_INT8_WEIGHTS ? DP(acc[r][0], w, v0) : DP(acc[r][0], v0, w);
                acc[r][1] = form == OX_INT8_WEIGHTS ? DP(acc[r][1], w, v1) : DP(acc[r][1], v1, w);
            }
        }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
        int32_t *c = t->c + r * t->ldc + panel * LANES;
        _mm256_storeu_si256((__m256i_u *)c, acc[r][0]);
        _mm256_storeu_si256((__m256i_u *)(c + 8), acc[r][1]);
    }
}

TARGET INLINE void NAME(form)(const ox_int8_tile *t, size_t rows, const ox_int8_form form, size_t panel) {
    switch (rows) {
    case 1: NAME(tile)(t, 1, form, panel); break;
    case 2: NAME(tile)(t, 2, form, panel); break;
    case 3: NAME(tile)(t, 3, form, panel); break;
    default: NAME(tile)(t, 4, form, panel); break;
    }
}

TARGET static void NAME(rows)(const ox_int8_tile *t, size_t rows, size_t panels) {
    for (size_t p = 0; p < panels; p++) {
        switch (t->form) {
        case OX_INT8_WEIGHTS: NAME(form)(t, rows, OX_INT8_WEIGHTS, p); break;
        case OX_INT8_QUADS: NAME(form)(t, rows, OX_INT8_QUADS, p); break;
        default: NAME(form)(t, rows, OX_INT8_WINDOWS, p); break;
        }
    }
}
