#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Digests of the fixture of tests/unit/store, computed from docs/STORE.md alone: python3 make_digests.py > digests.txt"""
import hashlib
import struct


def sha(data):
    return hashlib.sha256(data).digest()


def hexof(word):
    return hashlib.sha256(word.encode()).hexdigest()


def field(tag, value):
    value = value.encode() if isinstance(value, str) else value
    return tag.encode() + b"\0" + struct.pack("<Q", len(value)) + value


def u64(v):
    return struct.pack("<Q", v)


def f32(v):
    return struct.unpack("<f", struct.pack("<f", v))[0]


def item(shard, n, skill):
    decisions = (field("assay", "decisions/1") + field("model", hexof("cnn"))
                 + field("comparability", hexof(f"comparable {shard}")) + field("first", u64(shard * n))
                 + field("expected", u64(n)) + field("outcome", "OK") + field("condition", "clean"))
    scores = field("condition", "clean")
    for i in range(shard * n, shard * n + n):
        label = i % 10
        pred = label if label < skill else (label + 1) % 10
        decisions += struct.pack("<qiiiI", i, 0, label, pred, 0)
        logits = struct.pack("<10f", *(f32(f32(f32(i) * f32(0.1)) + k) for k in range(10)))
        scores += struct.pack("<dQ", 1.0 / (i + 3), len(logits)) + logits
    d = sha(decisions)
    r = sha(field("assay", "results/1") + field("decisions", d) + field("scores", sha(scores)))
    return d.hex(), r.hex()


def run(tag, digests):
    return sha(field("assay", tag) + b"".join(field("item", d) for d in sorted(digests))).hex()


items = [item(shard, 10, 7) for shard in range(3)]
print(run("run/decisions/1", [d for d, _ in items]))
print(run("run/results/1", [r for _, r in items]))
