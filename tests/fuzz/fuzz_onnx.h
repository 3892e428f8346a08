/* SPDX-License-Identifier: Apache-2.0
 * What libFuzzer calls by these names, and tests/fuzz/run_corpus.c as well. */
#ifndef TESTS_FUZZ_ONNX_H
#define TESTS_FUZZ_ONNX_H

#include <stddef.h>
#include <stdint.h>

/* Any bytes as a model file: loaded, opened as a model with its metadata, planned, and where that is little work run
 * forwards and backwards. Must neither crash nor leak, nor take more than moments. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
/* Changes a model as such: operators, names, shapes, attributes, constants. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t max, unsigned seed);
/* The first model with the second one's nodes after its own. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t n_a, const uint8_t *b, size_t n_b, uint8_t *out, size_t max,
                                 unsigned seed);
/* libFuzzer's own. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t max);

#endif
