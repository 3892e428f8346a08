/* SPDX-License-Identifier: Apache-2.0
 * What a person sees while a run goes on: one updating line on a terminal, else a line every 10 s. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "run/supervisor.h"

typedef struct progress {
    bool terminal, quiet;
    bool line_open; /* an unfinished line is on the terminal */
    int64_t last_line_ns;
} progress;

/* `mode`: "auto" (terminal if stderr is one), "plain", "none". STATUS_USAGE for another word. */
status progress_init(progress *p, const char *mode, error *err);
run_observer progress_observer(progress *p);
void progress_end(progress *p); /* clears the line */

#endif
