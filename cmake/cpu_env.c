/* SPDX-License-Identifier: Apache-2.0
 * Prints the environment that the supervisor would give its workers on this machine, separated by ';': tests get the
 * same. */
#include <stdio.h>

#include "base/cpu.h"

int main(void) {
    const char *env[CPU_ENV_MAX];
    size_t n = cpu_worker_env(cpu_detect(), env);
    for (size_t i = 0; i < n; i++) {
        (void)printf("%s%s", i == 0 ? "" : ";", env[i]);
    }
    return 0;
}
