/* SPDX-License-Identifier: Apache-2.0 */
#include "run/protocol.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"

enum { HEADER_BYTES = 8 };

/* One row on the wire; a struct of its own so that `observation` can change. */
typedef struct wire_row {
    int64_t i_example, latency_ns;
    double score;
    int32_t i_repeat, i_condition, label, pred;
    uint32_t flags, reserved;
} wire_row;

typedef struct wire_rows {
    uint32_t n, n_logits;
} wire_rows;

/* A vanished peer is an error value, not a SIGPIPE. */
static status send_all(int fd, const void *data, size_t n, error *err) {
    const char *p = data;
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k < 0 && errno == EINTR) {
            continue;
        }
        if (k < 0) {
            return error_set(err, STATUS_IO, "channel: %s", strerror(errno));
        }
        p += k;
        n -= (size_t)k;
    }
    return STATUS_OK;
}

static status recv_all(int fd, void *data, size_t n, error *err) {
    char *p = data;
    while (n > 0) {
        ssize_t k = read(fd, p, n);
        if (k < 0 && errno == EINTR) {
            continue;
        }
        if (k <= 0) {
            return error_set(err, STATUS_IO, "channel: %s", k == 0 ? "closed" : strerror(errno));
        }
        p += k;
        n -= (size_t)k;
    }
    return STATUS_OK;
}

static status check_length(uint32_t n, error *err) {
    return n <= FRAME_MAX_BYTES ? STATUS_OK : error_set(err, STATUS_MODEL, "channel: a frame of %u bytes", n);
}

status frame_read(int fd, frame *out, error *err) {
    uint32_t header[2];
    *out = (frame){0};
    TRY(recv_all(fd, header, sizeof header, err));
    TRY(check_length(header[1], err));
    uint8_t *payload = mem_zalloc((size_t)header[1] + 1);
    status s = recv_all(fd, payload, header[1], err);
    if (s != STATUS_OK) {
        mem_free(payload);
        return s;
    }
    *out = (frame){header[0], header[1], payload};
    return STATUS_OK;
}

void frame_free(frame *f) {
    mem_free(f->payload);
    *f = (frame){0};
}

status frame_write(int fd, frame_type type, const void *payload, size_t n, error *err) {
    if (n > FRAME_MAX_BYTES) {
        return error_set(err, STATUS_INTERNAL, "channel: a frame of %zu bytes is too large", n);
    }
    uint32_t header[2] = {(uint32_t)type, (uint32_t)n};
    TRY(send_all(fd, header, sizeof header, err));
    return send_all(fd, payload, n, err);
}

status frame_write_json(int fd, frame_type type, json_t *object, error *err) {
    char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    json_decref(object);
    if (text == NULL) {
        return error_set(err, STATUS_INTERNAL, "channel: cannot encode a message");
    }
    status s = frame_write(fd, type, text, strlen(text), err);
    free(text);
    return s;
}

json_t *frame_json(const frame *f, error *err) {
    json_error_t je;
    json_t *j = json_loadb((const char *)f->payload, f->n_bytes, JSON_REJECT_DUPLICATES, &je);
    if (!json_is_object(j)) {
        (void)error_set(err, STATUS_MODEL, "channel: not a message");
        json_decref(j);
        return NULL;
    }
    return j;
}

static wire_row pack_row(const observation *o) {
    return (wire_row){.i_example = o->i_example,
                      .latency_ns = o->latency_ns,
                      .score = o->score,
                      .i_repeat = o->i_repeat,
                      .i_condition = o->i_condition,
                      .label = o->label,
                      .pred = o->pred,
                      .flags = o->flags};
}

static observation unpack_row(const wire_row *w) {
    return (observation){.i_example = w->i_example,
                         .i_repeat = w->i_repeat,
                         .i_condition = w->i_condition,
                         .label = w->label,
                         .pred = w->pred,
                         .flags = w->flags,
                         .score = w->score,
                         .latency_ns = w->latency_ns};
}

status frame_write_rows(int fd, const observation *rows, size_t n, error *err) {
    if (n == 0) {
        return STATUS_OK;
    }
    size_t n_logits = rows[0].n_logits;
    size_t row_bytes = sizeof(wire_row) + n_logits * sizeof(float);
    size_t per_frame = (FRAME_MAX_BYTES - sizeof(wire_rows)) / row_bytes;
    if (per_frame == 0) {
        return error_set(err, STATUS_UNSUPPORTED, "%zu logits per example are too many to keep", n_logits);
    }
    for (size_t i = 0; i < n; i++) {
        if (rows[i].n_logits != n_logits || (n_logits > 0 && rows[i].logits == NULL)) {
            return error_set(err, STATUS_INTERNAL, "channel: rows of one call with different numbers of logits");
        }
    }
    for (size_t i = 0; i < n; i += per_frame) {
        size_t k = n - i < per_frame ? n - i : per_frame;
        uint8_t *buf = mem_zalloc(sizeof(wire_rows) + k * row_bytes);
        memcpy(buf, &(wire_rows){(uint32_t)k, (uint32_t)n_logits}, sizeof(wire_rows));
        uint8_t *p = buf + sizeof(wire_rows);
        for (size_t j = 0; j < k; j++, p += sizeof(wire_row)) {
            wire_row w = pack_row(&rows[i + j]);
            memcpy(p, &w, sizeof w);
        }
        for (size_t j = 0; n_logits > 0 && j < k; j++, p += n_logits * sizeof(float)) {
            memcpy(p, rows[i + j].logits, n_logits * sizeof(float));
        }
        status s = frame_write(fd, FRAME_ROWS, buf, (size_t)(p - buf), err);
        mem_free(buf);
        TRY(s);
    }
    return STATUS_OK;
}

status frame_rows(const frame *f, observation **rows, size_t *n, error *err) {
    wire_rows head = {0};
    if (f->n_bytes < sizeof head) {
        return error_set(err, STATUS_MODEL, "channel: a short row frame");
    }
    memcpy(&head, f->payload, sizeof head);
    size_t logits_bytes = (size_t)head.n_logits * sizeof(float);
    size_t bytes = 0;
    if (!mem_mul(head.n, sizeof(wire_row) + logits_bytes, &bytes) || bytes != f->n_bytes - sizeof head) {
        return error_set(err, STATUS_MODEL, "channel: a row frame with a wrong length");
    }
    /* One block: rows, then logits, copied because the payload may be unaligned. */
    const uint8_t *p = f->payload + sizeof head;
    size_t rows_bytes = (size_t)head.n * sizeof(observation);
    observation *out = mem_zalloc(rows_bytes + (size_t)head.n * logits_bytes);
    uint8_t *logits = (uint8_t *)out + rows_bytes;
    memcpy(logits, p + (size_t)head.n * sizeof(wire_row), (size_t)head.n * logits_bytes);
    for (size_t i = 0; i < head.n; i++) {
        wire_row w;
        memcpy(&w, p + i * sizeof w, sizeof w);
        out[i] = unpack_row(&w);
        out[i].n_logits = head.n_logits;
        out[i].logits = head.n_logits == 0 ? NULL : (const float *)(const void *)(logits + i * logits_bytes);
    }
    *rows = out;
    *n = head.n;
    return STATUS_OK;
}

status frame_buffer_fill(frame_buffer *b, int fd, bool *eof, error *err) {
    if (b->start > 0) {
        memmove(b->data, b->data + b->start, b->len - b->start);
        b->len -= b->start;
        b->start = 0;
    }
    b->data = mem_grow(b->data, &b->cap, b->len + (1u << 18), 1);
    ssize_t k = recv(fd, b->data + b->len, b->cap - b->len, MSG_DONTWAIT);
    if (k < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) {
        return STATUS_OK;
    }
    if (k < 0 && errno != ECONNRESET) {
        return error_set(err, STATUS_IO, "channel: %s", strerror(errno));
    }
    *eof = k <= 0;
    b->len += k > 0 ? (size_t)k : 0;
    return STATUS_OK;
}

status frame_buffer_next(frame_buffer *b, frame *out, bool *have, error *err) {
    *have = false;
    size_t left = b->len - b->start;
    uint32_t header[2];
    if (left < HEADER_BYTES) {
        return STATUS_OK;
    }
    memcpy(header, b->data + b->start, sizeof header);
    TRY(check_length(header[1], err));
    if (left - HEADER_BYTES < header[1]) {
        return STATUS_OK;
    }
    *out = (frame){header[0], header[1], b->data + b->start + HEADER_BYTES};
    b->start += HEADER_BYTES + header[1];
    *have = true;
    return STATUS_OK;
}

void frame_buffer_free(frame_buffer *b) {
    mem_free(b->data);
    *b = (frame_buffer){0};
}
