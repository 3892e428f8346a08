/* SPDX-License-Identifier: Apache-2.0
 * Einsum (opset 12): any equation, with ellipsis, diagonals (a label twice in a term), explicit or implicit output. A
 * dimension of 1 is broadcast against another operand's of the same label, as numpy has it; dimensions of an ellipsis
 * that an explicit output leaves out are summed over, as torch has it. */
#include <inttypes.h>

#include "kernels/einsum_contract.h"
#include "kernels/integer.h"

typedef struct equation {
    size_t n_operands;
    ox_labels labels[OX_EINSUM_OPERANDS + 1]; /* of the operands, then of the output */
    int64_t size[OX_EINSUM_LABELS];
    uint32_t ellipsis; /* dimensions of the longest one */
} equation;

typedef struct einsum_state {
    ox_contraction *all; /* forward, then the gradient of each operand */
    size_t n;
} einsum_state;

/* ---- the equation's text ------------------------------------------------------------------------ */

#define ELLIPSIS 255u /* stands in a term until the operand's rank is known */

/* One term, up to a comma, an arrow or the end. An ellipsis is one entry. */
static status read_term(const char **text, ox_labels *l, error *err) {
    bool ellipsis = false;
    *l = (ox_labels){0};
    for (;; (*text)++) {
        char c = **text;
        if (c == ' ') {
            continue;
        }
        if (c == '\0' || c == ',' || c == '-') {
            return STATUS_OK;
        }
        if (l->n == ASSAY_MAX_DIMS) {
            return error_set(err, STATUS_UNSUPPORTED, "a term of the equation has more than %d labels", ASSAY_MAX_DIMS);
        }
        if (strncmp(*text, "...", 3) == 0 && !ellipsis) {
            ellipsis = true;
            l->of[l->n++] = ELLIPSIS;
            *text += 2;
        } else if (c >= 'A' && c <= 'Z') {
            l->of[l->n++] = (uint8_t)(c - 'A');
        } else if (c >= 'a' && c <= 'z') {
            l->of[l->n++] = (uint8_t)(c - 'a' + 26);
        } else {
            return error_set(err, STATUS_MODEL, "the equation cannot be read at \"%.40s\"", *text);
        }
    }
}

static bool has(const ox_labels *l, size_t label) {
    return memchr(l->of, (int)label, l->n) != NULL;
}

/* Reads the terms; *implied: there is no arrow. */
static status read_equation(const ox_node *n, equation *e, bool *implied, error *err) {
    const ox_attr *a = ox_attr_find(n, "equation");
    if (a == NULL || a->kind != OX_STRING) {
        return error_set(err, STATUS_MODEL, "attribute equation is missing or no string");
    }
    const char *text = a->s;
    e->n_operands = n->n_in;
    for (size_t i = 0; i < n->n_in; i++) {
        TRY(read_term(&text, &e->labels[i], err));
        if ((*text == ',') != (i + 1 < n->n_in)) {
            return error_set(err, STATUS_MODEL, "the equation does not have a term for each of %zu operands", n->n_in);
        }
        text += *text == ',';
    }
    *implied = *text == '\0';
    if (!*implied) {
        if (text[1] != '>') {
            return error_set(err, STATUS_MODEL, "the equation cannot be read at \"%.40s\"", text);
        }
        text += 2;
        TRY(read_term(&text, &e->labels[n->n_in], err));
        if (*text != '\0') {
            return error_set(err, STATUS_MODEL, "the equation cannot be read at \"%.40s\"", text);
        }
    }
    return STATUS_OK;
}

/* ---- dimensions --------------------------------------------------------------------------------- */

/* Puts labels for the dimensions that an ellipsis stands for, aligned at the right: the last is the last label. */
static status spread(ox_labels *l, uint32_t rank, error *err) {
    ox_labels to = {0};
    bool ellipsis = has(l, ELLIPSIS);
    if (rank > ASSAY_MAX_DIMS || (ellipsis ? rank + 1 < l->n : rank != l->n)) {
        return error_set(err, STATUS_MODEL, "a term of the equation does not fit %u dimensions", rank);
    }
    for (uint32_t i = 0; i < l->n; i++) {
        if (l->of[i] != ELLIPSIS) {
            to.of[to.n++] = l->of[i];
            continue;
        }
        for (uint32_t k = rank + 1 - l->n; k > 0; k--) {
            to.of[to.n++] = (uint8_t)(OX_EINSUM_LABELS - k);
        }
    }
    *l = to;
    return STATUS_OK;
}

static status take_sizes(const ox_tensor *t, const ox_labels *l, equation *e, error *err) {
    for (uint32_t d = 0; d < l->n; d++) {
        int64_t *size = &e->size[l->of[d]], dim = t->shape[d];
        if (*size >= 0 && *size != dim && *size != 1 && dim != 1) {
            return error_set(err, STATUS_MODEL, "a label stands for %" PRId64 " and for %" PRId64, *size, dim);
        }
        *size = *size < 0 || *size == 1 ? dim : *size;
        for (uint32_t b = 0; b < d; b++) {
            if (l->of[b] == l->of[d] && t->shape[b] != dim) {
                return error_set(err, STATUS_MODEL, "the diagonal of %" PRId64 " and %" PRId64, t->shape[b], dim);
            }
        }
    }
    return STATUS_OK;
}

/* An ellipsis' dimensions, then the labels that occur once, in the order of their codes. */
static status imply_output(equation *e, error *err) {
    ox_labels *out = &e->labels[e->n_operands];
    *out = (ox_labels){0};
    size_t seen[OX_EINSUM_LABELS] = {0};
    for (size_t i = 0; i < e->n_operands; i++) {
        for (uint32_t d = 0; d < e->labels[i].n; d++) {
            seen[e->labels[i].of[d]]++;
        }
    }
    for (size_t k = 0; k < e->ellipsis + OX_EINSUM_LETTERS; k++) {
        bool dots = k < e->ellipsis;
        size_t label = dots ? OX_EINSUM_LABELS - e->ellipsis + k : k - e->ellipsis;
        if (!dots && seen[label] != 1) {
            continue;
        }
        if (out->n == ASSAY_MAX_DIMS) {
            return error_set(err, STATUS_UNSUPPORTED, "the output has more than %d dimensions", ASSAY_MAX_DIMS);
        }
        out->of[out->n++] = (uint8_t)label;
    }
    return STATUS_OK;
}

static status check_output(equation *e, error *err) {
    ox_labels *out = &e->labels[e->n_operands];
    for (uint32_t d = 0; d < out->n; d++) {
        if (e->size[out->of[d]] < 0) {
            return error_set(err, STATUS_MODEL, "a label of the output is in no operand");
        }
        out->shape[d] = e->size[out->of[d]];
        for (uint32_t b = 0; b < d; b++) {
            if (out->of[b] == out->of[d]) {
                return error_set(err, STATUS_MODEL, "a label is in the output twice");
            }
        }
    }
    return STATUS_OK;
}

/* The batch must come out, and on no diagonal. */
static status check_batch(const ox_node *n, const equation *e, error *err) {
    for (size_t i = 0; i < n->n_in; i++) {
        const ox_labels *l = &e->labels[i];
        if (n->in[i]->has_batch && l->n > 0 &&
            (!has(&e->labels[n->n_in], l->of[0]) || memchr(l->of + 1, l->of[0], l->n - 1) != NULL)) {
            return error_set(err, STATUS_UNSUPPORTED, "a sum over the batch: examples would depend on each other");
        }
    }
    return STATUS_OK;
}

static status get_equation(const ox_node *n, equation *e, error *err) {
    bool implied = false;
    *e = (equation){0};
    memset(e->size, -1, sizeof e->size);
    TRY(read_equation(n, e, &implied, err));
    for (size_t i = 0; i < n->n_in; i++) {
        TRY(ox_need_dtype_of_first(n, i, err));
        ox_labels *l = &e->labels[i];
        uint32_t rank = n->in[i]->n_dims;
        bool ellipsis = has(l, ELLIPSIS);
        uint32_t named = l->n - (ellipsis ? 1 : 0);
        TRY(spread(l, rank, err));
        e->ellipsis = ellipsis && rank - named > e->ellipsis ? rank - named : e->ellipsis;
        memcpy(l->shape, n->in[i]->shape, sizeof l->shape);
        TRY(take_sizes(n->in[i], l, e, err));
    }
    ox_labels *out = &e->labels[n->n_in];
    if (implied) {
        TRY(imply_output(e, err));
    } else {
        TRY(spread(out, has(out, ELLIPSIS) ? out->n - 1 + e->ellipsis : out->n, err));
    }
    TRY(check_output(e, err));
    return check_batch(n, e, err);
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_dtype_of_first(n, 0, err));
    if (!ox_is_float(n->in[0]->dtype) && !ox_is_integer(n->in[0]->dtype)) {
        return error_set(err, STATUS_UNSUPPORTED, "Einsum of %s is not supported", ox_dtype_name(n->in[0]->dtype));
    }
    equation e;
    TRY(get_equation(n, &e, err));
    const ox_labels *out = &e.labels[n->n_in];
    return ox_set_shape(n->out[0], n->in[0]->dtype, out->shape, out->n, err);
}

/* ---- running ------------------------------------------------------------------------------------ */

static void release(ox_node *n) {
    einsum_state *s = n->state;
    if (s != NULL) {
        for (size_t i = 0; i < s->n; i++) {
            ox_contraction_free(&s->all[i]);
        }
        mem_free(s->all);
        mem_free(s);
        n->state = NULL;
    }
}

/* The gradient of operand i is a contraction as well: the cotangent stands in its place, and it is the target. */
static status fill_state(const ox_node *n, einsum_state *s, error *err) {
    equation e;
    bool fast = n->in[0]->dtype == ASSAY_F32;
    TRY(get_equation(n, &e, err));
    for (size_t i = 0; i < n->n_in; i++) {
        for (uint32_t d = 0; d < e.labels[i].n; d++) {
            if (e.labels[i].shape[d] != e.size[e.labels[i].of[d]]) { /* broadcast */
                e.labels[i].of[d] = OX_EINSUM_LABELS;
            }
        }
    }
    for (size_t k = 0; k < s->n; k++) {
        ox_labels labels[OX_EINSUM_OPERANDS + 1];
        memcpy(labels, e.labels, sizeof labels);
        if (k > 0) {
            labels[k - 1] = e.labels[n->n_in];
            labels[n->n_in] = e.labels[k - 1];
        }
        TRY(ox_contraction_make(&s->all[k], labels, n->n_in, e.size, fast, err));
    }
    return STATUS_OK;
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    einsum_state *s = n->state = mem_zalloc(sizeof *s);
    s->n = want_vjp ? n->n_in + 1 : 1;
    s->all = mem_zalloc(s->n * sizeof *s->all);
    status st = fill_state(n, s, err);
    if (st != STATUS_OK) {
        release(n);
    }
    return st;
}

static void factors_of(const ox_node *n, ox_factor *factors) {
    for (size_t i = 0; i < n->n_in; i++) {
        factors[i] = (ox_factor){.t = n->in[i]};
    }
}

static status run(const ox_node *n, bool fast) {
    const einsum_state *s = n->state;
    ox_factor factors[OX_EINSUM_OPERANDS];
    factors_of(n, factors);
    if (fast && s->all[0].fast.possible) {
        ox_contraction_run_fast(&s->all[0], factors, n->out[0]->data, NULL);
    } else {
        ox_contraction_run(&s->all[0], factors, n->out[0], NULL);
    }
    return STATUS_OK;
}

static status run_back(const ox_node *n, bool fast) {
    const einsum_state *s = n->state;
    const float *g = ox_grad_out(n, 0);
    for (size_t i = 0; g != NULL && i < n->n_in; i++) {
        float *grad = ox_grad_in(n, i);
        ox_factor factors[OX_EINSUM_OPERANDS];
        factors_of(n, factors);
        factors[i] = (ox_factor){.g = g};
        const ox_contraction *c = &s->all[i + 1];
        if (grad == NULL || !ox_is_float(n->in[i]->dtype)) {
            continue;
        }
        if (fast && c->fast.possible) {
            ox_contraction_run_fast(c, factors, NULL, grad);
        } else {
            ox_contraction_run(c, factors, NULL, grad);
        }
    }
    return STATUS_OK;
}

static status forward(ox_node *n, error *err) {
    (void)err;
    return run(n, true);
}

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    return run(n, false);
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    return run_back(n, true);
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    return run_back(n, false);
}

static uint64_t macs(const ox_node *n) {
    equation e;
    uint64_t total = 1;
    error ignored = {0};
    if (get_equation(n, &e, &ignored) != STATUS_OK) {
        return 0;
    }
    for (size_t l = 0; l < OX_EINSUM_LABELS; l++) {
        uint64_t size = e.size[l] < 0 ? 1 : (uint64_t)e.size[l];
        total = __builtin_mul_overflow(total, size, &total) ? UINT64_MAX : total;
    }
    return total;
}

const ox_kernel ox_kernel_einsum = {.op = "Einsum",
                                    .min_opset = 12,
                                    .max_opset = 9999,
                                    .flags = OX_KEEPS_BATCH,
                                    .min_in = 1,
                                    .max_in = OX_EINSUM_OPERANDS,
                                    .min_out = 1,
                                    .max_out = 1,
                                    .infer = infer,
                                    .prepare = prepare,
                                    .release = release,
                                    .forward = forward,
                                    .forward_reference = forward_reference,
                                    .vjp = vjp,
                                    .vjp_reference = vjp_reference,
                                    .macs = macs};
