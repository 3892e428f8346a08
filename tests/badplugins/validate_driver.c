/* SPDX-License-Identifier: Apache-2.0
 * `assay validate` without the command line: prints one line per check, exits with 5 if one failed. It is its own
 * child.   validate_driver [--timeout SECONDS] [--option KEY=VALUE]... [--only CHECK]... PLUGIN [MODEL] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/validate.h"

enum { MAX_LIST = 64 };

static void print(void *context, const validate_result *r) {
    size_t *failed = context;
    *failed += r->outcome == VALIDATE_FAIL;
    (void)printf("%-4s %-16s %6.2f s  %s\n", validate_outcome_name(r->outcome), r->name, r->seconds, r->text);
    (void)fflush(stdout);
}

static assay_option split(char *text) {
    char *eq = strchr(text, '=');
    if (eq != NULL) {
        *eq = '\0';
    }
    return (assay_option){text, eq == NULL ? "" : eq + 1};
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], VALIDATE_VERB) == 0) {
        return validate_child(argc - 2, argv + 2);
    }
    assay_option options[MAX_LIST];
    const char *only[MAX_LIST + 1] = {0};
    size_t n_only = 0;
    size_t failed = 0;
    validate_spec spec = {.options = options, .on_result = print, .context = &failed};
    int i = 1;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        if (strcmp(argv[i], "--timeout") == 0) {
            spec.timeout_s = strtod(argv[i + 1], NULL);
        } else if (strcmp(argv[i], "--option") == 0 && spec.n_options < MAX_LIST) {
            options[spec.n_options++] = split(argv[i + 1]);
        } else if (strcmp(argv[i], "--only") == 0 && n_only < MAX_LIST) {
            only[n_only++] = argv[i + 1];
            spec.only = only;
        } else {
            break;
        }
    }
    if (i >= argc || i + 2 < argc) {
        (void)fprintf(stderr, "usage: validate_driver [--timeout S] [--option K=V] [--only CHECK] PLUGIN [MODEL]\n");
        return 2;
    }
    spec.plugin = argv[i];
    spec.model = i + 1 < argc ? argv[i + 1] : NULL;
    arena a = {0};
    error err = {0};
    validate_result *results = NULL;
    size_t n = 0;
    status s = validate_all(&spec, &a, &results, &n, &err);
    if (s != STATUS_OK) {
        (void)fprintf(stderr, "validate_driver: %s\n", err.text);
    }
    arena_free(&a);
    return s != STATUS_OK ? status_exit_code(s) : failed > 0 ? 5 : 0;
}
