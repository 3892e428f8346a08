#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reference outputs and gradients of the example models: make_golden.py --ort-modules DIR

DIR holds node_modules/onnxruntime-node (`npm install --ignore-scripts onnxruntime-node`).

Float models: a float64 evaluation of the .onnx file on torch operations (tools/onnx_torch.py), of
inputs normalised in float32 as the plug-in does; compared here with ONNX Runtime. The int8 model:
ONNX Runtime itself, without and with its graph optimisations. README.md describes the files.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent.parent / "tools"))
import common  # noqa: E402
import onnx_torch  # noqa: E402

FASHION = ["fashion-cnn-fp32", "fashion-cnn-pruned", "fashion-cnn-robust", "fashion-mlp"]
HMDA = ["hmda-logreg", "hmda-logreg-blind", "hmda-mlp", "hmda-mlp-blind"]
INT8 = "fashion-cnn-int8"
N_LOGITS = 512  # examples whose logits are stored; labels are stored for all
N_GRAD = 16
SEED = 20240607
DITHER = 0.02


def save(name, array):
    np.save(HERE / (name + ".npy"), np.ascontiguousarray(array))


def gradient(graph, x, cotangent, output, dtype):
    """d(sum(cotangent * output)) / d(raw input), for a batch."""
    raw = torch.from_numpy(x).to(dtype).requires_grad_(True)
    y = graph.run(raw, [output])[output]
    g, = torch.autograd.grad((y * torch.from_numpy(cotangent).to(dtype)).sum(), raw)
    return g.numpy()


def tied_windows(graph, x):
    """Share of MaxPool windows whose largest value is positive and occurs more than once.

    There the gradient depends on which of the equal inputs an implementation calls the maximum.
    """
    pools = [n for n in graph.nodes if n.op_type == "MaxPool"]
    if not pools:
        return 0.0
    with torch.no_grad():
        seen = graph.run(torch.from_numpy(x), [n.input[0] for n in pools])
    tied = total = 0
    for v in seen.values():
        n, c = v.shape[:2]
        w = torch.nn.functional.unfold(v, 2, stride=2).reshape(n, c, 4, -1)
        top = w.max(2, keepdim=True).values
        tied += int(((w == top).sum(2) > 1).logical_and(top[:, :, 0] > 0).sum())
        total += top.numel()
    return tied / total


def float_model(name, x, y, dither):
    """Write one float model's files; returns its facts."""
    path = common.MODELS / (name + ".onnx")
    g64, g32 = onnx_torch.Graph(path), onnx_torch.Graph(path, torch.float32)
    logits = onnx_torch.logits_of(path, x)
    labels = logits.argmax(1)
    save(name + ".logits", logits[:N_LOGITS].astype(np.float32))
    save(name + ".labels", labels.astype(np.uint8))
    top2 = np.sort(logits, 1)[:, -2:]
    facts = {"accuracy": float((labels == y).mean()), "n_labels": len(y),
             "n_logits": len(logits[:N_LOGITS]), "sha256": common.sha256(path),
             "smallest_top2_margin": float((top2[:, 1] - top2[:, 0]).min()),
             "max_abs_diff_torch_float32": float(np.abs(
                 onnx_torch.logits_of(path, x[:N_LOGITS], torch.float32)
                 - logits[:N_LOGITS]).max())}
    cotangent = np.load(HERE / f"cotangent-{logits.shape[1]}.npy")
    inputs = {"grad": x[:N_GRAD]}
    if dither is not None:
        inputs["grad-dither"] = dither
        facts["tied_pool_windows"] = tied_windows(g64, x[:N_GRAD])
        facts["tied_pool_windows_dither"] = tied_windows(g64, dither)
    for kind, at in inputs.items():
        ref = gradient(g64, at, cotangent, g64.before_softmax(), torch.float64)
        single = gradient(g32, at, cotangent, g32.before_softmax(), torch.float32)
        save(f"{name}.{kind}", ref.astype(np.float32))
        facts[kind + "_max_abs"] = float(np.abs(ref).max())
        facts[kind + "_max_abs_diff_torch_float32"] = float(np.abs(single - ref).max())
    if g64.before_softmax() != g64.output:
        p = torch.softmax(torch.from_numpy(logits), 1).numpy()
        save(name + ".probabilities", p[:N_LOGITS].astype(np.float32))
        save(name + ".grad-probabilities", gradient(
            g64, x[:N_GRAD], cotangent, g64.output, torch.float64).astype(np.float32))
    return facts


def run_ort(modules, jobs):
    """Run (model name, raw inputs, batch, optimisation level) jobs; [outputs], version."""
    with tempfile.TemporaryDirectory() as tmp:
        tmp, spec = pathlib.Path(tmp), []
        for i, (name, x, batch, level) in enumerate(jobs):
            meta = onnx_torch.Graph(common.MODELS / (name + ".onnx")).meta
            np.save(tmp / f"{i}.in.npy", np.ascontiguousarray(common.normalise(x, meta)))
            spec.append({"model": str(common.MODELS / (name + ".onnx")), "batch": batch,
                         "level": level, "input": str(tmp / f"{i}.in.npy"),
                         "output": str(tmp / f"{i}.out.npy")})
        (tmp / "jobs.json").write_text(json.dumps(spec))
        version = subprocess.run(["node", str(HERE / "run_onnxruntime.mjs"), str(modules),
                                  str(tmp / "jobs.json")], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout.strip()
        return [np.load(tmp / f"{i}.out.npy") for i in range(len(jobs))], version


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--ort-modules", type=pathlib.Path, required=True)
    p.add_argument("--fashion-dir", type=pathlib.Path, default=common.FASHION_DIR)
    args = p.parse_args()
    torch.set_num_threads(1)
    rng = np.random.Generator(np.random.PCG64(SEED))
    for k in (10, 2):
        save(f"cotangent-{k}", rng.standard_normal((N_GRAD, k)).astype(np.float32))
    xf, yf = common.fashion_test(args.fashion_dir)
    # Noise on every pixel: without flat areas no two inputs of a pooling window are equal.
    dither = np.clip(xf[:N_GRAD] + rng.uniform(0, DITHER, xf[:N_GRAD].shape).astype(np.float32),
                     np.float32(0), np.float32(1)).astype(np.float32)
    save("fashion.dither", dither)
    x_all, y_all, split, _ = common.read_hmda()
    test = split == "test"
    inputs = {n: (xf, yf, dither) for n in FASHION}
    inputs.update({n: (common.select_columns(x_all[test], n.endswith("blind")), y_all[test], None)
                   for n in HMDA})
    golden = {n: float_model(n, *inputs[n]) for n in FASHION + HMDA}

    jobs = [(n, inputs[n][0][:N_LOGITS], 1 if n == "fashion-mlp" else N_LOGITS, level)
            for n in FASHION + HMDA for level in ("disabled", "all")]
    jobs += [(INT8, xf, 500, level) for level in ("disabled", "all")]
    jobs += [(INT8, xf[:N_LOGITS], 1, "disabled")]
    out, version = run_ort(args.ort_modules, jobs)
    for (name, _, _, level), got in zip(jobs, out):
        if name != INT8:
            soft = (HERE / (name + ".probabilities.npy")).exists()
            ref = np.load(HERE / f"{name}.{'probabilities' if soft else 'logits'}.npy")
            golden[name]["max_abs_diff_onnxruntime_" + level] = float(np.abs(got - ref).max())

    plain, optimised, single = out[-3:]
    save(INT8 + ".logits", plain[:N_LOGITS])
    save(INT8 + ".labels", plain.argmax(1).astype(np.uint8))
    emulated = onnx_torch.logits_of(common.MODELS / (INT8 + ".onnx"), xf, torch.float32)
    bits = lambda a: a.view(np.uint32)
    golden[INT8] = {
        "accuracy": float((plain.argmax(1) == yf).mean()), "n_labels": len(yf),
        "n_logits": N_LOGITS, "sha256": common.sha256(common.MODELS / (INT8 + ".onnx")),
        "tied_top2": int((np.diff(np.sort(plain, 1)[:, -2:], axis=1) == 0).sum()),
        "same_bits_all_optimisations": bool((bits(plain) == bits(optimised)).all()),
        "examples_that_differ_all_optimisations": int(
            (bits(plain) != bits(optimised)).any(1).sum()),
        "max_abs_diff_all_optimisations": float(np.abs(plain - optimised).max()),
        "same_bits_batch_of_one": bool((bits(plain[:N_LOGITS]) == bits(single)).all()),
        "same_bits_torch_float32": bool((bits(plain) == bits(emulated)).all())}
    (HERE / "golden.json").write_text(json.dumps(
        {"models": golden, "onnxruntime_node": version, "torch": torch.__version__,
         "numpy": np.__version__, "seed": SEED}, indent=2, sort_keys=True) + "\n")
    print((HERE / "golden.json").read_text())


if __name__ == "__main__":
    main()
