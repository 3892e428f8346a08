/* SPDX-License-Identifier: Apache-2.0
 * Writes observations of its own into the worker's channel (descriptor 3), whose frames it knows. */
#include <stdint.h>
#include <unistd.h>

static void forge(int64_t n) {
    struct {
        uint32_t type, n_bytes, n_rows, n_logits;
        int64_t i_example, latency_ns;
        double score;
        int32_t i_repeat, i_condition, label, pred;
        uint32_t flags, reserved;
    } f = {.type = 5, .n_bytes = sizeof f - 8, .n_rows = 1, .score = 1, .latency_ns = -1};
    for (int32_t i = 0; i < n; i++) {
        f.i_example = i;
        f.label = f.pred = i % 3;
        if (write(3, &f, sizeof f) != (ssize_t)sizeof f) {
            return;
        }
    }
}
#define ON_PREDICT(x, z, n) (forge(n))
#include "bad.h"
