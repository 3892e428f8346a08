/* SPDX-License-Identifier: Apache-2.0
 * TensorProto -> ox_tensor. Half precision and double become float32, the type that the executor computes in. */
#ifndef ONNX_TENSORS_H
#define ONNX_TENSORS_H

#include "graph.h"
#include "onnx.pb-c.h"

/* Checks type, dims and that the data are exactly dims x item bytes; sets all of *t but name and data. *bytes: what
 * its converted data need, *stored: what the file holds for them. Errors have no prefix. */
status ox_tensor_check(const Onnx__TensorProto *p, ox_tensor *t, size_t *bytes, size_t *stored, error *err);
/* Converts into t->data (`bytes` of ox_tensor_check). */
status ox_tensor_fill(const Onnx__TensorProto *p, ox_tensor *t, error *err);

#endif
