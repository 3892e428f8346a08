/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/recurrent.h"

#include <inttypes.h>
#include <math.h>
#include <strings.h>

#include "kernels/integer.h"
#include "kernels/map.h"

/* ---- activations -------------------------------------------------------------------------------- */

/* Defaults are those of the operators of the same name; Affine and ScaledTanh have none and get the identity. */
static const struct {
    const char *name;
    ox_gate_kind kind;
    bool has_alpha, has_beta;
    float alpha, beta;
} known[] = {
    {"Sigmoid", OX_GATE_SIGMOID, false, false, 0, 0},
    {"Tanh", OX_GATE_TANH, false, false, 0, 0},
    {"Relu", OX_GATE_RELU, false, false, 0, 0},
    {"LeakyRelu", OX_GATE_LEAKY_RELU, true, false, 0.01F, 0},
    {"HardSigmoid", OX_GATE_HARD_SIGMOID, true, true, 0.2F, 0.5F},
    {"Elu", OX_GATE_ELU, true, false, 1, 0},
    {"ThresholdedRelu", OX_GATE_THRESHOLDED_RELU, true, false, 1, 0},
    {"ScaledTanh", OX_GATE_SCALED_TANH, true, true, 1, 1},
    {"Affine", OX_GATE_AFFINE, true, true, 1, 0},
    {"Softsign", OX_GATE_SOFTSIGN, false, false, 0, 0},
    {"Softplus", OX_GATE_SOFTPLUS, false, false, 0, 0},
};
#define N_KNOWN (sizeof known / sizeof known[0])

static double clipped(const ox_gate *a, double x) {
    return x > a->clip ? a->clip : (x < -a->clip ? -a->clip : x);
}

static double logistic(double x) {
    double e = exp(-fabs(x)); /* no overflow on either side */
    return (x >= 0 ? 1 : e) / (1 + e);
}

static double value_of(const ox_gate *a, double x) {
    x = clipped(a, x);
    double line = a->alpha * x + a->beta;
    switch (a->kind) {
    case OX_GATE_SIGMOID: return logistic(x);
    case OX_GATE_TANH: return tanh(x);
    case OX_GATE_RELU: return x < 0 ? 0 : x;
    case OX_GATE_LEAKY_RELU: return x < 0 ? a->alpha * x : x;
    case OX_GATE_HARD_SIGMOID: return line < 0 ? 0 : (line > 1 ? 1 : line);
    case OX_GATE_ELU: return x < 0 ? a->alpha * expm1(x) : x;
    case OX_GATE_THRESHOLDED_RELU: return x < a->alpha ? 0 : x;
    case OX_GATE_SCALED_TANH: return a->alpha * tanh(a->beta * x);
    case OX_GATE_AFFINE: return line;
    case OX_GATE_SOFTSIGN: return x / (1 + fabs(x));
    default: return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
    }
}

static double inner_slope(const ox_gate *a, double x, double dead) {
    double line = a->alpha * x + a->beta, t = 0;
    switch (a->kind) {
    case OX_GATE_SIGMOID: return logistic(x) * logistic(-x);
    case OX_GATE_TANH: t = tanh(x); return (1 - t) * (1 + t);
    case OX_GATE_RELU: return x > 0 ? 1 : dead;
    case OX_GATE_LEAKY_RELU: return x > 0 ? 1 : a->alpha;
    case OX_GATE_HARD_SIGMOID: return line > 0 && line < 1 ? a->alpha : 0;
    case OX_GATE_ELU: return x > 0 ? 1 : a->alpha * exp(x);
    case OX_GATE_THRESHOLDED_RELU: return x > a->alpha ? 1 : dead;
    case OX_GATE_SCALED_TANH: t = tanh(a->beta * x); return a->alpha * a->beta * (1 - t) * (1 + t);
    case OX_GATE_AFFINE: return a->alpha;
    case OX_GATE_SOFTSIGN: return 1 / ((1 + fabs(x)) * (1 + fabs(x)));
    default: return logistic(x);
    }
}

static double slope_of(const ox_gate *a, double x, assay_vjp_mode mode) {
    double dead = mode == ASSAY_VJP_LEAKY ? OX_LEAKY_SLOPE : 0, slope = inner_slope(a, clipped(a, x), dead);
    bool beyond = x >= a->clip || x <= -a->clip;
    return beyond && mode != ASSAY_VJP_STRAIGHT_THROUGH ? slope * dead : slope;
}

void ox_activate_f64(const ox_gate *a, const double *z, double *y, size_t len) {
    for (size_t i = 0; i < len; i++) {
        y[i] = value_of(a, z[i]);
    }
}

void ox_slope_f64(const ox_gate *a, const double *z, const double *y, double *dy, size_t len, assay_vjp_mode mode) {
    (void)y;
    for (size_t i = 0; i < len; i++) {
        dy[i] *= slope_of(a, z[i], mode);
    }
}

void ox_activate_f32(const ox_gate *a, const float *z, float *y, size_t len) {
    bool plain = isinf(a->clip);
    if (plain && a->kind == OX_GATE_SIGMOID) {
        a->math->sigmoid(z, y, len);
    } else if (plain && a->kind == OX_GATE_TANH) {
        a->math->tanh(z, y, len);
    } else {
        for (size_t i = 0; i < len; i++) {
            y[i] = (float)value_of(a, (double)z[i]);
        }
    }
}

void ox_slope_f32(const ox_gate *a, const float *z, const float *y, float *dy, size_t len, assay_vjp_mode mode) {
    bool plain = isinf(a->clip);
    if (plain && a->kind == OX_GATE_SIGMOID) {
        for (size_t i = 0; i < len; i++) {
            dy[i] *= y[i] * (1 - y[i]);
        }
    } else if (plain && a->kind == OX_GATE_TANH) {
        for (size_t i = 0; i < len; i++) {
            dy[i] *= (1 - y[i]) * (1 + y[i]);
        }
    } else {
        for (size_t i = 0; i < len; i++) {
            dy[i] = (float)((double)dy[i] * slope_of(a, (double)z[i], mode));
        }
    }
}

/* Name i of a list of strings, which the loader gives one after the other, each with its NUL. */
static const char *name_at(const ox_attr *a, size_t i) {
    const char *s = a->s;
    for (; i > 0; i--) {
        s += strlen(s) + 1;
    }
    return s;
}

/* The next value of activation_alpha or activation_beta. They are consumed in the order of the functions that take
 * one; a list as long as that of the functions has one for each. */
typedef struct scalars {
    const ox_attr *a;
    size_t used, takers, functions;
} scalars;

static double take(scalars *s, size_t position, float def) {
    if (s->a == NULL) {
        return (double)def;
    }
    size_t i = s->a->n > s->takers && s->a->n == s->functions ? position : s->used++;
    return i < s->a->n ? (double)s->a->floats[i] : (double)def;
}

static status open_scalars(const ox_node *n, const char *name, scalars *s, error *err) {
    TRY(ox_check_attr(n, name, OX_FLOATS, err));
    s->a = ox_attr_find(n, name);
    if (s->a != NULL && s->a->n > s->takers && s->a->n != s->functions) {
        return error_set(err, STATUS_MODEL, "attribute %s has %zu values for %zu activations", name, s->a->n,
                         s->functions);
    }
    return STATUS_OK;
}

static status find_activation(const char *name, size_t *k, error *err) {
    for (*k = 0; *k < N_KNOWN; (*k)++) {
        if (strcasecmp(known[*k].name, name) == 0) {
            return STATUS_OK;
        }
    }
    return error_set(err, STATUS_UNSUPPORTED, "activation %.40s is not supported", name);
}

static status need_names(const ox_attr *a, size_t functions, error *err) {
    if (a->kind != OX_OTHER) {
        return error_set(err, STATUS_MODEL, "attribute activations is not a list of strings");
    }
    if (a->s == NULL) {
        return error_set(err, STATUS_UNSUPPORTED, "attribute activations cannot be read");
    }
    if (a->n < functions) {
        return error_set(err, STATUS_MODEL, "attribute activations has %zu names; %zu are needed", a->n, functions);
    }
    return STATUS_OK;
}

static status get_activations(const ox_node *n, const ox_cell *cell, ox_recurrent *s, error *err) {
    const ox_attr *names = ox_attr_find(n, "activations");
    size_t functions = s->D * cell->n_activations, which[2 * OX_MAX_ACTIVATIONS] = {0};
    scalars alpha = {.functions = functions}, beta = {.functions = functions};
    TRY(ox_check_attr(n, "clip", OX_FLOAT, err));
    float clip = ox_attr_float(n, "clip", INFINITY);
    if (!(clip >= 0)) {
        return error_set(err, STATUS_MODEL, "attribute clip = %g is no threshold", (double)clip);
    }
    if (names != NULL) {
        TRY(need_names(names, functions, err));
    }
    for (size_t i = 0; i < functions; i++) {
        which[i] = (size_t)cell->activations[i % cell->n_activations]; /* `known` is in the order of the kinds */
        if (names != NULL) {
            TRY(find_activation(name_at(names, i), &which[i], err));
        }
        alpha.takers += known[which[i]].has_alpha;
        beta.takers += known[which[i]].has_beta;
    }
    TRY(open_scalars(n, "activation_alpha", &alpha, err));
    TRY(open_scalars(n, "activation_beta", &beta, err));
    for (size_t i = 0; i < functions; i++) {
        ox_gate *a = &s->act[i / cell->n_activations][i % cell->n_activations];
        *a = (ox_gate){.kind = known[which[i]].kind, .clip = (double)clip, .math = s->math};
        a->alpha = known[which[i]].has_alpha ? take(&alpha, i, known[which[i]].alpha) : 0;
        a->beta = known[which[i]].has_beta ? take(&beta, i, known[which[i]].beta) : 0;
    }
    return STATUS_OK;
}

/* ---- geometry ----------------------------------------------------------------------------------- */

static status need_shape(const ox_node *n, size_t i, const size_t *shape, uint32_t n_dims, error *err) {
    TRY(ox_need_dtype_of_first(n, i, err));
    const ox_tensor *t = n->in[i];
    bool same = t->n_dims == n_dims;
    for (uint32_t d = 0; d < n_dims && same; d++) {
        same = t->shape[d] >= 0 && (size_t)t->shape[d] == shape[d];
    }
    if (!same) {
        return error_set(err, STATUS_MODEL, "input %zu does not have the shape that X and hidden_size ask for", i);
    }
    if (t->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED, "input %zu is a weight that differs between examples", i);
    }
    return STATUS_OK;
}

/* Initial states: (D, N, H) or (N, D, H); a constant may have N = 1. */
static status need_state(const ox_node *n, size_t i, const ox_recurrent *s, error *err) {
    if (ox_input(n, i) == NULL) {
        return STATUS_OK;
    }
    TRY(ox_need_dtype_of_first(n, i, err));
    const ox_tensor *t = n->in[i];
    uint32_t b = s->batch_first ? 0 : 1;
    if (t->n_dims != 3 || (size_t)t->shape[1 - b] != s->D || (size_t)t->shape[2] != s->H ||
        ((size_t)t->shape[b] != s->N && !(t->is_const && t->shape[b] == 1))) {
        return error_set(err, STATUS_MODEL, "input %zu does not have the shape of a state", i);
    }
    if (t->has_batch && b != 0) {
        return error_set(err, STATUS_UNSUPPORTED, "the directions of input %zu are the batch", i);
    }
    return STATUS_OK;
}

static status need_lengths(const ox_node *n, const ox_recurrent *s, error *err) {
    const ox_tensor *t = ox_input(n, OX_RNN_LENGTHS);
    if (t == NULL) {
        return STATUS_OK;
    }
    if (t->dtype != ASSAY_I32 && t->dtype != ASSAY_I64) {
        return error_set(err, STATUS_MODEL, "sequence_lens is %s, not int32", ox_dtype_name(t->dtype));
    }
    if (t->n_dims != 1 || (t->n != s->N && !(t->is_const && t->n == 1))) {
        return error_set(err, STATUS_MODEL, "sequence_lens does not have a value for each example");
    }
    for (size_t i = 0; t->is_const && i < t->n; i++) {
        int64_t v = ox_int_at(t, i);
        if (v < 0 || (size_t)v > s->T) {
            return error_set(err, STATUS_MODEL, "sequence_lens has %" PRId64 ", but there are %zu steps", v, s->T);
        }
    }
    return STATUS_OK;
}

static status get_direction(const ox_node *n, ox_recurrent *s, error *err) {
    const ox_attr *a = ox_attr_find(n, "direction");
    TRY(ox_check_attr(n, "direction", OX_STRING, err));
    /* "foward" is the default of GRU 1 as published */
    bool forward = a == NULL || strcmp(a->s, "forward") == 0 || strcmp(a->s, "foward") == 0;
    bool both = !forward && strcmp(a->s, "bidirectional") == 0;
    if (!forward && !both && strcmp(a->s, "reverse") != 0) {
        return error_set(err, STATUS_MODEL, "attribute direction = %.40s", a->s);
    }
    s->D = both ? 2 : 1;
    s->reverse[0] = !forward && !both;
    s->reverse[1] = both;
    return STATUS_OK;
}

static status get_flag(const ox_node *n, const char *name, int first_opset, bool *flag, error *err) {
    TRY(ox_check_attr(n, name, OX_INT, err));
    int64_t v = ox_attr_int(n, name, 0);
    if (n->opset < first_opset && ox_attr_find(n, name) != NULL) {
        return error_set(err, STATUS_MODEL, "attribute %s is of opset %d on", name, first_opset);
    }
    if (strcmp(name, "layout") == 0 && v != 0 && v != 1) {
        return error_set(err, STATUS_MODEL, "attribute layout = %" PRId64, v);
    }
    *flag = v != 0;
    return STATUS_OK;
}

static status get_sizes(const ox_node *n, const ox_cell *cell, ox_recurrent *s, error *err) {
    TRY(ox_need_float(n, OX_RNN_X, err));
    TRY(ox_need_dtype_of_first(n, OX_RNN_R, err));
    const ox_tensor *x = n->in[OX_RNN_X], *r = n->in[OX_RNN_R];
    TRY(get_flag(n, "layout", 14, &s->batch_first, err));
    if (cell->variant != NULL) {
        bool gru = !cell->cell_state;
        TRY(get_flag(n, cell->variant, gru ? 3 : 1, &s->variant, err));
    }
    if (x->n_dims != 3 || r->n_dims != 3 || r->shape[2] <= 0 || x->shape[2] <= 0) {
        return error_set(err, STATUS_MODEL, "X or R does not have three dimensions, or an empty one");
    }
    if (x->has_batch && !s->batch_first) {
        return error_set(err, STATUS_UNSUPPORTED, "the steps of X are the batch: examples would depend on each other");
    }
    s->T = (size_t)x->shape[s->batch_first ? 1 : 0];
    s->N = (size_t)x->shape[s->batch_first ? 0 : 1];
    s->I = (size_t)x->shape[2];
    s->H = (size_t)r->shape[2];
    TRY(ox_check_attr(n, "hidden_size", OX_INT, err));
    int64_t hidden = ox_attr_int(n, "hidden_size", (int64_t)s->H);
    if (hidden != (int64_t)s->H) {
        return error_set(err, STATUS_MODEL, "attribute hidden_size = %" PRId64 ", but R has %zu columns", hidden, s->H);
    }
    if (!mem_mul(s->H, cell->gates, &s->GH)) {
        return error_set(err, STATUS_MODEL, "the gates' size overflows");
    }
    return STATUS_OK;
}

static status get_geometry(const ox_node *n, const ox_cell *cell, ox_recurrent *s, error *err) {
    *s = (ox_recurrent){.isa = ox_isa_best()};
    s->math = ox_vmath_of(s->isa);
    TRY(get_direction(n, s, err));
    TRY(get_sizes(n, cell, s, err));
    TRY(get_activations(n, cell, s, err));
    size_t two = 0;
    TRY(need_shape(n, OX_RNN_W, (const size_t[]){s->D, s->GH, s->I}, 3, err));
    TRY(need_shape(n, OX_RNN_R, (const size_t[]){s->D, s->GH, s->H}, 3, err));
    if (!mem_mul(2 * s->D, s->GH, &two)) {
        return error_set(err, STATUS_MODEL, "the biases' size overflows");
    }
    if (ox_input(n, OX_RNN_B) != NULL) {
        TRY(need_shape(n, OX_RNN_B, (const size_t[]){s->D, 2 * s->GH}, 2, err));
    }
    TRY(need_lengths(n, s, err));
    TRY(need_state(n, OX_RNN_H, s, err));
    if (cell->cell_state) {
        TRY(need_state(n, OX_RNN_C, s, err));
    }
    if (ox_input(n, OX_RNN_P) != NULL) {
        TRY(need_shape(n, OX_RNN_P, (const size_t[]){s->D, 3 * s->H}, 2, err));
    }
    return STATUS_OK;
}

status ox_recurrent_infer(ox_node *n, const ox_cell *cell, error *err) {
    ox_recurrent s;
    TRY(get_geometry(n, cell, &s, err));
    int64_t T = (int64_t)s.T, N = (int64_t)s.N, D = (int64_t)s.D, H = (int64_t)s.H;
    const int64_t first[2][4] = {{T, D, N, H}, {N, T, D, H}}, last[2][3] = {{D, N, H}, {N, D, H}};
    for (size_t i = 0; i < n->n_out; i++) {
        if (n->out[i] != NULL) {
            const int64_t *shape = i == 0 ? first[s.batch_first] : last[s.batch_first];
            TRY(ox_set_shape(n->out[i], n->in[0]->dtype, shape, i == 0 ? 4 : 3, err));
        }
    }
    return STATUS_OK;
}

uint64_t ox_recurrent_macs(const ox_node *n) {
    const ox_tensor *x = n->in[OX_RNN_X], *r = n->in[OX_RNN_R];
    return (uint64_t)(x->shape[0] * x->shape[1]) * (uint64_t)r->shape[0] * (uint64_t)r->shape[1] *
           (uint64_t)(x->shape[2] + r->shape[2]);
}

/* ---- memory ------------------------------------------------------------------------------------- */

typedef struct allocator {
    error *err;
    bool failed;
} allocator;

static void *room(allocator *a, size_t rows, size_t columns, size_t item) {
    size_t n = 0;
    void *p = NULL;
    if (!a->failed && !mem_mul(rows, columns, &n)) {
        (void)error_set(a->err, STATUS_MEMORY, "the work space overflows");
    } else if (!a->failed) {
        p = mem_try(n + 1, item, "work space", a->err);
    }
    a->failed = a->failed || p == NULL;
    return p;
}

static float *packed_room(allocator *a, size_t k, size_t n) {
    size_t floats = SIZE_MAX;
    bool fits = ox_gemm_packed(k, n, &floats);
    return room(a, fits ? floats : SIZE_MAX, fits ? 1 : 2, sizeof(float));
}

static ox_weights weights(allocator *a, const ox_tensor *t, size_t at, size_t k, size_t n, bool transposed) {
    ox_weights w = {.t = t, .at = at, .row = transposed ? 1 : n, .col = transposed ? k : 1, .k = k, .n = n};
    if (t->dtype == ASSAY_F32) {
        w.packed = packed_room(a, k, n);
    }
    return w;
}

static void pack(const ox_weights *w) {
    if (w->packed != NULL) {
        ox_gemm_pack((const float *)w->t->data + w->at, w->k, w->n, w->row, w->col, w->packed);
    }
}

static void pack_all(const ox_recurrent *s, bool constants) {
    if (s->wt.t->is_const == constants) {
        pack(&s->wt);
        pack(&s->w);
    }
    for (size_t i = 0; i < 4; i++) {
        const ox_weights *rt = &s->rt[i / 2][i % 2], *r = &s->r[i / 2][i % 2];
        if (rt->t != NULL && rt->t->is_const == constants) {
            pack(rt);
            pack(r);
        }
    }
}

static void make_weights(const ox_node *n, ox_recurrent *s, bool two_parts, allocator *a) {
    const ox_tensor *w = n->in[OX_RNN_W], *r = n->in[OX_RNN_R];
    s->wt = weights(a, w, 0, s->I, s->D * s->GH, true);
    if (s->want_vjp) {
        s->w = weights(a, w, 0, s->D * s->GH, s->I, false);
    }
    for (size_t d = 0; d < s->D; d++) {
        size_t at = d * s->GH * s->H, first = two_parts ? s->GH - s->H : s->GH;
        s->rt[d][0] = weights(a, r, at, s->H, first, true);
        if (two_parts) {
            s->rt[d][1] = weights(a, r, at + first * s->H, s->H, s->H, true);
        }
        if (s->want_vjp) {
            s->r[d][0] = weights(a, r, at, first, s->H, false);
            s->r[d][1] = two_parts ? weights(a, r, at + first * s->H, s->H, s->H, false) : (ox_weights){0};
        }
    }
}

static void make_room(ox_recurrent *s, const ox_cell *cell, allocator *a) {
    size_t rows = s->T * s->N, wide = s->D * s->GH, item = sizeof(double);
    bool gru = cell->gates == 3;
    s->length = room(a, s->N, 1, sizeof *s->length);
    s->x = room(a, rows, s->I, item);
    s->z = room(a, rows, wide, item);
    s->y = s->z;
    s->h = room(a, s->N, s->H, item);
    s->cell = room(a, s->N, s->H, item);
    s->q = room(a, s->N, s->GH, item);
    s->u = room(a, s->N, s->H, item);
    s->v = room(a, s->N, s->H, item);
    s->bias_w = room(a, 1, wide, item);
    s->bias_r = room(a, 1, wide, item);
    s->peephole = room(a, s->D * 3, s->H, item);
    if (!s->want_vjp) {
        return;
    }
    size_t all = s->D * rows, most = wide > rows ? wide : rows, narrow = s->I > s->H ? s->I : s->H;
    s->y = room(a, rows, wide, item);
    s->dz = room(a, rows, wide, item);
    s->h_before = room(a, all, s->H, item);
    s->c_before = cell->cell_state ? room(a, all, s->H, item) : NULL;
    s->c = cell->cell_state ? room(a, all, s->H, item) : NULL;
    s->squashed = cell->cell_state ? room(a, all, s->H, item) : NULL;
    s->reset = gru ? room(a, all, s->H, item) : NULL;
    s->d_reset = gru ? room(a, all, s->H, item) : NULL;
    s->packed_rows = packed_room(a, rows, narrow);
    s->product = room(a, most, narrow, item);
}

void ox_recurrent_release(ox_node *n) {
    ox_recurrent *s = n->state;
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < 4; i++) {
        mem_free(s->rt[i / 2][i % 2].packed);
        mem_free(s->r[i / 2][i % 2].packed);
    }
    if (s->y != s->z) {
        mem_free(s->y);
    }
    void *const all[] = {s->wt.packed, s->w.packed, s->length,      s->x,        s->z,     s->dz,
                         s->h_before,  s->c_before, s->c,           s->squashed, s->reset, s->d_reset,
                         s->h,         s->cell,     s->q,           s->u,        s->v,     s->bias_w,
                         s->bias_r,    s->peephole, s->packed_rows, s->product};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        mem_free(all[i]);
    }
    mem_free(s);
    n->state = NULL;
}

status ox_recurrent_prepare(ox_node *n, const ox_cell *cell, bool want_vjp, error *err) {
    ox_recurrent *s = mem_zalloc(sizeof *s);
    status st = get_geometry(n, cell, s, err);
    n->state = s;
    if (st != STATUS_OK) {
        ox_recurrent_release(n);
        return st;
    }
    allocator a = {.err = err};
    s->want_vjp = want_vjp;
    s->cell_state = cell->cell_state;
    s->unpadded = n->unpadded;
    make_weights(n, s, cell->gates == 3 && !s->variant, &a);
    make_room(s, cell, &a);
    if (a.failed) {
        ox_recurrent_release(n);
        return STATUS_MEMORY;
    }
    pack_all(s, true);
    return STATUS_OK;
}

void ox_recurrent_begin(ox_node *n, bool pack_weights) {
    ox_recurrent *s = n->state;
    const ox_tensor *t = ox_input(n, OX_RNN_LENGTHS);
    s->unpadded = n->unpadded;
    for (size_t i = 0; i < s->N; i++) {
        int64_t v = t == NULL ? (int64_t)s->T : ox_int_at(t, t->n == 1 ? 0 : i);
        s->length[i] = v < 0 ? 0 : ((size_t)v > s->T ? s->T : (size_t)v);
    }
    if (pack_weights) {
        pack_all(s, false);
    }
}
