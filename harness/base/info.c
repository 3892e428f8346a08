/* SPDX-License-Identifier: Apache-2.0 */
#include "base/info.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

const param *param_find(const info *i, const char *name) {
    for (size_t k = 0; k < i->n_params; k++) {
        if (strcmp(i->params[k].name, name) == 0) {
            return &i->params[k];
        }
    }
    return NULL;
}

static status not_a(const param *p, const char *text, const char *what, error *err) {
    return error_set(err, STATUS_USAGE, "\"%s\" must be %s, not \"%.80s\"", p->name, what, text);
}

static status in_range(const param *p, double v, error *err) {
    if (v >= p->min && v <= p->max) {
        return STATUS_OK;
    }
    char lo[STR_DOUBLE_BYTES];
    char hi[STR_DOUBLE_BYTES];
    char got[STR_DOUBLE_BYTES];
    return error_set(err, STATUS_USAGE, "\"%s\" must be in %s..%s%s%s, not %s", p->name, str_from_double(p->min, lo),
                     str_from_double(p->max, hi), p->unit[0] ? " " : "", p->unit, str_from_double(v, got));
}

static status parse_int(const param *p, const char *text, int64_t *out, error *err) {
    if (!str_to_i64(text, out)) {
        return not_a(p, text, "an integer", err);
    }
    return in_range(p, (double)*out, err);
}

static status parse_real(const param *p, const char *text, double *out, error *err) {
    if (!str_to_double(text, out)) {
        return not_a(p, text, "a number", err);
    }
    return in_range(p, *out, err);
}

/* Splits at commas and newlines, trims blanks. "" is the empty list. */
static size_t split(arena *a, const char *text, char ***parts) {
    size_t n = text[0] == '\0' ? 0 : 1;
    for (const char *c = text; *c != '\0'; c++) {
        n += *c == ',' || *c == '\n' ? 1 : 0;
    }
    *parts = arena_alloc(a, (n + 1) * sizeof **parts);
    const char *s = text;
    for (size_t i = 0; i < n; i++) {
        size_t len = strcspn(s, ",\n");
        size_t lead = strspn(s, " \t");
        size_t end = len;
        lead = lead > len ? len : lead;
        while (end > lead && (s[end - 1] == ' ' || s[end - 1] == '\t')) {
            end--;
        }
        (*parts)[i] = arena_strndup(a, s + lead, end - lead);
        s += len + 1;
    }
    return n;
}

static status set_list(const param *p, char *field, const char *text, arena *a, error *err) {
    char **part = NULL;
    size_t n = split(a, text, &part);
    if (p->type == PARAM_STRINGS) {
        param_strings v = {n, (const char *const *)part};
        memcpy(field, &v, sizeof v);
        return STATUS_OK;
    }
    int64_t *ints = arena_alloc(a, (n + 1) * sizeof *ints);
    double *reals = arena_alloc(a, (n + 1) * sizeof *reals);
    for (size_t i = 0; i < n; i++) {
        TRY(p->type == PARAM_INTS ? parse_int(p, part[i], &ints[i], err) : parse_real(p, part[i], &reals[i], err));
    }
    if (p->type == PARAM_INTS) {
        memcpy(field, &(param_ints){n, ints}, sizeof(param_ints));
    } else {
        memcpy(field, &(param_reals){n, reals}, sizeof(param_reals));
    }
    return STATUS_OK;
}

static bool choice_ok(const char *choices, const char *text) {
    size_t n = strlen(text);
    for (const char *s = choices; *s != '\0';) {
        size_t len = strcspn(s, "|");
        if (len == n && memcmp(s, text, n) == 0) {
            return true;
        }
        s += len + (s[len] == '|' ? 1 : 0);
    }
    return false;
}

static status set_value(const param *p, void *block, const char *text, arena *a, error *err) {
    char *field = (char *)block + p->offset;
    bool b = false;
    int64_t i = 0;
    double r = 0;
    switch (p->type) {
    case PARAM_BOOL:
        if (!str_to_bool(text, &b)) {
            return not_a(p, text, "true or false", err);
        }
        memcpy(field, &b, sizeof b);
        return STATUS_OK;
    case PARAM_INT:
        TRY(parse_int(p, text, &i, err));
        memcpy(field, &i, sizeof i);
        return STATUS_OK;
    case PARAM_REAL:
        TRY(parse_real(p, text, &r, err));
        memcpy(field, &r, sizeof r);
        return STATUS_OK;
    case PARAM_CHOICE:
        if (!choice_ok(p->choices, text)) {
            return not_a(p, text, p->choices, err);
        }
        break;
    case PARAM_STRING: break;
    case PARAM_INTS:
    case PARAM_REALS:
    case PARAM_STRINGS: return set_list(p, field, text, a, err);
    }
    const char *copy = arena_strdup(a, text);
    memcpy(field, &copy, sizeof copy);
    return STATUS_OK;
}

status param_set_text(const info *i, void *block, const char *name, const char *text, arena *a, error *err) {
    const param *p = param_find(i, name);
    if (p == NULL) {
        return error_set(err, STATUS_USAGE, "%s has no parameter \"%.80s\"", i->id, name);
    }
    return set_value(p, block, text, a, err);
}

void params_default(const info *i, void *block, arena *a) {
    if (i->params_bytes > 0) {
        memset(block, 0, i->params_bytes);
    }
    for (size_t k = 0; k < i->n_params; k++) {
        const param *p = &i->params[k];
        char buf[STR_DOUBLE_BYTES];
        bool numeric = p->type == PARAM_INT || p->type == PARAM_REAL || p->type == PARAM_BOOL;
        const char *text = numeric ? str_from_double(p->def, buf) : p->def_text == NULL ? "" : p->def_text;
        if (p->type == PARAM_INT) {
            text = arena_printf(a, "%lld", (long long)p->def);
        }
        error err = {0};
        if (set_value(p, block, text, a, &err) != STATUS_OK) {
            abort(); /* our own table is wrong: a test sets the defaults of every registered thing */
        }
    }
}

static void json_string(strbuf *b, const char *s) {
    strbuf_add(b, "\"");
    for (; *s != '\0'; s++) {
        if (*s == '"' || *s == '\\') {
            strbuf_addf(b, "\\%c", *s);
        } else if ((unsigned char)*s < 0x20) {
            strbuf_addf(b, "\\u%04x", (unsigned)*s);
        } else {
            strbuf_addn(b, s, 1);
        }
    }
    strbuf_add(b, "\"");
}

/* JSON has no infinity: text, which param_set_text reads again. */
static void json_real_text(strbuf *b, double v) {
    char num[STR_DOUBLE_BYTES];
    (void)str_from_double(v, num);
    strbuf_addf(b, isfinite(v) ? "%s" : "\"%s\"", num);
}

static void value_json(const param *p, const void *block, strbuf *b) {
    const char *field = (const char *)block + p->offset;
    switch (p->type) {
    case PARAM_BOOL: strbuf_add(b, *(const bool *)field ? "true" : "false"); return;
    case PARAM_INT: strbuf_addf(b, "%lld", (long long)*(const int64_t *)(const void *)field); return;
    case PARAM_REAL: json_real_text(b, *(const double *)(const void *)field); return;
    case PARAM_STRING:
    case PARAM_CHOICE: json_string(b, *(const char *const *)(const void *)field); return;
    default: break;
    }
    strbuf_add(b, "[");
    const param_ints *l = (const void *)field; /* the three list types share their first member */
    for (size_t i = 0; i < l->n; i++) {
        strbuf_add(b, i == 0 ? "" : ",");
        if (p->type == PARAM_INTS) {
            strbuf_addf(b, "%lld", (long long)l->v[i]);
        } else if (p->type == PARAM_REALS) {
            json_real_text(b, ((const param_reals *)(const void *)field)->v[i]);
        } else {
            json_string(b, ((const param_strings *)(const void *)field)->v[i]);
        }
    }
    strbuf_add(b, "]");
}

char *param_text(const param *p, const void *block, arena *a) {
    strbuf b = {0};
    value_json(p, block, &b);
    char *text = arena_strdup(a, strbuf_str(&b));
    strbuf_free(&b);
    return text;
}

static int by_name(const void *a, const void *b) {
    const param *const *pa = a;
    const param *const *pb = b;
    return strcmp((*pa)->name, (*pb)->name);
}

char *params_json(const info *i, const void *block, arena *a) {
    const param **sorted = arena_alloc(a, (i->n_params + 1) * sizeof *sorted);
    for (size_t k = 0; k < i->n_params; k++) {
        sorted[k] = &i->params[k];
    }
    qsort(sorted, i->n_params, sizeof *sorted, by_name);
    strbuf b = {0};
    strbuf_add(&b, "{");
    for (size_t k = 0; k < i->n_params; k++) {
        strbuf_add(&b, k == 0 ? "" : ",");
        json_string(&b, sorted[k]->name);
        strbuf_add(&b, ":");
        value_json(sorted[k], block, &b);
    }
    strbuf_add(&b, "}");
    char *text = arena_strdup(a, strbuf_str(&b));
    strbuf_free(&b);
    return text;
}
