/* SPDX-License-Identifier: Apache-2.0
 * A params block from JSON (as written by params_json), for what travels between processes. */
#ifndef RUN_PARAMS_H
#define RUN_PARAMS_H

#include <jansson.h>

#include "base/info.h"

/* Defaults, then every member of `object` (may be NULL). Range errors as in param_set_text. */
status params_from_json(const info *i, const json_t *object, void *block, arena *a, error *err);

#endif
