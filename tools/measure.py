#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measure every example model on its test split; write models.json and the README of the models.

Run last, when nothing is left to choose: this is where the test splits are read.
The files are evaluated by onnx_torch.py (float64; the int8 model in float32, where it is exact).
"""
import argparse
import pathlib

import numpy as np
import torch
from sklearn.metrics import log_loss, roc_auc_score

import common
import onnx_torch
from train_fashion import ADV_EPS, ADV_EVAL_STEPS, SEED, pgd

ROBUST_IMAGES = 1000  # PGD on the first test images, for the three float CNNs

ORDER = ["fashion-cnn-fp32", "fashion-cnn-int8", "fashion-cnn-pruned", "fashion-cnn-robust",
         "fashion-mlp", "hmda-logreg", "hmda-logreg-blind", "hmda-mlp", "hmda-mlp-blind"]

CNN = "3 x (Conv 3x3, {bn}Relu, MaxPool 2), channels 16-32-64, Flatten, Gemm 64, Relu, Gemm 10"
ARCHITECTURE = {
    "fashion-cnn-fp32": CNN.format(bn="BatchNormalization, "),
    "fashion-cnn-int8": CNN.format(bn="") + "; QuantizeLinear/DequantizeLinear everywhere, Sub "
                                            "and Div in front",
    "fashion-cnn-pruned": CNN.format(bn="") + "; 80 % of the weights are zero",
    "fashion-cnn-robust": CNN.format(bn="BatchNormalization, "),
    "fashion-mlp": "Reshape, Gemm 128, Relu, Gemm 64, Relu, Gemm 10; fixed batch of 1",
    "hmda-logreg": "Sub, Div, Gemm 2 (13 columns)",
    "hmda-logreg-blind": "Sub, Div, Gemm 2 (12 columns, without afam)",
    "hmda-mlp": "Gemm 32, Relu, Gemm 16, Relu, Gemm 2, Softmax (13 columns)",
    "hmda-mlp-blind": "Gemm 32, Relu, Gemm 16, Relu, Gemm 2, Softmax (12 columns, without afam)",
}


def cost(graph, raw):
    """(params, MACs per example): elements of Conv/Gemm/BatchNormalization constants and the
    multiply-accumulates of Conv and Gemm. Scales and zero points of QDQ are not counted."""
    batch = graph.run(torch.from_numpy(raw[:1]), [n.output[0] for n in graph.nodes])
    values = {**graph.constants, **batch}
    params = macs = 0
    for node in graph.nodes:
        if node.op_type not in ("Conv", "Gemm", "BatchNormalization"):
            continue
        params += sum(values[n].numel() for n in node.input[1:])
        if node.op_type != "BatchNormalization":
            w, out = values[node.input[1]], values[node.output[0]]
            macs += w.numel() * (out[0, 0].numel() if node.op_type == "Conv" else 1)
    return params, macs


def zeros(graph):
    """Share of exact zeros among the Conv and Gemm weights."""
    w = [graph.constants[n.input[1]] for n in graph.nodes
         if n.op_type in ("Conv", "Gemm") and n.input[1] in graph.constants]
    return sum(int((v == 0).sum()) for v in w) / max(1, sum(v.numel() for v in w))


def measure(name, x, y):
    path = common.MODELS / (name + ".onnx")
    dtype = torch.float32 if name.endswith("int8") else torch.float64
    graph = onnx_torch.Graph(path, dtype)
    params, macs = cost(graph, x)
    logits = onnx_torch.logits_of(path, x, dtype)
    p = torch.softmax(torch.from_numpy(logits).double(), 1).numpy()
    facts = {"architecture": ARCHITECTURE[name],
             "operators": sorted({n.op_type for n in graph.nodes}),
             "params": params, "macs": macs, "bytes": path.stat().st_size,
             "sha256": common.sha256(path), "test_n": len(y),
             "test_accuracy": float((logits.argmax(1) == y).mean()),
             "test_log_loss": round(log_loss(y, p), 6), "weight_zeros": round(zeros(graph), 6)}
    if name.startswith("hmda"):
        facts["test_auc"] = round(roc_auc_score(y, p[:, 1]), 6)
    return facts


def robust_accuracy(name, x, y):
    """(clean, robust) accuracy on the first 1,000 test images."""
    graph = onnx_torch.Graph(common.MODELS / (name + ".onnx"), torch.float32)
    x, y = torch.from_numpy(x[:ROBUST_IMAGES]), torch.from_numpy(y[:ROBUST_IMAGES])
    adv = pgd(graph.logits, x, y, ADV_EPS, ADV_EVAL_STEPS, ADV_EPS / 8,
              torch.Generator().manual_seed(SEED))
    with torch.no_grad():
        return [float((graph.logits(v).argmax(1) == y).double().mean()) for v in (x, adv)]


def readme(facts):
    """examples/models/README.md, all numbers from models.json."""
    out = ["# Example models", "",
           "Written by `tools/measure.py` from `models.json`; do not edit. How to make them again: "
           "`tools/README.md`.", "",
           "Fashion-MNIST: trained on the first 55,000 train images, every choice made on the last "
           "5,000 (\"fit\"), measured on the 10,000 test images. HMDA: trained on the 1,428 "
           "`train` rows, every choice made on the 476 `valid` rows, measured on the 476 "
           "`test` rows. No choice was made on test data.", "",
           "| model | test accuracy | test AUC | params | MACs | bytes |",
           "|---|---:|---:|---:|---:|---:|"]
    for n in ORDER:
        m = facts[n]["measured"]
        auc = f"{m['test_auc']:.4f}" if "test_auc" in m else ""
        out.append(f"| `{n}` | {m['test_accuracy']:.4f} | {auc} | {m['params']:,} | {m['macs']:,} "
                   f"| {m['bytes']:,} |")
    out += ["", f"Robust accuracy (Linf, eps {ADV_EPS} of the raw range 0..1, "
            f"PGD-{ADV_EVAL_STEPS}, one random start, first {ROBUST_IMAGES:,} test images):", "",
            "| model | clean, same images | robust |", "|---|---:|---:|"]
    for n in ORDER:
        m = facts[n]["measured"]
        if "robust_accuracy" in m:
            out.append(f"| `{n}` | {m['robust_clean_accuracy']:.4f} "
                       f"| {m['robust_accuracy']:.4f} |")
    out += ["", "On HMDA the majority answer (not denied) is right for "
            f"{facts['hmda-logreg']['measured']['test_majority']:.4f} of the test rows: read the "
            "AUC, not the accuracy.", "", "## Each model", ""]
    for n in ORDER:
        m, t = facts[n]["measured"], facts[n]["training"]
        out += [f"### {n}", "", f"- Graph: {m['architecture']}.",
                f"- Operators: {', '.join(m['operators'])}.",
                f"- Made by `{t['script']}`: {t['how']}; {t['seconds']:g} s on one "
                "thread of a busy CPU"
                + (f"; seed {t['seed']}" if "seed" in t else "") + ".",
                f"- Test log loss {m['test_log_loss']:.4f} over {m['test_n']:,} examples; "
                f"{m['weight_zeros']:.4f} of the weights are exactly zero." if "int8" not in n else
                f"- Test log loss {m['test_log_loss']:.4f} over {m['test_n']:,} examples."]
        for key, label in (("chosen", "Chosen on valid"), ("fit_accuracy", "Accuracy on fit"),
                           ("robust_fit_accuracy", "Robust accuracy on the first 1,000 fit images"),
                           ("valid_auc", "AUC on valid")):
            if key in t:
                v = t[key]
                text = ", ".join(f"{a} {b}" for a, b in v.items()) if isinstance(v, dict) \
                    else f"{v:.4f}"
                out.append(f"- {label}: {text}.")
        out += [f"- SHA-256 `{m['sha256']}`", ""]
    out += ["## Metadata", "",
            "Each file carries `metadata_props` (lists: one item a line): `assay.range` (legal raw "
            "range), `assay.scale`, `assay.mean`, `assay.std` (the network's input is "
            "(x * scale - mean) / std in float32, per channel or per column; absent where the "
            "graph does it itself), `assay.layout`, `assay.columns` (the table columns that the "
            "model reads, in order), `assay.labels`.", "",
            "The int8 model's scales are powers of two and all its sums are exact in float32: its "
            "logits have the same bits in every correct runtime that adds up the products "
            "themselves, in any order (`tests/golden/models/golden.json` records the runtimes "
            "compared). The largest partial sums that any "
            "input could give, in units that must stay below 16,777,216: "
            + ", ".join(f"{v['layer']} {v['largest_partial_sum']:,}"
                        for v in facts["fashion-cnn-int8"]["training"]["layers"]) + ".", "",
            "Licence: the model files are part of assay (Apache-2.0). Fashion-MNIST is under the "
            "MIT licence, Copyright 2017 Zalando SE; for HMDA see `../data/README.md`.", ""]
    (common.MODELS / "README.md").write_text("\n".join(out))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--fashion-dir", type=pathlib.Path, default=common.FASHION_DIR)
    args = p.parse_args()
    torch.set_num_threads(1)
    xf, yf = common.fashion_test(args.fashion_dir)
    xh, yh, split, _ = common.read_hmda()
    xh, yh = xh[split == "test"], yh[split == "test"]
    for name in ORDER:
        if name.startswith("fashion"):
            facts = measure(name, xf, yf)
            if name in ("fashion-cnn-fp32", "fashion-cnn-pruned", "fashion-cnn-robust"):
                facts["robust_clean_accuracy"], facts["robust_accuracy"] = robust_accuracy(
                    name, xf, yf)
                facts["robust_eps_linf"], facts["robust_n"] = ADV_EPS, ROBUST_IMAGES
        else:
            facts = measure(name, common.select_columns(xh, name.endswith("blind")), yh)
            facts["test_majority"] = float(np.mean(yh == 0))
        common.update_facts(name, "measured", facts)
        print(name, facts["test_accuracy"], facts.get("test_auc", ""),
              facts.get("robust_accuracy", ""), flush=True)
    readme(common.read_facts())


if __name__ == "__main__":
    main()
