/* SPDX-License-Identifier: Apache-2.0
 * The end of a run: judge, digests, summary. And what verbs that write to a store share. */
#ifndef CLI_FINISH_H
#define CLI_FINISH_H

#include "run/supervisor.h"

/* Opens (creates, migrates) a store and tells its warnings on stderr; creates missing folders of the path. */
status cli_open_store_for_writing(const char *path, store **out, error *err);

/* Judges the metrics, closes the run with its digests, prints summary, outcomes and digests on stdout. */
status finish_run(const plan *p, store *s, const run_result *r, error *err);

#endif
