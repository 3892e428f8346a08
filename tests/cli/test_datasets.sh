# SPDX-License-Identifier: Apache-2.0
# Two ids of a manifest with one content keep results of their own.
. "$ASSAY_SOURCE_DIR/tests/cli/lib.sh"

sed -n '/^  - id: hmda-test$/,$p' "$root/datasets.manifest" | sed "s|path: examples|path: $root/examples|" >record
{ echo "datasets:" && cat record && sed "s/id: hmda-test/id: alias/" record; } >two.manifest
cat >two.yaml <<YAML
store: two.db
manifest: two.manifest
datasets: [hmda-test, alias]
models:
  - {name: logreg, path: $root/examples/models/hmda-logreg.onnx}
  - {name: mlp, path: $root/examples/models/hmda-mlp.onnx, variant_of: logreg}
suites: {accuracy: {}}
YAML
expect 0 "$ASSAY" run two.yaml
says out.txt "4 items: 0 cached, 4 run"
says out.txt "alias, split test, suite accuracy"
says out.txt "hmda-test, split test, suite accuracy"
says out.txt "Holm over 2 comparisons"
expect 0 "$ASSAY" run two.yaml
says out.txt "4 items: 4 cached, 0 run"
expect 0 "$ASSAY" db export dataset --store two.db
[ "$(cut -d, -f2 out.txt | sort | uniq -c | grep -c ' 2 ')" = 1 ] || fail "not two datasets with one content"
expect 0 "$ASSAY" db export v_leaderboard --store two.db
[ "$(grep -c ',alias,.*,accuracy,' out.txt)" = 4 ] || fail "alias has no ranks of its own"
expect 0 "$ASSAY" db check --store two.db
done_testing
