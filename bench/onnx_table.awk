# SPDX-License-Identifier: Apache-2.0
# The tables of bench/onnx.sh from rows "row IMPL NETWORK WHAT BATCH THREADS MEDIAN BEST GFLOPS" (bench/timing.h).
# A ratio that misses its aim has a "<" behind it.
$1 == "peak" { peak = $2 }
$1 == "macs" { macs[$2] = $3 }
$1 == "row" {
    key = $3 " " $5 " " $6
    rate[$2, $4, key] = stat == "best" ? $8 : $7
    if (!((key, $4) in seen)) { # in the order of the run
        seen[key, $4] = 1
        order[$4, n[$4]++] = key
    }
}
$1 == "check" && $NF != "ok" { notes[n_notes++] = $2 " and assay differ on " $3 " (" $4 "): relative residual " $5 }
$1 == "unsupported:" || $1 == "skipped:" { if (!told[$0]++) notes[n_notes++] = $0 }
$1 == "check" { checks++ }

# "12.3x" or "12.3x<", or "-" where one side is missing; counts into met and of.
function ratio(ours, theirs, aim, group) {
    if (!ours || !theirs) return "-"
    of[group]++
    met[group] += ours / theirs >= aim
    logs[group] += log(ours / theirs)
    return sprintf("%.2fx%s", ours / theirs, ours / theirs < aim ? "<" : " ")
}
function number(v) { return v ? sprintf("%.0f", v) : "-" }
function speed(key, what, passes) { # GFLOP/s and percent of the peak of as many threads
    split(key, f, " ")
    g = rate["assay", what, key] * 2 * macs[f[1]] * passes / 1e9
    return g ? sprintf("%8.1f %5.0f%%", g, peak ? 100 * g / (peak * f[3]) : 0) : sprintf("%8s %6s", "-", "-")
}
function summary(group, text) {
    if (!of[group]) return
    printf "%s: %d of %d rows, geometric mean %.2fx\n", text, met[group], of[group], exp(logs[group] / of[group])
}
END {
    print "\nforward, examples/s (aim: >= 1.0x ONNX Runtime at batch >= 32, >= 0.7x at batch 1)"
    printf "%-16s %5s %3s %10s %8s %6s %10s %8s %10s %8s\n", "network", "batch", "thr", "assay", "GFLOP/s", "peak",
        "ORT", "ratio", "torch", "ratio"
    for (i = 0; i < n["predict"]; i++) {
        key = order["predict", i]
        split(key, k, " ")
        a = rate["assay", "predict", key]
        o = rate["ort", "predict", key]
        t = rate["torch", "predict", key]
        group = k[1] ~ /-int8$/ ? "int8 forward" : k[2] >= 32 ? "forward" : "forward 1"
        r = ratio(a, o, k[2] >= 32 ? 1 : 0.7, group)
        printf "%-16s %5d %3d %10s %s %10s %8s %10s %8s\n", k[1], k[2], k[3], number(a),
            speed(key, "predict", 1), number(o), r, number(t), ratio(a, t, 0, "forward torch")
    }
    print "\nforward + vjp with respect to the input, examples/s (aim: >= 2x PyTorch at batch >= 32)"
    printf "%-16s %5s %3s %10s %8s %6s %10s %8s\n", "network", "batch", "thr", "assay", "GFLOP/s", "peak", "torch",
        "ratio"
    for (i = 0; i < n["vjp"]; i++) {
        key = order["vjp", i]
        split(key, k, " ")
        a = rate["assay", "vjp", key]
        t = rate["torch", "vjp", key]
        r = k[2] >= 32 ? ratio(a, t, 2, "vjp") : ratio(a, t, 0, "vjp 1")
        printf "%-16s %5d %3d %10s %s %10s %8s\n", k[1], k[2], k[3], number(a), speed(key, "vjp", 2), number(t), r
    }
    print "\nint8 beside fp32, forward, examples/s (aim: int8 faster where the CPU has VNNI)"
    printf "%-16s %5s %3s %10s %10s %8s %10s %10s %8s\n", "network", "batch", "thr", "int8", "fp32", "ratio",
        "ORT int8", "ORT fp32", "ratio"
    for (i = 0; i < n["predict"]; i++) {
        key = order["predict", i]
        split(key, k, " ")
        if (k[1] !~ /-int8$/) continue
        wide = key
        sub(/-int8/, "", wide)
        printf "%-16s %5d %3d %10s %10s %8s %10s %10s %8s\n", k[1], k[2], k[3], number(rate["assay", "predict", key]),
            number(rate["assay", "predict", wide]),
            ratio(rate["assay", "predict", key], rate["assay", "predict", wide], 1, "int8"),
            number(rate["ort", "predict", key]), number(rate["ort", "predict", wide]),
            ratio(rate["ort", "predict", key], rate["ort", "predict", wide], 0, "int8 ort")
    }
    print ""
    summary("forward", "aim met, forward >= 1.0x ONNX Runtime at batch >= 32")
    summary("forward 1", "aim met, forward >= 0.7x ONNX Runtime at batch 1")
    summary("vjp", "aim met, forward + vjp >= 2x PyTorch at batch >= 32")
    summary("int8", "aim met, int8 faster than fp32")
    summary("int8 forward", "int8 forward as fast as ONNX Runtime's (the aims of fp32)")
    if (checks) printf "%d results compared with peers'\n", checks
    for (i = 0; i < n_notes; i++) print "note: " notes[i]
}
