/* SPDX-License-Identifier: Apache-2.0
 * Source graphs -> one flat graph. Calls of the model's functions are replaced by their bodies; If by the branch that
 * its constant condition takes; Loop, where trip count and condition are constant, by its iterations one after another,
 * with its scan outputs concatenated. What the copies cost is bounded by OX_MAX_NODES, MAX_ITERATIONS, MAX_SPENT and
 * MAX_DEPTH, whatever a small file asks for. Names of values inside: "node/name", in a loop "node.iteration/name". */
#include <inttypes.h>
#include <stdio.h>

#include "base/str.h"
#include "load.h"
#include "tensors.h"

#define MAX_ITERATIONS 4096
#define MAX_SPENT ((size_t)256 << 20)
#define MAX_DEPTH 64u
#define NOT_YET (-2) /* a slot whose node has not come yet */
#define MAX_LISTED 8u
#define MAX_NAMED 100u

/* One copy of a source graph. */
typedef struct scope {
    const struct scope *parent; /* whose names are seen from here; NULL for the graph and for functions */
    const src_graph *graph;
    int32_t *slots; /* values of the graph's names */
    const char *prefix;
    const ox_attr *attrs; /* of the function's call */
    size_t n_attrs;
    unsigned depth;
} scope;

static status expand_graph(loader *l, scope *s, const int32_t *args);

/* ---- limits ------------------------------------------------------------------------------------- */

static status spend(loader *l, const scope *s, size_t bytes) {
    if (s->depth > 0 && (bytes > MAX_SPENT || (l->n_spent += bytes) > MAX_SPENT)) {
        return error_set(l->err, STATUS_UNSUPPORTED,
                         "%s: its loops, branches and functions, written out, need more than %zu MiB", l->g->file,
                         MAX_SPENT >> 20);
    }
    return STATUS_OK;
}

static status enter(loader *l, const scope *outer, const src_graph *graph, scope *inner) {
    if (outer->depth + 1 > MAX_DEPTH) {
        return error_set(l->err, STATUS_MODEL, "%s: functions and subgraphs are nested deeper than %u", l->g->file,
                         MAX_DEPTH);
    }
    *inner = (scope){.parent = outer,
                     .graph = graph,
                     .prefix = outer->prefix,
                     .attrs = outer->attrs,
                     .n_attrs = outer->n_attrs,
                     .depth = outer->depth + 1};
    return STATUS_OK;
}

/* ---- values ------------------------------------------------------------------------------------- */

static int32_t add_value(loader *l, const scope *s, const char *name, int32_t producer) {
    l->values = mem_grow(l->values, &l->cap_values, l->n_values + 1, sizeof *l->values);
    l->notes = mem_grow(l->notes, &l->cap_notes, l->n_values + 1, sizeof *l->notes);
    l->values[l->n_values] =
        (ox_value){.name = arena_printf(&l->g->memory, "%s%s", s->prefix, name), .producer = producer};
    l->notes[l->n_values] = (value_note){0};
    return (int32_t)l->n_values++;
}

/* A constant that the expansion itself needs. */
static int32_t add_constant(loader *l, const scope *s, const char *name, uint32_t dtype, int64_t v, uint32_t n_dims) {
    ox_tensor *t = arena_alloc(&l->g->memory, sizeof *t);
    *t = (ox_tensor){.dtype = dtype, .n_dims = n_dims, .shape = {1}, .n = 1, .is_const = true};
    t->data = arena_alloc(&l->g->memory, sizeof v);
    if (dtype == ASSAY_BOOL) {
        *(uint8_t *)t->data = v != 0;
    } else {
        *(int64_t *)t->data = v;
    }
    int32_t value = add_value(l, s, name, OX_FROM_FILE);
    t->name = l->values[value].name;
    l->values[value].constant = t;
    return value;
}

static void define(const scope *s, const char *name, int32_t value) {
    const src_name *d = src_find(s->graph, name);
    if (d != NULL) {
        s->slots[d->slot] = value;
    }
}

/* The value of a name, seen from `s`. An input must have been written before: ONNX requires sorted nodes, so a cycle
 * shows up here too. */
static status resolve(loader *l, const scope *s, const src_node *n, const char *name, int32_t *out) {
    *out = OX_ABSENT;
    if (name[0] == '\0') {
        return STATUS_OK;
    }
    for (const scope *at = s; at != NULL; at = at->parent) {
        const src_name *d = src_find(at->graph, name);
        if (d != NULL && at->slots[d->slot] == NOT_YET) {
            return error_set(l->err, STATUS_MODEL,
                             "%s: node \"%s\" (%s): its input \"%s\" is only computed later, by node %d: the graph is "
                             "not sorted or has a cycle",
                             l->g->file, n->name, n->op, name, (int)d->node);
        }
        if (d != NULL) {
            *out = at->slots[d->slot];
            return STATUS_OK;
        }
    }
    return error_set(l->err, STATUS_MODEL, "%s: node \"%s\" (%s): its input \"%s\" is not defined anywhere", l->g->file,
                     n->name, n->op, name);
}

/* Number of names without the empty ones at the end. */
static size_t trimmed(char **names, size_t n) {
    while (n > 0 && text_of(names[n - 1])[0] == '\0') {
        n--;
    }
    return n;
}

/* All inputs of a node, in the scratch arena. */
static status resolve_inputs(loader *l, const scope *s, const src_node *n, int32_t **in, size_t *n_in) {
    *n_in = trimmed(n->proto->input, n->proto->n_input);
    TRY(spend(l, s, *n_in * sizeof **in + MEM_ALIGN));
    *in = arena_alloc(&l->scratch, *n_in * sizeof **in);
    for (size_t i = 0; i < *n_in; i++) {
        TRY(resolve(l, s, n, text_of(n->proto->input[i]), &(*in)[i]));
    }
    return STATUS_OK;
}

/* An output of a subgraph or function, as a value. */
static status output_of(loader *l, const scope *inner, const src_node *n, size_t i, int32_t *out) {
    const char *name = inner->graph->outputs[i];
    TRY(resolve(l, inner, n, name, out));
    if (*out == OX_ABSENT) {
        return error_set(l->err, STATUS_MODEL, "%s: node \"%s\" (%s): output \"%s\" of its body has no value",
                         l->g->file, n->name, n->op, name);
    }
    return STATUS_OK;
}

/* ---- plain nodes -------------------------------------------------------------------------------- */

/* NULL with l->err set. */
static ox_op *new_op(loader *l, const scope *s, const char *name) {
    if (l->n_ops == OX_MAX_NODES) {
        (void)error_set(l->err, STATUS_UNSUPPORTED, "%s: more than %zu nodes", l->g->file, OX_MAX_NODES);
        return NULL;
    }
    if (spend(l, s, sizeof(ox_op) + 4 * (size_t)MEM_ALIGN + strlen(s->prefix) + strlen(name)) != STATUS_OK) {
        return NULL;
    }
    l->ops = mem_grow(l->ops, &l->cap_ops, l->n_ops + 1, sizeof *l->ops);
    ox_op *op = &l->ops[l->n_ops++];
    *op = (ox_op){.name = arena_printf(&l->g->memory, "%s%s", s->prefix, name)};
    return op;
}

static status check_arity(const loader *l, const ox_op *op) {
    const ox_kernel *k = op->kernel;
    if (op->n_in < k->min_in || op->n_in > k->max_in || op->n_out < k->min_out || op->n_out > k->max_out) {
        return error_set(l->err, STATUS_MODEL,
                         "%s: node \"%s\" (%s): %zu inputs and %zu outputs; %u to %u and %u to %u are possible",
                         l->g->file, op->name, op->op, op->n_in, op->n_out, k->min_in, k->max_in, k->min_out,
                         k->max_out);
    }
    for (size_t i = 0; i < k->min_in || i < k->min_out; i++) {
        if ((i < k->min_in && op->in[i] == OX_ABSENT) || (i < k->min_out && op->out[i] == OX_ABSENT)) {
            return error_set(l->err, STATUS_MODEL, "%s: node \"%s\" (%s): input or output %zu is missing", l->g->file,
                             op->name, op->op, i);
        }
    }
    return STATUS_OK;
}

/* The node's attributes, with what refers to the function's call replaced by that; absent there, absent here. */
static status bind_attrs(loader *l, const scope *s, const src_node *n, const ox_attr **attrs, size_t *n_attrs) {
    *attrs = n->attrs;
    *n_attrs = n->n_attrs;
    if (n->refs == NULL) {
        return STATUS_OK;
    }
    TRY(spend(l, s, n->n_attrs * sizeof **attrs + MEM_ALIGN));
    ox_attr *own = arena_alloc(&l->g->memory, n->n_attrs * sizeof *own);
    size_t count = 0;
    for (size_t i = 0; i < n->n_attrs; i++) {
        const ox_attr *found = n->refs[i] == NULL ? &n->attrs[i] : NULL;
        for (size_t j = 0; found == NULL && j < s->n_attrs; j++) {
            found = strcmp(s->attrs[j].name, n->refs[i]) == 0 ? &s->attrs[j] : NULL;
        }
        if (found != NULL) {
            own[count] = *found;
            own[count++].name = n->attrs[i].name;
        }
    }
    *attrs = own;
    *n_attrs = count;
    return STATUS_OK;
}

/* The node as it stands; `op_name` is another than its own where we say why it is not supported. */
static status take_op(loader *l, const scope *s, const src_node *n, const char *op_name) {
    int32_t *resolved = NULL;
    size_t n_in = 0, n_out = trimmed(n->proto->output, n->proto->n_output);
    TRY(resolve_inputs(l, s, n, &resolved, &n_in));
    ox_op *op = new_op(l, s, n->name);
    if (op == NULL) {
        return l->err->code;
    }
    int32_t at = (int32_t)l->n_ops - 1;
    op->op = op_name;
    op->opset = n->opset;
    op->kernel = ox_kernel_find(op_name, n->opset);
    TRY(bind_attrs(l, s, n, &op->attrs, &op->n_attrs));
    int32_t *in = arena_alloc(&l->g->memory, n_in * sizeof *in), *out = arena_alloc(&l->g->memory, n_out * sizeof *out);
    for (size_t i = 0; i < n_in; i++) {
        in[i] = resolved[i];
    }
    for (size_t i = 0; i < n_out; i++) {
        const char *name = text_of(n->proto->output[i]);
        out[i] = OX_ABSENT;
        if (name[0] != '\0') {
            TRY(spend(l, s, sizeof *l->values + sizeof *l->notes + strlen(s->prefix) + strlen(name) + MEM_ALIGN));
            out[i] = add_value(l, s, name, at);
            define(s, name, out[i]);
        }
    }
    op->in = in;
    op->out = out;
    op->n_in = n_in;
    op->n_out = n_out;
    return op->kernel != NULL ? check_arity(l, op) : STATUS_OK;
}

/* A node that the file does not have; its output's value. */
static status insert_op(loader *l, const scope *s, const src_node *for_node, const char *kind, const int32_t *inputs,
                        size_t n_in, const ox_attr *attr, const char *out_name, int32_t *out_value) {
    ox_op *op = new_op(l, s, out_name);
    if (op == NULL) {
        return l->err->code;
    }
    TRY(spend(l, s, n_in * sizeof *inputs + sizeof *l->values + sizeof *l->notes + MEM_ALIGN));
    int32_t at = (int32_t)l->n_ops - 1;
    int32_t *in = arena_alloc(&l->g->memory, n_in * sizeof *in), *out = arena_alloc(&l->g->memory, sizeof *out);
    memcpy(in, inputs, n_in * sizeof *in);
    *out_value = *out = add_value(l, s, out_name, at);
    op->op = kind;
    op->opset = for_node->function != NULL ? l->g->opset : for_node->opset; /* a function's is of its own domain */
    op->kernel = ox_kernel_find(kind, op->opset);
    op->attrs = attr;
    op->n_attrs = attr != NULL;
    op->in = in;
    op->n_in = n_in;
    op->out = out;
    op->n_out = 1;
    return STATUS_OK;
}

/* Gives output i of a replaced node its value. What was computed inside takes the output's name; what came from
 * outside, is a constant or has been given a name already is copied by an Identity. */
static status bind_output(loader *l, const scope *s, const src_node *n, size_t i, int32_t inner, size_t first_op) {
    const char *name = text_of(n->proto->output[i]);
    if (name[0] == '\0') {
        return STATUS_OK;
    }
    int32_t value = inner;
    if (l->values[inner].producer >= (int32_t)first_op && l->notes[inner].expansion != l->n_expansions) {
        TRY(spend(l, s, strlen(s->prefix) + strlen(name) + MEM_ALIGN));
        l->values[inner].name = arena_printf(&l->g->memory, "%s%s", s->prefix, name);
    } else {
        TRY(insert_op(l, s, n, "Identity", &inner, 1, NULL, name, &value));
    }
    l->notes[value].expansion = l->n_expansions;
    define(s, name, value);
    return STATUS_OK;
}

static status prefix_of(loader *l, const scope *outer, const src_node *n, int64_t iteration, scope *inner) {
    TRY(spend(l, inner, strlen(outer->prefix) + strlen(n->name) + MEM_ALIGN));
    inner->prefix = iteration < 0 ? arena_printf(&l->scratch, "%s%s/", outer->prefix, n->name)
                                  : arena_printf(&l->scratch, "%s%s.%" PRId64 "/", outer->prefix, n->name, iteration);
    return STATUS_OK;
}

/* ---- functions and If --------------------------------------------------------------------------- */

static status too_many(const loader *l, const src_node *n, const char *what, size_t have, size_t want) {
    return error_set(l->err, STATUS_MODEL, "%s: node \"%s\" (%s): %zu %s, its body has %zu", l->g->file, n->name, n->op,
                     have, what, want);
}

static status bind_outputs(loader *l, const scope *s, const src_node *n, const scope *inner, size_t first_op) {
    size_t n_out = trimmed(n->proto->output, n->proto->n_output);
    if (n_out > inner->graph->n_outputs) {
        return too_many(l, n, "outputs", n_out, inner->graph->n_outputs);
    }
    l->n_expansions++;
    for (size_t i = 0; i < n_out; i++) {
        int32_t value = OX_ABSENT;
        TRY(output_of(l, inner, n, i, &value));
        TRY(bind_output(l, s, n, i, value, first_op));
    }
    return STATUS_OK;
}

static status expand_function(loader *l, const scope *s, const src_node *n) {
    const src_graph *g = &n->function->graph;
    size_t n_in = 0, first_op = l->n_ops;
    int32_t *given = NULL;
    scope inner = {0};
    TRY(enter(l, s, g, &inner));
    TRY(resolve_inputs(l, s, n, &given, &n_in));
    if (n_in > g->n_inputs) {
        return too_many(l, n, "inputs", n_in, g->n_inputs);
    }
    TRY(spend(l, &inner, g->n_inputs * sizeof *given + MEM_ALIGN));
    int32_t *args = arena_alloc(&l->scratch, g->n_inputs * sizeof *args);
    for (size_t i = 0; i < g->n_inputs; i++) {
        args[i] = i < n_in ? given[i] : OX_ABSENT;
    }
    TRY(bind_attrs(l, s, n, &inner.attrs, &inner.n_attrs));
    TRY(prefix_of(l, s, n, -1, &inner));
    inner.parent = NULL;
    TRY(expand_graph(l, &inner, args));
    return bind_outputs(l, s, n, &inner, first_op);
}

/* NULL with l->err set. */
static const src_graph *body_of(const loader *l, const src_node *n, const char *name) {
    for (size_t i = 0; i < n->n_bodies; i++) {
        if (strcmp(n->bodies[i].name, name) == 0) {
            return n->bodies[i].graph;
        }
    }
    (void)error_set(l->err, STATUS_MODEL, "%s: node \"%s\" (%s): attribute %s is missing or no graph", l->g->file,
                    n->name, n->op, name);
    return NULL;
}

/* A constant truth or int64 scalar; false where the value is no constant. */
static bool constant_scalar(loader *l, int32_t value, int64_t *v) {
    const ox_tensor *t = load_constant(l, value);
    if (t == NULL || t->n != 1 || (t->dtype != ASSAY_BOOL && t->dtype != ASSAY_I64 && t->dtype != ASSAY_I32)) {
        return false;
    }
    *v = t->dtype == ASSAY_BOOL  ? *(const uint8_t *)t->data
         : t->dtype == ASSAY_I64 ? *(const int64_t *)t->data
                                 : *(const int32_t *)t->data;
    return true;
}

static status expand_if(loader *l, const scope *s, const src_node *n) {
    const src_graph *then = body_of(l, n, "then_branch");
    const src_graph *otherwise = then == NULL ? NULL : body_of(l, n, "else_branch");
    size_t n_in = 0, first_op = l->n_ops;
    int32_t *in = NULL;
    int64_t condition = 0;
    if (then == NULL || otherwise == NULL) {
        return l->err->code;
    }
    TRY(resolve_inputs(l, s, n, &in, &n_in));
    if (n_in != 1 || then->n_inputs > 0 || otherwise->n_inputs > 0) {
        return error_set(l->err, STATUS_MODEL, "%s: node \"%s\" (If): one input is needed, and branches without inputs",
                         l->g->file, n->name);
    }
    if (!constant_scalar(l, in[0], &condition)) {
        return take_op(l, s, n, "If with a condition that is not constant");
    }
    scope inner = {0};
    TRY(enter(l, s, condition != 0 ? then : otherwise, &inner));
    TRY(prefix_of(l, s, n, -1, &inner));
    TRY(expand_graph(l, &inner, NULL));
    return bind_outputs(l, s, n, &inner, first_op);
}

/* ---- Loop --------------------------------------------------------------------------------------- */

typedef struct loop {
    const src_node *n;
    const src_graph *body;
    size_t n_carried, n_scans;
    int64_t trips;      /* INT64_MAX where only the condition ends it */
    int64_t keep_going; /* the condition before the next iteration */
    const char *why;    /* it cannot be written out; or NULL */
    int32_t *carried;   /* the body's inputs: iteration, condition, carried values */
    int32_t *scans;     /* [iteration][scan output] */
} loop;

static status take_carried(loader *l, loop *p, const int32_t *in, size_t n_in) {
    static const scope inside = {.depth = 1}; /* a loop at the top costs as well */
    size_t given = p->n->proto->n_input;
    TRY(spend(l, &inside, given * sizeof *in + MEM_ALIGN));
    p->carried = arena_alloc(&l->scratch, given * sizeof *in);
    for (size_t i = 2; i < given; i++) {
        p->carried[i] = i < n_in ? in[i] : OX_ABSENT;
        if (p->carried[i] == OX_ABSENT) {
            return error_set(l->err, STATUS_MODEL, "%s: node \"%s\" (Loop): input %zu is missing", l->g->file,
                             p->n->name, i);
        }
    }
    size_t rows = p->trips < 0 ? 0 : p->trips > MAX_ITERATIONS ? MAX_ITERATIONS : (size_t)p->trips;
    TRY(spend(l, &inside, rows > 0 && p->n_scans > MAX_SPENT / rows ? MAX_SPENT : rows * p->n_scans * sizeof *in));
    p->scans = arena_alloc(&l->scratch, rows * p->n_scans * sizeof *in);
    return STATUS_OK;
}

static status read_loop(loader *l, const scope *s, loop *p) {
    const src_node *n = p->n;
    size_t n_in = 0;
    int32_t *in = NULL;
    p->body = body_of(l, n, "body");
    if (p->body == NULL) {
        return l->err->code;
    }
    TRY(resolve_inputs(l, s, n, &in, &n_in));
    size_t given = n->proto->n_input, n_out = trimmed(n->proto->output, n->proto->n_output);
    if (given < 2 || p->body->n_inputs != given || p->body->n_outputs + 1 < given || n_out > p->body->n_outputs - 1) {
        return error_set(l->err, STATUS_MODEL,
                         "%s: node \"%s\" (Loop): %zu inputs and %zu outputs do not go with its body's %zu and %zu",
                         l->g->file, n->name, given, n_out, p->body->n_inputs, p->body->n_outputs);
    }
    p->n_carried = given - 2;
    p->n_scans = p->body->n_outputs - 1 - p->n_carried;
    p->trips = INT64_MAX;
    p->keep_going = 1;
    if (n_in > 0 && in[0] != OX_ABSENT && !constant_scalar(l, in[0], &p->trips)) {
        p->why = "Loop with a trip count that is not constant";
    } else if (n_in > 1 && in[1] != OX_ABSENT && !constant_scalar(l, in[1], &p->keep_going)) {
        p->why = "Loop with a condition that is not constant";
    }
    return take_carried(l, p, in, n_in);
}

static status iterate(loader *l, const scope *s, loop *p, int64_t i) {
    scope inner = {0};
    TRY(enter(l, s, p->body, &inner));
    TRY(prefix_of(l, s, p->n, i, &inner));
    TRY(spend(l, &inner, 1024)); /* the two constants */
    p->carried[0] = add_constant(l, &inner, "iteration", ASSAY_I64, i, 0);
    p->carried[1] = add_constant(l, &inner, "condition", ASSAY_BOOL, 1, 0);
    TRY(expand_graph(l, &inner, p->carried));
    int32_t condition = OX_ABSENT;
    TRY(output_of(l, &inner, p->n, 0, &condition));
    if (i + 1 < p->trips && !constant_scalar(l, condition, &p->keep_going)) {
        p->why = "Loop with a condition that is not constant";
    }
    for (size_t k = 0; k < p->n_carried; k++) {
        TRY(output_of(l, &inner, p->n, 1 + k, &p->carried[2 + k]));
    }
    for (size_t k = 0; k < p->n_scans; k++) {
        TRY(output_of(l, &inner, p->n, 1 + p->n_carried + k, &p->scans[(size_t)i * p->n_scans + k]));
    }
    return STATUS_OK;
}

static const ox_attr *int_attr(loader *l, const char *name, bool list) {
    ox_attr *a = arena_alloc(&l->g->memory, sizeof *a);
    int64_t *zero = arena_alloc(&l->g->memory, sizeof *zero);
    *a = (ox_attr){.name = name, .kind = list ? OX_INTS : OX_INT, .n = list, .ints = list ? zero : NULL};
    return a;
}

/* One value per iteration, along a new first axis: Unsqueeze each, then Concat. */
static status concat_scan(loader *l, const scope *s, const loop *p, size_t k, int64_t n, int32_t *out) {
    char name[64];
    TRY(spend(l, s, (size_t)n * (sizeof(int32_t) + 2 * (size_t)MEM_ALIGN) + 1024));
    int32_t *rows = arena_alloc(&l->scratch, (size_t)n * sizeof *rows);
    bool as_input = p->n->opset >= 13;
    const ox_attr *axes = as_input ? NULL : int_attr(l, "axes", true);
    int32_t in[2] = {0, as_input ? add_constant(l, s, "axes", ASSAY_I64, 0, 1) : OX_ABSENT};
    for (int64_t i = 0; i < n; i++) {
        in[0] = p->scans[(size_t)i * p->n_scans + k];
        (void)snprintf(name, sizeof name, "scan.%zu.%" PRId64, k, i);
        TRY(insert_op(l, s, p->n, "Unsqueeze", in, as_input ? 2 : 1, axes, name, &rows[i]));
    }
    (void)snprintf(name, sizeof name, "scan.%zu", k);
    return insert_op(l, s, p->n, "Concat", rows, (size_t)n, int_attr(l, "axis", false), name, out);
}

static status bind_scans(loader *l, const scope *s, const loop *p, int64_t n, size_t first_op) {
    size_t n_out = trimmed(p->n->proto->output, p->n->proto->n_output);
    scope inner = {0};
    TRY(enter(l, s, p->body, &inner));
    TRY(prefix_of(l, s, p->n, -1, &inner));
    for (size_t k = 0; p->n_carried + k < n_out; k++) {
        int32_t value = OX_ABSENT;
        if (text_of(p->n->proto->output[p->n_carried + k])[0] != '\0') {
            TRY(concat_scan(l, &inner, p, k, n, &value));
            TRY(bind_output(l, s, p->n, p->n_carried + k, value, first_op));
        }
    }
    return STATUS_OK;
}

static status expand_loop(loader *l, const scope *s, const src_node *n) {
    loop p = {.n = n};
    size_t first_op = l->n_ops, n_out = trimmed(n->proto->output, n->proto->n_output);
    int64_t i = 0;
    TRY(read_loop(l, s, &p));
    for (; p.why == NULL && i < p.trips && p.keep_going != 0; i++) {
        if (i == MAX_ITERATIONS) {
            p.why = "Loop of more than 4096 iterations";
        } else {
            TRY(iterate(l, s, &p, i));
        }
    }
    if (p.why == NULL && i == 0 && n_out > p.n_carried) {
        p.why = "Loop with scan outputs of no iteration";
    }
    if (p.why != NULL) {
        return take_op(l, s, n, p.why);
    }
    l->n_expansions++;
    for (size_t k = 0; k < p.n_carried && k < n_out; k++) {
        TRY(bind_output(l, s, n, k, p.carried[2 + k], first_op));
    }
    return bind_scans(l, s, &p, i, first_op);
}

/* ---- graphs ------------------------------------------------------------------------------------- */

static status expand_node(loader *l, const scope *s, const src_node *n) {
    if (n->function != NULL) {
        return expand_function(l, s, n);
    }
    if (strcmp(n->op, "If") == 0) {
        return expand_if(l, s, n);
    }
    return strcmp(n->op, "Loop") == 0 ? expand_loop(l, s, n) : take_op(l, s, n, n->op);
}

/* Initialisers are constant: all copies of a subgraph share them. */
static status expand_inits(loader *l, const scope *s) {
    const src_graph *g = s->graph;
    for (size_t i = 0; i < g->n_inits; i++) {
        src_init *init = &g->inits[i];
        if (init->value < 0) {
            TRY(spend(l, s, strlen(s->prefix)));
            init->value = add_value(l, s, init->name, OX_FROM_FILE);
            l->values[init->value].constant = init->t;
            l->values[init->value].stored_bytes = init->stored;
        }
        define(s, init->name, init->value);
    }
    return STATUS_OK;
}

/* The one input, with its tensor at two batch sizes for load_constant. */
static int32_t add_input(loader *l, const scope *s, const char *name) {
    ox_graph *g = l->g;
    g->input = add_value(l, s, name, OX_FROM_INPUT);
    int64_t declared = g->input_shape[0] > 0 ? g->input_shape[0] : 1;
    for (size_t w = 0; w < 2; w++) {
        ox_tensor *t = arena_alloc(&l->scratch, sizeof *t);
        int64_t shape[ASSAY_MAX_DIMS];
        memcpy(shape, g->input_shape, sizeof shape);
        shape[0] = w == 0 ? declared : declared == 1 ? 2 : 1;
        error none = {0};
        if (ox_set_shape(t, g->input_dtype, shape, g->input_n_dims, &none) == STATUS_OK) {
            t->has_batch = true;
            l->notes[g->input].at[w] = t;
        }
    }
    return g->input;
}

static status expand_graph(loader *l, scope *s, const int32_t *args) {
    const src_graph *g = s->graph;
    TRY(spend(l, s, (g->n_slots + g->n_inits) * sizeof *s->slots + 4 * (size_t)MEM_ALIGN));
    s->slots = arena_alloc(&l->scratch, g->n_slots * sizeof *s->slots);
    for (size_t i = 0; i < g->n_slots; i++) {
        s->slots[i] = NOT_YET;
    }
    TRY(expand_inits(l, s));
    for (size_t i = 0; i < g->n_inputs; i++) {
        define(s, g->inputs[i], args != NULL ? args[i] : add_input(l, s, g->inputs[i]));
    }
    for (size_t i = 0; i < g->n_nodes; i++) {
        TRY(expand_node(l, s, &g->nodes[i]));
    }
    return STATUS_OK;
}

/* ---- the whole ---------------------------------------------------------------------------------- */

/* All operators without a kernel in one error: the first ones with a node that uses them, then names. */
static status check_supported(const loader *l) {
    const ox_op *listed[MAX_NAMED] = {0};
    size_t n = 0;
    bool more = false;
    for (size_t i = 0; i < l->n_ops; i++) {
        const ox_op *op = &l->ops[i];
        bool seen = op->kernel != NULL;
        for (size_t j = 0; j < n && !seen; j++) {
            seen = strcmp(listed[j]->op, op->op) == 0;
        }
        if (!seen && n < MAX_NAMED) {
            listed[n++] = op;
        } else if (!seen) {
            more = true;
        }
    }
    if (n == 0) {
        return STATUS_OK;
    }
    strbuf b = {0};
    for (size_t i = 0; i < n && i < MAX_LISTED; i++) {
        strbuf_addf(&b, "%s%.100s: node \"%.40s\": operator %.60s (opset %d) is not supported", i > 0 ? "\n" : "",
                    l->g->file, listed[i]->name, listed[i]->op, listed[i]->opset);
    }
    for (size_t i = MAX_LISTED; i < n; i++) {
        strbuf_addf(&b, "%s%.60s", i == MAX_LISTED ? "\nand: " : ", ", listed[i]->op);
    }
    strbuf_add(&b, more ? " and further operators" : "");
    status s = error_set(l->err, STATUS_UNSUPPORTED, "%s", strbuf_str(&b));
    strbuf_free(&b);
    return s;
}

static status find_outputs(loader *l, const scope *s) {
    ox_graph *g = l->g;
    g->n_outputs = l->root.n_outputs;
    g->outputs = arena_alloc(&g->memory, g->n_outputs * sizeof *g->outputs);
    for (size_t i = 0; i < g->n_outputs; i++) {
        const char *name = l->root.outputs[i];
        const src_name *d = src_find(s->graph, name);
        if (d == NULL) {
            return error_set(l->err, STATUS_MODEL, "%s: the output \"%s\" is not defined anywhere", g->file, name);
        }
        g->outputs[i] = s->slots[d->slot];
        if (g->outputs[i] < 0) {
            return error_set(l->err, STATUS_MODEL, "%s: the output \"%s\" has no value", g->file, name);
        }
    }
    return g->n_outputs > 0 ? STATUS_OK : error_set(l->err, STATUS_MODEL, "%s: the graph has no output", g->file);
}

status load_expand(loader *l) {
    scope root = {.graph = &l->root, .prefix = ""};
    ox_graph *g = l->g;
    TRY(expand_graph(l, &root, NULL));
    TRY(check_supported(l));
    TRY(find_outputs(l, &root));
    g->n_values = l->n_values;
    g->n_ops = l->n_ops;
    g->values = arena_alloc(&g->memory, g->n_values * sizeof *g->values);
    g->ops = arena_alloc(&g->memory, g->n_ops * sizeof *g->ops);
    memcpy(g->values, l->values, g->n_values * sizeof *g->values);
    if (g->n_ops > 0) {
        memcpy(g->ops, l->ops, g->n_ops * sizeof *g->ops);
    }
    return STATUS_OK;
}
