# SPDX-License-Identifier: Apache-2.0
"""The peer: PyTorch's forward pass and forward + vjp with respect to the input, of the networks of
tools/make_bench_models.py with the same weights. Eval mode, eager, parameters without gradients.

Rows as in bench/timing.h. With --check DIR: compares with the outputs and gradients that bench_onnx -d has written.
"""
import argparse
import pathlib
import statistics
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import torch  # noqa: E402
import make_bench_models as networks  # noqa: E402

CHECKED = 32
MIN_RUNS = 5
# Of |theirs - ours| / |theirs|. A pre-activation that rounds to the other side of a rectifier's kink changes a gradient
# by more than rounding: PyTorch's own float32 and float64 gradients of the deep networks differ by up to 6e-3.
LIMIT = {"predict": 1e-3, "vjp": 2e-2}


def load(name, folder):
    _, make, shape = networks.NETWORKS[name]
    net = make()
    net.load_state_dict(torch.load(folder / f"{name}.pt"))
    return net.eval().requires_grad_(False), shape


def predict(net, x, _):
    with torch.no_grad():
        return net(x)


def vjp(net, x, cotangent):
    leaf = x.detach().requires_grad_(True)
    return torch.autograd.grad(net(leaf), leaf, cotangent)[0]


def measure(work, budget, now):
    """(median, best) seconds: as bench/timing.h does."""
    work()
    seconds, start = [], now()
    while True:
        t0 = now()
        work()
        t1 = now()
        seconds.append(t1 - t0)
        total = t1 - start
        if total >= budget and (len(seconds) >= MIN_RUNS or total >= 3 * budget):
            return statistics.median(seconds), min(seconds)


def floats(folder, name, suffix, shape):
    return torch.from_numpy(np.fromfile(folder / f"{name}.{suffix}", np.float32).reshape(shape))


def check(net, name, folder, shape):
    try:
        x = floats(folder, name, "x.f32", (CHECKED, *shape))
        c = floats(folder, name, "c.f32", (CHECKED, -1))
        pairs = [("predict", predict, floats(folder, name, "y.f32", (CHECKED, -1))),
                 ("vjp", vjp, floats(folder, name, "g.f32", (CHECKED, *shape)))]
    except FileNotFoundError:
        return
    for what, work, ours in pairs:
        theirs = work(net, x, c)
        residual = float((ours - theirs).norm() / theirs.norm())
        print(f"check torch {name} {what} {residual:.2e} {'ok' if residual < LIMIT[what] else 'DIFFERS'}")


def macs_of(path):
    lines = path.read_text().splitlines() if path else []
    return {f[1]: float(f[2]) for f in map(str.split, lines) if f[:1] == ["macs"]}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("networks", nargs="*")
    p.add_argument("-b", default="1,32,128", help="batch sizes")
    p.add_argument("-t", type=int, default=1, help="threads")
    p.add_argument("-s", type=float, default=0.3, help="seconds of one measurement")
    p.add_argument("-c", action="store_true", help="processor time")
    p.add_argument("--models", type=pathlib.Path, default=networks.OUT)
    p.add_argument("--rows", type=pathlib.Path, help="a file with the `macs` lines of bench_onnx")
    p.add_argument("--check", type=pathlib.Path, help="folder that bench_onnx -d has written to")
    p.add_argument("--version", action="store_true", help="what this PyTorch computes with, and nothing else")
    a = p.parse_args()
    torch.set_num_threads(a.t)
    now = time.process_time if a.c else time.perf_counter
    if a.version:
        words = ("MKL-DNN", "CPU capability", "BLAS_INFO", "OpenMP")
        lines = [part.strip(" -") for line in torch.__config__.show().splitlines()
                 for part in (line.split(", ") if "BLAS_INFO" in line else [line])]
        shown = [l.replace("Build settings: ", "") for l in lines if any(w in l for w in words) and "FLAGS" not in l]
        print(f"# torch {torch.__version__}: " + "; ".join(shown))
        return
    macs = macs_of(a.rows)
    for name in a.networks:
        net, shape = load(name, a.models)
        if a.check:
            check(net, name, a.check, shape)
        for batch in map(int, a.b.split(",")):
            generator = torch.Generator().manual_seed(1)
            x = torch.rand(batch, *shape, generator=generator)
            c = torch.rand(predict(net, x, None).shape, generator=generator)
            for what, work, passes in (("predict", predict, 1), ("vjp", vjp, 2)):
                median, best = measure(lambda: work(net, x, c), a.s, now)
                rate = batch / median
                gflops = rate * 2 * macs.get(name, 0) * passes / 1e9
                print(f"row torch {name} {what} {batch} {a.t} {rate:.1f} {batch / best:.1f} {gflops:.2f}", flush=True)


if __name__ == "__main__":
    main()
