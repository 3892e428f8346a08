/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/overrides.h"

status cli_overrides(const cli_args *args, config_override *o, error *err) {
    TRY(cli_int(args, "workers", 1, 256, &o->workers, err));
    TRY(cli_int(args, "threads", 1, 256, &o->threads, err));
    TRY(cli_int(args, "batch", 1, 1 << 20, &o->batch, err));
    TRY(cli_int(args, "limit", 1, INT64_MAX, &o->limit, err));
    TRY(cli_int(args, "seed", 0, INT64_MAX, &o->seed, err));
    o->store = cli_get(args, "store");
    o->label = cli_get(args, "label");
    o->logits = cli_get(args, "logits");
    return STATUS_OK;
}
