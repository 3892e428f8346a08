/* SPDX-License-Identifier: Apache-2.0
 * Inside driver_cases: gather, scatter, generators. */
/* clang-format off */
/* clang-format on */
