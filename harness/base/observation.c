/* SPDX-License-Identifier: Apache-2.0 */
#include "base/observation.h"

#include <math.h>
#include <string.h>

static const char *const names[] = {"",
#define OUTCOME_NAME(name) #name,
                                    OUTCOME_LIST(OUTCOME_NAME)
#undef OUTCOME_NAME
};

const char *outcome_name(outcome o) {
    return (unsigned)o < OUTCOME_COUNT ? names[o] : "";
}

outcome outcome_parse(const char *name) {
    for (unsigned i = 1; i < OUTCOME_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            return (outcome)i;
        }
    }
    return OUTCOME_NONE;
}

bool observation_same_score(double a, double b) {
    uint64_t x = 0;
    uint64_t y = 0;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    return x == y || (isnan(a) && isnan(b));
}
