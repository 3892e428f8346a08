/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/pairs.h"

void ox_pair_init(ox_pair *p, const ox_tensor *a, const ox_tensor *b, const ox_tensor *out) {
    *p = (ox_pair){.rows = 1};
    ox_walk *w = &p->outside;
    ox_walk_init(w, a, b, out);
    if (out->n == 0) {
        p->rows = 0;
        w->n_dims = 1;
        return;
    }
    uint32_t last = w->n_dims - 1;
    p->len = w->shape[last];
    p->sa = w->sa[last];
    p->sb = w->sb[last];
    if (last > 0) {
        p->rows = w->shape[last - 1];
        p->ra = w->sa[last - 1];
        p->rb = w->sb[last - 1];
        w->n_dims = last; /* the rows are now its innermost dimension, which ox_walk_next leaves alone */
    }
}

bool ox_pair_next(ox_pair *p) {
    p->out += p->rows * p->len;
    return ox_walk_next(&p->outside, p->idx, &p->a, &p->b);
}

static void exchange(size_t *a, size_t *b) {
    size_t t = *a;
    *a = *b;
    *b = t;
}

void ox_pair_exchange(ox_pair *p) {
    exchange(&p->ra, &p->rb);
    exchange(&p->sa, &p->sb);
    for (uint32_t d = 0; d < p->outside.n_dims; d++) {
        exchange(&p->outside.sa[d], &p->outside.sb[d]);
    }
}

/* Input 1 as it lies against input 0. Before opset 7 its dimensions are those of input 0 from `axis` on (default: the
 * last ones), which dimensions of 1 behind them express; nothing but one value broadcasts otherwise. */
static status second_operand(const ox_node *n, ox_tensor *b, error *err) {
    const ox_tensor *a = n->in[0];
    *b = *n->in[1];
    if (n->opset >= 7 || b->n_dims == 0) {
        return STATUS_OK;
    }
    if (b->n_dims > a->n_dims) {
        return error_set(err, STATUS_MODEL, "input 1 has more dimensions than input 0");
    }
    if (ox_attr_find(n, "axis") == NULL || b->n == 1) {
        return STATUS_OK;
    }
    uint32_t axis = 0;
    TRY(ox_attr_axis(n, "axis", 0, a->n_dims, true, &axis, err));
    if (axis > a->n_dims - b->n_dims) {
        return error_set(err, STATUS_MODEL, "input 1 does not lie inside input 0 from axis %u on", axis);
    }
    for (uint32_t d = b->n_dims; d < a->n_dims - axis; d++) {
        b->shape[d] = 1;
    }
    b->n_dims = a->n_dims - axis;
    return STATUS_OK;
}

void ox_pair_of(ox_pair *p, const ox_node *n) {
    ox_tensor b;
    error err = {0};
    (void)second_operand(n, &b, &err); /* infer has checked it */
    ox_pair_init(p, n->in[0], &b, n->out[0]);
}

status ox_pair_infer(ox_node *n, uint32_t dtype, error *err) {
    const ox_tensor *a = ox_input(n, 0);
    ox_tensor b;
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    uint32_t n_dims = 0;
    if (a == NULL || ox_input(n, 1) == NULL || ox_output(n, 0) == NULL) {
        return error_set(err, STATUS_MODEL, "an input or the output is missing");
    }
    TRY(ox_check_attr(n, "broadcast", OX_INT, err));
    TRY(second_operand(n, &b, err));
    TRY(ox_broadcast(a, &b, shape, &n_dims, err));
    if (n->opset < 7) {
        bool same = n_dims == a->n_dims && memcmp(shape, a->shape, n_dims * sizeof shape[0]) == 0;
        if (!same || (ox_attr_int(n, "broadcast", 0) == 0 && !ox_same_shape(a, n->in[1]))) {
            return error_set(err, STATUS_MODEL, "input 1 has another shape than input 0 and may not be broadcast");
        }
    }
    return ox_set_shape(n->out[0], dtype, shape, n_dims, err);
}

double ox_lane_sum(const double *t, size_t m) {
    double lane[8] = {0};
    size_t i = 0;
    for (; i + 8 <= m; i += 8) {
        for (size_t k = 0; k < 8; k++) {
            lane[k] += t[i + k];
        }
    }
    for (; i < m; i++) {
        lane[0] += t[i];
    }
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

status ox_pair_divisor(const ox_node *n, error *err) {
    const ox_tensor *y = n->in[1];
    for (size_t i = 0; i < y->n && n->out[0]->n > 0; i++) {
        if (ox_int_at(y, i) == 0) {
            return error_set(err, STATUS_MODEL, "integer division by zero");
        }
    }
    return STATUS_OK;
}
