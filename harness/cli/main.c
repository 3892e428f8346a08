/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/hidden.h"

#define ASSAY_COMMAND(name) extern const command command_##name;
#include "cli/registry.def"
#undef ASSAY_COMMAND

static const command *const all[] = {
#define ASSAY_COMMAND(name) &command_##name,
#include "cli/registry.def"
#undef ASSAY_COMMAND
};

const command *const *command_all(size_t *n) {
    *n = sizeof all / sizeof all[0];
    return all;
}

const command *command_find(const char *id) {
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(all[i]->info.id, id) == 0) {
            return all[i];
        }
    }
    return NULL;
}

static int complain(const error *err, int code) {
    if (err->text[0] != '\0') {
        (void)fflush(stdout);
        (void)fprintf(stderr, "assay: %s\n", err->text);
    }
    return code;
}

static int unknown_verb(const char *word, error *err) {
    const char *ids[sizeof all / sizeof all[0]];
    size_t n = sizeof all / sizeof all[0];
    for (size_t i = 0; i < n; i++) {
        ids[i] = all[i]->info.id;
    }
    const char *near = str_nearest(word, ids, n);
    return cli_fail(error_set(err, STATUS_USAGE, "there is no verb \"%.60s\"%s%s%s (assay --help lists them)", word,
                              near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : ""));
}

static status unknown_option(const command *c, const char *word, error *err) {
    const char **names = mem_zalloc((c->n_options + 1) * sizeof *names);
    for (size_t i = 0; i < c->n_options; i++) {
        names[i] = c->options[i].name;
    }
    const char *near = str_nearest(word, names, c->n_options);
    status s = error_set(err, STATUS_USAGE, "%s has no option --%.60s%s%s%s (assay %s --help lists them)", c->info.id,
                         word, near ? "; did you mean --" : "", near ? near : "", near ? "?" : "", c->info.id);
    mem_free(names);
    return s;
}

/* One option at argv[*i]; moves *i over a separate value. */
static status parse_option(const command *c, char **argv, int argc, int *i, const char **value, error *err) {
    const char *word = argv[*i];
    bool is_long = word[1] == '-';
    size_t n = is_long ? strcspn(word + 2, "=") : 1;
    for (size_t k = 0; k < c->n_options; k++) {
        const cli_option *o = &c->options[k];
        bool hit = is_long ? strlen(o->name) == n && strncmp(o->name, word + 2, n) == 0 : o->letter == word[1];
        if (!hit) {
            continue;
        }
        const char *attached =
            is_long ? (word[2 + n] == '=' ? word + 3 + n : NULL) : (word[2] != '\0' ? word + 2 : NULL);
        if (o->arg == NULL) {
            value[k] = "";
            return attached == NULL ? STATUS_OK : error_set(err, STATUS_USAGE, "--%s takes no value", o->name);
        }
        if (attached == NULL && *i + 1 >= argc) {
            return error_set(err, STATUS_USAGE, "--%s needs a value (%s)", o->name, o->arg);
        }
        value[k] = attached != NULL ? attached : argv[++*i];
        return STATUS_OK;
    }
    char name[64];
    (void)snprintf(name, sizeof name, "%.*s", (int)n, is_long ? word + 2 : word + 1);
    return unknown_option(c, name, err);
}

static status parse(const command *c, int argc, char **argv, cli_args *a, bool *help, arena *mem, error *err) {
    const char **v = arena_alloc(mem, ((size_t)argc + 1) * sizeof *v);
    const char **value = arena_alloc(mem, (c->n_options + 1) * sizeof *value);
    *a = (cli_args){.v = v, .value = value, .command = c, .line = a->line};
    bool options = true;
    for (int i = 2; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            *help = true;
            return STATUS_OK;
        } else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
            TRY(parse_option(c, argv, argc, &i, value, err));
        } else {
            v[a->n++] = argv[i];
        }
    }
    if (a->n < c->min_args || a->n > c->max_args) {
        return error_set(err, STATUS_USAGE, "usage: assay %s %s%s", c->info.id, c->n_options > 0 ? "[OPTION]... " : "",
                         c->usage);
    }
    return STATUS_OK;
}

static char *join_line(int argc, char **argv, arena *mem) {
    strbuf b = {0};
    for (int i = 0; i < argc; i++) {
        bool plain = argv[i][0] != '\0' && strpbrk(argv[i], " \t\n'\"\\$`*?[]{}()<>|&;#~!") == NULL;
        strbuf_add(&b, i == 0 ? "" : " ");
        strbuf_add(&b, plain ? "" : "'");
        for (const char *c = i == 0 ? "assay" : argv[i]; *c != '\0'; c++) {
            strbuf_add(&b, *c == '\'' ? "'\\''" : "");
            if (*c != '\'') {
                strbuf_addn(&b, c, 1);
            }
        }
        strbuf_add(&b, plain ? "" : "'");
    }
    char *line = arena_strdup(mem, strbuf_str(&b));
    strbuf_free(&b);
    return line;
}

static int print_text(void (*fill)(strbuf *)) {
    strbuf b = {0};
    fill(&b);
    (void)fputs(strbuf_str(&b), stdout);
    strbuf_free(&b);
    return 0;
}

static void general_help(strbuf *b) {
    cli_print_help(NULL, b);
}

static int version(error *err) {
    cli_cpu cpu = {0};
    CLI_TRY(cli_cpu_choice(NULL, &cpu, err));
    strbuf b = {0};
    cli_print_version(&cpu, &b);
    (void)fputs(strbuf_str(&b), stdout);
    strbuf_free(&b);
    return 0;
}

static int run_verb(const command *c, int argc, char **argv, error *err) {
    arena mem = {0};
    cli_args args = {.line = join_line(argc, argv, &mem)};
    bool help = false;
    status s = parse(c, argc, argv, &args, &help, &mem, err);
    int code = cli_fail(s);
    if (s == STATUS_OK && help) {
        strbuf b = {0};
        cli_print_help(c, &b);
        (void)fputs(strbuf_str(&b), stdout);
        strbuf_free(&b);
    } else if (s == STATUS_OK) {
        code = c->run(&args, &mem, err);
    }
    arena_free(&mem);
    return code;
}

/* A standard descriptor that is closed would be given to the next file opened, and printf would write into that file.
 * Opened the wrong way round, each stays the error that it is. */
static void reserve_standard_fds(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
        }
    }
}

/* Whatever was printed must have arrived; an earlier error of the verb is the one to tell. */
static int end(int code, error *err) {
    bool lost = ferror(stdout) != 0;
    if ((fflush(stdout) != 0 || lost) && code == 0) {
        code = cli_fail(error_set(err, STATUS_IO, "standard output: write failed"));
    }
    return complain(err, code);
}

int main(int argc, char **argv) {
    error err = {0};
    reserve_standard_fds();
    (void)signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error value */
    (void)signal(SIGXFSZ, SIG_IGN); /* so is a full disk quota */
    if (argc < 2) {
        (void)print_text(general_help);
        return 2;
    }
    const char *verb = argv[1];
    int code = 0;
    if (hidden_verb(argc, argv, &code, &err)) {
        return end(code, &err);
    }
    if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0 || strcmp(verb, "help") == 0) {
        code = print_text(general_help);
    } else if (strcmp(verb, "--version") == 0) {
        code = version(&err);
    } else {
        const command *c = command_find(verb);
        code = c == NULL ? unknown_verb(verb, &err) : run_verb(c, argc, argv, &err);
    }
    return end(code, &err);
}
