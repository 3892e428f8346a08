# SPDX-License-Identifier: Apache-2.0
# Models that crash, hang, lie: an outcome each, never the end of the run.
. "$ASSAY_SOURCE_DIR/tests/cli/lib.sh"

# forty examples of four features and three classes, which is what the bad plug-ins read
{
    echo a,b,c,d,y
    i=0
    while [ $i -lt 40 ]; do
        echo "$((i % 7)).5,$((i % 5)),$((i % 3)),0.25,k$((i % 3))"
        i=$((i + 1))
    done
} >t.csv
cat >datasets.manifest <<YAML
datasets:
  - id: t
    title: made by this test
    split: all
    modality: tabular
    reader: csv
    files: [{role: table, path: t.csv, bytes: $(wc -c <t.csv), sha256: $(sha256sum t.csv | cut -d' ' -f1)}]
    label_column: y
    classes: [k0, k1, k2]
    columns:
      - {name: a, type: real, feature: true}
      - {name: b, type: real, feature: true}
      - {name: c, type: real, feature: true}
      - {name: d, type: real, feature: true}
    licence: CC0-1.0
    provenance: made by this test
YAML
export ASSAY_MANIFEST="$scratch/datasets.manifest"

bad=$build/badplugins
models=
for name in crash hang nan prints fpmode locale overrun mutate exits hugealloc wrong_shape no_entry badstruct crash_load \
    closes leaves hangs_unload forges; do
    [ -f "$bad/$name.so" ] || fail "no $bad/$name.so"
    models="$models
  - {name: $name, plugin: $bad/$name.so}"
done
cat >eval.yaml <<YAML
store: s.db
datasets: [t]
limits: {timeout_s: 2, memory_mib: 300}
models:
  - {name: first, plugin: $bad/good.so}$models
  - {name: last, plugin: "null", options: {shape: 4, classes: 3}}
suites: {accuracy: {}}
YAML
expect 5 "$ASSAY" run eval.yaml -j2
outcome() {
    "$ASSAY" db export v_item --store s.db >items.csv || fail "export"
    n_checks=$((n_checks + 1))
    grep -F ",$1," items.csv | grep -qF ",$2," || fail "$1 is not $2: $(grep -F ",$1," items.csv)"
}
outcome first OK
outcome last OK
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
outcome closes CRASHED
outcome leaves CRASHED
outcome hangs_unload OK
outcome forges FAILED
says err.txt "the worker sent example 0 twice"
says_not err.txt "assay: " # faults of models are no error of the run
# what a model started does not outlive its worker
n_checks=$((n_checks + 1))
state=$(sed 's/.*) //; s/ .*//' "/proc/$(cat left.pid)/stat" 2>/dev/null)
[ -z "$state" ] || [ "$state" = Z ] || fail "a child of a model is still there"
# printing, the floating-point mode and the locale are repaired: the run's own output is clean
outcome prints OK
outcome fpmode OK
outcome locale OK
# final until asked
expect 5 "$ASSAY" run eval.yaml -j2
says out.txt "20 cached, 0 run"
# a retry keeps every attempt; repro of a model that hangs ends
printf 'store: s.db\ndatasets: [t]\nmodels: [{name: exits, plugin: %s}]\nsuites: {accuracy: {}}\n' "$bad/exits.so" >one.yaml
expect 5 "$ASSAY" run one.yaml
says out.txt "1 cached, 0 run"
expect 5 "$ASSAY" run one.yaml --retry-failed
says out.txt "0 cached, 1 run"
expect 0 "$ASSAY" db export item_attempt --store s.db
[ "$(grep -c CRASHED,.*'exit status 0' out.txt)" -eq 2 ] || fail "an attempt is missing"
sed 's/timeout_s: 2/timeout_s: 1/' eval.yaml >hang.yaml
expect 5 "$ASSAY" run hang.yaml -j2
hang=$("$ASSAY" plan eval.yaml | sed -n 's/^\([0-9a-f]*\)  hang .*/\1/p')
expect 5 "$ASSAY" repro latest "$hang" 0 --store s.db
says err.txt "no result after 1 s"

# a file that changes while the run goes on: its results must not stand under the key of the old one
cp "$bad/good.so" target.so
cat >changing.yaml <<YAML
store: changing.db
datasets: [t]
limits: {timeout_s: 2}
models:
  - {name: slow, plugin: $bad/hang.so}
  - {name: target, plugin: ./target.so}
suites: {accuracy: {}}
YAML
"$ASSAY" run changing.yaml >out.txt 2>err.txt &
pid=$!
n=0
while [ $n -lt 200 ] && [ ! -f changing.db ]; do sleep 0.02; n=$((n + 1)); done
sleep 0.3
cp "$bad/nan.so" new.so
mv new.so target.so
wait $pid
[ $? -eq 5 ] || fail "exit code after a plug-in changed"
says err.txt "target.so: the plug-in changed while the run was going on"
done_testing
