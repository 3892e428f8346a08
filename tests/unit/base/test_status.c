/* SPDX-License-Identifier: Apache-2.0
 * base/status: the contract of exit codes, and what a hostile name can do to an error text. */
#include "unit/base/check.h"

#include "base/str.h"

static void test_exit_codes(void **state) {
    (void)state;
    static const struct {
        status s;
        const char *name;
        int code;
    } want[] = {{STATUS_OK, "OK", 0},
                {STATUS_GATE, "GATE", 1},
                {STATUS_USAGE, "USAGE", 2},
                {STATUS_INCONCLUSIVE, "INCONCLUSIVE", 3},
                {STATUS_REFUSED, "REFUSED", 4},
                {STATUS_DATA, "DATA", 4},
                {STATUS_MODEL, "MODEL", 5},
                {STATUS_UNSUPPORTED, "UNSUPPORTED", 5},
                {STATUS_IO, "IO", 6},
                {STATUS_MEMORY, "MEMORY", 70},
                {STATUS_INTERNAL, "INTERNAL", 70},
                {STATUS_INTERRUPTED, "INTERRUPTED", 130}};
    assert_int_equal(N_OF(want), STATUS_COUNT);
    for (size_t i = 0; i < N_OF(want); i++) {
        assert_int_equal(status_exit_code(want[i].s), want[i].code);
        assert_string_equal(status_name(want[i].s), want[i].name);
        assert_true(strlen(status_sentence(want[i].s)) > 0);
    }
    assert_int_equal(status_exit_code(STATUS_COUNT), 70);
    assert_int_equal(status_exit_code((status)-1), 70);
    assert_string_equal(status_name((status)-1), "?");
    assert_string_equal(status_sentence((status)99), "unknown status");
}

/* The worse of two is a total order's maximum: idempotent, commutative, associative, and always one of the two. */
static void test_worst(void **state) {
    (void)state;
    static const int order[] = {70, 130, 6, 2, 4, 5, 1, 3, 0};
    for (size_t i = 0; i < N_OF(order); i++) {
        for (size_t j = 0; j < N_OF(order); j++) {
            int w = exit_code_worst(order[i], order[j]);
            assert_int_equal(w, order[i < j ? i : j]);
            for (size_t k = 0; k < N_OF(order); k++) {
                assert_int_equal(exit_code_worst(w, order[k]),
                                 exit_code_worst(order[i], exit_code_worst(order[j], order[k])));
            }
        }
    }
    assert_int_equal(exit_code_worst(99, 98), 70); /* a code that nobody promised is a defect */
}

static void test_set(void **state) {
    (void)state;
    error err = {0};
    assert_int_equal(error_set(&err, STATUS_DATA, "%s:%d: no", "f.csv", 7), STATUS_DATA);
    assert_int_equal(err.code, STATUS_DATA);
    assert_string_equal(err.text, "f.csv:7: no");
    assert_int_equal(error_set(NULL, STATUS_IO, "nobody listens"), STATUS_IO);
    assert_int_equal(error_prefix(&err, "%s: ", "model"), STATUS_DATA);
    assert_string_equal(err.text, "model: f.csv:7: no");
}

static void fill(char *text, size_t n, char c) {
    memset(text, c, n);
    text[n] = '\0';
}

static void test_truncation(void **state) {
    (void)state;
    error err = {0};
    char text[3000];
    for (size_t n = sizeof err.text - 3; n < sizeof err.text + 3; n++) {
        fill(text, n, 'a');
        (void)error_set(&err, STATUS_IO, "%s", text);
        assert_int_equal(strlen(err.text), n < sizeof err.text ? n : sizeof err.text - 1);
    }
    /* a long text gives way to its prefix, a long prefix stands alone */
    assert_int_equal(error_prefix(&err, "PREFIX "), STATUS_IO);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_memory_equal(err.text, "PREFIX aaa", 10);
    fill(text, 2900, 'b');
    assert_int_equal(error_prefix(&err, "%s", text), STATUS_IO);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_null(strchr(err.text, 'a'));
    for (size_t n = sizeof err.text - 6; n < sizeof err.text + 2; n++) {
        (void)error_set(&err, STATUS_IO, "tail");
        fill(text, n, 'c');
        (void)error_prefix(&err, "%s", text);
        assert_int_equal(strlen(err.text), n + 4 < sizeof err.text ? n + 4 : sizeof err.text - 1);
    }
}

/* Where a text is cut in the middle of a character, what remains is UTF-8: texts travel as JSON. */
static void test_stays_utf8(void **state) {
    (void)state;
    error err = {0};
    char text[3000];
    for (size_t lead = 0; lead < 4; lead++) {
        fill(text, lead, 'x');
        while (strlen(text) < 2900) {
            (void)strcat(text, "\xf0\x9f\x98\x80");
        }
        (void)error_set(&err, STATUS_IO, "%s", text);
        assert_int_equal(str_utf8_valid(err.text, strlen(err.text)), strlen(err.text));
        (void)error_prefix(&err, "%.*s", (int)lead, "abc");
        assert_int_equal(str_utf8_valid(err.text, strlen(err.text)), strlen(err.text));
    }
    (void)error_set(&err, STATUS_IO, "%s", "a\xff\xc3(\xe4\xb8\xad\xed\xa0\x80z\xe4\xb8");
    assert_string_equal(err.text, "a?"
                                  "?(\xe4\xb8\xad???z??");
}

static void test_control_characters(void **state) {
    (void)state;
    error err = {0};
    for (int c = 1; c < 128; c++) {
        char name[] = {'a', (char)c, 'b', '\0'};
        (void)error_set(&err, STATUS_DATA, "%s", name);
        bool shown = (c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t';
        assert_int_equal(err.text[1], shown ? c : '?');
        assert_int_equal(err.text[2], 'b');
        (void)error_set(&err, STATUS_DATA, "x");
        (void)error_prefix(&err, "%s", name);
        assert_int_equal(err.text[1], shown ? c : '?');
    }
    /* U+009B is a terminal's CSI in UTF-8 as well; the first printable after the C1 block is U+00A0 */
    (void)error_set(&err, STATUS_DATA, "%s",
                    "a\xc2\x9b"
                    "31mb\xc2\x80\xc2\x9f\xc2\xa0");
    assert_string_equal(err.text, "a??31mb????\xc2\xa0");
}

static status twice(status first, int *n) {
    TRY(first);
    ++*n;
    return STATUS_OK;
}

static void test_try(void **state) {
    (void)state;
    int n = 0;
    assert_int_equal(twice(STATUS_GATE, &n), STATUS_GATE);
    assert_int_equal(n, 0);
    assert_int_equal(twice(STATUS_OK, &n), STATUS_OK);
    assert_int_equal(n, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_codes), cmocka_unit_test(test_worst),      cmocka_unit_test(test_set),
        cmocka_unit_test(test_truncation), cmocka_unit_test(test_stays_utf8), cmocka_unit_test(test_control_characters),
        cmocka_unit_test(test_try),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
