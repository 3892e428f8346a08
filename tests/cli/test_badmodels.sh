# SPDX-License-Identifier: Apache-2.0
# Models that crash, hang, lie: an outcome each, never the end of the run.
. "$ASSAY_SOURCE_DIR/tests/cli/lib.sh"

bad=$build/tests/badplugins
models=
for name in crash hang nan prints fpmode locale overrun mutate exits hugealloc wrong_shape no_entry badstruct crash_load; do
    [ -f "$bad/$name.so" ] || fail "no $bad/$name.so"
    models="$models
  - {name: $name, plugin: $bad/$name.so}"
done
cat >eval.yaml <<YAML
store: s.db
datasets: [hmda-test]
limits: {timeout_s: 2, memory_mib: 300}
models:
  - {name: good, path: $root/examples/models/hmda-logreg.onnx}$models
  - {name: good2, path: $root/examples/models/hmda-mlp.onnx}
suites: {accuracy: {}}
YAML
expect 5 "$ASSAY" run eval.yaml -j2
outcome() {
    "$ASSAY" db export v_item --store s.db >items.csv || fail "export"
    n_checks=$((n_checks + 1))
    grep -F ",$1," items.csv | grep -qF ",$2," || fail "$1 is not $2: $(grep -F ",$1," items.csv)"
}
outcome good OK
outcome good2 OK
outcome crash CRASHED
outcome hang TIMEOUT
outcome nan UNTRUSTWORTHY
outcome overrun FAILED
outcome mutate FAILED
outcome exits CRASHED
outcome hugealloc FAILED
outcome wrong_shape FAILED
outcome no_entry FAILED
outcome badstruct FAILED
outcome crash_load CRASHED
# printing, the floating-point mode and the locale are repaired: the run's own output is clean
outcome prints OK
outcome fpmode OK
outcome locale OK
# final until asked
expect 5 "$ASSAY" run eval.yaml -j2
says out.txt "16 cached, 0 run"
done_testing
