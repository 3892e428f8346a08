/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/igemm.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/simd.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#define HAVE_X86 1
#else
#define HAVE_X86 0
#endif

#define LANES OX_IGEMM_LANES
#define MAX_ROWS OX_IGEMM_ROWS
#define QUAD 4u        /* steps of k in one lane */
#define MAX_PANELS 16u /* of one call of a sink: 12 rows of 256 sums stay in the first cache */

/* ---- which instructions ------------------------------------------------------------------------- */

#if HAVE_X86
/* Caps by the names of oneDNN; without VNNI the 256-bit code serves all. */
static ox_int8_isa cap(void) {
    const char *v = getenv("ONEDNN_MAX_CPU_ISA");
    static const struct {
        const char *name;
        ox_int8_isa isa;
    } caps[] = {{"SSE41", OX_INT8_PORTABLE},     {"AVX", OX_INT8_PORTABLE},    {"AVX2", OX_INT8_AVX2},
                {"AVX2_VNNI", OX_INT8_AVX_VNNI}, {"AVX512_MIC", OX_INT8_AVX2}, {"AVX512_MIC_4OPS", OX_INT8_AVX2},
                {"AVX512_CORE", OX_INT8_AVX2}};
    for (size_t i = 0; v != NULL && i < sizeof caps / sizeof caps[0]; i++) {
        if (strcmp(v, caps[i].name) == 0) {
            return caps[i].isa;
        }
    }
    return OX_INT8_AVX512_VNNI;
}
#endif

#if HAVE_X86
/* Clang's __builtin_cpu_supports does not know it: leaf 7, subleaf 1, EAX bit 4. */
static bool has_avx_vnni(void) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1u) != 0;
}
#endif

bool ox_int8_has(ox_int8_isa isa) {
#if HAVE_X86
    if (isa > cap()) {
        return false;
    }
    switch (isa) {
    case OX_INT8_AVX2: return __builtin_cpu_supports("avx2");
    case OX_INT8_AVX_VNNI: return __builtin_cpu_supports("avx2") && has_avx_vnni();
    case OX_INT8_AVX512_VNNI_256:
    case OX_INT8_AVX512_VNNI:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
    default: return true;
    }
#else
    return isa == OX_INT8_PORTABLE;
#endif
}

ox_int8_isa ox_int8_best(void) {
    static const ox_int8_isa order[] = {OX_INT8_AVX512_VNNI, OX_INT8_AVX_VNNI, OX_INT8_AVX2};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (ox_int8_has(order[i])) {
            return order[i];
        }
    }
    return OX_INT8_PORTABLE;
}

/* ---- tiles -------------------------------------------------------------------------------------- */

static void tile_portable(const ox_int8_tile *t, size_t rows, size_t panels) {
    size_t lane = t->form == OX_INT8_WINDOWS ? 1 : QUAD;
    for (size_t r = 0; r < rows; r++) {
        for (size_t p = 0; p < panels; p++) {
            uint32_t acc[LANES];
            const uint8_t *b = t->b + r * t->row;
            for (size_t j = 0; j < LANES; j++) {
                acc[j] = t->start == NULL ? 0 : (uint32_t)t->start[r];
            }
            for (size_t s = 0; s < t->n_offsets * t->inner; s++, b += t->step) {
                const uint8_t *v = t->v + t->offset[s / t->inner] + s % t->inner * t->inner_step + p * t->panel;
                for (size_t j = 0; j < (size_t)LANES * QUAD; j++) {
                    uint8_t x = v[j / QUAD * lane + j % QUAD], w = b[j % QUAD];
                    int product = t->form == OX_INT8_WEIGHTS ? (int8_t)x * w : x * (int8_t)w;
                    acc[j / QUAD] += (uint32_t)product;
                }
            }
            memcpy(t->c + r * t->ldc + p * LANES, acc, sizeof acc);
        }
    }
}

#if HAVE_X86
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 12") /* at -O2 too: an accumulator in memory halves the speed */

INLINE int four(const uint8_t *p) {
    int v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Half h of a panel as 8 lanes of 4 bytes. */
#define AVX2 __attribute__((target("avx2")))
AVX2 INLINE __m256i load8(const uint8_t *v, const ox_int8_form form, const int h) {
    if (form != OX_INT8_WINDOWS) {
        return _mm256_loadu_si256((const __m256i_u *)(v + (size_t)32 * (size_t)h));
    }
    __m256i x = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i_u *)(v + (size_t)8 * (size_t)h)));
    x = _mm256_permutevar8x32_epi32(x, _mm256_setr_epi32(0, 1, 0, 0, 1, 2, 0, 0));
    return _mm256_shuffle_epi8(x, _mm256_setr_epi8(0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6, 0, 1, 2, 3, 1, 2, 3,
                                                   4, 2, 3, 4, 5, 3, 4, 5, 6));
}

/* Bytes 0 and 2, or 1 and 3 of each lane as two int16. (maddubs would add two products in int16 and saturate.) */
AVX2 INLINE __m256i even(__m256i v, const bool is_signed) {
    return is_signed ? _mm256_srai_epi16(_mm256_slli_epi16(v, 8), 8) : _mm256_and_si256(v, _mm256_set1_epi16(255));
}
AVX2 INLINE __m256i odd(__m256i v, const bool is_signed) {
    return is_signed ? _mm256_srai_epi16(v, 8) : _mm256_srli_epi16(v, 8);
}

AVX2 INLINE void tile_avx2(const ox_int8_tile *t, const size_t rows, const ox_int8_form form, size_t panel) {
    const bool vs = form == OX_INT8_WEIGHTS;
    __m256i acc[4][2];
    UNROLL for (size_t r = 0; r < rows; r++) {
        acc[r][0] = acc[r][1] = _mm256_set1_epi32(t->start == NULL ? 0 : t->start[r]);
    }
    const uint8_t *b = t->b;
    for (size_t o = 0; o < t->n_offsets; o++) {
        const uint8_t *v = t->v + t->offset[o] + panel * t->panel;
        for (size_t i = 0; i < t->inner; i++, v += t->inner_step, b += t->step) {
            __m256i x = load8(v, form, 0), y = load8(v, form, 1);
            __m256i xe = even(x, vs), xo = odd(x, vs), ye = even(y, vs), yo = odd(y, vs);
            UNROLL for (size_t r = 0; r < rows; r++) {
                __m256i w = _mm256_set1_epi32(four(b + r * t->row)), we = even(w, !vs), wo = odd(w, !vs);
                __m256i sx = _mm256_add_epi32(_mm256_madd_epi16(xe, we), _mm256_madd_epi16(xo, wo));
                __m256i sy = _mm256_add_epi32(_mm256_madd_epi16(ye, we), _mm256_madd_epi16(yo, wo));
                acc[r][0] = _mm256_add_epi32(acc[r][0], sx);
                acc[r][1] = _mm256_add_epi32(acc[r][1], sy);
            }
        }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
        int32_t *c = t->c + r * t->ldc + panel * LANES;
        _mm256_storeu_si256((__m256i_u *)c, acc[r][0]);
        _mm256_storeu_si256((__m256i_u *)(c + 8), acc[r][1]);
    }
}

AVX2 INLINE void form_avx2(const ox_int8_tile *t, size_t rows, const ox_int8_form form, size_t panel) {
    switch (rows) {
    case 1: tile_avx2(t, 1, form, panel); break;
    case 2: tile_avx2(t, 2, form, panel); break;
    case 3: tile_avx2(t, 3, form, panel); break;
    default: tile_avx2(t, 4, form, panel); break;
    }
}

AVX2 static void rows_avx2(const ox_int8_tile *t, size_t rows, size_t panels) {
    for (size_t p = 0; p < panels; p++) {
        switch (t->form) {
        case OX_INT8_WEIGHTS: form_avx2(t, rows, OX_INT8_WEIGHTS, p); break;
        case OX_INT8_QUADS: form_avx2(t, rows, OX_INT8_QUADS, p); break;
        default: form_avx2(t, rows, OX_INT8_WINDOWS, p); break;
        }
    }
}

#define TARGET __attribute__((target("avx2,avxvnni")))
#define NAME(x) x##_avx_vnni
#define load_avx_vnni load8
#define DP(acc, u, s) _mm256_dpbusd_avx_epi32(acc, u, s)
#include "kernels/igemm_tiles.h"
#undef TARGET
#undef NAME
#undef DP

#define TARGET __attribute__((target("avx2,avx512f,avx512vl,avx512vnni")))
#define NAME(x) x##_vnni_256
#define load_vnni_256 load8
#define DP(acc, u, s) _mm256_dpbusd_epi32(acc, u, s)
#include "kernels/igemm_tiles.h"
#undef TARGET
#undef NAME
#undef DP

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
VNNI INLINE __m512i load16(const uint8_t *v, const ox_int8_form form) {
    if (form != OX_INT8_WINDOWS) {
        return _mm512_loadu_si512(v);
    }
    __m512i x = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i_u *)v));
    x = _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 1, 0, 0, 1, 2, 0, 0, 2, 3, 0, 0, 3, 4, 0, 0), x);
    return _mm512_shuffle_epi8(x,
                               _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6)));
}

/* ROWS and PANELS (1 or 2) are constants after inlining. */
VNNI INLINE void tile_vnni(const ox_int8_tile *t, const size_t rows, const size_t panels, const ox_int8_form form,
                           size_t first) {
    __m512i acc[MAX_ROWS][2];
    UNROLL for (size_t r = 0; r < rows; r++) {
        acc[r][0] = acc[r][1] = _mm512_set1_epi32(t->start == NULL ? 0 : t->start[r]);
    }
    const uint8_t *b = t->b;
    for (size_t o = 0; o < t->n_offsets; o++) {
        const uint8_t *v = t->v + t->offset[o] + first * t->panel;
        for (size_t i = 0; i < t->inner; i++, v += t->inner_step, b += t->step) {
            __m512i v0 = load16(v, form), v1 = panels == 2 ? load16(v + t->panel, form) : v0;
            UNROLL for (size_t r = 0; r < rows; r++) {
                __m512i w = _mm512_set1_epi32(four(b + r * t->row));
                acc[r][0] = form == OX_INT8_WEIGHTS ? _mm512_dpbusd_epi32(acc[r][0], w, v0)
                                                    : _mm512_dpbusd_epi32(acc[r][0], v0, w);
                if (panels == 2) {
                    acc[r][1] = form == OX_INT8_WEIGHTS ? _mm512_dpbusd_epi32(acc[r][1], w, v1)
                                                        : _mm512_dpbusd_epi32(acc[r][1], v1, w);
                }
            }
        }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
        int32_t *c = t->c + r * t->ldc + first * LANES;
        _mm512_storeu_si512(c, acc[r][0]);
        if (panels == 2) {
            _mm512_storeu_si512(c + LANES, acc[r][1]);
        }
    }
}

#define ROWS_VNNI(n)                                                                                                   \
    case n:                                                                                                            \
        for (; p + 2 <= panels; p += 2) {                                                                              \
            tile_vnni(t, n, 2, form, p);                                                                               \
        }                                                                                                              \
        if (p < panels) {                                                                                              \
            tile_vnni(t, n, 1, form, p);                                                                               \
        }                                                                                                              \
        break

VNNI INLINE void form_vnni(const ox_int8_tile *t, size_t rows, size_t panels, const ox_int8_form form) {
    size_t p = 0;
    switch (rows) {
        ROWS_VNNI(1);
        ROWS_VNNI(2);
        ROWS_VNNI(4);
        ROWS_VNNI(8);
        ROWS_VNNI(12);
    default: break;
    }
}

VNNI static void rows_vnni(const ox_int8_tile *t, size_t rows, size_t panels) {
    switch (t->form) {
    case OX_INT8_WEIGHTS: form_vnni(t, rows, panels, OX_INT8_WEIGHTS); break;
    case OX_INT8_QUADS: form_vnni(t, rows, panels, OX_INT8_QUADS); break;
    default: form_vnni(t, rows, panels, OX_INT8_WINDOWS); break;
    }
}
#endif

static void rows_run(ox_int8_isa isa, const ox_int8_tile *t, size_t rows, size_t panels) {
#if HAVE_X86
    switch (isa) {
    case OX_INT8_AVX2: rows_avx2(t, rows, panels); return;
    case OX_INT8_AVX_VNNI: rows_avx_vnni(t, rows, panels); return;
    case OX_INT8_AVX512_VNNI_256: rows_vnni_256(t, rows, panels); return;
    case OX_INT8_AVX512_VNNI: rows_vnni(t, rows, panels); return;
    default: break;
    }
#endif
    (void)isa;
    tile_portable(t, rows, panels);
}

/* The largest block of rows that has code: 1 to 4 with 256 bits; 1, 2, 4, 8 and 12 with 512, where 16 rows are better
 * cut in halves. */
static size_t block_of(ox_int8_isa isa, size_t rows) {
    if (isa != OX_INT8_AVX512_VNNI) {
        return rows < 4 ? rows : 4;
    }
    return rows == 16 ? 8 : (rows >= 12 ? 12 : (rows >= 8 ? 8 : (rows >= 4 ? 4 : (rows >= 2 ? 2 : 1))));
}

void ox_int8_tile_run(ox_int8_isa isa, const ox_int8_tile *t, size_t rows, size_t panels) {
    ox_int8_tile part = *t;
    for (size_t r = 0; r < rows;) {
        size_t block = block_of(isa, rows - r);
        part.b = t->b + r * t->row;
        part.c = t->c + r * t->ldc;
        part.start = t->start == NULL ? NULL : t->start + r;
        rows_run(isa, &part, block, panels);
        r += block;
    }
}

/* ---- matrices ----------------------------------------------------------------------------------- */

static size_t quads(size_t k) {
    return k / QUAD + (k % QUAD != 0);
}

bool ox_igemm_packed(size_t k, size_t n, size_t *bytes) {
    size_t columns = 0;
    return mem_add(n, LANES - 1, &columns) && mem_mul(columns / LANES * LANES * QUAD, quads(k), bytes);
}

void ox_igemm_pack(const void *b, bool is_signed, size_t k, size_t n, size_t row, size_t col, uint8_t *packed,
                   int32_t *sums) {
    const uint8_t *from = b;
    const uint8_t flip = is_signed ? 0 : 0x80;
    memset(sums, 0, n * sizeof *sums);
    for (size_t j0 = 0; j0 < n; j0 += LANES) {
        size_t width = n - j0 < LANES ? n - j0 : LANES;
        for (size_t i = 0; i < k; i += QUAD, packed += (size_t)LANES * QUAD) {
            memset(packed, 0, (size_t)LANES * QUAD);
            for (size_t j = 0; j < width; j++) {
                for (size_t q = 0; q < QUAD && i + q < k; q++) {
                    uint8_t v = from[(i + q) * row + (j0 + j) * col] ^ flip;
                    packed[j * QUAD + q] = v;
                    sums[j0 + j] = (int32_t)((uint32_t)sums[j0 + j] + (uint32_t)(int8_t)v);
                }
            }
        }
    }
}

#define SUMS_BYTES ((size_t)MAX_ROWS * MAX_PANELS * LANES * sizeof(int32_t))

bool ox_igemm_scratch(size_t k, size_t *bytes) {
    size_t row = 0;
    return mem_mul(quads(k) * QUAD, MAX_ROWS, &row) && mem_add(row, SUMS_BYTES, bytes);
}

/* Rows of A as uint8, filled up to whole quads; what fills is multiplied by zeros. */
static void copy_rows(const uint8_t *a, size_t rows, size_t k, size_t row, size_t col, uint8_t flip, uint8_t *to) {
    for (size_t r = 0; r < rows; r++, to += quads(k) * QUAD) {
        const uint8_t *from = a + r * row;
        if (col == 1) {
            for (size_t i = 0; i < k; i++) {
                to[i] = from[i] ^ flip;
            }
        } else {
            for (size_t i = 0; i < k; i++) {
                to[i] = from[i * col] ^ flip;
            }
        }
        memset(to + k, 0, quads(k) * QUAD - k);
    }
}

void ox_igemm(ox_int8_isa isa, size_t m, size_t n, size_t k, const void *a, bool is_signed, size_t row, size_t col,
              const uint8_t *packed, void *scratch, ox_int8_sink sink, void *ctx) {
    const size_t none = 0, panel = quads(k) * QUAD * LANES, all = n / LANES + (n % LANES != 0);
    int32_t *sums = scratch;
    uint8_t *copy = (uint8_t *)scratch + SUMS_BYTES;
    bool direct = !is_signed && col == 1 && k % QUAD == 0;
    for (size_t p = 0; p < all; p += MAX_PANELS) {
        size_t panels = all - p < MAX_PANELS ? all - p : MAX_PANELS, j = p * LANES;
        size_t len = n - j < panels * LANES ? n - j : panels * LANES;
        for (size_t i = 0, rows = 0; i < m; i += rows) {
            rows = m - i == 16 ? 8 : (m - i < MAX_ROWS ? m - i : MAX_ROWS);
            const uint8_t *from = (const uint8_t *)a + i * row;
            if (!direct) {
                copy_rows(from, rows, k, row, col, is_signed ? 0x80 : 0, copy);
            }
            ox_int8_tile t = {.form = OX_INT8_WEIGHTS,
                              .v = packed + p * panel,
                              .offset = &none,
                              .n_offsets = 1,
                              .inner = quads(k),
                              .inner_step = (size_t)LANES * QUAD,
                              .panel = panel,
                              .b = direct ? from : copy,
                              .row = direct ? row : quads(k) * QUAD,
                              .step = QUAD,
                              .c = sums,
                              .ldc = (size_t)MAX_PANELS * LANES};
            ox_int8_tile_run(isa, &t, rows, panels);
            for (size_t r = 0; r < rows; r++) {
                sink(ctx, i + r, j, sums + r * MAX_PANELS * LANES, len);
            }
        }
    }
}

/* ---- back to 8 bits ----------------------------------------------------------------------------- */

/* Scales and sums of one run: `step` is 0 where one scale holds for all. */
typedef struct run {
    ox_requant q;
    const int32_t *acc;
    int32_t add;
    const float *scale;
    size_t step;
    uint8_t *y;
} run;

/* |v| is at most 511 after the clamp, so that 1.5 * 2^23 rounds half to even and the sum with zero is exact. A NaN is
 * the lowest: ox_v_max gives its second operand then. */
static inline ox_vi requantize_four(const run *r, const int32_t *acc, const float *scale) {
    typedef uint32_t wide __attribute__((vector_size(16)));
    const ox_vf magic = ox_v_set(12582912.0F);
    wide sum;
    memcpy(&sum, acc, sizeof sum);
    ox_vf v = __builtin_convertvector((ox_vi)(sum + (uint32_t)r->add), ox_vf);
    v *= r->step == 0 ? ox_v_set(*scale) : ox_v_load(scale);
    v = ox_v_min(ox_v_max(v, ox_v_set(r->q.lo - r->q.zero)), ox_v_set(r->q.hi - r->q.zero));
    return __builtin_convertvector(((v + magic) - magic) + r->q.zero, ox_vi);
}

/* From element i on; the last few take the same path. */
static void requantize_rest(const run *r, size_t i, size_t len) {
    for (; i < len; i += OX_LANES) {
        size_t n = len - i < OX_LANES ? len - i : OX_LANES;
        int32_t some[OX_LANES] = {0};
        float s[OX_LANES] = {0};
        memcpy(some, r->acc + i, n * sizeof *some);
        memcpy(s, r->scale + r->step * i, (r->step == 0 ? 1 : n) * sizeof *s);
        ox_vi v = requantize_four(r, some, s);
        for (size_t k = 0; k < n; k++) {
            r->y[i + k] = (uint8_t)v[k];
        }
    }
}

#if HAVE_X86
AVX2 INLINE __m256i requantize_eight(const run *r, size_t i) {
    __m256i sum = _mm256_add_epi32(_mm256_loadu_si256((const __m256i_u *)(r->acc + i)), _mm256_set1_epi32(r->add));
    __m256 scale = r->step == 0 ? _mm256_set1_ps(*r->scale) : _mm256_loadu_ps(r->scale + i);
    __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale);
    v = _mm256_max_ps(v, _mm256_set1_ps(r->q.lo - r->q.zero));
    v = _mm256_min_ps(v, _mm256_set1_ps(r->q.hi - r->q.zero));
    v = _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    return _mm256_cvtps_epi32(_mm256_add_ps(v, _mm256_set1_ps(r->q.zero)));
}

AVX2 static void requantize_avx2(const run *r, size_t len) {
    size_t i = 0;
    for (; i + 16 <= len; i += 16) {
        __m256i v = _mm256_packs_epi32(requantize_eight(r, i), requantize_eight(r, i + 8));
        v = _mm256_permute4x64_epi64(v, 0xd8); /* packs works within halves */
        __m128i lo = _mm256_castsi256_si128(v), hi = _mm256_extracti128_si256(v, 1);
        __m128i bytes = r->q.lo < 0 ? _mm_packs_epi16(lo, hi) : _mm_packus_epi16(lo, hi);
        _mm_storeu_si128((__m128i_u *)(r->y + i), bytes);
    }
    requantize_rest(r, i, len);
}

/* n rows of `len`, the sums `pitch` apart. */
VNNI static void requantize_vnni(const run *r, size_t len, size_t n, size_t pitch) {
    const __m512 one = _mm512_set1_ps(*r->scale);
    const __m512 lo = _mm512_set1_ps(r->q.lo - r->q.zero), hi = _mm512_set1_ps(r->q.hi - r->q.zero);
    const __m512i add = _mm512_set1_epi32(r->add), zero = _mm512_set1_epi32((int32_t)r->q.zero);
    const int32_t *acc = r->acc;
    const float *scale = r->step == 0 ? NULL : r->scale;
    uint8_t *y = r->y;
    for (size_t row = 0; row < n; row++, acc += pitch, y += len) {
        for (size_t i = 0; i < len; i += 16) {
            unsigned bits = len - i < 16 ? (1u << (len - i)) - 1u : 0xffffu;
            __mmask16 m = (__mmask16)bits;
            __m512i sum = _mm512_add_epi32(_mm512_maskz_loadu_epi32(m, acc + i), add);
            __m512 v =
                _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale == NULL ? one : _mm512_maskz_loadu_ps(m, scale + i));
            v = _mm512_min_ps(_mm512_max_ps(v, lo), hi);
            _mm512_mask_cvtepi32_storeu_epi8(y + i, m, _mm512_add_epi32(_mm512_cvtps_epi32(v), zero));
        }
    }
}
#endif

static void requantize(const run *r, size_t len) {
#if HAVE_X86
    if (r->q.isa >= OX_INT8_AVX512_VNNI_256) {
        requantize_vnni(r, len, 1, len);
        return;
    }
    if (r->q.isa >= OX_INT8_AVX2) {
        requantize_avx2(r, len);
        return;
    }
#endif
    requantize_rest(r, 0, len);
}

void ox_requantize_rows(ox_requant q, const int32_t *acc, size_t pitch, size_t len, size_t n, int32_t add, float scale,
                        uint8_t *y) {
    run r = {q, acc, add, &scale, 0, y};
    if (pitch == len) {
        requantize(&r, n * len);
        return;
    }
#if HAVE_X86
    if (q.isa >= OX_INT8_AVX512_VNNI_256) {
        requantize_vnni(&r, len, n, pitch);
        return;
    }
#endif
    for (size_t i = 0; i < n; i++, r.acc += pitch, r.y += len) {
        requantize(&r, len);
    }
}

void ox_requantize_columns(ox_requant q, const int32_t *acc, const float *scale, uint8_t *y, size_t len) {
    if (len > 0) {
        requantize(&(run){q, acc, 0, scale, 1, y}, len);
    }
}
