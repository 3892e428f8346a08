#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Write examples/models/fashion-cnn-int8.onnx: the QDQ form of fashion-cnn-fp32.onnx.

Every scale is a power of two and every bias a whole multiple of (input scale x weight scale), so
each product and each partial sum of a convolution or Gemm is a whole number of units below 2^24 and
float32 holds it exactly. The result then has the same bits in every correct runtime, whatever the
order of summation and whether it computes in float32 or in int8/int32. Normalisation is in the
graph (Sub, Div: correctly rounded element by element), hence no assay.mean/std in the metadata.

Weights: int8, symmetric, one scale per output channel. Activations: uint8 after Relu, int8 for the
normalised input. The logits are left as the exact sums that they are: int8 steps of 1/4, as their
range would need, give tied classes. Exponents minimise the squared error: of the weights
themselves, and of the activations over the 5,000 fit images.
"""
import argparse
import pathlib
import time

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

import common
import onnx_torch

SOURCE, NAME = "fashion-cnn-fp32", "fashion-cnn-int8"
EXPONENTS = range(-14, 3)
LIMIT = 2 ** 24  # float32 holds every whole number up to here


def quantise(v, scale, lo, hi):
    """Round half to even, then clamp: what QuantizeLinear does."""
    return np.clip(np.rint(v / scale), lo, hi)


def best_exponent(v, lo, hi):
    """The power of two with the smallest mean squared error over v."""
    v = v.astype(np.float64)
    error = {e: np.mean((quantise(v, 2.0 ** e, lo, hi) * 2.0 ** e - v) ** 2) for e in EXPONENTS}
    return min(error, key=error.get)


def folded_layers(graph):
    """[(op, weight, bias, input tensor, output tensor after BatchNormalization)] in float64."""
    const = {k: v.double().numpy() for k, v in graph.constants.items()}
    layers = []
    for node in graph.nodes:
        if node.op_type in ("Conv", "Gemm"):
            w = const[node.input[1]]
            b = const[node.input[2]] if len(node.input) > 2 else np.zeros(len(w))
            layers.append([node.op_type, w, b, node.input[0], node.output[0]])
        elif node.op_type == "BatchNormalization":
            gamma, beta, mean, var = (const[n] for n in node.input[1:])
            eps = helper.get_attribute_value(
                next(a for a in node.attribute if a.name == "epsilon"))
            factor = gamma / np.sqrt(var + eps)
            last = layers[-1]
            assert last[0] == "Conv" and last[4] == node.input[0]
            last[1] = last[1] * factor[:, None, None, None]
            last[2] = (last[2] - mean) * factor + beta
            last[4] = node.output[0]
    return layers


def calibrate(graph, layers, images):
    """Exponent of the normalised input and of every layer's output after Relu, but the logits."""
    names = [layer[4] for layer in layers[:-1]]
    with torch.no_grad():
        seen = [graph.run(torch.from_numpy(images[i:i + 500]), names)
                for i in range(0, len(images), 500)]
    values = {n: np.concatenate([s[n].numpy().astype(np.float32).ravel() for s in seen])
              for n in names}
    exponents = [best_exponent(common.normalise(images, graph.meta), -128, 127)]
    for n in names:
        exponents.append(best_exponent(np.maximum(values[n], 0), 0, 255))
    return exponents


class Builder:
    def __init__(self):
        self.nodes, self.init = [], []

    def const(self, name, value):
        self.init.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op, inputs, output, **attrs):
        self.nodes.append(helper.make_node(op, inputs, [output], output, **attrs))
        return output

    def quantise_dequantise(self, x, exponent, signed):
        name = x + ".q"
        scale = self.const(name + ".scale", np.float32(2.0 ** exponent))
        zero = self.const(name + ".zero", (np.int8 if signed else np.uint8)(0))
        q = self.node("QuantizeLinear", [x, scale, zero], name)
        return self.node("DequantizeLinear", [q, scale, zero], x + ".dq")


def build(graph, layers, exponents):
    """(onnx model, facts). Raises if a partial sum could reach 2^24 units."""
    b = Builder()
    mean, std = (np.float32(graph.meta[k][0]) for k in ("mean", "std"))
    x = b.node("Sub", ["image", b.const("mean", mean)], "centred")
    x = b.node("Div", [x, b.const("std", std)], "normalised")
    x = b.quantise_dequantise(x, exponents[0], signed=True)
    top, facts = 128, []  # top: largest magnitude of the layer's quantised input
    for i, (op, w, bias, _, _) in enumerate(layers):
        name, last = f"{op.lower()}{i + 1}", i == len(layers) - 1
        flat = w.reshape(len(w), -1)
        e_w = np.array([best_exponent(row, -127, 127) for row in flat])
        q_w = np.stack([quantise(r, 2.0 ** e, -127, 127) for r, e in zip(flat, e_w)])
        unit = 2.0 ** (e_w + exponents[i])  # of the accumulator
        q_b = np.rint(bias / unit)
        # Whatever the input and the order of summation, no partial sum exceeds this.
        bound = int((np.abs(q_w).sum(1) * top + np.abs(q_b)).max())
        if bound >= LIMIT:
            raise ValueError(f"{name}: partial sums up to {bound} units are not exact in float32")
        scale = b.const(name + ".weight.scale", (2.0 ** e_w).astype(np.float32))
        weight = b.node("DequantizeLinear", [
            b.const(name + ".weight.q", q_w.reshape(w.shape).astype(np.int8)), scale,
            b.const(name + ".weight.zero", np.zeros(len(w), np.int8))], name + ".weight", axis=0)
        bias_dq = b.node("DequantizeLinear", [
            b.const(name + ".bias.q", q_b.astype(np.int32)),
            b.const(name + ".bias.scale", unit.astype(np.float32))], name + ".bias", axis=0)
        if op == "Gemm" and layers[i - 1][0] == "Conv":
            x = b.node("Flatten", [x], "flat", axis=1)
        attrs = dict(kernel_shape=[3, 3], pads=[1] * 4, strides=[1, 1]) if op == "Conv" else \
            dict(transB=1)
        x = b.node(op, [x, weight, bias_dq], "logits" if last else name, **attrs)
        facts.append({"layer": name, "input_scale_log2": int(exponents[i]),
                      "weight_scale_log2": [int(e_w.min()), int(e_w.max())],
                      "largest_partial_sum": bound})
        if not last:
            x = b.node("Relu", [x], name + ".relu")
            x = b.quantise_dequantise(x, exponents[i + 1], signed=False)
        if op == "Conv":
            x = b.node("MaxPool", [x], f"pool{i + 1}", kernel_shape=[2, 2], strides=[2, 2])
        top = 255
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    model = helper.make_model(
        helper.make_graph(b.nodes, NAME, [value("image", ["N", 1, 28, 28])],
                          [value("logits", ["N", 10])], b.init),
        opset_imports=[helper.make_opsetid("", 13)], ir_version=7,
        producer_name="assay tools/make_int8.py")
    common.set_metadata(model, range=[0.0, 1.0], layout="NCHW", labels=common.FASHION_LABELS)
    return model, facts


def check_exact(path, images):
    """float32 and float64 must give the same logits: with exact sums, precision cannot matter."""
    a = onnx_torch.logits_of(path, images, torch.float32)
    # The input's Sub and Div are rounded in float32 and so must be here too: the quantised input
    # is computed in float32, everything after it in float64.
    wide = onnx_torch.Graph(path, torch.float64)
    narrow = onnx_torch.Graph(path, torch.float32)
    first = next(n for n in wide.nodes if n.op_type == "DequantizeLinear")
    with torch.no_grad():
        out = []
        for i in range(0, len(images), 500):
            q = narrow.run(torch.from_numpy(images[i:i + 500]), [first.output[0]])
            values = {**wide.constants, first.output[0]: q[first.output[0]].double()}
            for node in wide.nodes[wide.nodes.index(first) + 1:]:
                args = [values[n] for n in node.input]
                values[node.output[0]] = getattr(wide, "op_" + node.op_type)(
                    args, onnx_torch._attrs(node))
            out.append(values[wide.output].numpy())
    same = np.array_equal(a.astype(np.float64), np.concatenate(out))
    if not same:
        raise ValueError("float32 and float64 evaluation differ: an accumulation is not exact")
    return a


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--fashion-dir", type=pathlib.Path, default=common.FASHION_DIR)
    args = p.parse_args()
    torch.set_num_threads(1)
    start = time.monotonic()
    _, _, images, labels = common.fashion_train(args.fashion_dir)
    graph = onnx_torch.Graph(common.MODELS / (SOURCE + ".onnx"), torch.float32)
    layers = folded_layers(graph)
    model, layer_facts = build(graph, layers, calibrate(graph, layers, images))
    path = common.save_onnx(model, NAME)
    logits = check_exact(path, images)
    facts = {"script": "tools/make_int8.py",
             "how": f"from {SOURCE}: QDQ, power-of-two scales calibrated on the 5,000 fit images, "
                    "no retraining",
             "fit_accuracy": round(float((logits.argmax(1) == labels).mean()), 6),
             "layers": layer_facts, "float32_equals_float64": True,
             "seconds": round(time.monotonic() - start, 1)}
    common.update_facts(NAME, "training", facts)
    print(NAME, facts)


if __name__ == "__main__":
    main()
