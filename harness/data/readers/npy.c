/* SPDX-License-Identifier: Apache-2.0
 * NumPy's .npy, versions 1.0 and 2.0 (NEP 1): magic, version, header length, a header that is a Python dictionary
 * literal, values. The header is matched against the one form that the format allows; nothing is evaluated.
 * Files: `features` (first dimension = examples) and `labels` (N). C order only. */
#include <string.h>

#include "base/io.h"
#include "data/reader.h"

enum { NPY_MAX_HEADER = 64 * 1024 };

typedef struct cursor {
    const char *path;
    const char *at, *end; /* of the header text */
    const char *start;    /* of the file */
} cursor;

static status bad_header(const cursor *c, const char *why, error *err) {
    return error_set(err, STATUS_DATA, "%s: byte %zu: bad npy header: %s", c->path, (size_t)(c->at - c->start), why);
}

static void skip_blanks(cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t')) {
        c->at++;
    }
}

static bool accept(cursor *c, const char *word) {
    skip_blanks(c);
    size_t n = strlen(word);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0) {
        return false;
    }
    c->at += n;
    return true;
}

/* 'text' or "text" without escapes, into buf. */
static status quoted(cursor *c, char *buf, size_t cap, error *err) {
    skip_blanks(c);
    char quote = c->at < c->end ? *c->at : '\0';
    if (quote != '\'' && quote != '"') {
        return bad_header(c, "a quote is expected", err);
    }
    const char *close = memchr(c->at + 1, quote, (size_t)(c->end - c->at - 1));
    size_t n = close == NULL ? cap : (size_t)(close - c->at - 1);
    if (n >= cap) {
        return bad_header(c, "too long a word", err);
    }
    memcpy(buf, c->at + 1, n);
    buf[n] = '\0';
    c->at = close + 1;
    return STATUS_OK;
}

static status parse_descr(cursor *c, tensor_file *t, error *err) {
    static const struct {
        const char *descr;
        element_type type;
    } types[] = {{"|u1", ELEMENT_U8},  {"|i1", ELEMENT_I8},  {"<i2", ELEMENT_I16}, {"<i4", ELEMENT_I32},
                 {"<i8", ELEMENT_I64}, {"<f4", ELEMENT_F32}, {"<f8", ELEMENT_F64}};
    char word[16];
    skip_blanks(c);
    if (c->at < c->end && (*c->at == '[' || *c->at == '(')) {
        return bad_header(c, "structured arrays are not read", err);
    }
    TRY(quoted(c, word, sizeof word, err));
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(word, types[i].descr) == 0) {
            t->type = types[i].type;
            return STATUS_OK;
        }
    }
    return error_set(err, STATUS_DATA,
                     "%s: element type \"%s\" is not read (known: |u1, |i1, <i2, <i4, <i8, <f4, <f8); "
                     "convert with array.astype(...)",
                     c->path, word);
}

static status parse_order(cursor *c, error *err) {
    if (accept(c, "False")) {
        return STATUS_OK;
    }
    return accept(c, "True") ? error_set(err, STATUS_DATA,
                                         "%s: Fortran order is not read; save numpy.ascontiguousarray(array)", c->path)
                             : bad_header(c, "fortran_order must be True or False", err);
}

static status parse_number(cursor *c, size_t *out, error *err) {
    skip_blanks(c);
    const char *from = c->at;
    size_t v = 0;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
        if (!mem_mul(v, 10, &v) || !mem_add(v, (size_t)(*c->at - '0'), &v)) {
            return bad_header(c, "too large a number", err);
        }
        c->at++;
    }
    *out = v;
    return c->at > from ? STATUS_OK : bad_header(c, "a number is expected", err);
}

/* (3, 4), (3,), () */
static status parse_shape(cursor *c, tensor_file *t, error *err) {
    if (!accept(c, "(")) {
        return bad_header(c, "the shape must be a tuple", err);
    }
    t->n_dims = 0;
    while (!accept(c, ")")) {
        if (t->n_dims == DATASET_MAX_DIMS + 1) {
            return bad_header(c, "more than 8 dimensions", err);
        }
        TRY(parse_number(c, &t->shape[t->n_dims++], err));
        if (!accept(c, ",")) {
            if (!accept(c, ")") || t->n_dims == 1) {
                return bad_header(c, "the shape must be a tuple", err);
            }
            break;
        }
    }
    return t->n_dims > 0 ? STATUS_OK : bad_header(c, "a single number is no dataset", err);
}

static status parse_dictionary(cursor *c, tensor_file *t, error *err) {
    unsigned seen = 0;
    if (!accept(c, "{")) {
        return bad_header(c, "a dictionary is expected", err);
    }
    while (!accept(c, "}")) {
        char key[16];
        TRY(quoted(c, key, sizeof key, err));
        if (!accept(c, ":")) {
            return bad_header(c, "a colon is expected", err);
        }
        unsigned bit = strcmp(key, "descr") == 0           ? 1U
                       : strcmp(key, "fortran_order") == 0 ? 2U
                       : strcmp(key, "shape") == 0         ? 4U
                                                           : 0U;
        if (bit == 0 || (seen & bit) != 0) {
            return bad_header(c, "an unknown or repeated key", err);
        }
        seen |= bit;
        TRY(bit == 1 ? parse_descr(c, t, err) : bit == 2 ? parse_order(c, err) : parse_shape(c, t, err));
        if (!accept(c, ",")) {
            if (!accept(c, "}")) {
                return bad_header(c, "a comma or a brace is expected", err);
            }
            break;
        }
    }
    skip_blanks(c);
    return seen == 7 && c->at == c->end
               ? STATUS_OK
               : bad_header(c, seen != 7 ? "descr, fortran_order or shape is missing" : "text behind the dictionary",
                            err);
}

/* t->data points into the map and has exactly the bytes of the shape. */
static status parse_npy(const char *path, const io_map *m, tensor_file *t, error *err) {
    if (m->n < 10 || memcmp(m->data, "\x93NUMPY", 6) != 0) {
        return error_set(err, STATUS_DATA, "%s: byte 0: not an npy file", path);
    }
    const uint8_t *p = m->data;
    if ((p[6] != 1 && p[6] != 2) || p[7] != 0) {
        return error_set(err, STATUS_DATA, "%s: byte 6: npy version %u.%u, not 1.0 or 2.0", path, p[6], p[7]);
    }
    size_t fixed = p[6] == 1 ? 10 : 12;
    if (m->n < fixed) {
        return error_set(err, STATUS_DATA, "%s: byte %zu: the file ends within the header", path, m->n);
    }
    size_t n = (size_t)p[8] | (size_t)p[9] << 8;
    n |= p[6] == 1 ? 0 : (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (n > NPY_MAX_HEADER || n > m->n - fixed) {
        return error_set(err, STATUS_DATA, "%s: byte 8: the header claims %zu bytes, the file holds %zu", path, n,
                         m->n - fixed);
    }
    const char *text = (const char *)p;
    cursor c = {.path = path, .at = text + fixed, .end = text + fixed + n, .start = text};
    TRY(parse_dictionary(&c, t, err));
    size_t bytes = 0;
    size_t rest = m->n - fixed - n;
    if (!tensor_file_bytes(t, &bytes) || bytes != rest) {
        return error_set(err, STATUS_DATA, "%s: the header's shape does not match the %zu bytes of values", path, rest);
    }
    t->data = p + fixed + n;
    return STATUS_OK;
}

static status npy_read(const manifest_record *r, dataset *out, error *err) {
    static const char *const roles[] = {"features", "labels"};
    TRY(reader_check_roles(r, roles, 2, err));
    TRY(reader_tensor_keys(r, err));
    const manifest_file *features = reader_file(r, "features");
    const manifest_file *labels = reader_file(r, "labels");
    io_map map;
    tensor_file t = {0};
    TRY(io_map_file(features->path, &map, err));
    status s = parse_npy(features->path, &map, &t, err);
    size_t n_in_file = t.shape[0];
    if (s == STATUS_OK) {
        s = reader_features(r, features, &t, out, err);
    }
    io_unmap(&map);
    TRY(s);
    if (labels == NULL) {
        return reader_no_labels(r, out, err);
    }
    TRY(io_map_file(labels->path, &map, err));
    t = (tensor_file){0};
    s = parse_npy(labels->path, &map, &t, err);
    if (s == STATUS_OK) {
        s = reader_labels(r, labels, &t, n_in_file, out, err);
    }
    io_unmap(&map);
    return s;
}

const reader reader_npy = {
    .info =
        {
            .id = "npy",
            .summary = "NumPy arrays (.npy): files `features` and `labels`",
            .cite = "NEP 1: A simple file format for NumPy arrays",
            .version = 1,
        },
    .read = npy_read,
};
