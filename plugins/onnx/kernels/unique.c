/* SPDX-License-Identifier: Apache-2.0
 * Unique (opset 11 on) of a constant: the different values, or slices along an axis, sorted or in the order of their
 * first occurrence, with first places, inverse and counts. NaN comes last and equals NaN. */
#include "kernels/moves.h"

typedef struct unique {
    const ox_tensor *x;
    size_t dim, outer, inner; /* of dim slices */
    size_t count;
    int64_t *memory;                            /* of what follows, dim each */
    int64_t *order, *spare;                     /* slices in ascending order; work space, then ranks */
    int64_t *first, *inverse, *counts, *places; /* by unique slice: first occurrence, count */
} unique;

static int compare_values(const ox_tensor *x, size_t a, size_t b) {
    if (x->dtype == ASSAY_I64) {
        int64_t va = ((const int64_t *)x->data)[a], vb = ((const int64_t *)x->data)[b];
        return va < vb ? -1 : va > vb;
    }
    double va = ox_at(x, a), vb = ox_at(x, b);
    if (va != va || vb != vb) {
        return (va != va) - (vb != vb);
    }
    return va < vb ? -1 : va > vb;
}

static int compare(const unique *u, int64_t a, int64_t b) {
    for (size_t o = 0; o < u->outer; o++) {
        for (size_t k = 0; k < u->inner; k++) {
            int c =
                compare_values(u->x, (o * u->dim + (size_t)a) * u->inner + k, (o * u->dim + (size_t)b) * u->inner + k);
            if (c != 0) {
                return c;
            }
        }
    }
    return 0;
}

/* Merges order[from..mid) and [mid..to); of equals the first stays first. */
static void merge(const unique *u, size_t from, size_t mid, size_t to) {
    for (size_t a = from, b = mid, k = from; k < to; k++) {
        bool left = a < mid && (b >= to || compare(u, u->order[a], u->order[b]) <= 0);
        u->spare[k] = left ? u->order[a++] : u->order[b++];
    }
    memcpy(u->order + from, u->spare + from, (to - from) * sizeof *u->order);
}

static void sort(const unique *u) {
    for (size_t i = 0; i < u->dim; i++) {
        u->order[i] = (int64_t)i;
    }
    for (size_t width = 1; width < u->dim; width *= 2) {
        for (size_t from = 0; from + width < u->dim; from += 2 * width) {
            size_t to = from + 2 * width;
            merge(u, from, from + width, to < u->dim ? to : u->dim);
        }
    }
}

/* Numbers the slices by value, or by first occurrence. */
static void number(unique *u, bool sorted) {
    for (size_t i = 0; i < u->dim; i++) {
        bool fresh = i == 0 || compare(u, u->order[i - 1], u->order[i]) != 0;
        if (fresh) {
            u->first[u->count] = u->order[i];
            u->counts[u->count++] = 0;
        }
        u->inverse[u->order[i]] = (int64_t)u->count - 1;
        u->counts[u->count - 1]++;
    }
    if (sorted) {
        return;
    }
    size_t next = 0; /* places[r]: the new number of the slice of rank r */
    for (size_t i = 0; i < u->dim; i++) {
        size_t r = (size_t)u->inverse[i];
        if (u->first[r] == (int64_t)i) {
            u->places[r] = (int64_t)next;
            u->order[next] = (int64_t)i;
            u->spare[next++] = u->counts[r];
        }
        u->inverse[i] = u->places[r];
    }
    memcpy(u->first, u->order, u->count * sizeof *u->first);
    memcpy(u->counts, u->spare, u->count * sizeof *u->counts);
}

static status find(const ox_node *n, unique *u, error *err) {
    const ox_tensor *x = n->in[0];
    uint32_t axis = 0;
    *u = (unique){.x = x, .dim = x->n, .outer = 1, .inner = 1};
    if (ox_attr_find(n, "axis") != NULL) {
        TRY(ox_attr_axis(n, "axis", 0, x->n_dims, false, &axis, err));
        u->dim = (size_t)x->shape[axis];
        u->outer = ox_count(x, 0, axis);
        u->inner = ox_count(x, axis + 1, x->n_dims);
    }
    u->memory = mem_try(u->dim, 6 * sizeof *u->memory, "unique values", err);
    if (u->memory == NULL) {
        return STATUS_MEMORY;
    }
    int64_t **const parts[] = {&u->order, &u->spare, &u->first, &u->inverse, &u->counts, &u->places};
    for (size_t i = 0; i < 6; i++) {
        *parts[i] = u->memory + i * u->dim;
    }
    sort(u);
    number(u, ox_attr_int(n, "sorted", 1) != 0);
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    TRY(ox_check_attr(n, "sorted", OX_INT, err));
    const ox_tensor *x = n->in[0];
    if (!x->is_const) {
        return error_set(err, STATUS_UNSUPPORTED, "the input is computed: the output's shape depends on it");
    }
    unique u = {0};
    TRY(find(n, &u, err));
    int64_t count[1] = {(int64_t)u.count}, all[1] = {(int64_t)u.dim}, shape[ASSAY_MAX_DIMS] = {count[0]};
    uint32_t rank = 1, axis = 0;
    mem_free(u.memory);
    if (ox_attr_find(n, "axis") != NULL) {
        TRY(ox_attr_axis(n, "axis", 0, x->n_dims, false, &axis, err));
        memcpy(shape, x->shape, x->n_dims * sizeof shape[0]);
        shape[axis] = count[0];
        rank = x->n_dims;
    }
    TRY(ox_set_shape(n->out[0], x->dtype, shape, rank, err));
    for (size_t i = 1; i < 4; i++) {
        if (ox_output(n, i) != NULL) {
            TRY(ox_set_shape(n->out[i], ASSAY_I64, i == 2 ? all : count, 1, err));
        }
    }
    return STATUS_OK;
}

static status forward(ox_node *n, error *err) {
    unique u = {0};
    TRY(find(n, &u, err)); /* of constants: while a plan is made, where allocation is allowed */
    size_t item = ox_dtype_bytes(u.x->dtype), run = u.inner * item;
    const int64_t *const tables[] = {NULL, u.first, u.inverse, u.counts};
    char *to = n->out[0]->data;
    for (size_t o = 0; o < u.outer; o++) {
        for (size_t i = 0; i < u.count && run > 0; i++, to += run) {
            memcpy(to, (const char *)u.x->data + (o * u.dim + (size_t)u.first[i]) * run, run);
        }
    }
    for (size_t i = 1; i < 4; i++) {
        ox_tensor *t = ox_output(n, i);
        if (t != NULL && t->n > 0) {
            memcpy(t->data, tables[i], t->n * sizeof *tables[i]);
        }
    }
    mem_free(u.memory);
    return STATUS_OK;
}

const ox_kernel ox_kernel_unique = {.op = "Unique",
                                    .min_opset = 11,
                                    .max_opset = 9999,
                                    .flags = OX_NO_GRADIENT,
                                    .min_in = 1,
                                    .max_in = 1,
                                    .min_out = 1,
                                    .max_out = 4,
                                    .infer = infer,
                                    .forward = forward};
