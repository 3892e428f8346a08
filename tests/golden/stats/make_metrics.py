#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes metrics_data.csv (examples) and metrics.csv (expected numbers) for tests/unit/metrics/test_golden.c.

Debian 12: python3-sklearn 1.2.1. Logits are float32, written with 9 digits, which read back exactly. Run in this directory.
"""
import csv

import numpy as np
from scipy.special import log_softmax
from sklearn import metrics

K = 6
rng = np.random.default_rng(20261124)
n = 400
y = rng.choice(K - 1, size=n, p=[0.4, 0.3, 0.15, 0.1, 0.05])  # the last class never occurs as a label
z = rng.normal(0, 1.5, (n, K))
z[np.arange(n), y] += 1.5
z[:, 4] -= 8  # hardly ever predicted
z = z.astype(np.float32)
z[:8, :3] = np.float32(9.25)  # ties at the top: the lowest index wins
pred = z.argmax(axis=1)

with open("metrics_data.csv", "w", newline="") as f:
    w = csv.writer(f, lineterminator="\n")
    w.writerow(["row", "label", "pred"] + [f"z{j}" for j in range(K)])
    for i in range(n):
        w.writerow(["x", y[i], pred[i]] + ["%.9g" % v for v in z[i]])

rows = [("accuracy", -1, metrics.accuracy_score(y, pred), n)]
z64 = z.astype(np.float64)
# top-k with sklearn on scores whose ties are broken by hand in favour of the lower index
order = np.argsort(-z64, axis=1, kind="stable")
strict = np.empty_like(z64)
strict[np.arange(n)[:, None], order] = np.arange(K, 0, -1)
for k in (1, 3, 5):
    rows.append((f"topk{{k={k}}}", -1, metrics.top_k_accuracy_score(y, strict, k=k, labels=range(K)), n))
p = np.exp(log_softmax(z64, axis=1))
rows.append(("log-loss{clip=0;from=logits}", -1, -np.mean(log_softmax(z64, axis=1)[np.arange(n), y]), n))
rows.append(("log-loss{clip=0.01;from=logits}", -1, metrics.log_loss(y, p, eps=0.01, labels=range(K)), n))
prob32 = p.astype(np.float32)
prob32[0, y[0]] = 0  # an impossible event, clipped
q = prob32.astype(np.float64)
rows.append(("log-loss{clip=2.220446049250313e-16;from=probabilities}", -1,
             metrics.log_loss(y, q, eps=np.finfo(np.float64).eps, labels=range(K)), n))
pr, re, f1, support = metrics.precision_recall_fscore_support(y, pred, labels=range(K), zero_division=0)
for j in range(K):
    rows += [("precision", j, pr[j], int((pred == j).sum())), ("recall", j, re[j], int(support[j])), ("f1", j, f1[j], -1)]
cm = metrics.confusion_matrix(y, pred, labels=range(K))
for a in range(K):
    for b in range(K):
        rows.append(("confusion", a * K + b, int(cm[a, b]), n))
with open("metrics.csv", "w", newline="") as f:
    w = csv.writer(f, lineterminator="\n")
    w.writerow(["name", "slice", "value", "n"])
    for r in rows:
        w.writerow([r[0], r[1], repr(float(r[2])), r[3]])
with open("metrics_prob.csv", "w", newline="") as f:
    w = csv.writer(f, lineterminator="\n")
    w.writerow(["row"] + [f"p{j}" for j in range(K)])
    for r in prob32:
        w.writerow(["x"] + ["%.9g" % v for v in r])
