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
        return;
    }
#endif
    (void)isa;
    (void)panels;
    tile_portable(t, rows);
}

void ox_gemm(ox_isa isa, size_t m, size_t n, size_t k, const float *a, size_t row, size_t col, const float *packed,
             float *c, size_t ldc) {
    size_t step = isa == OX_ISA_AVX512 ? MAX_ROWS : (isa == OX_ISA_AVX2 ? 6 : 1);
    size_t wide = isa == OX_ISA_AVX512 ? 2 * NR : NR;
    if (k == 0) {
        for (size_t i = 0; i < m; i++) {
            memset(c + i * ldc, 0, n * sizeof *c);
        }
    }
    for (size_t k0 = 0; k0 < k; k0 += KC) {
        size_t kc = k - k0 < KC ? k - k0 : KC;
        for (size_t j = 0; j < n; j += wide) {
            size_t columns = n - j < wide ? n - j : wide, panels = (columns + NR - 1) / NR;
            for (size_t i = 0; i < m; i += step) {
                tile t = {.a = a + i * row + k0 * col,
                          .row = row,
                          .col = col,
                          .b = packed + j * k + k0 * NR,
                          .panel = k * NR,
                          .kc = kc,
                          .c = c + i * ldc + j,
                          .ldc = ldc,
                          .width = columns - (panels - 1) * NR,
                          .first = k0 == 0};
                run_tile(isa, &t, m - i < step ? m - i : step, panels);
            }
        }
    }
}
