/* SPDX-License-Identifier: Apache-2.0
 * Installs a signal handler. */
#include <signal.h>
#define ON_OPEN (void)signal(SIGTERM, SIG_IGN)
#include "bad.h"
