/* SPDX-License-Identifier: Apache-2.0
 * The committed corpus through the fuzzer's function in every build: what the fuzzer has found stays found. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "fuzz_onnx.h"

static int is_file(const struct dirent *e) {
    return e->d_name[0] != '.';
}

static bool run_file(const char *folder, const char *name) {
    char path[1200], *text = NULL;
    size_t n = 0;
    error err = {0};
    (void)snprintf(path, sizeof path, "%.900s/%.255s", folder, name);
    if (io_read_file(path, (size_t)1 << 20, &text, &n, &err) != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return false;
    }
    uint8_t *exact = malloc(n > 0 ? n : 1); /* so that ASan sees one byte too many */
    if (exact != NULL && n > 0) {
        memcpy(exact, text, n);
    }
    mem_free(text);
    (void)fprintf(stderr, "%s\n", name);
    (void)LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    return true;
}

int main(int argc, char **argv) {
    struct dirent **names = NULL;
    int n = argc == 2 ? scandir(argv[1], &names, is_file, alphasort) : -1;
    if (n <= 0) {
        (void)fprintf(stderr, "usage: onnx_fuzz_corpus FOLDER (with files in it)\n");
        return 2;
    }
    bool ok = true;
    for (int i = 0; i < n; i++) {
        ok = run_file(argv[1], names[i]->d_name) && ok;
        free(names[i]);
    }
    free((void *)names);
    (void)printf("%d files\n", n);
    return ok ? 0 : 1;
}
