# SPDX-License-Identifier: Apache-2.0
# Help, version, man page, completion; unknown verbs and options.
. "$ASSAY_SOURCE_DIR/tests/cli/lib.sh"

expect 0 "$ASSAY" --help
cp out.txt help.txt
for verb in run check plan compare report runs repro data db model list explain validate; do
    says help.txt "  $verb "
    expect 0 "$ASSAY" "$verb" --help
    says out.txt "Usage: assay $verb"
done
expect 0 "$ASSAY" --version
says out.txt "assay $(cat "$root/VERSION") (git "
says out.txt "sqlite 3."
says out.txt "workers use"
expect 2 "$ASSAY"
expect 2 "$ASSAY" rnu
says err.txt 'there is no verb "rnu"; did you mean "run"?'
expect 2 "$ASSAY" run --wokers 2 x.yaml
says err.txt "run has no option --wokers; did you mean --workers?"
expect 2 "$ASSAY" run
says err.txt "usage: assay run"
expect 2 "$ASSAY" run -j many x.yaml
says err.txt '--workers must be an integer in 1..256, not "many"'
expect 2 "$ASSAY" run --max-isa avx1024 x.yaml
says err.txt "avx1024"
expect 0 "$ASSAY" __man
says out.txt ".TH ASSAY 1"
says out.txt ".SS assay validate"
expect 0 "$ASSAY" __completion
cp out.txt completion.bash
expect 0 bash -n completion.bash
expect 0 bash -c '. ./completion.bash; COMP_WORDS=(assay ru); COMP_CWORD=1; _assay; echo "${COMPREPLY[@]}"'
says out.txt "run runs"
expect 0 "$ASSAY" list metrics
says out.txt "log-loss"
expect 0 "$ASSAY" explain topk
says out.txt "list of integers"
expect 2 "$ASSAY" explain topq
says err.txt 'did you mean "topk"?'
expect 2 "$ASSAY" list metric
says err.txt 'did you mean "metrics"?'
expect 0 "$ASSAY" list plugins
says out.txt "onnx"
says out.txt "openblas="
mkdir mine
cp "$build/plugins/null.so" mine/another.so
expect 0 env ASSAY_PLUGIN_PATH="$scratch/mine" "$ASSAY" list plugins
says out.txt "another"
says out.txt "onnx"
done_testing
