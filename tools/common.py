# SPDX-License-Identifier: Apache-2.0
"""What the training and measuring scripts share: data, ONNX metadata, the file of facts."""
import csv
import gzip
import hashlib
import json
import pathlib
import struct

import numpy as np
import onnx

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODELS = ROOT / "examples" / "models"
DATA = ROOT / "examples" / "data"
FACTS = MODELS / "models.json"

# Debian's dataset-fashion-mnist; another place may be given with --fashion-dir.
FASHION_DIR = pathlib.Path("/usr/share/datasets/fashion-mnist")
FASHION_LABELS = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt",
                  "Sneaker", "Bag", "Ankle boot"]
N_FASHION_TRAIN = 55000  # the other 5,000 of the train file are the "fit" images: every choice

HMDA_FEATURES = ["pirat", "hirat", "lvrat", "chist", "mhist", "phist", "unemp", "selfemp",
                 "insurance", "condomin", "afam", "single", "hschool"]
HMDA_LABELS = ["no", "yes"]  # the values of the label column `deny`, by class index


# ---- Fashion-MNIST ------------------------------------------------------------------------------

def read_idx(path):
    """An idx-ubyte file (gzip) as a uint8 array; the shape comes from its header."""
    with gzip.open(path, "rb") as f:
        zero, dtype, rank = struct.unpack(">HBB", f.read(4))
        if zero != 0 or dtype != 8:
            raise ValueError(f"{path}: not an idx file of unsigned bytes")
        shape = struct.unpack(f">{rank}I", f.read(4 * rank))
        return np.frombuffer(f.read(), np.uint8).reshape(shape)


def raw_images(u8):
    """assay's raw input: float32 in [0,1], (N, 1, 28, 28). One float32 division per pixel."""
    return (u8.astype(np.float32) / np.float32(255))[:, None]


def fashion_train(folder=FASHION_DIR):
    """(train images, train labels, fit images, fit labels). Never opens the test files."""
    x = raw_images(read_idx(folder / "train-images-idx3-ubyte.gz"))
    y = read_idx(folder / "train-labels-idx1-ubyte.gz").astype(np.int64)
    n = N_FASHION_TRAIN
    return x[:n], y[:n], x[n:], y[n:]


def fashion_test(folder=FASHION_DIR):
    """(images, labels) of the test split: for measuring and golden files only."""
    x = raw_images(read_idx(folder / "t10k-images-idx3-ubyte.gz"))
    return x, read_idx(folder / "t10k-labels-idx1-ubyte.gz").astype(np.int64)


# ---- HMDA ---------------------------------------------------------------------------------------

def hmda_columns(blind):
    """The feature columns in CSV order; the blind models are not given `afam`."""
    return [c for c in HMDA_FEATURES if not (blind and c == "afam")]


def read_hmda():
    """(features (2380, 13) float32, deny (2380,) int64, split (2380,) str, id (2380,) int64).

    yes/no -> 1/0, everything else as its number: the encoding that the manifest declares and
    that assay's CSV reader repeats.
    """
    code = {"yes": 1.0, "no": 0.0}
    with open(DATA / "hmda.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    x = np.array([[code[r[c]] if r[c] in code else float(r[c]) for c in HMDA_FEATURES]
                  for r in rows], np.float64).astype(np.float32)
    y = np.array([int(code[r["deny"]]) for r in rows], np.int64)
    return x, y, np.array([r["split"] for r in rows]), np.array([int(r["id"]) for r in rows])


def select_columns(x, blind):
    """The columns of a full feature matrix that a model reads."""
    return x[:, [HMDA_FEATURES.index(c) for c in hmda_columns(blind)]]


# ---- ONNX ---------------------------------------------------------------------------------------

def float_list(values):
    """float32 values, one a line, with the 9 digits that survive a round trip."""
    return "\n".join("%.9g" % np.float32(v) for v in np.atleast_1d(values))


def set_metadata(model, **props):
    """Set `assay.KEY` metadata; lists become lines, numbers float32 text."""
    del model.metadata_props[:]
    for key, value in sorted(props.items()):
        entry = model.metadata_props.add()
        entry.key = "assay." + key
        if isinstance(value, str):
            entry.value = value
        elif isinstance(value[0], str):
            entry.value = "\n".join(value)
        else:
            entry.value = float_list(value)


def get_metadata(model):
    """The `assay.*` metadata as {key: [lines]}."""
    return {p.key[len("assay."):]: p.value.split("\n")
            for p in model.metadata_props if p.key.startswith("assay.")}


def normalise(x, meta):
    """(x*scale - mean)/std in float32, per channel (axis 1): what the plug-in does to raw input.

    Works on numpy arrays and, for gradients, on torch tensors (of any float type).
    """
    if "mean" not in meta:
        return x
    shape = (1, -1) + (1,) * (x.ndim - 2)
    scale, mean, std = (np.array(meta.get(k, ["1"]), np.float32).reshape(shape)
                        for k in ("scale", "mean", "std"))
    if not isinstance(x, np.ndarray):
        import torch
        scale, mean, std = (torch.from_numpy(v).to(x.dtype) for v in (scale, mean, std))
    return (x * scale - mean) / std


def save_onnx(model, name):
    """Check and write examples/models/NAME.onnx."""
    onnx.checker.check_model(model, full_check=True)
    path = MODELS / (name + ".onnx")
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


# ---- facts --------------------------------------------------------------------------------------

def read_facts():
    return json.loads(FACTS.read_text()) if FACTS.exists() else {}


def update_facts(name, section, facts):
    """Replace one section ("training", "measured") of one model in models.json."""
    every = read_facts()
    every.setdefault(name, {})[section] = facts
    FACTS.write_text(json.dumps(every, indent=2, sort_keys=True) + "\n")
