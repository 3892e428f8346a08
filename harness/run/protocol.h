/* SPDX-License-Identifier: Apache-2.0
 * Frames between supervisor and worker over a socket pair: type, length, payload. Control is JSON, rows are
 * binary (both ends are the same binary on the same machine). The worker may be hostile (a plug-in runs in
 * it): the supervisor checks every length and range. */
#ifndef RUN_PROTOCOL_H
#define RUN_PROTOCOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/observation.h"
#include "base/status.h"

typedef enum frame_type {
    FRAME_PROBE = 1,   /* -> worker: {plugin} */
    FRAME_PROBED = 2,  /* <- {name, version, environment, abi, sha256, warnings} or {error} */
    FRAME_ITEM = 3,    /* -> worker: see worker.c */
    FRAME_FACTS = 4,   /* <- facts of the model, once per item */
    FRAME_ROWS = 5,    /* <- observations */
    FRAME_DONE = 6,    /* <- {outcome, reason} */
    FRAME_PRELOAD = 8, /* -> worker: {manifest, dataset}: read it now, it will be needed; no answer */
    FRAME_LOG = 7      /* <- {level, text} */
} frame_type;

#define FRAME_MAX_BYTES (64u << 20)

typedef struct frame {
    uint32_t type, n_bytes;
    uint8_t *payload; /* NUL-terminated behind n_bytes; owned by the reader */
} frame;

/* Blocking; STATUS_IO at the end of the stream. Payload is freed by frame_free. */
status frame_read(int fd, frame *out, error *err);
void frame_free(frame *f);
status frame_write(int fd, frame_type type, const void *payload, size_t n, error *err);
status frame_write_json(int fd, frame_type type, json_t *object, error *err); /* takes the reference */
json_t *frame_json(const frame *f, error *err); /* new reference; NULL if it is no JSON object */

/* Rows: all of one frame have the same n_logits. Encoded size is bounded by FRAME_MAX_BYTES: split beforehand. */
status frame_write_rows(int fd, const observation *rows, size_t n, error *err);
/* Decodes into rows with their logits (one block, freed with mem_free). Checks lengths only. */
status frame_rows(const frame *f, observation **rows, size_t *n, error *err);

/* Incremental reading for poll loops. */
typedef struct frame_buffer {
    uint8_t *data;
    size_t len, cap, start;
} frame_buffer;
/* Reads what is there; *eof when the peer closed. */
status frame_buffer_fill(frame_buffer *b, int fd, bool *eof, error *err);
/* The next whole frame if there is one (payload points into the buffer, valid until the next fill). */
status frame_buffer_next(frame_buffer *b, frame *out, bool *have, error *err);
void frame_buffer_free(frame_buffer *b);

#endif
