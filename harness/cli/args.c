/* SPDX-License-Identifier: Apache-2.0
 * GNU-style options: --name VALUE, --name=VALUE, -x VALUE, -xVALUE, -- ends them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "cli/cli.h"

static size_t option_index(const cli_args *a, const char *name) {
    for (size_t i = 0; i < a->command->n_options; i++) {
        if (strcmp(a->command->options[i].name, name) == 0) {
            return i;
        }
    }
    abort(); /* a verb asks for an option that its own table lacks */
}

const char *cli_get(const cli_args *a, const char *option) {
    return a->value[option_index(a, option)];
}

bool cli_has(const cli_args *a, const char *option) {
    return cli_get(a, option) != NULL;
}

status cli_int(const cli_args *a, const char *option, int64_t min, int64_t max, int64_t *out, error *err) {
    const char *text = cli_get(a, option);
    if (text == NULL) {
        return STATUS_OK;
    }
    int64_t v = 0;
    if (!str_to_i64(text, &v) || v < min || v > max) {
        return error_set(err, STATUS_USAGE, "--%s must be an integer in %lld..%lld, not \"%.60s\"", option,
                         (long long)min, (long long)max, text);
    }
    *out = v;
    return STATUS_OK;
}

status cli_real(const cli_args *a, const char *option, double min, double max, double *out, error *err) {
    const char *text = cli_get(a, option);
    if (text == NULL) {
        return STATUS_OK;
    }
    double v = 0;
    if (!str_to_double(text, &v) || v < min || v > max) {
        return error_set(err, STATUS_USAGE, "--%s must be a number in %g..%g, not \"%.60s\"", option, min, max, text);
    }
    *out = v;
    return STATUS_OK;
}

int cli_fail(status s) {
    return status_exit_code(s);
}

status cli_cpu_choice(const cli_args *a, cli_cpu *out, error *err) {
    const char *cap = getenv("ASSAY_MAX_ISA");
    for (size_t i = 0; a != NULL && i < a->command->n_options; i++) {
        bool is = strcmp(a->command->options[i].name, "max-isa") == 0;
        cap = is && a->value[i] != NULL ? a->value[i] : cap;
    }
    TRY(cpu_choose(cap, &out->isa, err));
    out->n_env = cpu_worker_env(out->isa, out->env);
    return STATUS_OK;
}

const char *cli_store_path(const cli_args *a) {
    const char *given = cli_get(a, "store");
    const char *env = getenv("ASSAY_STORE");
    return given != NULL ? given : env != NULL && env[0] != '\0' ? env : "assay.db";
}

status cli_output(const cli_args *a, const strbuf *text, error *err) {
    const char *path = cli_get(a, "output");
    if (path != NULL && strcmp(path, "-") != 0) {
        return io_write_atomic(path, strbuf_str(text), text->len, err);
    }
    if (fwrite(strbuf_str(text), 1, text->len, stdout) != text->len || fflush(stdout) != 0) {
        return error_set(err, STATUS_IO, "standard output: write failed");
    }
    return STATUS_OK;
}

status cli_plugin_options(const cli_args *a, arena *mem, assay_option **out, size_t *n, error *err) {
    const char *text = cli_has(a, "option") ? cli_get(a, "option") : "";
    *n = 0;
    *out = arena_alloc(mem, (strlen(text) + 1) * sizeof **out);
    for (const char *s = text; *s != '\0';) {
        size_t len = strcspn(s, ";");
        const char *eq = memchr(s, '=', len);
        if (eq == NULL) {
            return error_set(err, STATUS_USAGE, "--option takes KEY=VALUE[;KEY=VALUE...], not \"%.80s\"", s);
        }
        (*out)[*n].key = arena_strndup(mem, s, (size_t)(eq - s));
        (*out)[(*n)++].value = arena_strndup(mem, eq + 1, (size_t)(s + len - eq - 1));
        s += len + (s[len] == ';' ? 1 : 0);
    }
    return STATUS_OK;
}
