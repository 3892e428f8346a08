/* SPDX-License-Identifier: Apache-2.0
 * base/str: numbers that no locale bends, UTF-8 as RFC 3629 has it, widths, suggestions. */
#include "unit/base/check.h"

#include <float.h>
#include <locale.h>
#include <math.h>

#include "base/rng.h"
#include "base/str.h"

static void test_strbuf(void **state) {
    (void)state;
    strbuf b = {0};
    assert_string_equal(strbuf_str(&b), "");
    strbuf_addf(&b, "%s", "");
    assert_string_equal(strbuf_str(&b), "");
    strbuf_add(&b, "");
    assert_string_equal(strbuf_str(&b), "");
    size_t len = 0;
    for (int i = 0; i < 2000; i++) {
        strbuf_addf(&b, "%d,", i);
        strbuf_add(&b, "x");
        strbuf_addn(&b, "yz", 1);
        assert_int_equal(strlen(b.data), b.len);
        assert_true(b.len > len && b.cap > b.len);
        len = b.len;
    }
    assert_memory_equal(b.data, "0,xy1,xy", 8);
    strbuf_addn(&b, "\0z", 2);
    assert_int_equal(b.len, len + 2);
    assert_int_equal(b.data[b.len], 0);
    strbuf_free(&b);
    assert_int_equal(b.len, 0);
    strbuf_free(&b);
}

static void test_to_double(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double v;
    } good[] = {{"0", 0},      {"-0", -0.0},       {"1", 1},
                {"+1", 1},     {"1.5", 1.5},       {".5", 0.5},
                {"5.", 5},     {"1e3", 1000},      {"1E-3", 1e-3},
                {"1e+2", 100}, {"5e-324", 5e-324}, {"2e-310", 2e-310},
                {"1e-400", 0}, {"inf", INFINITY},  {"-inf", -INFINITY},
                {"007", 7},    {"0.1", 0.1},       {"1.7976931348623157e308", DBL_MAX}};
    for (size_t i = 0; i < N_OF(good); i++) {
        double v = 99;
        if (!str_to_double(good[i].text, &v) || memcmp(&v, &good[i].v, sizeof v) != 0) {
            fail_msg("\"%s\" read as %a, not %a", good[i].text, v, good[i].v);
        }
    }
    static const char *const bad[] = {"",
                                      " ",
                                      "1 ",
                                      " 1",
                                      "1\n",
                                      "\t1",
                                      "\v1",
                                      "\f1",
                                      "\r1",
                                      "nan",
                                      "-nan",
                                      "NAN",
                                      "nan(1)",
                                      "0x10",
                                      "0X1p3",
                                      "1p3",
                                      "1e400",
                                      "-1e400",
                                      "1,5",
                                      "1.5.",
                                      "1e",
                                      "e5",
                                      "--1",
                                      "+-1",
                                      ".",
                                      "abc",
                                      "1_000",
                                      "1e5x",
                                      "1 2",
                                      "i",
                                      "in",
                                      "infx",
                                      "\xc2\xa0"
                                      "1",
                                      "1\xc2\xa0"};
    for (size_t i = 0; i < N_OF(bad); i++) {
        double v = 99;
        if (str_to_double(bad[i], &v) || v != 99) {
            fail_msg("\"%s\" read as %a", bad[i], v);
        }
    }
}

static void test_to_i64(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t v;
    } good[] = {{"0", 0},
                {"-0", 0},
                {"+7", 7},
                {"010", 10},
                {"9223372036854775807", INT64_MAX},
                {"-1", -1},
                {"42", 42},
                {"-9223372036854775808", INT64_MIN}};
    for (size_t i = 0; i < N_OF(good); i++) {
        int64_t v = 99;
        assert_true(str_to_i64(good[i].text, &v));
        assert_true(v == good[i].v);
    }
    static const char *const bad[] = {"",
                                      " ",
                                      " 1",
                                      "1 ",
                                      "\v1",
                                      "\f1",
                                      "1.0",
                                      "1e3",
                                      "0x1",
                                      "abc",
                                      "1,0",
                                      "--1",
                                      "+",
                                      "-",
                                      "9223372036854775808",
                                      "-9223372036854775809"};
    for (size_t i = 0; i < N_OF(bad); i++) {
        int64_t v = 99;
        if (str_to_i64(bad[i], &v) || v != 99) {
            fail_msg("\"%s\" read as %lld", bad[i], (long long)v);
        }
    }
}

static void test_to_bool(void **state) {
    (void)state;
    static const char *const yes[] = {"true", "yes", "on", "1", "TRUE", "Yes"};
    static const char *const no[] = {"false", "no", "off", "0", "FALSE"};
    static const char *const neither[] = {"", "2", "y", "t", "true ", " on", "truee", "null"};
    bool b = false;
    for (size_t i = 0; i < N_OF(yes); i++) {
        assert_true(str_to_bool(yes[i], &b) && b);
    }
    for (size_t i = 0; i < N_OF(no); i++) {
        assert_true(str_to_bool(no[i], &b) && !b);
    }
    for (size_t i = 0; i < N_OF(neither); i++) {
        assert_false(str_to_bool(neither[i], &b));
    }
}

static void reads_back(double v) {
    char text[STR_DOUBLE_BYTES];
    double back = 0;
    assert_ptr_equal(str_from_double(v, text), text);
    assert_true(strlen(text) < STR_DOUBLE_BYTES);
    if (!str_to_double(text, &back) || memcmp(&back, &v, sizeof v) != 0) {
        fail_msg("%a became \"%s\" and then %a", v, text, back);
    }
}

static void test_from_double(void **state) {
    (void)state;
    char text[STR_DOUBLE_BYTES];
    assert_string_equal(str_from_double((double)NAN, text), "nan");
    assert_string_equal(str_from_double((double)INFINITY, text), "inf");
    assert_string_equal(str_from_double(-(double)INFINITY, text), "-inf");
    rng r = rng_at(1, "test-str@1", 0, 0, 0);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = rng_u64(&r);
        double v = 0;
        memcpy(&v, &bits, sizeof v);
        if (isfinite(v)) {
            reads_back(v);
        }
    }
    for (int e = -1074; e < 1024; e++) { /* powers of two: the interval below is half as wide */
        reads_back(ldexp(1, e));
        reads_back(nextafter(ldexp(1, e), 0));
    }
    for (int i = 0; i < 2000; i++) {
        reads_back((double)(rng_u64(&r) >> (i % 64)));
    }
}

/* The form is that of Python's repr without ".0". */
static void test_from_double_golden(void **state) {
    (void)state;
    FILE *f = golden_open("double.csv");
    unsigned long long bits = 0;
    char want[64];
    size_t n = 0;
    for (; fscanf(f, "%llx,%63s\n", &bits, want) == 2; n++) {
        double v = 0;
        memcpy(&v, &bits, sizeof v);
        char got[STR_DOUBLE_BYTES];
        assert_string_equal(str_from_double(v, got), want);
    }
    (void)fclose(f);
    assert_int_equal(n, 400);
}

static void test_locale(void **state) {
    (void)state;
    static const char *const commas[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8", "de_DE", "fr_FR"};
    size_t i = 0;
    while (i < N_OF(commas) && setlocale(LC_ALL, commas[i]) == NULL) {
        i++;
    }
    if (i == N_OF(commas) || strcmp(localeconv()->decimal_point, ",") != 0) {
        (void)setlocale(LC_ALL, "C");
        skip();
    }
    double v = 0;
    bool point = str_to_double("1.5", &v);
    bool comma = str_to_double("1,5", &v);
    char text[STR_DOUBLE_BYTES];
    (void)str_from_double(0.25, text);
    const char *still = localeconv()->decimal_point; /* and the caller's locale is left as it was */
    bool kept = strcmp(still, ",") == 0;
    (void)setlocale(LC_ALL, "C");
    assert_true(point && v == 1.5 && !comma && kept);
    assert_string_equal(text, "0.25");
}

static void test_utf8(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t valid;
    } rows[] = {{"", 0},
                {"abc", 3},
                {"\x7f", 1},
                {"\xc2\x80", 2},                 /* U+0080, the first of two bytes */
                {"\xdf\xbf", 2},                 /* U+07FF */
                {"\xe0\xa0\x80", 3},             /* U+0800 */
                {"\xed\x9f\xbf", 3},             /* U+D7FF, the last before the surrogates */
                {"\xee\x80\x80", 3},             /* U+E000 */
                {"\xef\xbf\xbf", 3},             /* U+FFFF */
                {"\xf0\x90\x80\x80", 4},         /* U+10000 */
                {"\xf4\x8f\xbf\xbf", 4},         /* U+10FFFF */
                {"\xf4\x90\x80\x80", 0},         /* U+110000 */
                {"\xf5\x80\x80\x80", 0},         /* beyond */
                {"\xff", 0},                     /* never a byte of UTF-8 */
                {"\xfe", 0},                     /* never */
                {"\x80", 0},                     /* a continuation alone */
                {"\xbf", 0},                     /* a continuation alone */
                {"\xc0\x80", 0},                 /* overlong NUL */
                {"\xc1\xbf", 0},                 /* overlong DEL */
                {"\xe0\x80\x80", 0},             /* overlong */
                {"\xe0\x9f\xbf", 0},             /* overlong U+07FF */
                {"\xf0\x80\x80\x80", 0},         /* overlong */
                {"\xf0\x8f\xbf\xbf", 0},         /* overlong U+FFFF */
                {"\xed\xa0\x80", 0},             /* U+D800 */
                {"\xed\xbf\xbf", 0},             /* U+DFFF */
                {"\xed\xa0\xbd\xed\xb8\x80", 0}, /* CESU-8 */
                {"a\xc3", 1},                    /* cut */
                {"a\xe4\xb8", 1},                /* cut */
                {"a\xf0\x9f\x98", 1},            /* cut */
                {"a\xc3(", 1},                   /* no continuation */
                {"\xe4\xb8(", 0},                /* no continuation */
                {"\xf0\x9f\x98(", 0},            /* no continuation */
                {"a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80z", 11}};
    for (size_t i = 0; i < N_OF(rows); i++) {
        /* in a block of its own size, so that ASan sees a byte read too many */
        size_t n = strlen(rows[i].bytes);
        char *exact = malloc(n + (n == 0));
        assert_non_null(exact);
        memcpy(exact, rows[i].bytes, n);
        size_t got = str_utf8_valid(exact, n);
        free(exact);
        if (got != rows[i].valid) {
            fail_msg("row %zu: %zu valid bytes, not %zu", i, got, rows[i].valid);
        }
    }
    assert_int_equal(str_utf8_valid("a\0b", 3), 3); /* NUL is a character; length decides */
}

/* Every code point by its own encoding, and every pair of bytes by a table of RFC 3629's first lines. */
static void test_utf8_all(void **state) {
    (void)state;
    size_t n_valid = 0;
    for (uint32_t cp = 0x800; cp < 0x120000; cp++) {
        char s[4];
        size_t n = cp < 0x10000 ? 3 : 4;
        for (size_t i = n; i-- > 1;) {
            s[i] = (char)(0x80 | (cp >> (6 * (n - 1 - i)) & 0x3f));
        }
        s[0] = (char)(n == 3 ? 0xe0 | cp >> 12 : 0xf0 | cp >> 18);
        n_valid += str_utf8_valid(s, n) == n;
    }
    assert_int_equal(n_valid, 0x110000 - 0x800 - 0x800);
    for (unsigned a = 0x80; a < 0x100; a++) {
        for (unsigned b = 0; b < 0x100; b++) {
            const char s[] = {(char)a, (char)b};
            bool valid = a >= 0xc2 && a <= 0xdf && b >= 0x80 && b <= 0xbf;
            assert_int_equal(str_utf8_valid(s, 2), valid ? 2 : 0);
        }
    }
}

static void test_width(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t w;
    } rows[] = {{"", 0},
                {"abc", 3},
                {"caf\xc3\xa9", 4},
                {"cafe\xcc\x81", 4}, /* combining acute */
                {"\xe4\xb8\xad\xe6\x96\x87", 4},
                {"\xea\xb0\x80", 2},     /* Hangul */
                {"\xef\xbc\xa1", 2},     /* full-width A */
                {"\xf0\x9f\x98\x80", 2}, /* emoji */
                {"\xe2\x94\x80", 1},     /* box drawing */
                {"\xc2\xb7", 1},         /* middle dot */
                {"a\xe2\x80\x8b"
                 "b",
                 2},             /* zero-width space */
                {"\xff\xfe", 2}, /* not UTF-8: one column per byte */
                {"\xe4\xb8", 2}};
    for (size_t i = 0; i < N_OF(rows); i++) {
        assert_int_equal(str_width(rows[i].text), rows[i].w);
    }
}

static void test_nearest(void **state) {
    (void)state;
    static const char *const words[] = {"accuracy", "latency", "ood", "adversarial", "bias"};
    assert_string_equal(str_nearest("acuracy", words, 5), "accuracy");
    assert_string_equal(str_nearest("latnecy", words, 5), "latency"); /* a swap costs one */
    assert_string_equal(str_nearest("bais", words, 5), "bias");
    assert_string_equal(str_nearest("ood", words, 5), "ood");
    assert_null(str_nearest("throughput", words, 5));
    assert_null(str_nearest("", words, 5));
    assert_null(str_nearest("ood", NULL, 0));
    char long_word[300];
    memset(long_word, 'a', sizeof long_word - 1);
    long_word[sizeof long_word - 1] = '\0';
    const char *const long_words[] = {long_word};
    assert_null(str_nearest(long_word, words, 5));
    assert_null(str_nearest("aaaa", long_words, 1));
    long_word[63] = '\0'; /* the longest that is looked at */
    assert_ptr_equal(str_nearest(long_word, long_words, 1), long_word);
    static const char *const ties[] = {"mat", "cat"};
    assert_string_equal(str_nearest("bat", ties, 2), "mat"); /* the first of equals: deterministic */
}

static void test_hex(void **state) {
    (void)state;
    const uint8_t bytes[] = {0x00, 0x0f, 0xf0, 0xff, 0x5a};
    char text[2 * sizeof bytes + 1];
    str_hex(bytes, sizeof bytes, text);
    assert_string_equal(text, "000ff0ff5a");
    str_hex(bytes, 0, text);
    assert_string_equal(text, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strbuf),  cmocka_unit_test(test_to_double),   cmocka_unit_test(test_to_i64),
        cmocka_unit_test(test_to_bool), cmocka_unit_test(test_from_double), cmocka_unit_test(test_from_double_golden),
        cmocka_unit_test(test_locale),  cmocka_unit_test(test_utf8),        cmocka_unit_test(test_utf8_all),
        cmocka_unit_test(test_width),   cmocka_unit_test(test_nearest),     cmocka_unit_test(test_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
