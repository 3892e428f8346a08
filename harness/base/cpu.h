/* SPDX-License-Identifier: Apache-2.0
 * Which kernels the computing libraries should use on this CPU. Debian's OpenBLAS 0.3.21 takes newer CPUs
 * for "Prescott" (SSE3) and runs at a fifth of their speed, so the supervisor reads CPUID itself and tells
 * OpenBLAS and oneDNN through the environment of its workers, before those libraries load. */
#ifndef BASE_CPU_H
#define BASE_CPU_H

#include <stddef.h>

#include "base/status.h"

typedef enum cpu_isa { CPU_BASELINE, CPU_AVX2, CPU_AVX512, CPU_AVX512_VNNI } cpu_isa;

cpu_isa cpu_detect(void);
/* The detected level, capped by `cap` ("avx2", "avx512", "avx512_vnni", "baseline"; NULL or "" = no cap). STATUS_USAGE
 * for another word. A cap never raises the level. */
status cpu_choose(const char *cap, cpu_isa *out, error *err);
const char *cpu_isa_name(cpu_isa isa);      /* "avx2" */
const char *cpu_openblas_core(cpu_isa isa); /* "HASWELL"; NULL: let the library choose */
const char *cpu_onednn_isa(cpu_isa isa);    /* "AVX2"; NULL: let the library choose */

#define CPU_ENV_MAX 8
/* The variables of a worker as NAME=VALUE: core choice and one thread per library (parallelism is ours).
 * Returns how many were written to env (pointers to constants). */
size_t cpu_worker_env(cpu_isa isa, const char *env[CPU_ENV_MAX]);

#define CPU_MODEL_BYTES 96
void cpu_model_name(char name[CPU_MODEL_BYTES]); /* "AMD EPYC ..."; "unknown" */
int cpu_count(void);                             /* usable by this process */

#endif
