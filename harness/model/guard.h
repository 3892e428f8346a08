/* SPDX-License-Identifier: Apache-2.0
 * What stands between assay and somebody else's machine code: the thread's floating-point mode and the locale are
 * put back after every call, outputs lie between canaries, stdout is kept clean. A guard finds accidents, not malice:
 * a plug-in runs in the worker's address space. */
#ifndef MODEL_GUARD_H
#define MODEL_GUARD_H

#include <fenv.h>
#include <locale.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define GUARD_FP_MODE 1u /* rounding mode, exception masks, flush-to-zero or denormals-are-zero were changed */
#define GUARD_LOCALE 2u  /* the process's or the thread's locale was changed */

#define GUARD_LOCALE_BYTES 1024

typedef struct guard_state {
#if defined(__x86_64__)
    uint32_t mxcsr;
    uint16_t x87;
#else
    fenv_t env;
    int rounding;
#endif
    locale_t thread_locale;
    char locale[GUARD_LOCALE_BYTES];
} guard_state;

/* Before and after a foreign call, on the same thread. guard_leave restores and returns what had been changed (GUARD_*
 * bits); sticky exception flags do not count as a change. */
void guard_enter(guard_state *g);
unsigned guard_leave(const guard_state *g);

/* Workers: what a plug-in prints to stdout goes to stderr. *saved_fd gets a duplicate (close-on-exec) of the real
 * stdout. */
status guard_redirect_stdout(int *saved_fd, error *err);
/* The way back; closes saved_fd. */
status guard_restore_stdout(int saved_fd, error *err);

/* A buffer of n bytes, aligned to 64, between two canaries. Zero-initialise it. */
#define GUARD_CANARY_BYTES 256u
typedef struct guard_buffer {
    uint8_t *base; /* owned */
    uint8_t *data; /* what the plug-in gets: base + GUARD_CANARY_BYTES */
    size_t n;      /* bytes in use; the rear canary begins here */
    size_t cap;
} guard_buffer;

/* At least n bytes (contents are lost); sets both canaries. STATUS_MEMORY if that is not to be had. */
status guard_buffer_reserve(guard_buffer *b, size_t n, const char *what, error *err);
/* Overwrites the contents with quiet NaNs of one odd payload, so that what a plug-in leaves unwritten is neither
 * stale nor finite. */
void guard_buffer_poison(guard_buffer *b);
/* How many of n 4-byte words hold the poison. */
size_t guard_count_poison(const void *words, size_t n);
bool guard_buffer_intact(const guard_buffer *b); /* both canaries */
void guard_buffer_free(guard_buffer *b);

#endif
