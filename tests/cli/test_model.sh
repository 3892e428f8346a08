# SPDX-License-Identifier: Apache-2.0
# assay model info: what a model is and costs; files that do not open, and plug-ins that crash on opening.
. "$ASSAY_SOURCE_DIR/tests/cli/lib.sh"

int8=$root/examples/models/fashion-cnn-int8.onnx
expect 0 "$ASSAY" model info "$int8" --batch 32
says out.txt "ai.onnx 13"
says out.txt "QuantizeLinear 5"
says out.txt "raw range 0 to 1"
says out.txt "1,956,736 per example"
says out.txt "batch 32 in steps of 32"
says out.txt "penultimate        64  gemm4.relu.dq"
for format in md json; do
    expect 0 "$ASSAY" model info "$int8" --format $format -o info.$format
done
says info.md "| conv2 | Conv | (1, 32, 14, 14) | 903,168 | 4,640 |"
says info.json '"schema": "assay.model-info/1"'
expect 0 "$ASSAY" model info "$root/plugins/skeleton/corners.weights" --plugin "$build/plugins/skeleton.so"
says out.txt "skeleton"

expect 2 "$ASSAY" model info "$int8" --format word
expect 2 "$ASSAY" model info "$int8" --option nosuch=1
expect 2 "$ASSAY" model show "$int8"
expect 6 "$ASSAY" model info nosuch.onnx
echo nothing >broken.onnx
expect 5 "$ASSAY" model info broken.onnx
# a sanitizer would make an exit code of the signal
ASAN_OPTIONS=handle_segv=0:${ASAN_OPTIONS:-} TSAN_OPTIONS=handle_segv=0:${TSAN_OPTIONS:-} \
    expect 5 "$ASSAY" model info "$int8" --plugin "$build/badplugins/crash_load.so"
says err.txt "crashed"
done_testing
