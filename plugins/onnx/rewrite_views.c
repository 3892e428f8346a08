/* SPDX-License-Identifier: Apache-2.0
 * Slices, splits, transposes and reshapes beside a product become strides of its operands: what an attention head
 * takes out of the projections, and how it puts its result back, is then copied by nobody. */
#include "rewrite.h"

#define MAX_MOVES 8

static ox_view dense(const ox_tensor *t) {
    ox_view v = {.n_dims = t->n_dims};
    size_t stride = 1;
    for (uint32_t d = t->n_dims; d-- > 0;) {
        v.shape[d] = t->shape[d];
        v.stride[d] = stride;
        stride *= (size_t)t->shape[d];
    }
    return v;
}

static bool read_perm(const ox_node *n, uint32_t n_dims, uint32_t perm[ASSAY_MAX_DIMS]) {
    const ox_attr *a = ox_attr_find(n, "perm");
    for (uint32_t i = 0; i < n_dims; i++) {
        perm[i] = n_dims - 1 - i;
    }
    if (a == NULL) {
        return true;
    }
    for (uint32_t i = 0; a->kind == OX_INTS && a->n == n_dims && i < n_dims; i++) {
        if (a->ints[i] < 0 || a->ints[i] >= (int64_t)n_dims) {
            return false;
        }
        perm[i] = (uint32_t)a->ints[i];
    }
    return a->kind == OX_INTS && a->n == n_dims;
}

static bool transpose(const ox_node *n, ox_view *v) {
    uint32_t perm[ASSAY_MAX_DIMS];
    const ox_view from = *v;
    if (!read_perm(n, v->n_dims, perm)) {
        return false;
    }
    for (uint32_t i = 0; i < v->n_dims; i++) {
        v->shape[i] = from.shape[perm[i]];
        v->stride[i] = from.stride[perm[i]];
    }
    return true;
}

/* Element i of a list that is an attribute (before opset 10) or a constant input; `def` where there is no list. */
static bool list_at(const ox_node *n, const char *name, size_t input, size_t i, int64_t def, int64_t *v) {
    *v = def;
    if (n->opset < 10) {
        const ox_attr *a = ox_attr_find(n, name);
        bool ok = a == NULL || (a->kind == OX_INTS && i < a->n);
        *v = a != NULL && ok ? a->ints[i] : def;
        return ok;
    }
    const ox_tensor *t = input < n->n_in ? n->in[input] : NULL;
    if (t == NULL) {
        return true;
    }
    if (!t->is_const || i >= t->n || (t->dtype != ASSAY_I64 && t->dtype != ASSAY_I32)) {
        return false;
    }
    *v = t->dtype == ASSAY_I64 ? ((const int64_t *)t->data)[i] : ((const int32_t *)t->data)[i];
    return true;
}

static size_t n_slices(const ox_node *n) {
    const ox_attr *a = ox_attr_find(n, "starts");
    if (n->opset < 10) {
        return a == NULL ? 0 : a->n;
    }
    return n->n_in > 1 && n->in[1] != NULL ? n->in[1]->n : 0;
}

/* Steps of one or more alone. `t` is the result, whose shape infer has set. */
static bool slice(const ox_node *n, const ox_tensor *t, ox_view *v) {
    for (size_t i = 0; i < n_slices(n); i++) {
        int64_t start = 0, axis = 0, step = 1;
        if (!list_at(n, "starts", 1, i, 0, &start) || !list_at(n, "axes", 3, i, (int64_t)i, &axis) ||
            (n->opset >= 10 && !list_at(n, "", 4, i, 1, &step)) || step < 1 || axis < -(int64_t)v->n_dims ||
            axis >= (int64_t)v->n_dims) {
            return false;
        }
        size_t d = (size_t)(axis < 0 ? axis + (int64_t)v->n_dims : axis);
        int64_t dim = v->shape[d];
        start = start < 0 ? (start < -dim ? 0 : start + dim) : start;
        start = start > dim ? dim : start;
        v->offset += (size_t)start * v->stride[d];
        v->stride[d] *= (size_t)step;
        v->shape[d] = t->shape[d];
    }
    return true;
}

static bool split(const ox_node *n, const ox_tensor *t, ox_view *v) {
    int64_t axis = ox_attr_int(n, "axis", 0), at = 0;
    axis = axis < 0 ? axis + (int64_t)v->n_dims : axis;
    if (axis < 0 || axis >= (int64_t)v->n_dims) {
        return false;
    }
    for (size_t i = 0; i < n->n_out && n->out[i] != t; i++) {
        if (n->out[i] == NULL) {
            return false; /* its size is not known here */
        }
        at += n->out[i]->shape[axis];
    }
    v->offset += (size_t)at * v->stride[axis];
    v->shape[axis] = t->shape[axis];
    return true;
}

/* The view with another shape, where its strides allow it: groups of dimensions of equal product, each of which must
 * be one run of memory on the side of the view. */
static bool reshape(const ox_tensor *t, ox_view *v) {
    const ox_view from = *v;
    ox_view to = {.n_dims = t->n_dims, .offset = from.offset};
    memcpy(to.shape, t->shape, sizeof to.shape);
    uint32_t i = 0, j = 0;
    if (t->n == 0) {
        return false;
    }
    while (i < from.n_dims || j < to.n_dims) {
        uint32_t i0 = i, j0 = j;
        int64_t a = i < from.n_dims ? from.shape[i++] : 1, b = j < to.n_dims ? to.shape[j++] : 1;
        while (a != b) {
            if (a < b ? i == from.n_dims : j == to.n_dims) {
                return false;
            }
            if (a < b) {
                a *= from.shape[i++];
            } else {
                b *= to.shape[j++];
            }
        }
        for (uint32_t k = i0; k + 1 < i; k++) {
            bool run = from.shape[k] == 1 || from.stride[k] == from.stride[k + 1] * (size_t)from.shape[k + 1];
            if (!run) {
                return false;
            }
        }
        size_t stride = i > i0 ? from.stride[i - 1] : 1;
        for (uint32_t k = j; k-- > j0;) {
            to.stride[k] = stride;
            stride *= (size_t)to.shape[k];
        }
    }
    *v = to;
    return true;
}

static bool apply(const ox_node *n, const ox_tensor *t, ox_view *v) {
    if (rw_is(n, "Transpose")) {
        return transpose(n, v);
    }
    if (rw_is(n, "Slice")) {
        return slice(n, t, v);
    }
    if (rw_is(n, "Split")) {
        return split(n, t, v);
    }
    return (n->kernel->flags & OX_VIEW) != 0 && n->n_out == 1 && reshape(t, v);
}

static bool is_move(const ox_node *n) {
    return n != NULL && (rw_is(n, "Transpose") || rw_is(n, "Slice") || rw_is(n, "Split") ||
                         ((n->kernel->flags & OX_VIEW) != 0 && n->n_out == 1));
}

/* The tensor out of which `t` was moved, and where t stands in it. */
static ox_tensor *trace(const rewriter *w, ox_tensor *t, ox_view *v) {
    ox_tensor *chain[MAX_MOVES + 1] = {t};
    size_t n = 0;
    while (n < MAX_MOVES && is_move(rw_maker(w, chain[n]))) {
        chain[n + 1] = rw_maker(w, chain[n])->in[0];
        n++;
    }
    size_t base = n;
    *v = dense(chain[n]);
    for (size_t i = n; i-- > 0;) {
        if (!apply(rw_maker(w, chain[i]), chain[i], v)) {
            base = i;
            *v = dense(chain[i]);
        }
    }
    return chain[base];
}

bool rw_take_views(rewriter *w, size_t k) {
    ox_node *n = &w->p->nodes[k];
    bool changed = false;
    for (size_t i = 0; i < 2 && (n->kernel->flags & OX_TAKES_VIEWS) != 0 && rw_f32(n->out[0]); i++) {
        ox_view v;
        ox_tensor *t = n->in[i], *base = t->is_const || n->in_view[i] != NULL ? t : trace(w, t, &v);
        if (base == t || base->is_const) {
            continue;
        }
        ox_view *kept = arena_alloc(&w->p->memory, sizeof *kept);
        *kept = v;
        n->in_view[i] = kept;
        n->in[i] = base;
        w->uses[rw_index(w, t)]--;
        w->uses[rw_index(w, base)]++;
        changed = true;
    }
    return changed;
}

/* A transpose behind a product that leaves the last dimension where it is: the product writes there at once. */
bool rw_give_view(rewriter *w, size_t k) {
    ox_node *n = &w->p->nodes[k], *host = rw_is(n, "Transpose") ? rw_sole_maker(w, n->in[0]) : NULL;
    uint32_t perm[ASSAY_MAX_DIMS], n_dims = n->out[0]->n_dims;
    if (!rw_takes_more(host) || (host->kernel->flags & OX_TAKES_VIEWS) == 0 || host->n_in > OX_RESIDUAL || n_dims < 2 ||
        host->in[0]->n_dims < 2 || host->in[1]->n_dims < 2 || !read_perm(n, n_dims, perm) ||
        perm[n_dims - 1] != n_dims - 1) {
        return false;
    }
    ox_view moved = dense(n->out[0]), *v = arena_alloc(&w->p->memory, sizeof *v);
    v->n_dims = n_dims;
    for (uint32_t i = 0; i < n_dims; i++) {
        v->shape[perm[i]] = moved.shape[i];
        v->stride[perm[i]] = moved.stride[i];
    }
    host->out_view = v;
    rw_absorb(w, k, host);
    return true;
}
