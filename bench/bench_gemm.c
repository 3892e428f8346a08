/* SPDX-License-Identifier: Apache-2.0
 * The machine's peak: large float32 products on one thread, with OpenBLAS and with the plug-in's own kernel.
 * link: onnx_core
 * usage: bench_gemm         prints "gemm openblas GFLOP/S", "gemm assay GFLOP/S" and "peak BEST"
 *        bench_gemm env     prints the environment that a worker gives its libraries, for peers to have the same */
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "kernels/sgemm.h"
#include "timing.h"

typedef struct product {
    ox_isa isa;
    size_t n;
    float *a, *b, *packed, *c;
} product;

static bool blas(void *context) {
    product *p = context;
    return ox_gemm_blas(p->n, p->n, p->n, p->a, p->n, 1, p->b, p->n, 1, p->c);
}

static bool own(void *context) {
    product *p = context;
    ox_gemm(p->isa, p->n, p->n, p->n, p->a, p->n, 1, p->packed, p->c, p->n);
    return true;
}

static double rate(timing_work work, product *p) {
    timing t;
    double n = (double)p->n;
    return timing_measure(work, p, 0.15, true, &t) ? 2 * n * n * n / t.best_s / 1e9 : 0;
}

int main(int argc, char **argv) {
    const char *env[CPU_ENV_MAX];
    size_t n_env = cpu_worker_env(cpu_detect(), env);
    if (argc > 1 && strcmp(argv[1], "env") == 0) {
        for (size_t i = 0; i < n_env; i++) {
            (void)puts(env[i]);
        }
        return 0;
    }
    /* OpenBLAS reads its environment when it is loaded, which is before main. */
    if (getenv("ASSAY_BENCH_GEMM") == NULL && setenv("ASSAY_BENCH_GEMM", "1", 1) == 0) {
        for (size_t i = 0; i < n_env; i++) {
            (void)putenv((char *)(uintptr_t)env[i]);
        }
        (void)execv("/proc/self/exe", argv);
    }
    double best[2] = {0, 0};
    static const size_t sizes[] = {256, 512, 768, 1024};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i], n_packed = 0;
        if (!ox_gemm_packed(n, n, &n_packed)) {
            return 1;
        }
        product p = {.isa = ox_isa_best(), .n = n};
        p.a = mem_zalloc(n * n * sizeof(float));
        p.b = mem_zalloc(n * n * sizeof(float));
        p.c = mem_zalloc(n * n * sizeof(float));
        p.packed = mem_zalloc(n_packed * sizeof(float));
        timing_fill(p.a, n * n, 1);
        timing_fill(p.b, n * n, 2);
        ox_gemm_pack(p.b, n, n, n, 1, p.packed);
        timing_work works[2] = {blas, own};
        for (int w = 0; w < 2; w++) {
            double r = rate(works[w], &p);
            best[w] = r > best[w] ? r : best[w];
        }
        mem_free(p.a);
        mem_free(p.b);
        mem_free(p.c);
        mem_free(p.packed);
    }
    (void)printf("gemm openblas %.1f\ngemm assay %.1f\npeak %.1f\n", best[0], best[1],
                 best[0] > best[1] ? best[0] : best[1]);
    return 0;
}
