/* SPDX-License-Identifier: Apache-2.0
 * The idx reader: every type and rank, gzip in all its forms, every size field wrong. */
#include "unit/data/fixture.h"

#include <zlib.h>

#define IMAGES "    modality: image\n    reader: idx\n    files:\n      - {role: images, path: x.idx}\n"
#define LABELLED IMAGES "      - {role: labels, path: y.idx}\n    classes: [a, b, c]\n"
#define PLAIN "    modality: other\n    reader: idx\n    files:\n      - {role: images, path: x.idx}\n"

/* Two grey images of 2 x 3, values 0..11 */
static const uint8_t images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 2, 0};

static size_t gzip_of(const uint8_t *in, size_t n, uint8_t *out, size_t cap) {
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (z_const Bytef *)(uintptr_t)in;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t got = cap - z.avail_out;
    (void)deflateEnd(&z);
    return got;
}

static void write_both(fixture *f) {
    fixture_write(f, "x.idx", images, sizeof images);
    fixture_write(f, "y.idx", labels, sizeof labels);
}

static void test_plain_and_gzip_are_one(void **state) {
    fixture *f = *state;
    write_both(f);
    dataset *plain = fixture_load(fixture_record(f, LABELLED));
    assert_int_equal(plain->n, 2);
    assert_int_equal(plain->n_dims, 3);
    assert_true(plain->shape[0] == 1 && plain->shape[1] == 2 && plain->shape[2] == 3);
    assert_true(plain->x_u8[6] == 6 && plain->label[0] == 2 && plain->label[1] == 0);
    assert_true(plain->range_lo == 0 && plain->range_hi == 255);
    float x[12];
    dataset_gather(plain, (uint32_t[]){1, 0}, 2, x);
    assert_true(x[0] == 6.0F && x[11] == 5.0F);
    uint8_t z[256];
    fixture_write(f, "x.idx", z, gzip_of(images, sizeof images, z, sizeof z));
    dataset *gz = fixture_load(fixture_record(f, LABELLED));
    assert_true(digest_equal(&plain->sha256, &gz->sha256));
    dataset_close(gz);
    size_t n = gzip_of(images, 10, z, sizeof z); /* two members, cut within the header */
    n += gzip_of(images + 10, sizeof images - 10, z + n, sizeof z - n);
    fixture_write(f, "x.idx", z, n);
    gz = fixture_load(fixture_record(f, LABELLED));
    assert_true(digest_equal(&plain->sha256, &gz->sha256));
    dataset_close(gz);
    dataset_close(plain);
}

static void test_digest_sees_everything(void **state) {
    fixture *f = *state;
    write_both(f);
    dataset *a = fixture_load(fixture_record(f, LABELLED));
    static const char *const others[] = {
        IMAGES "    classes: [a, b, c]\n",
        IMAGES "      - {role: labels, path: y.idx}\n    classes: [a, b, d]\n",
        IMAGES "      - {role: labels, path: y.idx}\n    classes: [a, b, c, d]\n",
        LABELLED "    scale_255: true\n",
        LABELLED "    range: [0, 20]\n",
        LABELLED "    rows: {first: 1}\n",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        dataset *b = fixture_load(fixture_record(f, others[i]));
        assert_false(digest_equal(&a->sha256, &b->sha256));
        dataset_close(b);
    }
    dataset *same = fixture_load(fixture_record(f, LABELLED "    split: other\n    citation: c\n"));
    assert_true(digest_equal(&a->sha256, &same->sha256));
    dataset_close(same);
    dataset_close(a);
}

static void test_colour_is_transposed(void **state) {
    fixture *f = *state;
    uint8_t v[20 + 12] = {0, 0, 8, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3};
    for (uint8_t i = 0; i < 12; i++) {
        v[20 + i] = i;
    }
    fixture_write(f, "x.idx", v, sizeof v);
    dataset *ds = fixture_load(fixture_record(f, IMAGES "    shape: [3, 2, 2]\n"));
    static const uint8_t chw[] = {0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11};
    assert_memory_equal(ds->x_u8, chw, sizeof chw);
    assert_true(ds->label[0] == -1); /* no labels */
    dataset_close(ds);
    ds = fixture_load(fixture_record(f, IMAGES "    layout: chw\n    shape: [2, 2, 3]\n"));
    assert_memory_equal(ds->x_u8, v + 20, 12);
    dataset_close(ds);
    fixture_refused(fixture_record(f, IMAGES "    shape: [2, 2, 3]\n"), STATUS_DATA,
                    "examples of shape (3, 2, 2), the manifest says (2, 2, 3) (see the key \"layout\")");
}

static void check_type(fixture *f, uint8_t code, const uint8_t *values, size_t n_bytes, float a, float b) {
    uint8_t v[8 + 16] = {0, 0, code, 1, 0, 0, 0, 2};
    memcpy(v + 8, values, n_bytes);
    fixture_write(f, "x.idx", v, 8 + n_bytes);
    dataset *ds = fixture_load(fixture_record(f, PLAIN));
    assert_int_equal(ds->n, 2);
    assert_true(ds->n_dims == 1 && ds->shape[0] == 1);
    float x[2];
    dataset_gather(ds, (uint32_t[]){0, 1}, 2, x);
    assert_true(x[0] == a && x[1] == b);
    dataset_close(ds);
}

static void test_types(void **state) {
    fixture *f = *state;
    check_type(f, 0x08, (const uint8_t[]){1, 255}, 2, 1, 255);
    check_type(f, 0x09, (const uint8_t[]){1, 0xff}, 2, 1, -1);
    check_type(f, 0x0b, (const uint8_t[]){0, 1, 0xff, 0xfe}, 4, 1, -2);
    check_type(f, 0x0c, (const uint8_t[]){0, 0, 1, 0, 0xff, 0xff, 0xff, 0xfd}, 8, 256, -3);
    check_type(f, 0x0d, (const uint8_t[]){0x3f, 0x80, 0, 0, 0xc0, 0x20, 0, 0}, 8, 1, -2.5F);
    check_type(f, 0x0e, (const uint8_t[]){0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0xc0, 4, 0, 0, 0, 0, 0, 0}, 16, 1, -2.5F);
}

static void refused_bytes(fixture *f, const uint8_t *v, size_t n, const char *part) {
    fixture_write(f, "x.idx", v, n);
    fixture_refused(fixture_record(f, LABELLED), STATUS_DATA, part);
    fixture_refused(&f->m->records[0], STATUS_DATA, "x.idx");
}

static void test_header_fields(void **state) {
    fixture *f = *state;
    write_both(f);
    static const struct {
        size_t at;
        uint8_t value;
        const char *part;
    } wrong[] = {
        {0, 1, "not an IDX file"},      {1, 1, "not an IDX file"},      {2, 7, "byte 2: unknown element type 0x07"},
        {2, 0x0a, "unknown element"},   {2, 0x0d, "the header claims"}, {3, 0, "byte 3: 0 dimensions"},
        {3, 5, "byte 3: 5 dimensions"}, {3, 255, "255 dimensions"},     {3, 2, "the header claims"},
        {3, 4, "the header claims"},    {7, 1, "the header claims 6"},  {7, 3, "the header claims 18"},
        {7, 0, "the header claims 0"},  {4, 0xff, "more than 4 GiB"},   {8, 0x80, "more than 4 GiB"},
        {11, 3, "the header claims"},   {11, 0, "the header claims 0"}, {15, 2, "the header claims 8"},
        {12, 1, "the header claims"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t v[sizeof images];
        memcpy(v, images, sizeof v);
        v[wrong[i].at] = wrong[i].value;
        refused_bytes(f, v, sizeof v, wrong[i].part);
        uint8_t z[256]; /* the same in gzip */
        fixture_write(f, "x.idx", z, gzip_of(v, sizeof v, z, sizeof z));
        fixture_refused(fixture_record(f, LABELLED), STATUS_DATA, "x.idx");
    }
    static const uint8_t huge[] = {0,    0,    8,    4,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    refused_bytes(f, huge, sizeof huge, "more than 4 GiB"); /* the product overflows 64 bits */
}

static void test_gzip_damage(void **state) {
    fixture *f = *state;
    write_both(f);
    uint8_t z[512];
    size_t n = gzip_of(images, sizeof images, z, sizeof z - 4);
    memcpy(z + n, "tail", 4);
    refused_bytes(f, z, n + 4, "garbage behind the end of the gzip data");
    z[n - 5] ^= 1; /* of the checksum */
    refused_bytes(f, z, n, "damaged gzip data");
    size_t m = gzip_of(images, sizeof images, z, sizeof z);
    m += gzip_of(images, 3, z + m, sizeof z - m); /* a second member with more bytes than claimed */
    refused_bytes(f, z, m, "more bytes than the header says");
}

/* 64 MiB of zeros in 64 KiB: refused at the claimed size, and a claim of 4 GiB does not allocate it. */
static void test_gzip_bomb(void **state) {
    fixture *f = *state;
    write_both(f);
    size_t big = (size_t)64 << 20;
    uint8_t *v = mem_zalloc(big);
    uint8_t *z = mem_zalloc(1 << 20);
    memcpy(v, images, sizeof images);
    size_t n = gzip_of(v, big, z, 1 << 20);
    refused_bytes(f, z, n, "more bytes than the header says");
    memcpy(v, (const uint8_t[]){0, 0, 8, 3, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 1}, 16);
    n = gzip_of(v, 1000, z, 1 << 20);
    refused_bytes(f, z, n, "the file ends within the values");
    mem_free(v);
    mem_free(z);
}

static void test_labels(void **state) {
    fixture *f = *state;
    write_both(f);
    uint8_t y[] = {0, 0, 8, 1, 0, 0, 0, 2, 0, 3};
    fixture_write(f, "y.idx", y, sizeof y);
    fixture_refused(fixture_record(f, LABELLED), STATUS_DATA, "y.idx: row 1: label 3 is outside of 0..2");
    fixture_write(f, "y.idx", (const uint8_t[]){0, 0, 9, 1, 0, 0, 0, 2, 0, 0xff}, 10);
    fixture_refused(fixture_record(f, LABELLED), STATUS_DATA, "y.idx: row 1: label -1 is outside of 0..2");
    fixture_write(f, "y.idx", (const uint8_t[]){0, 0, 8, 1, 0, 0, 0, 1, 0}, 9);
    fixture_refused(fixture_record(f, LABELLED), STATUS_DATA, "y.idx: 1 labels for 2 examples");
    fixture_write(f, "y.idx", (const uint8_t[]){0, 0, 8, 1, 0, 0, 0, 3, 0, 1, 2}, 11);
    fixture_refused(fixture_record(f, LABELLED "    rows: {count: 2}\n"), STATUS_DATA, "3 labels for 2 examples");
    fixture_write(f, "y.idx", (const uint8_t[]){0, 0, 13, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0}, 16);
    fixture_refused(fixture_record(f, LABELLED), STATUS_DATA, "must be integers");
    fixture_write(f, "y.idx", images, sizeof images);
    fixture_refused(fixture_record(f, LABELLED), STATUS_DATA, "shape (N) or (N, 1)");
    fixture_refused(fixture_record(f, IMAGES "      - {role: labels, path: y.idx}\n"), STATUS_DATA, "y.idx");
    fixture_write(f, "y.idx", labels, sizeof labels);
    fixture_refused(fixture_record(f, IMAGES "      - {role: labels, path: y.idx}\n"), STATUS_USAGE,
                    "\"classes\" is missing");
    dataset *ds = fixture_load(
        fixture_record(f, IMAGES "      - {role: labels, path: y.idx}\n    task: regression\n    rows: {first: 1}\n"));
    assert_true(ds->label == NULL && ds->n == 1 && ds->target[0] == 0.0);
    dataset_close(ds);
}

static void test_rows_and_records(void **state) {
    fixture *f = *state;
    write_both(f);
    dataset *ds = fixture_load(fixture_record(f, LABELLED "    rows: {first: 1, count: 1}\n"));
    assert_true(ds->n == 1 && ds->x_u8[0] == 6 && ds->label[0] == 0);
    dataset_close(ds);
    fixture_refused(fixture_record(f, LABELLED "    rows: {first: 1, count: 2}\n"), STATUS_DATA, "keeps rows 1 to 3");
    fixture_refused(fixture_record(f, LABELLED "    rows: {first: 2}\n"), STATUS_DATA, "is empty");
    fixture_refused(fixture_record(f, LABELLED "    rows: {first: 3}\n"), STATUS_DATA, "keeps rows 3");
    fixture_refused(fixture_record(f, LABELLED "    range: [0, 10]\n"), STATUS_DATA,
                    "example 1, value 5: outside of the declared range");
    fixture_refused(fixture_record(f, LABELLED "    id_column: i\n"), STATUS_USAGE, "knows no \"id_column\"");
    fixture_refused(fixture_record(f, LABELLED "    missing: [NA]\n"), STATUS_USAGE, "\"nan\"");
}

static void test_values(void **state) {
    fixture *f = *state;
    fixture_write(f, "x.idx", (const uint8_t[]){0, 0, 13, 1, 0, 0, 0, 1, 0x7f, 0xc0, 0, 0}, 12);
    fixture_refused(fixture_record(f, PLAIN), STATUS_DATA, "x.idx: example 0, value 0: NaN");
    dataset *ds = fixture_load(fixture_record(f, PLAIN "    missing: [nan]\n"));
    assert_true(ds->x_f32[0] != ds->x_f32[0]);
    dataset_close(ds);
    fixture_write(f, "x.idx", (const uint8_t[]){0, 0, 13, 1, 0, 0, 0, 1, 0x7f, 0x80, 0, 0}, 12);
    fixture_refused(fixture_record(f, PLAIN "    missing: [nan]\n"), STATUS_DATA, "infinite");
    fixture_refused(fixture_record(f, PLAIN "    scale_255: true\n"), STATUS_USAGE, "needs uint8");
    fixture_refused(fixture_record(f, IMAGES), STATUS_DATA, "images have 3 or 4 dimensions");
    fixture_write(f, "x.idx", (const uint8_t[]){0, 0, 8, 1, 0, 0, 0, 0}, 8);
    fixture_refused(fixture_record(f, PLAIN), STATUS_DATA, "is empty");
    fixture_write(f, "x.idx", "", 0);
    fixture_refused(fixture_record(f, PLAIN), STATUS_DATA, "the file ends within the header");
}

static void test_roles(void **state) {
    fixture *f = *state;
    write_both(f);
    fixture_refused(fixture_record(f, "    modality: image\n    reader: idx\n    files:\n"
                                      "      - {role: image, path: x.idx}\n"),
                    STATUS_USAGE, "datasets.manifest:9: dataset \"d\": reader idx has no role \"image\", but images");
    fixture_refused(fixture_record(f, IMAGES "      - {role: images, path: y.idx}\n"), STATUS_USAGE,
                    "two files with the role \"images\"");
    fixture_refused(fixture_record(f, "    modality: image\n    reader: idx\n    files:\n"
                                      "      - {role: labels, path: y.idx}\n"),
                    STATUS_USAGE, "no file with the role \"images\"");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_plain_and_gzip_are_one),
        TEST(test_digest_sees_everything),
        TEST(test_colour_is_transposed),
        TEST(test_types),
        TEST(test_header_fields),
        TEST(test_gzip_damage),
        TEST(test_gzip_bomb),
        TEST(test_labels),
        TEST(test_rows_and_records),
        TEST(test_values),
        TEST(test_roles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
