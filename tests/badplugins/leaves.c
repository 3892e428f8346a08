/* SPDX-License-Identifier: Apache-2.0
 * Starts a process that holds the worker's channel open, writes its id to left.pid, then crashes in predict. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void leave(void) {
    pid_t pid = fork();
    if (pid == 0) {
        (void)sleep(600);
        _exit(0);
    }
    FILE *f = fopen("left.pid", "w");
    if (f != NULL) {
        (void)fprintf(f, "%ld\n", (long)pid);
        (void)fclose(f);
    }
    abort();
}
#define ON_PREDICT(x, z, n) (leave())
#include "bad.h"
