# SPDX-License-Identifier: Apache-2.0
"""Networks for the executor benchmark (bench/onnx.sh): random weights of fixed seeds, exported to ONNX, and their
weights for the PyTorch peer (bench/bench_torch.py builds the same modules from here).

Batch normalisation statistics come from one forward pass of random data, so that activations have the size that those
of a trained network have; int8 files are quantise/dequantise graphs with scales from one forward pass of random data.
"""
import argparse
import contextlib
import io
import math
import pathlib
import shutil
import warnings

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn
from torch.nn import functional as F

import common
import onnx_torch

OUT = common.ROOT / "build" / "bench" / "models"
IMAGE = (3, 32, 32)
CLASSES = 10


# ---- the networks -------------------------------------------------------------------------------

def conv_bn(c_in, c_out, kernel, stride=1, groups=1):
    return [nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(c_out)]


class Basic(nn.Module):
    """Residual block of He et al. 2016: two 3x3 convolutions, a 1x1 convolution beside them where shapes change."""

    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.body = nn.Sequential(*conv_bn(c_in, c_out, 3, stride), nn.ReLU(), *conv_bn(c_out, c_out, 3))
        self.side = nn.Sequential(*conv_bn(c_in, c_out, 1, stride)) if stride > 1 or c_in != c_out else nn.Identity()

    def forward(self, x):
        return F.relu(self.body(x) + self.side(x))


class Inverted(nn.Module):
    """Inverted bottleneck of MobileNetV2 (Sandler et al. 2018)."""

    def __init__(self, c_in, c_out, stride, expand):
        super().__init__()
        mid = c_in * expand
        first = [*conv_bn(c_in, mid, 1), nn.ReLU6()] if expand > 1 else []
        self.body = nn.Sequential(*first, *conv_bn(mid, mid, 3, stride, mid), nn.ReLU6(), *conv_bn(mid, c_out, 1))
        self.add = stride == 1 and c_in == c_out

    def forward(self, x):
        return x + self.body(x) if self.add else self.body(x)


def head(width):
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES)]


def resnet(width, blocks):
    """3x3 stem and stages of doubling width, each but the first halving the resolution."""
    layers, c_in = [*conv_bn(3, width, 3), nn.ReLU()], width
    for stage, n in enumerate(blocks):
        for i in range(n):
            c_out = width << stage
            layers.append(Basic(c_in, c_out, 2 if stage > 0 and i == 0 else 1))
            c_in = c_out
    return nn.Sequential(*layers, *head(c_in))


def mobilenet():
    stages = [(1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 2, 1), (6, 160, 2, 2)]
    layers, c_in = [*conv_bn(3, 16, 3), nn.ReLU6()], 16
    for expand, c_out, n, stride in stages:
        for i in range(n):
            layers.append(Inverted(c_in, c_out, stride if i == 0 else 1, expand))
            c_in = c_out
    return nn.Sequential(*layers, *conv_bn(c_in, 640, 1), nn.ReLU6(), *head(640))


class Encoder(nn.Module):
    """Pre-norm transformer layer with softmax attention and Gelu."""

    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def split(self, x):
        """(N, tokens, dim) -> (N, heads, tokens, dim / heads); the batch is the only unknown size."""
        return x.reshape(-1, x.shape[1], self.heads, x.shape[2] // self.heads).transpose(1, 2)

    def forward(self, x):
        q, k, v = (self.split(t) for t in self.qkv(self.norm1(x)).chunk(3, 2))
        a = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(q.shape[3]), 3)
        x = x + self.out((a @ v).transpose(1, 2).reshape(-1, x.shape[1], x.shape[2]))
        return x + self.mlp(self.norm2(x))


class Vit(nn.Module):
    """Vision transformer (Dosovitskiy et al. 2021): 4x4 patches of a 32x32 image, 64 tokens and a class token."""

    def __init__(self, dim=128, heads=4, layers=4):
        super().__init__()
        self.patch = nn.Conv2d(3, dim, 4, 4)
        self.token = nn.Parameter(0.1 * torch.randn(1, 1, dim))
        self.place = nn.Parameter(0.1 * torch.randn(1, 65, dim))
        self.layers = nn.Sequential(*(Encoder(dim, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, CLASSES)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
        return self.head(self.norm(self.layers(x))[:, 0])


def cnn():
    """examples/models/fashion-cnn-fp32.onnx, layer for layer (weights are read from the file)."""
    def block(a, b):
        return [*conv_bn(a, b, 3), nn.ReLU(), nn.MaxPool2d(2)]
    model = onnx.load(str(common.MODELS / "fashion-cnn-fp32.onnx"))
    const = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in model.graph.initializer}
    widths = [const[n.input[1]].shape for n in model.graph.node if n.op_type in ("Conv", "Gemm")]
    convs, gemms = [w for w in widths if len(w) == 4], [w for w in widths if len(w) == 2]
    layers = [layer for w in convs for layer in block(w[1], w[0])] + [nn.Flatten()]
    for i, w in enumerate(gemms):
        layers += ([nn.ReLU()] if i > 0 else []) + [nn.Linear(w[1], w[0])]
    net = nn.Sequential(*layers)
    weighted = [m for m in net if isinstance(m, (nn.Conv2d, nn.BatchNorm2d, nn.Linear))]
    nodes = [n for n in model.graph.node if n.op_type in ("Conv", "BatchNormalization", "Gemm")]
    with torch.no_grad():
        for m, node in zip(weighted, nodes):
            slots = ("weight", "bias", "running_mean", "running_var")
            for slot, name in zip(slots, node.input[1:]):
                if getattr(m, slot, None) is None:  # the file's Conv has a bias, ours was made without
                    m.bias = nn.Parameter(torch.zeros(len(const[name])))
                getattr(m, slot).copy_(const[name])
    return net


NETWORKS = {  # name -> (seed, how to build it, input of one example)
    "cnn": (0, cnn, (1, 28, 28)),
    "resnet8": (1, lambda: resnet(16, [1, 1, 1]), IMAGE),
    "resnet18": (2, lambda: resnet(32, [2, 2, 2, 2]), IMAGE),
    "mobilenet": (3, mobilenet, IMAGE),
    "vit": (4, Vit, IMAGE),
}


def build(name):
    """The module in eval mode with its weights: the same ones in every call."""
    seed, make, shape = NETWORKS[name]
    torch.manual_seed(seed)
    net = make()
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    if name != "cnn" and norms:
        for m in norms:
            nn.init.uniform_(m.weight, 0.5, 1.0)
            nn.init.uniform_(m.bias, -0.2, 0.2)
            m.momentum = 1.0  # the statistics of the one pass below
        with torch.no_grad():
            net.train()(torch.rand(64, *shape))
    return net.eval()


# ---- export -------------------------------------------------------------------------------------

def export(net, shape, path, opset, fold=False):
    """`fold`: batch normalisation into the convolution before it, as torch does on export in eval mode."""
    mode = torch.onnx.TrainingMode.EVAL if fold else torch.onnx.TrainingMode.PRESERVE
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(net, torch.rand(2, *shape), str(path), opset_version=opset, training=mode,
                          do_constant_folding=fold or opset == 17, input_names=["image"], output_names=["logits"],
                          dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}})


# ---- int8 ---------------------------------------------------------------------------------------

class Graph(onnx_torch.Graph):
    """The evaluator of the example models, with what these networks use besides."""

    def op_Add(self, args, a):
        return args[0] + args[1]

    def op_Clip(self, args, a):
        return args[0].clamp(*[float(v) for v in args[1:]])

    def op_GlobalAveragePool(self, args, a):
        return args[0].mean((2, 3), keepdim=True)


class Quantiser:
    """Rewrites a graph of Conv, Gemm, Add, Relu, Clip, GlobalAveragePool and Flatten: a quantise/dequantise pair
    (uint8, one scale) before every operator that computes, int8 weights with one scale a channel, int32 biases."""

    COMPUTES = ("Conv", "Gemm", "Add", "GlobalAveragePool", "Flatten")

    def __init__(self, path, images):
        graph = Graph(path, torch.float32)
        self.model, self.const = graph.model, graph.constants
        self.nodes, self.init, self.pairs, self.scale = [], [], {}, {}
        consumed = {i for n in self.model.graph.node if n.op_type in self.COMPUTES for i in n.input
                    if i and i not in self.const}
        made = [n for n in consumed if n != graph.input]
        with torch.no_grad():
            self.values = {**graph.run(images, made), graph.input: images}

    def constant(self, name, value):
        self.init.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def pair(self, name):
        """Name of the dequantised value; the range is the one seen, always with zero in it."""
        if name not in self.pairs:
            v = self.values[name]
            lo, hi = min(float(v.min()), 0.0), max(float(v.max()), 0.0)
            scale = np.float32((hi - lo) / 255.0)
            s = self.constant(name + ".scale", scale)
            z = self.constant(name + ".zero", np.uint8(np.clip(np.rint(-lo / scale), 0, 255)))
            self.nodes.append(helper.make_node("QuantizeLinear", [name, s, z], [name + ".q"]))
            self.nodes.append(helper.make_node("DequantizeLinear", [name + ".q", s, z], [name + ".dq"]))
            self.pairs[name], self.scale[name] = name + ".dq", scale
        return self.pairs[name]

    def weights(self, node):
        """[weight, bias] of a Conv or Gemm, dequantised."""
        w = self.const[node.input[1]].numpy()
        flat = w.reshape(len(w), -1)
        scale = (np.abs(flat).max(1) / 127).astype(np.float32)
        q = np.clip(np.rint(flat / scale[:, None]), -127, 127).astype(np.int8).reshape(w.shape)
        unit = (scale * self.scale[node.input[0]]).astype(np.float32)
        b = np.rint(self.const[node.input[2]].numpy() / unit).astype(np.int32)
        out = []
        for name, value, s in ((node.input[1], q, scale), (node.input[2], b, unit)):
            args = [self.constant(name + ".q", value), self.constant(name + ".scale", s),
                    self.constant(name + ".zero", np.zeros(len(s), value.dtype))]
            self.nodes.append(helper.make_node("DequantizeLinear", args, [name + ".dq"], axis=0))
            out.append(name + ".dq")
        return out

    def run(self):
        for node in self.model.graph.node:
            new = onnx.NodeProto()
            new.CopyFrom(node)
            if node.op_type in self.COMPUTES:
                inputs = [self.pair(i) for i in node.input if i and i not in self.const]
                if node.op_type in ("Conv", "Gemm"):
                    inputs += self.weights(node)
                del new.input[:]
                new.input.extend(inputs)
            self.nodes.append(new)
        g = self.model.graph
        used = {i for n in self.nodes for i in n.input}
        self.init += [t for t in g.initializer if t.name in used]
        graph = helper.make_graph(self.nodes, g.name, g.input, g.output, self.init)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
        onnx.checker.check_model(model)
        return model


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--out", type=pathlib.Path, default=OUT)
    out = p.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name, (_, _, shape) in NETWORKS.items():
        net = build(name)
        torch.save(net.state_dict(), out / f"{name}.pt")
        if name == "cnn":
            for kind, copy in (("fp32", "cnn.onnx"), ("int8", "cnn-int8.onnx")):
                shutil.copyfile(common.MODELS / f"fashion-cnn-{kind}.onnx", out / copy)
            continue
        export(net, shape, out / f"{name}.onnx", 13)
        if name == "vit":
            export(net, shape, out / "vit-op17.onnx", 17)
        if name in ("resnet8", "mobilenet"):
            export(net, shape, out / "folded.onnx", 13, fold=True)
            torch.manual_seed(7)
            model = Quantiser(out / "folded.onnx", torch.rand(64, *shape)).run()
            onnx.save(model, str(out / f"{name}-int8.onnx"))
            (out / "folded.onnx").unlink()
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
