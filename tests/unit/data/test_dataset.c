/* SPDX-License-Identifier: Apache-2.0
 * The real datasets against golden values made without assay; gather, columns, samples. */
#include "unit/data/fixture.h"

#include <math.h>

#include "golden/data/golden.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const manifest_record *find_record(fixture *f, const char *id) {
    error err = {0};
    if (f->m == NULL && manifest_load(source_path(f, "datasets.manifest"), &f->m, &err) != STATUS_OK) {
        fail_msg("%s", err.text);
    }
    const manifest_record *r = manifest_find(f->m, id);
    assert_non_null(r);
    return r;
}

/* NULL and a printed reason where the files are not installed: the machine, not the code, lacks something. */
static dataset *load_real(fixture *f, const char *id) {
    const manifest_record *r = find_record(f, id);
    if (!io_exists(r->files[0].path)) {
        print_message("%s is not installed (%s)\n", id, r->installer_hint);
        return NULL;
    }
    return fixture_load(r);
}

static void check_digest(const digest_value *d, const char *expected) {
    char hex[DIGEST_HEX];
    digest_hex(d, hex);
    assert_string_equal(hex, expected);
}

static void check_fashion(const dataset *ds, const golden_fashion *g) {
    assert_int_equal(ds->n, g->n);
    assert_int_equal(ds->n_dims, 3);
    assert_true(ds->shape[0] == 1 && ds->shape[1] == 28 && ds->shape[2] == 28);
    assert_int_equal(ds->n_features, 784);
    assert_int_equal(ds->n_classes, 10);
    assert_string_equal(ds->class_names[9], "Ankle boot");
    assert_string_equal(ds->reader, "idx@1");
    assert_true(ds->range_lo == 0 && ds->range_hi == 1 && ds->scale_255);
    check_digest(&ds->sha256, g->digest);
    digest_value first = digest_of(ds->x_u8, 784);
    digest_value last = digest_of(ds->x_u8 + (ds->n - 1) * 784, 784);
    check_digest(&first, g->first);
    check_digest(&last, g->last);
    uint64_t sum = 0;
    for (size_t i = 0; i < ds->n * 784; i++) {
        sum += ds->x_u8[i];
    }
    assert_true(sum == g->pixel_sum);
    size_t histogram[10] = {0};
    for (size_t i = 0; i < ds->n; i++) {
        histogram[ds->label[i]]++;
    }
    assert_memory_equal(histogram, g->histogram, sizeof histogram);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(ds->label[i], g->first_labels[i]);
    }
}

static void check_gather(const dataset *ds) {
    static const uint32_t index[] = {3, 0, 3};
    float *x = mem_zalloc(3 * ds->n_features * sizeof *x);
    dataset_gather(ds, index, 3, x);
    for (size_t k = 0; k < ds->n_features; k++) {
        assert_true(x[k] == (float)ds->x_u8[3 * ds->n_features + k] / 255.0F);
        assert_true(x[ds->n_features + k] == (float)ds->x_u8[k] / 255.0F);
        assert_true(x[2 * ds->n_features + k] == x[k]);
    }
    mem_free(x);
}

static void test_fashion(void **state) {
    for (size_t i = 0; i < COUNT(golden_fashions); i++) {
        dataset *ds = load_real(*state, golden_fashions[i].id);
        if (ds == NULL) {
            skip();
        }
        check_fashion(ds, &golden_fashions[i]);
        check_gather(ds);
        dataset_close(ds);
    }
}

static void check_hmda(const dataset *ds, const golden_hmda *g) {
    assert_int_equal(ds->n, g->n);
    assert_int_equal(ds->n_features, 13);
    assert_string_equal(ds->feature_names[0], "pirat");
    assert_string_equal(ds->feature_names[12], "hschool");
    assert_string_equal(ds->class_names[1], "yes");
    check_digest(&ds->sha256, g->digest);
    const data_column *afam = dataset_column(ds, "afam");
    assert_non_null(afam);
    assert_true(afam->sensitive);
    assert_int_equal(afam->type, COLUMN_CATEGORY);
    assert_string_equal(afam->levels[1], "yes");
    assert_null(dataset_column(ds, "race"));
    size_t denied = 0;
    size_t both = 0;
    double sums[13] = {0};
    for (size_t i = 0; i < ds->n; i++) {
        denied += (size_t)ds->label[i];
        both += (size_t)(ds->label[i] * afam->code[i]);
        for (size_t k = 0; k < 13; k++) {
            sums[k] += (double)ds->x_f32[i * 13 + k];
        }
    }
    assert_int_equal(denied, g->denied);
    assert_int_equal(both, g->denied_afam);
    assert_true(sums[10] == (double)g->afam);
    for (size_t k = 0; k < 13; k++) {
        assert_true(fabs(sums[k] / (double)ds->n - g->means[k]) < 1e-6 * (1 + fabs(g->means[k]))); /* float32 x */
    }
    assert_true(dataset_column(ds, "id")->value[0] == (double)g->first_id);
}

static void test_hmda(void **state) {
    for (size_t i = 0; i < COUNT(golden_hmdas); i++) {
        dataset *ds = load_real(*state, golden_hmdas[i].id);
        assert_non_null(ds); /* stands in the source tree */
        check_hmda(ds, &golden_hmdas[i]);
        float x[13];
        dataset_gather(ds, &(uint32_t){1}, 1, x);
        assert_memory_equal(x, ds->x_f32 + 13, sizeof x);
        dataset_close(ds);
    }
}

/* ---- samples --------------------------------------------------------------------------------------------- */

static void check_limit(const dataset *ds, size_t limit, uint64_t seed) {
    uint32_t *a = mem_zalloc(ds->n * sizeof *a);
    uint32_t *b = mem_zalloc(ds->n * sizeof *b);
    size_t n = dataset_limit(ds, limit, seed, a);
    assert_int_equal(n, limit == 0 || limit > ds->n ? ds->n : limit);
    assert_int_equal(dataset_limit(ds, limit, seed, b), n);
    assert_memory_equal(a, b, n * sizeof *a);
    size_t all[16] = {0};
    size_t got[16] = {0};
    for (size_t i = 0; i < ds->n; i++) {
        all[ds->label[i] + 1]++;
    }
    for (size_t i = 0; i < n; i++) {
        assert_true(a[i] < ds->n && (i == 0 || a[i - 1] < a[i]));
        got[ds->label[a[i]] + 1]++;
    }
    for (size_t k = 0; k <= ds->n_classes; k++) { /* within one of the exact share */
        assert_true(fabs((double)got[k] - (double)n * (double)all[k] / (double)ds->n) < 1.0);
    }
    mem_free(a);
    mem_free(b);
}

static void test_limit(void **state) {
    dataset *ds = load_real(*state, "hmda");
    static const size_t limits[] = {0, 1, 2, 3, 10, 100, 999, 1000, 2379, 2380, 2381, SIZE_MAX};
    for (size_t i = 0; i < COUNT(limits); i++) {
        for (uint64_t seed = 0; seed < 5; seed++) {
            check_limit(ds, limits[i], seed);
        }
    }
    uint32_t *a = mem_zalloc(ds->n * sizeof *a);
    uint32_t *b = mem_zalloc(ds->n * sizeof *b);
    (void)dataset_limit(ds, 100, 1, a);
    (void)dataset_limit(ds, 100, 2, b);
    assert_memory_not_equal(a, b, 100 * sizeof *a);
    mem_free(a);
    mem_free(b);
    dataset_close(ds);
}

/* Every class in turn rare, empty or unlabelled; every limit. */
static void test_limit_small(void **state) {
    (void)state;
    int32_t label[23];
    for (int pattern = 1; pattern < 12; pattern++) {
        for (int i = 0; i < 23; i++) {
            label[i] = i * pattern / 5 % 5 - 1;
        }
        dataset ds = {.n = 23, .label = label, .n_classes = 6};
        for (size_t limit = 0; limit <= 24; limit++) {
            check_limit(&ds, limit, (uint64_t)pattern);
        }
    }
    dataset regression = {.n = 23, .task = TASK_REGRESSION};
    uint32_t index[23];
    assert_int_equal(dataset_limit(&regression, 7, 1, index), 7);
    for (size_t i = 1; i < 7; i++) {
        assert_true(index[i - 1] < index[i] && index[i] < 23);
    }
}

/* A sample is what it is for ever: stored results refer to it. */
static void test_limit_golden(void **state) {
    (void)state;
    int32_t label[20];
    for (int i = 0; i < 20; i++) {
        label[i] = i % 2;
    }
    dataset ds = {.n = 20, .label = label, .n_classes = 2};
    uint32_t index[20];
    assert_int_equal(dataset_limit(&ds, 6, 42, index), 6);
    strbuf b = {0};
    for (size_t i = 0; i < 6; i++) {
        strbuf_addf(&b, "%u ", index[i]);
    }
    assert_string_equal(strbuf_str(&b), "0 5 12 13 14 19 ");
    strbuf_free(&b);
}

static void test_close_null(void **state) {
    (void)state;
    dataset_close(NULL);
    manifest_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fashion, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_hmda, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_limit, fixture_setup, fixture_teardown),
        cmocka_unit_test(test_limit_small),
        cmocka_unit_test(test_limit_golden),
        cmocka_unit_test(test_close_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
