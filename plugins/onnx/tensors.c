/* SPDX-License-Identifier: Apache-2.0 */
#include "tensors.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef enum list_kind { LIST_FLOAT, LIST_INT32, LIST_INT64, LIST_DOUBLE } list_kind;

/* How a data type is stored: bytes per element in raw_data, and which typed list it uses instead. */
typedef struct storage {
    int type;
    uint32_t dtype; /* what it becomes */
    size_t raw_bytes;
    list_kind list;
} storage;

#define TYPE(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name
static const storage storages[] = {
    {TYPE(FLOAT), ASSAY_F32, 4, LIST_FLOAT},   {TYPE(UINT8), ASSAY_U8, 1, LIST_INT32},
    {TYPE(INT8), ASSAY_I8, 1, LIST_INT32},     {TYPE(INT32), ASSAY_I32, 4, LIST_INT32},
    {TYPE(INT64), ASSAY_I64, 8, LIST_INT64},   {TYPE(BOOL), ASSAY_BOOL, 1, LIST_INT32},
    {TYPE(FLOAT16), ASSAY_F32, 2, LIST_INT32}, {TYPE(BFLOAT16), ASSAY_F32, 2, LIST_INT32},
    {TYPE(DOUBLE), ASSAY_F32, 8, LIST_DOUBLE},
};

static const storage *storage_of(int type) {
    for (size_t i = 0; i < sizeof storages / sizeof storages[0]; i++) {
        if (storages[i].type == type) {
            return &storages[i];
        }
    }
    return NULL;
}

static size_t list_count(const Onnx__TensorProto *p, list_kind k) {
    switch (k) {
    case LIST_FLOAT: return p->n_float_data;
    case LIST_INT32: return p->n_int32_data;
    case LIST_INT64: return p->n_int64_data;
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
        return error_set(err, STATUS_UNSUPPORTED, "its data are in another file, which is not supported");
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
    size_t want = 0, have = raw ? p->raw_data.len : own;
    if (!mem_mul(t->n, raw ? s->raw_bytes : 1, &want) || want != have) {
        return error_set(err, STATUS_MODEL, "its shape needs %zu elements, its data are %zu %s", t->n, have,
                         raw ? "bytes" : "elements");
    }
    t->dtype = s->dtype;
    t->is_const = true;
    *stored = t->n * s->raw_bytes; /* no overflow: bounded by the file's size */
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

static void fill_raw(const Onnx__TensorProto *p, ox_tensor *t) {
    const uint8_t *raw = p->raw_data.data;
    for (size_t i = 0; i < t->n; i++) {
        uint16_t u = 0;
        double d = 0;
        switch (p->data_type) {
        case TYPE(FLOAT16):
            memcpy(&u, raw + 2 * i, sizeof u);
            ((float *)t->data)[i] = half_to_float(u);
            break;
        case TYPE(BFLOAT16):
            memcpy(&u, raw + 2 * i, sizeof u);
            ((float *)t->data)[i] = bfloat_to_float(u);
            break;
        case TYPE(DOUBLE):
            memcpy(&d, raw + 8 * i, sizeof d);
            ((float *)t->data)[i] = (float)d;
            break;
        case TYPE(BOOL): ((uint8_t *)t->data)[i] = raw[i] != 0; break;
        default: memcpy(t->data, raw, t->n * ox_dtype_bytes(t->dtype)); return;
        }
    }
}

/* int32_data carries the narrow types, one element per value. False if `v` does not fit the type. */
static bool put_int32(ox_tensor *t, size_t i, int32_t v, int type) {
    switch (type) {
    case TYPE(UINT8): ((uint8_t *)t->data)[i] = (uint8_t)v; return v >= 0 && v <= UINT8_MAX;
    case TYPE(INT8): ((int8_t *)t->data)[i] = (int8_t)v; return v >= INT8_MIN && v <= INT8_MAX;
    case TYPE(BOOL): ((uint8_t *)t->data)[i] = v != 0; return true;
    case TYPE(FLOAT16): ((float *)t->data)[i] = half_to_float((uint16_t)v); return v >= 0 && v <= UINT16_MAX;
    case TYPE(BFLOAT16): ((float *)t->data)[i] = bfloat_to_float((uint16_t)v); return v >= 0 && v <= UINT16_MAX;
    default: ((int32_t *)t->data)[i] = v; return true;
    }
}

status ox_tensor_fill(const Onnx__TensorProto *p, ox_tensor *t, error *err) {
    if (t->n == 0) {
        return STATUS_OK;
    }
    const storage *s = storage_of(p->data_type);
    if (list_count(p, s->list) == 0) {
        fill_raw(p, t);
        return STATUS_OK;
    }
    for (size_t i = 0; i < t->n; i++) {
        switch (s->list) {
        case LIST_FLOAT: ((float *)t->data)[i] = p->float_data[i]; break;
        case LIST_INT64: ((int64_t *)t->data)[i] = p->int64_data[i]; break;
        case LIST_DOUBLE: ((float *)t->data)[i] = (float)p->double_data[i]; break;
        default:
            if (!put_int32(t, i, p->int32_data[i], p->data_type)) {
                return error_set(err, STATUS_MODEL, "element %zu is %" PRId32 ", outside its type", i,
                                 p->int32_data[i]);
            }
        }
    }
    return STATUS_OK;
}
