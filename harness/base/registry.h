/* SPDX-License-Identifier: Apache-2.0
 * <kind>_all() and <kind>_find() over a table that ends in NULL and whose things begin with their info. */
#ifndef BASE_REGISTRY_H
#define BASE_REGISTRY_H

#include <string.h>

#include "base/info.h"

#define REGISTRY_FUNCTIONS(kind, table)                                                                                \
    const kind *const *kind##_all(size_t *n) {                                                                         \
        *n = sizeof(table) / sizeof((table)[0]) - 1;                                                                   \
        return table;                                                                                                  \
    }                                                                                                                  \
    const kind *kind##_find(const char *id) {                                                                          \
        for (size_t i = 0; (table)[i] != NULL; i++) {                                                                  \
            if (strcmp((table)[i]->info.id, id) == 0) {                                                                \
                return (table)[i];                                                                                     \
            }                                                                                                          \
        }                                                                                                              \
        return NULL;                                                                                                   \
    }

#endif
