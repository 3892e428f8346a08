/* SPDX-License-Identifier: Apache-2.0
 * The operator cases of the ONNX project (Debian's libonnx-testdata; skipped where it is not installed), which nobody
 * here wrote. A case is one model, its inputs and its expected outputs. Here a graph has one input, so all others
 * become initialisers, each input in turn is the one, and each variant runs through loader and plan: at this
 * batch alone and, where the graph allows it, with the batch carried; fast, reference and unpadded. In addition the
 * nodes are run without a plan and with no constants but integers, which reaches what kernels do with computed
 * operands. */
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "plan.h"
#include "support.h"
#include "tensors.h"

#define MAX_IO ONNX_CASE_IO
/* Fewer than this means that the harness, not the package, has lost them: version 1.12 has 1072 cases. */
#define AT_LEAST_PASSED 900
/* Multiply-accumulates above which the plain loops run once, not in every variant. */
#define MANY_MACS 1000000u
#define RTOL 1e-3
#define ATOL 1e-5

typedef struct test_case {
    const char *name;
    onnx_case files;
    size_t n_runs, n_wrong;
    bool slow;         /* the plain loops have run, and take long */
    char refused[300]; /* why a variant is out of scope: the first reason */
} test_case;

typedef struct reason {
    char text[300];
    size_t n;
} reason;

typedef struct tally {
    size_t n_passed, n_failed, n_out, n_runs;
    reason reasons[512];
    size_t n_reasons;
} tally;

/* ---- reading ------------------------------------------------------------------------------------ */

static void count_reason(tally *t, const char *text) {
    size_t i = 0;
    while (i < t->n_reasons && strcmp(t->reasons[i].text, text) != 0) {
        i++;
    }
    if (i < sizeof t->reasons / sizeof t->reasons[0]) {
        t->n_reasons += i == t->n_reasons;
        (void)snprintf(t->reasons[i].text, sizeof t->reasons[i].text, "%s", text);
        t->reasons[i].n++;
    }
    t->n_out++;
}

static int64_t opset_of(const Onnx__ModelProto *m, const char *domain) {
    for (size_t i = 0; i < m->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *o = m->opset_import[i];
        if (strcmp(o->domain == NULL ? "" : o->domain, domain) == 0) {
            return o->version;
        }
    }
    return 1;
}

static const char *unregistered(const Onnx__ModelProto *m, const Onnx__GraphProto *g, char text[300]);

/* If and Loop are no kernels: the loader replaces them by their subgraphs. */
static const char *unregistered_node(const Onnx__ModelProto *m, const Onnx__NodeProto *n, char text[300]) {
    const char *domain = n->domain == NULL ? "" : n->domain;
    bool flow = domain[0] == '\0' && (strcmp(n->op_type, "If") == 0 || strcmp(n->op_type, "Loop") == 0);
    char name[200];
    (void)snprintf(name, sizeof name, "%s%s%s", domain, domain[0] != '\0' ? "." : "", n->op_type);
    if (!flow && ox_kernel_find(name, (int)opset_of(m, domain)) == NULL) {
        bool other = ox_kernel_find(name, 9999) != NULL;
        (void)snprintf(text, 300, "operator %s is not registered%s", name, other ? " at this opset" : "");
        return text;
    }
    for (size_t i = 0; i < n->n_attribute; i++) {
        if (n->attribute[i]->g != NULL && unregistered(m, n->attribute[i]->g, text) != NULL) {
            return text;
        }
    }
    return NULL;
}

static const char *unregistered(const Onnx__ModelProto *m, const Onnx__GraphProto *g, char text[300]) {
    for (size_t i = 0; i < g->n_node; i++) {
        if (unregistered_node(m, g->node[i], text) != NULL) {
            return text;
        }
    }
    return NULL;
}

/* NULL if this case can be tried, else why it cannot. */
static const char *out_of_scope(const Onnx__ModelProto *m, char text[300]) {
    if (opset_of(m, "") > OX_MAX_OPSET) {
        (void)snprintf(text, 300, "opset above %d", OX_MAX_OPSET);
        return text;
    }
    return unregistered(m, m->graph, text);
}

/* ---- comparing ---------------------------------------------------------------------------------- */

static double value_at(const ox_tensor *t, size_t i) {
    switch (t->dtype) {
    case ASSAY_F32: return (double)((const float *)t->data)[i];
    case ASSAY_F64: return ((const double *)t->data)[i];
    case ASSAY_I8: return ((const int8_t *)t->data)[i];
    case ASSAY_I32: return ((const int32_t *)t->data)[i];
    case ASSAY_I64: return (double)((const int64_t *)t->data)[i];
    default: return ((const uint8_t *)t->data)[i];
    }
}

static bool is_float(uint32_t dtype) {
    return dtype == ASSAY_F32 || dtype == ASSAY_F64;
}

/* bfloat16, which lives in float32 here, has 8 bits: CastLike cannot tell that its target is one. */
static double tolerance(const Onnx__TensorProto *want) {
    return want->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16 ? 0x1p-7 : RTOL;
}

static bool near(double got, double want, bool floats, double rtol) {
    if (got == want || (isnan(got) && isnan(want))) {
        return true;
    }
    return floats && isfinite(want) && fabs(got - want) <= ATOL + rtol * fabs(want);
}

static bool fill_tensor(const Onnx__TensorProto *p, ox_tensor *t, error *err) {
    size_t bytes = 0, stored = 0;
    *t = (ox_tensor){.name = p->name};
    if (ox_tensor_check(p, t, &bytes, &stored, err) != STATUS_OK) {
        return false;
    }
    t->data = mem_zalloc(bytes);
    return ox_tensor_fill(p, t, err) == STATUS_OK;
}

static void refuse(test_case *c, const char *what, const error *err);

static void wrong(test_case *c, const char *what, const char *text) {
    c->n_wrong++;
    print_message("WRONG %s (%s): %s\n", c->name, what, text);
}

static void compare(test_case *c, const char *what, size_t k, const ox_tensor *got) {
    ox_tensor want = {0};
    error err = {0};
    char text[300] = "";
    if (!fill_tensor(c->files.out[k], &want, &err)) {
        refuse(c, what, &err);
        mem_free(want.data);
        return;
    }
    if (got->n_dims != want.n_dims || memcmp(got->shape, want.shape, want.n_dims * sizeof want.shape[0]) != 0) {
        (void)snprintf(text, sizeof text, "output %zu has another shape: rank %u, %zu values; expected rank %u, %zu", k,
                       got->n_dims, got->n, want.n_dims, want.n);
    } else if (is_float(got->dtype) ? !is_float(want.dtype) : got->dtype != want.dtype) {
        (void)snprintf(text, sizeof text, "output %zu has dtype %u, expected %u", k, got->dtype, want.dtype);
    }
    for (size_t i = 0; i < want.n && text[0] == '\0'; i++) {
        double a = value_at(got, i), b = value_at(&want, i);
        if (!near(a, b, is_float(want.dtype), tolerance(c->files.out[k]))) {
            (void)snprintf(text, sizeof text, "output %zu: element %zu is %.9g, expected %.9g", k, i, a, b);
        }
    }
    if (text[0] != '\0') {
        wrong(c, what, text);
    }
    mem_free(want.data);
}

/* STATUS_UNSUPPORTED is a limit that we state; every other refusal of an official case is our mistake. */
static void refuse(test_case *c, const char *what, const error *err) {
    if (err->code != STATUS_UNSUPPORTED) {
        wrong(c, what, err->text);
    } else if (c->refused[0] == '\0') {
        const char *tail = strstr(err->text, "): "), *start = strstr(err->text, "\": ");
        tail = tail != NULL ? tail : start;
        (void)snprintf(c->refused, sizeof c->refused, "%.290s", tail != NULL ? tail + 3 : err->text);
    }
}

/* ---- graphs with one input ---------------------------------------------------------------------- */

/* onnx_case_pack, loaded. False with the loader's error. */
static bool load_variant(const test_case *c, size_t var, ox_graph *g, error *err) {
    size_t n = 0;
    uint8_t *data = onnx_case_pack(&c->files, var, &n);
    assert_non_null(data);
    bool ok = ox_graph_parse(data, n, c->name, g, err) == STATUS_OK;
    mem_free(data);
    return ok;
}

typedef enum way { FAST, REFERENCE, UNPADDED, N_WAYS } way;
static const char *const way_names[] = {"fast", "reference", "unpadded"};

static void run_plan(test_case *c, const ox_graph *g, size_t var, bool carried, way w) {
    char what[64];
    (void)snprintf(what, sizeof what, "plan %s%s, input %zu", way_names[w], carried ? ", batch carried" : "", var);
    int32_t wanted[MAX_IO];
    for (size_t i = 0; i < c->files.n_out; i++) {
        wanted[i] = g->outputs[i];
    }
    ox_tensor x = {0};
    error err = {0};
    if (!fill_tensor(c->files.in[var], &x, &err)) {
        refuse(c, what, &err);
        mem_free(x.data);
        return;
    }
    ox_plan_args a = {.batch = x.shape[0],
                      .wanted = wanted,
                      .n_wanted = c->files.n_out,
                      .reference = w == REFERENCE,
                      .unpadded = w == UNPADDED,
                      .only_this_batch = !carried};
    ox_plan *p = NULL;
    if (ox_plan_make(g, &a, &p, &err) != STATUS_OK) {
        if (!carried) { /* with the batch carried, many a case is inconsistent at another batch */
            refuse(c, what, &err);
        }
        mem_free(x.data);
        return;
    }
    if (w == REFERENCE && c->slow) {
        ox_plan_free(p);
        mem_free(x.data);
        return;
    }
    c->slow = c->slow || (w == REFERENCE && ox_plan_macs(p) > MANY_MACS);
    assert_int_equal(p->tensors[g->input].dtype, x.dtype);
    memcpy(p->tensors[g->input].data, x.data, x.n * ox_dtype_bytes(x.dtype));
    c->n_runs++;
    if (ox_plan_forward(p, &err) != STATUS_OK) {
        wrong(c, what, err.text);
    } else {
        for (size_t i = 0; i < c->files.n_out; i++) {
            compare(c, what, i, &p->tensors[wanted[i]]);
        }
    }
    ox_plan_free(p);
    mem_free(x.data);
}

/* Whether the plan gives a graph's input the type that it has. */
static bool plan_takes_integers(void) {
    pb g = {0}, m;
    onnx_input(&g, "x", (int64_t[]){1, 1}, 2);
    onnx_output(&g, "y");
    onnx_node(&g, "Identity", "", "x", "y", NULL);
    m = onnx_model(&g, 13, NULL);
    ox_graph graph;
    ox_plan *p = NULL;
    assert_int_equal(ox_graph_parse(m.data, m.n, "probe", &graph, NULL), STATUS_OK);
    graph.input_dtype = ASSAY_I64;
    ox_plan_args a = {.batch = 1, .wanted = graph.outputs, .n_wanted = 1, .only_this_batch = true};
    bool takes = ox_plan_make(&graph, &a, &p, NULL) == STATUS_OK && p->tensors[graph.input].dtype == ASSAY_I64;
    ox_plan_free(p);
    ox_graph_free(&graph);
    pb_free(&m);
    return takes;
}

static void run_plans(test_case *c) {
    bool integers = plan_takes_integers();
    for (size_t var = 0; var < c->files.n_in; var++) {
        const Onnx__TensorProto *x = c->files.in[var];
        uint32_t dtype = ox_dtype_of_onnx(x->data_type);
        if (dtype == 0 || (!is_float(dtype) && !integers) || x->n_dims == 0 || x->n_dims > ASSAY_MAX_DIMS ||
            x->dims[0] <= 0) {
            continue;
        }
        ox_graph g;
        error err = {0};
        if (!load_variant(c, var, &g, &err)) {
            refuse(c, "load", &err);
            continue;
        }
        for (way w = FAST; w < N_WAYS; w++) {
            run_plan(c, &g, var, false, w);
            run_plan(c, &g, var, true, w);
        }
        ox_graph_free(&g);
    }
}

/* ---- nodes without a plan ----------------------------------------------------------------------- */

static status run_node(const ox_op *op, ox_tensor *values, way w, error *err) {
    ox_tensor *in[MAX_IO] = {0}, *out[MAX_IO] = {0};
    float *none[MAX_IO] = {0};
    assert_true(op->n_in <= MAX_IO && op->n_out <= MAX_IO);
    ox_node n = {.name = op->name,
                 .op = op->op,
                 .opset = op->opset,
                 .attrs = op->attrs,
                 .n_attrs = op->n_attrs,
                 .n_in = op->n_in,
                 .n_out = op->n_out,
                 .in = in,
                 .out = out,
                 .grad_in = none,
                 .grad_out = none,
                 .kernel = op->kernel,
                 .reference = w == REFERENCE,
                 .unpadded = w == UNPADDED};
    for (size_t i = 0; i < op->n_in; i++) {
        in[i] = op->in[i] == OX_ABSENT ? NULL : &values[op->in[i]];
    }
    for (size_t i = 0; i < op->n_out; i++) {
        out[i] = op->out[i] == OX_ABSENT ? NULL : &values[op->out[i]];
    }
    TRY(n.kernel->infer(&n, err));
    for (size_t i = 0; i < op->n_out; i++) {
        if (out[i] != NULL) {
            out[i]->data = mem_zalloc(out[i]->n * ox_dtype_bytes(out[i]->dtype));
        }
    }
    status s = n.kernel->prepare != NULL ? n.kernel->prepare(&n, false, err) : STATUS_OK;
    if (s == STATUS_OK) {
        bool oracle = n.reference && n.kernel->forward_reference != NULL;
        s = oracle ? n.kernel->forward_reference(&n, err) : n.kernel->forward(&n, err);
    }
    if (n.kernel->release != NULL) {
        n.kernel->release(&n);
    }
    return s;
}

static void run_nodes(test_case *c, const ox_graph *g, way w, bool constants) {
    char what[64];
    (void)snprintf(what, sizeof what, "nodes %s%s", way_names[w], constants ? ", all constant" : "");
    ox_tensor *values = mem_zalloc(g->n_values * sizeof *values);
    error err = {0};
    for (size_t v = 0; v < g->n_values; v++) {
        if (g->values[v].constant != NULL) {
            values[v] = *g->values[v].constant;
            values[v].is_const = constants || !is_float(values[v].dtype);
        }
    }
    status s = STATUS_OK;
    for (size_t k = 0; k < g->n_ops && s == STATUS_OK; k++) {
        s = run_node(&g->ops[k], values, w, &err);
    }
    if (s != STATUS_OK) {
        err.code = s;
        refuse(c, what, &err);
    } else {
        c->n_runs++;
        for (size_t i = 0; i < c->files.n_out; i++) {
            compare(c, what, i, &values[g->outputs[i]]);
        }
    }
    for (size_t v = 0; v < g->n_values; v++) {
        if (g->values[v].constant == NULL) {
            mem_free(values[v].data);
        }
    }
    mem_free(values);
}

static void run_all_nodes(test_case *c) {
    ox_graph g;
    error err = {0};
    if (!load_variant(c, SIZE_MAX, &g, &err)) {
        refuse(c, "load", &err);
        return;
    }
    for (way w = FAST; w < N_WAYS; w++) {
        if (w != REFERENCE || !c->slow) {
            run_nodes(c, &g, w, false);
            run_nodes(c, &g, w, true);
        }
    }
    ox_graph_free(&g);
}

/* ---- all cases ---------------------------------------------------------------------------------- */

static void run_sets(test_case *c, const char *folder) {
    for (int set = 0; set < 8; set++) {
        char path[600];
        (void)snprintf(path, sizeof path, "%s/test_data_set_%d", folder, set);
        if (onnx_case_read(&c->files, path)) {
            run_plans(c);
            run_all_nodes(c);
        }
        onnx_case_free_tensors(&c->files);
    }
}

static void run_case(tally *t, const char *model_path) {
    static test_case c;
    char folder[512];
    c = (test_case){0};
    (void)snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(model_path, '/') - model_path), model_path);
    c.name = strrchr(folder, '/') + 1;
    assert_true(onnx_case_open(&c.files, model_path));
    char text[300];
    const char *why = out_of_scope(c.files.model, text);
    if (why == NULL) {
        run_sets(&c, folder);
    }
    t->n_runs += c.n_runs;
    if (c.n_wrong > 0) {
        t->n_failed++;
    } else if (c.n_runs > 0) {
        t->n_passed++;
    } else {
        count_reason(t, why != NULL ? why : c.refused[0] != '\0' ? c.refused : "its inputs are not tensors");
    }
    onnx_case_close(&c.files);
}

static void cases(void **state) {
    (void)state;
    static tally t;
    glob_t found;
    if (glob(ONNX_CASES "/*/*/model.onnx", 0, NULL, &found) != 0) {
        print_message("libonnx-testdata is not installed: no conformance cases\n");
        skip();
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        run_case(&t, found.gl_pathv[i]);
    }
    print_message("%zu cases: %zu passed (%zu runs), %zu failed, %zu out of scope:\n", found.gl_pathc, t.n_passed,
                  t.n_runs, t.n_failed, t.n_out);
    for (size_t i = 0; i < t.n_reasons; i++) {
        print_message("  %zu  %s\n", t.reasons[i].n, t.reasons[i].text);
    }
    globfree(&found);
    assert_int_equal(t.n_failed, 0);
    assert_true(t.n_passed >= AT_LEAST_PASSED);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
