/* SPDX-License-Identifier: Apache-2.0 */
#include "run/params.h"

#include <string.h>

#include "base/str.h"

/* False for what is no value: null, an object, a list. */
static bool scalar_text(const json_t *v, strbuf *b) {
    char num[STR_DOUBLE_BYTES];
    if (json_is_string(v)) {
        strbuf_add(b, json_string_value(v));
    } else if (json_is_integer(v)) {
        strbuf_addf(b, "%lld", (long long)json_integer_value(v));
    } else if (json_is_real(v)) {
        strbuf_add(b, str_from_double(json_real_value(v), num));
    } else if (json_is_boolean(v)) {
        strbuf_add(b, json_is_true(v) ? "true" : "false");
    } else {
        return false;
    }
    return true;
}

static bool is_list(const param *p) {
    return p->type == PARAM_INTS || p->type == PARAM_REALS || p->type == PARAM_STRINGS;
}

/* The text that param_set_text takes: list members on lines of their own, so none may hold a separator. */
static bool value_text(const param *p, const json_t *value, strbuf *b) {
    if (!is_list(p)) {
        return scalar_text(value, b);
    }
    for (size_t k = 0; k < json_array_size(value); k++) {
        const json_t *item = json_array_get(value, k);
        strbuf_add(b, k == 0 ? "" : "\n");
        if ((json_is_string(item) && strpbrk(json_string_value(item), ",\n") != NULL) || !scalar_text(item, b)) {
            return false;
        }
    }
    return json_is_array(value);
}

status params_from_json(const info *i, const json_t *object, void *block, arena *a, error *err) {
    params_default(i, block, a);
    if (object != NULL && !json_is_object(object)) {
        return error_set(err, STATUS_USAGE, "the parameters of %s must be an object", i->id);
    }
    const char *name = NULL;
    json_t *value = NULL;
    /* jansson's iteration macro wants a non-const object but only reads it */
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        const param *p = param_find(i, name);
        strbuf b = {0};
        status s = p != NULL && !value_text(p, value, &b)
                       ? error_set(err, STATUS_USAGE, "\"%s\" must be %s", p->name, is_list(p) ? "a list" : "a value")
                       : param_set_text(i, block, name, strbuf_str(&b), a, err);
        strbuf_free(&b);
        TRY(s);
    }
    return STATUS_OK;
}
