/* SPDX-License-Identifier: Apache-2.0
 * Help, man page and bash completion from the same tables. */
#include <string.h>

#include "cli/cli.h"

static const char exit_codes[] =
    "0 pass, 1 gate failed, 2 usage or configuration, 3 inconclusive, 4 refused (not comparable, data do not match, "
    "foreign or newer database), 5 a model or an item failed, 6 storage or input/output, 70 internal, 130 interrupted";

static char *option_left(arena *a, const cli_option *o) {
    char letter[8] = "    ";
    if (o->letter != 0) {
        letter[0] = '-';
        letter[1] = o->letter;
        letter[2] = ',';
        letter[3] = ' ';
    }
    return arena_printf(a, "%s--%s%s%s", letter, o->name, o->arg ? " " : "", o->arg ? o->arg : "");
}

void cli_print_help(const command *c, strbuf *out) {
    arena a = {0};
    if (c != NULL) {
        strbuf_addf(out, "Usage: assay %s %s%s\n\n%s.\n", c->info.id, c->n_options > 0 ? "[OPTION]... " : "", c->usage,
                    c->info.summary);
        strbuf_addf(out, "%s%s%s", c->details[0] ? "\n" : "", c->details, c->details[0] ? "\n" : "");
        strbuf_add(out, c->n_options > 0 ? "\nOptions:\n" : "");
        for (size_t i = 0; i < c->n_options; i++) {
            strbuf_addf(out, "  %-26s %s\n", option_left(&a, &c->options[i]), c->options[i].help);
        }
    } else {
        strbuf_add(out, "Usage: assay VERB [OPTION]... [ARGUMENT]...\n\n"
                        "Benchmark and robustness evaluation of machine-learning models.\n\nVerbs:\n");
        size_t n = 0;
        const command *const *all = command_all(&n);
        for (size_t i = 0; i < n; i++) {
            strbuf_addf(out, "  %-10s %s\n", all[i]->info.id, all[i]->info.summary);
        }
        strbuf_addf(
            out, "\n  assay VERB --help tells more; assay --version prints versions and kernels.\n\nExit codes: %s.\n",
            exit_codes);
    }
    arena_free(&a);
}

static void man_text(strbuf *out, const char *s) {
    if (*s == '.' || *s == '\'') {
        strbuf_add(out, "\\&");
    }
    for (; *s != '\0'; s++) {
        strbuf_add(out, *s == '-' ? "\\-" : *s == '\\' ? "\\e" : "");
        if (*s != '-' && *s != '\\') {
            strbuf_addn(out, s, 1);
        }
    }
}

static void man_command(const command *c, strbuf *out) {
    strbuf_addf(out, ".SS assay %s ", c->info.id);
    man_text(out, c->usage);
    strbuf_add(out, "\n");
    man_text(out, c->info.summary);
    strbuf_add(out, ".\n");
    if (c->details[0] != '\0') {
        strbuf_add(out, ".PP\n");
        man_text(out, c->details);
        strbuf_add(out, "\n");
    }
    for (size_t i = 0; i < c->n_options; i++) {
        const cli_option *o = &c->options[i];
        strbuf_add(out, ".TP\n.B ");
        if (o->letter != 0) {
            strbuf_addf(out, "\\-%c, ", o->letter);
        }
        strbuf_add(out, "\\-\\-");
        man_text(out, o->name);
        strbuf_addf(out, "%s%s\n", o->arg ? " " : "", o->arg ? o->arg : "");
        man_text(out, o->help);
        strbuf_add(out, "\n");
    }
}

void cli_print_man(strbuf *out) {
    strbuf_add(
        out, ".TH ASSAY 1\n.SH NAME\nassay \\- benchmark and robustness evaluation of machine\\-learning models\n"
             ".SH SYNOPSIS\n.B assay\n.I VERB\n[\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]...\n.SH DESCRIPTION\n"
             "Loads models through plug\\-ins, runs evaluation suites on real data in worker processes, keeps "
             "every observation in an SQLite database, compares runs statistically and renders reports.\n.SH VERBS\n");
    size_t n = 0;
    const command *const *all = command_all(&n);
    for (size_t i = 0; i < n; i++) {
        man_command(all[i], out);
    }
    strbuf_add(out, ".SH EXIT STATUS\n");
    man_text(out, exit_codes);
    strbuf_add(out, ".\n.SH ENVIRONMENT\n.TP\n.B ASSAY_STORE\nDatabase of reading verbs.\n.TP\n.B ASSAY_MANIFEST\n"
                    "The datasets.manifest to use.\n.TP\n.B ASSAY_PLUGIN_PATH\nFolders with plug\\-ins, separated by "
                    "colons.\n.TP\n.B ASSAY_MAX_ISA\nAs \\-\\-max\\-isa.\n");
}

void cli_print_completion(strbuf *out) {
    size_t n = 0;
    const command *const *all = command_all(&n);
    strbuf_add(out, "# bash completion for assay, generated from its option tables\n_assay() {\n"
                    "    local cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} words=\n"
                    "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words=\"");
    for (size_t i = 0; i < n; i++) {
        strbuf_addf(out, "%s ", all[i]->info.id);
    }
    strbuf_add(out, "--help --version\"\n    else\n        case $verb in\n");
    for (size_t i = 0; i < n; i++) {
        strbuf_addf(out, "        %s) words=\"--help", all[i]->info.id);
        for (size_t j = 0; j < all[i]->n_options; j++) {
            strbuf_addf(out, " --%s", all[i]->options[j].name);
        }
        strbuf_add(out, "\" ;;\n");
    }
    strbuf_add(out,
               "        esac\n    fi\n    if [[ $cur == -* || $COMP_CWORD -eq 1 ]]; then\n"
               "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n    else\n"
               "        COMPREPLY=($(compgen -f -- \"$cur\"))\n    fi\n}\ncomplete -o filenames -F _assay assay\n");
}
