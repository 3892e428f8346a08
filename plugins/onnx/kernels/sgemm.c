/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/sgemm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define HAVE_X86 1
#else
#define HAVE_X86 0
#endif

#define NR OX_GEMM_NR
#define KC OX_GEMM_KC
#define MC 240u      /* rows of A that stay in the cache while all of B passes */
#define MAX_ROWS 12u /* of a micro-kernel: 12 x 2 accumulators of 16 floats leave registers for B */

/* One tile: `rows` rows of A, panels b[0..n_panels) of `kc` steps, into C; `first`: overwrite, else add. `width`
 * columns of the last panel are stored. */
typedef struct tile {
    const float *a;
    size_t row, col; /* strides of A */
    const float *b;
    size_t panel; /* floats from one panel to the next */
    size_t kc;
    float *c;
    size_t ldc;
    size_t width;
    bool first;
    const ox_gemm_tail *tail; /* of the last block of k alone, moved to this tile; NULL: none */
} tile;

ox_isa ox_isa_best(void) {
#if HAVE_X86
    const char *cap = getenv("ONEDNN_MAX_CPU_ISA");
    bool old = cap != NULL && (strcmp(cap, "SSE41") == 0 || strcmp(cap, "AVX") == 0);
    bool narrow = old || (cap != NULL && strncmp(cap, "AVX2", 4) == 0);
    if (!narrow && __builtin_cpu_supports("avx512f")) {
        return OX_ISA_AVX512;
    }
    if (!old && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return OX_ISA_AVX2;
    }
#endif
    return OX_ISA_PORTABLE;
}

bool ox_gemm_packed(size_t k, size_t n, size_t *floats) {
    size_t columns = 0;
    return mem_add(n, NR - 1, &columns) && mem_mul(columns / NR * NR, k, floats);
}

void ox_gemm_pack(const float *b, size_t k, size_t n, size_t row, size_t col, float *packed) {
    for (size_t j0 = 0; j0 < n; j0 += NR) {
        size_t width = n - j0 < NR ? n - j0 : NR;
        for (size_t i = 0; i < k; i++, packed += NR) {
            const float *from = b + i * row + j0 * col;
            for (size_t j = 0; j < width; j++) {
                packed[j] = from[j * col];
            }
            memset(packed + width, 0, (NR - width) * sizeof *packed);
        }
    }
}

/* The tail of one element. A NaN stays one through every activation. */
static inline float finish(const ox_gemm_tail *t, float v, size_t r, size_t j) {
    v *= t->scale;
    v = t->bias == NULL ? v : v + t->bias[j];
    v = t->residual == NULL ? v : v + t->residual[r * t->ldr + j];
    switch (t->act.act) {
    case OX_ACT_RELU: return v < 0 ? 0 : v;
    case OX_ACT_LEAKY_RELU: return v < 0 ? t->act.alpha * v : v;
    case OX_ACT_CLIP: v = v < t->act.lo ? t->act.lo : v; return v > t->act.hi ? t->act.hi : v;
    default: return v;
    }
}

static void finish_tile(const tile *t, size_t rows, size_t columns) {
    for (size_t r = 0; t->tail != NULL && r < rows; r++) {
        float *c = t->c + r * t->ldc;
        for (size_t j = 0; j < columns; j++) {
            c[j] = finish(t->tail, c[j], r, j);
        }
    }
}

/* fmaf is one rounding, as the vector instructions are; slow where the CPU has none. */
static void tile_portable(const tile *t, size_t rows) {
    for (size_t r = 0; r < rows; r++) {
        float acc[NR] = {0};
        for (size_t k = 0; k < t->kc; k++) {
            float a = t->a[r * t->row + k * t->col];
            for (size_t j = 0; j < NR; j++) {
                acc[j] = fmaf(a, t->b[k * NR + j], acc[j]);
            }
        }
        float *c = t->c + r * t->ldc;
        for (size_t j = 0; j < t->width; j++) {
            c[j] = t->first ? acc[j] : c[j] + acc[j];
        }
    }
}

#if HAVE_X86
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 12") /* at -O2 too: an accumulator in memory halves the speed */

/* ROWS is a constant after inlining, so that the accumulators live in registers. */
__attribute__((target("avx2,fma"))) INLINE void tile_avx2(const tile *t, const size_t rows) {
    __m256 acc[6][2];
    UNROLL for (size_t r = 0; r < rows; r++) {
        acc[r][0] = acc[r][1] = _mm256_setzero_ps();
    }
    const float *b = t->b, *a = t->a;
    for (size_t k = 0; k < t->kc; k++, b += NR, a += t->col) {
        __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
        UNROLL for (size_t r = 0; r < rows; r++) {
            __m256 v = _mm256_broadcast_ss(a + r * t->row);
            acc[r][0] = _mm256_fmadd_ps(v, b0, acc[r][0]);
            acc[r][1] = _mm256_fmadd_ps(v, b1, acc[r][1]);
        }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
        float *c = t->c + r * t->ldc, out[NR];
        _mm256_storeu_ps(out, acc[r][0]);
        _mm256_storeu_ps(out + 8, acc[r][1]);
        for (size_t j = 0; j < t->width; j++) {
            c[j] = t->first ? out[j] : c[j] + out[j];
        }
    }
}

__attribute__((target("avx2,fma"))) static void rows_avx2(const tile *t, size_t rows) {
    switch (rows) {
    case 1: tile_avx2(t, 1); break;
    case 2: tile_avx2(t, 2); break;
    case 3: tile_avx2(t, 3); break;
    case 4: tile_avx2(t, 4); break;
    case 5: tile_avx2(t, 5); break;
    default: tile_avx2(t, 6); break;
    }
}

/* finish() for sixteen columns from j on of row r. */
__attribute__((target("avx512f"))) INLINE __m512 finish_avx512(const ox_gemm_tail *t, __m512 v, __mmask16 m, size_t r,
                                                               size_t j) {
    const __m512 zero = _mm512_setzero_ps();
    v = _mm512_mul_ps(v, _mm512_set1_ps(t->scale));
    if (t->bias != NULL) {
        v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(m, t->bias + j));
    }
    if (t->residual != NULL) {
        v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(m, t->residual + r * t->ldr + j));
    }
    switch (t->act.act) {
    case OX_ACT_RELU: return _mm512_mask_mov_ps(v, _mm512_cmp_ps_mask(v, zero, _CMP_LT_OQ), zero);
    case OX_ACT_LEAKY_RELU:
        return _mm512_mask_mul_ps(v, _mm512_cmp_ps_mask(v, zero, _CMP_LT_OQ), v, _mm512_set1_ps(t->act.alpha));
    case OX_ACT_CLIP: {
        __m512 lo = _mm512_set1_ps(t->act.lo), hi = _mm512_set1_ps(t->act.hi);
        v = _mm512_mask_mov_ps(v, _mm512_cmp_ps_mask(v, lo, _CMP_LT_OQ), lo);
        return _mm512_mask_mov_ps(v, _mm512_cmp_ps_mask(v, hi, _CMP_GT_OQ), hi);
    }
    default: return v;
    }
}

/* One or two panels at once. */
__attribute__((target("avx512f"))) INLINE void tile_avx512(const tile *t, const size_t rows, const size_t panels) {
    __m512 acc[MAX_ROWS][2];
    UNROLL for (size_t r = 0; r < rows; r++) {
        acc[r][0] = acc[r][1] = _mm512_setzero_ps();
    }
    const float *b = t->b, *a = t->a;
    for (size_t k = 0; k < t->kc; k++, b += NR, a += t->col) {
        __m512 b0 = _mm512_loadu_ps(b), b1 = panels == 2 ? _mm512_loadu_ps(b + t->panel) : b0;
        UNROLL for (size_t r = 0; r < rows; r++) {
            __m512 v = _mm512_set1_ps(a[r * t->row]);
            acc[r][0] = _mm512_fmadd_ps(v, b0, acc[r][0]);
            if (panels == 2) {
                acc[r][1] = _mm512_fmadd_ps(v, b1, acc[r][1]);
            }
        }
    }
    __mmask16 mask = (__mmask16)((1u << t->width) - 1u);
    UNROLL for (size_t r = 0; r < rows; r++) {
        for (size_t p = 0; p < panels; p++) {
            float *c = t->c + r * t->ldc + p * NR;
            __mmask16 m = p + 1 == panels ? mask : (__mmask16)0xffff;
            __m512 v = acc[r][p];
            if (!t->first) {
                v = _mm512_add_ps(_mm512_maskz_loadu_ps(m, c), v);
            }
            if (t->tail != NULL) {
                v = finish_avx512(t->tail, v, m, r, p * NR);
            }
            _mm512_mask_storeu_ps(c, m, v);
        }
    }
}

#define ROWS_AVX512(r)                                                                                                 \
    case r:                                                                                                            \
        if (panels == 2) {                                                                                             \
            tile_avx512(t, r, 2);                                                                                      \
        } else {                                                                                                       \
            tile_avx512(t, r, 1);                                                                                      \
        }                                                                                                              \
        break

__attribute__((target("avx512f"))) static void rows_avx512(const tile *t, size_t rows, size_t panels) {
    switch (rows) {
        ROWS_AVX512(1);
        ROWS_AVX512(2);
        ROWS_AVX512(3);
        ROWS_AVX512(4);
        ROWS_AVX512(5);
        ROWS_AVX512(6);
        ROWS_AVX512(7);
        ROWS_AVX512(8);
        ROWS_AVX512(9);
        ROWS_AVX512(10);
        ROWS_AVX512(11);
    default:
        if (panels == 2) {
            tile_avx512(t, 12, 2);
        } else {
            tile_avx512(t, 12, 1);
        }
    }
}
#endif

static void run_tile(ox_isa isa, const tile *t, size_t rows, size_t panels) {
#if HAVE_X86
    if (isa == OX_ISA_AVX512) {
        rows_avx512(t, rows, panels);
        return;
    }
    if (isa == OX_ISA_AVX2) {
        rows_avx2(t, rows);
        finish_tile(t, rows, t->width);
        return;
    }
#endif
    (void)isa;
    (void)panels;
    tile_portable(t, rows);
    finish_tile(t, rows, t->width);
}

/* Operands of a product as ox_gemm has them. */
typedef struct product {
    ox_isa isa;
    size_t m, n, k;
    const float *a;
    size_t row, col;
    const float *packed;
    float *c;
    size_t ldc;
    const ox_gemm_tail *tail;
} product;

/* The block of k from k0 on, for rows i0..i1 and columns j..j + wide. */
static void run_block(const product *p, size_t k0, size_t i0, size_t i1, size_t j, size_t wide) {
    size_t kc = p->k - k0 < KC ? p->k - k0 : KC, columns = p->n - j < wide ? p->n - j : wide;
    size_t step = p->isa == OX_ISA_AVX512 ? MAX_ROWS : (p->isa == OX_ISA_AVX2 ? 6 : 1),
           panels = (columns + NR - 1) / NR;
    ox_gemm_tail tail;
    tile t = {.row = p->row,
              .col = p->col,
              .b = p->packed + j * p->k + k0 * NR,
              .panel = p->k * NR,
              .kc = kc,
              .ldc = p->ldc,
              .width = columns - (panels - 1) * NR,
              .first = k0 == 0};
    for (size_t i = i0; i < i1; i += step) {
        t.a = p->a + i * p->row + k0 * p->col;
        t.c = p->c + i * p->ldc + j;
        if (p->tail != NULL && k0 + kc == p->k) {
            tail = *p->tail;
            tail.bias = tail.bias == NULL ? NULL : tail.bias + j;
            tail.residual = tail.residual == NULL ? NULL : tail.residual + i * tail.ldr + j;
            t.tail = &tail;
        }
        run_tile(p->isa, &t, i1 - i < step ? i1 - i : step, panels);
    }
}

/* The sum of nothing. */
static void run_empty(const product *p) {
    for (size_t i = 0; i < p->m; i++) {
        for (size_t j = 0; j < p->n; j++) {
            p->c[i * p->ldc + j] = p->tail == NULL ? 0 : finish(p->tail, 0, i, j);
        }
    }
}

void ox_gemm_then(ox_isa isa, size_t m, size_t n, size_t k, const float *a, size_t row, size_t col, const float *packed,
                  float *c, size_t ldc, const ox_gemm_tail *tail) {
    size_t wide = isa == OX_ISA_AVX512 ? 2 * NR : NR;
    const product p = {isa, m, n, k, a, row, col, packed, c, ldc, tail};
    if (k == 0) {
        run_empty(&p);
    }
    for (size_t k0 = 0; k0 < k; k0 += KC) {
        for (size_t i0 = 0; i0 < m; i0 += MC) {
            for (size_t j = 0; j < n; j += wide) {
                run_block(&p, k0, i0, m - i0 < MC ? m : i0 + MC, j, wide);
            }
        }
    }
}

void ox_gemm(ox_isa isa, size_t m, size_t n, size_t k, const float *a, size_t row, size_t col, const float *packed,
             float *c, size_t ldc) {
    ox_gemm_then(isa, m, n, k, a, row, col, packed, c, ldc, NULL);
}
