/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/cli.h"
#include "run/config.h"
#include "suites/suites.h"

static int run(const cli_args *args, arena *mem, error *err) {
    (void)mem;
    suite_list suites = {0};
    suites.v = suite_all(&suites.n);
    config_override none = CONFIG_OVERRIDE_NONE;
    config *c = NULL;
    CLI_TRY(config_load(args->v[0], suites, &none, &c, err));
    (void)printf("%s: fine: %zu models, %zu datasets, %zu suites\n", c->path, c->n_models, c->n_datasets, c->n_suites);
    config_close(c);
    return 0;
}

const command command_check = {
    .info = {.id = "check", .summary = "Check a configuration without running anything"},
    .usage = "CONFIG",
    .details = "Every mistake is one error with file, line, column, the allowed keys and a suggestion.",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
