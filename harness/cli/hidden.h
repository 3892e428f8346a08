/* SPDX-License-Identifier: Apache-2.0
 * Verbs that the binary calls itself with, and that the build calls. */
#ifndef CLI_HIDDEN_H
#define CLI_HIDDEN_H

#include <stdbool.h>

#include "base/status.h"

/* True if argv[1] is one of them; *code is then its exit code. */
bool hidden_verb(int argc, char **argv, int *code, error *err);

#endif
