/* SPDX-License-Identifier: Apache-2.0
 * Checks of loading, opening, ports and tables, and of what a plug-in does to its process. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/validate_internal.h"

/* ---- load and open ------------------------------------------------------------------------------ */

validate_outcome check_loads(check *c) {
    error err = {0};
    if (plugin_load(c->plugin_path, &c->p, &err) != STATUS_OK) {
        return check_fail(c, "%s", err.text);
    }
    check_note(c, "%s %s", plugin_name(c->p), plugin_version(c->p));
    return VALIDATE_PASS;
}

validate_outcome check_entry(check *c) {
    if (plugin_description(c->p)[0] == '\0') {
        return check_fail(c, "the description is empty");
    }
    const void *table = c->p->entry.get_api(ASSAY_ENVIRONMENT_1);
    assay_environment e;
    if (table == NULL) {
        return VALIDATE_PASS; /* optional */
    }
    if (!host_copy_table(table, &e, sizeof e, host_table_min(ASSAY_ENVIRONMENT_1)) || e.describe == NULL) {
        return check_fail(c, "%s is incomplete", ASSAY_ENVIRONMENT_1);
    }
    char text[512];
    char tiny[8];
    memset(text, 'x', sizeof text);
    memset(tiny, 'x', sizeof tiny);
    size_t n = e.describe(text, sizeof text);
    if (memchr(text, 0, sizeof text) == NULL || (n < sizeof text && strlen(text) != n)) {
        return check_fail(c, "describe does not terminate its text or returns another length");
    }
    if (strpbrk(text, "\n\r\t") != NULL || str_utf8_valid(text, strlen(text)) != strlen(text)) {
        return check_fail(c, "describe gives more than one line, or not UTF-8");
    }
    if (strcmp(text, plugin_environment(c->p)) != 0) {
        return check_fail(c, "describe gives another text the second time");
    }
    (void)e.describe(tiny, 4);
    return tiny[4] == 'x' && memchr(tiny, 0, 4) != NULL
               ? VALIDATE_PASS
               : check_fail(c, "describe writes beyond a capacity of 4, or does not terminate");
}

/* Opens without looking at what was opened: the tables may be anything. */
static assay_status open_raw(const check *c, assay_model **raw, host_error *e) {
    assay_open_args args = {
        .struct_size = sizeof args, .n_options = (uint32_t)c->n_options, .path = c->model_path, .options = c->options};
    *raw = NULL;
    host_error_init(e);
    return c->p->api.open(&args, raw, &e->e);
}

validate_outcome check_unknown_id(check *c) {
    static const char *const ids[] = {"assay.no-such/1", "assay.model/99", "assay.predict/99", "", "model"};
    enum { N_IDS = sizeof ids / sizeof ids[0] };
    for (size_t i = 0; i < N_IDS; i++) {
        if (c->p->entry.get_api(ids[i]) != NULL) {
            return check_fail(c, "get_api(\"%s\") is not NULL", ids[i]);
        }
    }
    host_error e;
    assay_model *raw = NULL;
    if (open_raw(c, &raw, &e) != ASSAY_OK || raw == NULL) {
        return VALIDATE_PASS; /* "opens" says why */
    }
    validate_outcome o = VALIDATE_PASS;
    for (size_t i = 0; i < N_IDS && o == VALIDATE_PASS; i++) {
        if (c->p->api.capability(raw, ids[i]) != NULL) {
            o = check_fail(c, "capability(\"%s\") is not NULL", ids[i]);
        }
    }
    c->p->api.close(raw);
    return o;
}

/* Ports and labels have checks of their own. */
validate_outcome check_opens(check *c) {
    host_error e;
    error err = {0};
    assay_model *raw = NULL;
    assay_status rc = open_raw(c, &raw, &e);
    if (host_status(c->p, rc, &e, "open", STATUS_MODEL, &err) != STATUS_OK) {
        return raw == NULL ? check_fail(c, "%s", err.text)
                           : check_fail(c, "%s (and *model is not NULL on error)", err.text);
    }
    if (raw == NULL) {
        return check_fail(c, "open reports success but gives no model");
    }
    c->p->api.close(raw);
    c->p->api.close(NULL);
    return VALIDATE_PASS;
}

/* ---- ports and tables --------------------------------------------------------------------------- */

static bool same_port(const assay_port *a, const assay_port *b) {
    return a->kind == b->kind && a->dtype == b->dtype && a->n_dims == b->n_dims && strcmp(a->name, b->name) == 0 &&
           memcmp(a->shape, b->shape, a->n_dims * sizeof a->shape[0]) == 0;
}

static validate_outcome check_direction(check *c, uint32_t direction, const host_port *ports, uint32_t n) {
    const model *m = c->m;
    const char *side = direction == ASSAY_DIRECTION_INPUT ? "input" : "output";
    host_error e;
    for (uint32_t i = 0; i < n; i++) {
        host_error_init(&e);
        assay_port again = {.struct_size = sizeof again};
        if (m->io.port(m->raw, direction, i, &again, &e.e) != ASSAY_OK || !same_port(&again, &ports[i].port)) {
            return check_fail(c, "%s port %u is another one the second time", side, i);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(ports[i].port.name, ports[j].port.name) == 0) {
                return check_fail(c, "two %s ports are called \"%s\"", side, ports[i].port.name);
            }
        }
        check_note(c, "%s \"%s\"", side, ports[i].port.name);
    }
    host_error_init(&e);
    assay_port none = {.struct_size = sizeof none};
    if (m->io.port(m->raw, direction, n, &none, &e.e) == ASSAY_OK) {
        return check_fail(c, "%s port %u does not exist but is not refused", side, n);
    }
    return VALIDATE_PASS;
}

validate_outcome check_ports(check *c) {
    error err = {0};
    if (model_open(c->p, c->model_path, c->options, c->n_options, &c->m, &err) != STATUS_OK) {
        return check_fail(c, "%s", err.text);
    }
    if (c->m->io.n_ports(c->m->raw, 7) != 0) {
        return check_fail(c, "there are ports in a direction that does not exist");
    }
    validate_outcome o = check_direction(c, ASSAY_DIRECTION_INPUT, c->m->in, c->m->n_in);
    return o != VALIDATE_PASS ? o : check_direction(c, ASSAY_DIRECTION_OUTPUT, c->m->out, c->m->n_out);
}

static const char *duplicate(const char *const *names, size_t n) {
    for (size_t i = 0; names != NULL && i < n && i < 2000; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(names[i], names[j]) == 0) {
                return names[i];
            }
        }
    }
    return NULL;
}

validate_outcome check_labels(check *c) {
    const void *table = model_capability(c->m, ASSAY_LABELS_1);
    assay_labels t;
    if (table == NULL || !host_copy_table(table, &t, sizeof t, host_table_min(ASSAY_LABELS_1))) {
        return check_skip(c, "the model lacks %s", ASSAY_LABELS_1);
    }
    const model_facts *f = model_get_facts(c->m); /* model_open has compared the numbers with the ports */
    const char *twice = duplicate(f->labels, f->n_outputs);
    twice = twice != NULL ? twice : duplicate(f->columns, f->n_columns);
    if (twice != NULL) {
        return check_fail(c, "the name \"%s\" occurs twice", twice);
    }
    if (t.label(c->m->raw, t.n_labels(c->m->raw)) != NULL || t.column(c->m->raw, t.n_columns(c->m->raw)) != NULL) {
        return check_fail(c, "a name past the end is not NULL");
    }
    check_note(c, "%zu labels, %zu columns", f->labels == NULL ? 0 : f->n_outputs, f->n_columns);
    return VALIDATE_PASS;
}

validate_outcome check_cost(check *c) {
    assay_cost_info a = {0};
    assay_cost_info b = {0};
    if (!model_has(c->m, ASSAY_COST_1)) {
        return check_skip(c, "the model lacks %s", ASSAY_COST_1);
    }
    if (!model_cost(c->m, &a) || !model_cost(c->m, &b)) {
        return check_fail(c, "cost fails");
    }
    if (a.n_params != b.n_params || a.n_macs != b.n_macs || a.weight_bytes != b.weight_bytes) {
        return check_fail(c, "cost gives other numbers the second time");
    }
    if (a.n_params_zero > a.n_params) {
        return check_fail(c, "more zero weights than weights");
    }
    if (!(a.weight_bits >= 0 && a.weight_bits <= 64) || (a.n_params > 0 && a.weight_bits == 0)) {
        return check_fail(c, "weight_bits is outside 0..64, or 0 although there are weights");
    }
    check_note(c, "%llu parameters, %llu MACs", (unsigned long long)a.n_params, (unsigned long long)a.n_macs);
    return VALIDATE_PASS;
}

static uint64_t add_saturated(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static bool same_cost(const assay_cost_info *a, const assay_cost_info *b) {
    return a->n_params == b->n_params && a->n_params_zero == b->n_params_zero && a->n_macs == b->n_macs &&
           a->weight_bytes == b->weight_bytes && a->weight_bits == b->weight_bits && a->peak_bytes == b->peak_bytes;
}

static assay_cost_info sum_layers(const assay_layer_info *l, size_t n) {
    assay_cost_info sum = {0};
    for (size_t i = 0; i < n; i++) {
        sum.n_params = add_saturated(sum.n_params, l[i].n_params);
        sum.n_params_zero = add_saturated(sum.n_params_zero, l[i].n_params_zero);
        sum.n_macs = add_saturated(sum.n_macs, l[i].n_macs);
        sum.weight_bytes = add_saturated(sum.weight_bytes, l[i].weight_bytes);
    }
    return sum;
}

validate_outcome check_layers(check *c) {
    error err = {0};
    assay_layer_info *l[2] = {NULL, NULL};
    size_t n[2] = {0, 0};
    assay_layers t;
    assay_cost_info cost = {0};
    const void *table = model_capability(c->m, ASSAY_LAYERS_1);
    if (table == NULL || !host_copy_table(table, &t, sizeof t, host_table_min(ASSAY_LAYERS_1))) {
        return check_skip(c, "the model lacks %s", ASSAY_LAYERS_1);
    }
    for (int i = 0; i < 2; i++) {
        if (model_layers(c->m, &c->a, &l[i], &n[i], &err) != STATUS_OK) {
            return check_fail(c, "%s", err.text);
        }
    }
    assay_layer_info none = {.struct_size = sizeof none};
    if (t.layer(c->m->raw, (uint32_t)n[0], &none, NULL) == ASSAY_OK) {
        return check_fail(c, "a layer past the end is not refused");
    }
    assay_cost_info sum = sum_layers(l[0], n[0]), again = sum_layers(l[1], n[1]);
    if (n[0] != n[1] || !same_cost(&sum, &again)) {
        return check_fail(c, "other numbers the second time");
    }
    if (!model_cost(c->m, &cost)) {
        return check_fail(c, "the model lacks %s", ASSAY_COST_1);
    }
    if (sum.n_params != cost.n_params || sum.n_params_zero != cost.n_params_zero || sum.n_macs != cost.n_macs ||
        sum.weight_bytes != cost.weight_bytes) {
        return check_fail(c,
                          "the layers have %llu parameters (%llu zero) in %llu bytes and %llu MACs, which is not what "
                          "%s says",
                          (unsigned long long)sum.n_params, (unsigned long long)sum.n_params_zero,
                          (unsigned long long)sum.weight_bytes, (unsigned long long)sum.n_macs, ASSAY_COST_1);
    }
    check_note(c, "%zu layers", n[0]);
    return VALIDATE_PASS;
}

validate_outcome check_memory(check *c) {
    error err = {0};
    assay_memory_info one = {0}, many = {0};
    const session_options o = {.tile = 8, .n_threads = 1}, unpadded = {.tile = 8, .n_threads = 1, .unpadded = true};
    if (!model_has(c->m, ASSAY_MEMORY_1)) {
        return check_skip(c, "the model lacks %s", ASSAY_MEMORY_1);
    }
    if (model_memory(c->m, &o, 8, &c->a, &one, &err) != STATUS_OK ||
        model_memory(c->m, &unpadded, 3, &c->a, &many, &err) != STATUS_OK) {
        return check_fail(c, "%s", err.text);
    }
    if (one.step < 1 || one.step > o.tile || (many.step != 3 && many.step != 1)) {
        return check_fail(c, "steps of %u examples in a session of tile 8, of %u for an unpadded batch of 3", one.step,
                          many.step);
    }
    if (check_can_vjp(c) && one.vjp_bytes < one.forward_bytes) {
        return check_fail(c, "vjp needs less than predict");
    }
    check_note(c, "%u examples at once: %llu bytes, with gradients %llu", one.step,
               (unsigned long long)one.forward_bytes, (unsigned long long)one.vjp_bytes);
    return VALIDATE_PASS;
}

validate_outcome check_embed(check *c) {
    const void *table = model_capability(c->m, ASSAY_EMBED_1);
    assay_embed t;
    if (table == NULL || !host_copy_table(table, &t, sizeof t, host_table_min(ASSAY_EMBED_1))) {
        return check_skip(c, "the model lacks %s", ASSAY_EMBED_1);
    }
    if (t.n_layers == NULL || t.layer_name == NULL || t.layer_size == NULL || t.embed == NULL) {
        return check_fail(c, "a function is NULL");
    }
    uint32_t n = t.n_layers(c->m->raw);
    for (uint32_t i = 0; i < n; i++) {
        const char *name = t.layer_name(c->m->raw, i);
        if (name == NULL || t.layer_size(c->m->raw, name) == 0) {
            return check_fail(c, "layer %u has no name or no size", i);
        }
    }
    if (t.layer_name(c->m->raw, n) != NULL || t.layer_size(c->m->raw, "no such layer") != 0) {
        return check_fail(c, "a layer that does not exist has a name or a size");
    }
    if (t.layer_alias_of != NULL && t.layer_alias_of(c->m->raw, "no such layer") != NULL) {
        return check_fail(c, "a layer that does not exist has an alias");
    }
    check_note(c, "%u layers", n);
    return VALIDATE_PASS;
}

/* ---- what the process is like afterwards -------------------------------------------------------- */

/* Whether the host had to repair something in one of the places, named as in plugin_warnings. */
static validate_outcome breach_in(check *c, const char *what, const char *const *places) {
    char line[256];
    for (; *places != NULL; places++) {
        (void)snprintf(line, sizeof line, "%s in %s", what, *places);
        if (strstr(plugin_warnings(c->p), line) != NULL) {
            return check_fail(c, "%s", line);
        }
    }
    return VALIDATE_PASS;
}

static const char fp_text[] = "changed the floating-point environment";

validate_outcome check_fp_load(check *c) {
    error err = {0};
    if (plugin_load(c->plugin_path, &c->p, &err) != STATUS_OK) {
        return check_skip(c, "not reached: %s", err.text);
    }
    return breach_in(c, fp_text, (const char *const[]){"its loader code", "init", "get_api", "describe", NULL});
}

validate_outcome check_fp_open(check *c) {
    error err = {0};
    status s = model_open(c->p, c->model_path, c->options, c->n_options, &c->m, &err);
    if (s == STATUS_OK) {
        session *one = check_session(c, 8);
        session_close(one);
    }
    return breach_in(c, fp_text,
                     (const char *const[]){"open", "capability", "n_ports", "port", "labels", "session_open",
                                           "session_close", NULL});
}

/* Uses everything once: load, open, predict, vjp, cost, close of the session. False if it got nowhere. */
static bool use_all(check *c) {
    error err = {0};
    if (c->p == NULL && plugin_load(c->plugin_path, &c->p, &err) != STATUS_OK) {
        (void)check_skip(c, "not reached: %s", err.text);
        return false;
    }
    if (c->m == NULL && model_open(c->p, c->model_path, c->options, c->n_options, &c->m, &err) != STATUS_OK) {
        (void)check_skip(c, "not reached: %s", err.text);
        return false;
    }
    enum { N = 8 };
    const model_facts *f = model_get_facts(c->m);
    float *x = check_floats(c, N, f->n_features);
    float *g = check_floats(c, N, f->n_features);
    float *z = check_floats(c, N, f->n_outputs);
    float *u = check_floats(c, N, f->n_outputs);
    check_inputs(c, N, 1, false, x);
    check_normals(N * f->n_outputs, 0, 2, u);
    session *s = NULL;
    if (session_open(c->m, &(session_options){.tile = 8, .n_threads = 1}, &s, &err) == STATUS_OK) {
        /* errors are the business of other checks */
        (void)session_predict(s, x, N, z, &err);
        (void)session_vjp(s, x, N, u, ASSAY_VJP_EXACT, z, g, &err);
    }
    assay_cost_info cost;
    (void)model_cost(c->m, &cost);
    session_close(s);
    return true;
}

validate_outcome check_fp_call(check *c) {
    (void)use_all(c);
    return breach_in(c, fp_text, (const char *const[]){"predict", "vjp", "cost", NULL});
}

validate_outcome check_locale(check *c) {
    if (!use_all(c)) {
        return VALIDATE_SKIP;
    }
    return breach_in(c, "changed the locale",
                     (const char *const[]){"its loader code", "init", "get_api", "describe", "open", "capability",
                                           "n_ports", "port", "labels", "session_open", "predict", "vjp", "cost",
                                           "session_close", NULL});
}

validate_outcome check_signals(check *c) {
    enum { N = 32 };
    struct sigaction before[N];
    struct sigaction after;
    memset(before, 0, sizeof before);
    for (int i = 1; i < N; i++) {
        (void)sigaction(i, NULL, &before[i]);
    }
    bool used = use_all(c);
    for (int i = 1; i < N; i++) {
        memset(&after, 0, sizeof after);
        (void)sigaction(i, NULL, &after);
        if (after.sa_handler != before[i].sa_handler || after.sa_flags != before[i].sa_flags) {
            return check_fail(c, "the handler of signal %d (%s) was changed", i, strsignal(i));
        }
    }
    return used ? VALIDATE_PASS : VALIDATE_SKIP;
}

validate_outcome check_stdout(check *c) {
    int saved = dup(STDOUT_FILENO);
    int trap = memfd_create("assay-stdout", MFD_CLOEXEC);
    (void)fflush(stdout);
    if (saved < 0 || trap < 0 || dup2(trap, STDOUT_FILENO) < 0) {
        return check_skip(c, "stdout cannot be caught: %s", strerror(errno));
    }
    bool used = use_all(c);
    model_close(c->m);
    plugin_unload(c->p);
    c->m = NULL;
    c->p = NULL;
    (void)fflush(stdout);
    (void)dup2(saved, STDOUT_FILENO);
    char text[80] = "";
    ssize_t n = pread(trap, text, sizeof text - 1, 0);
    (void)close(trap);
    (void)close(saved);
    if (n > 0) {
        text[strcspn(text, "\n")] = '\0';
        return check_fail(c, "printed \"%s\"", text);
    }
    return used ? VALIDATE_PASS : VALIDATE_SKIP;
}
