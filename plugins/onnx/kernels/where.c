/* SPDX-License-Identifier: Apache-2.0
 * Where: the condition's choice of two values, all three broadcast to one shape. First the second value is written
 * everywhere, then the first where the condition holds: two walks of two operands each. The gradient goes to the
 * value that was chosen, in every mode; none goes to the condition. */
#include "kernels/pairs.h"

static status infer(ox_node *n, error *err) {
    for (size_t i = 0; i < 3; i++) {
        if (ox_input(n, i) == NULL) {
            return error_set(err, STATUS_MODEL, "input %zu is missing", i);
        }
    }
    const ox_tensor *c = n->in[0], *x = n->in[1], *y = n->in[2];
    if (c->dtype != ASSAY_BOOL || x->dtype != y->dtype || n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "Where takes a bool and two values of one type, not %s, %s, %s",
                         ox_dtype_name(c->dtype), ox_dtype_name(x->dtype), ox_dtype_name(y->dtype));
    }
    ox_tensor both = {.n = 1};
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    TRY(ox_broadcast(x, y, both.shape, &both.n_dims, err));
    uint32_t n_dims = 0;
    TRY(ox_broadcast(c, &both, shape, &n_dims, err));
    return ox_set_shape(n->out[0], x->dtype, shape, n_dims, err);
}

/* Bits move as integers of the same size. */
/* NOLINTBEGIN(bugprone-macro-parentheses): arguments that are types */
#define CHOOSE(t)                                                                                                      \
    do {                                                                                                               \
        OX_PAIR_EACH(&all, t, n->in[2]->data, uint8_t, n->in[0]->data, t, n->out[0]->data, x);                         \
        do {                                                                                                           \
            for (size_t r = 0; r < some.rows; r++) {                                                                   \
                const t *a = (const t *)n->in[1]->data + some.a + r * some.ra;                                         \
                const uint8_t *b = (const uint8_t *)n->in[0]->data + some.b + r * some.rb;                             \
                t *restrict o = (t *)n->out[0]->data + some.out + r * some.len;                                        \
                OX_PAIR_RUN(t, a, some.sa, uint8_t, b, some.sb, some.len, t m = (t)(0 - (t)(y != 0));                  \
                            o[i] = (t)((x & m) | (o[i] & (t)~m)))                                                      \
            }                                                                                                          \
        } while (ox_pair_next(&some));                                                                                 \
    } while (0)
/* NOLINTEND(bugprone-macro-parentheses) */

static status forward(ox_node *n, error *err) {
    (void)err;
    ox_pair all, some;
    ox_pair_init(&all, n->in[2], n->in[0], n->out[0]);
    ox_pair_init(&some, n->in[1], n->in[0], n->out[0]);
    switch (ox_dtype_bytes(n->out[0]->dtype)) {
    case 1: CHOOSE(uint8_t); break;
    case 4: CHOOSE(uint32_t); break;
    default: CHOOSE(uint64_t);
    }
    return STATUS_OK;
}

/* Of the value at input k, which is chosen where the condition is `chosen`. */
static void add_chosen(const ox_node *n, size_t k, bool chosen) {
    float *dst = ox_grad_in(n, k);
    const float *grad = ox_grad_out(n, 0);
    if (dst == NULL || grad == NULL) {
        return;
    }
    ox_pair p;
    ox_pair_init(&p, n->in[k], n->in[0], n->out[0]);
    do {
        for (size_t r = 0; r < p.rows; r++) {
            const uint8_t *b = (const uint8_t *)n->in[0]->data + p.b + r * p.rb;
            const float *a = grad + p.out + r * p.len; /* takes the place of the value */
            float *restrict d = dst + p.a + r * p.ra;
            double sum = 0;
            if (p.sa != 0) {
                OX_PAIR_RUN(float, a, 1, uint8_t, b, p.sb, p.len, d[i] += ox_masked(x, (y != 0) == chosen))
                continue;
            }
            OX_PAIR_RUN(float, a, 1, uint8_t, b, p.sb, p.len, sum += (double)ox_masked(x, (y != 0) == chosen))
            *d += (float)sum;
        }
    } while (ox_pair_next(&p));
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    add_chosen(n, 1, true);
    add_chosen(n, 2, false);
    return STATUS_OK;
}

const ox_kernel ox_kernel_where = {.op = "Where",
                                   .min_opset = 9,
                                   .max_opset = 9999,
                                   .flags = OX_KEEPS_BATCH,
                                   .min_in = 3,
                                   .max_in = 3,
                                   .min_out = 1,
                                   .max_out = 1,
                                   .infer = infer,
                                   .forward = forward,
                                   .vjp = vjp};
