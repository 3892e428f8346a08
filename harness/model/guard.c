/* SPDX-License-Identifier: Apache-2.0 */
#include "model/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
/* MXCSR without its six sticky exception flags: DAZ (bit 6), masks (7..12), rounding (13, 14), FTZ (15). */
#define MXCSR_CONTROL 0xffc0u

static uint16_t x87_control(void) {
    uint16_t cw = 0;
    __asm__ volatile("fnstcw %0" : "=m"(cw));
    return cw;
}
#endif

void guard_enter(guard_state *g) {
#if defined(__x86_64__)
    g->mxcsr = _mm_getcsr();
    g->x87 = x87_control();
#else
    (void)fegetenv(&g->env);
    g->rounding = fegetround();
#endif
    g->thread_locale = uselocale((locale_t)0);
    const char *name = setlocale(LC_ALL, NULL);
    size_t n = name == NULL ? 0 : strnlen(name, sizeof g->locale - 1);
    memcpy(g->locale, name == NULL ? "" : name, n);
    g->locale[n] = '\0';
}

static bool restore_fp(const guard_state *g) {
#if defined(__x86_64__)
    bool changed = ((_mm_getcsr() ^ g->mxcsr) & MXCSR_CONTROL) != 0 || x87_control() != g->x87;
    if (changed) {
        _mm_setcsr(g->mxcsr);
        __asm__ volatile("fldcw %0" : : "m"(g->x87));
    }
    return changed;
#else
    /* other machines: the rounding mode is compared, the whole environment is put back */
    bool changed = fegetround() != g->rounding;
    (void)fesetenv(&g->env);
    return changed;
#endif
}

unsigned guard_leave(const guard_state *g) {
    unsigned breaches = restore_fp(g) ? GUARD_FP_MODE : 0;
    if (uselocale((locale_t)0) != g->thread_locale) {
        (void)uselocale(g->thread_locale);
        breaches |= GUARD_LOCALE;
    }
    const char *name = setlocale(LC_ALL, NULL);
    if (name != NULL && strcmp(name, g->locale) != 0) {
        (void)setlocale(LC_ALL, g->locale);
        breaches |= GUARD_LOCALE;
    }
    return breaches;
}

status guard_redirect_stdout(int *saved_fd, error *err) {
    (void)fflush(stdout);
    *saved_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (*saved_fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        return error_set(err, STATUS_IO, "stdout cannot be redirected: %s", strerror(errno));
    }
    return STATUS_OK;
}

status guard_restore_stdout(int saved_fd, error *err) {
    (void)fflush(stdout);
    int rc = dup2(saved_fd, STDOUT_FILENO);
    int e = errno;
    (void)close(saved_fd);
    return rc >= 0 ? STATUS_OK : error_set(err, STATUS_IO, "stdout cannot be restored: %s", strerror(e));
}

/* Position-dependent, so that a shifted copy of a canary does not pass for one. */
static uint8_t canary_byte(size_t i) {
    return (uint8_t)(0xa5u ^ (i * 37u));
}

static const uint32_t poison_word = 0x7fc5a5a5u; /* a quiet NaN as float32 */

status guard_buffer_reserve(guard_buffer *b, size_t n, const char *what, error *err) {
    size_t rounded = 0; /* room for whole poison words */
    if (!mem_add(n, 3 + 2 * (size_t)GUARD_CANARY_BYTES, &rounded)) {
        return error_set(err, STATUS_MEMORY, "%s: %zu bytes are too many", what, n);
    }
    if (b->base == NULL || n > b->cap) {
        guard_buffer_free(b);
        b->base = mem_try(rounded, 1, what, err);
        if (b->base == NULL) {
            return STATUS_MEMORY;
        }
        b->cap = n;
        b->data = b->base + GUARD_CANARY_BYTES;
    } else if (n == b->n) {
        return STATUS_OK; /* the canaries stand already: they are checked after every call */
    }
    b->n = n;
    for (size_t i = 0; i < GUARD_CANARY_BYTES; i++) {
        b->base[i] = canary_byte(i);
        b->data[n + i] = canary_byte(i);
    }
    return STATUS_OK;
}

void guard_buffer_poison(guard_buffer *b) {
    for (size_t i = 0; i + sizeof poison_word <= b->n; i += sizeof poison_word) {
        memcpy(b->data + i, &poison_word, sizeof poison_word);
    }
}

size_t guard_count_poison(const void *words, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += memcmp((const uint8_t *)words + i * sizeof poison_word, &poison_word, sizeof poison_word) == 0;
    }
    return count;
}

bool guard_buffer_intact(const guard_buffer *b) {
    unsigned diff = 0;
    for (size_t i = 0; b->base != NULL && i < GUARD_CANARY_BYTES; i++) {
        diff |= (unsigned)(b->base[i] ^ canary_byte(i)) | (unsigned)(b->data[b->n + i] ^ canary_byte(i));
    }
    return diff == 0;
}

void guard_buffer_free(guard_buffer *b) {
    mem_free(b->base);
    *b = (guard_buffer){0};
}
