# SPDX-License-Identifier: Apache-2.0
# docs/ADDING.md is true: its metric and its reader, put into a scratch copy of the tree with one registry line each, build and work.
# labels: slow
. "$ASSAY_SOURCE_DIR/tests/cli/lib.sh"

mkdir tree
(cd "$root" && tar cf - --exclude=./build --exclude=./.git --exclude=./out --exclude=./tests .) | (cd tree && tar xf -)
mkdir tree/tests && echo >tree/tests/CMakeLists.txt
awk -v tree="$scratch/tree" '
    /^<!-- file: / { path = tree "/" $3; mode = "file"; next }
    /^<!-- line: / { path = tree "/" $3; mode = "line"; next }
    /^```c/ && mode != "" { inside = 1; next }
    /^```/ { inside = 0; mode = ""; next }
    inside && mode == "file" { print > path }
    inside && mode == "line" { print >> path }
' "$root/docs/ADDING.md"
[ -f tree/harness/metrics/error_rate.c ] || fail "ADDING.md names no metric file"
[ -f tree/harness/data/readers/raw_f32.c ] || fail "ADDING.md names no reader file"
expect 0 cmake -S tree -B b -G Ninja -DCMAKE_BUILD_TYPE=Debug
expect 0 cmake --build b -j 2 --target assay plugin_null
expect 0 b/assay list metrics
says out.txt "error-rate"
expect 0 b/assay explain raw-f32
says out.txt "raw little-endian float32 values"

printf '\000\000\200\077\000\000\000\100\000\000\100\100\000\000\200\100' >x.bin # 1, 2, 3, 4
sum=$(sha256sum x.bin | cut -d' ' -f1)
cat >datasets.manifest <<YAML
datasets:
  - id: tiny
    title: two rows of two
    split: all
    modality: tabular
    reader: raw-f32
    shape: [2]
    licence: CC0-1.0
    provenance: made by this test
    files:
      - {role: features, path: x.bin, bytes: 16, sha256: "$sum"}
YAML
export ASSAY_MANIFEST="$scratch/datasets.manifest"
expect 0 b/assay data verify
expect 0 b/assay data info tiny
says out.txt "examples     2"
export ASSAY_MANIFEST="$root/datasets.manifest"
cat >eval.yaml <<YAML
datasets: [hmda-test]
models: [{name: zero, plugin: "null", options: {shape: 13, classes: 2}}]
suites: {accuracy: {metrics: [accuracy, error-rate]}}
YAML
expect 0 b/assay run eval.yaml
expect 0 b/assay db export v_metric
says out.txt "error-rate"
done_testing
