/* SPDX-License-Identifier: Apache-2.0
 * Inside driver_cases: resizing, sampling, transposed convolution, boxes. */
/* clang-format off */
/* clang-format on */
