/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cpu.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

/* As they stand in a worker's environment; names behind the '='. */
static const struct {
    const char *name, *openblas, *onednn;
} levels[] = {
    [CPU_BASELINE] = {"baseline", "OPENBLAS_CORETYPE=PRESCOTT", "ONEDNN_MAX_CPU_ISA=SSE41"},
    [CPU_AVX2] = {"avx2", "OPENBLAS_CORETYPE=HASWELL", "ONEDNN_MAX_CPU_ISA=AVX2"},
    [CPU_AVX512] = {"avx512", "OPENBLAS_CORETYPE=SKYLAKEX", "ONEDNN_MAX_CPU_ISA=AVX512_CORE"},
    [CPU_AVX512_VNNI] = {"avx512_vnni", "OPENBLAS_CORETYPE=SKYLAKEX", "ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI"},
};

#if defined(__x86_64__)
#define CPU_HAS_LEVELS 1
#else
#define CPU_HAS_LEVELS 0 /* elsewhere the libraries choose for themselves */
#endif

cpu_isa cpu_detect(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd")) {
        return __builtin_cpu_supports("avx512vnni") ? CPU_AVX512_VNNI : CPU_AVX512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return CPU_AVX2;
    }
#endif
    return CPU_BASELINE;
}

status cpu_choose(const char *cap, cpu_isa *out, error *err) {
    *out = cpu_detect();
    if (cap == NULL || cap[0] == '\0') {
        return STATUS_OK;
    }
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(levels[i].name, cap) == 0) {
            *out = (cpu_isa)i < *out ? (cpu_isa)i : *out;
            return STATUS_OK;
        }
    }
    return error_set(err, STATUS_USAGE, "\"%.40s\" is no instruction set: baseline, avx2, avx512 or avx512_vnni", cap);
}

const char *cpu_isa_name(cpu_isa isa) {
    return levels[isa].name;
}

const char *cpu_openblas_core(cpu_isa isa) {
    return CPU_HAS_LEVELS ? strchr(levels[isa].openblas, '=') + 1 : NULL;
}

const char *cpu_onednn_isa(cpu_isa isa) {
    return CPU_HAS_LEVELS ? strchr(levels[isa].onednn, '=') + 1 : NULL;
}

size_t cpu_worker_env(cpu_isa isa, const char *env[CPU_ENV_MAX]) {
    size_t n = 0;
    env[n++] = "OMP_NUM_THREADS=1";
    env[n++] = "OPENBLAS_NUM_THREADS=1";
    if (CPU_HAS_LEVELS) {
        env[n++] = levels[isa].openblas;
        env[n++] = levels[isa].onednn;
    }
    return n;
}

void cpu_model_name(char name[CPU_MODEL_BYTES]) {
    (void)snprintf(name, CPU_MODEL_BYTES, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (f == NULL) {
        return;
    }
    char line[256];
    while (fgets(line, sizeof line, f) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            (void)snprintf(name, CPU_MODEL_BYTES, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
            break;
        }
    }
    (void)fclose(f);
}

int cpu_count(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}
