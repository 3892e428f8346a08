/* SPDX-License-Identifier: Apache-2.0
 * json_valid() for our connections. SQLite 3.40.1 takes its own for unsafe in a schema that is not trusted ("unsafe
 * use of json_valid()", although it is harmless), and trusted_schema is off everywhere. Other programs use theirs. */
#include <jansson.h>

#include "store/store_internal.h"

static void json_valid(sqlite3_context *context, int n, sqlite3_value **value) {
    (void)n; /* one, as registered */
    if (sqlite3_value_type(value[0]) == SQLITE_NULL) {
        sqlite3_result_null(context);
        return;
    }
    const char *text = (const char *)sqlite3_value_text(value[0]);
    size_t n_bytes = (size_t)sqlite3_value_bytes(value[0]);
    json_t *json = text != NULL ? json_loadb(text, n_bytes, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
    sqlite3_result_int(context, json != NULL);
    json_decref(json);
}

int store_json_register(sqlite3 *db) {
    return sqlite3_create_function_v2(db, "json_valid", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, NULL,
                                      json_valid, NULL, NULL, NULL);
}
