/* SPDX-License-Identifier: Apache-2.0
 * What of this machine changes result bits: library versions and the kernels that they choose for the CPU. */
#include <cblas.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "model.h"

static const char *isa_name(dnnl_cpu_isa_t isa) {
    switch ((int)isa) {
    case dnnl_cpu_isa_sse41: return "sse41";
    case dnnl_cpu_isa_avx: return "avx";
    case dnnl_cpu_isa_avx2: return "avx2";
    case dnnl_cpu_isa_avx2_vnni: return "avx2_vnni";
    case dnnl_cpu_isa_avx512_mic: return "avx512_mic";
    case dnnl_cpu_isa_avx512_mic_4ops: return "avx512_mic_4ops";
    case dnnl_cpu_isa_avx512_core: return "avx512_core";
    case dnnl_cpu_isa_avx512_core_vnni: return "avx512_core_vnni";
    case dnnl_cpu_isa_avx512_core_bf16: return "avx512_core_bf16";
    case dnnl_cpu_isa_avx512_core_amx: return "avx512_core_amx";
    default: return "none";
    }
}

/* openblas_get_config: "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ..." */
static void openblas_version(char out[32]) {
    const char *config = openblas_get_config();
    const char *at = strncmp(config, "OpenBLAS ", 9) == 0 ? config + 9 : config;
    (void)snprintf(out, 32, "%.*s", (int)strcspn(at, " "), at);
}

size_t ox_environment_describe(char *text, size_t capacity) {
    char blas[32];
    openblas_version(blas);
    const dnnl_version_t *v = dnnl_version();
    const char *reference = getenv("ASSAY_ONNX_REFERENCE");
    bool oracle = reference != NULL && strcmp(reference, "1") == 0;
    char line[256];
    int n = snprintf(line, sizeof line, "onnx=%s openblas=%s core=%s onednn=%d.%d.%d isa=%s%s", OX_VERSION, blas,
                     openblas_get_corename(), v->major, v->minor, v->patch, isa_name(dnnl_get_effective_cpu_isa()),
                     oracle ? " reference" : "");
    size_t len = n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    if (text == NULL || capacity == 0) {
        return 0;
    }
    len = len < capacity ? len : capacity - 1;
    memcpy(text, line, len);
    text[len] = '\0';
    return len;
}
