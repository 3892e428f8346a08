#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The ONNX executor against ONNX Runtime (forward) and PyTorch (forward + vjp with respect to the input), on the same
# networks, in one run. `bench/onnx.sh [NETWORK...]`: everything; `bench/onnx.sh quick [NETWORK...]`: one thread,
# batches 1 and 32, processor time instead of wall time, so that it can be used while the machine does other things.
# Environment: ASSAY_BUILD (build/release), ASSAY_ORT_LIB (libonnxruntime.so.1; else npm's onnxruntime-node is fetched
# into build/bench/ort), PYTHON, STAT (median or best: which of the measured times the tables show), ROWS (a file for
# the rows behind the tables).
set -eu
cd "$(dirname "$0")/.."
b=${ASSAY_BUILD:-build/release}
python=${PYTHON:-/usr/bin/python3}
models=build/bench/models
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
rows=$tmp/rows
: >"$rows"

batches=1,32,128
threads=1,2
seconds=0.3
clock=
networks='cnn resnet8 resnet18 mobilenet vit vit-op17 cnn-int8 resnet8-int8 mobilenet-int8'
if [ "${1:-}" = quick ]; then
    shift
    batches=1,32
    threads=1
    seconds=0.15
    clock=-c
fi
[ $# -eq 0 ] || networks=$*

torch=true
"$python" -c 'import torch, onnx' 2>/dev/null || torch=false
made=$models/mobilenet-int8.onnx # the last of them
if $torch && { [ ! -f $made ] || [ tools/make_bench_models.py -nt $made ]; }; then
    "$python" tools/make_bench_models.py >/dev/null
fi
if [ ! -d $models ]; then
    echo "skipped: no python3-torch and python3-onnx: the example CNN only, without PyTorch"
    mkdir -p $models
    cp examples/models/fashion-cnn-fp32.onnx $models/cnn.onnx
    cp examples/models/fashion-cnn-int8.onnx $models/cnn-int8.onnx
fi

find_ort() { find build/bench/ort -path "*/linux/$1/libonnxruntime.so.1" 2>/dev/null | head -n 1; }
case $(uname -m) in aarch64) arch=arm64 ;; *) arch=x64 ;; esac
ort=${ASSAY_ORT_LIB:-$(find_ort $arch)}
if [ -z "$ort" ] && command -v npm >/dev/null; then
    mkdir -p build/bench/ort
    npm install --prefix build/bench/ort --ignore-scripts --no-audit --no-fund --silent onnxruntime-node \
        >/dev/null 2>&1 || true
    ort=$(find_ort $arch)
fi
[ -n "$ort" ] || echo 'skipped: ONNX Runtime: set ASSAY_ORT_LIB to a libonnxruntime.so.1, or have npm and its registry'

# Peers get the same choice of OpenBLAS core as our workers, and as many threads as they are measured with.
core=$($b/bench/bench_gemm env | grep -v _NUM_THREADS)
with_threads() { # n, command
    n=$1
    shift
    # shellcheck disable=SC2086
    env $core OMP_NUM_THREADS="$n" OPENBLAS_NUM_THREADS="$n" "$@"
}

$b/bench/bench_gemm >>"$rows"
awk '/^gemm/ { s = s ", " $2 " " $3 } END { print "gemm peak, one thread, GFLOP/s: " substr(s, 3) }' "$rows"
if $torch; then
    with_threads 1 "$python" bench/bench_torch.py --version
fi
for net in $networks; do
    file=$models/$net.onnx
    [ -f "$file" ] || { echo "skipped: no $file"; continue; }
    options=
    what=predict,vjp
    case $net in
    cnn) options='preprocess.mean=0 preprocess.std=1' ;; # the graph alone, as the peers have it
    *-int8) what=predict ;;
    esac
    # shellcheck disable=SC2086
    $b/bench/bench_onnx -w $what -b $batches -t $threads -s $seconds $clock -d "$tmp" $b/plugins/onnx.so "$file" \
        $options >>"$rows"
    macs=$(awk -v net="$net" '$1 == "macs" && $2 == net { print $3 }' "$rows")
    # shellcheck disable=SC2086
    if [ -n "$ort" ]; then
        $b/bench/bench_ort -b $batches -t $threads -s $seconds $clock -d "$tmp" -m "${macs:-0}" "$ort" "$file" \
            >>"$rows"
    fi
    # shellcheck disable=SC2086
    if $torch && [ -f "$models/$net.pt" ]; then
        for t in $(echo $threads | tr , ' '); do
            with_threads "$t" "$python" bench/bench_torch.py -b $batches -t "$t" -s $seconds $clock --models $models \
                --rows "$rows" --check "$tmp" "$net" >>"$rows"
        done
    fi
done
sed -n '/^# onnxruntime/ { p; q }' "$rows"
[ -z "${ROWS:-}" ] || cp "$rows" "$ROWS"
awk -v stat="${STAT:-median}" -f bench/onnx_table.awk "$rows"
