#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Includes point downward only: cli -> reports, suites -> run -> {perturbations, metrics, data, model, store} -> math -> base.
# Siblings do not know each other; plug-ins see the ABI, their own folder and base.
set -u
cd "$(dirname "$0")/../.." || exit 1
bad=0

# check FOLDER PATTERN: every quoted include of FOLDER's files must match PATTERN (an extended regular expression).
check() {
    [ -d "$1" ] || return 0
    out=$(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]+"' --include='*.c' --include='*.h' --include='*.cc' "$1" |
        grep -vE "\"($2)\"")
    if [ -n "$out" ]; then
        printf '%s may not include:\n%s\n' "$1" "$out" >&2
        bad=1
    fi
}

check harness/base 'base/[^"]*'
check harness/math '(base|math)/[^"]*'
check harness/data '(base|math|data)/[^"]*'
check harness/metrics '(base|math|metrics)/[^"]*'
check harness/model '(base|math|model)/[^"]*|assay/plugin\.h'
check harness/store '(base|math|store)/[^"]*'
check harness/run '(base|math|data|metrics|model|store|run)/[^"]*|assay/plugin\.h|build_info\.h'
check suites '(base|math|data|metrics|model|store|run|suites)/[^"]*'
check reports '(base|math|data|metrics|store|run|reports)/[^"]*'
check harness/cli '(base|math|data|metrics|model|store|run|suites|reports|cli)/[^"]*|assay/plugin\.h|build_info\.h'
for p in plugins/*/; do
    # within its own folder a plug-in writes plain names (and kernels/…)
    check "$p" 'assay/plugin\.h|base/[^"]*|[a-z0-9_]+\.h|kernels/[^"]*|[a-z0-9_./-]+\.pb-c\.h|onnx/[a-z0-9_/]+\.h'
done
# suites never call SQLite, and no harness module but the store does
out=$(grep -rlE '#[[:space:]]*include[[:space:]]+<sqlite3\.h>' --include='*.c' --include='*.h' harness suites reports plugins |
    grep -vE '^harness/store/|^harness/cli/version\.c$')
if [ -n "$out" ]; then
    printf 'only harness/store may include sqlite3.h:\n%s\n' "$out" >&2
    bad=1
fi
[ $bad -eq 0 ] && echo "include directions: fine"
exit $bad
