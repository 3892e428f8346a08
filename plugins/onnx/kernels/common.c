/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/common.h"

#include <inttypes.h>

#define MAX_TENSOR_BYTES ((size_t)1 << 40)

const ox_attr *ox_attr_find(const ox_node *n, const char *name) {
    for (size_t i = 0; i < n->n_attrs; i++) {
        if (strcmp(n->attrs[i].name, name) == 0) {
            return &n->attrs[i];
        }
    }
    return NULL;
}

int64_t ox_attr_int(const ox_node *n, const char *name, int64_t def) {
    const ox_attr *a = ox_attr_find(n, name);
    return a != NULL && a->kind == OX_INT ? a->i : def;
}

float ox_attr_float(const ox_node *n, const char *name, float def) {
    const ox_attr *a = ox_attr_find(n, name);
    return a != NULL && a->kind == OX_FLOAT ? a->f : def;
}

status ox_attr_ints(const ox_node *n, const char *name, size_t count, const int64_t **v, size_t *n_v, error *err) {
    const ox_attr *a = ox_attr_find(n, name);
    *v = NULL;
    if (n_v != NULL) {
        *n_v = 0;
    }
    if (a == NULL) {
        return STATUS_OK;
    }
    if (a->kind != OX_INTS) {
        return error_set(err, STATUS_MODEL, "attribute %s is not a list of integers", name);
    }
    if (count != SIZE_MAX && a->n != count) {
        return error_set(err, STATUS_MODEL, "attribute %s has %zu values where %zu are needed", name, a->n, count);
    }
    *v = a->ints;
    if (n_v != NULL) {
        *n_v = a->n;
    }
    return STATUS_OK;
}

status ox_check_attr(const ox_node *n, const char *name, ox_attr_kind kind, error *err) {
    const ox_attr *a = ox_attr_find(n, name);
    if (a != NULL && a->kind != kind) {
        return error_set(err, STATUS_MODEL, "attribute %s has the wrong type", name);
    }
    return STATUS_OK;
}

size_t ox_dtype_bytes(uint32_t dtype) {
    switch (dtype) {
    case ASSAY_U8:
    case ASSAY_I8:
    case ASSAY_BOOL: return 1;
    case ASSAY_F32:
    case ASSAY_I32: return 4;
    case ASSAY_I64:
    case ASSAY_F64: return 8;
    default: return 0;
    }
}

const char *ox_dtype_name(uint32_t dtype) {
    static const char *const names[] = {"?", "float32", "uint8", "int8", "int32", "int64", "float64", "bool"};
    return dtype < sizeof names / sizeof names[0] ? names[dtype] : names[0];
}

double ox_at_other(const ox_tensor *t, size_t i) {
    switch (t->dtype) {
    case ASSAY_F32: return (double)((const float *)t->data)[i];
    case ASSAY_F64: return ((const double *)t->data)[i];
    case ASSAY_I8: return ((const int8_t *)t->data)[i];
    case ASSAY_I32: return ((const int32_t *)t->data)[i];
    case ASSAY_I64: return (double)((const int64_t *)t->data)[i];
    default: return ((const uint8_t *)t->data)[i];
    }
}

status ox_set_shape(ox_tensor *t, uint32_t dtype, const int64_t *shape, uint32_t n_dims, error *err) {
    size_t item = ox_dtype_bytes(dtype), n = 1, bytes = 0;
    if (item == 0) {
        return error_set(err, STATUS_UNSUPPORTED, "data type %u is not supported", dtype);
    }
    if (n_dims > ASSAY_MAX_DIMS) {
        return error_set(err, STATUS_UNSUPPORTED, "a tensor of %u dimensions; at most %d are supported", n_dims,
                         ASSAY_MAX_DIMS);
    }
    for (uint32_t i = 0; i < n_dims; i++) {
        if (shape[i] < 0) {
            return error_set(err, STATUS_MODEL, "dimension %u of the output is %" PRId64, i, shape[i]);
        }
        if (!mem_mul(n, (size_t)shape[i], &n)) {
            return error_set(err, STATUS_MODEL, "the output's element count overflows");
        }
    }
    if (!mem_mul(n, item, &bytes) || bytes > MAX_TENSOR_BYTES) {
        return error_set(err, STATUS_MODEL, "the output would have %zu elements: too large", n);
    }
    for (uint32_t i = 0; i < n_dims; i++) {
        t->shape[i] = shape[i];
    }
    t->dtype = dtype;
    t->n_dims = n_dims;
    t->n = n;
    return STATUS_OK;
}

status ox_broadcast(const ox_tensor *a, const ox_tensor *b, int64_t shape[ASSAY_MAX_DIMS], uint32_t *n_dims,
                    error *err) {
    uint32_t n = a->n_dims > b->n_dims ? a->n_dims : b->n_dims;
    for (uint32_t i = 0; i < n; i++) { /* i counts from the last dimension */
        int64_t da = i < a->n_dims ? a->shape[a->n_dims - 1 - i] : 1;
        int64_t db = i < b->n_dims ? b->shape[b->n_dims - 1 - i] : 1;
        if (da != db && da != 1 && db != 1) {
            return error_set(err, STATUS_MODEL, "the inputs do not broadcast: %" PRId64 " against %" PRId64, da, db);
        }
        shape[n - 1 - i] = da == 1 ? db : da;
    }
    *n_dims = n;
    return STATUS_OK;
}

bool ox_same_shape(const ox_tensor *a, const ox_tensor *b) {
    return a->n_dims == b->n_dims && memcmp(a->shape, b->shape, a->n_dims * sizeof a->shape[0]) == 0;
}

void ox_logical_shape(const ox_tensor *t, int64_t shape[ASSAY_MAX_DIMS], uint32_t *n_dims) {
    memcpy(shape, t->shape, ASSAY_MAX_DIMS * sizeof *shape);
    *n_dims = t->n_dims;
    if (t->block > 0) {
        shape[1] = t->channels;
        *n_dims = t->n_dims - 1;
    }
}

status ox_need_float(const ox_node *n, size_t i, error *err) {
    const ox_tensor *t = ox_input(n, i);
    if (t == NULL) {
        return error_set(err, STATUS_MODEL, "input %zu is missing", i);
    }
    if (!ox_is_float(t->dtype)) {
        return error_set(err, STATUS_UNSUPPORTED, "input %zu is %s; float32 or float64 is supported", i,
                         ox_dtype_name(t->dtype));
    }
    return STATUS_OK;
}

status ox_need_dtype_of_first(const ox_node *n, size_t i, error *err) {
    const ox_tensor *t = ox_input(n, i);
    if (t == NULL || n->in[0] == NULL) {
        return error_set(err, STATUS_MODEL, "input %zu is missing", i);
    }
    if (t->dtype != n->in[0]->dtype) {
        return error_set(err, STATUS_MODEL, "input %zu is %s, but input 0 is %s", i, ox_dtype_name(t->dtype),
                         ox_dtype_name(n->in[0]->dtype));
    }
    return STATUS_OK;
}

status ox_need_vector(const ox_node *n, size_t i, size_t len, error *err) {
    TRY(ox_need_dtype_of_first(n, i, err));
    if (n->in[i]->n_dims != 1 || n->in[i]->n != len) {
        return error_set(err, STATUS_MODEL, "input %zu is not a vector of %zu values", i, len);
    }
    return STATUS_OK;
}

status ox_infer_same(ox_node *n, error *err) {
    if (n->in[0] == NULL || n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "input 0 or output 0 is missing");
    }
    return ox_set_shape(n->out[0], n->in[0]->dtype, n->in[0]->shape, n->in[0]->n_dims, err);
}

status ox_attr_axis(const ox_node *n, const char *name, int64_t def, uint32_t rank, bool one_past, uint32_t *axis,
                    error *err) {
    TRY(ox_check_attr(n, name, OX_INT, err));
    int64_t v = ox_attr_int(n, name, def), r = (int64_t)rank;
    if (v < -r || v > (one_past ? r : r - 1)) {
        return error_set(err, STATUS_MODEL, "attribute %s = %" PRId64 " is outside a tensor of %u dimensions", name, v,
                         rank);
    }
    *axis = (uint32_t)(v < 0 ? v + r : v);
    return STATUS_OK;
}

size_t ox_count(const ox_tensor *t, uint32_t from, uint32_t to) {
    size_t n = 1;
    for (uint32_t i = from; i < to; i++) {
        n *= (size_t)t->shape[i];
    }
    return n;
}

/* Strides of t aligned to out's dimensions, 0 where t is broadcast. */
static void broadcast_strides(const ox_tensor *t, const ox_tensor *out, size_t s[ASSAY_MAX_DIMS]) {
    size_t stride = 1;
    for (uint32_t i = 0; i < out->n_dims; i++) {
        uint32_t d = out->n_dims - 1 - i;
        int64_t dim = i < t->n_dims ? t->shape[t->n_dims - 1 - i] : 1;
        s[d] = dim == 1 ? 0 : stride;
        stride *= (size_t)dim;
    }
}

void ox_walk_init(ox_walk *w, const ox_tensor *a, const ox_tensor *b, const ox_tensor *out) {
    size_t sa[ASSAY_MAX_DIMS] = {0}, sb[ASSAY_MAX_DIMS] = {0};
    broadcast_strides(a, out, sa);
    broadcast_strides(b, out, sb);
    w->n_dims = 0;
    for (uint32_t d = 0; d < out->n_dims; d++) {
        size_t dim = (size_t)out->shape[d];
        if (dim == 1) {
            continue;
        }
        uint32_t k = w->n_dims;
        if (k > 0 && w->sa[k - 1] == sa[d] * dim && w->sb[k - 1] == sb[d] * dim) {
            w->shape[k - 1] *= dim;
            w->sa[k - 1] = sa[d];
            w->sb[k - 1] = sb[d];
            continue;
        }
        w->shape[k] = dim;
        w->sa[k] = sa[d];
        w->sb[k] = sb[d];
        w->n_dims++;
    }
    if (w->n_dims == 0) {
        w->n_dims = 1;
        w->shape[0] = out->n;
        w->sa[0] = w->sb[0] = 1;
    }
}

bool ox_walk_next(const ox_walk *w, size_t idx[ASSAY_MAX_DIMS], size_t *a, size_t *b) {
    for (uint32_t i = 1; i < w->n_dims; i++) {
        uint32_t d = w->n_dims - 1 - i;
        *a += w->sa[d];
        *b += w->sb[d];
        if (++idx[d] < w->shape[d]) {
            return true;
        }
        *a -= w->sa[d] * w->shape[d];
        *b -= w->sb[d] * w->shape[d];
        idx[d] = 0;
    }
    return false;
}
