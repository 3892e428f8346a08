#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Speed, as ratios to named peers measured in this run. Numbers are printed, never asserted.
set -eu
cd "$(dirname "$0")/.."
b=build/release
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
now() { date +%s%N; }

echo "== start-up: wall time of \`assay --version\`, best and median of 21 (aim: < 20 ms)"
i=0
while [ $i -lt 21 ]; do
    t=$(now)
    $b/assay --version >/dev/null
    echo $((($(now) - t) / 1000))
    i=$((i + 1))
done | sort -n | awk '{ v[NR] = $1 } END { printf "best %.1f ms, median %.1f ms\n", v[1] / 1000, v[11] / 1000 }'

echo
echo "== store: rows/s, against a bare prepared-statement loop into the same table (aim: >= 0.7)"
$b/bench/bench_store | tee "$tmp/store.txt"
bare=$(awk '/bare loop, plain INSERT/ { print $5 }' "$tmp/store.txt")
printf 'store: %s/e2e.db\nworkers: 1\nmanifest: %s/datasets.manifest\ndatasets: [fashion-mnist-train]\nmodels: [%s]\nsuites: {accuracy: {}}\n' \
    "$tmp" "$PWD" '{name: zero, plugin: "null", options: {shape: [1, 28, 28], classes: 10}}' >"$tmp/e2e.yaml"
for logits in none clean; do # median of 5 as for the others
    i=0
    while [ $i -lt 5 ]; do
        rm -f "$tmp"/e2e.db*
        sync # what the one before wrote must not be paid for here
        $b/assay run "$tmp/e2e.yaml" --logits $logits | sed -n 's/^run .* \([0-9]*\) rows\/s).*/\1/p'
        i=$((i + 1))
    done | sort -n | awk -v bare="$bare" -v logits=$logits '{ v[NR] = $1 }
        END { printf "  end to end (worker to committed), logits %-8s %12d rows/s   %.2fx\n", logits, v[3], v[3] / bare }'
done

echo
echo "== overhead: a 10,000-example accuracy run of cnn-fp32 (aim: < 5 % outside the model)"
config() { # name, model line
    printf 'store: %s/%s.db\nworkers: 1\nmanifest: %s/datasets.manifest\ndatasets: [fashion-mnist]\nmodels: [%s]\nsuites: {accuracy: {}}\n' \
        "$tmp" "$1" "$PWD" "$2" >"$tmp/$1.yaml"
}
config cnn "{name: cnn-fp32, path: $PWD/examples/models/fashion-cnn-fp32.onnx}"
config null '{name: zero, plugin: "null", options: {shape: [1, 28, 28], classes: 10}}'
best() { # of 5 fresh runs, in µs
    i=0
    while [ $i -lt 5 ]; do
        rm -f "$tmp/$1".db*
        t=$(now)
        $b/assay run "$tmp/$1.yaml" >/dev/null
        echo $((($(now) - t) / 1000))
        i=$((i + 1))
    done | sort -n | head -n 1
}
cnn_us=$(best cnn)
null_us=$(best null)
bare() { i=0; while [ $i -lt 5 ]; do $b/bench/bench_bare "$@"; i=$((i + 1)); done | sort -k2 -n | head -n 1; }
set -- $(bare $b/plugins/onnx.so examples/models/fashion-cnn-fp32.onnx datasets.manifest fashion-mnist)
echo "$cnn_us $null_us $2 $3 $4 $5" | awk '{
    run = $1 / 1e6; null = $2 / 1e6
    printf "bare plug-in   predict %.3f s   (load %.3f s, read data %.3f s, gather %.3f s)\n", $3, $4, $5, $6
    printf "assay run      cnn-fp32 %.3f s, null %.3f s (the same run with a model that costs nothing)\n", run, null
    printf "outside the model: %.1f %% of the run; null run / cnn run: %.3f\n", 100 * (run - $3) / run, null / run }'

echo
echo "== ONNX executor: the same networks through ONNX Runtime and PyTorch (bench/onnx.sh quick: one thread, a minute)"
bench/onnx.sh
