/* SPDX-License-Identifier: Apache-2.0
 * What Softmax, LogSoftmax and Hardmax share. From opset 13 on they work along one axis (default the last); before,
 * over all dimensions from `axis` (default 1) on together. */
#ifndef ONNX_KERNELS_SOFTMAX_H
#define ONNX_KERNELS_SOFTMAX_H

#include "kernels/axis.h"

status ox_softmax_axis(const ox_node *n, ox_axis *a, error *err);
/* For forward and vjp: infer has found no error. */
ox_axis ox_softmax_axis_of(const ox_node *n);
status ox_softmax_infer(ox_node *n, error *err);

#endif
