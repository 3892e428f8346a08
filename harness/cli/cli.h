/* SPDX-License-Identifier: Apache-2.0
 * The command line: one table per verb drives parsing, help, man page and completion. One file per verb
 * (cmd_<name>.c), one line in registry.def. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "assay/plugin.h"
#include "base/cpu.h"
#include "base/info.h"
#include "base/str.h"

typedef struct cli_option {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    const char *arg;  /* "N", "PATH"; NULL: a switch */
    const char *help;
} cli_option;

typedef struct cli_args {
    size_t n; /* positional arguments */
    const char *const *v;
    const char *const *value; /* per option of the command: NULL = not given, "" for a switch */
    const struct command *command;
    const char *line; /* the whole command line, for the record */
} cli_args;

typedef struct command {
    info info;           /* id: the verb; summary: one line */
    const char *usage;   /* positional part: "CONFIG" */
    const char *details; /* a paragraph for --help and the man page; "" if none */
    const cli_option *options;
    size_t n_options;
    size_t min_args, max_args;
    int (*run)(const cli_args *args, arena *mem, error *err); /* the exit code; on error the text is printed by main */
} command;

const command *const *command_all(size_t *n);
const command *command_find(const char *id);

const char *cli_get(const cli_args *a, const char *option); /* NULL if not given */
bool cli_has(const cli_args *a, const char *option);
/* Numbers of options; *out is left alone where the option is absent. */
status cli_int(const cli_args *a, const char *option, int64_t min, int64_t max, int64_t *out, error *err);
status cli_real(const cli_args *a, const char *option, double min, double max, double *out, error *err);

int cli_fail(status s); /* its exit code: `return cli_fail(config_load(...))` style */
#define CLI_TRY(expr)                                                                                                  \
    do {                                                                                                               \
        status cli_status_ = (expr);                                                                                   \
        if (cli_status_ != STATUS_OK) {                                                                                \
            return cli_fail(cli_status_);                                                                              \
        }                                                                                                              \
    } while (0)

/* The CPU choice of --max-isa or ASSAY_MAX_ISA and the environment it gives to workers. */
typedef struct cli_cpu {
    cpu_isa isa;
    const char *env[CPU_ENV_MAX];
    size_t n_env;
} cli_cpu;
status cli_cpu_choice(const cli_args *a, cli_cpu *out, error *err);

/* The store a reading verb works on: --store, else ASSAY_STORE, else "assay.db". */
const char *cli_store_path(const cli_args *a);

/* Writes to the file of -o, atomically, or to stdout ("-" or not given). */
status cli_output(const cli_args *a, const strbuf *text, error *err);

/* Options of a plug-in from --option. */
status cli_plugin_options(const cli_args *a, arena *mem, assay_option **out, size_t *n, error *err);
#define CLI_PLUGIN_OPTIONS                                                                                             \
    { "option", 0, "KEY=VALUE", "options of the plug-in, separated by ';'" }

#define CLI_STORE_OPTION                                                                                               \
    { "store", 0, "PATH", "database (default: $ASSAY_STORE, else assay.db)" }
#define CLI_OUTPUT_OPTION                                                                                              \
    { "output", 'o', "FILE", "write to FILE (atomically) instead of standard output" }
#define CLI_ISA_OPTION                                                                                                 \
    { "max-isa", 0, "ISA", "cap the kernels of workers: baseline, avx2, avx512, avx512_vnni" }

void cli_print_help(const command *c, strbuf *out);
void cli_print_man(strbuf *out);
void cli_print_completion(strbuf *out);
void cli_print_version(const cli_cpu *cpu, strbuf *out);

#endif
