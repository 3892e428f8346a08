/* SPDX-License-Identifier: Apache-2.0
 * Options that override the configuration, shared by run, plan and repro. */
#ifndef CLI_OVERRIDES_H
#define CLI_OVERRIDES_H

#include "cli/cli.h"
#include "run/config.h"

#define CLI_OVERRIDE_OPTIONS                                                                                           \
    {"workers", 'j', "N", "worker processes (changes no result)"},                                                     \
        {"threads", 0, "N", "threads per worker (changes no result)"},                                                 \
        {"batch", 0, "N", "examples per call of the model (changes no result)"},                                       \
        {"limit", 0, "N", "at most N examples per dataset, stratified; the run is stamped as limited"},                \
        {"seed", 0, "N", "seed of everything random"}, {"store", 0, "PATH", "database to write to"},                   \
        {"label", 0, "TEXT", "a name for the run"}, {                                                                  \
        "logits", 0, "WHICH", "keep logits: clean, all or none"                                                        \
    }

status cli_overrides(const cli_args *args, config_override *out, error *err);

#endif
