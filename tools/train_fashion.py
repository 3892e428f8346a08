#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Train the Fashion-MNIST models: train_fashion.py [NAME ...], NAME among cnn-fp32 cnn-pruned
cnn-robust mlp; all of them without arguments. cnn-pruned and cnn-robust start from cnn-fp32.

Training uses the first 55,000 images of the train file; the last 5,000 ("fit" images) serve every
choice. The test file is not opened here (measure.py does that, once everything is fixed).
Checkpoints go to --work, the models to examples/models/fashion-NAME.onnx.
"""
import argparse
import copy
import os
import pathlib
import time

# One thread, so that the order of sums does not depend on the machine. Set before torch loads:
# torch.set_num_threads() does not reach the thread that runs the backward pass.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional as F

import common

SEED = 20240607
BATCH = 256
ADV_EPS = 0.05        # Linf radius in raw [0,1] units
ADV_TRAIN_STEPS = 5
ADV_EVAL_STEPS = 20
ADV_EVAL_IMAGES = 1000
SPARSITY = 0.8


# ---- networks -----------------------------------------------------------------------------------
# All of them take normalised images; raw input is normalised outside (metadata), see Normalise.

class Cnn(nn.Sequential):
    """Three 3x3 convolutions and two dense layers: 1.96 million multiply-accumulates per image.

    No average pooling: with power-of-two scales, maxima and matrix products stay exact in int8.
    The last pooling takes 7x7 to 3x3, so a row and a column are dropped as ONNX's floor mode says.
    """
    def __init__(self):
        layers = []
        for a, b in ((1, 16), (16, 32), (32, 64)):
            # No convolution bias: the batch normalisation that follows would cancel it.
            layers += [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(),
                       nn.MaxPool2d(2)]
        super().__init__(*layers, nn.Flatten(), nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10))


class Mlp(nn.Module):
    """784-128-64-10. reshape (not Flatten), so that the exported graph has a Reshape node."""
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(784, 128), nn.Linear(128, 64), nn.Linear(64, 10)

    def forward(self, x):
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.reshape(-1, 784))))))


class Normalise(nn.Module):
    """Raw [0,1] images to network inputs, as the plug-in will do from the metadata."""
    def __init__(self, mean, std):
        super().__init__()
        self.mean, self.std = float(mean), float(std)

    def forward(self, x):
        return (x - self.mean) / self.std


# ---- training -----------------------------------------------------------------------------------

def augment(x, rng):
    """Mirror half of the images and shift every image by up to 2 pixels, zeros shifted in."""
    n = len(x)
    x = torch.where(torch.rand(n, 1, 1, 1, generator=rng) < 0.5, x.flip(3), x)
    padded = F.pad(x, (2, 2, 2, 2))
    dy, dx = (torch.randint(0, 5, (n, 1), generator=rng) for _ in range(2))
    rows, cols = dy + torch.arange(28), dx + torch.arange(28)
    return padded[torch.arange(n)[:, None, None], 0, rows[:, :, None], cols[:, None, :]][:, None]


def pgd(net, x, y, eps, steps, step_size, rng):
    """Linf PGD with one random start; gradients with respect to raw images, box [0,1] kept."""
    lo, hi = (x - eps).clamp(min=0), (x + eps).clamp(max=1)
    adv = torch.maximum(torch.minimum(
        x + eps * (2 * torch.rand(x.shape, generator=rng) - 1), hi), lo)
    for _ in range(steps):
        adv.requires_grad_(True)
        g, = torch.autograd.grad(F.cross_entropy(net(adv), y), adv)
        adv = torch.maximum(torch.minimum(adv.detach() + step_size * g.sign(), hi), lo)
    return adv


def train(net, x, y, epochs, lr, rng, before_step=lambda net, xb, yb: xb, after_step=None,
          augmented=True, decay=5e-4, smoothing=0.0):
    """AdamW under a one-cycle schedule. `before_step` may replace the batch, `after_step` may
    repair the weights (keep pruned ones at zero)."""
    opt = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=decay)
    n_steps = epochs * (len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(opt, lr, total_steps=n_steps, pct_start=0.25)
    for epoch in range(epochs):
        start, total = time.monotonic(), 0.0
        order = torch.randperm(len(x), generator=rng)
        for i in range(0, len(x) - BATCH + 1, BATCH):
            rows = order[i:i + BATCH]
            xb = augment(x[rows], rng) if augmented else x[rows]
            xb = before_step(net, xb, y[rows])
            net.train()
            opt.zero_grad()
            loss = F.cross_entropy(net(xb), y[rows], label_smoothing=smoothing)
            loss.backward()
            opt.step()
            schedule.step()
            if after_step is not None:
                after_step(net)
            total += loss.item()
        print(f"  epoch {epoch + 1}: loss {total / (len(x) // BATCH):.4f} "
              f"({time.monotonic() - start:.0f} s)", flush=True)
    return net.eval()


def accuracy(net, x, y):
    with torch.no_grad():
        return float(np.mean([(net(x[i:i + 500]).argmax(1) == y[i:i + 500]).float().mean().item()
                              for i in range(0, len(x), 500)]))


def robust_accuracy(net, x, y):
    """Accuracy under PGD-20 on the first 1,000 fit images."""
    rng = torch.Generator().manual_seed(SEED)
    x, y = x[:ADV_EVAL_IMAGES], y[:ADV_EVAL_IMAGES]
    adv = pgd(net, x, y, ADV_EPS, ADV_EVAL_STEPS, ADV_EPS / 8, rng)
    return accuracy(net, adv, y)


# ---- pruning ------------------------------------------------------------------------------------

def prunable(net):
    return [m.weight for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]


def magnitude_masks(net, sparsity):
    """Zero the share `sparsity` of all weights, ranked by magnitude within their layer: LAMP, the
    square of a weight over the sum of squares of those not smaller (Lee et al. 2021). A common
    threshold would empty the dense layer; the same share everywhere ruins the first convolution."""
    scores = []
    for w in prunable(net):
        square = w.detach().double().flatten() ** 2
        value, order = square.sort()
        remaining = value.flip(0).cumsum(0).flip(0)
        score = torch.empty_like(square)
        score[order] = value / remaining.clamp(min=1e-300)  # a layer's zeros score 0
        scores.append(score)
    every = torch.cat(scores)
    threshold = every.sort().values[int(round(sparsity * len(every))) - 1]
    return [(s > threshold).float().view_as(w) for s, w in zip(scores, prunable(net))]


def apply_masks(net, masks):
    with torch.no_grad():
        for w, mask in zip(prunable(net), masks):
            w.mul_(mask)
            w[mask == 0] = 0.0  # a multiplied negative weight would leave -0.0


def fold_batchnorm(net):
    """The same function without BatchNorm2d; zeros stay zeros (a channel is only rescaled)."""
    layers, out = list(net), []
    for i, layer in enumerate(layers):
        if isinstance(layer, nn.BatchNorm2d):
            continue
        if i + 1 < len(layers) and isinstance(layers[i + 1], nn.BatchNorm2d):
            bn = layers[i + 1]
            factor = (bn.weight.double() / torch.sqrt(bn.running_var.double() + bn.eps))
            conv = nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1)
            conv.weight.data = (layer.weight.double() * factor[:, None, None, None]).float()
            conv.bias.data = (bn.bias.double() - bn.running_mean.double() * factor).float()
            with torch.no_grad():
                conv.weight[conv.weight == 0] = 0.0  # no -0.0 from a negative factor
            layer = conv
        out.append(layer)
    return nn.Sequential(*copy.deepcopy(out)).eval()


# ---- export -------------------------------------------------------------------------------------

def export(net, name, mean, std, dynamic, keep_batchnorm):
    """Through torch's own exporter, so that the files look like those users have."""
    path = common.MODELS / (name + ".onnx")
    mode = torch.onnx.TrainingMode
    torch.onnx.export(
        net, torch.zeros(1, 1, 28, 28), str(path), opset_version=13,
        input_names=["image"], output_names=["logits"],
        dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}} if dynamic else None,
        # PRESERVE keeps BatchNormalization (in inference form) as a node of its own.
        training=mode.PRESERVE if keep_batchnorm else mode.EVAL,
        do_constant_folding=not keep_batchnorm)
    model = onnx.load(str(path))
    common.set_metadata(model, range=[0.0, 1.0], scale=[1.0], mean=[mean], std=[std],
                        layout="NCHW", labels=common.FASHION_LABELS)
    return common.save_onnx(model, name)


# ---- the models ---------------------------------------------------------------------------------

class Run:
    def __init__(self, work, folder):
        self.work = work
        x, y, xf, yf = (torch.from_numpy(a) for a in common.fashion_train(folder))
        self.x, self.y, self.xf, self.yf = x, y, xf, yf
        # Over the 55,000 training images only, in double, then float32 for good.
        self.mean = np.float32(x.double().mean())
        self.std = np.float32(x.double().std(unbiased=False))
        self.rng = torch.Generator().manual_seed(SEED)
        torch.manual_seed(SEED)

    def raw(self, net):
        return nn.Sequential(Normalise(self.mean, self.std), net)

    def parent(self):
        net = Cnn()
        net.load_state_dict(torch.load(self.work / "cnn-fp32.pt"))
        return net

    def finish(self, name, net, start, how, keep_batchnorm=True, dynamic=True, **more):
        torch.save(net.state_dict(), self.work / (name + ".pt"))
        seconds = round(time.monotonic() - start, 1)
        export(net, "fashion-" + name, self.mean, self.std, dynamic, keep_batchnorm)
        facts = {"script": "tools/train_fashion.py", "how": how, "seed": SEED, "seconds": seconds,
                 "train_images": len(self.x),
                 "fit_accuracy": round(accuracy(self.raw(net), self.xf, self.yf), 6), **more}
        common.update_facts("fashion-" + name, "training", facts)
        print(name, facts, flush=True)

    def cnn_fp32(self):
        start = time.monotonic()
        net = Cnn()
        train(self.raw(net), self.x, self.y, 14, 4e-3, self.rng)
        self.finish("cnn-fp32", net, start,
                    "14 epochs, AdamW one-cycle 4e-3, mirrored and shifted images",
                    robust_fit_accuracy=round(robust_accuracy(self.raw(net), self.xf, self.yf), 6),
                    robust_eps_linf=ADV_EPS, robust_steps=ADV_EVAL_STEPS)

    def cnn_pruned(self):
        start = time.monotonic()
        net = self.parent()
        raw = self.raw(net)
        # In stages: going to 80 % at once loses more than the fine-tuning wins back.
        for sparsity, epochs, lr in ((0.5, 1, 1e-3), (0.7, 2, 2e-3), (SPARSITY, 6, 3e-3)):
            masks = magnitude_masks(net, sparsity)
            apply_masks(net, masks)
            train(raw, self.x, self.y, epochs, lr, self.rng,
                  after_step=lambda _: apply_masks(net, masks))
        net = fold_batchnorm(net)
        w = prunable(net)
        zeros = sum(int((v == 0).sum()) for v in w) / sum(v.numel() for v in w)
        self.finish("cnn-pruned", net, start,
                    "from cnn-fp32; magnitude pruning (LAMP) to 50 % (1 epoch), 70 % (2 epochs) "
                    "and 80 % (6 epochs), BatchNormalization folded", keep_batchnorm=False,
                    weight_sparsity=round(zeros, 6))

    def cnn_robust(self):
        start = time.monotonic()
        net = self.parent()
        raw = self.raw(net)

        def attack(model, xb, yb):
            # Frozen batch statistics while attacking: the function that is deployed.
            model.eval()
            return pgd(model, xb, yb, ADV_EPS, ADV_TRAIN_STEPS, ADV_EPS / 3, self.rng)

        train(raw, self.x, self.y, 7, 3e-3, self.rng, before_step=attack)
        self.finish("cnn-robust", net, start,
                    f"from cnn-fp32; 7 epochs of PGD-{ADV_TRAIN_STEPS} adversarial training, Linf "
                    f"eps {ADV_EPS}",
                    robust_fit_accuracy=round(robust_accuracy(raw, self.xf, self.yf), 6),
                    robust_eps_linf=ADV_EPS, robust_steps=ADV_EVAL_STEPS)

    def mlp(self):
        start = time.monotonic()
        net = Mlp()
        train(self.raw(net), self.x, self.y, 15, 2e-3, self.rng, augmented=False, decay=5e-2)
        self.finish("mlp", net, start, "15 epochs, AdamW one-cycle 2e-3", dynamic=False,
                    keep_batchnorm=False)


def main():
    names = ["cnn-fp32", "cnn-pruned", "cnn-robust", "mlp"]
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("names", nargs="*", metavar="NAME", help=" ".join(names))
    p.add_argument("--work", type=pathlib.Path, default=pathlib.Path("train-work"))
    p.add_argument("--fashion-dir", type=pathlib.Path, default=common.FASHION_DIR)
    args = p.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name in args.names or names:
        if name not in names:
            p.error(f"no model {name}")
        print(name, flush=True)
        # A fresh Run per model: its seed does not depend on which models were trained before.
        getattr(Run(args.work, args.fashion_dir), name.replace("-", "_"))()


if __name__ == "__main__":
    main()
