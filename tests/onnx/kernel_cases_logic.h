/* SPDX-License-Identifier: Apache-2.0
 * Inside driver_cases: comparisons, logic, arithmetic of two and more operands. */
/* clang-format off */
/* clang-format on */
