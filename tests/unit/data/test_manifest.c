/* SPDX-License-Identifier: Apache-2.0
 * datasets.manifest: every key, every mistake with its place, files verified. */
#include "unit/data/fixture.h"

#include <math.h>

#define HEAD "datasets:\n  - id: d\n    title: t\n    licence: MIT\n    provenance: p\n    modality: tabular\n"
#define BODY "    reader: csv\n    files:\n      - {role: table, path: t.csv}\n"

static void test_all_keys(void **state) {
    fixture *f = *state;
    error err = {0};
    status s = fixture_manifest(
        f,
        HEAD "    split: test\n    citation: c\n    installer: apt-get install x\n    task: classification\n" BODY
             "    range: [-1, .inf]\n    rows: {first: 2, count: 3}\n    label_column: y\n    split_column: s\n"
             "    id_column: i\n    classes: [a, b]\n    missing: [\"\", NA]\n    shape: [2]\n    layout: chw\n"
             "    columns:\n      - {name: u, type: real, feature: true}\n"
             "      - {name: v, type: category, levels: [no, yes], codes: [0, 10], feature: true, sensitive: true}\n",
        &err);
    assert_string_equal(err.text, "");
    assert_int_equal(s, STATUS_OK);
    const manifest_record *r = manifest_find(f->m, "d");
    assert_non_null(r);
    assert_string_equal(r->split, "test");
    assert_string_equal(r->installer_hint, "apt-get install x");
    assert_true(r->range_lo == -1 && isinf(r->range_hi));
    assert_int_equal(r->rows_first, 2);
    assert_int_equal(r->rows_count, 3);
    assert_int_equal(r->n_classes, 2);
    assert_int_equal(r->n_missing, 2);
    assert_string_equal(r->missing[1], "NA");
    assert_int_equal(r->n_dims, 1);
    assert_true(r->channels_first);
    assert_int_equal(r->n_columns, 2);
    assert_string_equal(r->columns[1].levels[0], "no");
    assert_true(r->columns[1].codes[1] == 10);
    assert_true(r->columns[1].sensitive && !r->columns[0].sensitive);
    assert_string_equal(r->files[0].path, fixture_path(f, "t.csv"));
    assert_int_equal(r->line, 2);
}

typedef struct mistake {
    const char *text, *expected;
} mistake;

static const mistake mistakes[] = {
    {"dataset: []\n", "datasets.manifest:1:1: the manifest: unknown key \"dataset\", did you mean \"datasets\"?"},
    {"datasets: 3\n", ":1:11: datasets must be a list, not text"},
    {"", "the key \"datasets\" is missing"},
    {"datasets: [x]\n", ":1:12: a dataset record must be a mapping, not text"},
    {HEAD "    reder: csv\n", ":7:5: a dataset record: unknown key \"reder\", did you mean \"reader\"?"},
    {HEAD "    reader: cvs\n", ":7:13: \"reader\" cannot be \"cvs\", did you mean \"csv\"?"},
    {HEAD, "the key \"reader\" is missing"},
    {HEAD "    reader: csv\n", "the key \"files\" is missing"},
    {HEAD "    reader: csv\n    files: []\n", "\"files\" must not be empty"},
    {HEAD "    reader: csv\n    files:\n      - {role: t, pth: x}\n",
     "a file: unknown key \"pth\", did you mean \"path\"?"},
    {HEAD "    reader: csv\n    files:\n      - {role: t, path: x, bytes: 0}\n", "\"bytes\" must be in 1.."},
    {HEAD "    reader: csv\n    files:\n      - {role: t, path: x, bytes: many}\n", "must be an integer"},
    {HEAD "    reader: csv\n    files:\n      - {role: t, path: x, sha256: abc}\n", ":9:36: \"sha256\" must be 64"},
    {HEAD "    reader: csv\n    files:\n      - {role: t, path: \"\"}\n", "\"path\" must not be empty"},
    {HEAD "    title: again\n", ":7:5: duplicate key \"title\" (first on line 3)"},
    {HEAD BODY "    task: clustering\n", "\"task\" cannot be \"clustering\""},
    {HEAD BODY "    shape: [0]\n", "\"shape\" must be in 1.."},
    {HEAD BODY "    shape: [1, 1, 1, 1, 1, 1, 1, 1]\n", "1..7 dimensions"},
    {HEAD BODY "    shape: 3\n", "shape must be a list"},
    {HEAD BODY "    range: [1, 0]\n", "low < high"},
    {HEAD BODY "    range: [0, 1, 2]\n", "low < high"},
    {HEAD BODY "    scale_255: 1\n", "true or false"},
    {HEAD BODY "    layout: whc\n", "\"layout\" cannot be"},
    {HEAD BODY "    rows: {first: -1}\n", "\"first\" must be in 0.."},
    {HEAD BODY "    rows: {last: 1}\n", "unknown key \"last\""},
    {HEAD BODY "    classes: [a]\n", "at least two"},
    {HEAD BODY "    classes: [a, b, a]\n", "duplicate class \"a\""},
    {HEAD BODY "    classes: [a, [b]]\n", "must be text, not a list"},
    {HEAD BODY "    label_column: y\n", "\"classes\" is missing for \"label_column\""},
    {HEAD BODY "    task: regression\n    classes: [a, b]\n", "a regression has no classes"},
    {HEAD BODY "    columns:\n      - {name: u, type: rael}\n", "\"type\" cannot be \"rael\", did you mean \"real\"?"},
    {HEAD BODY "    columns:\n      - {name: u}\n", "\"type\" is missing"},
    {HEAD BODY "    columns:\n      - {name: u, type: real}\n      - {name: u, type: real}\n",
     "duplicate column \"u\""},
    {HEAD BODY "    columns:\n      - {name: u, type: real, levels: [a]}\n", "a real column has no levels"},
    {HEAD BODY "    columns:\n      - {name: u, type: category, levels: []}\n", "must not be empty"},
    {HEAD BODY "    columns:\n      - {name: u, type: category, feature: true}\n", "must declare its levels"},
    {HEAD BODY "    columns:\n      - {name: u, type: category, levels: [a, b], codes: [1]}\n",
     "one value per level (2)"},
    {HEAD BODY "    label_column: u\n    classes: [a, b]\n    columns:\n      - {name: u, type: real, feature: true}\n",
     "is the label"},
    {HEAD BODY "    missing: [NA, NA]\n", "duplicate spelling \"NA\""},
    {"datasets:\n  - {id: A b}\n", "\"id\" must be 1..64 of lower-case letters"},
    {"datasets:\n  - {id: a, title: t, licence: \"MIT;\"}\n", "SPDX"},
    {"datasets:\n  - {id: a, title: t, licence: MIT, provenance: p}\n", "\"modality\" is missing"},
    {"datasets:\n  - {id: a, title: t, licence: MIT, provenance: p, modality: imag}\n", "did you mean \"image\"?"},
    {"datasets:\n  - &a {id: x}\n  - *a\n", "anchors"},
};

static void test_mistakes(void **state) {
    fixture *f = *state;
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        error err = {0};
        status s = fixture_manifest(f, mistakes[i].text, &err);
        if (s != STATUS_USAGE || strstr(err.text, mistakes[i].expected) == NULL ||
            strstr(err.text, "datasets.manifest:") == NULL) {
            fail_msg("mistake %zu: expected \"%s\", got %s: %s", i, mistakes[i].expected, status_name(s), err.text);
        }
        assert_null(f->m);
    }
}

static void test_duplicate_ids(void **state) {
    fixture *f = *state;
    error err = {0};
    char *text = arena_printf(&f->mem, "%s%s%s", HEAD BODY, strchr(HEAD, '\n') + 1, BODY);
    assert_int_equal(fixture_manifest(f, text, &err), STATUS_USAGE);
    assert_non_null(strstr(err.text, "datasets.manifest:10:9: duplicate dataset id \"d\" (first on line 2)"));
}

static void test_unreadable(void **state) {
    fixture *f = *state;
    error err = {0};
    manifest *m = NULL;
    assert_int_equal(manifest_load(fixture_path(f, "none"), &m, &err), STATUS_IO);
    assert_int_equal(manifest_load(f->dir, &m, &err), STATUS_IO);
    char *big = mem_zalloc(1024 * 1024 + 2);
    memset(big, '#', 1024 * 1024 + 1);
    assert_int_equal(fixture_manifest(f, big, &err), STATUS_USAGE);
    assert_non_null(strstr(err.text, "more than 1048576 bytes"));
    mem_free(big);
    assert_null(m);
}

static void test_get(void **state) {
    fixture *f = *state;
    error err = {0};
    assert_int_equal(manifest_load(source_path(f, "datasets.manifest"), &f->m, &err), STATUS_OK);
    const manifest_record *r = NULL;
    assert_int_equal(manifest_get(f->m, "hmda-test", &r, &err), STATUS_OK);
    assert_string_equal(r->licence, "GPL-2.0-only OR GPL-3.0-only");
    assert_int_equal(manifest_get(f->m, "fasion-mnist", &r, &err), STATUS_USAGE);
    assert_null(r);
    assert_non_null(strstr(err.text, "did you mean \"fashion-mnist\"?"));
    assert_non_null(strstr(err.text, "hmda-valid"));
    assert_null(manifest_find(f->m, ""));
}

static const char *with_file(fixture *f, const char *extra) {
    return arena_printf(&f->mem,
                        HEAD "    installer: apt-get install it\n    reader: csv\n    files:\n"
                             "      - {role: table, path: t.csv%s}\n",
                        extra);
}

static void verify(fixture *f, const char *extra, status expected, const char *part) {
    error err = {0};
    if (fixture_manifest(f, with_file(f, extra), &err) != STATUS_OK) {
        fail_msg("%s", err.text);
    }
    status s = manifest_verify(&f->m->records[0], &err);
    if (s != expected || strstr(err.text, part) == NULL) {
        fail_msg("expected \"%s\", got %s: %s", part, status_name(s), err.text);
    }
}

static void test_verify(void **state) {
    fixture *f = *state;
    verify(f, "", STATUS_DATA, "datasets.manifest:10: dataset \"d\": ");
    verify(f, "", STATUS_DATA, "t.csv is missing; to get it: apt-get install it");
    fixture_write_text(f, "t.csv", "abc");
    verify(f, "", STATUS_OK, "");
    verify(f, ", bytes: 3", STATUS_OK, "");
    verify(f, ", bytes: 4", STATUS_DATA, "t.csv has 3 bytes, the manifest says 4");
    const char *sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; /* FIPS 180-2, B.1 */
    verify(f, arena_printf(&f->mem, ", sha256: %s", sha), STATUS_OK, "");
    fixture_write_text(f, "t.csv", "abd");
    verify(f, arena_printf(&f->mem, ", sha256: %s", sha), STATUS_DATA, sha);
    assert_int_equal(unlink(fixture_path(f, "t.csv")), 0);
    assert_int_equal(mkfifo(fixture_path(f, "t.csv"), 0600), 0);
    verify(f, arena_printf(&f->mem, ", sha256: %s", sha), STATUS_DATA, "not a regular file");
}

/* Cut at every byte: a shorter manifest or one placed error, never a crash or a half record. */
static void test_every_cut(void **state) {
    fixture *f = *state;
    error err = {0};
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(io_read_file(source_path(f, "datasets.manifest"), 1 << 20, &text, &n, &err), STATUS_OK);
    const char *end = strstr(text, "- id: fashion-mnist-fit");
    assert_non_null(end);
    size_t stop = (size_t)(end - text);
    char *cut = fixture_path(f, "cut");
    fixture_write(f, "cut", text, stop);
    mem_free(text);
    for (size_t k = stop; k-- > 0;) {
        assert_int_equal(truncate(cut, (off_t)k), 0);
        manifest *m = NULL;
        status s = manifest_load(cut, &m, &err);
        assert_true((s == STATUS_OK) == (m != NULL));
        if (s != STATUS_OK && (s != STATUS_USAGE || strstr(err.text, "cut:") == NULL)) {
            fail_msg("cut at %zu: %s: %s", k, status_name(s), err.text);
        }
        manifest_close(m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_keys, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_mistakes, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_duplicate_ids, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_unreadable, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_get, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_verify, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_every_cut, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
