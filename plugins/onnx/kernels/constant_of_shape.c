/* SPDX-License-Identifier: Apache-2.0
 * ConstantOfShape (opset 9 on): one value (attribute; float32 0 without it) everywhere in a shape that is known when
 * the plan is made. */
#include "kernels/moves.h"

static const float zero;

/* dtype and memory of the value. */
static status get_value(const ox_node *n, uint32_t *dtype, const void **value, error *err) {
    const ox_attr *a = ox_attr_find(n, "value");
    *dtype = ASSAY_F32;
    *value = &zero;
    if (a == NULL) {
        return STATUS_OK;
    }
    if (a->kind != OX_TENSOR || a->t == NULL || a->t->n != 1 || a->t->data == NULL) {
        return error_set(err, STATUS_MODEL, "attribute value is not a tensor of one value");
    }
    *dtype = a->t->dtype;
    *value = a->t->data;
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    ox_list to;
    uint32_t dtype = 0;
    const void *value = NULL;
    TRY(ox_list_read(n, NULL, 0, &to, err));
    TRY(get_value(n, &dtype, &value, err));
    if (to.n > ASSAY_MAX_DIMS) {
        return error_set(err, STATUS_UNSUPPORTED, "a tensor of %zu dimensions; at most %d are supported", to.n,
                         ASSAY_MAX_DIMS);
    }
    return ox_set_shape(n->out[0], dtype, to.v, (uint32_t)to.n, err);
}

static status forward(ox_node *n, error *err) {
    uint32_t dtype = 0;
    const void *value = NULL;
    TRY(get_value(n, &dtype, &value, err));
    size_t item = ox_dtype_bytes(dtype);
    for (size_t i = 0; i < n->out[0]->n; i++) {
        memcpy((char *)n->out[0]->data + i * item, value, item);
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_constant_of_shape = {.op = "ConstantOfShape",
                                               .min_opset = 9,
                                               .max_opset = 9999,
                                               .flags = OX_NO_GRADIENT,
                                               .min_in = 1,
                                               .max_in = 1,
                                               .min_out = 1,
                                               .max_out = 1,
                                               .infer = infer,
                                               .forward = forward};
