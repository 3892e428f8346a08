# SPDX-License-Identifier: Apache-2.0
# Damaged and hostile files: one clear error, the right exit code, nothing lost.
. "$ASSAY_SOURCE_DIR/tests/cli/lib.sh"

config() { # model path, further keys
    cat >eval.yaml <<YAML
store: s.db
datasets: [hmda-test]
models:
  - {name: m, path: $1}
suites: {accuracy: {}}
YAML
}
good=$root/examples/models/hmda-logreg.onnx
config "$good"
expect 0 "$ASSAY" run eval.yaml

config nowhere.onnx
expect 6 "$ASSAY" run eval.yaml
says err.txt "nowhere.onnx"
head -c 300 "$good" >cut.onnx
config cut.onnx
expect 5 "$ASSAY" run eval.yaml
says err.txt "cut.onnx"
: >empty.onnx
config empty.onnx
expect 5 "$ASSAY" run eval.yaml
head -c 100000 /dev/urandom >noise.onnx
config noise.onnx
expect 5 "$ASSAY" run eval.yaml

# the store
config "$good"
sed 's/s.db/foreign.db/' eval.yaml >foreign.yaml
head -c 5000 /dev/urandom >foreign.db
expect 6 "$ASSAY" run foreign.yaml
says err.txt "foreign.db"
cp s.db newer.db
printf '\000\000\377\377' | dd of=newer.db bs=1 seek=60 conv=notrunc 2>/dev/null # user_version in the header
sed 's/s.db/newer.db/' eval.yaml >newer.yaml
expect 4 "$ASSAY" run newer.yaml
says err.txt "newer"
expect 6 "$ASSAY" runs --store nowhere.db
expect 0 "$ASSAY" db check --store s.db

# a full disk: what was committed stays
sed 's/s.db/small.db/; s/hmda-test/hmda/' eval.yaml >small.yaml
n_checks=$((n_checks + 1))
(ulimit -f 300; "$ASSAY" run small.yaml --logits all --seed 3 >out.txt 2>err.txt)
code=$?
[ $code -eq 6 ] || fail "exit code $code with a full disk"
expect 0 "$ASSAY" db check --store small.db
expect 0 "$ASSAY" run small.yaml --logits all --seed 3

# the data
mkdir data
cp "$root/examples/data/hmda.csv" data/t.csv
cat >datasets.manifest <<YAML
datasets:
  - id: t
    title: t
    split: all
    modality: tabular
    reader: csv
    licence: CC0-1.0
    provenance: made by this test
    files:
      - {role: table, path: data/t.csv, bytes: 1, sha256: "0000000000000000000000000000000000000000000000000000000000000000"}
YAML
export ASSAY_MANIFEST="$scratch/datasets.manifest"
"$ASSAY" data verify >out.txt 2>err.txt
code=$?
[ $code -eq 4 ] || [ $code -eq 2 ] || fail "exit code $code for wrong bytes"

# names from outside do not reach the terminal as they are
export ASSAY_MANIFEST="$root/datasets.manifest"
printf 'store: s.db\ndatasets: [hmda-test]\nmodels:\n  - {name: "\\e[31m<script>alert(1)</script>|x", path: %s}\nsuites: {accuracy: {}}\n' "$good" >evil.yaml
expect 0 "$ASSAY" run evil.yaml
n_checks=$((n_checks + 1))
! grep -q "$(printf '\033')" out.txt err.txt || fail "an escape sequence reached the terminal"
expect 0 "$ASSAY" report latest --store s.db --format md
says_not out.txt "<script>"
done_testing
