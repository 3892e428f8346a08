/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/einsum_contract.h"

#include "kernels/integer.h"

/* ---- loops -------------------------------------------------------------------------------------- */

static void add_loop(ox_contraction *c, const ox_labels *labels, size_t n, size_t label, size_t size) {
    size_t loop = c->n_loops++;
    c->size[loop] = size;
    for (size_t f = 0; f <= n; f++) {
        size_t stride = 1;
        for (uint32_t d = labels[f].n; d-- > 0;) {
            if (labels[f].of[d] == label) { /* a label that occurs twice walks along the diagonal */
                c->stride[f][loop] += stride;
            }
            stride *= (size_t)labels[f].shape[d];
        }
    }
}

/* The target's labels in its order, then those that are summed over, in the order of the factors. */
static void make_loops(ox_contraction *c, const ox_labels *labels, size_t n, const int64_t *sizes) {
    bool done[OX_EINSUM_LABELS + 1] = {false};
    c->n_factors = n;
    for (size_t i = 0; i <= n; i++) {
        const ox_labels *l = &labels[i == 0 ? n : i - 1];
        for (uint32_t d = 0; d < l->n; d++) {
            size_t label = l->of[d];
            if (label < OX_EINSUM_LABELS && !done[label]) {
                done[label] = true;
                if (sizes[label] != 1) {
                    add_loop(c, labels, n, label, (size_t)sizes[label]);
                }
            }
        }
        if (i == 0) {
            c->n_outer = c->n_loops;
        }
    }
}

static bool empty(const ox_contraction *c, size_t from, size_t to) {
    for (size_t l = from; l < to; l++) {
        if (c->size[l] == 0) {
            return true;
        }
    }
    return false;
}

/* The next step of loops from..to - 1; false, and back at the first, after the last. */
static bool advance(const ox_contraction *c, size_t from, size_t to, size_t *step, size_t *at) {
    for (size_t l = to; l-- > from;) {
        bool wrap = ++step[l] == c->size[l];
        for (size_t f = 0; f <= c->n_factors; f++) {
            at[f] += c->stride[f][l];
            at[f] -= wrap ? c->size[l] * c->stride[f][l] : 0;
        }
        if (!wrap) {
            return true;
        }
        step[l] = 0;
    }
    return false;
}

static double read(const ox_factor *f, size_t at) {
    return f->g != NULL ? (double)f->g[at] : ox_at(f->t, at);
}

/* One element of the target: at, step are of its first term, and are so again at the end. */
static double sum(const ox_contraction *c, const ox_factor *factors, size_t *step, size_t *at) {
    double total = 0;
    if (empty(c, c->n_outer, c->n_loops)) {
        return 0;
    }
    do {
        double product = read(&factors[0], at[0]);
        for (size_t f = 1; f < c->n_factors; f++) {
            product *= read(&factors[f], at[f]);
        }
        total += product;
    } while (advance(c, c->n_outer, c->n_loops, step, at));
    return total;
}

static int64_t sum_integers(const ox_contraction *c, const ox_factor *factors, size_t *step, size_t *at) {
    uint64_t total = 0; /* wraps, as the type does */
    if (empty(c, c->n_outer, c->n_loops)) {
        return 0;
    }
    do {
        uint64_t product = 1;
        for (size_t f = 0; f < c->n_factors; f++) {
            product *= (uint64_t)ox_int_at(factors[f].t, at[f]);
        }
        total += product;
    } while (advance(c, c->n_outer, c->n_loops, step, at));
    return (int64_t)total;
}

void ox_contraction_run(const ox_contraction *c, const ox_factor *factors, ox_tensor *out, float *grad) {
    size_t step[OX_EINSUM_LABELS] = {0}, at[OX_EINSUM_OPERANDS + 1] = {0};
    if (empty(c, 0, c->n_outer)) {
        return;
    }
    do {
        size_t to = at[c->n_factors];
        if (grad != NULL) {
            grad[to] += (float)sum(c, factors, step, at);
        } else if (ox_is_float(out->dtype)) {
            ox_put(out, to, sum(c, factors, step, at));
        } else {
            ox_int_put(out, to, sum_integers(c, factors, step, at));
        }
    } while (advance(c, 0, c->n_outer, step, at));
}

/* ---- matrix products ---------------------------------------------------------------------------- */

/* Offsets of all steps of the loops in `which` (n of them) in factors f0 and f1. */
static status make_offsets(const ox_contraction *c, const size_t *which, size_t n, size_t f0, size_t f1, ox_offsets *o,
                           error *err) {
    const size_t f[2] = {f0, f1};
    o->n = 1;
    for (size_t i = 0; i < n; i++) { /* no overflow: a tensor has these dimensions */
        o->n *= c->size[which[i]];
    }
    for (size_t side = 0; side < 2; side++) {
        size_t *at = o->at[side] = mem_try(o->n + 1, sizeof *at, "offsets", err);
        if (at == NULL) {
            return STATUS_MEMORY;
        }
        size_t run = 1; /* built from the innermost loop outwards */
        for (size_t i = n; i-- > 0 && o->n > 0;) {
            size_t size = c->size[which[i]], stride = c->stride[f[side]][which[i]];
            for (size_t s = size; s-- > 0;) {
                for (size_t r = 0; r < run; r++) {
                    at[s * run + r] = at[r] + s * stride;
                }
            }
            run *= size;
        }
        o->stride[side] = o->n > 1 ? at[1] : 0;
        o->even[side] = true;
        for (size_t i = 0; i < o->n && o->even[side]; i++) {
            o->even[side] = at[i] == i * o->stride[side];
        }
    }
    return STATUS_OK;
}

typedef enum label_class { BATCH, ROWS, COLUMNS, SUMMED, N_CLASSES, NONE } label_class;

static label_class class_of(const ox_contraction *c, size_t loop) {
    bool p = c->stride[0][loop] > 0, q = c->stride[1][loop] > 0, target = loop < c->n_outer;
    if (p && q) {
        return target ? BATCH : SUMMED;
    }
    return target && p ? ROWS : (target && q ? COLUMNS : NONE);
}

static float *floats(size_t rows, size_t columns, error *err) {
    size_t n = 0;
    if (!mem_mul(rows, columns, &n)) {
        (void)error_set(err, STATUS_MEMORY, "the work space overflows");
        return NULL;
    }
    return mem_try(n + 1, sizeof(float), "matrix", err);
}

static status make_matrices(ox_contraction *c, error *err) {
    ox_matrices *x = &c->fast;
    size_t which[N_CLASSES][OX_EINSUM_LABELS], n[N_CLASSES] = {0}, packed = 0;
    for (size_t l = 0; l < c->n_loops; l++) {
        label_class k = class_of(c, l);
        if (k == NONE || c->size[l] == 0) {
            return STATUS_OK;
        }
        which[k][n[k]++] = l;
    }
    if (n[SUMMED] == 0) { /* by labels, so that the number of examples does not decide */
        return STATUS_OK;
    }
    ox_offsets target = {0};
    status st = make_offsets(c, which[BATCH], n[BATCH], 2, 2, &target, err);
    x->batch_target = target.at[0];
    mem_free(target.at[1]);
    TRY(st);
    TRY(make_offsets(c, which[BATCH], n[BATCH], 0, 1, &x->batch, err));
    TRY(make_offsets(c, which[ROWS], n[ROWS], 0, 2, &x->m, err));
    TRY(make_offsets(c, which[COLUMNS], n[COLUMNS], 1, 2, &x->n, err));
    TRY(make_offsets(c, which[SUMMED], n[SUMMED], 0, 1, &x->k, err));
    if (!ox_gemm_packed(x->k.n, x->n.n, &packed)) {
        return error_set(err, STATUS_MEMORY, "the packed matrix overflows");
    }
    x->a = floats(x->m.n, x->k.n, err);
    x->b = floats(x->k.n, x->n.n, err);
    x->product = floats(x->m.n, x->n.n, err);
    x->packed = floats(packed, 1, err);
    if (x->a == NULL || x->b == NULL || x->product == NULL || x->packed == NULL) {
        return STATUS_MEMORY;
    }
    x->isa = ox_isa_best();
    x->possible = true;
    return STATUS_OK;
}

status ox_contraction_make(ox_contraction *c, const ox_labels *labels, size_t n, const int64_t *sizes, bool fast,
                           error *err) {
    make_loops(c, labels, n, sizes);
    return fast && n == 2 ? make_matrices(c, err) : STATUS_OK;
}

void ox_contraction_free(ox_contraction *c) {
    ox_matrices *x = &c->fast;
    ox_offsets *const all[] = {&x->batch, &x->m, &x->n, &x->k};
    for (size_t i = 0; i < 4; i++) {
        mem_free(all[i]->at[0]);
        mem_free(all[i]->at[1]);
    }
    mem_free(x->batch_target);
    mem_free(x->a);
    mem_free(x->b);
    mem_free(x->packed);
    mem_free(x->product);
    *x = (ox_matrices){0};
}

/* Dense (rows, columns) of elements from[rows->at + columns->at], by sides of the offsets. */
static void gather(const float *from, const ox_offsets *rows, size_t rs, const ox_offsets *columns, size_t cs,
                   float *to) {
    for (size_t i = 0; i < rows->n; i++) {
        for (size_t j = 0; j < columns->n; j++) {
            *to++ = from[rows->at[rs][i] + columns->at[cs][j]];
        }
    }
}

static void put(const ox_matrices *x, size_t base, float *out, float *grad) {
    const float *from = x->product;
    for (size_t i = 0; i < x->m.n; i++) {
        size_t row = base + x->m.at[1][i];
        for (size_t j = 0; j < x->n.n; j++, from++) {
            if (grad != NULL) {
                grad[row + x->n.at[1][j]] += *from;
            } else {
                out[row + x->n.at[1][j]] = *from;
            }
        }
    }
}

static const float *data_of(const ox_factor *f) {
    return f->g != NULL ? f->g : (const float *)f->t->data;
}

void ox_contraction_run_fast(const ox_contraction *c, const ox_factor *factors, float *out, float *grad) {
    const ox_matrices *x = &c->fast;
    bool direct = grad == NULL && x->n.even[1] && x->m.even[1] && (x->n.n == 1 || x->n.stride[1] == 1);
    for (size_t i = 0; i < x->batch.n; i++) {
        const float *a = data_of(&factors[0]) + x->batch.at[0][i], *b = data_of(&factors[1]) + x->batch.at[1][i];
        size_t row = x->m.stride[0], col = x->k.stride[0];
        if (!x->m.even[0] || !x->k.even[0]) {
            gather(a, &x->m, 0, &x->k, 0, x->a);
            a = x->a;
            row = x->k.n;
            col = 1;
        }
        if (i == 0 || x->batch.at[1][i] != x->batch.at[1][i - 1]) {
            if (x->k.even[1] && x->n.even[0]) {
                ox_gemm_pack(b, x->k.n, x->n.n, x->k.stride[1], x->n.stride[0], x->packed);
            } else {
                gather(b, &x->k, 1, &x->n, 0, x->b);
                ox_gemm_pack(x->b, x->k.n, x->n.n, x->n.n, 1, x->packed);
            }
        }
        float *to = direct ? out + x->batch_target[i] : x->product;
        size_t ldc = direct && x->m.n > 1 ? x->m.stride[1] : x->n.n;
        ox_gemm(x->isa, x->m.n, x->n.n, x->k.n, a, row, col, x->packed, to, ldc);
        if (!direct) {
            put(x, x->batch_target[i], out, grad);
        }
    }
}
