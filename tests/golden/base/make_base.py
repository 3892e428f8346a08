#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the golden tables of tests/unit/base: rng.csv, quantile.csv, double.csv.

An implementation of its own: PCG64 XSL-RR 128/64 after O'Neill (2014), section 6.3, with the multiplier of the paper's
table, and the seeding by SHA-256 over tagged fields as base/rng.h and base/digest.h describe it (hashlib). The normal
quantiles are mpmath's with 40 digits (python3-mpmath 1.2.1), the shortest decimals are Python's repr.
Run in this directory.
"""
import hashlib
import math
import random
import struct

import mpmath as mp

mp.mp.dps = 40
MASK64 = (1 << 64) - 1
MASK128 = (1 << 128) - 1
MULTIPLIER = 2549297995355413924 << 64 | 4865540595714422341


def field(tag, value):
    return tag.encode() + b"\0" + struct.pack("<Q", len(value)) + value


def u64(v):
    return struct.pack("<Q", v)


class Pcg64:
    def __init__(self, seed, algo, example, repeat, stream):
        path = (field("seed", u64(seed)) + field("algo", algo.encode()) + field("example", u64(example)) +
                field("repeat", u64(repeat)) + field("stream", u64(stream)))
        w = struct.unpack("<4Q", hashlib.sha256(path).digest())
        self.state = w[0] << 64 | w[1]
        self.inc = w[2] << 64 | w[3] | 1
        self.draw()  # the key's own words are never an output

    def draw(self):
        self.state = (self.state * MULTIPLIER + self.inc) & MASK128
        hi, lo = self.state >> 64, self.state & MASK64
        x, rot = hi ^ lo, hi >> 58
        return (x >> rot | x << (64 - rot)) & MASK64


def write_rng():
    keys = [(0, "", 0, 0, 0), (1, "gaussian-noise@1", 0, 0, 0), (1, "gaussian-noise@1", 1, 0, 0),
            (1, "gaussian-noise@1", 0, 1, 0), (1, "gaussian-noise@1", 0, 0, 1), (1, "gaussian-noise@2", 0, 0, 0),
            (2, "gaussian-noise@1", 0, 0, 0), (MASK64, "stratify@1", MASK64, MASK64, MASK64),
            (20261124, "\u00e9\u4e2d@1", 123456789012345, 7, 3)]
    with open("rng.csv", "w", encoding="utf-8", newline="") as f:
        f.write("algo,seed,example,repeat,stream,8 draws\n")
        for seed, algo, example, repeat, stream in keys:
            g = Pcg64(seed, algo, example, repeat, stream)
            f.write(",".join([algo] + ["%016x" % v for v in (seed, example, repeat, stream)] +
                             ["%016x" % g.draw() for _ in range(8)]) + "\n")


def write_quantile():
    """k of 52 bits; the standard normal quantile at (k + 1/2) / 2^52."""
    r = random.Random(52)
    top = (1 << 52) - 1
    ks = [0, 1, 2, 3, 1000, top, top - 1, top - 1000, 1 << 51, (1 << 51) - 1]
    ks += [int(p * 2**52) for p in (0.0749999, 0.075, 0.0750001, 0.5, 0.9249999, 0.925, 0.9250001, 0.975, 0.025)]
    ks += [int(2**52 * math.exp(-25.0 + d)) for d in (-1e-3, 0.0, 1e-3)]  # between the two tails of AS 241
    ks += [r.getrandbits(52) for _ in range(100)] + [r.getrandbits(r.randint(1, 51)) for _ in range(100)]
    ks += [top - r.getrandbits(r.randint(1, 51)) for _ in range(50)]
    with open("quantile.csv", "w", newline="") as f:
        f.write("k,z\n")
        for k in ks:
            p = (mp.mpf(k) + mp.mpf("0.5")) / mp.mpf(2)**52
            q = p if p < 0.5 else 1 - p  # from the near tail, so that nothing cancels
            x = mp.findroot(lambda t: mp.log(mp.ncdf(t) / q), -mp.sqrt(-2 * mp.log(q)) if q < 0.1 else mp.mpf(-0.3))
            f.write("%013x,%s\n" % (k, mp.nstr(x if p < 0.5 else -x, 20)))


def write_double():
    r = random.Random(64)
    vs = [0.0, -0.0, 1.0, 10.0, 30.0, 100.0, 1000.0, 1024.0, 1e5, 123456.0, 1e6, 1e15, 9007199254740991.0, 1e16, 1e17,
          1e22, 1e23, 0.1, 0.2, 0.3, 0.5, 1e-3, 1e-4, 1e-5, 1e-7, 1 / 3, 2 / 3, 5e-324, 1.7976931348623157e308, math.pi,
          -2.5, -1e-300, 123456789.125, 2.2250738585072011e-308, 0.30000000000000004]
    while len(vs) < 300:
        v = struct.unpack("<d", u64(r.getrandbits(64)))[0]
        if math.isfinite(v):
            vs.append(v)
    vs += [round(r.uniform(-1000, 1000), r.randint(0, 6)) for _ in range(100)]
    with open("double.csv", "w", newline="") as f:
        f.write("bits,text\n")
        for v in vs:
            text = repr(v)
            text = text[:-2] if text.endswith(".0") else text
            f.write("%016x,%s\n" % (struct.unpack("<Q", struct.pack("<d", v))[0], text))


write_rng()
write_quantile()
write_double()
