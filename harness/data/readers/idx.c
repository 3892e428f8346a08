/* SPDX-License-Identifier: Apache-2.0
 * IDX, the format of MNIST (Y. LeCun, "The MNIST database", section "file formats"), plain or in gzip
 * (RFC 1952, told by its magic, several members allowed):
 *   2 zero bytes, 1 byte element type, 1 byte number of dimensions, dimensions as 32-bit big-endian, values.
 * Files: `images` (first dimension = examples) and `labels` (N).
 * The header's claim is never believed: a plain file must have exactly the claimed size; a gzip file is inflated
 * into a buffer that grows with what really comes, never beyond the claim. */
#include <string.h>
#include <zlib.h>

#include "base/io.h"
#include "data/reader.h"

#define IDX_MAX_BYTES ((size_t)4 << 30) /* of one file, uncompressed */
enum { IDX_MAX_DIMS = 4, FIRST_CHUNK = 1 << 20, INPUT_CHUNK = 1 << 30 };

/* The uncompressed bytes of a mapped file, in order. */
typedef struct source {
    const char *path;
    io_map map;
    size_t used; /* plain: bytes read; gzip: bytes given to zlib */
    size_t n_out;
    bool gzip;
    bool ended; /* gzip: the last member is complete, its checksum verified */
    z_stream z;
} source;

static status source_open(source *s, const char *path, error *err) {
    *s = (source){.path = path};
    TRY(io_map_file(path, &s->map, err));
    s->gzip = s->map.n >= 2 && s->map.data[0] == 0x1f && s->map.data[1] == 0x8b;
    if (s->gzip && inflateInit2(&s->z, 15 + 16) != Z_OK) {
        io_unmap(&s->map);
        return error_set(err, STATUS_MEMORY, "%s: zlib has no memory", path);
    }
    return STATUS_OK;
}

static void source_close(source *s) {
    if (s->gzip) {
        (void)inflateEnd(&s->z);
    }
    io_unmap(&s->map);
}

static void give_input(source *s) {
    size_t rest = s->map.n - s->used;
    size_t n = rest > INPUT_CHUNK ? INPUT_CHUNK : rest;
    s->z.next_in = (z_const Bytef *)(uintptr_t)(s->map.data + s->used); /* zlib does not write to its input */
    s->z.avail_in = (uInt)n;
}

/* One step of inflate into out[0..cap): how many bytes came. 0 with STATUS_OK: the file ended. */
static status inflate_step(source *s, uint8_t *out, size_t cap, size_t *got, error *err) {
    *got = 0;
    while (*got == 0) {
        if (s->ended) {
            if (s->used == s->map.n) {
                return STATUS_OK;
            }
            if (s->map.data[s->used] != 0x1f || inflateReset(&s->z) != Z_OK) {
                return error_set(err, STATUS_DATA, "%s: byte %zu: garbage behind the end of the gzip data", s->path,
                                 s->used);
            }
            s->ended = false;
        }
        give_input(s);
        size_t n_in = s->z.avail_in;
        s->z.next_out = out;
        s->z.avail_out = (uInt)(cap > INPUT_CHUNK ? INPUT_CHUNK : cap);
        size_t room = s->z.avail_out;
        int rc = inflate(&s->z, Z_NO_FLUSH);
        size_t eaten = n_in - s->z.avail_in;
        s->used += eaten;
        *got = room - s->z.avail_out;
        s->ended = rc == Z_STREAM_END;
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) {
            return error_set(err, STATUS_DATA, "%s: byte %zu: damaged gzip data (%s)", s->path, s->used,
                             s->z.msg == NULL ? "unknown reason" : s->z.msg);
        }
        if (!s->ended && *got == 0 && eaten == 0) {
            return error_set(err, STATUS_DATA, "%s: byte %zu: the gzip data are cut off", s->path, s->used);
        }
    }
    return STATUS_OK;
}

/* Exactly n bytes. `what` names them in the error text. */
static status source_read(source *s, uint8_t *out, size_t n, const char *what, error *err) {
    size_t have = 0;
    while (have < n) {
        size_t got = 0;
        if (s->gzip) {
            TRY(inflate_step(s, out + have, n - have, &got, err));
        } else {
            size_t rest = s->map.n - s->used;
            got = rest < n - have ? rest : n - have;
            if (got > 0) {
                memcpy(out + have, s->map.data + s->used, got);
            }
            s->used += got;
        }
        s->n_out += got;
        have += got;
        if (got == 0) {
            return error_set(err, STATUS_DATA, "%s: byte %zu: the file ends within the %s", s->path, s->n_out, what);
        }
    }
    return STATUS_OK;
}

static status source_expect_end(source *s, error *err) {
    uint8_t more = 0;
    size_t got = 0;
    if (s->gzip) {
        TRY(inflate_step(s, &more, 1, &got, err));
    } else {
        got = s->map.n - s->used;
    }
    return got == 0 ? STATUS_OK
                    : error_set(err, STATUS_DATA, "%s: byte %zu: more bytes than the header says", s->path, s->n_out);
}

static bool type_of(uint8_t code, element_type *t) {
    static const struct {
        uint8_t code;
        element_type type;
    } types[] = {{0x08, ELEMENT_U8},  {0x09, ELEMENT_I8},  {0x0b, ELEMENT_I16},
                 {0x0c, ELEMENT_I32}, {0x0d, ELEMENT_F32}, {0x0e, ELEMENT_F64}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].code == code) {
            *t = types[i].type;
            return true;
        }
    }
    return false;
}

static status read_header(source *s, tensor_file *t, size_t *n_bytes, error *err) {
    uint8_t h[4 + 4 * IDX_MAX_DIMS] = {0};
    TRY(source_read(s, h, 4, "header", err));
    if (h[0] != 0 || h[1] != 0) {
        return error_set(err, STATUS_DATA, "%s: byte 0: not an IDX file (it starts with %02x %02x, not 00 00)", s->path,
                         h[0], h[1]);
    }
    if (!type_of(h[2], &t->type)) {
        return error_set(err, STATUS_DATA, "%s: byte 2: unknown element type 0x%02x", s->path, h[2]);
    }
    if (h[3] < 1 || h[3] > IDX_MAX_DIMS) {
        return error_set(err, STATUS_DATA, "%s: byte 3: %u dimensions, not 1 to %d", s->path, h[3], IDX_MAX_DIMS);
    }
    t->n_dims = h[3];
    t->big_endian = true;
    TRY(source_read(s, h + 4, (size_t)4 * t->n_dims, "header", err));
    for (uint32_t i = 0; i < t->n_dims; i++) {
        const uint8_t *p = h + 4 + (size_t)4 * i;
        t->shape[i] = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    }
    if (!tensor_file_bytes(t, n_bytes) || *n_bytes > IDX_MAX_BYTES) {
        return error_set(err, STATUS_DATA, "%s: byte 4: the header claims more than 4 GiB", s->path);
    }
    if (!s->gzip && *n_bytes != s->map.n - s->used) {
        return error_set(err, STATUS_DATA, "%s: byte 4: the header claims %zu bytes of values, the file holds %zu",
                         s->path, *n_bytes, s->map.n - s->used);
    }
    return STATUS_OK;
}

/* n bytes into a buffer that grows with what has come. Free with mem_free. */
static status read_growing(source *s, size_t n, uint8_t **out, error *err) {
    *out = NULL;
    uint8_t *buf = NULL;
    size_t have = 0;
    size_t cap = 0;
    while (have < n) {
        /* images rarely shrink to less than an eighth: one allocation for them, and no hostile file gets more */
        size_t likely = s->map.n < n / 8 ? s->map.n * 8 : n;
        cap = cap != 0 ? cap * 2 : likely > FIRST_CHUNK ? likely : FIRST_CHUNK;
        cap = cap > n ? n : cap;
        uint8_t *bigger = mem_try(cap, 1, s->path, err);
        if (bigger == NULL) {
            mem_free(buf);
            return STATUS_MEMORY;
        }
        if (buf != NULL) {
            memcpy(bigger, buf, have);
            mem_free(buf);
        }
        buf = bigger;
        status st = source_read(s, buf + have, cap - have, "values", err);
        if (st != STATUS_OK) {
            mem_free(buf);
            return st;
        }
        have = cap;
    }
    *out = buf;
    return STATUS_OK;
}

/* t->data points into the mapped file or into *buffer; both live until the caller is done. */
static status read_tensor(source *s, tensor_file *t, uint8_t **buffer, error *err) {
    size_t n = 0;
    TRY(read_header(s, t, &n, err));
    if (s->gzip) {
        TRY(read_growing(s, n, buffer, err));
        t->data = *buffer;
        return source_expect_end(s, err);
    }
    t->data = s->map.data + s->used; /* exactly n bytes: checked */
    return STATUS_OK;
}

static status read_images(const manifest_record *r, const manifest_file *f, dataset *out, size_t *n_in_file,
                          error *err) {
    source s;
    TRY(source_open(&s, f->path, err));
    tensor_file t = {0};
    uint8_t *buffer = NULL;
    status st = read_tensor(&s, &t, &buffer, err);
    if (st == STATUS_OK) {
        *n_in_file = t.shape[0];
        st = reader_features(r, f, &t, out, err);
    }
    mem_free(buffer);
    source_close(&s);
    return st;
}

static status read_labels(const manifest_record *r, const manifest_file *f, size_t n_in_file, dataset *out,
                          error *err) {
    source s;
    TRY(source_open(&s, f->path, err));
    tensor_file t = {0};
    uint8_t *buffer = NULL;
    status st = read_tensor(&s, &t, &buffer, err);
    if (st == STATUS_OK) {
        st = reader_labels(r, f, &t, n_in_file, out, err);
    }
    mem_free(buffer);
    source_close(&s);
    return st;
}

static status idx_read(const manifest_record *r, dataset *out, error *err) {
    static const char *const roles[] = {"images", "labels"};
    TRY(reader_check_roles(r, roles, 2, err));
    TRY(reader_tensor_keys(r, err));
    size_t n_in_file = 0;
    TRY(read_images(r, reader_file(r, "images"), out, &n_in_file, err));
    const manifest_file *labels = reader_file(r, "labels");
    return labels != NULL ? read_labels(r, labels, n_in_file, out, err) : reader_no_labels(r, out, err);
}

const reader reader_idx = {
    .info =
        {
            .id = "idx",
            .summary = "IDX tensors (MNIST family), plain or gzip: files `images` and `labels`",
            .cite = "LeCun, Cortes, Burges: The MNIST database of handwritten digits, 1998",
            .version = 1,
        },
    .read = idx_read,
};
