/* SPDX-License-Identifier: Apache-2.0 */
#include "run/params.h"

#include "base/str.h"

static void scalar_text(const json_t *v, strbuf *b) {
    char num[STR_DOUBLE_BYTES];
    if (json_is_string(v)) {
        strbuf_add(b, json_string_value(v));
    } else if (json_is_integer(v)) {
        strbuf_addf(b, "%lld", (long long)json_integer_value(v));
    } else if (json_is_real(v)) {
        strbuf_add(b, str_from_double(json_real_value(v), num));
    } else if (json_is_boolean(v)) {
        strbuf_add(b, json_is_true(v) ? "true" : "false");
    }
}

status params_from_json(const info *i, const json_t *object, void *block, arena *a, error *err) {
    params_default(i, block, a);
    const char *name = NULL;
    json_t *value = NULL;
    /* jansson's iteration macro wants a non-const object but only reads it */
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        strbuf b = {0};
        size_t k = 0;
        json_t *item = NULL;
        if (json_is_array(value)) {
            json_array_foreach(value, k, item) {
                strbuf_add(&b, k == 0 ? "" : "\n");
                scalar_text(item, &b);
            }
        } else {
            scalar_text(value, &b);
        }
        status s = param_set_text(i, block, name, strbuf_str(&b), a, err);
        strbuf_free(&b);
        TRY(s);
    }
    return STATUS_OK;
}
