/* SPDX-License-Identifier: Apache-2.0
 * The npy reader against files that NumPy wrote (tests/golden/data/make_golden.py), and strict about the rest. */
#include "unit/data/fixture.h"

static const manifest_record *golden(fixture *f, const char *name, const char *rest) {
    const char *dir = source_path(f, "tests/golden/data");
    if (dir[0] != '/') { /* paths in a manifest are relative to it */
        char here[2048];
        assert_non_null(getcwd(here, sizeof here));
        dir = arena_printf(&f->mem, "%s/%s", here, dir);
    }
    return fixture_record(f, arena_printf(&f->mem,
                                          "    reader: npy\n    files:\n      - {role: features, path: %s/%s}\n"
                                          "      - {role: labels, path: %s/labels.npy}\n    classes: [a, b]\n%s",
                                          dir, name, dir, rest));
}

static void test_types(void **state) {
    fixture *f = *state;
    static const char *const names[] = {"i1.npy", "i2.npy", "i4.npy", "i8.npy", "f4.npy", "f8.npy", "v2.npy", "u1.npy"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        dataset *ds = fixture_load(golden(f, names[i], "    modality: tabular\n"));
        assert_true(ds->n == 4 && ds->n_dims == 1 && ds->shape[0] == 3);
        float x[12];
        dataset_gather(ds, (uint32_t[]){0, 1, 2, 3}, 4, x);
        for (int k = 0; k < 12; k++) {
            assert_true(x[k] == (float)(ds->x_u8 != NULL ? k : k - 2));
        }
        assert_true(ds->label[0] == 0 && ds->label[1] == 1 && ds->label[2] == 1 && ds->label[3] == 0);
        dataset_close(ds);
    }
}

static void test_images(void **state) {
    fixture *f = *state;
    const char *no_labels = arena_strdup(&f->mem, "    modality: image\n");
    fixture_refused(golden(f, "images.npy", no_labels), STATUS_DATA, "labels.npy: 4 labels for 2 examples");
    io_map m;
    error err = {0};
    assert_int_equal(io_map_file(source_path(f, "tests/golden/data/images.npy"), &m, &err), STATUS_OK);
    fixture_write(f, "x.npy", m.data, m.n);
    io_unmap(&m);
    dataset *ds =
        fixture_load(fixture_record(f, "    modality: image\n    reader: npy\n    shape: [3, 2, 3]\n    files:\n"
                                       "      - {role: features, path: x.npy}\n"));
    assert_int_equal(ds->n, 2);
    for (size_t n = 0; n < 2; n++) {
        for (size_t c = 0; c < 3; c++) {
            for (size_t k = 0; k < 6; k++) {
                assert_int_equal(ds->x_u8[n * 18 + c * 6 + k], n * 18 + k * 3 + c);
            }
        }
    }
    dataset_close(ds);
}

static void test_refused_forms(void **state) {
    fixture *f = *state;
    fixture_refused(golden(f, "fortran.npy", "    modality: tabular\n"), STATUS_DATA, "Fortran order is not read");
    fixture_refused(golden(f, "big_endian.npy", "    modality: tabular\n"), STATUS_DATA,
                    "element type \">f4\" is not read");
}

/* A v1 file with this header text and n bytes of zeros behind it. */
static void write_npy(fixture *f, const char *header, size_t n) {
    uint8_t v[512] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    size_t h = strlen(header);
    v[8] = (uint8_t)(h & 255);
    v[9] = (uint8_t)(h >> 8);
    memcpy(v + 10, header, h);
    fixture_write(f, "x.npy", v, 10 + h + n);
}

static const manifest_record *unlabelled(fixture *f) {
    return fixture_record(f, "    modality: other\n    reader: npy\n    files:\n"
                             "      - {role: features, path: x.npy}\n");
}

static void test_headers(void **state) {
    fixture *f = *state;
    static const struct {
        const char *header;
        size_t n;
        const char *part; /* NULL: good */
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n", 24, NULL},
        {"{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"<f4\"}", 24, NULL},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,)}\n", 24, NULL},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6)}\n", 24, "must be a tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': 6}\n", 24, "must be a tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': ()}\n", 4, "a single number is no dataset"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3)}\n", 0, "is empty"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 0)}\n", 0, "is empty"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4611686018427387904, 8)}\n", 0, "x.npy"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}\n", 23, "does not match the 23 bytes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}\n", 25, "does not match the 25 bytes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -3)}\n", 24, "a number is expected"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}\n", 0, "does not match"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}\n", 0, "too large a number"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}\n", 4, "more than 8 dimensions"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}\n", 24, "Fortran order"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3)}\n", 24, "must be True or False"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2, 3)}\n", 24, "element type \"|O\""},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,)}\n", 24, "structured"},
        {"{'descr': '<f4', 'shape': (2, 3)}\n", 24, "is missing"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}\n", 24, "repeated key"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'x': 1}\n", 24, "an unknown or repeated key"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} + exit()\n", 24, "text behind the dictionary"},
        {"__import__('os')\n", 24, "a dictionary is expected"},
        {"{'descr': '<f4\n", 24, "too long a word"},
        {"", 24, "a dictionary is expected"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_npy(f, cases[i].header, cases[i].n);
        if (cases[i].part == NULL) {
            dataset_close(fixture_load(unlabelled(f)));
        } else {
            fixture_refused(unlabelled(f), STATUS_DATA, cases[i].part);
        }
    }
}

static void test_magic_and_lengths(void **state) {
    fixture *f = *state;
    static const struct {
        uint8_t bytes[12];
        size_t n;
        const char *part;
    } cases[] = {
        {{0}, 0, "not an npy file"},
        {{0x93, 'N', 'U', 'M', 'P', 'X', 1, 0, 0, 0}, 10, "not an npy file"},
        {{0x93, 'N', 'U', 'M', 'P', 'Y', 3, 0, 0, 0}, 10, "npy version 3.0"},
        {{0x93, 'N', 'U', 'M', 'P', 'Y', 1, 1, 0, 0}, 10, "npy version 1.1"},
        {{0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, 1, 0}, 10, "the header claims 1 bytes, the file holds 0"},
        {{0x93, 'N', 'U', 'M', 'P', 'Y', 2, 0, 0, 0}, 10, "ends within the header"},
        {{0x93, 'N', 'U', 'M', 'P', 'Y', 2, 0, 255, 255, 255, 255}, 12, "the header claims 4294967295 bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_write(f, "x.npy", cases[i].bytes, cases[i].n);
        fixture_refused(unlabelled(f), STATUS_DATA, cases[i].part);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_types), TEST(test_images), TEST(test_refused_forms), TEST(test_headers), TEST(test_magic_and_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
