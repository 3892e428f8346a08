# SPDX-License-Identifier: Apache-2.0
# Where output goes: closed and full descriptors, files that stay when an export fails, devices.
. "$ASSAY_SOURCE_DIR/tests/cli/lib.sh"

cat >eval.yaml <<YAML
store: s.db
datasets: [hmda-test]
models:
  - {name: logreg, path: $root/examples/models/hmda-logreg.onnx}
suites: {accuracy: {}}
YAML
expect 0 "$ASSAY" run eval.yaml

# output that is lost is an error, short or long; a closed descriptor does not become some other file
for verb in "list metrics" "__man" "runs --store s.db" "db export v_observation --store s.db" "report --store s.db"; do
    n_checks=$((n_checks + 2))
    # shellcheck disable=SC2086
    "$ASSAY" $verb >/dev/full 2>err.txt
    [ $? -eq 6 ] || fail "exit code of $verb with a full standard output"
    # shellcheck disable=SC2086
    "$ASSAY" $verb >&- 2>err.txt
    [ $? -eq 6 ] || fail "exit code of $verb with a closed standard output"
done
"$ASSAY" run eval.yaml <&- >&- 2>&-
[ $? -eq 6 ] || fail "exit code of run without standard descriptors"
expect 0 "$ASSAY" db check --store s.db

# a file stays as it was until all is written
echo precious >keep.csv
expect 2 "$ASSAY" db export nosuch --store s.db -o keep.csv
[ "$(cat keep.csv)" = precious ] || fail "a failed export destroyed a file"
expect 0 "$ASSAY" db export v_item --store s.db -o keep.csv
says keep.csv "logreg"
expect 0 "$ASSAY" db export v_item --store s.db -o -
says out.txt "logreg"
expect 6 "$ASSAY" db export v_item --store s.db -o nowhere/x.csv
expect 6 "$ASSAY" report --store s.db -o nowhere/x.md
expect 2 "$ASSAY" db check other.db --store s.db

# a device or a pipe is written to, not replaced
mkfifo pipe
for command in "report --store s.db" "db export v_item --store s.db"; do
    cat pipe >piped.txt &
    # shellcheck disable=SC2086
    expect 0 "$ASSAY" $command -o pipe
    wait
    [ -p pipe ] || fail "a pipe was replaced by a file"
    says piped.txt "logreg"
done
done_testing
