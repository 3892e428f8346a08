/* SPDX-License-Identifier: Apache-2.0
 * A library, but not a plug-in. */
#include "assay/plugin.h"
ASSAY_EXPORT int assay_plugin_version(void);
int assay_plugin_version(void) {
    return 1;
}
