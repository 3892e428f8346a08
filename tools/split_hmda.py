#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Add `id` and `split` to the raw HMDA table: split_hmda.py RAW.csv OUT.csv

The split is committed as a column, so that every tool, in any language, sees the same rows.
It is stratified on deny x afam, because the smallest of those four cells has 96 rows and a plain
random split could leave too few of them to compare groups on.
"""
import csv
import sys

import numpy as np

SEED = 1996  # the year of the study; any fixed number would do
FRACTIONS = (("train", 0.6), ("valid", 0.2), ("test", 0.2))
NUMERIC = {"pirat", "hirat", "lvrat", "unemp"}


def splits(rows):
    """One split name per row; within each stratum the fractions hold to within one row."""
    out = [None] * len(rows)
    rng = np.random.Generator(np.random.PCG64(SEED))
    strata = sorted({(r["deny"], r["afam"]) for r in rows})
    for stratum in strata:
        members = [i for i, r in enumerate(rows) if (r["deny"], r["afam"]) == stratum]
        order = rng.permutation(len(members))
        start, cum = 0, 0.0
        for name, fraction in FRACTIONS:
            cum += fraction
            end = int(round(cum * len(members)))
            for j in order[start:end]:
                out[members[j]] = name
            start = end
    return out


def main(raw_path, out_path):
    with open(raw_path, newline="") as f:
        reader = csv.DictReader(f)
        columns = reader.fieldnames
        rows = list(reader)
    for r in rows:
        for c in NUMERIC:
            r[c] = repr(float(r[c]))  # shortest text with the same double
    with open(out_path, "w", newline="") as f:
        w = csv.writer(f, lineterminator="\r\n")  # RFC 4180
        w.writerow(["id"] + columns + ["split"])
        for i, (r, s) in enumerate(zip(rows, splits(rows)), start=1):
            w.writerow([i] + [r[c] for c in columns] + [s])


if __name__ == "__main__":
    main(*sys.argv[1:])
