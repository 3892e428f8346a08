# SPDX-License-Identifier: Apache-2.0
# Same inputs, same bits: workers, evaluation batch, kills and resumes leave identical observations.
# labels: slow
. "$ASSAY_SOURCE_DIR/tests/cli/lib.sh"

cat >eval.yaml <<YAML
datasets: [{id: fashion-mnist, limit: 3000}, hmda]
shard: 256
models:
  - {name: cnn, path: $root/examples/models/fashion-cnn-fp32.onnx, datasets: [fashion-mnist]}
  - {name: int8, path: $root/examples/models/fashion-cnn-int8.onnx, datasets: [fashion-mnist]}
  - {name: mlp, path: $root/examples/models/fashion-mlp.onnx, datasets: [fashion-mnist]}
  - {name: hmda, path: $root/examples/models/hmda-mlp.onnx, datasets: [hmda]}
suites: {accuracy: {}}
YAML
# Everything observed, without the local row ids, in natural order; and the digests that cover the logits.
observations() {
    "$ASSAY" db check --store "$1" >/dev/null || fail "$1 is damaged"
    # a store of several runs shows its rows once per run: -u
    "$ASSAY" db export v_observation --store "$1" | cut -d, -f4-10,12- | LC_ALL=C sort -u
    "$ASSAY" db export v_item --store "$1" | cut -d, -f5,17-19,22- | LC_ALL=C sort -u
}
expect 0 "$ASSAY" run eval.yaml --store base.db -j1 --batch 128
results=$(field results | cut -c1-16)
observations base.db >base.txt
[ "$(grep -c '' base.txt)" -gt 11000 ] || fail "too few observations"
i=0
for args in "-j2 --batch 128" "-j1 --batch 1" "-j2 --batch 32" "-j1 --batch 100 --threads 2"; do
    i=$((i + 1))
    # shellcheck disable=SC2086
    expect 0 "$ASSAY" run eval.yaml --store "s$i.db" $args
    [ "$(field results | cut -c1-16)" = "$results" ] || fail "results differ with $args"
    observations "s$i.db" >s.txt
    cmp -s base.txt s.txt || fail "observations differ with $args"
done

# killed five times at moments spread over the run, then resumed
start=$(date +%s%N)
expect 0 "$ASSAY" run eval.yaml --store timing.db -j2
span_ms=$((($(date +%s%N) - start) / 1000000))
k=0
while [ $k -lt 5 ]; do
    k=$((k + 1))
    "$ASSAY" run eval.yaml --store killed.db -j2 >/dev/null 2>&1 &
    pid=$!
    sleep "$(awk "BEGIN {print ($span_ms * $k / 7) / 1000}")"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
done
expect 0 "$ASSAY" run eval.yaml --store killed.db -j2
says_not out.txt " 0 cached,"
[ "$(field results | cut -c1-16)" = "$results" ] || fail "results differ after kills"
observations killed.db >s.txt
cmp -s base.txt s.txt || fail "observations differ after kills"
done_testing
