/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kernel.h"

#define OX_KERNEL(name) extern const ox_kernel ox_kernel_##name;
#include "kernels/registry.def"
#undef OX_KERNEL

static const ox_kernel *const table[] = {
#define OX_KERNEL(name) &ox_kernel_##name,
#include "kernels/registry.def"
#undef OX_KERNEL
};

const ox_kernel *ox_kernel_find(const char *op, int opset) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(table[i]->op, op) == 0 && opset >= table[i]->min_opset && opset <= table[i]->max_opset) {
            return table[i];
        }
    }
    return NULL;
}

const ox_kernel *const *ox_kernel_all(size_t *n) {
    *n = sizeof table / sizeof table[0];
    return table;
}
