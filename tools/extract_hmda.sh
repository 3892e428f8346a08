#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes examples/data/hmda.csv from the R package AER (Debian: r-cran-aer).
# R is needed only here: assay itself reads the CSV that this script leaves behind.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
out=$here/../examples/data/hmda.csv
raw=$(mktemp)
trap 'rm -f "$raw"' EXIT

# 17 significant digits hold every double; split_hmda.py prints the shortest text that reads
# back to the same double. R's own write.csv stops at 15 digits and would lose bits.
Rscript --vanilla -e '
  data("HMDA", package = "AER")
  for (n in names(HMDA)) {
    if (is.numeric(HMDA[[n]])) HMDA[[n]] <- sprintf("%.17g", HMDA[[n]])
  }
  write.table(HMDA, file = commandArgs(trailingOnly = TRUE)[1], sep = ",", quote = FALSE,
              row.names = FALSE, col.names = TRUE)
' "$raw"
"${PYTHON:-/usr/bin/python3}" "$here/split_hmda.py" "$raw" "$out"
sha256sum "$out" | cut -d' ' -f1
