/* SPDX-License-Identifier: Apache-2.0
 * Seeds of the fuzzer: the operator cases of Debian's libonnx-testdata, each with every one of its inputs in turn as
 * the graph's input and the others as constants, and once with all constant. Only small ones. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "cases.h"

static bool write_file(const char *path, const uint8_t *data, size_t n) {
    FILE *f = fopen(path, "wb");
    bool ok = f != NULL && fwrite(data, 1, n, f) == n;
    return f != NULL && fclose(f) == 0 && ok;
}

static bool write_variants(const onnx_case *c, const char *name, const char *folder, size_t max) {
    bool ok = true;
    for (size_t i = 0; i <= c->n_in; i++) {
        char path[1200];
        size_t n = 0;
        uint8_t *data = onnx_case_pack(c, i < c->n_in ? i : SIZE_MAX, &n);
        (void)snprintf(path, sizeof path, "%.900s/%.200s.%zu.onnx", folder, name, i);
        ok = ok && (data == NULL || n > max || write_file(path, data, n));
        mem_free(data);
    }
    return ok;
}

static bool write_case(const char *model, const char *folder, size_t max) {
    char path[1200];
    onnx_case c;
    (void)snprintf(path, sizeof path, "%.*s", (int)(strrchr(model, '/') - model), model);
    const char *name = strrchr(path, '/') + 1;
    char sets[1300];
    (void)snprintf(sets, sizeof sets, "%s/test_data_set_0", path);
    bool ok = true;
    if (onnx_case_open(&c, model)) {
        if (onnx_case_read(&c, sets)) {
            ok = write_variants(&c, name, folder, max);
        }
        onnx_case_close(&c);
    }
    return ok;
}

int main(int argc, char **argv) {
    glob_t found;
    if (argc != 3 || glob(ONNX_CASES "/*/*/model.onnx", 0, NULL, &found) != 0) {
        (void)fprintf(stderr, "usage: onnx_fuzz_seeds FOLDER BYTES (libonnx-testdata must be installed)\n");
        return 2;
    }
    bool ok = true;
    for (size_t i = 0; i < found.gl_pathc && ok; i++) {
        ok = write_case(found.gl_pathv[i], argv[1], strtoul(argv[2], NULL, 10));
    }
    globfree(&found);
    return ok ? 0 : 1;
}
