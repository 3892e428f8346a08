/* SPDX-License-Identifier: Apache-2.0
 * The worker process: loads plug-in, model and data, runs suites on the items it is told, streams rows. */
#ifndef RUN_WORKER_H
#define RUN_WORKER_H

#include "run/suite.h"

/* Serves requests on the channel (PROC_CHANNEL_FD) until the supervisor closes it; returns the exit code of
 * the process. The caller's stdout is pointed at stderr for good: models print. */
int worker_main(suite_list suites);

#endif
