# SPDX-License-Identifier: Apache-2.0
# SIGINT ends a run cleanly; the same command resumes it. A worker killed from outside is no outcome of its model.
. "$ASSAY_SOURCE_DIR/tests/cli/lib.sh"

cat >eval.yaml <<YAML
store: s.db
shard: 128
datasets: [fashion-mnist]
models:
  - {name: cnn, path: $root/examples/models/fashion-cnn-fp32.onnx}
suites: {accuracy: {}}
YAML
# long enough to be interrupted on any machine
sed 's/fashion-mnist/fashion-mnist-train/' eval.yaml >long.yaml
"$ASSAY" run long.yaml >out.txt 2>err.txt &
pid=$!
n=0
while [ $n -lt 1000 ] && [ ! -f s.db ]; do sleep 0.02; n=$((n + 1)); done
sleep 0.3
kill -TERM $pid
kill -INT $pid # impatience changes nothing
wait $pid
[ $? -eq 130 ] || fail "exit code after SIGINT"
says err.txt "the same command resumes it"
expect 0 "$ASSAY" runs --store s.db
says out.txt "interrupted"

# under nohup a hangup is no reason to stop
rm -f s.db*
nohup "$ASSAY" run eval.yaml >out.txt 2>err.txt &
pid=$!
n=0
while [ $n -lt 200 ] && [ ! -f s.db ]; do sleep 0.02; n=$((n + 1)); done
kill -HUP $pid
wait $pid
[ $? -eq 0 ] || fail "exit code after SIGHUP under nohup"

rm -f s.db*
"$ASSAY" run eval.yaml >out.txt 2>err.txt &
pid=$!
n=0
while [ $n -lt 200 ] && [ ! -f s.db ]; do sleep 0.02; n=$((n + 1)); done
sleep 0.2
pkill -9 -P $pid 2>/dev/null # its workers
wait $pid
[ $? -eq 0 ] || fail "a worker killed from outside ended the run"
says out.txt "CRASHED 0"
# a run whose supervisor was killed is known as interrupted once the store is written to again
"$ASSAY" run eval.yaml --seed 99 >out.txt 2>err.txt &
pid=$!
sleep 0.3
kill -9 $pid
wait $pid 2>/dev/null
expect 0 "$ASSAY" run eval.yaml --seed 99
expect 0 "$ASSAY" runs --store s.db
says_not out.txt "running"

done_testing
