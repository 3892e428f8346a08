#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Golden values and gradients of spatial operators from PyTorch: writes spatial.bin beside this script.

The format is that of make_ops.py: for each case the line (length as u32), every input that the line does not give, the
output, the cotangent, the gradient of every float input that is not a constant; float32, computed in float64.
"""
import pathlib

import numpy as np
import torch
from torch.nn import functional as F

import make_ops

CASES = """
GridSample 16 | f:Nx2x5x6 f:Nx4x3x2
GridSample 16 align_corners=1 | f:Nx2x5x6 f:Nx4x3x2
GridSample 16 padding_mode=border | f:Nx2x5x6 f:Nx4x3x2
GridSample 16 padding_mode=reflection | f:Nx2x5x6 f:Nx4x3x2
GridSample 16 padding_mode=reflection align_corners=1 | f:Nx2x5x6 f:Nx4x3x2
GridSample 16 mode=bicubic | f:Nx2x5x6 f:Nx4x3x2
GridSample 16 mode=bicubic padding_mode=border align_corners=1 | f:Nx2x5x6 f:Nx4x3x2
GridSample 16 mode=bicubic padding_mode=reflection | f:Nx2x5x6 f:Nx4x3x2
GridSample 16 mode=nearest padding_mode=reflection | f:Nx2x5x6 f:Nx4x3x2
GridSample 20 mode=linear padding_mode=border | f:Nx2x4x5x6 f:Nx2x3x2x3
GridSample 20 mode=linear align_corners=1 padding_mode=reflection | f:Nx2x4x5x6 f:Nx2x3x2x3
AffineGrid 20 | f:Nx2x3 i64:4=3,2,4,5
AffineGrid 20 align_corners=1 | f:Nx3x4 i64:5=3,1,2,4,5
ConvTranspose 11 strides=2,2 pads=1,1,1,1 | f:Nx6x7x5 f:6x4x4x4 f:4
ConvTranspose 11 strides=2,3 pads=1,0,1,0 output_padding=1,2 group=2 | f:Nx6x7x5 f:6x4x3x2 f:8
ConvTranspose 11 dilations=2, strides=2, | f:Nx3x8 f:3x5x3 f:5
ConvTranspose 11 strides=1,2,1 pads=1,1,0,1,1,0 | f:Nx2x3x4x5 f:2x3x3x3x2 f:3
Resize 13 mode=linear coordinate_transformation_mode=pytorch_half_pixel | f:Nx2x5x6 - - i64:4=3,2,9,4
Resize 13 mode=linear coordinate_transformation_mode=align_corners | f:Nx2x5x6 - - i64:4=3,2,9,4
Resize 13 mode=cubic coordinate_transformation_mode=pytorch_half_pixel | f:Nx2x5x6 - - i64:4=3,2,9,4
Resize 13 mode=cubic coordinate_transformation_mode=align_corners | f:Nx2x5x6 - - i64:4=3,2,9,4
Resize 13 mode=linear coordinate_transformation_mode=pytorch_half_pixel | f:Nx2x3x4x5 - - i64:5=3,2,5,3,8
Resize 13 coordinate_transformation_mode=asymmetric nearest_mode=floor | f:Nx2x5x6 - - i64:4=3,2,9,4
Resize 18 mode=linear antialias=1 exclude_outside=1 | f:Nx2x11x12 - - i64:4=3,2,4,5
Resize 18 mode=cubic antialias=1 exclude_outside=1 cubic_coeff_a=-0.5 | f:Nx2x11x12 - - i64:4=3,2,4,5
LpPool 11 kernel_shape=3,2 strides=2,1 p=3 | f:Nx2x7x6
Col2Im 18 strides=2,1 dilations=1,2 pads=1,1,1,1 | f:Nx12x24 i64:2=6,6 i64:2=2,2
MaxPool 12 kernel_shape=3,3 pads=1,1,1,1 | f:Nx2x9x10
AveragePool 11 kernel_shape=3,3 pads=1,1,1,1 strides=2,1 | f:Nx2x9x10
"""


def grid_sample(t, a, _):
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(a.get("mode"), a.get("mode", "bilinear"))
    return F.grid_sample(t[0], t[1], mode, a.get("padding_mode", "zeros"), bool(a.get("align_corners", 0)))


def conv_transpose(t, a, _):
    n = t[0].ndim - 2
    pads = a.get("pads", [0] * 2 * n)
    assert pads[:n] == pads[n:]
    return (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[n - 1](
        t[0], t[1], t[2], a.get("strides", 1), pads[:n], a.get("output_padding", 0), a.get("group", 1),
        a.get("dilations", 1))


def resize(t, a, _):
    x, size = t[0], [int(v) for v in t[-1][2:]]
    align = a.get("coordinate_transformation_mode") == "align_corners"
    if "mode" not in a:
        return F.interpolate(x, size, mode="nearest")
    mode = {"cubic": "bicubic", "linear": {4: "bilinear", 5: "trilinear"}[x.ndim]}[a["mode"]]
    return F.interpolate(x, size, mode=mode, align_corners=align, antialias=bool(a.get("antialias", 0)))


def lp_pool(t, a, _):
    windows = F.unfold(t[0], a["kernel_shape"], stride=a["strides"])
    n, c, taps = t[0].shape[0], t[0].shape[1], int(np.prod(a["kernel_shape"]))
    out = [(s - k) // d + 1 for s, k, d in zip(t[0].shape[2:], a["kernel_shape"], a["strides"])]
    return (windows.reshape(n, c, taps, -1).abs() ** a["p"]).sum(2).pow(1 / a["p"]).reshape(n, c, *out)


def integers(v):
    return [int(x) for x in v]


OPS = dict(make_ops.OPS)
OPS.update({
    "GridSample": grid_sample, "ConvTranspose": conv_transpose, "Resize": resize, "LpPool": lp_pool,
    "AffineGrid": lambda t, a, o: F.affine_grid(t[0], integers(t[1]), bool(a.get("align_corners", 0))),
    "Col2Im": lambda t, a, o: F.fold(t[0], integers(t[1]), integers(t[2]), a["dilations"], a["pads"][:2],
                                     a["strides"]),
})


def main():
    rng = np.random.default_rng(20240611)
    with open(pathlib.Path(__file__).parent / "spatial.bin", "wb") as out:
        for line in CASES.strip().splitlines():
            op, opset, a, tokens = make_ops.parse(line)
            inputs = [make_ops.make_input(t, rng) for t in tokens if t != "-"]
            tensors = [torch.from_numpy(x.astype(np.float64)).requires_grad_(wanted) for x, _, wanted in inputs]
            y = OPS[op](tensors, a, opset)
            g = rng.normal(0, 1, tuple(y.shape)).astype(np.float32)
            grads = torch.autograd.grad(y, [t for t in tensors if t.requires_grad],
                                        torch.from_numpy(g.astype(np.float64)))
            out.write(len(line).to_bytes(4, "little") + line.encode())
            for x, given, _ in inputs:
                if not given:
                    out.write(np.ascontiguousarray(x).tobytes())
            for v in [y.detach().numpy(), g] + [v.numpy() for v in grads]:
                out.write(np.ascontiguousarray(v.astype(np.float32)).tobytes())


if __name__ == "__main__":
    main()
