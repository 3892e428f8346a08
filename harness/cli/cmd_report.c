/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"
#include "reports/report.h"

static int run(const cli_args *args, arena *mem, error *err) {
    const char *format = cli_has(args, "format") ? cli_get(args, "format") : "terminal";
    store *s = NULL;
    store_run_row row;
    report_data data;
    strbuf text = {0};
    CLI_TRY(store_open(cli_store_path(args), STORE_READ, &s, err));
    status st = store_run_get(s, args->n > 0 ? args->v[0] : "latest", mem, &row, err);
    st = st == STATUS_OK ? report_load(s, row.run_id, mem, &data, err) : st;
    st = st == STATUS_OK ? report_render(&data, format, &text, err) : st;
    st = st == STATUS_OK ? cli_output(args, &text, err) : st;
    strbuf_free(&text);
    store_close(s);
    return cli_fail(st);
}

static const cli_option options[] = {
    CLI_STORE_OPTION,
    CLI_OUTPUT_OPTION,
    {"format", 0, "FORMAT", "terminal (default), md or json (docs/report-schema.md)"},
};

const command command_report = {
    .info = {.id = "report", .summary = "Render the report of a run"},
    .usage = "[RUN]",
    .details =
        "RUN is a run id or its beginning, a label, or \"latest\" (default). The same store gives the same bytes.",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .max_args = 1,
    .run = run,
};
