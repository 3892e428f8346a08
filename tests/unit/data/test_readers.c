/* SPDX-License-Identifier: Apache-2.0
 * What every registered reader must survive: its files cut at every byte and every byte changed. A reader without
 * a case here fails the test. */
#include "unit/data/fixture.h"

#include <zlib.h>

enum { MAX_BYTES = 512 };

typedef struct sample_file {
    const char *role;
    uint8_t bytes[MAX_BYTES];
    size_t n;
} sample_file;

typedef struct sample {
    const char *reader, *variant, *rest; /* rest: keys behind `files` */
    bool cut_may_pass;                   /* a cut file can be a smaller valid file (text without a length) */
    sample_file file[2];
    size_t n_files;
} sample;

static void put(sample *s, const char *role, const void *bytes, size_t n) {
    sample_file *f = &s->file[s->n_files++];
    f->role = role;
    f->n = n;
    assert_true(n <= MAX_BYTES);
    memcpy(f->bytes, bytes, n);
}

static const uint8_t idx_images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0,  0,
                                     0, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static const uint8_t idx_labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 2, 0};
static const char image_keys[] = "    modality: image\n    classes: [a, b, c]\n";

static sample make_idx(void) {
    sample s = {.reader = "idx", .variant = "plain", .rest = image_keys};
    put(&s, "images", idx_images, sizeof idx_images);
    put(&s, "labels", idx_labels, sizeof idx_labels);
    return s;
}

static void put_gzip(sample *s, const char *role, const uint8_t *bytes, size_t n) {
    uint8_t out[MAX_BYTES];
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (z_const Bytef *)(uintptr_t)bytes;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = sizeof out;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    put(s, role, out, sizeof out - z.avail_out);
    (void)deflateEnd(&z);
}

static sample make_idx_gz(void) {
    sample s = {.reader = "idx", .variant = "gzip", .rest = image_keys};
    put_gzip(&s, "images", idx_images, sizeof idx_images);
    put_gzip(&s, "labels", idx_labels, sizeof idx_labels);
    return s;
}

static sample make_csv(void) {
    static const char text[] = "id,age,job,y\r\n1,31,some,yes\r\n2,\"4.5\",\"none\",no\r\n3,,some,\"yes\"\r\n";
    sample s = {.reader = "csv",
                .variant = "quoted",
                .cut_may_pass = true,
                .rest = "    modality: tabular\n    label_column: y\n    classes: [no, yes]\n    id_column: id\n"
                        "    missing: [\"\"]\n    columns:\n      - {name: age, type: real, feature: true}\n"
                        "      - {name: job, type: category, levels: [none, some], feature: true}\n"};
    put(&s, "table", text, sizeof text - 1);
    return s;
}

static size_t npy_bytes(uint8_t *out, const char *header, const void *values, size_t n) {
    static const uint8_t magic[] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    size_t h = strlen(header);
    memcpy(out, magic, sizeof magic);
    out[8] = (uint8_t)h;
    out[9] = 0;
    memcpy(out + 10, header, h);
    memcpy(out + 10 + h, values, n);
    return 10 + h + n;
}

static sample make_npy(void) {
    static const float x[] = {0, 1, 2, 3, 4, 5};
    static const int64_t y[] = {1, 0};
    uint8_t out[MAX_BYTES];
    sample s = {.reader = "npy", .variant = "v1", .rest = "    modality: other\n    classes: [a, b]\n"};
    size_t n = npy_bytes(out, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", x, sizeof x);
    put(&s, "features", out, n);
    n = npy_bytes(out, "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }\n", y, sizeof y);
    put(&s, "labels", out, n);
    return s;
}

static sample (*const makers[])(void) = {make_idx, make_idx_gz, make_csv, make_npy};
enum { N_MAKERS = sizeof makers / sizeof makers[0] };

static const char *file_name(fixture *f, size_t i) {
    return arena_printf(&f->mem, "file%zu", i);
}

static void write_files(fixture *f, const sample *s) {
    for (size_t i = 0; i < s->n_files; i++) {
        fixture_write(f, file_name(f, i), s->file[i].bytes, s->file[i].n);
    }
}

static const manifest_record *record(fixture *f, const sample *s, bool declare) {
    strbuf b = {0};
    strbuf_addf(&b, "    reader: %s\n    files:\n", s->reader);
    for (size_t i = 0; i < s->n_files; i++) {
        strbuf_addf(&b, "      - {role: %s, path: file%zu", s->file[i].role, i);
        if (declare) {
            digest_value d = digest_of(s->file[i].bytes, s->file[i].n);
            char hex[DIGEST_HEX];
            digest_hex(&d, hex);
            strbuf_addf(&b, ", sha256: %s", hex);
        }
        strbuf_add(&b, "}\n");
    }
    strbuf_add(&b, s->rest);
    write_files(f, s);
    const manifest_record *r = fixture_record(f, strbuf_str(&b));
    strbuf_free(&b);
    return r;
}

/* Loads; a failure is STATUS_DATA or STATUS_USAGE with a text that names a file. */
static bool loads(const manifest_record *r, const char *what, size_t at) {
    error err = {0};
    dataset *ds = NULL;
    status s = dataset_load(r, &ds, &err);
    if (s != STATUS_OK && ((s != STATUS_DATA && s != STATUS_USAGE) || strstr(err.text, "file") == NULL)) {
        fail_msg("%s %s at %zu: %s: %s", r->reader, what, at, status_name(s), err.text);
    }
    assert_true((s == STATUS_OK) == (ds != NULL));
    dataset_close(ds);
    return s == STATUS_OK;
}

static void test_every_reader_has_a_sample(void **state) {
    fixture *f = *state;
    size_t n = 0;
    const reader *const *all = reader_all(&n);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++) {
        bool found = false;
        for (size_t k = 0; k < N_MAKERS; k++) {
            sample s = makers[k]();
            found = found || strcmp(s.reader, all[i]->info.id) == 0;
        }
        if (!found) {
            fail_msg("reader %s has no sample in makers[]", all[i]->info.id);
        }
        assert_ptr_equal(reader_find(all[i]->info.id), all[i]);
        assert_true(all[i]->info.version >= 1 && all[i]->info.summary[0] != '\0' && all[i]->read != NULL);
    }
    assert_null(reader_find("none"));
    for (size_t k = 0; k < N_MAKERS; k++) {
        sample s = makers[k]();
        dataset *a = fixture_load(record(f, &s, true));
        dataset *b = fixture_load(&f->m->records[0]);
        assert_true(digest_equal(&a->sha256, &b->sha256));
        dataset_close(a);
        dataset_close(b);
    }
}

static void cut_everywhere(fixture *f, const sample *s, bool declared) {
    const manifest_record *r = record(f, s, declared);
    for (size_t i = 0; i < s->n_files; i++) {
        char *path = fixture_path(f, file_name(f, i));
        for (size_t n = s->file[i].n; n-- > 0;) {
            assert_int_equal(truncate(path, (off_t)n), 0);
            bool passed = loads(r, s->variant, n);
            if (passed && (declared || !s->cut_may_pass)) {
                fail_msg("%s %s: file %zu cut to %zu bytes was read", s->reader, s->variant, i, n);
            }
        }
        write_files(f, s);
    }
}

static void test_cut(void **state) {
    for (size_t k = 0; k < N_MAKERS; k++) {
        sample s = makers[k]();
        cut_everywhere(*state, &s, true);
        cut_everywhere(*state, &s, false);
    }
}

static void test_flipped(void **state) {
    fixture *f = *state;
    static const uint8_t masks[] = {0x01, 0x02, 0x10, 0x80, 0xff};
    for (size_t k = 0; k < N_MAKERS; k++) {
        sample s = makers[k]();
        const manifest_record *r = record(f, &s, false);
        for (size_t i = 0; i < s.n_files; i++) {
            for (size_t at = 0; at < s.file[i].n * sizeof masks; at++) {
                s.file[i].bytes[at / sizeof masks] ^= masks[at % sizeof masks];
                fixture_write(f, file_name(f, i), s.file[i].bytes, s.file[i].n);
                (void)loads(r, s.variant, at);
                s.file[i].bytes[at / sizeof masks] ^= masks[at % sizeof masks];
            }
            write_files(f, &s);
        }
    }
}

static void test_grown(void **state) {
    fixture *f = *state;
    for (size_t k = 0; k < N_MAKERS; k++) {
        sample s = makers[k]();
        const manifest_record *r = record(f, &s, false);
        for (size_t i = 0; i < s.n_files; i++) {
            uint8_t longer[MAX_BYTES + 1];
            memcpy(longer, s.file[i].bytes, s.file[i].n);
            longer[s.file[i].n] = 0;
            fixture_write(f, file_name(f, i), longer, s.file[i].n + 1);
            assert_false(loads(r, s.variant, s.file[i].n));
            write_files(f, &s);
        }
    }
}

static void test_empty_and_missing(void **state) {
    fixture *f = *state;
    for (size_t k = 0; k < N_MAKERS; k++) {
        sample s = makers[k]();
        const manifest_record *r = record(f, &s, false);
        for (size_t i = 0; i < s.n_files; i++) {
            fixture_write(f, file_name(f, i), "", 0);
            assert_false(loads(r, s.variant, 0));
            assert_int_equal(unlink(fixture_path(f, file_name(f, i))), 0);
            fixture_refused(r, STATUS_DATA, "is missing");
            write_files(f, &s);
        }
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_every_reader_has_a_sample), TEST(test_cut), TEST(test_flipped), TEST(test_grown),
        TEST(test_empty_and_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
