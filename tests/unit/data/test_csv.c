/* SPDX-License-Identifier: Apache-2.0
 * The csv reader: what RFC 4180 allows, and one placed error for what it does not. */
#include "unit/data/fixture.h"

#include <math.h>

#define TABLE "    modality: tabular\n    reader: csv\n    files:\n      - {role: table, path: data.csv}\n"
#define TWO                                                                                                            \
    TABLE "    label_column: y\n    classes: [no, yes]\n    columns:\n"                                                \
          "      - {name: age, type: real, feature: true}\n"                                                           \
          "      - {name: job, type: category, levels: [none, some], feature: true}\n"

static dataset *load(fixture *f, const char *rest, const char *csv) {
    fixture_write_text(f, "data.csv", csv);
    return fixture_load(fixture_record(f, rest));
}

static void refused_bytes(fixture *f, const char *rest, const char *csv, size_t n, const char *part) {
    fixture_write(f, "data.csv", csv, n);
    fixture_refused(fixture_record(f, rest), STATUS_DATA, part);
}

static void refused(fixture *f, const char *rest, const char *csv, const char *part) {
    refused_bytes(f, rest, csv, strlen(csv), part);
}

static void test_plain(void **state) {
    dataset *ds = load(*state, TWO, "age,job,y\r\n31,some,yes\r\n 0.5 ,none,0\r\n");
    assert_true(ds->n == 2 && ds->n_features == 2 && ds->n_dims == 1 && ds->shape[0] == 2);
    assert_true(ds->x_f32[0] == 31 && ds->x_f32[1] == 1 && ds->x_f32[2] == 0.5F && ds->x_f32[3] == 0);
    assert_true(ds->label[0] == 1 && ds->label[1] == 0);
    assert_string_equal(ds->feature_names[1], "job");
    assert_true(isinf(ds->range_lo) && isinf(ds->range_hi));
    const data_column *job = dataset_column(ds, "job");
    assert_true(job->code[0] == 1 && job->n_levels == 2 && job->value == NULL);
    assert_true(dataset_column(ds, "age")->value[1] == 0.5);
    dataset_close(ds);
}

/* One content, many spellings: one digest. */
static void test_spellings(void **state) {
    fixture *f = *state;
    dataset *a = load(f, TWO, "age,job,y\r\n31,some,yes\r\n2,none,no\r\n");
    static const char *const same[] = {
        "age,job,y\n31,some,yes\n2,none,no\n",
        "age,job,y\n31,some,yes\n2,none,no",
        "\xef\xbb\xbf"
        "age,job,y\n31,some,yes\n2,none,no\n",
        "\"age\",\"job\",y\n\"31\",\"some\",\"yes\"\n2,none,no\n",
        "y,extra,job,age\nyes,1,some,31\nno,2,none,2\n",
        "age,job,y\n\n31.0,some,1\n\n\n+2e0,none,0\n\n",
        "age,job,y,note\n31,some,yes,\"a \"\"b\"\"\r\nc,d\"\n2,none,no,\n",
    };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        dataset *b = load(f, TWO, same[i]);
        assert_true(digest_equal(&a->sha256, &b->sha256));
        dataset_close(b);
    }
    dataset_close(a);
}

static void test_places(void **state) {
    fixture *f = *state;
    refused(f, TWO, "age,job,y\n1,none,no\nabc,none,no\n", "data.csv:3: column \"age\": \"abc\" is not a number");
    refused(f, TWO, "note,age,job,y\n\"a\nb\nc\",1,none,no\n\"d\n\",\"x\",none,no\n",
            "data.csv:6: column \"age\": \"x\" is not a number");
    refused(f, TWO, "age,job,y\r\n\r\n1,none,no\r\n\r\n,none,no\r\n",
            "data.csv:5: column \"age\": \"\" is not a number");
    refused(f, TWO, "age,job,y\n1e999,none,no\n", "data.csv:2: column \"age\": \"1e999\" is not a number");
    refused(f, TWO, "age,job,y\ninf,none,no\n", "data.csv:2: column \"age\": \"inf\" is not finite");
    refused(f, TWO, "age,job,y\nnan,none,no\n", "is not a number");
    refused(f, TWO, "age,job,y\n0x10,none,no\n", "is not a number");
    refused(f, TWO, "age,job,y\n1e39,none,no\n", "data.csv:2: column \"age\": \"1e39\" is too large for float32");
    refused(f, TWO, "age,job,y\n1,other,no\n",
            "data.csv:2: column \"job\": \"other\" is not one of the declared levels");
    refused(f, TWO, "age,job,y\n1,none,maybe\n", "data.csv:2: column \"y\": \"maybe\" is none of the declared classes");
    refused(f, TWO, "age,job,y\n1,none,2\n", "data.csv:2: column \"y\": \"2\" is a label outside of 0..1");
    refused(f, TWO, "age,job,y\n1,none,-1\n", "is a label outside of 0..1");
    refused(f, TWO, "age,job,y\n1,none\n", "data.csv:2: 2 cells where the header has 3");
    refused(f, TWO, "age,job,y\n1,none,no,\n", "data.csv:2: 4 cells where the header has 3");
    refused(f, TWO, "age,job,age\n1,none,no\n", "data.csv:1: duplicate column \"age\"");
    refused(f, TWO, "age,jbo,y\n1,none,no\n", "has no column \"job\", did you mean \"jbo\"?");
    refused(f, TWO, "age,job,label\n1,none,no\n", "has no column \"y\"");
}

static void test_malformed(void **state) {
    fixture *f = *state;
    refused(f, TWO, "", "data.csv: empty, not even a header");
    refused(f, TWO, "\n\r\n", "data.csv: empty, not even a header");
    refused(f, TWO, "age,job,y\n", "the dataset \"d\" is empty");
    refused(f, TWO, "age,job,y\n1,\"none,no\n2,some,no\n", "data.csv:2: a quote in this record is never closed");
    refused(f, TWO, "age,job,y\n1,no\"n\"e,no\n", "data.csv:2: malformed quotes");
    refused(f, TWO, "age,job,y\n1,\"no\"ne,no\n", "data.csv:2: malformed quotes");
    refused(f, TWO, "age,job,y\r1,none,no\r", "data.csv:1: a bare carriage return");
    refused(f, TWO, "age,job,y\n1,none,no\r2,none,no\n", "data.csv:2: a bare carriage return");
    refused_bytes(f, TWO, "age,job,y\n1,no\0ne,no\n", 21, "data.csv:2: a NUL byte");
    refused(f, TWO, "age,job,y\n1,none,no\n2,n\xc3,no\n", "data.csv:3: invalid UTF-8");
    refused(f, TWO, "age,job,y\n1,\xed\xa0\x80,no\n", "data.csv:2: invalid UTF-8");
}

static void test_missing(void **state) {
    fixture *f = *state;
    dataset *ds = load(f, TWO "    missing: [\"\", \"NA\"]\n", "age,job,y\n,some,yes\n3,NA,\n");
    assert_true(isnan(ds->x_f32[0]) && ds->x_f32[1] == 1 && ds->x_f32[2] == 3 && isnan(ds->x_f32[3]));
    assert_true(ds->label[0] == 1 && ds->label[1] == -1);
    assert_true(isnan(dataset_column(ds, "age")->value[0]) && dataset_column(ds, "job")->code[1] == -1);
    dataset_close(ds);
    refused(f, TWO "    missing: [\"\"]\n", "age,job,y\nNA,some,yes\n", "\"NA\" is not a number");
}

static void test_encodings(void **state) {
    fixture *f = *state;
    dataset *ds =
        load(f,
             TABLE "    label_column: y\n    classes: [a, b]\n    columns:\n"
                   "      - {name: size, type: category, levels: [S, M, L], codes: [36, 40, 44.5], feature: true}\n"
                   "      - {name: town, type: category}\n",
             "town,size,y\nUlm,L,a\nBonn,S,b\nUlm,M,a\n");
    assert_true(ds->n_features == 1);
    assert_true(ds->x_f32[0] == 44.5F && ds->x_f32[1] == 36 && ds->x_f32[2] == 40);
    const data_column *town = dataset_column(ds, "town"); /* found levels are sorted */
    assert_true(town->n_levels == 2 && town->code[0] == 1 && town->code[1] == 0 && town->code[2] == 1);
    assert_string_equal(town->levels[0], "Bonn");
    dataset_close(ds);
    fixture_refused(fixture_record(f, TABLE "    columns:\n      - {name: town, type: category}\n"), STATUS_USAGE,
                    "no column is a feature");
}

static void test_splits_rows_ids(void **state) {
    fixture *f = *state;
    static const char csv[] = "id,x,y,part\nq,1,0,test\nr,2,1,train\ns,3,0,test\nt,4,1,test\n";
#define SPLIT                                                                                                          \
    TABLE "    label_column: y\n    classes: [a, b]\n    split_column: part\n    id_column: id\n    columns:\n"        \
          "      - {name: x, type: real, feature: true}\n"
    dataset *ds = load(f, SPLIT "    split: test\n", csv);
    assert_true(ds->n == 3 && ds->x_f32[0] == 1 && ds->x_f32[1] == 3 && ds->x_f32[2] == 4);
    dataset_close(ds);
    ds = load(f, SPLIT "    split: test\n    rows: {first: 1, count: 1}\n", csv);
    assert_true(ds->n == 1 && ds->x_f32[0] == 3);
    dataset_close(ds);
    refused(f, SPLIT "    split: test\n    rows: {first: 1, count: 3}\n", csv, "keeps rows 1 to 4");
    refused(f, SPLIT "    split: valid\n", csv, "no row has \"valid\" in the column \"part\"");
    refused(f, SPLIT "    split: test\n", "id,x,y,part\nq,1,0,test\nq,2,1,test\n", "the id \"q\" stands twice");
    refused(f, SPLIT "    split: test\n", "id,x,y,part\n,1,0,test\n", "data.csv:2: column \"id\": \"\" is no id");
    refused(f, SPLIT "    split: test\n", "idd,x,y,part\nq,1,0,test\n", "has no column \"id\", did you mean \"idd\"?");
}

static void test_regression_and_unlabelled(void **state) {
    fixture *f = *state;
    dataset *ds = load(f,
                       TABLE "    task: regression\n    label_column: y\n    columns:\n"
                             "      - {name: x, type: real, feature: true}\n",
                       "x,y\n1,2.5\n2,-3\n");
    assert_true(ds->label == NULL && ds->target[0] == 2.5 && ds->target[1] == -3);
    dataset_close(ds);
    ds = load(f, TABLE "    columns:\n      - {name: x, type: real, feature: true}\n", "x\n1\n2\n");
    assert_true(ds->n == 2 && ds->label[0] == -1 && ds->n_classes == 0);
    dataset_close(ds);
    fixture_refused(
        fixture_record(f, TABLE "    task: regression\n    columns:\n      - {name: x, type: real, feature: true}\n"),
        STATUS_USAGE, "a regression needs targets");
    refused(f,
            TABLE "    task: regression\n    label_column: y\n    missing: [NA]\n    columns:\n"
                  "      - {name: x, type: real, feature: true}\n",
            "x,y\n1,NA\n", "the target is not finite");
}

static void test_record_mistakes(void **state) {
    fixture *f = *state;
    fixture_write_text(f, "data.csv", "age,job,y\n1,none,no\n");
    fixture_refused(fixture_record(f, TWO "    shape: [3]\n"), STATUS_USAGE,
                    "\"shape\" does not match the 2 feature columns");
    fixture_refused(fixture_record(f, TWO "    scale_255: true\n"), STATUS_USAGE, "scale_255");
    fixture_refused(fixture_record(f, TWO "    range: [0.5, 3]\n"), STATUS_DATA,
                    "example 0, feature \"job\": outside of the declared range");
    fixture_refused(fixture_record(f, TWO "    range: [2, 3]\n"), STATUS_DATA,
                    "data.csv:2: column \"age\": \"1\" is outside of the declared range");
}

/* Many blank lines under a wide header must not cost lines x columns. */
static void test_wide_and_long(void **state) {
    fixture *f = *state;
    strbuf b = {0};
    strbuf_add(&b, "x");
    for (int i = 0; i < 100000; i++) {
        strbuf_addf(&b, ",c%d", i);
    }
    for (int i = 0; i < 500000; i++) {
        strbuf_add(&b, "\n");
    }
    refused(f, TABLE "    columns:\n      - {name: x, type: real, feature: true}\n", strbuf_str(&b), "is empty");
    strbuf_free(&b);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_plain),           TEST(test_spellings),
        TEST(test_places),          TEST(test_malformed),
        TEST(test_missing),         TEST(test_encodings),
        TEST(test_splits_rows_ids), TEST(test_regression_and_unlabelled),
        TEST(test_record_mistakes), TEST(test_wide_and_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
