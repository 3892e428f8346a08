/* SPDX-License-Identifier: Apache-2.0
 * TensorProto -> ox_tensor. float16, bfloat16 and double become float32, the type that the executor computes in.
 * Integer types that the executor has not become the next wider one that it has, without loss: int16 and uint16 int32,
 * uint32 and uint64 int64 (a uint64 above INT64_MAX is an error); int4 and uint4 become int8 and uint8. They are meant
 * for shapes and indices: arithmetic on them does not wrap at the narrower type's bounds. */
#ifndef ONNX_TENSORS_H
#define ONNX_TENSORS_H

#include "graph.h"
#include "onnx.pb-c.h"

/* What the executor makes of a TensorProto.DataType; 0 if there is nothing. */
uint32_t ox_dtype_of_onnx(int type);
/* Checks type, dims and that the data are exactly dims x item bytes; sets all of *t but name and data. *bytes: what
 * its converted data need, *stored: what the file holds for them. Errors have no prefix. External
 * data must have been put into raw_data before. */
status ox_tensor_check(const Onnx__TensorProto *p, ox_tensor *t, size_t *bytes, size_t *stored, error *err);
/* Converts into t->data (`bytes` of ox_tensor_check). */
status ox_tensor_fill(const Onnx__TensorProto *p, ox_tensor *t, error *err);

#endif
