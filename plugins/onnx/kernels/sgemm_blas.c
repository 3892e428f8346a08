/* SPDX-License-Identifier: Apache-2.0
 * The product of unpadded sessions, through OpenBLAS. */
#include <cblas.h>
#include <limits.h>
#include <string.h>

#include "kernels/sgemm.h"

static size_t max(size_t a, size_t b) {
    return a > b ? a : b;
}

bool ox_gemm_blas(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, const float *b,
                  size_t b_row, size_t b_col, float *c) {
    if (m == 0 || n == 0 || k == 0) {
        if (m > 0 && n > 0) {
            memset(c, 0, m * n * sizeof *c);
        }
        return true;
    }
    /* A stride of 1 along the columns is row-major; else the operand is stored transposed. A single row or column has
     * no leading dimension of its own, but BLAS wants one that is wide enough. */
    bool ta = a_col != 1;
    bool tb = b_col != 1;
    size_t lda = max(ta ? a_col : a_row, ta ? m : k);
    size_t ldb = max(tb ? b_col : b_row, tb ? k : n);
    if (max(max(m, n), max(k, max(lda, ldb))) > INT_MAX) {
        return false;
    }
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k,
                1.0F, a, (int)lda, b, (int)ldb, 0.0F, c, (int)n);
    return true;
}
