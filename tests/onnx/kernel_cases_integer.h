/* SPDX-License-Identifier: Apache-2.0
 * Inside driver_cases: integer and quantised operators, com.microsoft. */
/* clang-format off */
/* clang-format on */
