/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

struct digest {
    EVP_MD_CTX *ctx;
};

/* libcrypto fails here only without memory. */
static void must(int ok) {
    if (ok != 1) {
        (void)fputs("assay: SHA-256 is not available\n", stderr);
        abort();
    }
}

digest *digest_new(void) {
    digest *d = mem_zalloc(sizeof *d);
    d->ctx = EVP_MD_CTX_new();
    must(d->ctx != NULL);
    must(EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL));
    return d;
}

void digest_add(digest *d, const void *bytes, size_t n) {
    must(EVP_DigestUpdate(d->ctx, bytes, n));
}

digest_value digest_finish(digest *d) {
    digest_value v;
    unsigned n = 0;
    must(EVP_DigestFinal_ex(d->ctx, v.bytes, &n));
    EVP_MD_CTX_free(d->ctx);
    mem_free(d);
    return v;
}

digest_value digest_peek(const digest *d) {
    digest *copy = mem_zalloc(sizeof *copy);
    copy->ctx = EVP_MD_CTX_new();
    must(copy->ctx != NULL);
    must(EVP_MD_CTX_copy_ex(copy->ctx, d->ctx));
    return digest_finish(copy);
}

static void add_u64(digest *d, uint64_t v) {
    uint8_t le[8];
    for (int i = 0; i < 8; i++) {
        le[i] = (uint8_t)(v >> (8 * i));
    }
    digest_add(d, le, sizeof le);
}

void digest_field(digest *d, const char *tag, const void *value, size_t n) {
    digest_add(d, tag, strlen(tag) + 1);
    add_u64(d, n);
    digest_add(d, value, n);
}

void digest_field_str(digest *d, const char *tag, const char *value) {
    digest_field(d, tag, value, strlen(value));
}

void digest_field_u64(digest *d, const char *tag, uint64_t value) {
    digest_add(d, tag, strlen(tag) + 1);
    add_u64(d, 8);
    add_u64(d, value);
}

digest_value digest_of(const void *bytes, size_t n) {
    digest *d = digest_new();
    digest_add(d, bytes, n);
    return digest_finish(d);
}

status digest_file(const char *path, digest_value *out, uint64_t *n_bytes, error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return error_set(err, STATUS_IO, "%s: %s", path, strerror(errno));
    }
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) { /* a FIFO would block, a device might never end */
        (void)close(fd);
        return error_set(err, STATUS_IO, "%s: is not a regular file", path);
    }
    enum { CHUNK = 1 << 16 };
    uint8_t *buf = mem_zalloc(CHUNK);
    digest *d = digest_new();
    uint64_t total = 0;
    ssize_t n = 0;
    while ((n = read(fd, buf, CHUNK)) > 0 || (n < 0 && errno == EINTR)) {
        if (n > 0) {
            digest_add(d, buf, (size_t)n);
            total += (uint64_t)n;
        }
    }
    int saved = errno;
    *out = digest_finish(d);
    mem_free(buf);
    (void)close(fd);
    if (n < 0) {
        return error_set(err, STATUS_IO, "%s: %s", path, strerror(saved));
    }
    if (n_bytes != NULL) {
        *n_bytes = total;
    }
    return STATUS_OK;
}

void digest_hex(const digest_value *v, char out[DIGEST_HEX]) {
    str_hex(v->bytes, DIGEST_BYTES, out);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

status digest_parse(const char *hex, digest_value *out, error *err) {
    size_t n = strlen(hex);
    for (size_t i = 0; n == DIGEST_HEX - 1 && i < DIGEST_BYTES; i++) {
        int hi = hex_digit(hex[2 * i]);
        int lo = hex_digit(hex[2 * i + 1]);
        if (hi < 0 || lo < 0) {
            n = 0;
            break;
        }
        out->bytes[i] = (uint8_t)(hi << 4 | lo);
    }
    if (n != DIGEST_HEX - 1) {
        return error_set(err, STATUS_USAGE, "\"%.80s\" is not a SHA-256 of 64 hexadecimal digits", hex);
    }
    return STATUS_OK;
}

int digest_equal(const digest_value *a, const digest_value *b) {
    return memcmp(a->bytes, b->bytes, DIGEST_BYTES) == 0;
}
