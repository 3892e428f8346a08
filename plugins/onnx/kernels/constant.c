/* SPDX-License-Identifier: Apache-2.0
 * Constant: value (tensor), value_int, value_ints, value_float, value_floats (opset 12 on). value_string(s) and
 * sparse_value have no place in a numeric graph. */
#include "kernels/common.h"

/* The one value attribute as a tensor that borrows the attribute's memory. */
static status get_value(const ox_node *n, ox_tensor *t, error *err) {
    *t = (ox_tensor){0};
    if (n->n_attrs != 1) {
        return error_set(err, STATUS_MODEL, "%zu attributes where one value is needed", n->n_attrs);
    }
    const ox_attr *a = &n->attrs[0];
    union {
        const void *in;
        void *out;
    } p = {.in = NULL}; /* ox_tensor.data is not const, but nobody writes here */
    if (strcmp(a->name, "value") == 0 && a->kind == OX_TENSOR && a->t != NULL && (a->t->data != NULL || a->t->n == 0)) {
        *t = *a->t;
        return STATUS_OK;
    }
    if (strcmp(a->name, "value_int") == 0 && a->kind == OX_INT) {
        p.in = &a->i;
        *t = (ox_tensor){.dtype = ASSAY_I64, .n = 1};
    } else if (strcmp(a->name, "value_float") == 0 && a->kind == OX_FLOAT) {
        p.in = &a->f;
        *t = (ox_tensor){.dtype = ASSAY_F32, .n = 1};
    } else if (strcmp(a->name, "value_ints") == 0 && a->kind == OX_INTS) {
        p.in = a->ints;
        *t = (ox_tensor){.dtype = ASSAY_I64, .n_dims = 1, .shape = {(int64_t)a->n}, .n = a->n};
    } else if (strcmp(a->name, "value_floats") == 0 && a->kind == OX_FLOATS) {
        p.in = a->floats;
        *t = (ox_tensor){.dtype = ASSAY_F32, .n_dims = 1, .shape = {(int64_t)a->n}, .n = a->n};
    } else {
        return error_set(err, STATUS_UNSUPPORTED, "attribute %s is no numeric value", a->name);
    }
    t->data = p.out;
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    ox_tensor t;
    TRY(get_value(n, &t, err));
    if (n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "output 0 is missing");
    }
    return ox_set_shape(n->out[0], t.dtype, t.shape, t.n_dims, err);
}

static status forward(ox_node *n, error *err) {
    ox_tensor t;
    TRY(get_value(n, &t, err));
    if (t.n > 0) {
        memcpy(n->out[0]->data, t.data, t.n * ox_dtype_bytes(t.dtype));
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_constant = {.op = "Constant",
                                      .min_opset = 1,
                                      .max_opset = 9999,
                                      .flags = OX_NO_GRADIENT,
                                      .min_in = 0,
                                      .max_in = 0,
                                      .min_out = 1,
                                      .max_out = 1,
                                      .infer = infer,
                                      .forward = forward};
