/* SPDX-License-Identifier: Apache-2.0
 * A pre-scan of the protobuf wire format. protobuf-c 1.4.1 recurses once per nested message without a limit, so
 * nothing reaches it before this scan has seen every tag and length. */
#ifndef ONNX_WIRE_H
#define ONNX_WIRE_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define WIRE_MAX_DEPTH 64u
#define WIRE_MAX_BYTES ((size_t)2 << 30)    /* protobuf's own limit */
#define WIRE_MAX_MESSAGES ((size_t)1 << 20) /* protobuf-c allocates < 400 bytes for each */
#define WIRE_MAX_FIELDS ((size_t)1 << 22)   /* < 128 bytes each, besides the bytes that the field carries */

/* Follows `root` through all its nested message fields. Guarantees: depth <= WIRE_MAX_DEPTH, every length inside its
 * parent, known wire types (no groups) that fit the field's type, field numbers >= 1, varints of at most 10 bytes, no
 * singular message twice (protobuf-c would merge, in quadratic time), strings without NUL and in UTF-8 (but for
 * doc_string), counts below the limits. So what protobuf-c allocates is bounded by 8 times the bytes of packed fields
 * plus the limits above. STATUS_MODEL with `file: byte OFFSET: reason`. */
status wire_scan(const uint8_t *data, size_t n, const ProtobufCMessageDescriptor *root, const char *file, error *err);

#endif
