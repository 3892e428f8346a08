/* SPDX-License-Identifier: Apache-2.0
 * The promise of ABI 1: layout, constants and ids of the current header are those of the frozen one, and a plug-in that
 * was built against the frozen one works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "layout.h"
#include "model/host.h"

static const layout_entry *find(const layout_entry *v, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(v[i].name, name) == 0) {
            return &v[i];
        }
    }
    return NULL;
}

/* Members may be appended (a struct may grow), nothing else. */
static void layout_is_kept(void **state) {
    (void)state;
    size_t n_old = 0;
    size_t n_new = 0;
    const layout_entry *old = layout_frozen(&n_old);
    const layout_entry *now = layout_current(&n_new);
    assert_true(n_old > 100);
    for (size_t i = 0; i < n_old; i++) {
        const layout_entry *e = find(now, n_new, old[i].name);
        if (e == NULL) {
            fail_msg("%s is gone", old[i].name);
            return;
        }
        bool grown = strncmp(e->name, "sizeof ", 7) == 0 ? e->bytes >= old[i].bytes : e->bytes == old[i].bytes;
        bool same_text =
            (e->text == NULL) == (old[i].text == NULL) && (e->text == NULL || strcmp(e->text, old[i].text) == 0);
        if (e->offset != old[i].offset || !grown || !same_text) {
            fail_msg("%s has changed: offset or value %zu -> %zu, bytes %zu -> %zu", e->name, old[i].offset, e->offset,
                     old[i].bytes, e->bytes);
        }
    }
}

static void old_plugin_works(void **state) {
    (void)state;
    const char *dir = getenv("ASSAY_BUILD_DIR");
    char path[512];
    (void)snprintf(path, sizeof path, "%s/abi/abi_v1_plugin.so", dir == NULL ? "." : dir);
    error err = {0};
    plugin *p = NULL;
    model *m = NULL;
    session *s = NULL;
    if (plugin_load(path, &p, &err) != STATUS_OK || model_open(p, NULL, NULL, 0, &m, &err) != STATUS_OK) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(plugin_name(p), "abi-v1");
    assert_true(model_get_facts(m)->probabilities);
    assert_int_equal(session_open(m, &(session_options){.tile = 8, .n_threads = 1}, &s, &err), STATUS_OK);
    const float x[6] = {0, 0, 0, 0.5F, 0.5F, 0.5F};
    float out[6];
    assert_int_equal(session_predict(s, x, 2, out, &err), STATUS_OK);
    for (int i = 0; i < 6; i++) {
        assert_true(out[i] == (float)(1.0 / 3));
    }
    assert_int_equal(session_vjp(s, x, 2, out, ASSAY_VJP_EXACT, NULL, out, &err), STATUS_UNSUPPORTED);
    session_close(s);
    model_close(m);
    plugin_unload(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(layout_is_kept), cmocka_unit_test(old_plugin_works)};
    return cmocka_run_group_tests_name("abi", tests, NULL, NULL);
}
