/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <zlib.h>

#include "build_info.h"
#include "cli/cli.h"

void cli_print_version(const cli_cpu *cpu, strbuf *out) {
    const char *core = cpu_openblas_core(cpu->isa);
    const char *isa = cpu_onednn_isa(cpu->isa);
    char name[CPU_MODEL_BYTES];
    cpu_model_name(name);
    strbuf_addf(out, "assay %s (git %s, %s, %s)\n", ASSAY_VERSION, ASSAY_GIT, ASSAY_COMPILER, ASSAY_BUILD);
    strbuf_addf(out, "libraries  sqlite %s, jansson %s, zlib %s, %s, libfyaml %s\n", sqlite3_libversion(),
                jansson_version_str(), zlibVersion(), OpenSSL_version(OPENSSL_VERSION_STRING), ASSAY_LIBFYAML_VERSION);
    strbuf_addf(out, "plug-ins   openblas %s, onednn %s, protobuf-c %s\n", ASSAY_OPENBLAS_VERSION, ASSAY_ONEDNN_VERSION,
                ASSAY_PROTOBUF_C_VERSION);
    strbuf_addf(out, "cpu        %s, %d usable; workers use %s kernels (OpenBLAS core %s, oneDNN %s)\n", name,
                cpu_count(), cpu_isa_name(cpu->isa), core == NULL ? "of its own choice" : core,
                isa == NULL ? "its own choice" : isa);
}
