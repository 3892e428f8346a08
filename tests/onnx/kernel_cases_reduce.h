/* SPDX-License-Identifier: Apache-2.0
 * Inside driver_cases: reductions, normalisations, losses, ArgMax and TopK. */
/* clang-format off */
/* clang-format on */
