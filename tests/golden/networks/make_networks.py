#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Small networks and what PyTorch says about them; writes beside this script, for every network NAME,
    NAME.onnx           torch.onnx.export in evaluation mode, dynamic batch, random weights
    NAME.input.npy      (4, ...) float32
    NAME.logits.npy     (4, classes) float64 evaluation, stored in float32
    NAME.cotangent.npy  (4, classes) float32
    NAME.gradient.npy   (4, ...) gradient of sum(cotangent * logits) to the input, float64 stored in float32
Networks with a kink are evaluated at inputs whose pre-activations stay away from it (see `near_a_kink`).
"""
import pathlib
import warnings

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent
N = 4
MODE = torch.onnx.TrainingMode
MARGIN = 1e-4  # of pre-activations and window maxima from a kink: float32 must be on the same side


class Cnn(nn.Sequential):
    shape = (1, 12, 12)

    def __init__(self):
        super().__init__(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(),
                         nn.AvgPool2d(2), nn.Flatten(), nn.Linear(32, 16), nn.LeakyReLU(0.1), nn.Linear(16, 5))


class Residual(nn.Module):
    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU(),
                               nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False), nn.BatchNorm2d(c_out))
        self.skip = nn.Identity() if stride == 1 else nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False),
                                                                    nn.BatchNorm2d(c_out))
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.a(x) + self.skip(x))


class ResNet(nn.Sequential):
    shape = (3, 12, 12)

    def __init__(self):
        super().__init__(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), Residual(6, 6, 1),
                         Residual(6, 10, 2), Residual(10, 12, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(12, 5))


class Inverted(nn.Module):
    """Expand, depthwise, project (MobileNetV2)."""

    def __init__(self, c_in, c_out, stride):
        super().__init__()
        mid = 4 * c_in
        self.same = stride == 1 and c_in == c_out
        self.body = nn.Sequential(nn.Conv2d(c_in, mid, 1, bias=False), nn.BatchNorm2d(mid), nn.ReLU6(),
                                  nn.Conv2d(mid, mid, 3, stride, 1, groups=mid, bias=False), nn.BatchNorm2d(mid),
                                  nn.ReLU6(), nn.Conv2d(mid, c_out, 1, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x):
        return x + self.body(x) if self.same else self.body(x)


class MobileNet(nn.Sequential):
    shape = (3, 12, 12)

    def __init__(self):
        super().__init__(nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU6(), Inverted(6, 6, 1),
                         Inverted(6, 10, 2), nn.Conv2d(10, 16, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5))


class Recurrent(nn.Module):
    """Two layers over a sequence of 6; the last step and the mean over the steps are classified."""
    shape = (6, 5)

    def __init__(self, kind, **options):
        super().__init__()
        self.layers = getattr(nn, kind)(5, 8, num_layers=2, batch_first=True, **options)
        self.head = nn.Linear(8 * (2 if options.get("bidirectional") else 1), 4)

    def forward(self, x):
        y, _ = self.layers(x)
        return self.head(y[:, -1] + y.mean(1))


class LastState(nn.Module):
    """What is left in the state after the last step."""
    shape = (6, 5)

    def __init__(self):
        super().__init__()
        self.layers = nn.LSTM(5, 8, batch_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        _, (h, c) = self.layers(x)
        return self.head(torch.cat([h[-1], c[-1]], 1))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        n, length, width = x.shape
        q, k, v = self.qkv(x).reshape(n, length, 3, self.heads, self.size).permute(2, 0, 3, 1, 4).unbind(0)
        a = torch.softmax(q @ k.transpose(-2, -1) / self.size ** 0.5, -1)
        return self.out((a @ v).transpose(1, 2).reshape(n, length, width))


class Encoder(nn.Module):
    """One block: `first` normalises before (ViT), else after the residual (BERT)."""

    def __init__(self, width, heads, first):
        super().__init__()
        self.first = first
        self.attention, self.a, self.b = Attention(width, heads), nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x):
        if self.first:
            x = x + self.attention(self.a(x))
            return x + self.mlp(self.b(x))
        x = self.a(x + self.attention(x))
        return self.b(x + self.mlp(x))


class Vit(nn.Module):
    shape = (3, 12, 12)

    def __init__(self):
        super().__init__()
        width = 16
        self.patch = nn.Conv2d(3, width, 4, 4)
        self.token, self.place = nn.Parameter(torch.randn(1, 1, width)), nn.Parameter(torch.randn(1, 10, width))
        self.blocks = nn.Sequential(Encoder(width, 2, True), Encoder(width, 2, True))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 5)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
        return self.head(self.norm(self.blocks(x))[:, 0])


class Bert(nn.Module):
    """On float features instead of word indices; pooled by tanh of the first position."""
    shape = (7, 6)

    def __init__(self):
        super().__init__()
        width = 16
        self.embed, self.place = nn.Linear(6, width), nn.Parameter(torch.randn(1, 7, width))
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.Sequential(Encoder(width, 4, False), Encoder(width, 4, False))
        self.pool, self.head = nn.Linear(width, width), nn.Linear(width, 4)

    def forward(self, x):
        x = self.blocks(self.norm(self.embed(x) + self.place))
        return self.head(torch.tanh(self.pool(x[:, 0])))


class EinsumAttention(nn.Module):
    """Attention as einsum spells it, in other layouts than MatMul's."""
    shape = (7, 6)

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Parameter(torch.randn(6, 2, 5) / 2) for _ in range(3))
        self.head = nn.Linear(10, 4)

    def forward(self, x):
        q, k, v = (torch.einsum("nti,ihd->nthd", x, w) for w in (self.q, self.k, self.v))
        a = torch.softmax(torch.einsum("nqhd,nkhd->nhqk", q, k), -1)
        return self.head(torch.einsum("nhqk,nkhd->nqhd", a, v).flatten(2).mean(1))


NETWORKS = [
    ("cnn", Cnn, 13), ("resnet", ResNet, 13), ("mobilenet", MobileNet, 14),
    ("lstm", lambda: Recurrent("LSTM"), 14), ("lstm-state", LastState, 14),
    ("gru", lambda: Recurrent("GRU", bidirectional=True), 14),
    ("vit-13", Vit, 13), ("vit-17", Vit, 17), ("bert-13", Bert, 13), ("bert-17", Bert, 17),
    ("einsum", EinsumAttention, 13),
]


def randomise_statistics(model):
    """BatchNorm as after training: not the identity."""
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.running_mean.normal_(0, 0.2)
            m.running_var.uniform_(0.5, 1.5)
            m.weight.data.uniform_(0.7, 1.3)
            m.bias.data.normal_(0, 0.2)


KINKS = {nn.ReLU: [0.0], nn.LeakyReLU: [0.0], nn.ReLU6: [0.0, 6.0], nn.Hardswish: [-3.0, 3.0]}


def near_a_kink(model, x):
    """Is an example's gradient not the same in float32 and float64? Per example."""
    bad = torch.zeros(len(x), dtype=torch.bool)

    def look(module, args):
        v = args[0].flatten(1)
        for k in KINKS.get(type(module), []):
            bad.logical_or_(((v - k).abs() < MARGIN).any(1))
        if isinstance(module, nn.MaxPool2d):
            w = F.unfold(args[0].reshape(-1, 1, *args[0].shape[2:]), 2, stride=2).topk(2, 1).values
            close = (w[:, 0] - w[:, 1] < MARGIN) & (w[:, 0] > 0)  # zeros are dead behind the ReLU
            bad.logical_or_(close.reshape(len(x), -1).any(1))
    hooks = [m.register_forward_pre_hook(look) for m in model.modules()]
    with torch.no_grad():
        model(x)
    for h in hooks:
        h.remove()
    return bad


def make(name, build, opset, seed):
    torch.manual_seed(seed)
    model = build().eval()
    shape = getattr(build, "shape", None) or model.shape
    randomise_statistics(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, torch.randn(2, *shape), str(HERE / f"{name}.onnx"), opset_version=opset,
                          input_names=["x"], output_names=["logits"],
                          # else BatchNorm is folded into the convolutions, as mobilenet has it
                          training=MODE.PRESERVE if name == "resnet" else MODE.EVAL,
                          dynamic_axes={"x": {0: "n"}, "logits": {0: "n"}}, keep_initializers_as_inputs=False)
    model = model.double()
    pool = torch.randn(400, *shape)
    x = pool[~near_a_kink(model, pool.double())][:N].contiguous()
    assert len(x) == N, name
    t = x.double().requires_grad_(True)
    y = model(t)
    c = torch.randn(y.shape)
    g, = torch.autograd.grad(y, t, c.double())
    for kind, v in (("input", x), ("logits", y), ("cotangent", c), ("gradient", g)):
        np.save(HERE / f"{name}.{kind}.npy", v.detach().numpy().astype(np.float32))


def main():
    for i, (name, build, opset) in enumerate(NETWORKS):
        make(name, build, opset, 20240700 + i)


if __name__ == "__main__":
    main()
