# SPDX-License-Identifier: Apache-2.0
# The way of a new user: check, plan, run, run again, compare, report, export.
. "$ASSAY_SOURCE_DIR/tests/cli/lib.sh"

cat >eval.yaml <<YAML
seed: 7
store: s.db
label: first
datasets: [hmda-test]
models:
  - {name: logreg, path: $root/examples/models/hmda-logreg.onnx}
  - {name: blind, path: $root/examples/models/hmda-logreg-blind.onnx, variant_of: logreg}
  - {name: mlp, path: $root/examples/models/hmda-mlp.onnx, variant_of: logreg}
suites:
  accuracy:
    metrics: [accuracy, log-loss, {topk: {k: [1, 2]}}, confusion]
YAML
expect 0 "$ASSAY" check eval.yaml
says out.txt "3 models, 1 datasets, 1 suites"
expect 0 "$ASSAY" plan eval.yaml
says out.txt "3 items: 0 cached, 3 to run"
expect 0 "$ASSAY" run eval.yaml
says out.txt "3 items: 0 cached, 3 run"
says out.txt "OK 3 SKIPPED 0 FAILED 0 UNTRUSTWORTHY 0 CRASHED 0 TIMEOUT 0"
decisions=$(field decisions)
expect 0 "$ASSAY" run eval.yaml --label second
says out.txt "3 items: 3 cached, 0 run"
[ "$(field decisions)" = "$decisions" ] || fail "decisions changed"
expect 0 "$ASSAY" plan eval.yaml
says out.txt "3 items: 3 cached, 0 to run"
expect 0 "$ASSAY" run eval.yaml --verify-cache 1
says out.txt "3 cached items run again: 0 different"
expect 0 "$ASSAY" runs --store s.db
says out.txt "first"
says out.txt "second"

expect 0 "$ASSAY" compare --store s.db first:logreg first:mlp
says out.txt "McNemar"
expect 0 "$ASSAY" compare --store s.db logreg blind mlp
expect 2 "$ASSAY" compare --store s.db logreg blnd
says err.txt "blnd"

# another seed is another comparability key
expect 0 "$ASSAY" run eval.yaml --seed 8 --label other
expect 4 "$ASSAY" compare --store s.db first:logreg other:logreg
says err.txt "seed"
expect 0 "$ASSAY" compare --store s.db first:logreg other:logreg --allow-differ seed

# a limited run is stamped and not comparable with the full one
expect 0 "$ASSAY" run eval.yaml --limit 100 --label few
says out.txt "LIMITED"
expect 4 "$ASSAY" compare --store s.db first:logreg few:logreg

for format in terminal md json; do
    expect 0 "$ASSAY" report --store s.db first --format $format -o report.$format
    says report.$format "logreg"
done
says report.json '"assay.report/1"'
expect 0 "$ASSAY" report --store s.db first --format md -o again.md
cmp -s report.md again.md || fail "the same run gives another report"
expect 2 "$ASSAY" report --store s.db first --format word
expect 2 "$ASSAY" report --store s.db nosuchrun
expect 0 "$ASSAY" db check --store s.db
expect 0 "$ASSAY" db export v_metric --store s.db
says out.txt "accuracy"
expect 0 "$ASSAY" db export v_metric --store s.db --format json
expect 2 "$ASSAY" db export "run; DROP TABLE run" --store s.db
expect 0 "$ASSAY" db backup copy.db --store s.db
expect 0 "$ASSAY" db check --store copy.db
expect 0 "$ASSAY" db prune --keep 1 --dry-run --store s.db
expect 0 "$ASSAY" db prune few few --dry-run --store s.db
says out.txt "would delete 1 runs, 3 items, 300 observations"
expect 2 "$ASSAY" db prune --keep 1 first --store s.db
expect 6 "$ASSAY" db prune --keep 1 --store no.db
[ ! -e no.db ] || fail "prune made a store"
expect 0 "$ASSAY" db prune --keep 1 --store s.db
expect 0 "$ASSAY" db check --store s.db

# one example again, by itself
expect 0 "$ASSAY" plan eval.yaml --limit 100
item=$(sed -n 's/^\([0-9a-f]\{12\}\)  logreg .*/\1/p' out.txt)
example=$("$ASSAY" db export v_observation --store s.db | sed -n 2p | cut -d, -f12)
expect 0 "$ASSAY" repro few "$item" "$example" --store s.db -o dump
says out.txt "equal, bit for bit"
[ -s "dump/example-$example-input.npy" ] || fail "no input dumped"
expect 4 "$ASSAY" repro few 0000000000 "$example" --store s.db
expect 2 "$ASSAY" repro few "$item" 100000 --store s.db
says err.txt "EXAMPLE must be one of the item's"

# the same model under two names is one item; a verification that finds nothing to do says so
cat >twice.yaml <<YAML
store: twice.db
datasets: [hmda-test]
models:
  - {name: a, path: $root/examples/models/hmda-logreg.onnx}
  - {name: b, path: $root/examples/models/hmda-logreg.onnx}
suites: {accuracy: {}}
YAML
expect 0 "$ASSAY" run twice.yaml --verify-cache 1
says out.txt "2 items: 1 cached, 1 run"
says out.txt "OK 2 SKIPPED"
says out.txt "0 cached items run again"
item=$("$ASSAY" plan twice.yaml | sed -n '2s/ .*//p')
expect 0 "$ASSAY" repro latest "$item" 0 --store twice.db -o dump
says out.txt "equal, bit for bit"
mkdir elsewhere
expect 2 sh -c "cd elsewhere && env -u ASSAY_MANIFEST $ASSAY repro latest $item 0 --store ../twice.db"
says err.txt "start in the folder where it was started"
# verification finds what differs and names it
if command -v sqlite3 >/dev/null; then
    sqlite3 twice.db "UPDATE observation SET pred = 1 - pred WHERE i_example = 3"
    expect 5 "$ASSAY" run twice.yaml --verify-cache 1
    says out.txt "1 cached items run again: 1 different"
    says err.txt "it is not what the store holds"
fi
done_testing
