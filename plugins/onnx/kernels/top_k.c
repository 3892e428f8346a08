/* SPDX-License-Identifier: Apache-2.0
 * TopK along one axis: k is an attribute in opset 1 and a constant input from 10 on. Sorted whether asked for or not;
 * of equals the lower index comes first; a NaN is larger than any number. The gradient goes to the chosen elements. */
#include "kernels/axis.h"
#include "kernels/integer.h"
#include "kernels/moves.h"

typedef struct top_k {
    ox_axis a;
    size_t k;
    bool largest;
    size_t *heap; /* (k) indices of the row's best so far, the worst of them in front */
} top_k;

static status read(const ox_node *n, top_k *t, uint32_t *axis, error *err) {
    const ox_tensor *x = n->in[0];
    ox_list k;
    TRY(ox_attr_axis(n, "axis", -1, x->n_dims, false, axis, err));
    TRY(ox_check_attr(n, "largest", OX_INT, err));
    TRY(ox_check_attr(n, "sorted", OX_INT, err));
    if (n->opset < 10) {
        TRY(ox_check_attr(n, "k", OX_INT, err));
        k = (ox_list){.present = ox_attr_find(n, "k") != NULL, .n = 1, .v = {ox_attr_int(n, "k", 0)}};
    } else {
        TRY(ox_list_read(n, NULL, 1, &k, err));
    }
    if (!k.present || k.n != 1 || k.v[0] < 0 || k.v[0] > x->shape[*axis]) {
        return error_set(err, STATUS_MODEL, "k is missing or not one number of 0..%lld", (long long)x->shape[*axis]);
    }
    if (*axis == 0 && x->has_batch) {
        return error_set(err, STATUS_UNSUPPORTED, "the axis is the batch's: examples would depend on each other");
    }
    *t = (top_k){
        .a = ox_axis_of(x, *axis), .k = (size_t)k.v[0], .largest = n->opset < 11 || ox_attr_int(n, "largest", 1) != 0};
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    const ox_tensor *x = n->in[0];
    if (!ox_is_float(x->dtype) && (n->opset < 11 || !ox_is_integer(x->dtype))) {
        return error_set(err, STATUS_UNSUPPORTED, "input 0 is %s at opset %d", ox_dtype_name(x->dtype), n->opset);
    }
    top_k t = {0};
    uint32_t axis = 0;
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    TRY(read(n, &t, &axis, err));
    for (uint32_t d = 0; d < x->n_dims; d++) {
        shape[d] = d == axis ? (int64_t)t.k : x->shape[d];
    }
    if (ox_output(n, 1) != NULL) {
        TRY(ox_set_shape(n->out[1], ASSAY_I64, shape, x->n_dims, err));
    }
    return ox_set_shape(n->out[0], x->dtype, shape, x->n_dims, err);
}

static void release(ox_node *n) {
    top_k *t = n->state;
    if (t != NULL) {
        mem_free(t->heap);
        mem_free(t);
        n->state = NULL;
    }
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    uint32_t axis = 0;
    top_k *t = mem_zalloc(sizeof *t);
    n->state = t;
    status s = read(n, t, &axis, err);
    if (s == STATUS_OK && t->k > 0) {
        t->heap = mem_try(t->k, sizeof *t->heap, "the largest elements", err);
        s = t->heap == NULL ? STATUS_MEMORY : STATUS_OK;
    }
    if (s != STATUS_OK) {
        release(n);
    }
    return s;
}

/* Element i of the row at `at` comes before element j. */
static bool before(const ox_tensor *x, const top_k *t, size_t at, size_t i, size_t j) {
    size_t a = at + i * t->a.inner, b = at + j * t->a.inner;
    if (ox_is_integer(x->dtype)) {
        int64_t v = ox_int_at(x, a), w = ox_int_at(x, b);
        return v != w ? (v > w) == t->largest : i < j;
    }
    double v = ox_at(x, a), w = ox_at(x, b);
    if (v != v || w != w) {
        bool both = v != v && w != w;
        return both ? i < j : (v != v) == t->largest;
    }
    return v != w ? (v > w) == t->largest : i < j;
}

/* Restores the heap of n below node `i`: no node comes before those under it. */
static void sink(const ox_tensor *x, const top_k *t, size_t at, size_t i, size_t n) {
    size_t *h = t->heap, child = 2 * i + 1;
    for (; child < n; child = 2 * i + 1) {
        if (child + 1 < n && before(x, t, at, h[child], h[child + 1])) {
            child++;
        }
        if (before(x, t, at, h[child], h[i])) {
            return;
        }
        size_t swap = h[i];
        h[i] = h[child];
        h[child] = swap;
        i = child;
    }
}

/* The chosen indices of one row, in order, in t->heap. */
static void choose(const ox_tensor *x, const top_k *t, size_t at) {
    for (size_t i = 0; i < t->k; i++) {
        t->heap[i] = i;
    }
    for (size_t i = t->k / 2; i-- > 0;) {
        sink(x, t, at, i, t->k);
    }
    for (size_t i = t->k; i < t->a.len && t->k > 0; i++) {
        if (before(x, t, at, i, t->heap[0])) {
            t->heap[0] = i;
            sink(x, t, at, 0, t->k);
        }
    }
    for (size_t n = t->k; n-- > 1;) { /* the worst to the end */
        size_t worst = t->heap[0];
        t->heap[0] = t->heap[n];
        t->heap[n] = worst;
        sink(x, t, at, 0, n);
    }
}

static status forward(ox_node *n, error *err) {
    (void)err;
    const top_k *t = n->state;
    const ox_tensor *x = n->in[0];
    ox_tensor *indices = ox_output(n, 1);
    const ox_axis out = {t->a.outer, t->k, t->a.inner};
    size_t item = ox_dtype_bytes(x->dtype);
    for (size_t r = 0; r < ox_axis_rows(&out) && t->k > 0; r++) {
        size_t at = ox_axis_row(&t->a, r), to = ox_axis_row(&out, r);
        choose(x, t, at);
        for (size_t i = 0; i < t->k; i++, to += out.inner) {
            memcpy((char *)n->out[0]->data + to * item, (const char *)x->data + (at + t->heap[i] * out.inner) * item,
                   item);
            if (indices != NULL) {
                ((int64_t *)indices->data)[to] = (int64_t)t->heap[i];
            }
        }
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const top_k *t = n->state;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    const ox_axis out = {t->a.outer, t->k, t->a.inner};
    for (size_t r = 0; g != NULL && dx != NULL && t->k > 0 && r < ox_axis_rows(&out); r++) {
        size_t at = ox_axis_row(&t->a, r), from = ox_axis_row(&out, r);
        choose(n->in[0], t, at);
        for (size_t i = 0; i < t->k; i++) {
            dx[at + t->heap[i] * out.inner] += g[from + i * out.inner];
        }
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_top_k = {.op = "TopK",
                                   .min_opset = 1,
                                   .max_opset = 9999,
                                   .flags = OX_KEEPS_BATCH,
                                   .min_in = 1,
                                   .max_in = 2,
                                   .min_out = 1,
                                   .max_out = 2,
                                   .infer = infer,
                                   .prepare = prepare,
                                   .release = release,
                                   .forward = forward,
                                   .vjp = vjp};
