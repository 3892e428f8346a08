/* SPDX-License-Identifier: Apache-2.0 */
#include "base/status.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

static const struct {
    const char *name, *sentence;
    int exit_code;
} statuses[] = {
#define STATUS_ROW(name, sentence, exit_code) {#name, sentence, exit_code},
    STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
};

const char *status_name(status s) {
    return (unsigned)s < STATUS_COUNT ? statuses[s].name : "?";
}

const char *status_sentence(status s) {
    return (unsigned)s < STATUS_COUNT ? statuses[s].sentence : "unknown status";
}

int status_exit_code(status s) {
    return (unsigned)s < STATUS_COUNT ? statuses[s].exit_code : 70;
}

int exit_code_worst(int a, int b) {
    static const int order[] = {70, 130, 6, 2, 4, 5, 1, 3, 0};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (a == order[i] || b == order[i]) {
            return order[i];
        }
    }
    return 70;
}

/* Error text reaches terminals, logs and JSON: a hostile name must not carry escape sequences there, and a text cut in
 * the middle of a character must stay UTF-8. */
static void make_printable(char *s) {
    str_make_printable(s, "\n\t");
}

status error_vset(error *err, status code, const char *fmt, va_list ap) {
    if (err != NULL) {
        err->code = code;
        (void)vsnprintf(err->text, sizeof err->text, fmt, ap);
        make_printable(err->text);
    }
    return code;
}

status error_set(error *err, status code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    (void)error_vset(err, code, fmt, ap);
    va_end(ap);
    return code;
}

status error_prefix(error *err, const char *fmt, ...) {
    if (err == NULL) {
        return STATUS_INTERNAL;
    }
    char old[sizeof err->text];
    memcpy(old, err->text, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof err->text) {
        size_t room = sizeof err->text - (size_t)n;
        size_t len = strnlen(old, sizeof old - 1);
        if (len >= room) {
            len = room - 1;
        }
        memcpy(err->text + n, old, len);
        err->text[(size_t)n + len] = '\0';
    }
    make_printable(err->text);
    return err->code;
}
