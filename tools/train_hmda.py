#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Train the four HMDA models on the `train` rows; every choice is made on the `valid` rows.

Writes examples/models/hmda-{logreg,mlp}{,-blind}.onnx and examples/data/hmda-crossfit.csv.
The `test` rows are never looked at for fitting or choosing (cross-fitting predicts all rows, each
by a model that did not see it; its hyperparameters are the ones chosen on `valid`).
"""
import csv
import time

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

import common

SEED = 20240607
N_FOLDS = 5
LOGREG_C = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]
MLP_HIDDEN = (32, 16)
MLP_DECAY = [1e-3, 1e-2, 1e-1]
MLP_EPOCHS = 200
MLP_BATCH = 64


def moments(x):
    """Per-feature mean and standard deviation as float32, computed in float64."""
    x = x.astype(np.float64)
    return x.mean(0).astype(np.float32), x.std(0).astype(np.float32)


def standardise(x, mean, std):
    return (x - mean) / std  # float32 throughout, as in the exported graph


# ---- logistic regression ------------------------------------------------------------------------

def fit_logreg(x, y, c):
    mean, std = moments(x)
    m = LogisticRegression(C=c, max_iter=10000, tol=1e-10).fit(standardise(x, mean, std), y)
    return mean, std, m


def predict_logreg(fitted, x):
    mean, std, m = fitted
    return m.predict_proba(standardise(x, mean, std))[:, 1]


def export_logreg(fitted, name, columns):
    """Sub, Div, Gemm. The logits are -z/2 and +z/2 (exact halves), so softmax gives sigmoid(z)."""
    mean, std, m = fitted
    w = m.coef_[0].astype(np.float32) / 2
    b = np.float32(m.intercept_[0]) / 2
    init = {"mean": mean, "std": std, "weight": np.stack([-w, w]), "bias": np.stack([-b, b])}
    graph = helper.make_graph(
        [helper.make_node("Sub", ["features", "mean"], ["centred"], "centre"),
         helper.make_node("Div", ["centred", "std"], ["scaled"], "scale"),
         helper.make_node("Gemm", ["scaled", "weight", "bias"], ["logits"], "linear", transB=1)],
        name,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", len(columns)])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in init.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7,
                              producer_name="assay tools/train_hmda.py")
    common.set_metadata(model, columns=columns, labels=common.HMDA_LABELS)
    return common.save_onnx(model, name)


# ---- multilayer perceptron ----------------------------------------------------------------------

def new_mlp(n_in):
    sizes = (n_in,) + MLP_HIDDEN
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 2))


def fit_mlp(x, y, decay, n_epochs, valid=None):
    """Adam with decoupled decay. With `valid`, returns the weights of its best epoch as well."""
    torch.manual_seed(SEED)
    mean, std = moments(x)
    xs, ys = torch.from_numpy(standardise(x, mean, std)), torch.from_numpy(y)
    net = new_mlp(x.shape[1])
    opt = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=decay)
    best = (np.inf, 0, None)
    for epoch in range(1, n_epochs + 1):
        order = torch.randperm(len(xs))
        for i in range(0, len(xs), MLP_BATCH):
            rows = order[i:i + MLP_BATCH]
            opt.zero_grad()
            torch.nn.functional.cross_entropy(net(xs[rows]), ys[rows]).backward()
            opt.step()
        if valid is not None:
            loss = log_loss(valid[1], predict_mlp((mean, std, net), valid[0]))
            if loss < best[0]:
                best = (loss, epoch, {k: v.clone() for k, v in net.state_dict().items()})
    if valid is not None:
        net.load_state_dict(best[2])
    return (mean, std, net), best[:2]


def predict_mlp(fitted, x):
    mean, std, net = fitted
    with torch.no_grad():
        z = net(torch.from_numpy(standardise(x, mean, std)))
        return torch.softmax(z.double(), 1)[:, 1].numpy()


def export_mlp(fitted, name, columns):
    """Gemm, Relu, ..., Softmax through torch's exporter; the standardisation goes to metadata."""
    mean, std, net = fitted
    path = common.MODELS / (name + ".onnx")
    torch.onnx.export(torch.nn.Sequential(*net, torch.nn.Softmax(dim=1)).eval(),
                      torch.zeros(1, len(columns)), str(path), opset_version=13,
                      input_names=["features"], output_names=["probabilities"],
                      dynamic_axes={"features": {0: "N"}, "probabilities": {0: "N"}})
    model = onnx.load(str(path))
    common.set_metadata(model, columns=columns, labels=common.HMDA_LABELS, mean=mean, std=std)
    return common.save_onnx(model, name)


# ---- the run ------------------------------------------------------------------------------------

def folds(y, afam):
    """Fold number 0..4 per row, stratified on deny x afam."""
    out = np.empty(len(y), np.int64)
    rng = np.random.Generator(np.random.PCG64(SEED))
    start = 0
    for d in (0, 1):
        for a in (0, 1):
            members = np.flatnonzero((y == d) & (afam == a))
            # The offset keeps all four strata from giving their extra row to fold 0.
            out[rng.permutation(members)] = (np.arange(len(members)) + start) % N_FOLDS
            start += len(members)
    return out


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    x_all, y, split, ids = common.read_hmda()
    train, valid = split == "train", split == "valid"
    crossfit = {}
    fold = folds(y, x_all[:, common.HMDA_FEATURES.index("afam")])

    for blind in (False, True):
        x = common.select_columns(x_all, blind)
        columns = common.hmda_columns(blind)
        suffix = "-blind" if blind else ""
        held_out = (x[valid], y[valid])

        start = time.monotonic()
        losses = {c: log_loss(y[valid], predict_logreg(fit_logreg(x[train], y[train], c), x[valid]))
                  for c in LOGREG_C}
        c = min(losses, key=losses.get)
        fitted = fit_logreg(x[train], y[train], c)
        name = "hmda-logreg" + suffix
        export_logreg(fitted, name, columns)
        record(name, "L2 logistic regression (scikit-learn, lbfgs), C chosen on valid",
               {"C": c}, losses[c],
               roc_auc_score(y[valid], predict_logreg(fitted, x[valid])), start)
        crossfit["logreg" + suffix] = np.empty(len(y))
        for k in range(N_FOLDS):
            m = fit_logreg(x[fold != k], y[fold != k], c)
            crossfit["logreg" + suffix][fold == k] = predict_logreg(m, x[fold == k])

        start = time.monotonic()
        tried = {d: fit_mlp(x[train], y[train], d, MLP_EPOCHS, held_out) for d in MLP_DECAY}
        d = min(tried, key=lambda k: tried[k][1][0])
        fitted, (loss, epoch) = tried[d]
        name = "hmda-mlp" + suffix
        export_mlp(fitted, name, columns)
        record(name, "AdamW, weight decay and epoch chosen on valid",
               {"weight_decay": d, "epochs": epoch, "lr": 1e-3, "batch": MLP_BATCH}, loss,
               roc_auc_score(y[valid], predict_mlp(fitted, x[valid])), start)
        crossfit["mlp" + suffix] = np.empty(len(y))
        for k in range(N_FOLDS):
            m, _ = fit_mlp(x[fold != k], y[fold != k], d, epoch)
            crossfit["mlp" + suffix][fold == k] = predict_mlp(m, x[fold == k])

    names = ["logreg", "logreg-blind", "mlp", "mlp-blind"]
    with open(common.DATA / "hmda-crossfit.csv", "w", newline="") as f:
        w = csv.writer(f, lineterminator="\r\n")
        w.writerow(["id", "fold"] + [n.replace("-", "_") for n in names])
        for i in range(len(y)):
            w.writerow([ids[i], fold[i]] + [repr(float(crossfit[n][i])) for n in names])
    for n in names:
        print(f"{n}: cross-fitted AUC over all rows {roc_auc_score(y, crossfit[n]):.4f}")


def record(name, how, chosen, loss, auc, start):
    seconds = round(time.monotonic() - start, 1)
    common.update_facts(name, "training", {
        "script": "tools/train_hmda.py", "how": how, "chosen": chosen, "seed": SEED,
        "valid_log_loss": loss, "valid_auc": auc, "seconds": seconds})
    print(f"{name}: {chosen} valid log loss {loss:.4f} AUC {auc:.4f} ({seconds} s)")


if __name__ == "__main__":
    main()
