/* SPDX-License-Identifier: Apache-2.0
 * Errors are values: a `status` and a caller-owned `error` whose text names the input. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdarg.h>
#include <stddef.h>

/* X(name, sentence, exit code). The exit codes are the command line's contract (docs/ARCHITECTURE.md). */
#define STATUS_LIST(X)                                                                                                 \
    X(OK, "success", 0)                                                                                                \
    X(GATE, "a gate rule failed", 1)                                                                                   \
    X(USAGE, "wrong usage or configuration", 2)                                                                        \
    X(INCONCLUSIVE, "the data do not decide the question", 3)                                                          \
    X(REFUSED, "not comparable, or a foreign or newer database", 4)                                                    \
    X(DATA, "the data are malformed or do not match the manifest", 4)                                                  \
    X(MODEL, "a model or an item failed", 5)                                                                           \
    X(UNSUPPORTED, "the model needs something that is not supported", 5)                                               \
    X(IO, "storage or input/output failed", 6)                                                                         \
    X(MEMORY, "out of memory", 70)                                                                                     \
    X(INTERNAL, "a defect of assay", 70)                                                                               \
    X(INTERRUPTED, "interrupted", 130)

typedef enum status {
#define STATUS_ENUM(name, sentence, exit_code) STATUS_##name,
    STATUS_LIST(STATUS_ENUM)
#undef STATUS_ENUM
        STATUS_COUNT
} status;

typedef struct error {
    status code;
    char text[2000]; /* UTF-8, one or more lines, no trailing newline */
} error;

const char *status_name(status s);     /* "USAGE" */
const char *status_sentence(status s); /* for people */
int status_exit_code(status s);

/* Of several exit codes the one to end with: 70 > 130 > 6 > 2 > 4 > 5 > 1 > 3 > 0. */
int exit_code_worst(int a, int b);

/* Both return `code`, so that `return error_set(err, STATUS_DATA, "...")` reads well. `err` may be NULL.
 * error_prefix puts text before what is there. Control characters and broken UTF-8 (of hostile names) become '?'. */
status error_set(error *err, status code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
status error_vset(error *err, status code, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));
status error_prefix(error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define TRY(expr)                                                                                                      \
    do {                                                                                                               \
        status try_status_ = (expr);                                                                                   \
        if (try_status_ != STATUS_OK) {                                                                                \
            return try_status_;                                                                                        \
        }                                                                                                              \
    } while (0)

#endif
