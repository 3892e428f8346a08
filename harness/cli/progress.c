/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static const int64_t PLAIN_INTERVAL_NS = 10000000000;

status progress_init(progress *p, const char *mode, error *err) {
    *p = (progress){.last_line_ns = clock_ns()};
    if (mode == NULL || strcmp(mode, "auto") == 0) {
        p->terminal = isatty(STDERR_FILENO) != 0;
    } else if (strcmp(mode, "none") == 0) {
        p->quiet = true;
    } else if (strcmp(mode, "plain") != 0) {
        return error_set(err, STATUS_USAGE, "--progress must be auto, plain or none, not \"%.40s\"", mode);
    }
    return STATUS_OK;
}

static void describe(const run_progress *r, char *line, size_t cap) {
    double s = (double)(clock_ns() - r->started_ns) / 1e9;
    double rate = s > 0 ? (double)r->n_examples_done / s : 0;
    double left = rate > 0 ? (double)(r->n_examples - r->n_examples_done) / rate : 0;
    char acc[64] = "";
    if (r->n_seen > 0 && r->model != NULL) {
        (void)snprintf(acc, sizeof acc, " · %.24s accuracy %.4f", r->model, (double)r->n_correct / (double)r->n_seen);
    }
    (void)snprintf(line, cap, "%zu/%zu items · %zu/%zu examples · %.0f/s · %.0f s left%s", r->n_done, r->n_items,
                   r->n_examples_done, r->n_examples, rate, left, acc);
}

static void tick(void *context, const run_progress *r) {
    progress *p = context;
    int64_t now = clock_ns();
    if (p->quiet || (!p->terminal && now - p->last_line_ns < PLAIN_INTERVAL_NS)) {
        return;
    }
    char line[256];
    describe(r, line, sizeof line);
    (void)fprintf(stderr, p->terminal ? "\r\033[K%s" : "%s\n", line);
    (void)fflush(stderr);
    p->line_open = p->terminal;
    p->last_line_ns = now;
}

void progress_end(progress *p) {
    if (p->line_open) {
        (void)fputs("\r\033[K", stderr);
        p->line_open = false;
    }
}

static void note(void *context, const char *level, const char *text) {
    progress_end(context);
    char clean[1024];
    (void)snprintf(clean, sizeof clean, "%s", text);
    for (char *c = clean; *c != '\0'; c++) {
        *c = (unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c;
    }
    (void)fprintf(stderr, "%s: %s\n", level, clean);
}

run_observer progress_observer(progress *p) {
    return (run_observer){.context = p, .tick = tick, .note = note};
}
