/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"
#include "reports/report.h"

static status compare(const cli_args *args, store *s, const compare_options *o, arena *mem, error *err) {
    const char *format = cli_has(args, "format") ? cli_get(args, "format") : "terminal";
    compare_set set = {0};
    TRY(compare_texts(s, args->v, args->n, o, mem, &set, err));
    if (set.n == 0) {
        return error_set(err, STATUS_REFUSED, "there is no dataset and suite that both sides have");
    }
    strbuf text = {0};
    status st = report_render_compare(&set, format, &text, err);
    st = st == STATUS_OK ? cli_output(args, &text, err) : st;
    strbuf_free(&text);
    return st;
}

static int run(const cli_args *args, arena *mem, error *err) {
    store *s = NULL;
    const char *allow[] = {cli_get(args, "allow-differ"), NULL};
    compare_options o = {.allow_differ = allow[0] == NULL ? NULL : allow};
    CLI_TRY(store_open(cli_store_path(args), STORE_READ, &s, err));
    status st = compare(args, s, &o, mem, err);
    store_close(s);
    return cli_fail(st);
}

static const cli_option options[] = {
    CLI_STORE_OPTION,
    CLI_OUTPUT_OPTION,
    {"format", 0, "FORMAT", "terminal (default), md or json"},
    {"allow-differ", 0, "FIELD", "compare although this field of the comparability key differs; it is printed"},
};

const command command_compare = {
    .info = {.id = "compare", .summary = "Compare models or runs, paired example by example"},
    .usage = "BASE CANDIDATE...",
    .details =
        "Each side is RUN, RUN:MODEL, or MODEL (of the latest run); RUN is a run id or its beginning, a label or "
        "\"latest\". Refuses (exit 4) what is not comparable and says which field differs.",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .min_args = 2,
    .max_args = 64,
    .run = run,
};
