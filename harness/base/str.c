/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

void strbuf_addn(strbuf *b, const void *s, size_t n) {
    if (b->cap - b->len < n + 1) {
        b->data = mem_grow(b->data, &b->cap, b->len + n + 1, 1);
    }
    if (n > 0) {
        memcpy(b->data + b->len, s, n);
    }
    b->len += n;
    b->data[b->len] = '\0';
}

void strbuf_add(strbuf *b, const char *s) {
    strbuf_addn(b, s, strlen(s));
}

void strbuf_vaddf(strbuf *b, const char *fmt, va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n > 0) {
        b->data = mem_grow(b->data, &b->cap, b->len + (size_t)n + 1, 1);
        (void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void strbuf_addf(strbuf *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    strbuf_vaddf(b, fmt, ap);
    va_end(ap);
}

const char *strbuf_str(const strbuf *b) {
    return b->data == NULL ? "" : b->data;
}

void strbuf_free(strbuf *b) {
    mem_free(b->data);
    *b = (strbuf){0};
}

/* A plug-in may change the process's locale; numbers must not follow it. */
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;
static locale_t c_locale;

static void c_locale_make(void) {
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

bool str_to_double(const char *s, double *out) {
    if (*s == '\0' || strpbrk(s, "xXpP \t\n\v\f\r") != NULL) {
        return false;
    }
    (void)pthread_once(&c_locale_once, c_locale_make);
    char *end = NULL;
    errno = 0;
    double v = strtod_l(s, &end, c_locale);
    if (end == s || *end != '\0' || isnan(v) || (errno == ERANGE && isinf(v))) {
        return false;
    }
    *out = v;
    return true;
}

bool str_to_i64(const char *s, int64_t *out) {
    if (*s == '\0' || strpbrk(s, " \t\n\v\f\r") != NULL) {
        return false;
    }
    char *end = NULL;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (end == s || *end != '\0' || errno == ERANGE) {
        return false;
    }
    *out = (int64_t)v;
    return true;
}

bool str_to_bool(const char *s, bool *out) {
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < 4; i++) {
        if (strcasecmp(s, yes[i]) == 0 || strcasecmp(s, no[i]) == 0) {
            *out = strcasecmp(s, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

enum { PLAIN_EXPONENT = 16 }; /* from here on integers are not all doubles: 1e+16 */

char *str_from_double(double v, char buf[STR_DOUBLE_BYTES]) {
    if (!isfinite(v)) {
        (void)snprintf(buf, STR_DOUBLE_BYTES, "%s", isnan(v) ? "nan" : v > 0 ? "inf" : "-inf");
        return buf;
    }
    (void)pthread_once(&c_locale_once, c_locale_make);
    locale_t old = uselocale(c_locale);
    int digits = 1;
    for (; digits <= 17; digits++) {
        (void)snprintf(buf, STR_DOUBLE_BYTES, "%.*e", digits - 1, v);
        if (strtod_l(buf, NULL, c_locale) == v) {
            break;
        }
    }
    /* %g would write 1000 as 1e+03: with as many digits as stand before the point it writes a plain number */
    int exponent = (int)strtol(strchr(buf, 'e') + 1, NULL, 10);
    if (exponent < PLAIN_EXPONENT) {
        (void)snprintf(buf, STR_DOUBLE_BYTES, "%.*g", exponent + 1 > digits ? exponent + 1 : digits, v);
    }
    (void)uselocale(old);
    return buf;
}

/* Bytes of the valid code point at s, 0 if none (RFC 3629: no surrogates, no overlong forms). */
static size_t utf8_step(const unsigned char *s, size_t n) {
    if (s[0] < 0x80) {
        return 1;
    }
    size_t k = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || k > n) {
        return 0;
    }
    unsigned char lo = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char hi = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < lo || s[1] > hi) {
        return 0;
    }
    for (size_t i = 2; i < k; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return k;
}

/* Bytes of the printable character at s[0..n), 0 if there is none. */
static size_t printable_step(const unsigned char *s, size_t n, const char *keep) {
    if (s[0] < 0x20) {
        return strchr(keep, s[0]) != NULL ? 1 : 0;
    }
    bool c1 = n > 1 && s[0] == 0xc2 && s[1] < 0xa0; /* U+0080..U+009F: U+009B is a terminal's CSI */
    return s[0] == 0x7f || c1 ? 0 : utf8_step(s, n);
}

void str_make_printable(char *s, const char *keep) {
    size_t n = strlen(s);
    for (size_t i = 0; i < n;) {
        size_t k = printable_step((const unsigned char *)s + i, n - i, keep);
        if (k == 0) {
            s[i] = '?';
        }
        i += k == 0 ? 1 : k;
    }
}

size_t str_utf8_valid(const char *s, size_t n) {
    size_t i = 0;
    while (i < n) {
        size_t k = utf8_step((const unsigned char *)s + i, n - i);
        if (k == 0) {
            break;
        }
        i += k;
    }
    return i;
}

static uint32_t utf8_decode(const unsigned char *s, size_t k) {
    if (k == 1) {
        return s[0];
    }
    uint32_t cp = s[0] & (0xffu >> (k + 1));
    for (size_t i = 1; i < k; i++) {
        cp = cp << 6 | (s[i] & 0x3fu);
    }
    return cp;
}

static size_t code_point_width(uint32_t cp) {
    if ((cp >= 0x300 && cp <= 0x36f) || cp == 0x200b || cp == 0xfe0f) {
        return 0;
    }
    bool wide = (cp >= 0x1100 && cp <= 0x115f) || (cp >= 0x2e80 && cp <= 0xa4cf) || (cp >= 0xac00 && cp <= 0xd7a3) ||
                (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0xfe30 && cp <= 0xfe6f) || (cp >= 0xff00 && cp <= 0xff60) ||
                (cp >= 0x1f300 && cp <= 0x1faff);
    return wide ? 2 : 1;
}

size_t str_width(const char *s) {
    size_t n = strlen(s);
    size_t w = 0;
    for (size_t i = 0; i < n;) {
        size_t k = utf8_step((const unsigned char *)s + i, n - i);
        w += k == 0 ? 1 : code_point_width(utf8_decode((const unsigned char *)s + i, k));
        i += k == 0 ? 1 : k;
    }
    return w;
}

enum { WORD_MAX = 63 };

static size_t min3(size_t a, size_t b, size_t c) {
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

static size_t osa_distance(const char *a, size_t na, const char *b, size_t nb) {
    size_t d[WORD_MAX + 1][WORD_MAX + 1];
    for (size_t i = 0; i <= na; i++) {
        d[i][0] = i;
    }
    for (size_t j = 0; j <= nb; j++) {
        d[0][j] = j;
    }
    for (size_t i = 1; i <= na; i++) {
        for (size_t j = 1; j <= nb; j++) {
            size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
            d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < d[i][j]) {
                d[i][j] = d[i - 2][j - 2] + 1;
            }
        }
    }
    return d[na][nb];
}

const char *str_nearest(const char *word, const char *const *candidates, size_t n) {
    size_t nw = strlen(word);
    if (nw == 0 || nw > WORD_MAX) {
        return NULL;
    }
    const char *best = NULL;
    size_t best_d = nw / 3 + 2; /* exclusive: a third of the word may be wrong, plus one */
    for (size_t i = 0; i < n; i++) {
        size_t nc = strlen(candidates[i]);
        if (nc > WORD_MAX) {
            continue;
        }
        size_t d = osa_distance(word, nw, candidates[i], nc);
        if (d < best_d) {
            best_d = d;
            best = candidates[i];
        }
    }
    return best;
}

void str_hex(const uint8_t *bytes, size_t n, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
}
