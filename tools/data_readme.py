#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Write examples/data/README.md: the text below with counts and digests taken from the files."""
import collections
import csv

import common

TEXT = """# Example data

Written by `tools/data_readme.py`; how to make the data again: `tools/README.md`.

## hmda.csv

Mortgage applications in Boston, 1990: {n:,} rows, one a person. The data were collected by the
Federal Reserve Bank of Boston under the Home Mortgage Disclosure Act for

> Munnell, A. H., Tootell, G. M. B., Browne, L. E. and McEneaney, J. (1996). Mortgage Lending in
> Boston: Interpreting HMDA Data. American Economic Review 86, 25-53.

as distributed with Stock, J. H. and Watson, M. W. (2007), Introduction to Econometrics, 2nd ed.,
and in the R package AER (Kleiber and Zeileis; Debian package `r-cran-aer`), from which
`tools/extract_hmda.sh` took them. AER is under GPL-2 | GPL-3.

RFC 4180: comma, header, CRLF. Numbers are the shortest decimal text of the doubles in AER.

| column | values | meaning |
|---|---|---|
| `id` | 1..{n} | row number in AER; the example's stable id |
| `deny` | no yes | was the mortgage denied? (the label) |
| `pirat` | number | payments to income ratio |
| `hirat` | number | housing expense to income ratio |
| `lvrat` | number | loan to value ratio |
| `chist` | 1..6 | credit history: consumer payments (1 is best) |
| `mhist` | 1..4 | credit history: mortgage payments (1 is best) |
| `phist` | no yes | public bad credit record? |
| `unemp` | number | 1989 Massachusetts unemployment rate in the applicant's industry, percent |
| `selfemp` | no yes | self-employed? |
| `insurance` | no yes | was the individual denied mortgage insurance? |
| `condomin` | no yes | is the unit a condominium? |
| `afam` | no yes | African-American? (the protected attribute) |
| `single` | no yes | single? |
| `hschool` | no yes | high-school diploma? |
| `split` | train valid test | added here: 60/20/20, seeded, stratified on deny x afam |

Rows per split and cell:

| split | rows | denied | afam | denied and afam |
|---|---:|---:|---:|---:|
{table}

The models read the columns `pirat` ... `hschool` in this order, as float32: yes/no as 1/0, all else
as its number. The blind models are not given `afam`.

Ratios are heavy-tailed (`pirat` and `hirat` reach {pirat:g} and {hirat:g}) and kept as they are.
`insurance` = yes nearly decides: {ins_denied} of its {ins} rows were denied.

SHA-256 of `hmda.csv`: `{sha_hmda}`

## hmda-crossfit.csv

P(deny) for all {n:,} rows from four kinds of model, each row predicted by a model that did not see
it (5 folds, stratified on deny x afam, seeded; written by `tools/train_hmda.py`). It lets the bias
suite work on all rows instead of the 476 test rows. The hyperparameters are those chosen once on
the `valid` rows, not chosen again inside each fold. Columns: `id`, `fold` (0..4), `logreg`,
`logreg_blind`, `mlp`, `mlp_blind`.

SHA-256 of `hmda-crossfit.csv`: `{sha_cross}`
"""


def main():
    with open(common.DATA / "hmda.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    count = collections.Counter()
    for r in rows:
        for split in (r["split"], "all"):
            count[split, "rows"] += 1
            count[split, "denied"] += r["deny"] == "yes"
            count[split, "afam"] += r["afam"] == "yes"
            count[split, "both"] += r["deny"] == r["afam"] == "yes"
    table = "\n".join("| " + " | ".join([s] + [f"{count[s, k]:,}" for k in
                      ("rows", "denied", "afam", "both")]) + " |"
                      for s in ("train", "valid", "test", "all"))
    insured = [r for r in rows if r["insurance"] == "yes"]
    (common.DATA / "README.md").write_text(TEXT.format(
        n=len(rows), table=table, pirat=max(float(r["pirat"]) for r in rows),
        hirat=max(float(r["hirat"]) for r in rows), ins=len(insured),
        ins_denied=sum(r["deny"] == "yes" for r in insured),
        sha_hmda=common.sha256(common.DATA / "hmda.csv"),
        sha_cross=common.sha256(common.DATA / "hmda-crossfit.csv")))


if __name__ == "__main__":
    main()
