/* SPDX-License-Identifier: Apache-2.0
 * SHA-256 over bytes, files and tagged fields (libcrypto). */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define DIGEST_BYTES 32
#define DIGEST_HEX (2 * DIGEST_BYTES + 1)

typedef struct digest_value {
    uint8_t bytes[DIGEST_BYTES];
} digest_value;

/* An incremental hash. digest_new never returns NULL (aborts without memory); digest_finish frees it. */
typedef struct digest digest;
digest *digest_new(void);
void digest_add(digest *d, const void *bytes, size_t n);
digest_value digest_finish(digest *d);
digest_value digest_peek(const digest *d); /* the value so far; d goes on */

/* Tagged fields: writes tag, NUL, length as 8 little-endian bytes, value; so no two fields can be confused. */
void digest_field(digest *d, const char *tag, const void *value, size_t n);
void digest_field_str(digest *d, const char *tag, const char *value);
void digest_field_u64(digest *d, const char *tag, uint64_t value);

digest_value digest_of(const void *bytes, size_t n);
/* Regular files only; n_bytes may be NULL. */
status digest_file(const char *path, digest_value *out, uint64_t *n_bytes, error *err);

void digest_hex(const digest_value *v, char out[DIGEST_HEX]);
/* STATUS_USAGE unless `hex` is 64 hexadecimal digits. */
status digest_parse(const char *hex, digest_value *out, error *err);
int digest_equal(const digest_value *a, const digest_value *b);

#endif
