/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUN_ITEM_REQUEST_H
#define RUN_ITEM_REQUEST_H

#include "run/plan.h"
#include "run/protocol.h"

/* Asks the worker at fd for examples index[0..n) of an item. */
status item_request_send(const plan *p, const plan_item *it, const uint32_t *index, size_t n, bool keep_logits, int fd,
                         error *err);

#endif
