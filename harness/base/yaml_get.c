/* SPDX-License-Identifier: Apache-2.0
 * Asking the tree of base/yaml.h for keys and typed values. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/yaml.h"

status yaml_fail(const yaml_node *at, error *err, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    (void)error_vset(err, STATUS_USAGE, fmt, ap);
    va_end(ap);
    (void)error_prefix(err, "%s:%d:%d: ", at->file, at->line, at->col);
    return STATUS_USAGE;
}

bool yaml_is_empty(const yaml_node *n) {
    return n->kind == YAML_SCALAR && !n->quoted &&
           (n->text[0] == '\0' || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0);
}

const char *yaml_kind_name(const yaml_node *n) {
    if (n->kind == YAML_SCALAR) {
        return yaml_is_empty(n) ? "empty" : n->quoted ? "quoted text" : "text";
    }
    return n->kind == YAML_SEQUENCE ? "a list" : "a mapping";
}

status yaml_want(const yaml_node *n, yaml_kind kind, const char *what, error *err) {
    if (n->kind == kind) {
        return STATUS_OK;
    }
    static const char *const names[] = {"a single value", "a list", "a mapping"};
    return yaml_fail(n, err, "%s must be %s, not %s", what, names[kind], yaml_kind_name(n));
}

static size_t find_key(const yaml_node *map, const char *key) {
    if (map->kind != YAML_MAPPING) {
        return map->n;
    }
    size_t i = 0;
    while (i < map->n && strcmp(map->key[i]->text, key) != 0) {
        i++;
    }
    return i;
}

const yaml_node *yaml_get(const yaml_node *map, const char *key) {
    size_t i = find_key(map, key);
    return map->kind == YAML_MAPPING && i < map->n ? map->item[i] : NULL;
}

const yaml_node *yaml_key_at(const yaml_node *map, const char *key) {
    size_t i = find_key(map, key);
    return map->kind == YAML_MAPPING && i < map->n ? map->key[i] : NULL;
}

status yaml_need(const yaml_node *map, const char *key, const char *what, const yaml_node **out, error *err) {
    TRY(yaml_want(map, YAML_MAPPING, what, err));
    *out = yaml_get(map, key);
    return *out != NULL ? STATUS_OK : yaml_fail(map, err, "%s: the key \"%s\" is missing", what, key);
}

static void add_names(strbuf *b, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++) {
        strbuf_add(b, i == 0 ? "" : ", ");
        strbuf_add(b, names[i]);
    }
}

/* `bad` is none of `names`: says so, with the nearest one and all of them. */
static status not_among(const yaml_node *at, const char *lead, const char *bad, const char *const *names, size_t n,
                        error *err) {
    strbuf list = {0};
    add_names(&list, names, n);
    const char *near = str_nearest(bad, names, n);
    if (near != NULL) {
        (void)yaml_fail(at, err, "%s \"%.80s\", did you mean \"%s\"? (allowed: %s)", lead, bad, near,
                        strbuf_str(&list));
    } else {
        (void)yaml_fail(at, err, "%s \"%.80s\" (allowed: %s)", lead, bad, n == 0 ? "none" : strbuf_str(&list));
    }
    strbuf_free(&list);
    return STATUS_USAGE;
}

static bool among(const char *text, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(text, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

status yaml_check_keys(const yaml_node *map, const char *what, const char *const *allowed, size_t n_allowed,
                       error *err) {
    TRY(yaml_want(map, YAML_MAPPING, what, err));
    for (size_t i = 0; i < map->n; i++) {
        if (!among(map->key[i]->text, allowed, n_allowed)) {
            char lead[160];
            (void)snprintf(lead, sizeof lead, "%.120s: unknown key", what);
            return not_among(map->key[i], lead, map->key[i]->text, allowed, n_allowed, err);
        }
    }
    return STATUS_OK;
}

static status want_scalar(const yaml_node *n, const char *name, const char *what, error *err) {
    if (n->kind != YAML_SCALAR || yaml_is_empty(n)) {
        return yaml_fail(n, err, "\"%s\" must be %s, not %s", name, what, yaml_kind_name(n));
    }
    return n->quoted ? yaml_fail(n, err, "\"%s\" must be %s, not quoted text (\"%.80s\")", name, what, n->text)
                     : STATUS_OK;
}

status yaml_string(const yaml_node *n, const char *name, const char **out, error *err) {
    /* `~` and `null` are text where text is wanted: the key declares the type */
    if (n->kind != YAML_SCALAR || (!n->quoted && n->text[0] == '\0')) {
        return yaml_fail(n, err, "\"%s\" must be text, not %s", name, yaml_kind_name(n));
    }
    *out = n->text;
    return STATUS_OK;
}

status yaml_int(const yaml_node *n, const char *name, int64_t min, int64_t max, int64_t *out, error *err) {
    TRY(want_scalar(n, name, "an integer", err));
    int64_t v = 0;
    if (!str_to_i64(n->text, &v)) {
        return yaml_fail(n, err, "\"%s\" must be an integer, not \"%.80s\"", name, n->text);
    }
    if (v < min || v > max) {
        return yaml_fail(n, err, "\"%s\" must be in %lld..%lld, not %lld", name, (long long)min, (long long)max,
                         (long long)v);
    }
    *out = v;
    return STATUS_OK;
}

/* YAML 1.2 writes infinity as .inf; str_to_double has "inf". */
static bool real_of(const char *text, double *out) {
    static const char *const yaml_inf[] = {".inf", "+.inf", "-.inf"};
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(text, yaml_inf[i]) == 0) {
            return str_to_double(i == 2 ? "-inf" : "inf", out);
        }
    }
    return str_to_double(text, out);
}

status yaml_real(const yaml_node *n, const char *name, double min, double max, double *out, error *err) {
    TRY(want_scalar(n, name, "a number", err));
    double v = 0;
    if (!real_of(n->text, &v)) {
        return yaml_fail(n, err, "\"%s\" must be a number, not \"%.80s\"", name, n->text);
    }
    if (!(v >= min && v <= max)) {
        char lo[STR_DOUBLE_BYTES];
        char hi[STR_DOUBLE_BYTES];
        return yaml_fail(n, err, "\"%s\" must be in %s..%s, not %.80s", name, str_from_double(min, lo),
                         str_from_double(max, hi), n->text);
    }
    *out = v;
    return STATUS_OK;
}

status yaml_bool(const yaml_node *n, const char *name, bool *out, error *err) {
    TRY(want_scalar(n, name, "true or false", err));
    bool yes = strcmp(n->text, "true") == 0;
    if (!yes && strcmp(n->text, "false") != 0) {
        return yaml_fail(n, err, "\"%s\" must be true or false, not \"%.80s\"", name, n->text);
    }
    *out = yes;
    return STATUS_OK;
}

status yaml_choice(const yaml_node *n, const char *name, const char *const *choices, size_t n_choices, size_t *out,
                   error *err) {
    const char *text = "";
    TRY(yaml_string(n, name, &text, err));
    for (size_t i = 0; i < n_choices; i++) {
        if (strcmp(text, choices[i]) == 0) {
            *out = i;
            return STATUS_OK;
        }
    }
    char lead[160];
    (void)snprintf(lead, sizeof lead, "\"%.60s\" cannot be", name);
    return not_among(n, lead, text, choices, n_choices, err);
}

/* One scalar counts as a list of one. */
static status as_list(const yaml_node *const *n, const char *name, const yaml_node *const **items, size_t *n_items,
                      error *err) {
    if ((*n)->kind == YAML_MAPPING || yaml_is_empty(*n)) {
        return yaml_fail(*n, err, "\"%s\" must be a list, not %s", name, yaml_kind_name(*n));
    }
    *items = (*n)->kind == YAML_SEQUENCE ? (*n)->item : n;
    *n_items = (*n)->kind == YAML_SEQUENCE ? (*n)->n : 1;
    return STATUS_OK;
}

status yaml_strings(const yaml_node *n, const char *name, arena *a, const char *const **out, size_t *n_out,
                    error *err) {
    const yaml_node *const *items = NULL;
    size_t k = 0;
    TRY(as_list(&n, name, &items, &k, err));
    const char **v = arena_alloc(a, k * sizeof *v);
    for (size_t i = 0; i < k; i++) {
        TRY(yaml_string(items[i], name, &v[i], err));
    }
    *out = v;
    *n_out = k;
    return STATUS_OK;
}

status yaml_ints(const yaml_node *n, const char *name, int64_t min, int64_t max, arena *a, const int64_t **out,
                 size_t *n_out, error *err) {
    const yaml_node *const *items = NULL;
    size_t k = 0;
    TRY(as_list(&n, name, &items, &k, err));
    int64_t *v = arena_alloc(a, k * sizeof *v);
    for (size_t i = 0; i < k; i++) {
        TRY(yaml_int(items[i], name, min, max, &v[i], err));
    }
    *out = v;
    *n_out = k;
    return STATUS_OK;
}

status yaml_reals(const yaml_node *n, const char *name, double min, double max, arena *a, const double **out,
                  size_t *n_out, error *err) {
    const yaml_node *const *items = NULL;
    size_t k = 0;
    TRY(as_list(&n, name, &items, &k, err));
    double *v = arena_alloc(a, k * sizeof *v);
    for (size_t i = 0; i < k; i++) {
        TRY(yaml_real(items[i], name, min, max, &v[i], err));
    }
    *out = v;
    *n_out = k;
    return STATUS_OK;
}

status yaml_opt_string(const yaml_node *map, const char *key, const char **out, error *err) {
    const yaml_node *n = yaml_get(map, key);
    return n == NULL ? STATUS_OK : yaml_string(n, key, out, err);
}

status yaml_opt_int(const yaml_node *map, const char *key, int64_t min, int64_t max, int64_t *out, error *err) {
    const yaml_node *n = yaml_get(map, key);
    return n == NULL ? STATUS_OK : yaml_int(n, key, min, max, out, err);
}

status yaml_opt_real(const yaml_node *map, const char *key, double min, double max, double *out, error *err) {
    const yaml_node *n = yaml_get(map, key);
    return n == NULL ? STATUS_OK : yaml_real(n, key, min, max, out, err);
}

status yaml_opt_bool(const yaml_node *map, const char *key, bool *out, error *err) {
    const yaml_node *n = yaml_get(map, key);
    return n == NULL ? STATUS_OK : yaml_bool(n, key, out, err);
}

static bool is_list(param_type t) {
    return t == PARAM_INTS || t == PARAM_REALS || t == PARAM_STRINGS;
}

static status set_param(const yaml_node *v, const info *i, const param *p, void *block, arena *a, error *err) {
    if (!is_list(p->type)) {
        bool text = p->type == PARAM_STRING || p->type == PARAM_CHOICE;
        const char *s = NULL;
        bool b = false;
        TRY(text                    ? yaml_string(v, p->name, &s, err)
            : p->type == PARAM_BOOL ? yaml_bool(v, p->name, &b, err)
                                    : want_scalar(v, p->name, "a number", err));
        if (param_set_text(i, block, p->name, v->text, a, err) != STATUS_OK) {
            return (void)error_prefix(err, "%s:%d:%d: ", v->file, v->line, v->col), STATUS_USAGE;
        }
        return STATUS_OK;
    }
    const yaml_node *const *items = NULL;
    size_t n = 0;
    TRY(as_list(&v, p->name, &items, &n, err));
    strbuf joined = {0};
    status s = STATUS_OK;
    for (size_t k = 0; s == STATUS_OK && k < n; k++) {
        const char *t = "";
        s = yaml_string(items[k], p->name, &t, err);
        if (s == STATUS_OK && (strpbrk(t, "\n") != NULL || (v->kind == YAML_SEQUENCE && strchr(t, ',') != NULL))) {
            s = yaml_fail(items[k], err, "\"%s\": a list member cannot hold a comma or a new line", p->name);
        }
        strbuf_addf(&joined, "%s%s", k == 0 ? "" : "\n", t);
    }
    if (s == STATUS_OK) {
        s = param_set_text(i, block, p->name, strbuf_str(&joined), a, err);
        if (s != STATUS_OK) {
            (void)error_prefix(err, "%s:%d:%d: ", v->file, v->line, v->col);
        }
    }
    strbuf_free(&joined);
    return s;
}

status yaml_set_params(const yaml_node *map, const info *i, const char *const *also, size_t n_also, void *block,
                       arena *a, error *err) {
    const char **allowed = arena_alloc(a, (i->n_params + n_also) * sizeof *allowed);
    for (size_t k = 0; k < n_also; k++) {
        allowed[k] = also[k];
    }
    for (size_t k = 0; k < i->n_params; k++) {
        allowed[n_also + k] = i->params[k].name;
    }
    TRY(yaml_check_keys(map, i->id, allowed, i->n_params + n_also, err));
    for (size_t k = 0; k < map->n; k++) {
        const param *p = param_find(i, map->key[k]->text);
        if (p != NULL && !among(p->name, also, n_also)) {
            TRY(set_param(map->item[k], i, p, block, a, err));
        }
    }
    return STATUS_OK;
}
