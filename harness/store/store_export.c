/* SPDX-License-Identifier: Apache-2.0
 * Tables and views as CSV (RFC 4180, CRLF) or as a JSON array with one object per line. */
#include <math.h>
#include <string.h>

#include "base/io.h"
#include "base/str.h"
#include "store/store_internal.h"

#define EXPORT_CHUNK (1u << 16) /* bytes gathered before a write */

static void add_hex(strbuf *b, const uint8_t *bytes, size_t n) {
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        char two[2] = {digit[bytes[i] >> 4], digit[bytes[i] & 15]};
        strbuf_addn(b, two, 2);
    }
}

/* A spreadsheet takes text that begins with = + - @ (or a tab or CR before it) for a formula: an apostrophe in front.
 * Only text: numbers stay numbers. */
static void csv_text(strbuf *b, const char *s, size_t n) {
    bool guard = n > 0 && strchr("=+-@\t\r", s[0]) != NULL && s[0] != '\0';
    bool quote = false;
    for (size_t i = 0; i < n && !quote; i++) {
        quote = s[i] == '"' || s[i] == ',' || s[i] == '\n' || s[i] == '\r';
    }
    strbuf_add(b, quote ? "\"" : "");
    strbuf_add(b, guard ? "'" : "");
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '"') {
            strbuf_add(b, "\"");
        }
        strbuf_addn(b, &s[i], 1);
    }
    strbuf_add(b, quote ? "\"" : "");
}

/* Bytes that are not UTF-8 become U+FFFD; < is escaped so that the text may stand inside a script element. */
static void json_text(strbuf *b, const char *s, size_t n) {
    strbuf_add(b, "\"");
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x80) {
            size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
            bool valid = len <= n - i && str_utf8_valid(s + i, len) == len;
            strbuf_addn(b, valid ? s + i : "\xef\xbf\xbd", valid ? len : 3);
            i += valid ? len : 1;
            continue;
        }
        if (c == '"' || c == '\\') {
            strbuf_addf(b, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f || c == '<') {
            strbuf_addf(b, "\\u%04x", c);
        } else {
            strbuf_addn(b, &s[i], 1);
        }
        i++;
    }
    strbuf_add(b, "\"");
}

static void add_value(strbuf *b, sqlite3_stmt *q, int i, bool json) {
    char number[STR_DOUBLE_BYTES];
    int type = sqlite3_column_type(q, i);
    if (type == SQLITE_INTEGER) {
        strbuf_addf(b, "%lld", (long long)sqlite3_column_int64(q, i));
    } else if (type == SQLITE_FLOAT) {
        double v = sqlite3_column_double(q, i);
        strbuf_add(b, json && !isfinite(v) ? "null" : str_from_double(v, number));
    } else if (type == SQLITE_TEXT) {
        const char *text = (const char *)sqlite3_column_text(q, i);
        size_t n = (size_t)sqlite3_column_bytes(q, i);
        (json ? json_text : csv_text)(b, text != NULL ? text : "", text != NULL ? n : 0);
    } else if (type == SQLITE_BLOB) {
        const uint8_t *blob = sqlite3_column_blob(q, i);
        strbuf_add(b, json ? "\"" : "");
        add_hex(b, blob, blob != NULL ? (size_t)sqlite3_column_bytes(q, i) : 0);
        strbuf_add(b, json ? "\"" : "");
    } else if (json) {
        strbuf_add(b, "null");
    }
}

static void add_header(strbuf *b, sqlite3_stmt *q, bool json) {
    if (json) {
        strbuf_add(b, "[");
        return;
    }
    for (int i = 0; i < sqlite3_column_count(q); i++) {
        const char *name = sqlite3_column_name(q, i);
        strbuf_add(b, i > 0 ? "," : "");
        csv_text(b, name != NULL ? name : "", name != NULL ? strlen(name) : 0);
    }
    strbuf_add(b, "\r\n");
}

static void add_row(strbuf *b, sqlite3_stmt *q, bool json, bool first) {
    strbuf_add(b, !json ? "" : first ? "\n{" : ",\n{");
    for (int i = 0; i < sqlite3_column_count(q); i++) {
        strbuf_add(b, i > 0 ? "," : "");
        if (json) {
            const char *name = sqlite3_column_name(q, i);
            json_text(b, name != NULL ? name : "", name != NULL ? strlen(name) : 0);
            strbuf_add(b, ":");
        }
        add_value(b, q, i, json);
    }
    strbuf_add(b, json ? "}" : "\r\n");
}

static status write_out(strbuf *b, int fd, error *err) {
    status st = b->len > 0 ? io_write_all(fd, b->data, b->len, err) : STATUS_OK;
    b->len = 0;
    return st;
}

/* The name is looked up among the tables and views before it gets into SQL. */
static status check_name(store *s, const char *name, error *err) {
    sqlite3_stmt *q = NULL;
    TRY(store_sql_prepare(s,
                          "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'"
                          " ORDER BY type DESC, name",
                          &q, err));
    arena a = {0};
    const char **names = NULL;
    size_t cap = 0, n = 0;
    bool row = false, known = false;
    status st;
    while ((st = store_sql_step(s, q, &row, err)) == STATUS_OK && row) {
        names = mem_grow(names, &cap, n + 1, sizeof *names);
        names[n] = store_column_text(q, 0, &a);
        known = known || strcmp(names[n], name) == 0;
        n++;
    }
    sqlite3_finalize(q);
    if (st == STATUS_OK && !known) {
        strbuf list = {0};
        for (size_t i = 0; i < n; i++) {
            strbuf_addf(&list, "%s%s", i > 0 ? ", " : "", names[i]);
        }
        const char *near = str_nearest(name, names, n);
        st = error_set(err, STATUS_USAGE, "there is no table or view \"%s\"%s%s%s; there are: %s", name,
                       near != NULL ? "; did you mean " : "", near != NULL ? near : "", near != NULL ? "?" : "",
                       strbuf_str(&list));
        strbuf_free(&list);
    }
    mem_free(names);
    arena_free(&a);
    return st;
}

static status export_rows(store *s, sqlite3_stmt *q, bool json, int fd, error *err) {
    strbuf b = {0};
    bool row = false, first = true;
    status st;
    add_header(&b, q, json);
    while ((st = store_sql_step(s, q, &row, err)) == STATUS_OK && row) {
        add_row(&b, q, json, first);
        first = false;
        if (b.len >= EXPORT_CHUNK && (st = write_out(&b, fd, err)) != STATUS_OK) {
            break;
        }
    }
    if (st == STATUS_OK) {
        strbuf_add(&b, json ? "\n]\n" : "");
        st = write_out(&b, fd, err);
    }
    strbuf_free(&b);
    return st;
}

status store_export(store *s, const char *table_or_view, const char *format, int fd, error *err) {
    bool json = strcmp(format, "json") == 0;
    if (!json && strcmp(format, "csv") != 0) {
        return error_set(err, STATUS_USAGE, "the format is \"csv\" or \"json\", not \"%s\"", format);
    }
    TRY(check_name(s, table_or_view, err));
    strbuf sql = {0};
    strbuf_add(&sql, "SELECT * FROM \"");
    for (const char *p = table_or_view; *p != '\0'; p++) {
        strbuf_add(&sql, *p == '"' ? "\"" : "");
        strbuf_addn(&sql, p, 1);
    }
    strbuf_add(&sql, "\"");
    sqlite3_stmt *q = NULL;
    status st = store_sql_prepare(s, strbuf_str(&sql), &q, err);
    strbuf_free(&sql);
    TRY(st);
    st = export_rows(s, q, json, fd, err);
    sqlite3_finalize(q);
    return st;
}
