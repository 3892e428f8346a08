/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/hidden.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "model/info.h"
#include "model/validate.h"
#include "run/worker.h"
#include "suites/suites.h"

static int validate(int argc, char **argv, error *err) {
    (void)err;
    return validate_child(argc - 2, argv + 2);
}

static int model_info(int argc, char **argv, error *err) {
    (void)err;
    return info_child(argc - 2, argv + 2);
}

static int worker(int argc, char **argv, error *err) {
    (void)argc;
    (void)argv;
    (void)err;
    suite_list suites = {0};
    suites.v = suite_all(&suites.n);
    return worker_main(suites);
}

static int print(void (*fill)(strbuf *)) {
    strbuf b = {0};
    fill(&b);
    (void)fputs(strbuf_str(&b), stdout);
    strbuf_free(&b);
    return 0;
}

static int man(int argc, char **argv, error *err) {
    (void)argc;
    (void)argv;
    (void)err;
    return print(cli_print_man);
}

static int completion(int argc, char **argv, error *err) {
    (void)argc;
    (void)argv;
    (void)err;
    return print(cli_print_completion);
}

/* The environment of workers as shell lines, for scripts that run something beside assay under equal conditions. */
static int env(int argc, char **argv, error *err) {
    (void)argc;
    (void)argv;
    cli_cpu cpu = {0};
    CLI_TRY(cli_cpu_choice(NULL, &cpu, err));
    for (size_t i = 0; i < cpu.n_env; i++) {
        (void)printf("%s\n", cpu.env[i]);
    }
    return 0;
}

bool hidden_verb(int argc, char **argv, int *code, error *err) {
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv, error *err);
    } verbs[] = {{"__worker", worker}, {"__validate", validate},     {INFO_VERB, model_info},
                 {"__man", man},       {"__completion", completion}, {"__env", env}};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(argv[1], verbs[i].name) == 0) {
            *code = verbs[i].run(argc, argv, err);
            return true;
        }
    }
    return false;
}
