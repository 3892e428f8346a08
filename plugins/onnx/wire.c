/* SPDX-License-Identifier: Apache-2.0
 * The format: https://protobuf.dev/programming-guides/encoding/. The schema comes from protobuf-c's own descriptors. */
#include "wire.h"

#include <stdbool.h>
#include <string.h>

#include "base/str.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

typedef struct scan {
    const uint8_t *data;
    const char *file;
    error *err;
    size_t n_messages, n_fields;
} scan;

static status scan_message(scan *s, const ProtobufCMessageDescriptor *d, size_t at, size_t end, unsigned depth);

static status bad(const scan *s, size_t at, const char *why) {
    return error_set(s->err, STATUS_MODEL, "%s: byte %zu: %s", s->file, at, why);
}

/* Reads a varint of at most `max` bytes that ends before `end`. */
static status varint(const scan *s, size_t *at, size_t end, unsigned max, uint64_t *v) {
    *v = 0;
    for (unsigned i = 0; i < max; i++) {
        if (*at >= end) {
            return bad(s, *at, "the file or message ends inside a number");
        }
        uint8_t b = s->data[(*at)++];
        *v |= (uint64_t)(b & 0x7f) << (7 * i);
        if ((b & 0x80) == 0) {
            return STATUS_OK;
        }
    }
    return bad(s, *at, "a number is longer than its type allows");
}

static unsigned wire_type_of(ProtobufCType t) {
    switch (t) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT: return WIRE_FIXED32;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE: return WIRE_FIXED64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE: return WIRE_BYTES;
    default: return WIRE_VARINT;
    }
}

static status scan_packed(const scan *s, unsigned item, size_t at, size_t end) {
    if (item == WIRE_FIXED32 || item == WIRE_FIXED64) {
        size_t bytes = item == WIRE_FIXED32 ? 4 : 8;
        return (end - at) % bytes == 0 ? STATUS_OK : bad(s, at, "a packed list ends inside an item");
    }
    while (at < end) {
        uint64_t v = 0;
        TRY(varint(s, &at, end, 10, &v));
    }
    return STATUS_OK;
}

static status scan_string(const scan *s, const ProtobufCFieldDescriptor *f, size_t at, size_t end) {
    const char *text = (const char *)s->data + at;
    if (memchr(text, 0, end - at) != NULL) {
        return bad(s, at, "a string holds a NUL");
    }
    if (strcmp(f->name, "doc_string") != 0 && str_utf8_valid(text, end - at) != end - at) {
        return bad(s, at, "a string is not UTF-8");
    }
    return STATUS_OK;
}

/* One length-prefixed value. `seen`: bits of the singular message fields that this message has had. */
static status scan_bytes(scan *s, const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *f, size_t *at,
                         size_t end, unsigned depth, uint64_t *seen) {
    uint64_t n = 0;
    size_t tag_at = *at;
    TRY(varint(s, at, end, 5, &n));
    if (n > end - *at) {
        return bad(s, tag_at, "a length reaches beyond its message or the file");
    }
    size_t from = *at;
    *at += (size_t)n;
    if (f == NULL) {
        return STATUS_OK; /* unknown fields are copied as bytes, not parsed */
    }
    switch (f->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        if (f->label != PROTOBUF_C_LABEL_REPEATED) {
            bool oneof = (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
            uint64_t bit = (uint64_t)1 << (oneof ? 63 : (unsigned)(f - d->fields) % 63);
            if ((*seen & bit) != 0) {
                return bad(s, tag_at, "a field that may be there once is there twice");
            }
            *seen |= bit;
        }
        return scan_message(s, f->descriptor, from, *at, depth + 1);
    case PROTOBUF_C_TYPE_STRING: return scan_string(s, f, from, *at);
    case PROTOBUF_C_TYPE_BYTES: return STATUS_OK;
    default: return scan_packed(s, wire_type_of(f->type), from, *at);
    }
}

static bool type_fits(const ProtobufCFieldDescriptor *f, unsigned type) {
    unsigned own = wire_type_of(f->type);
    return type == own || (type == WIRE_BYTES && f->label == PROTOBUF_C_LABEL_REPEATED);
}

static status scan_field(scan *s, const ProtobufCMessageDescriptor *d, size_t *at, size_t end, unsigned depth,
                         uint64_t *seen) {
    size_t tag_at = *at;
    uint64_t tag = 0;
    TRY(varint(s, at, end, 5, &tag));
    unsigned type = (unsigned)(tag & 7);
    if (tag >> 3 == 0 || tag > UINT32_MAX) {
        return bad(s, tag_at, "a field number is out of range");
    }
    if (++s->n_fields > WIRE_MAX_FIELDS) {
        return bad(s, tag_at, "more fields than the limit of 4194304");
    }
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field(d, (unsigned)(tag >> 3));
    if (f != NULL && !type_fits(f, type)) {
        return error_set(s->err, STATUS_MODEL, "%s: byte %zu: field %s of %s has wire type %u", s->file, tag_at,
                         f->name, d->short_name, type);
    }
    uint64_t v = 0;
    switch (type) {
    case WIRE_VARINT: return varint(s, at, end, 10, &v);
    case WIRE_BYTES: return scan_bytes(s, d, f, at, end, depth, seen);
    case WIRE_FIXED32:
    case WIRE_FIXED64: {
        size_t bytes = type == WIRE_FIXED32 ? 4 : 8;
        if (end - *at < bytes) {
            return bad(s, tag_at, "the file or message ends inside a number");
        }
        *at += bytes;
        return STATUS_OK;
    }
    default: return bad(s, tag_at, "an unknown wire type");
    }
}

static status scan_message(scan *s, const ProtobufCMessageDescriptor *d, size_t at, size_t end, unsigned depth) {
    if (depth > WIRE_MAX_DEPTH) {
        return bad(s, at, "messages are nested deeper than 64");
    }
    if (++s->n_messages > WIRE_MAX_MESSAGES) {
        return bad(s, at, "more messages than the limit of 1048576");
    }
    uint64_t seen = 0;
    while (at < end) {
        TRY(scan_field(s, d, &at, end, depth, &seen));
    }
    return STATUS_OK;
}

status wire_scan(const uint8_t *data, size_t n, const ProtobufCMessageDescriptor *root, const char *file, error *err) {
    if (n > WIRE_MAX_BYTES) {
        return error_set(err, STATUS_MODEL, "%s: %zu bytes, more than the 2 GiB that a protobuf file may have", file,
                         n);
    }
    scan s = {.data = data, .file = file, .err = err};
    return scan_message(&s, root, 0, n, 1);
}
