# SPDX-License-Identifier: Apache-2.0
"""A small, independent evaluator of ONNX graphs on torch operations.

It reads the .onnx file and nothing else, so what it computes describes the file and not the
training script's network. In float64 it is the reference for the golden files; autograd through it
gives the reference gradients. Operators: only those that the example models use.
"""
import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch.nn import functional as F

import common


def _attrs(node):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def _axis_shape(v, x, axis):
    """A per-axis vector shaped to broadcast against x; scalars as they are."""
    return v.reshape([-1 if i == axis else 1 for i in range(x.ndim)]) if v.ndim == 1 else v


class Graph:
    def __init__(self, path, dtype=torch.float64):
        self.model = onnx.load(str(path))
        self.meta = common.get_metadata(self.model)
        self.dtype = dtype
        self.nodes = list(self.model.graph.node)
        self.constants = {t.name: self._tensor(t) for t in self.model.graph.initializer}
        self.input = self.model.graph.input[0].name
        self.output = self.model.graph.output[0].name

    def _tensor(self, proto):
        t = torch.from_numpy(np.array(numpy_helper.to_array(proto)))
        return t.to(self.dtype) if t.dtype == torch.float32 else t

    def run(self, raw, wanted=None):
        """Raw input (torch tensor, any float type) -> {name: value} of the wanted outputs.

        The normalisation of the metadata is applied first, in the type of the input: give float32
        input for the plug-in's exact rounding, float64 for smooth gradients.
        """
        values = dict(self.constants)
        values[self.input] = common.normalise(raw, self.meta).to(self.dtype)
        for node in self.nodes:
            args = [values[n] if n else None for n in node.input]
            values[node.output[0]] = getattr(self, "op_" + node.op_type)(args, _attrs(node))
        return {n: values[n] for n in (wanted or [self.output])}

    def before_softmax(self):
        """Name of the logits: the input of a trailing Softmax, or the output itself."""
        last = self.nodes[-1]
        return last.input[0] if last.op_type == "Softmax" else self.output

    def logits(self, raw):
        name = self.before_softmax()
        return self.run(raw, [name])[name]

    # ---- operators ------------------------------------------------------------------------------

    def op_Constant(self, args, a):
        return self._tensor(a["value"])

    def op_Identity(self, args, a):
        return args[0]

    def op_Conv(self, args, a):
        x, w, b = (args + [None])[:3]
        p = a.get("pads", [0] * 4)
        return F.conv2d(F.pad(x, (p[1], p[3], p[0], p[2])), w, b, a.get("strides", 1),
                        0, a.get("dilations", 1), a.get("group", 1))

    def op_BatchNormalization(self, args, a):
        x, gamma, beta, mean, var = args
        s = lambda v: _axis_shape(v, x, 1)
        return s(gamma) * (x - s(mean)) / torch.sqrt(s(var) + a.get("epsilon", 1e-5)) + s(beta)

    def op_Relu(self, args, a):
        return args[0].relu()

    def op_MaxPool(self, args, a):
        if any(a.get("pads", [0])) or a.get("ceil_mode", 0):
            raise NotImplementedError("MaxPool with padding or ceil_mode")
        return F.max_pool2d(args[0], a["kernel_shape"], a.get("strides", 1))

    def op_Flatten(self, args, a):
        return args[0].flatten(a.get("axis", 1))

    def op_Reshape(self, args, a):
        return args[0].reshape(args[1].tolist())

    def op_Gemm(self, args, a):
        x, w, b = args
        if a.get("alpha", 1.0) != 1.0 or a.get("beta", 1.0) != 1.0 or a.get("transA", 0):
            raise NotImplementedError("Gemm with alpha, beta or transA")
        return x @ (w.T if a.get("transB", 0) else w) + b

    def op_Sub(self, args, a):
        return args[0] - args[1]

    def op_Div(self, args, a):
        return args[0] / args[1]

    def op_Softmax(self, args, a):
        return torch.softmax(args[0], a.get("axis", -1))

    def op_QuantizeLinear(self, args, a):
        x, scale, zero = args
        info = torch.iinfo(zero.dtype)
        axis = a.get("axis", 1)
        q = torch.round(x / _axis_shape(scale, x, axis)) + _axis_shape(zero, x, axis)
        return q.clamp(info.min, info.max).to(zero.dtype)

    def op_DequantizeLinear(self, args, a):
        q, scale, zero = (args + [None])[:3]
        axis = a.get("axis", 1)
        v = q.to(self.dtype)
        if zero is not None:
            v = v - _axis_shape(zero, q, axis).to(self.dtype)
        return v * _axis_shape(scale, q, axis)


def logits_of(path, raw, dtype=torch.float64, batch=500):
    """Logits (before any trailing softmax) of a numpy batch of raw inputs, as numpy `dtype`."""
    g = Graph(path, dtype)
    with torch.no_grad():
        return np.concatenate([g.logits(torch.from_numpy(raw[i:i + batch])).numpy()
                               for i in range(0, len(raw), batch)])
