/* SPDX-License-Identifier: Apache-2.0
 * A plug-in from a later release of ABI 1: its entry has members that this host does not know. Not bad at all. */
#define assay_plugin_entry entry_of_today
#include "bad.h"
#undef assay_plugin_entry

typedef struct future_plugin {
    assay_plugin today;
    const void *appended[6];
} future_plugin;

ASSAY_EXPORT extern const future_plugin assay_plugin_entry;
const future_plugin assay_plugin_entry = {
    .today = {.struct_size = sizeof(future_plugin),
              .abi_version = ASSAY_ABI_VERSION,
              .name = "future",
              .version = "2.1",
              .description = "has more members than the host",
              .init = init,
              .deinit = deinit,
              .get_api = get_api},
    .appended = {"a", "b", "c", "d", "e", "f"},
};
