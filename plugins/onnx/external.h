/* SPDX-License-Identifier: Apache-2.0
 * External data: tensors whose bytes are in files beside the model (TensorProto.external_data with the keys location,
 * offset and length). A location is a relative path below the model file's folder. What is refused: absolute paths,
 * "..", symbolic links anywhere below the folder (a model from elsewhere could otherwise read any file), and
 * everything that is no regular file. */
#ifndef ONNX_EXTERNAL_H
#define ONNX_EXTERNAL_H

#include "base/io.h"
#include "onnx.pb-c.h"

typedef struct ox_external_file {
    const char *location; /* the tensor's, not copied */
    io_map map;
} ox_external_file;

typedef struct ox_external {
    const char *model; /* path of the model file; NULL where it came from memory: then there are no other files */
    ox_external_file *files;
    size_t n_files, cap_files;
    size_t last; /* the file of the tensor before: nearly always the same */
} ox_external;

static inline bool ox_is_external(const Onnx__TensorProto *p) {
    return p->n_external_data > 0 || p->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
}

/* The tensor's bytes, mapped until ox_external_close: whether they fit its shape is ox_tensor_check's question. Errors
 * name the file, not the tensor. */
status ox_external_find(ox_external *e, const Onnx__TensorProto *p, const uint8_t **data, size_t *n, error *err);
void ox_external_close(ox_external *e);

#endif
