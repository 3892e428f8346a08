/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/cli.h"
#include "model/validate.h"
#include "run/config.h"

static void print_result(void *context, const validate_result *r) {
    (void)context;
    (void)printf("%-5s %-24s %s%s%s\n", validate_outcome_name(r->outcome), r->name, r->summary, r->text[0] ? ": " : "",
                 r->text);
    (void)fflush(stdout);
}

static int run(const cli_args *args, arena *mem, error *err) {
    const char *path = config_plugin_path(args->v[0], mem);
    assay_option *options = NULL;
    double timeout_s = 60;
    int64_t memory_mib = 4096;
    size_t n_options = 0;
    if (path == NULL) {
        return cli_fail(error_set(
            err, STATUS_USAGE, "there is no plug-in \"%s\" (assay list plugins; or give a path with a /)", args->v[0]));
    }
    CLI_TRY(cli_plugin_options(args, mem, &options, &n_options, err));
    CLI_TRY(cli_real(args, "timeout", 0.1, 1e6, &timeout_s, err));
    CLI_TRY(cli_int(args, "memory-mib", 16, 1 << 24, &memory_mib, err));
    validate_spec spec = {.plugin = path,
                          .model = args->n > 1 ? args->v[1] : NULL,
                          .options = options,
                          .n_options = n_options,
                          .timeout_s = timeout_s,
                          .rss_limit = memory_mib * 1048576,
                          .max_isa = cli_get(args, "max-isa"),
                          .on_result = print_result};
    validate_result *r = NULL;
    size_t n = 0;
    size_t count[3] = {0};
    CLI_TRY(validate_all(&spec, mem, &r, &n, err));
    for (size_t i = 0; i < n; i++) {
        count[r[i].outcome]++;
    }
    (void)printf("%zu passed, %zu failed, %zu skipped\n", count[VALIDATE_PASS], count[VALIDATE_FAIL],
                 count[VALIDATE_SKIP]);
    return count[VALIDATE_FAIL] > 0 ? status_exit_code(STATUS_MODEL) : 0;
}

static const cli_option options_table[] = {
    CLI_PLUGIN_OPTIONS,
    {"timeout", 0, "SECONDS", "deadline of each check (60)"},
    {"memory-mib", 0, "MIB", "memory limit of each check (4096)"},
    CLI_ISA_OPTION,
};

const command command_validate = {
    .info = {.id = "validate", .summary = "Check that a plug-in and a model keep the rules of the ABI"},
    .usage = "PLUGIN [MODEL]",
    .details = "Each check runs in a process of its own, so a crash or a hang fails that check only. PLUGIN is a name "
               "(assay list plugins) or a path with a '/'.",
    .options = options_table,
    .n_options = sizeof options_table / sizeof options_table[0],
    .min_args = 1,
    .max_args = 2,
    .run = run,
};
