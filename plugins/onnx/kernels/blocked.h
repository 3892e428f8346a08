/* SPDX-License-Identifier: Apache-2.0
 * Kernels that only the plan puts into a graph (blocked.c): a file cannot name them. */
#ifndef ONNX_KERNELS_BLOCKED_H
#define ONNX_KERNELS_BLOCKED_H

#include "kernel.h"

extern const ox_kernel ox_kernel_reorder;
extern const ox_kernel ox_kernel_max_pool_blocked, ox_kernel_average_pool_blocked,
    ox_kernel_global_average_pool_blocked;

#endif
