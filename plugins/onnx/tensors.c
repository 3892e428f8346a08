/* SPDX-License-Identifier: Apache-2.0 */
#include "tensors.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef enum list_kind { LIST_FLOAT, LIST_INT32, LIST_INT64, LIST_DOUBLE, LIST_UINT64 } list_kind;

/* Two elements per byte, the first in the low bits (opset 21; not in this onnx.proto's list of types). */
#define TYPE_UINT4 21
#define TYPE_INT4 22

/* How a data type is stored: bytes per element in raw_data, and which typed list it uses instead. */
typedef struct storage {
    int type;
    uint32_t dtype;   /* what it becomes */
    size_t raw_bytes; /* 0: half a byte */
    list_kind list;
} storage;

#define TYPE(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name
static const storage storages[] = {
    {TYPE(FLOAT), ASSAY_F32, 4, LIST_FLOAT},   {TYPE(UINT8), ASSAY_U8, 1, LIST_INT32},
    {TYPE(INT8), ASSAY_I8, 1, LIST_INT32},     {TYPE(INT32), ASSAY_I32, 4, LIST_INT32},
    {TYPE(INT64), ASSAY_I64, 8, LIST_INT64},   {TYPE(BOOL), ASSAY_BOOL, 1, LIST_INT32},
    {TYPE(FLOAT16), ASSAY_F32, 2, LIST_INT32}, {TYPE(BFLOAT16), ASSAY_F32, 2, LIST_INT32},
    {TYPE(DOUBLE), ASSAY_F32, 8, LIST_DOUBLE}, {TYPE(INT16), ASSAY_I32, 2, LIST_INT32},
    {TYPE(UINT16), ASSAY_I32, 2, LIST_INT32},  {TYPE(UINT32), ASSAY_I64, 4, LIST_UINT64},
    {TYPE(UINT64), ASSAY_I64, 8, LIST_UINT64}, {TYPE_UINT4, ASSAY_U8, 0, LIST_INT32},
    {TYPE_INT4, ASSAY_I8, 0, LIST_INT32},
};

static const storage *storage_of(int type) {
    for (size_t i = 0; i < sizeof storages / sizeof storages[0]; i++) {
        if (storages[i].type == type) {
            return &storages[i];
        }
    }
    return NULL;
}

uint32_t ox_dtype_of_onnx(int type) {
    const storage *s = storage_of(type);
    return s == NULL ? 0 : s->dtype;
}

static size_t list_count(const Onnx__TensorProto *p, list_kind k) {
    switch (k) {
    case LIST_FLOAT: return p->n_float_data;
    case LIST_INT32: return p->n_int32_data;
    case LIST_INT64: return p->n_int64_data;
    case LIST_UINT64: return p->n_uint64_data;
    default: return p->n_double_data;
    }
}

static status check_dims(const Onnx__TensorProto *p, ox_tensor *t, error *err) {
    if (p->n_dims > ASSAY_MAX_DIMS) {
        return error_set(err, STATUS_UNSUPPORTED, "%zu dimensions, more than %d", p->n_dims, ASSAY_MAX_DIMS);
    }
    t->n_dims = (uint32_t)p->n_dims;
    t->n = 1;
    for (uint32_t i = 0; i < t->n_dims; i++) {
        t->shape[i] = p->dims[i];
        if (p->dims[i] < 0 || !mem_mul(t->n, (size_t)p->dims[i], &t->n)) {
            return error_set(err, STATUS_MODEL, "dimension %u is %" PRId64, i, p->dims[i]);
        }
    }
    return STATUS_OK;
}

status ox_tensor_check(const Onnx__TensorProto *p, ox_tensor *t, size_t *bytes, size_t *stored, error *err) {
    const storage *s = storage_of(p->data_type);
    if (s == NULL) {
        return error_set(err, STATUS_UNSUPPORTED, "data type %d is not supported", (int)p->data_type);
    }
    if (p->n_external_data > 0 || p->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
        return error_set(err, STATUS_UNSUPPORTED, "its data are in another file");
    }
    if (p->segment != NULL) {
        return error_set(err, STATUS_UNSUPPORTED, "it is a segment of a tensor, which is not supported");
    }
    TRY(check_dims(p, t, err));
    size_t n_lists =
        p->n_float_data + p->n_int32_data + p->n_int64_data + p->n_double_data + p->n_uint64_data + p->n_string_data;
    size_t own = list_count(p, s->list);
    if (n_lists != own || (own > 0 && p->raw_data.len > 0)) {
        return error_set(err, STATUS_MODEL, "its data are in a field that does not go with its type, or in two");
    }
    bool raw = own == 0;
    size_t want = t->n / 2 + t->n % 2, have = raw ? p->raw_data.len : own;
    if ((s->raw_bytes > 0 && !mem_mul(t->n, raw ? s->raw_bytes : 1, &want)) || want != have) {
        return error_set(err, STATUS_MODEL, "its shape needs %zu elements, its data are %zu %s", t->n, have,
                         raw ? "bytes" : "elements");
    }
    t->dtype = s->dtype;
    t->is_const = true;
    *stored = s->raw_bytes > 0 ? t->n * s->raw_bytes : want; /* no overflow: bounded by the file's size */
    *bytes = t->n * ox_dtype_bytes(s->dtype);
    return STATUS_OK;
}

/* IEEE 754 binary16. */
static float half_to_float(uint16_t h) {
    unsigned exponent = (h >> 10) & 31u, mantissa = h & 1023u;
    float v = 0;
    if (exponent == 31) {
        v = mantissa != 0 ? NAN : INFINITY;
    } else if (exponent == 0) {
        v = ldexpf((float)mantissa, -24);
    } else {
        v = ldexpf((float)(mantissa + 1024u), (int)exponent - 25);
    }
    return (h & 0x8000u) != 0 ? -v : v;
}

static float bfloat_to_float(uint16_t b) {
    uint32_t bits = (uint32_t)b << 16;
    float v = 0;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static status too_large(size_t i, uint64_t v, error *err) {
    return error_set(err, STATUS_UNSUPPORTED, "element %zu is %" PRIu64 ", which int64 does not hold", i, v);
}

/* The types that are stored otherwise than the executor holds them; element i at `raw`. */
static status convert_raw(const uint8_t *raw, ox_tensor *t, size_t i, int type, error *err) {
    uint16_t u = 0;
    int16_t s = 0;
    uint32_t w = 0;
    uint64_t l = 0;
    double d = 0;
    switch (type) {
    case TYPE(DOUBLE):
        memcpy(&d, raw + 8 * i, sizeof d);
        ((float *)t->data)[i] = (float)d;
        return STATUS_OK;
    case TYPE(INT16):
        memcpy(&s, raw + 2 * i, sizeof s);
        ((int32_t *)t->data)[i] = s;
        return STATUS_OK;
    case TYPE(UINT32):
        memcpy(&w, raw + 4 * i, sizeof w);
        ((int64_t *)t->data)[i] = w;
        return STATUS_OK;
    case TYPE(UINT64):
        memcpy(&l, raw + 8 * i, sizeof l);
        ((int64_t *)t->data)[i] = (int64_t)(l & INT64_MAX);
        return l <= INT64_MAX ? STATUS_OK : too_large(i, l, err);
    case TYPE(BOOL): ((uint8_t *)t->data)[i] = raw[i] != 0; return STATUS_OK;
    default: break;
    }
    memcpy(&u, raw + 2 * i, sizeof u);
    if (type == TYPE(UINT16)) {
        ((int32_t *)t->data)[i] = u;
    } else {
        ((float *)t->data)[i] = type == TYPE(FLOAT16) ? half_to_float(u) : bfloat_to_float(u);
    }
    return STATUS_OK;
}

/* Element i of two per byte: bits 0 to 3 of `byte`, or 4 to 7 where i is odd. */
static void put_nibble(ox_tensor *t, size_t i, unsigned byte) {
    unsigned v = (i % 2 == 0 ? byte : byte >> 4) & 15u;
    if (t->dtype == ASSAY_I8) {
        ((int8_t *)t->data)[i] = (int8_t)((int)v - (v >= 8 ? 16 : 0));
    } else {
        ((uint8_t *)t->data)[i] = (uint8_t)v;
    }
}

static void fill_nibbles(const Onnx__TensorProto *p, ox_tensor *t) {
    bool raw = p->n_int32_data == 0;
    for (size_t i = 0; i < t->n; i++) {
        put_nibble(t, i, raw ? p->raw_data.data[i / 2] : (unsigned)p->int32_data[i / 2]);
    }
}

static status fill_raw(const Onnx__TensorProto *p, ox_tensor *t, error *err) {
    const uint8_t *raw = p->raw_data.data;
    switch (p->data_type) {
    case TYPE(FLOAT):
    case TYPE(UINT8):
    case TYPE(INT8):
    case TYPE(INT32):
    case TYPE(INT64): memcpy(t->data, raw, t->n * ox_dtype_bytes(t->dtype)); return STATUS_OK;
    default: break;
    }
    for (size_t i = 0; i < t->n; i++) {
        TRY(convert_raw(raw, t, i, p->data_type, err));
    }
    return STATUS_OK;
}

/* int32_data carries the narrow types, one element per value. False if `v` does not fit the type. */
static bool put_int32(ox_tensor *t, size_t i, int32_t v, int type) {
    switch (type) {
    case TYPE(UINT8): ((uint8_t *)t->data)[i] = (uint8_t)v; return v >= 0 && v <= UINT8_MAX;
    case TYPE(INT8): ((int8_t *)t->data)[i] = (int8_t)v; return v >= INT8_MIN && v <= INT8_MAX;
    case TYPE(BOOL): ((uint8_t *)t->data)[i] = v != 0; return true;
    case TYPE(INT16): ((int32_t *)t->data)[i] = v; return v >= INT16_MIN && v <= INT16_MAX;
    case TYPE(UINT16): ((int32_t *)t->data)[i] = v; return v >= 0 && v <= UINT16_MAX;
    case TYPE(FLOAT16): ((float *)t->data)[i] = half_to_float((uint16_t)v); return v >= 0 && v <= UINT16_MAX;
    case TYPE(BFLOAT16): ((float *)t->data)[i] = bfloat_to_float((uint16_t)v); return v >= 0 && v <= UINT16_MAX;
    default: ((int32_t *)t->data)[i] = v; return true;
    }
}

static status put_uint64(ox_tensor *t, size_t i, uint64_t v, int type, error *err) {
    if (type == TYPE(UINT32) && v > UINT32_MAX) {
        return error_set(err, STATUS_MODEL, "element %zu is %" PRIu64 ", outside its type", i, v);
    }
    ((int64_t *)t->data)[i] = (int64_t)(v & INT64_MAX);
    return v <= INT64_MAX ? STATUS_OK : too_large(i, v, err);
}

status ox_tensor_fill(const Onnx__TensorProto *p, ox_tensor *t, error *err) {
    if (t->n == 0) {
        return STATUS_OK;
    }
    const storage *s = storage_of(p->data_type);
    if (s->raw_bytes == 0) {
        fill_nibbles(p, t);
        return STATUS_OK;
    }
    if (list_count(p, s->list) == 0) {
        return fill_raw(p, t, err);
    }
    for (size_t i = 0; i < t->n; i++) {
        switch (s->list) {
        case LIST_FLOAT: ((float *)t->data)[i] = p->float_data[i]; break;
        case LIST_INT64: ((int64_t *)t->data)[i] = p->int64_data[i]; break;
        case LIST_DOUBLE: ((float *)t->data)[i] = (float)p->double_data[i]; break;
        case LIST_UINT64: TRY(put_uint64(t, i, p->uint64_data[i], p->data_type, err)); break;
        default:
            if (!put_int32(t, i, p->int32_data[i], p->data_type)) {
                return error_set(err, STATUS_MODEL, "element %zu is %" PRId32 ", outside its type", i,
                                 p->int32_data[i]);
            }
        }
    }
    return STATUS_OK;
}
