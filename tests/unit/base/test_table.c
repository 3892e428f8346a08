/* SPDX-License-Identifier: Apache-2.0
 * base/table: columns by their widest cell, hostile cells, no blanks at the ends of lines. */
#include "unit/base/check.h"

#include "base/table.h"

static void renders(const table *t, const char *want) {
    strbuf b = {0};
    table_render(t, &b);
    assert_string_equal(strbuf_str(&b), want);
    strbuf_free(&b);
}

static void row(table *t, const char *a, const char *b, const char *c) {
    const char *cells[] = {a, b, c};
    table_row(t, cells);
}

static void test_align(void **state) {
    (void)state;
    table *t = table_new("lrl");
    renders(t, "");
    row(t, "model", "n", "note");
    table_rule(t);
    row(t, "cnn", "10000", NULL);
    row(t, "a-long-name", "7", "x");
    row(t, "", "", "");
    row(t, NULL, NULL, "last");
    renders(t, "model            n  note\n"
               "────────────────────────\n"
               "cnn          10000\n"
               "a-long-name      7  x\n"
               "\n"
               "                    last\n");
    table_free(t);
    table_free(NULL);
}

static void test_utf8(void **state) {
    (void)state;
    table *t = table_new("lr");
    const char *rows[][2] = {{"\xe4\xb8\xad\xe6\x96\x87", "1"}, {"caf\xc3\xa9", "22"}, {"cafe\xcc\x81", "333"}};
    for (size_t i = 0; i < 3; i++) {
        table_row(t, rows[i]);
    }
    renders(t, "\xe4\xb8\xad\xe6\x96\x87    1\ncaf\xc3\xa9   22\ncafe\xcc\x81  333\n");
    table_free(t);
}

/* A cell is one line of printable UTF-8, whatever it came from; it was copied when it was added. */
static void test_hostile(void **state) {
    (void)state;
    table *t = table_new("ll");
    char cell[] = "a\nb\tc\x1b[31md\x7f";
    const char *cells[] = {cell, "|"};
    table_row(t, cells);
    memset(cell, 'x', sizeof cell - 1);
    const char *bytes[] = {"\xc2\x9b"
                           "1m\xff\xed\xa0\x80",
                           "|"};
    table_row(t, bytes);
    renders(t, "a?b?c?[31md?  |\n"
               "??1m????      |\n");
    table_free(t);
}

static void test_many(void **state) {
    (void)state;
    table *t = table_new("r");
    for (int i = 0; i < 1000; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", i);
        const char *cells[] = {text};
        table_row(t, cells);
    }
    strbuf b = {0};
    table_render(t, &b);
    assert_int_equal(b.len, 4000);
    assert_memory_equal(b.data, "  0\n  1\n", 8);
    strbuf_free(&b);
    table_free(t);
    t = table_new("");
    table_row(t, NULL);
    renders(t, "\n");
    table_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_align),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
