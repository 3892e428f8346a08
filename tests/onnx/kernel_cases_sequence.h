/* SPDX-License-Identifier: Apache-2.0
 * Inside driver_cases: recurrent networks, Einsum. */
/* clang-format off */
/* clang-format on */
