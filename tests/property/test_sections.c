/* SPDX-License-Identifier: Apache-2.0
 * What every report section and every format must hold: they render on empty, one-run and two-run stores, on hostile
 * names, twice the same, and nothing of a name reaches a format unescaped. */
#include "unit/run/judged_fixture.h"

#include <ctype.h>
#include <jansson.h>

#include "reports/report.h"

/* Names under an attacker's control. */
static const char *const hostile[] = {
    "<script>alert(1)</script>",
    "a|b`c*d_e[f](http://x)",
    "\x1b[31mred\x07",
    "\xff\xfe not UTF-8 \xc3",
    "\xe2\x80\xae txt.exe",
    "# - 1. heading\nnew line\r|---|",
    "![x](http://x) @everyone $x$ &amp; \\",
    "\xc2\x9b[31m C1",
    "a,b=c\\,d",
    "--help",
};
enum { N_HOSTILE = sizeof hostile / sizeof hostile[0] };

/* As a JSON list; names that JSON cannot hold are left as they are (a broken dataset_json must not break a report). */
static void names_json(char *out, size_t capacity, size_t i) {
    json_t *list = json_array();
    for (size_t k = 0; k < FX_CLASSES; k++) {
        arena a = {0};
        (void)json_array_append_new(list, json_string(doc_utf8(&a, hostile[(i + k) % N_HOSTILE])));
        arena_free(&a);
    }
    char *text = json_dumps(list, JSON_COMPACT);
    (void)snprintf(out, capacity, "%s", text);
    free(text);
    json_decref(list);
}

static int64_t hostile_run(fx *f) {
    const int64_t run = fx_run(f, hostile[1], 1, true);
    for (size_t i = 0; i < N_HOSTILE; i++) {
        char names[700];
        names_json(names, sizeof names, i);
        fx_add(f, run,
               &(fx_item){.model = hostile[i],
                          .variant_of = i > 0 ? hostile[i - 1] : NULL,
                          .dataset = hostile[(i / 2) % N_HOSTILE],
                          .class_names_json = names,
                          .n = 40,
                          .wrong_every = 5 + (int64_t)i,
                          .end = i == 3 ? OUTCOME_FAILED : OUTCOME_NONE,
                          .reason = i == 3 ? hostile[5] : NULL});
    }
    fx_judge(f, run);
    fx_end(f, run);
    return run;
}

static void check_text(const char *s) {
    assert_int_equal(str_utf8_valid(s, strlen(s)), strlen(s));
    assert_null(strstr(s, "\xe2\x80\xae"));
    assert_null(strstr(s, "\xc2\x9b"));
    for (; *s != '\0'; s++) {
        assert_true((unsigned char)*s >= 0x20 && *s != 0x7f);
    }
}

static void check_doc(const report_doc *doc) {
    size_t n = 0;
    const doc_block *b = doc_blocks(doc, &n);
    for (size_t i = 0; i < n; i++) {
        if (b[i].text != NULL) {
            check_text(b[i].text);
        }
        const size_t width = b[i].kind == DOC_TABLE ? b[i].n_columns : 2;
        for (size_t r = 0; r < b[i].n_rows; r++) {
            for (size_t j = 0; j < width; j++) {
                check_text(b[i].rows[r][j]);
            }
        }
        assert_true(b[i].kind != DOC_HEADING || (b[i].level >= 1 && b[i].level <= 3));
    }
}

static size_t bars(const char *line, size_t n) {
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (line[i] == '\\') {
            i++;
        } else {
            k += line[i] == '|' ? 1 : 0;
        }
    }
    return k;
}

/* No HTML, no link, no mention; every row of a table has as many cells as its head. */
static void check_markdown(const char *s) {
    size_t columns = 0;
    while (*s != '\0') {
        const size_t n = strcspn(s, "\n");
        columns = s[0] != '|' ? 0 : columns == 0 ? bars(s, n) : columns;
        assert_int_equal(bars(s, n), columns);
        for (size_t i = 0; i < n; i++) {
            assert_true(strchr("<@$\t\r", s[i]) == NULL);
            assert_true(s[i] != '>' || i == 0);
            assert_true((s[i] != '[' && s[i] != '`') || (i > 0 && s[i - 1] == '\\'));
        }
        s += n + (s[n] == '\n' ? 1 : 0);
    }
}

static void check_terminal(const char *s) {
    assert_int_equal(str_utf8_valid(s, strlen(s)), strlen(s));
    for (; *s != '\0'; s++) {
        assert_true(*s == '\n' || ((unsigned char)*s >= 0x20 && *s != 0x7f));
        assert_false(*s == ' ' && s[1] == '\n');
    }
}

static void check_json(const char *s) {
    json_error_t e;
    json_t *root = json_loads(s, JSON_REJECT_DUPLICATES, &e);
    if (root == NULL) {
        fail_msg("%s at %d", e.text, e.position);
    }
    json_decref(root);
}

static void check_format(const renderer *r, const report_data *d) {
    strbuf one = {0};
    strbuf two = {0};
    FX_OK(report_render(d, r->info.id, &one, &err));
    FX_OK(report_render(d, r->info.id, &two, &err));
    assert_string_equal(strbuf_str(&one), strbuf_str(&two));
    if (d->run.limited) { /* the stamp is in every format */
        assert_true(strstr(strbuf_str(&one), "LIMITED RUN") != NULL ||
                    strstr(strbuf_str(&one), "\"limited\": true") != NULL);
    }
    const bool known =
        strcmp(r->info.id, "md") == 0 || strcmp(r->info.id, "terminal") == 0 || strcmp(r->info.id, "json") == 0;
    if (!known) {
        fail_msg("format \"%s\" has no check in tests/property/test_sections.c", r->info.id);
    }
    (strcmp(r->info.id, "md") == 0     ? check_markdown
     : strcmp(r->info.id, "json") == 0 ? check_json
                                       : check_terminal)(strbuf_str(&one));
    strbuf_free(&one);
    strbuf_free(&two);
}

static void check_all(fx *f, int64_t run) {
    arena a = {0};
    report_data d = {0};
    FX_OK(report_load(f->s, run, &a, &d, &err));
    size_t n = 0;
    const section *const *sections = section_all(&n);
    for (size_t i = 0; i < n && !d.empty; i++) {
        report_doc *doc = doc_new();
        FX_OK(sections[i]->render(&d, doc, &err));
        check_doc(doc);
        doc_free(doc);
    }
    const renderer *const *renderers = renderer_all(&n);
    for (size_t i = 0; i < n; i++) {
        check_format(renderers[i], &d);
    }
    strbuf b = {0};
    FX_OK(report_print_summary(f->s, run, &b, &err));
    check_terminal(strbuf_str(&b));
    strbuf_free(&b);
    arena_free(&a);
}

static void registries(void **state) {
    (void)state;
    size_t n = 0;
    const section *const *s = section_all(&n);
    assert_true(n >= 5);
    for (size_t i = 0; i < n; i++) {
        assert_true(section_find(s[i]->info.id) == s[i] && s[i]->info.summary[0] != '\0' && s[i]->info.version >= 1);
    }
    const renderer *const *r = renderer_all(&n);
    assert_true(n >= 3);
    for (size_t i = 0; i < n; i++) {
        assert_true(renderer_find(r[i]->info.id) == r[i] && r[i]->info.summary[0] != '\0' &&
                    r[i]->extension[0] != '\0');
    }
    assert_null(section_find("no such section"));
    assert_null(renderer_find("no such format"));
}

static void empty(void **state) {
    fx *f = *state;
    check_all(f, 0);
    check_all(f, fx_run(f, "no items", 1, false));
}

static void one_and_two_runs(void **state) {
    fx *f = *state;
    const int64_t one = fx_run(f, "one", 1, false);
    fx_add(f, one, &(fx_item){.model = "m", .dataset = "d", .n = 30, .wrong_every = 4});
    check_all(f, one); /* before it was judged */
    fx_judge(f, one);
    check_all(f, one);
    const int64_t two = fx_run(f, "two", 1, true);
    fx_add(f, two, &(fx_item){.model = "m", .dataset = "d", .n = 30, .wrong_every = 4});
    fx_add(f, two, &(fx_item){.model = "v", .variant_of = "m", .dataset = "d", .n = 30, .wrong_every = 5});
    fx_judge(f, two);
    fx_end(f, two);
    check_all(f, one);
    check_all(f, two);
}

static void hostile_names(void **state) {
    fx *f = *state;
    const int64_t run = hostile_run(f);
    check_all(f, run);
    arena a = {0};
    compare_set set = {0};
    const compare_options o = {0};
    store_run_row row = {0};
    FX_OK(store_run_get(f->s, "latest", &a, &row, &err));
    FX_OK(compare_variants(f->s, &row, &o, &a, &set, &err));
    assert_true(set.n > 0);
    strbuf b = {0};
    FX_OK(report_render_compare(&set, "md", &b, &err));
    check_markdown(strbuf_str(&b));
    strbuf_free(&b);
    FX_OK(report_render_compare(&set, "json", &b, &err));
    check_json(strbuf_str(&b));
    strbuf_free(&b);
    arena_free(&a);
}

/* Every pair of bytes, alone and inside text, comes out as clean UTF-8. */
static void cleaning(void **state) {
    (void)state;
    for (int x = 1; x < 256; x++) {
        arena a = {0};
        for (int y = 1; y < 256; y++) {
            const char s[] = {'a', (char)x, (char)y, 'b', '\0'};
            check_text(doc_clean(&a, s));
            const char *u = doc_utf8(&a, s + 1);
            assert_int_equal(str_utf8_valid(u, strlen(u)), strlen(u));
        }
        arena_free(&a);
    }
    arena a = {0};
    assert_string_equal(doc_clean(&a, "é \xe6\xbc\xa2 ok"), "é \xe6\xbc\xa2 ok");
    assert_string_equal(doc_clean(&a, "a\nb\tc\x1b"), "a b c?");
    assert_string_equal(doc_clean(&a, "\xe2\x80"), "??");
    assert_string_equal(doc_clean(&a, NULL), "");
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registries),
        cmocka_unit_test(cleaning),
        cmocka_unit_test_setup_teardown(empty, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(one_and_two_runs, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(hostile_names, fx_setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
