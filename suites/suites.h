/* SPDX-License-Identifier: Apache-2.0
 * The registered suites, for the CLI to hand down to the run layer. */
#ifndef SUITES_SUITES_H
#define SUITES_SUITES_H

#include "run/suite.h"

const suite *suite_find(const char *id); /* NULL if there is none */
const suite *const *suite_all(size_t *n);

#endif
