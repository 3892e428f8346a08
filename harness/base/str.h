/* SPDX-License-Identifier: Apache-2.0
 * Strings: a growing buffer, locale-independent numbers, UTF-8 checks, "did you mean". */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing, always NUL-terminated buffer. Zero-initialise; free with strbuf_free. */
typedef struct strbuf {
    char *data; /* NULL until something was added */
    size_t len, cap;
} strbuf;

void strbuf_add(strbuf *b, const char *s);
void strbuf_addn(strbuf *b, const void *s, size_t n);
void strbuf_addf(strbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strbuf_vaddf(strbuf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
const char *strbuf_str(const strbuf *b); /* never NULL */
void strbuf_free(strbuf *b);

/* Whole-string parsers, independent of the locale: false on anything left over, overflow, or empty text.
 * str_to_double takes decimal and exponent forms, "inf", "-inf"; never "nan" or hexadecimal. */
bool str_to_double(const char *s, double *out);
bool str_to_i64(const char *s, int64_t *out);
bool str_to_bool(const char *s, bool *out); /* true/false/yes/no/on/off/1/0 */

/* The fewest digits that read back as the same double, plain from 1e-4 to below 1e16: "0.1", "1000", "1e-07", "1e+16",
 * "inf", "nan". Returns buf. */
#define STR_DOUBLE_BYTES 32
char *str_from_double(double v, char buf[STR_DOUBLE_BYTES]);

/* In place: control characters (C0 but those in `keep`, DEL, C1) and bytes that are no UTF-8 become '?', one per byte,
 * so that no text from outside moves a terminal's cursor or breaks the JSON it is put in. */
void str_make_printable(char *s, const char *keep);

/* Length in bytes of the longest valid UTF-8 prefix of s[0..n). */
size_t str_utf8_valid(const char *s, size_t n);
/* Terminal columns of a UTF-8 string (one per code point, two for wide East Asian, none for combining). */
size_t str_width(const char *s);

/* The candidate nearest to `word` by optimal-string-alignment distance if it is near enough to suggest, else NULL. */
const char *str_nearest(const char *word, const char *const *candidates, size_t n);

void str_hex(const uint8_t *bytes, size_t n, char *out); /* out: 2n+1 chars */

#endif
