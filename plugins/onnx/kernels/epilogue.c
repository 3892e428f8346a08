/* SPDX-License-Identifier: Apache-2.0
 * Each loop is compiled once for every vector width; all of them give the same bits, as every operation is on one
 * element. */
#include "kernels/epilogue.h"

#include "kernels/map.h"

#if defined(__x86_64__)
#if defined(__clang__) /* knows no preferred width */
#define FOR_AVX512 __attribute__((target("avx512f,avx512vl")))
#else
#define FOR_AVX512 __attribute__((target("avx512f,avx512vl,prefer-vector-width=512")))
#endif
#define FOR_AVX2 __attribute__((target("avx2")))
#define HAVE_X86 1
#else
#define HAVE_X86 0
#endif

typedef struct slopes {
    float dead, above; /* what passes at and below lo (or 0), at and above hi */
} slopes;

static slopes slopes_of(const ox_epilogue *e, assay_vjp_mode mode) {
    float leak = mode == ASSAY_VJP_LEAKY ? (float)OX_LEAKY_SLOPE : 0;
    switch (e->act) {
    case OX_ACT_RELU: return (slopes){leak, 1};
    case OX_ACT_LEAKY_RELU: return (slopes){e->alpha, 1};
    case OX_ACT_CLIP: leak = mode == ASSAY_VJP_STRAIGHT_THROUGH ? 1 : leak; return (slopes){leak, leak};
    default: return (slopes){1, 1};
    }
}

OX_INLINE void relu(float *y, const float *r, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float v = r == NULL ? y[i] : y[i] + r[i];
        y[i] = v < 0 ? 0 : v; /* a NaN stays one */
    }
}

OX_INLINE void leaky(float *y, const float *r, size_t n, float alpha) {
    for (size_t i = 0; i < n; i++) {
        float v = r == NULL ? y[i] : y[i] + r[i];
        y[i] = v < 0 ? alpha * v : v;
    }
}

OX_INLINE void clip(float *y, const float *r, size_t n, float lo, float hi) {
    for (size_t i = 0; i < n; i++) {
        float v = r == NULL ? y[i] : y[i] + r[i];
        v = v < lo ? lo : v;
        y[i] = v > hi ? hi : v;
    }
}

OX_INLINE void linear(float *y, const float *r, size_t n) {
    for (size_t i = 0; r != NULL && i < n; i++) {
        y[i] += r[i];
    }
}

OX_INLINE void apply(const ox_epilogue *e, float *restrict y, const float *restrict r, size_t n) {
    switch (e->act) {
    case OX_ACT_RELU:
        if (r == NULL) {
            relu(y, NULL, n);
        } else {
            relu(y, r, n);
        }
        break;
    case OX_ACT_LEAKY_RELU: leaky(y, r, n, e->alpha); break;
    case OX_ACT_CLIP:
        if (r == NULL) {
            clip(y, NULL, n, e->lo, e->hi);
        } else {
            clip(y, r, n, e->lo, e->hi);
        }
        break;
    default: linear(y, r, n);
    }
}

/* Never a product with a slope of 0: 0 * NaN would be NaN. */
OX_INLINE float passed(float slope, float g) {
    return slope > 0 ? slope * g : 0;
}

OX_INLINE void differentiate(const ox_epilogue *e, slopes s, const float *y, const float *g, float *d, size_t n) {
    if (e->act == OX_ACT_CLIP) {
        for (size_t i = 0; i < n; i++) {
            d[i] = y[i] > e->lo && y[i] < e->hi ? g[i] : passed(s.dead, g[i]);
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        d[i] = y[i] > 0 ? g[i] : passed(s.dead, g[i]);
    }
}

OX_INLINE void accumulate(float *restrict to, const float *restrict from, size_t n) {
    for (size_t i = 0; i < n; i++) {
        to[i] += from[i];
    }
}

static void apply_plain(const ox_epilogue *e, float *y, const float *r, size_t n) {
    apply(e, y, r, n);
}
static void vjp_plain(const ox_epilogue *e, slopes s, const float *y, const float *g, float *d, size_t n) {
    differentiate(e, s, y, g, d, n);
}
static void accumulate_plain(float *to, const float *from, size_t n) {
    accumulate(to, from, n);
}
#if HAVE_X86
FOR_AVX2 static void apply_avx2(const ox_epilogue *e, float *y, const float *r, size_t n) {
    apply(e, y, r, n);
}
FOR_AVX512 static void apply_avx512(const ox_epilogue *e, float *y, const float *r, size_t n) {
    apply(e, y, r, n);
}
FOR_AVX2 static void vjp_avx2(const ox_epilogue *e, slopes s, const float *y, const float *g, float *d, size_t n) {
    differentiate(e, s, y, g, d, n);
}
FOR_AVX512 static void vjp_avx512(const ox_epilogue *e, slopes s, const float *y, const float *g, float *d, size_t n) {
    differentiate(e, s, y, g, d, n);
}
FOR_AVX2 static void accumulate_avx2(float *to, const float *from, size_t n) {
    accumulate(to, from, n);
}
FOR_AVX512 static void accumulate_avx512(float *to, const float *from, size_t n) {
    accumulate(to, from, n);
}
#endif

#if HAVE_X86
#define DISPATCH(isa, name, ...)                                                                                       \
    do {                                                                                                               \
        if ((isa) == OX_ISA_AVX512) {                                                                                  \
            name##_avx512(__VA_ARGS__);                                                                                \
        } else if ((isa) == OX_ISA_AVX2) {                                                                             \
            name##_avx2(__VA_ARGS__);                                                                                  \
        } else {                                                                                                       \
            name##_plain(__VA_ARGS__);                                                                                 \
        }                                                                                                              \
    } while (0)
#else
#define DISPATCH(isa, name, ...) ((void)(isa), name##_plain(__VA_ARGS__))
#endif

void ox_epilogue_apply(ox_isa isa, const ox_epilogue *e, float *y, const float *residual, size_t n) {
    DISPATCH(isa, apply, e, y, residual, n);
}

void ox_epilogue_vjp(ox_isa isa, const ox_epilogue *e, assay_vjp_mode mode, const float *y, const float *g, float *d,
                     size_t n) {
    if (e->act == OX_ACT_LINEAR) {
        if (d != g) {
            memcpy(d, g, n * sizeof *d);
        }
        return;
    }
    slopes s = slopes_of(e, mode);
    DISPATCH(isa, vjp, e, s, y, g, d, n);
}

void ox_accumulate(ox_isa isa, float *to, const float *from, size_t n, bool fresh) {
    if (fresh) {
        memcpy(to, from, n * sizeof *to);
        return;
    }
    DISPATCH(isa, accumulate, to, from, n);
}

void ox_clear_fresh(const ox_node *n) {
    for (size_t i = 0; i < n->n_in; i++) {
        if (n->grad_in[i] != NULL && ox_is_fresh(n, i)) {
            memset(n->grad_in[i], 0, n->in[i]->n * sizeof(float));
        }
    }
}
