#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes golden.h and the small .npy files beside it: make_golden.py

What tests/unit/data compares with, made without any code of assay: gzip, struct, csv and numpy only. The content
digests follow docs/DATA.md field by field, so they check that page as well as the C code.
Needs Debian's dataset-fashion-mnist and python3-numpy.
"""
import csv
import gzip
import hashlib
import os
import struct

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
FASHION = "/usr/share/datasets/fashion-mnist/"
CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
FEATURES = ["pirat", "hirat", "lvrat", "chist", "mhist", "phist", "unemp", "selfemp", "insurance", "condomin", "afam",
            "single", "hschool"]
REAL = {"id", "pirat", "hirat", "lvrat", "chist", "mhist", "unemp"}
CLASSIFICATION = 0


class Digest:
    """SHA-256 over tag, NUL, length as 8 little-endian bytes, value."""

    def __init__(self):
        self.h = hashlib.sha256()

    def field(self, tag, value):
        self.h.update(tag.encode() + b"\0" + struct.pack("<Q", len(value)) + value)

    def text(self, tag, value):
        self.field(tag, value.encode())

    def number(self, tag, value):
        self.field(tag, struct.pack("<Q", value))

    def hex(self):
        return self.h.hexdigest()


def head(n, shape, lo, hi):
    d = Digest()
    d.text("assay.dataset", "1")
    d.number("task", CLASSIFICATION)
    d.number("n", n)
    d.field("shape", np.asarray(shape, "<i8").tobytes())
    d.field("range", np.asarray([lo, hi], "<f8").tobytes())
    return d


def read_idx(name):
    with gzip.open(FASHION + name, "rb") as f:
        data = f.read()
    n_dims = data[3]
    shape = struct.unpack(">%dI" % n_dims, data[4:4 + 4 * n_dims])
    return np.frombuffer(data, np.uint8, offset=4 + 4 * n_dims).reshape(shape)


def fashion(x, y):
    d = head(len(x), [1, 28, 28], 0.0, 1.0)
    d.number("scale_255", 1)
    d.field("u8", x.tobytes())
    d.field("label", y.astype("<i4").tobytes())
    for c in CLASSES:
        d.text("class", c)
    return dict(n=len(x), digest=d.hex(), first=hashlib.sha256(x[0].tobytes()).hexdigest(),
                last=hashlib.sha256(x[-1].tobytes()).hexdigest(), pixel_sum=int(x.sum(dtype=np.uint64)),
                histogram=np.bincount(y, minlength=10).tolist(), first_labels=y[:10].tolist())


def hmda(rows, with_split):
    x = np.array([[float(r[c]) if c in REAL else float(["no", "yes"].index(r[c])) for c in FEATURES] for r in rows])
    y = np.array([["no", "yes"].index(r["deny"]) for r in rows])
    d = head(len(rows), [len(FEATURES)], -np.inf, np.inf)
    d.field("f32", x.astype("<f4").tobytes())
    d.field("label", y.astype("<i4").tobytes())
    for c in ["no", "yes"]:
        d.text("class", c)
    for c in FEATURES:
        d.text("feature", c)
    for c in ["id"] + FEATURES + (["split"] if with_split else []):
        levels = ["train", "valid", "test"] if c == "split" else ["no", "yes"]
        d.text("column", c)
        d.number("sensitive", int(c == "afam"))
        if c in REAL:
            d.field("real", np.array([float(r[c]) for r in rows], "<f8").tobytes())
        else:
            d.number("levels", len(levels))
            for name in levels:
                d.text("level", name)
            d.field("codes", np.array([levels.index(r[c]) for r in rows], "<i4").tobytes())
    both = np.array([r["afam"] == "yes" and r["deny"] == "yes" for r in rows])
    return dict(n=len(rows), digest=d.hex(), denied=int(y.sum()), afam=int(x[:, FEATURES.index("afam")].sum()),
                denied_afam=int(both.sum()), first_id=int(rows[0]["id"]), means=[float(m) for m in x.mean(axis=0)])


def c_value(v):
    if isinstance(v, str):
        return '"%s"' % v
    if isinstance(v, list):
        return "{%s}" % ", ".join(c_value(e) for e in v)
    return repr(v)


def write_header(fashions, hmdas):
    with open(os.path.join(HERE, "golden.h"), "w") as f:
        f.write("/* SPDX-License-Identifier: Apache-2.0\n * Written by make_golden.py: do not edit. */\n"
                "#ifndef GOLDEN_DATA_H\n#define GOLDEN_DATA_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n"
                "/* clang-format off */\n"
                "typedef struct golden_fashion {\n    const char *id;\n    size_t n;\n"
                "    const char *digest, *first, *last;\n    uint64_t pixel_sum;\n    size_t histogram[10];\n"
                "    int first_labels[10];\n} golden_fashion;\n"
                "typedef struct golden_hmda {\n    const char *id;\n    size_t n;\n    const char *digest;\n"
                "    size_t denied, afam, denied_afam, first_id;\n    double means[13];\n} golden_hmda;\n\n")
        for kind, records in (("fashion", fashions), ("hmda", hmdas)):
            f.write("static const golden_%s golden_%ss[] = {\n" % (kind, kind))
            for name, g in records:
                f.write("    {.id = \"%s\"" % name)
                for k, v in g.items():
                    f.write(",\n     .%s = %s" % (k, c_value(v)))
                f.write("},\n")
            f.write("};\n\n")
        f.write("/* clang-format on */\n#endif\n")


def save(name, array, version=None):
    with open(os.path.join(HERE, name), "wb") as f:
        np.lib.format.write_array(f, array, version=version)


def write_npy():
    """values k - 2 in (4, 3), k = 0, 1, ...; unsigned: k. Images: k in (2, 2, 3, 3) = (N, H, W, C)."""
    k = np.arange(12).reshape(4, 3)
    for name, dtype in (("i1", "|i1"), ("i2", "<i2"), ("i4", "<i4"), ("i8", "<i8"), ("f4", "<f4"), ("f8", "<f8")):
        save(name + ".npy", (k - 2).astype(dtype))
    save("u1.npy", k.astype("|u1"))
    save("v2.npy", (k - 2).astype("<f4"), version=(2, 0))
    save("fortran.npy", np.asfortranarray((k - 2).astype("<f4")))
    save("big_endian.npy", (k - 2).astype(">f4"))
    save("labels.npy", np.array([0, 1, 1, 0], "<i8"))
    save("images.npy", np.arange(36).reshape(2, 2, 3, 3).astype("|u1"))


def main():
    x, y = read_idx("t10k-images-idx3-ubyte.gz"), read_idx("t10k-labels-idx1-ubyte.gz")
    tx, ty = read_idx("train-images-idx3-ubyte.gz"), read_idx("train-labels-idx1-ubyte.gz")
    with open(os.path.join(HERE, "../../../examples/data/hmda.csv"), newline="") as f:
        rows = list(csv.DictReader(f))
    splits = [("hmda", rows)]
    splits += [("hmda-" + s, [r for r in rows if r["split"] == s]) for s in ("train", "valid", "test")]
    write_header([("fashion-mnist", fashion(x, y)), ("fashion-mnist-train", fashion(tx[:55000], ty[:55000])),
                  ("fashion-mnist-fit", fashion(tx[55000:], ty[55000:]))],
                 [(name, hmda(r, name == "hmda")) for name, r in splits])
    write_npy()


if __name__ == "__main__":
    main()
