/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/quantized.h"

status ox_need_byte(const ox_node *n, size_t i, error *err) {
    const ox_tensor *t = ox_input(n, i);
    if (t == NULL) {
        return error_set(err, STATUS_MODEL, "input %zu is missing", i);
    }
    if (!ox_is_byte(t->dtype)) {
        return error_set(err, STATUS_UNSUPPORTED, "input %zu is %s; int8 or uint8 is supported", i,
                         ox_dtype_name(t->dtype));
    }
    return STATUS_OK;
}

status ox_need_zero(const ox_node *n, size_t i, size_t of, error *err) {
    const ox_tensor *z = ox_input(n, i);
    if (z == NULL) {
        return STATUS_OK;
    }
    if (z->dtype != n->in[of]->dtype) {
        return error_set(err, STATUS_MODEL, "zero point %zu is %s, its values are %s", i, ox_dtype_name(z->dtype),
                         ox_dtype_name(n->in[of]->dtype));
    }
    if (z->n != 1) {
        return error_set(err, STATUS_MODEL, "zero point %zu has %zu values where 1 is needed", i, z->n);
    }
    return STATUS_OK;
}

status ox_need_scales(const ox_node *n, size_t i, error *err) {
    const ox_tensor *s = ox_input(n, i);
    if (s == NULL) {
        return error_set(err, STATUS_MODEL, "scale %zu is missing", i);
    }
    if (s->dtype != ASSAY_F32) {
        return error_set(err, STATUS_UNSUPPORTED, "scale %zu is %s; float32 is supported", i, ox_dtype_name(s->dtype));
    }
    for (size_t k = 0; s->is_const && s->data != NULL && k < s->n; k++) {
        if (!(ox_f32(s)[k] > 0) || !isfinite(ox_f32(s)[k])) {
            return error_set(err, STATUS_MODEL, "scale %zu [%zu] is %g; it must be positive and finite", i, k,
                             (double)ox_f32(s)[k]);
        }
    }
    return STATUS_OK;
}

status ox_need_scale(const ox_node *n, size_t i, error *err) {
    TRY(ox_need_scales(n, i, err));
    if (n->in[i]->n != 1) {
        return error_set(err, STATUS_MODEL, "scale %zu has %zu values where 1 is needed", i, n->in[i]->n);
    }
    return STATUS_OK;
}

status ox_need_output(const ox_node *n, size_t scale, size_t zero, uint32_t *dtype, error *err) {
    const ox_tensor *z = ox_input(n, zero);
    TRY(ox_need_scale(n, scale, err));
    if (z != NULL && z->n != 1) {
        return error_set(err, STATUS_MODEL, "zero point %zu has %zu values where 1 is needed", zero, z->n);
    }
    *dtype = z == NULL ? ASSAY_U8 : z->dtype;
    if (!ox_is_byte(*dtype)) {
        return error_set(err, STATUS_UNSUPPORTED, "an output of %s; int8 or uint8 is supported", ox_dtype_name(*dtype));
    }
    return STATUS_OK;
}

void ox_dequantize_table(uint32_t dtype, float scale, int32_t zero, float table[256]) {
    for (int i = 0; i < 256; i++) {
        int q = dtype == ASSAY_I8 ? (int8_t)(uint8_t)i : i;
        table[i] = (float)(q - zero) * scale;
    }
}
