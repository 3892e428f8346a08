/* SPDX-License-Identifier: Apache-2.0 */
#include "run/compare.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "math/tests.h"
#include "metrics/common.h"

/* ---- comparability ------------------------------------------------------------------------------ */

typedef struct fields {
    strbuf differ;   /* "seed: 1 against 2" lines that are not allowed */
    strbuf allowed;  /* the same for those that are */
    bool index_only; /* nothing differs but the examples of the items */
} fields;

static bool is_allowed(const compare_options *o, const char *field) {
    for (size_t i = 0; o->allow_differ != NULL && o->allow_differ[i] != NULL; i++) {
        if (strcmp(o->allow_differ[i], field) == 0) {
            return true;
        }
    }
    return false;
}

/* A long digest is shortened: sixteen digits tell two apart. */
static void add_value(strbuf *b, const json_t *v) {
    if (v == NULL) {
        strbuf_add(b, "(missing)");
        return;
    }
    const char *text = json_string_value(v);
    if (text != NULL && strlen(text) == 64) {
        strbuf_addn(b, text, 16);
        return;
    }
    char *dump = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    strbuf_add(b, text != NULL ? text : dump == NULL ? "?" : dump);
    free(dump);
}

static void add_field(fields *f, const compare_options *o, const char *name, const json_t *a, const json_t *b) {
    if (a != NULL && b != NULL && json_equal(a, b)) {
        return;
    }
    const bool fine = is_allowed(o, name);
    strbuf *to = fine ? &f->allowed : &f->differ;
    strbuf_addf(to, "%s%s: ", to->len > 0 ? "; " : "", name);
    add_value(to, a);
    strbuf_add(to, " against ");
    add_value(to, b);
    f->index_only = f->index_only && (fine || strcmp(name, "index_sha256") == 0);
}

/* Fields of both objects in sorted order. The dataset's name is for the reader: its content decides. */
static void diff_fields(fields *f, const compare_options *o, const char *json_a, const char *json_b) {
    json_error_t ignored;
    json_t *a = json_loads(json_a, 0, &ignored);
    json_t *b = json_loads(json_b, 0, &ignored);
    f->index_only = json_is_object(a) && json_is_object(b);
    json_t *both = json_object();
    (void)json_object_update(both, a);
    (void)json_object_update(both, b);
    arena mem = {0};
    const size_t n = json_object_size(both);
    const char **keys = arena_alloc(&mem, (n + 1) * sizeof *keys);
    size_t k = 0;
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(both, key, value) {
        size_t at = k++;
        for (; at > 0 && strcmp(keys[at - 1], key) > 0; at--) {
            keys[at] = keys[at - 1];
        }
        keys[at] = key;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *va = json_object_get(a, keys[i]);
        const json_t *vb = json_object_get(b, keys[i]);
        if (strcmp(keys[i], "dataset") != 0) {
            add_field(f, o, keys[i], va, vb);
        }
    }
    arena_free(&mem);
    json_decref(both);
    json_decref(a);
    json_decref(b);
}

static bool same_examples(const store_columns *a, const store_columns *b) {
    return a->n == b->n && a->n == a->n_expected && b->n == b->n_expected &&
           (a->n == 0 || memcmp(a->i_example, b->i_example, a->n * sizeof *a->i_example) == 0);
}

/* The key covers each item's examples, so another shard size changes it; what counts is the whole set of examples. */
static status check_comparable(const store_group *ga, const store_group *gb, const store_columns *a,
                               const store_columns *b, const compare_options *o, arena *mem, compare_result *out,
                               error *err) {
    out->allowed = "";
    if (ga->comparability_key[0] != '\0' && strcmp(ga->comparability_key, gb->comparability_key) == 0) {
        return STATUS_OK;
    }
    fields f = {0};
    diff_fields(&f, o, ga->comparability_json, gb->comparability_json);
    const bool examples_ok = is_allowed(o, "index_sha256") || same_examples(a, b);
    const bool ok = f.index_only && examples_ok;
    out->allowed = arena_strdup(mem, strbuf_str(&f.allowed));
    if (!ok && f.differ.len == 0) {
        strbuf_addf(&f.differ, "index_sha256: %zu of %zu examples against %zu of %zu", a->n, a->n_expected, b->n,
                    b->n_expected);
    }
    status st = STATUS_OK;
    if (!ok) {
        st = error_set(err, STATUS_REFUSED, "%s and %s on %s, suite %s, are not comparable: %s", ga->model_name,
                       gb->model_name, gb->dataset, gb->suite, strbuf_str(&f.differ));
    }
    strbuf_free(&f.differ);
    strbuf_free(&f.allowed);
    return st;
}

/* ---- one comparison ----------------------------------------------------------------------------- */

static int64_t count_labelled(const store_columns *c) {
    int64_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        n += metric_labelled(c->flags[i], c->label[i]) ? 1 : 0;
    }
    return n;
}

static int64_t count_missing(const store_columns *c) {
    return c->n < c->n_expected ? (int64_t)(c->n_expected - c->n) : 0;
}

static void count_pair(const store_columns *a, size_t i, const store_columns *b, size_t j, compare_flip *flips,
                       compare_result *out) {
    const bool right_a = metric_is_correct(a->label[i], a->pred[i], a->flags[i]);
    const bool right_b = metric_is_correct(b->label[j], b->pred[j], b->flags[j]);
    out->n_pair++;
    out->n_right_a += right_a ? 1 : 0;
    out->n_right_b += right_b ? 1 : 0;
    out->n_newly_wrong += right_a && !right_b ? 1 : 0;
    out->n_newly_right += right_b && !right_a ? 1 : 0;
    if (right_a != right_b && out->n_flips < COMPARE_FLIPS) {
        flips[out->n_flips++] = (compare_flip){a->i_example[i], a->label[i], a->pred[i], b->pred[j], right_b};
    }
}

/* Both sides are in ascending order of examples. */
static status pair_up(const store_columns *a, const store_columns *b, compare_flip *flips, compare_result *out,
                      error *err) {
    for (size_t i = 0, j = 0; i < a->n && j < b->n;) {
        if (a->i_example[i] != b->i_example[j]) {
            const bool a_first = a->i_example[i] < b->i_example[j];
            i += a_first ? 1 : 0;
            j += a_first ? 0 : 1;
            continue;
        }
        const bool labelled_a = metric_labelled(a->flags[i], a->label[i]);
        const bool labelled_b = metric_labelled(b->flags[j], b->label[j]);
        if (labelled_a != labelled_b || (labelled_a && a->label[i] != b->label[j])) {
            return error_set(err, STATUS_REFUSED, "example %lld of %s has label %d for %s and %d for %s",
                             (long long)a->i_example[i], out->dataset, (int)a->label[i], out->model_a, (int)b->label[j],
                             out->model_b);
        }
        if (labelled_a) {
            count_pair(a, i, b, j, flips, out);
        }
        i++;
        j++;
    }
    return STATUS_OK;
}

static void judge_pairs(compare_result *r) {
    const double n = (double)r->n_pair;
    const bool any = r->n_pair > 0;
    r->accuracy_a = any ? (double)r->n_right_a / n : NAN;
    r->accuracy_b = any ? (double)r->n_right_b / n : NAN;
    r->accuracy_a_ci = interval_wilson(r->n_right_a, r->n_pair, r->level);
    r->accuracy_b_ci = interval_wilson(r->n_right_b, r->n_pair, r->level);
    r->difference = any ? (double)(r->n_newly_right - r->n_newly_wrong) / n : NAN;
    r->difference_ci = interval_paired_difference(r->n_newly_right, r->n_newly_wrong, r->n_pair, r->level);
    r->p_exact = any ? tests_mcnemar_exact(r->n_newly_wrong, r->n_newly_right) : NAN;
    r->p_mid = any ? tests_mcnemar_mid_p(r->n_newly_wrong, r->n_newly_right) : NAN;
    r->p_holm = r->p_exact;
    /* the discordant rate is smoothed, because zero flips in n do not prove that there are none */
    const double psi = ((double)(r->n_newly_wrong + r->n_newly_right) + 0.5) / (n + 1.0);
    r->detectable = tests_paired_detectable(r->n_pair, psi, 1.0 - r->level, r->power);
}

status compare_groups(store *s, const store_run_row *run_a, const store_group *ga, const store_run_row *run_b,
                      const store_group *gb, const compare_options *o, arena *a, compare_result *out, error *err) {
    *out = (compare_result){.run_a = run_a->run_uid,
                            .run_b = run_b->run_uid,
                            .model_a = ga->model_name,
                            .model_b = gb->model_name,
                            .model_sha256_a = ga->model_sha256,
                            .model_sha256_b = gb->model_sha256,
                            .dataset = gb->dataset,
                            .suite = gb->suite,
                            .limited = run_a->limited || run_b->limited,
                            .level = o->level > 0 ? o->level : 0.95,
                            .power = o->power > 0 ? o->power : 0.8};
    compare_flip *flips = arena_alloc(a, COMPARE_FLIPS * sizeof *flips);
    out->flips = flips;
    arena mem = {0};
    store_columns ca = {0};
    store_columns cb = {0};
    status st = store_load_columns(s, run_a->run_id, ga, "", false, &mem, &ca, err);
    if (st == STATUS_OK) {
        st = store_load_columns(s, run_b->run_id, gb, "", false, &mem, &cb, err);
    }
    if (st == STATUS_OK) {
        st = check_comparable(ga, gb, &ca, &cb, o, a, out, err);
    }
    if (st == STATUS_OK) {
        out->n_a = count_labelled(&ca);
        out->n_b = count_labelled(&cb);
        out->n_missing_a = count_missing(&ca);
        out->n_missing_b = count_missing(&cb);
        out->n_doubtful_a = ga->n_outcome[OUTCOME_UNTRUSTWORTHY];
        out->n_doubtful_b = gb->n_outcome[OUTCOME_UNTRUSTWORTHY];
        st = pair_up(&ca, &cb, flips, out, err);
    }
    if (st == STATUS_OK) {
        judge_pairs(out);
    }
    arena_free(&mem);
    return st;
}

compare_verdict compare_verdict_of(const compare_result *r) {
    if (r->n_pair == 0) {
        return COMPARE_NO_DATA;
    }
    if (r->p_holm > 1.0 - r->level) {
        return COMPARE_NO_EVIDENCE;
    }
    return r->difference > 0 ? COMPARE_IMPROVED : COMPARE_REGRESSED;
}

const char *compare_verdict_name(compare_verdict v) {
    static const char *const names[] = {"no common examples", "improved", "regressed", "no difference detected"};
    return names[v];
}

size_t compare_family(const compare_set *set) {
    size_t n = 0;
    for (size_t i = 0; i < set->n; i++) {
        n += set->v[i].n_pair > 0 ? 1 : 0;
    }
    return n;
}

/* ---- references --------------------------------------------------------------------------------- */

static status has_model(store *s, const store_run_row *run, const char *model, arena *a, bool *found, error *err) {
    store_group *g = NULL;
    size_t n = 0;
    *found = false;
    TRY(store_groups(s, run->run_id, a, &g, &n, err));
    for (size_t i = 0; i < n; i++) {
        *found = *found || strcmp(g[i].model_name, model) == 0;
    }
    return STATUS_OK;
}

static status unknown_model(store *s, const store_run_row *run, const char *model, arena *a, error *err) {
    store_group *g = NULL;
    size_t n = 0;
    TRY(store_groups(s, run->run_id, a, &g, &n, err));
    strbuf names = {0};
    for (size_t i = 0; i < n; i++) {
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++) {
            seen = strcmp(g[i].model_name, g[j].model_name) == 0;
        }
        if (!seen) {
            strbuf_addf(&names, "%s%s", names.len > 0 ? ", " : "", g[i].model_name);
        }
    }
    status st = error_set(err, STATUS_USAGE, "\"%.200s\" is no run, and run %s has no model of that name (it has: %s)",
                          model, run->run_uid, names.len > 0 ? strbuf_str(&names) : "none");
    strbuf_free(&names);
    return st;
}

/* "RUN:MODEL" at any colon, because labels and names may hold colons themselves. */
static status split_ref(store *s, const char *text, arena *a, compare_ref *out, bool *found, error *err) {
    *found = false;
    for (const char *c = text + strlen(text); c > text && !*found; c--) {
        if (*c != ':' || c[1] == '\0') {
            continue;
        }
        error ignored = {0};
        status st = store_run_get(s, arena_strndup(a, text, (size_t)(c - text)), a, &out->run, &ignored);
        if (st == STATUS_OK) {
            TRY(has_model(s, &out->run, c + 1, a, found, err));
            out->model = *found ? arena_strdup(a, c + 1) : NULL;
        } else if (st != STATUS_USAGE) {
            return error_set(err, st, "%s", ignored.text);
        }
    }
    return STATUS_OK;
}

status compare_resolve(store *s, const char *text, arena *a, compare_ref *out, error *err) {
    *out = (compare_ref){0};
    error no_run = {0};
    store_run_row run = {0};
    store_run_row latest = {0};
    const status as_run = store_run_get(s, text, a, &run, &no_run);
    if (as_run != STATUS_OK && as_run != STATUS_USAGE) {
        return error_set(err, as_run, "%s", no_run.text);
    }
    TRY(store_run_get(s, "latest", a, &latest, err));
    bool as_model = false;
    TRY(has_model(s, &latest, text, a, &as_model, err));
    if (as_run == STATUS_OK && as_model) {
        return error_set(err, STATUS_USAGE,
                         "\"%s\" is a run and a model of the latest run: write latest:%s for the model", text, text);
    }
    if (as_run == STATUS_OK || as_model) {
        out->run = as_run == STATUS_OK ? run : latest;
        out->model = as_model ? arena_strdup(a, text) : NULL;
        return STATUS_OK;
    }
    bool found = false;
    TRY(split_ref(s, text, a, out, &found, err));
    return found ? STATUS_OK : unknown_model(s, &latest, text, a, err);
}

/* ---- sets --------------------------------------------------------------------------------------- */

typedef struct building {
    store *s;
    const compare_options *o;
    arena *a;
    compare_result *v;
    size_t n, cap;
    const char **unmatched;
    size_t n_unmatched, cap_unmatched;
} building;

static status add_pair(building *b, const store_run_row *run_a, const store_group *ga, const store_run_row *run_b,
                       const store_group *gb, error *err) {
    b->v = mem_grow(b->v, &b->cap, b->n + 1, sizeof *b->v);
    TRY(compare_groups(b->s, run_a, ga, run_b, gb, b->o, b->a, &b->v[b->n], err));
    b->n++;
    return STATUS_OK;
}

static void add_unmatched(building *b, const store_group *g, const store_run_row *run) {
    b->unmatched = mem_grow(b->unmatched, &b->cap_unmatched, b->n_unmatched + 1, sizeof *b->unmatched);
    b->unmatched[b->n_unmatched++] =
        arena_printf(b->a, "%s on %s, suite %s (run %.12s)", g->model_name, g->dataset, g->suite, run->run_uid);
}

static int by_place(const void *x, const void *y) {
    const compare_result *a = x;
    const compare_result *b = y;
    int d = strcmp(a->dataset, b->dataset);
    d = d != 0 ? d : strcmp(a->suite, b->suite);
    d = d != 0 ? d : strcmp(a->model_b, b->model_b);
    d = d != 0 ? d : strcmp(a->model_a, b->model_a);
    d = d != 0 ? d : strcmp(a->run_b, b->run_b);
    return d != 0 ? d : strcmp(a->run_a, b->run_a);
}

/* Sorts, adjusts for multiplicity, moves to the arena. Frees the builder on any status. */
static status finish(building *b, status st, compare_set *out) {
    *out = (compare_set){0};
    if (st == STATUS_OK && b->n > 0) {
        qsort(b->v, b->n, sizeof *b->v, by_place);
        out->v = arena_alloc(b->a, b->n * sizeof *out->v);
        memcpy(out->v, b->v, b->n * sizeof *out->v);
        out->n = b->n;
        double *p = arena_alloc(b->a, 2 * b->n * sizeof *p);
        size_t *order = arena_alloc(b->a, b->n * sizeof *order);
        for (size_t i = 0; i < b->n; i++) {
            p[i] = b->v[i].p_exact;
        }
        tests_holm(p, b->n, order, p + b->n);
        for (size_t i = 0; i < b->n; i++) {
            out->v[i].p_holm = p[b->n + i];
        }
    }
    if (st == STATUS_OK && b->n_unmatched > 0) {
        const char **names = arena_alloc(b->a, b->n_unmatched * sizeof *names);
        memcpy(names, b->unmatched, b->n_unmatched * sizeof *names);
        out->unmatched = names;
        out->n_unmatched = b->n_unmatched;
    }
    mem_free(b->v);
    mem_free(b->unmatched);
    return st;
}

static bool side_matches(const compare_ref *ref, const store_group *g) {
    return ref->model == NULL || strcmp(ref->model, g->model_name) == 0;
}

/* A group of side a fits one of side b where dataset and suite are the same, and the model too unless both are named.
 */
static bool partners(const compare_ref *ra, const store_group *ga, const compare_ref *rb, const store_group *gb) {
    const bool free_names = ra->model != NULL && rb->model != NULL;
    return side_matches(ra, ga) && side_matches(rb, gb) && strcmp(ga->dataset, gb->dataset) == 0 &&
           strcmp(ga->suite, gb->suite) == 0 && (free_names || strcmp(ga->model_name, gb->model_name) == 0);
}

static status add_refs(building *b, const compare_ref *ra, const compare_ref *rb, error *err) {
    store_group *ga = NULL;
    store_group *gb = NULL;
    size_t na = 0;
    size_t nb = 0;
    TRY(store_groups(b->s, ra->run.run_id, b->a, &ga, &na, err));
    TRY(store_groups(b->s, rb->run.run_id, b->a, &gb, &nb, err));
    const size_t before = b->n;
    for (size_t j = 0; j < nb; j++) {
        size_t hits = 0;
        for (size_t i = 0; i < na; i++) {
            if (partners(ra, &ga[i], rb, &gb[j])) {
                TRY(add_pair(b, &ra->run, &ga[i], &rb->run, &gb[j], err));
                hits++;
            }
        }
        if (hits == 0 && side_matches(rb, &gb[j])) {
            add_unmatched(b, &gb[j], &rb->run);
        }
    }
    for (size_t i = 0; i < na; i++) {
        size_t hits = 0;
        for (size_t j = 0; j < nb; j++) {
            hits += partners(ra, &ga[i], rb, &gb[j]) ? 1 : 0;
        }
        if (hits == 0 && side_matches(ra, &ga[i])) {
            add_unmatched(b, &ga[i], &ra->run);
        }
    }
    if (b->n == before) {
        return error_set(
            err, STATUS_REFUSED, "run %s%s%s and run %s%s%s have nothing in common to compare (dataset, suite%s)",
            ra->run.run_uid, ra->model ? ":" : "", ra->model ? ra->model : "", rb->run.run_uid, rb->model ? ":" : "",
            rb->model ? rb->model : "", ra->model && rb->model ? "" : ", model name");
    }
    return STATUS_OK;
}

status compare_refs(store *s, const compare_ref *ref_a, const compare_ref *ref_b, const compare_options *o, arena *a,
                    compare_set *out, error *err) {
    building b = {.s = s, .o = o, .a = a};
    return finish(&b, add_refs(&b, ref_a, ref_b, err), out);
}

static status add_texts(building *b, const char *const *refs, size_t n_refs, error *err) {
    compare_ref base = {0};
    if (n_refs < 2) {
        return error_set(err, STATUS_USAGE, "compare needs a baseline and at least one other");
    }
    TRY(compare_resolve(b->s, refs[0], b->a, &base, err));
    for (size_t i = 1; i < n_refs; i++) {
        compare_ref other = {0};
        TRY(compare_resolve(b->s, refs[i], b->a, &other, err));
        TRY(add_refs(b, &base, &other, err));
    }
    return STATUS_OK;
}

status compare_texts(store *s, const char *const *refs, size_t n_refs, const compare_options *o, arena *a,
                     compare_set *out, error *err) {
    building b = {.s = s, .o = o, .a = a};
    return finish(&b, add_texts(&b, refs, n_refs, err), out);
}

static status add_variants(building *b, const store_run_row *run, error *err) {
    store_group *g = NULL;
    size_t n = 0;
    TRY(store_groups(b->s, run->run_id, b->a, &g, &n, err));
    for (size_t j = 0; j < n; j++) {
        if (g[j].variant_of == NULL || g[j].variant_of[0] == '\0') {
            continue;
        }
        size_t hits = 0;
        for (size_t i = 0; i < n; i++) {
            if (strcmp(g[i].model_name, g[j].variant_of) == 0 && strcmp(g[i].dataset, g[j].dataset) == 0 &&
                strcmp(g[i].suite, g[j].suite) == 0) {
                TRY(add_pair(b, run, &g[i], run, &g[j], err));
                hits++;
            }
        }
        if (hits == 0) {
            add_unmatched(b, &g[j], run);
        }
    }
    return STATUS_OK;
}

status compare_variants(store *s, const store_run_row *run, const compare_options *o, arena *a, compare_set *out,
                        error *err) {
    building b = {.s = s, .o = o, .a = a};
    return finish(&b, add_variants(&b, run, err), out);
}
