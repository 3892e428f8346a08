/* SPDX-License-Identifier: Apache-2.0
 * The operator cases of the ONNX project (Debian's libonnx-testdata): one model, its inputs, its expected outputs. Read
 * by the conformance test, and by the fuzzer for its seeds. */
#ifndef TESTS_ONNX_CASES_H
#define TESTS_ONNX_CASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "onnx.pb-c.h"

#define ONNX_CASES "/usr/share/libonnx-testdata/data"
#define ONNX_CASE_IO 16

typedef struct onnx_case {
    Onnx__ModelProto *model;
    size_t n_in, n_out;
    Onnx__TensorProto *in[ONNX_CASE_IO], *out[ONNX_CASE_IO];
} onnx_case;

/* A whole file; NULL if it is not there; mem_free. */
uint8_t *onnx_case_file(const char *path, size_t *n);
/* False if it is no model. */
bool onnx_case_open(onnx_case *c, const char *model_path);
/* Tensors of one folder test_data_set_N, inputs in the order of the graph's, without what initialisers set. False if
 * one is not there or is no tensor; free them in either case. */
bool onnx_case_read(onnx_case *c, const char *folder);
void onnx_case_free_tensors(onnx_case *c);
void onnx_case_close(onnx_case *c);
/* The model as a file with input `var` (SIZE_MAX: a new one that nothing reads) as its only input and all others as
 * initialisers; mem_free. NULL if there are too many. */
uint8_t *onnx_case_pack(const onnx_case *c, size_t var, size_t *n);

#endif
