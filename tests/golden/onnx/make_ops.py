#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Golden values of ONNX operators from PyTorch: writes ops.bin beside this script.

Each case is a line as tests/onnx/kernel_driver.h reads it (batch N = 3). Values are computed in
float64 on float32 inputs and stored in float32. The file is a sequence of
    u32 length of the line, the line,
    every input that the line does not give, as float32 (int8/uint8 as such), in order,
    the output (float32, or int8/uint8), the cotangent (float32),
    the gradient of every float input that is not a constant, and of int8/uint8 data (float32)
little-endian. QuantizeLinear's gradient is the straight-through one of torch.fake_quantize.
"""
import pathlib

import numpy as np
import torch
from torch.nn import functional as F

N = 3
CASES = """
Add 13 | f:Nx3x4 f:3x1
Sub 13 | f:Nx3x2x2 f:1x3x1x1
Mul 14 | f:Nx2x3 f:Nx1x3
Div 13 | f:Nx3x4 f:3x1p
Relu 14 | f:Nx2x4x4
LeakyRelu 16 alpha=0.3 | f:Nx16
Sigmoid 13 | f:Nx16
Tanh 13 | f:Nx16
Softmax 13 | f:Nx10
Softmax 13 axis=1 | f:Nx3x4
Softmax 11 axis=1 | f:Nx3x4
Transpose 13 perm=0,2,3,1 | f:Nx2x3x4
Concat 13 axis=1 | f:Nx2x3 f:Nx1x3
Flatten 13 | f:Nx2x3x2
Reshape 13 | f:Nx2x6 i64:2=0,-1
Identity 13 | f:Nx5
Dropout 13 | f:Nx5
BatchNormalization 15 epsilon=0.01 | f:Nx4x3x3 f:4 f:4 f:4 f:4p
BatchNormalization 9 | f:Nx4 f:4 f:4 f:4 f:4p
Gemm 13 alpha=0.5 beta=2.0 transB=1 | f:Nx37 f:18x37 f:18
Gemm 13 transB=1 | f:Nx576 f:16x576c f:16c
Gemm 7 transA=1 | f:5x4 f:5x6 f:6
MatMul 13 | f:Nx2x3x4 f:1x2x4x3
MatMul 13 | f:Nx300 f:300x9
MatMul 13 | f:Nx4x5 f:5
Conv 11 pads=1,1,1,1 | f:Nx2x9x9 f:16x2x3x3 f:16
Conv 11 pads=1,1,1,1 | f:Nx32x7x7 f:16x32x3x3c f:16c
Conv 11 strides=2,1 group=2 pads=2,0,1,1 | f:Nx4x9x8 f:6x2x3x2
Conv 11 dilations=2, pads=2,1 strides=2, | f:Nx3x17 f:5x3x3 f:5
Conv 11 dilations=1,2,1 pads=1,1,1,1,1,1 | f:Nx2x4x6x5 f:3x2x2x3x3 f:3
Conv 11 group=6 | f:Nx6x5x5 f:6x1x3x3 f:6
Conv 13 auto_pad=SAME_UPPER strides=2,2 | f:Nx2x7x8 f:3x2x3x4
Conv 13 auto_pad=SAME_LOWER strides=2,2 | f:Nx2x7x8 f:3x2x3x4
Conv 13 auto_pad=VALID strides=2,3 | f:Nx2x7x8 f:3x2x3x4
MaxPool 12 kernel_shape=2,2 strides=2,2 | f:Nx3x9x8
MaxPool 12 kernel_shape=3,3 strides=2,2 pads=1,1,1,1 | f:Nx2x8x9
MaxPool 12 kernel_shape=3,2 strides=2,2 ceil_mode=1 dilations=1,2 | f:Nx2x8x9
MaxPool 12 kernel_shape=2,2,2 strides=1,2,2 | f:Nx1x4x5x6
MaxPool 12 kernel_shape=3, auto_pad=SAME_UPPER strides=2, | f:Nx2x10
AveragePool 11 kernel_shape=2,2 strides=2,2 | f:Nx3x9x8
AveragePool 11 kernel_shape=3,3 strides=2,2 pads=1,1,1,1 | f:Nx2x8x9
AveragePool 11 kernel_shape=3,3 strides=2,2 pads=1,1,1,1 count_include_pad=1 | f:Nx2x8x9
AveragePool 11 kernel_shape=3,3 strides=2,2 pads=1,1,1,1 ceil_mode=1 | f:Nx2x8x8
AveragePool 11 kernel_shape=3,3 strides=2,2 pads=1,1,1,1 ceil_mode=1 count_include_pad=1 | f:Nx2x8x8
AveragePool 11 kernel_shape=2,2,2 | f:Nx1x4x3x3
GlobalAveragePool 1 | f:Nx3x4x5
QuantizeLinear 10 | f:Nx40 s:1=0.0078125 i8:1=3
QuantizeLinear 13 | f:Nx40 s:1=0.0078125 u8:1=128
QuantizeLinear 13 axis=1 | f:Nx3x8 s:3=0.0078125,0.015625,0.00390625 i8:3=0,0,0
DequantizeLinear 10 | i8:Nx40 s:1=0.0625 i8:1=3
DequantizeLinear 13 axis=1 | u8:Nx3x8 s:3=0.5,0.1,0.03 u8:3=128,7,0
"""


def parse(line):
    head, _, tail = line.partition("|")
    op, opset, *attrs = head.split()
    parsed = {}
    for a in attrs:
        k, v = a.split("=")
        if "," in v:
            parsed[k] = [int(x) for x in v.split(",") if x]
        elif v[0].isalpha():
            parsed[k] = v
        else:
            parsed[k] = float(v) if "." in v else int(v)
    return op, int(opset), parsed, tail.split()


NUMPY = {"f": np.float32, "s": np.float32, "i8": np.int8, "u8": np.uint8, "i64": np.int64}


def make_input(token, rng):
    """(array, given in the line, wants a gradient)"""
    kind, _, rest = token.partition(":")
    shape, _, values = rest.partition("=")
    const, positive = shape.endswith("c"), shape.endswith("p")
    dims = [N if d == "N" else int(d) for d in shape.rstrip("cp").split("x") if d]
    if values:
        return np.array([float(v) for v in values.split(",")]).astype(NUMPY[kind]).reshape(dims), True, False
    if kind in ("i8", "u8"):
        info = np.iinfo(NUMPY[kind])
        return rng.integers(info.min, info.max, dims, NUMPY[kind], endpoint=True), False, True
    x = rng.uniform(0.25, 2.25, dims) if positive else rng.normal(0, 1, dims)
    return x.astype(np.float32), False, kind == "f" and not const


def spatial_pads(x, kernel, a):
    """[(lo, hi)] of each spatial dimension, as the ONNX specification has auto_pad."""
    n = len(kernel)
    auto, strides = a.get("auto_pad", "NOTSET"), a.get("strides", [1] * n)
    if auto == "NOTSET":
        p = a.get("pads", [0] * 2 * n)
        return list(zip(p[:n], p[n:]))
    if auto == "VALID":
        return [(0, 0)] * n
    pads = []
    for size, k, s in zip(x.shape[2:], kernel, strides):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        pads.append((total // 2, total - total // 2) if auto == "SAME_UPPER" else (total - total // 2, total // 2))
    return pads


def pad(x, pads, value):
    return F.pad(x, [v for p in reversed(pads) for v in p], value=value)


def conv(args, a, _):
    x, w, b = (args + [None])[:3]
    x = pad(x, spatial_pads(x, w.shape[2:], a), 0.0)
    n = x.ndim - 2
    return (F.conv1d, F.conv2d, F.conv3d)[n - 1](x, w, b, a.get("strides", 1), 0, a.get("dilations", 1),
                                                 a.get("group", 1))


def max_pool(args, a, _):
    k, n = a["kernel_shape"], len(a["kernel_shape"])
    x = pad(args[0], spatial_pads(args[0], k, a), -float("inf"))
    return (F.max_pool1d, F.max_pool2d, F.max_pool3d)[n - 1](
        x, k, a.get("strides", [1] * n), 0, a.get("dilations", 1), bool(a.get("ceil_mode", 0)))


def average_pool(args, a, _):
    k, n = a["kernel_shape"], len(a["kernel_shape"])
    pads = spatial_pads(args[0], k, a)
    assert all(lo == hi for lo, hi in pads)
    return (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[n - 1](
        args[0], k, a.get("strides", [1] * n), [lo for lo, _ in pads], bool(a.get("ceil_mode", 0)),
        bool(a.get("count_include_pad", 0)))


def gemm(args, a, _):
    x, w, b = args
    x, w = (x.T if a.get("transA") else x), (w.T if a.get("transB") else w)
    return a.get("alpha", 1.0) * (x @ w) + a.get("beta", 1.0) * b


def batch_normalization(args, a, _):
    x, gamma, beta, mean, var = args
    # F.batch_norm gives no gradient of running statistics
    s = lambda v: v.reshape([1, -1] + [1] * (x.ndim - 2))
    return (x - s(mean)) / torch.sqrt(s(var) + a.get("epsilon", float(np.float32(1e-5)))) * s(gamma) + s(beta)


def softmax(args, a, opset):
    x = args[0]
    if opset >= 13:
        return F.softmax(x, a.get("axis", -1))
    return F.softmax(x.flatten(a.get("axis", 1)), -1).reshape(x.shape)


def dequantize(args, a, _):
    q, scale, zero = args
    s = lambda v: v if v.numel() == 1 else v.reshape([-1 if i == a["axis"] else 1 for i in range(q.ndim)])
    return (q - s(zero)) * s(scale)


OPS = {
    "Add": lambda t, a, o: t[0] + t[1], "Sub": lambda t, a, o: t[0] - t[1], "Mul": lambda t, a, o: t[0] * t[1],
    "Div": lambda t, a, o: t[0] / t[1], "Relu": lambda t, a, o: F.relu(t[0]),
    "LeakyRelu": lambda t, a, o: F.leaky_relu(t[0], float(np.float32(a["alpha"]))),
    "Sigmoid": lambda t, a, o: torch.sigmoid(t[0]), "Tanh": lambda t, a, o: torch.tanh(t[0]),
    "Softmax": softmax, "Transpose": lambda t, a, o: t[0].permute(a["perm"]),
    "Concat": lambda t, a, o: torch.cat(t, a["axis"]), "Flatten": lambda t, a, o: t[0].flatten(1),
    "Reshape": lambda t, a, o: t[0].reshape(t[0].shape[0], -1), "Identity": lambda t, a, o: t[0] * 1,
    "Dropout": lambda t, a, o: F.dropout(t[0], training=False) * 1, "BatchNormalization": batch_normalization,
    "Gemm": gemm, "MatMul": lambda t, a, o: t[0] @ t[1], "Conv": conv, "MaxPool": max_pool,
    "AveragePool": average_pool, "GlobalAveragePool": lambda t, a, o: t[0].mean(list(range(2, t[0].ndim)), True),
    "DequantizeLinear": dequantize,
}


def quantize(arrays, a, cotangent):
    """Output by torch.quantize_*, slope by the autograd of torch.fake_quantize_*; both in float32."""
    x, scale, zero = arrays
    info = np.iinfo(zero.dtype)
    t, s = torch.from_numpy(x).requires_grad_(True), torch.from_numpy(scale)
    z = torch.from_numpy(zero.astype(np.int32))
    kind = torch.qint8 if zero.dtype == np.int8 else torch.quint8
    if s.numel() == 1:
        q = torch.quantize_per_tensor(t.detach(), float(s), int(z), kind)
        y = torch.fake_quantize_per_tensor_affine(t, float(s), int(z), int(info.min), int(info.max))
        shaped = s
    else:
        q = torch.quantize_per_channel(t.detach(), s, z, a["axis"], kind)
        y = torch.fake_quantize_per_channel_affine(t, s, z, a["axis"], int(info.min), int(info.max))
        shaped = s.reshape([-1 if i == a["axis"] else 1 for i in range(x.ndim)])
    g = torch.from_numpy(cotangent(tuple(x.shape)))
    slope, = torch.autograd.grad(y, t, torch.ones_like(y))
    return q.int_repr().numpy(), g.numpy(), [(slope * g / shaped).numpy()]


def evaluate(op, opset, a, inputs, cotangent):
    arrays = [x for x, _, _ in inputs]
    if op == "QuantizeLinear":
        return quantize(arrays, a, cotangent)
    tensors = [torch.from_numpy(x.astype(np.float64)).requires_grad_(wanted) for x, _, wanted in inputs]
    y = OPS[op](tensors if op != "Reshape" else tensors[:1], a, opset)
    g = cotangent(tuple(y.shape))
    grads = torch.autograd.grad(y, [t for t in tensors if t.requires_grad], torch.from_numpy(g.astype(np.float64)))
    return y.detach().numpy().astype(np.float32), g, [v.numpy().astype(np.float32) for v in grads]


def main():
    rng = np.random.default_rng(20240607)
    with open(pathlib.Path(__file__).parent / "ops.bin", "wb") as out:
        for line in CASES.strip().splitlines():
            op, opset, a, tokens = parse(line)
            inputs = [make_input(t, rng) for t in tokens]
            y, g, grads = evaluate(op, opset, a, inputs,
                                   lambda shape: rng.normal(0, 1, shape).astype(np.float32))
            out.write(len(line).to_bytes(4, "little") + line.encode())
            for x, given, _ in inputs:
                if not given:
                    out.write(np.ascontiguousarray(x).tobytes())
            for v in [y, g] + grads:
                out.write(np.ascontiguousarray(v).tobytes())


if __name__ == "__main__":
    main()
