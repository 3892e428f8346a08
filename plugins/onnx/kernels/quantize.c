/* SPDX-License-Identifier: Apache-2.0
 * QuantizeLinear and DequantizeLinear, opset 10 (per tensor), 13 on (per axis) and 21 on (in blocks along the axis),
 * and those of com.microsoft (per tensor or axis); int8, uint8, and int32 for DequantizeLinear. QuantizeLinear of int32
 * converts to float32 first. Rounding is half to even on x / scale, then the zero point is added, then it saturates:
 * https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html
 *
 * Gradients of a quantised tensor are float32 "per quantum": dL/dq of the integer q (kernel.h). QuantizeLinear
 * is flat almost everywhere, so exact and leaky modes return exact zero; straight-through passes g / scale where
 * the rounded value needs no saturation, 0 elsewhere. DequantizeLinear is linear: g * scale in every mode. So the
 * pair has slope 1 inside the range, exactly where scale is a power of two. */
#include <math.h>

#include "kernels/common.h"
#include "kernels/simd.h"

typedef struct layout {
    size_t outer, channels, inner; /* x seen as (outer, channels, inner); channels 1 when per tensor */
    size_t block, blocks;          /* channels that share a scale, and how many such blocks there are; 0: per channel */
} layout;

/* Where the scale of element i of x stands. */
static inline size_t scale_index(const layout *l, size_t i) {
    size_t c = i / l->inner % l->channels;
    return l->block == 0 ? c : (i / l->inner / l->channels * l->blocks + c / l->block) * l->inner + i % l->inner;
}

static bool is_contrib(const ox_node *n) {
    return strncmp(n->kernel->op, "com.microsoft.", 14) == 0;
}

/* Scales of x's shape, but for the axis, which has one for each block of it. */
static status get_blocks(const ox_node *n, int64_t block, layout *l, error *err) {
    const ox_tensor *x = n->in[0], *s = n->in[1], *z = ox_input(n, 2);
    uint32_t axis = 0;
    TRY(ox_attr_axis(n, "axis", 1, x->n_dims, false, &axis, err));
    *l = (layout){ox_count(x, 0, axis), (size_t)x->shape[axis], ox_count(x, axis + 1, x->n_dims), (size_t)block, 0};
    l->blocks = l->channels / l->block + (l->channels % l->block != 0);
    bool ok = s->n_dims == x->n_dims && (z == NULL || ox_same_shape(s, z));
    for (uint32_t d = 0; ok && d < x->n_dims; d++) {
        ok = s->shape[d] == (d == axis ? (int64_t)l->blocks : x->shape[d]);
    }
    return ok ? STATUS_OK : error_set(err, STATUS_MODEL, "scales or zero points do not fit blocks of %zu", l->block);
}

static status get_layout(const ox_node *n, layout *l, error *err) {
    const ox_tensor *x = n->in[0], *s = n->in[1], *z = ox_input(n, 2);
    TRY(ox_check_attr(n, "block_size", OX_INT, err));
    int64_t block = ox_attr_int(n, "block_size", 0);
    if (block < 0 || (block > 0 && (n->opset < 21 || is_contrib(n)))) {
        return error_set(err, STATUS_MODEL, "block_size is %lld at opset %d", (long long)block, n->opset);
    }
    if (block > 0) {
        return get_blocks(n, block, l, err);
    }
    if (s->n_dims > 1) {
        return error_set(err, STATUS_MODEL, "a scale of %u dimensions without a block_size", s->n_dims);
    }
    *l = (layout){.outer = 1, .channels = 1, .inner = x->n};
    if (s->n_dims == 1 && (s->n != 1 || n->opset >= 13 || is_contrib(n))) {
        uint32_t axis = 0;
        if (n->opset < 13 && !is_contrib(n)) {
            return error_set(err, STATUS_MODEL, "a scale per axis needs opset 13, this is %d", n->opset);
        }
        if (s->n != 1) { /* one value is taken for all, whatever the axis */
            TRY(ox_attr_axis(n, "axis", 1, x->n_dims, false, &axis, err));
            if (s->n != (size_t)x->shape[axis]) {
                return error_set(err, STATUS_MODEL, "%zu scales for an axis of %zu", s->n, (size_t)x->shape[axis]);
            }
            *l = (layout){.outer = ox_count(x, 0, axis), .channels = s->n, .inner = ox_count(x, axis + 1, x->n_dims)};
        }
    }
    if (z != NULL && (z->n_dims > 1 || z->n != s->n)) {
        return error_set(err, STATUS_MODEL, "scale and zero point differ in shape");
    }
    return STATUS_OK;
}

static status need_scale(const ox_node *n, error *err) {
    const ox_tensor *s = ox_input(n, 1);
    if (ox_input(n, 0) == NULL || s == NULL || n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "input, scale or output is missing");
    }
    if (s->dtype != ASSAY_F32) {
        return error_set(err, STATUS_UNSUPPORTED, "the scale is %s; float32 is supported", ox_dtype_name(s->dtype));
    }
    if (s->is_const && s->data != NULL) {
        for (size_t i = 0; i < s->n; i++) {
            if (!(ox_f32(s)[i] > 0) || !isfinite(ox_f32(s)[i])) {
                return error_set(err, STATUS_MODEL, "scale[%zu] is %g; it must be positive and finite", i,
                                 (double)ox_f32(s)[i]);
            }
        }
    }
    return STATUS_OK;
}

static status quantize_infer(ox_node *n, error *err) {
    const ox_tensor *x = ox_input(n, 0);
    if (x == NULL) {
        return error_set(err, STATUS_MODEL, "input 0 is missing");
    }
    if (x->dtype != ASSAY_I32) {
        TRY(ox_need_float(n, 0, err));
    }
    TRY(need_scale(n, err));
    const ox_tensor *z = ox_input(n, 2);
    uint32_t dtype = z != NULL ? z->dtype : ASSAY_U8;
    TRY(ox_check_attr(n, "output_dtype", OX_INT, err)); /* opset 21; 2 and 3 of TensorProto.DataType, 0: as z */
    int64_t wanted = ox_attr_int(n, "output_dtype", 0);
    if (wanted == 3 && z == NULL) {
        dtype = ASSAY_I8;
    } else if (wanted != 0 && wanted != (dtype == ASSAY_I8 ? 3 : 2)) {
        return error_set(err, STATUS_UNSUPPORTED, "output_dtype %lld does not go with a zero point of %s",
                         (long long)wanted, ox_dtype_name(dtype));
    }
    if (dtype != ASSAY_U8 && dtype != ASSAY_I8) {
        return error_set(err, STATUS_UNSUPPORTED, "quantising to %s; int8 and uint8 are supported",
                         ox_dtype_name(dtype));
    }
    layout l = {1, 1, 1, 0, 0};
    TRY(get_layout(n, &l, err));
    return ox_set_shape(n->out[0], dtype, n->in[0]->shape, n->in[0]->n_dims, err);
}

static status dequantize_infer(ox_node *n, error *err) {
    TRY(need_scale(n, err));
    const ox_tensor *x = n->in[0], *z = ox_input(n, 2);
    if (x->dtype != ASSAY_U8 && x->dtype != ASSAY_I8 && x->dtype != ASSAY_I32) {
        return error_set(err, STATUS_UNSUPPORTED, "dequantising %s; int8, uint8 and int32 are supported",
                         ox_dtype_name(x->dtype));
    }
    if (z != NULL) {
        TRY(ox_need_dtype_of_first(n, 2, err));
    }
    layout l = {1, 1, 1, 0, 0};
    TRY(get_layout(n, &l, err));
    return ox_set_shape(n->out[0], ASSAY_F32, x->shape, x->n_dims, err);
}

static void range_of(uint32_t dtype, float *lo, float *hi) {
    *lo = dtype == ASSAY_I8 ? -128.0F : 0.0F;
    *hi = dtype == ASSAY_I8 ? 127.0F : 255.0F;
}

static float zero_at(const ox_node *n, size_t c) {
    const ox_tensor *z = ox_input(n, 2);
    return z == NULL ? 0.0F : (float)ox_at(z, c);
}

/* The value before saturation, in the precision of x. A NaN stays one. */
static double unsaturated(const ox_tensor *x, size_t i, float scale, float zero) {
    if (x->dtype == ASSAY_F32) {
        return (double)(rintf(ox_f32(x)[i] / scale) + zero);
    }
    if (x->dtype == ASSAY_I32) {
        return (double)(rintf((float)((const int32_t *)x->data)[i] / scale) + zero);
    }
    return rint(ox_at(x, i) / (double)scale) + (double)zero;
}

static status quantize_reference(ox_node *n, error *err) {
    layout l = {1, 1, 1, 0, 0};
    TRY(get_layout(n, &l, err));
    float lo = 0, hi = 0;
    range_of(n->out[0]->dtype, &lo, &hi);
    uint8_t *y = n->out[0]->data;
    for (size_t i = 0; i < n->out[0]->n; i++) {
        size_t c = scale_index(&l, i);
        double v = unsaturated(n->in[0], i, ox_f32(n->in[1])[c], zero_at(n, c));
        v = v > (double)hi ? (double)hi : (v >= (double)lo ? v : (double)lo); /* NaN: the lowest */
        y[i] = (uint8_t)(int)v;                                               /* two's complement for int8 */
    }
    return STATUS_OK;
}

/* Four values at once: x / scale rounded half to even plus zero, not saturated but kept inside +-1024, which lies
 * outside of every range; NaN becomes the lowest. The sum with 1.5 * 2^23 rounds as the FP environment's default
 * mode does, which the host guards. */
typedef struct rounder {
    float scale, inverse; /* inverse: 0 unless scale is a power of two, where x * inverse is x / scale exactly */
    float zero;
} rounder;

static rounder rounder_of(float scale, float zero) {
    int exponent = 0;
    bool power = frexpf(scale, &exponent) == 0.5F && exponent > -100 && exponent < 100;
    return (rounder){scale, power ? 1.0F / scale : 0.0F, zero};
}

static inline ox_vf over_scale(rounder r, ox_vf v) {
    return r.inverse != 0 ? v * r.inverse : v / r.scale;
}

static inline ox_vf round_four(rounder r, ox_vf x) {
    const ox_vf magic = ox_v_set(12582912.0F), far = ox_v_set(1024.0F);
    ox_vf v = ox_v_min(ox_v_max(over_scale(r, x), -far), far);
    return ((v + magic) - magic) + r.zero;
}

/* The last few values of a run take the same path as the others. */
static inline ox_vf load_some(const float *p, size_t n) {
    float v[OX_LANES] = {0};
    memcpy(v, p, (n < OX_LANES ? n : OX_LANES) * sizeof *v);
    return ox_v_load(v);
}

static inline ox_vi quantize_four(rounder r, ox_vf x, float lo, float hi) {
    ox_vf v = ox_v_min(ox_v_max(round_four(r, x), ox_v_set(lo)), ox_v_set(hi));
    return __builtin_convertvector(v, ox_vi);
}

/* Sixteen values inside their range as bytes; below SSSE3, GCC would shuffle single ones. */
static inline ox_vb bytes_of(ox_vi a, ox_vi b, ox_vi c, ox_vi d, bool is_signed) {
#if defined(__SSE2__)
    __m128i ab = _mm_packs_epi32((__m128i)a, (__m128i)b), cd = _mm_packs_epi32((__m128i)c, (__m128i)d);
    return (ox_vb)(is_signed ? _mm_packs_epi16(ab, cd) : _mm_packus_epi16(ab, cd));
#else
    (void)is_signed;
    return ox_v_bytes(a, b, c, d);
#endif
}

static void quantize_run(const float *x, rounder r, float lo, float hi, uint8_t *y, size_t len) {
    size_t i = 0;
    for (; i + 16 <= len; i += 16) {
        ox_vi a = quantize_four(r, ox_v_load(x + i), lo, hi), b = quantize_four(r, ox_v_load(x + i + 4), lo, hi);
        ox_vi c = quantize_four(r, ox_v_load(x + i + 8), lo, hi), d = quantize_four(r, ox_v_load(x + i + 12), lo, hi);
        ox_vb bytes = bytes_of(a, b, c, d, lo < 0);
        memcpy(y + i, &bytes, sizeof bytes);
    }
    for (; i < len; i += OX_LANES) {
        size_t n = len - i < OX_LANES ? len - i : OX_LANES;
        ox_vi q = quantize_four(r, load_some(x + i, n), lo, hi);
        for (size_t k = 0; k < n; k++) {
            y[i + k] = (uint8_t)q[k];
        }
    }
}

static status quantize_forward(ox_node *n, error *err) {
    if (n->in[0]->dtype != ASSAY_F32) {
        return quantize_reference(n, err);
    }
    layout l = {1, 1, 1, 0, 0};
    TRY(get_layout(n, &l, err));
    if (l.block != 0) {
        return quantize_reference(n, err);
    }
    float lo = 0, hi = 0;
    range_of(n->out[0]->dtype, &lo, &hi);
    for (size_t o = 0; o < l.outer; o++) {
        for (size_t c = 0; c < l.channels; c++) {
            size_t at = (o * l.channels + c) * l.inner;
            rounder r = rounder_of(ox_f32(n->in[1])[c], zero_at(n, c));
            quantize_run(ox_f32(n->in[0]) + at, r, lo, hi, (uint8_t *)n->out[0]->data + at, l.inner);
        }
    }
    return STATUS_OK;
}

static status quantize_vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    float *dx = ox_grad_in(n, 0);
    const float *g = ox_grad_out(n, 0);
    if (mode != ASSAY_VJP_STRAIGHT_THROUGH || dx == NULL || g == NULL) {
        return STATUS_OK;
    }
    layout l = {1, 1, 1, 0, 0};
    TRY(get_layout(n, &l, err));
    float lo = 0, hi = 0;
    range_of(n->out[0]->dtype, &lo, &hi);
    for (size_t i = 0; i < n->out[0]->n; i++) {
        size_t c = scale_index(&l, i);
        float scale = ox_f32(n->in[1])[c];
        double v = unsaturated(n->in[0], i, scale, zero_at(n, c));
        if (v >= (double)lo && v <= (double)hi) {
            dx[i] += g[i] / scale;
        }
    }
    return STATUS_OK;
}

static void quantize_vjp_run(const float *x, rounder r, float lo, float hi, const float *g, float *dx, size_t len) {
    for (size_t i = 0; i < len; i += OX_LANES) {
        size_t n = len - i < OX_LANES ? len - i : OX_LANES;
        ox_vf v = round_four(r, n == OX_LANES ? ox_v_load(x + i) : load_some(x + i, n));
        ox_vf d = over_scale(r, n == OX_LANES ? ox_v_load(g + i) : load_some(g + i, n));
        d = ox_v_select((v >= lo) & (v <= hi), d, ox_v_set(0));
        if (n == OX_LANES) {
            ox_v_store(dx + i, ox_v_load(dx + i) + d);
        }
        for (size_t k = 0; n < OX_LANES && k < n; k++) {
            dx[i + k] += d[k];
        }
    }
}

static status quantize_vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    float *dx = ox_grad_in(n, 0);
    const float *g = ox_grad_out(n, 0);
    if (mode != ASSAY_VJP_STRAIGHT_THROUGH || dx == NULL || g == NULL || n->in[0]->dtype != ASSAY_F32) {
        return quantize_vjp_reference(n, mode, err);
    }
    layout l = {1, 1, 1, 0, 0};
    TRY(get_layout(n, &l, err));
    if (l.block != 0) {
        return quantize_vjp_reference(n, mode, err);
    }
    float lo = 0, hi = 0;
    range_of(n->out[0]->dtype, &lo, &hi);
    for (size_t o = 0; o < l.outer; o++) {
        for (size_t c = 0; c < l.channels; c++) {
            size_t at = (o * l.channels + c) * l.inner;
            rounder r = rounder_of(ox_f32(n->in[1])[c], zero_at(n, c));
            quantize_vjp_run(ox_f32(n->in[0]) + at, r, lo, hi, g + at, dx + at, l.inner);
        }
    }
    return STATUS_OK;
}

/* (q - zero) * scale; an int32 difference is taken in double, where it is exact. */
static status dequantize_reference(ox_node *n, error *err) {
    layout l = {1, 1, 1, 0, 0};
    TRY(get_layout(n, &l, err));
    const ox_tensor *z = ox_input(n, 2);
    for (size_t i = 0; i < n->out[0]->n; i++) {
        size_t c = scale_index(&l, i);
        double q = ox_at(n->in[0], i) - (z == NULL ? 0 : ox_at(z, c));
        ((float *)n->out[0]->data)[i] = (float)q * ox_f32(n->in[1])[c];
    }
    return STATUS_OK;
}

#define DEQUANTIZE_RUN(type)                                                                                           \
    do {                                                                                                               \
        const type *q = (const type *)n->in[0]->data + at;                                                             \
        for (size_t i = 0; i < l.inner; i++) {                                                                         \
            y[i] = ((float)q[i] - zero) * scale;                                                                       \
        }                                                                                                              \
    } while (0)

static status dequantize_forward(ox_node *n, error *err) {
    if (n->in[0]->dtype == ASSAY_I32) {
        return dequantize_reference(n, err);
    }
    layout l = {1, 1, 1, 0, 0};
    TRY(get_layout(n, &l, err));
    if (l.block != 0) {
        return dequantize_reference(n, err);
    }
    for (size_t o = 0; o < l.outer; o++) {
        for (size_t c = 0; c < l.channels; c++) {
            size_t at = (o * l.channels + c) * l.inner;
            float scale = ox_f32(n->in[1])[c], zero = zero_at(n, c), *y = (float *)n->out[0]->data + at;
            if (n->in[0]->dtype == ASSAY_I8) {
                DEQUANTIZE_RUN(int8_t);
            } else {
                DEQUANTIZE_RUN(uint8_t);
            }
        }
    }
    return STATUS_OK;
}

static void dequantize_vjp_blocks(const ox_node *n, const layout *l, const float *g) {
    float *dx = ox_grad_in(n, 0), *ds = ox_grad_in(n, 1);
    for (size_t i = 0; i < n->in[0]->n; i++) {
        size_t c = scale_index(l, i);
        if (dx != NULL) {
            dx[i] += g[i] * ox_f32(n->in[1])[c];
        }
        if (ds != NULL) {
            ds[c] += g[i] * (float)(ox_at(n->in[0], i) - (double)zero_at(n, c));
        }
    }
}

static status dequantize_vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    float *dx = ox_grad_in(n, 0), *ds = ox_grad_in(n, 1);
    const float *g = ox_grad_out(n, 0);
    if (g == NULL) {
        return STATUS_OK;
    }
    layout l = {1, 1, 1, 0, 0};
    TRY(get_layout(n, &l, err));
    if (l.block != 0) {
        dequantize_vjp_blocks(n, &l, g);
        return STATUS_OK;
    }
    for (size_t o = 0, i = 0; o < l.outer; o++) {
        for (size_t c = 0; c < l.channels; c++) {
            float scale = ox_f32(n->in[1])[c], zero = zero_at(n, c);
            size_t end = i + l.inner;
            for (size_t k = i; dx != NULL && k < end; k++) {
                dx[k] += g[k] * scale;
            }
            double sum = 0;
            for (size_t k = i; ds != NULL && k < end; k++) {
                sum += (double)g[k] * (ox_at(n->in[0], k) - (double)zero);
            }
            if (ds != NULL) {
                ds[c] += (float)sum;
            }
            i = end;
        }
    }
    return STATUS_OK;
}

#define QUANTIZE(symbol, name, first)                                                                                  \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = (first),                                                        \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH | OX_ZERO_GRADIENT,                                  \
                                          .min_in = 2,                                                                 \
                                          .max_in = 3,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = quantize_infer,                                                     \
                                          .forward = quantize_forward,                                                 \
                                          .forward_reference = quantize_reference,                                     \
                                          .vjp = quantize_vjp,                                                         \
                                          .vjp_reference = quantize_vjp_reference}
QUANTIZE(quantize_linear, "QuantizeLinear", 10);
QUANTIZE(contrib_quantize_linear, "com.microsoft.QuantizeLinear", 1);

#define DEQUANTIZE(symbol, name, first)                                                                                \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = (first),                                                        \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH,                                                     \
                                          .min_in = 2,                                                                 \
                                          .max_in = 3,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = dequantize_infer,                                                   \
                                          .forward = dequantize_forward,                                               \
                                          .forward_reference = dequantize_reference,                                   \
                                          .vjp = dequantize_vjp}
DEQUANTIZE(dequantize_linear, "DequantizeLinear", 10);
DEQUANTIZE(contrib_dequantize_linear, "com.microsoft.DequantizeLinear", 1);
