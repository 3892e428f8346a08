/* SPDX-License-Identifier: Apache-2.0
 * Max, Min, Sum, Mean of one or more inputs: of one shape before opset 8, broadcast from there on; Max and Min also of
 * integers from opset 12 on. Sum and Mean add in the order of the inputs, in their own type. A NaN among its operands
 * is what Max and Min give.
 *
 * The gradient of Max and Min goes to the operand that was chosen: of several equal ones a constant, so that
 * Max(x, 0) at 0 passes nothing, as Relu, or else the first. A constant that was chosen makes a dead region, as
 * Clip's: leaky mode passes 0.1 there to all others, straight-through mode everything. */
#include "kernels/pairs.h"

#define NONE UINT32_MAX /* no operand has been chosen yet */

typedef enum variadic_op { MAX, MIN, SUM, MEAN } variadic_op;

static variadic_op op_of(const ox_node *n) {
    switch (n->op[1]) {
    case 'a': return MAX;
    case 'i': return MIN;
    case 'u': return SUM;
    default: return MEAN;
    }
}

static status infer(ox_node *n, error *err) {
    TRY(ox_infer_same(n, err));
    uint32_t dtype = n->in[0]->dtype;
    bool integers = ox_is_integer(dtype) && op_of(n) <= MIN && n->opset >= 12;
    if (!ox_is_float(dtype) && !integers) {
        return error_set(err, STATUS_UNSUPPORTED, "%s of %s at opset %d is not supported", n->op, ox_dtype_name(dtype),
                         n->opset);
    }
    for (size_t i = 1; i < n->n_in; i++) {
        TRY(ox_need_dtype_of_first(n, i, err));
        if (n->opset < 8 && !ox_same_shape(n->in[0], n->in[i])) {
            return error_set(err, STATUS_MODEL, "input %zu has another shape than input 0 (before opset 8)", i);
        }
        int64_t shape[ASSAY_MAX_DIMS] = {0};
        uint32_t n_dims = 0;
        TRY(ox_broadcast(n->out[0], n->in[i], shape, &n_dims, err));
        TRY(ox_set_shape(n->out[0], dtype, shape, n_dims, err));
    }
    return STATUS_OK;
}

/* `body` for all elements of out and x of input k, which is type t: out is the dense o. */
/* NOLINTBEGIN(bugprone-macro-parentheses): arguments that are types */
#define EACH(n, k, t, body)                                                                                            \
    do {                                                                                                               \
        ox_pair p_;                                                                                                    \
        ox_pair_init(&p_, (n)->in[k], (n)->in[k], (n)->out[0]);                                                        \
        do {                                                                                                           \
            for (size_t r = 0; r < p_.rows; r++) {                                                                     \
                const t *a_ = (const t *)(n)->in[k]->data + p_.a + r * p_.ra;                                          \
                t *restrict o = (t *)(n)->out[0]->data + p_.out + r * p_.len;                                          \
                OX_PAIR_RUN(t, a_, p_.sa, t, a_, p_.sa, p_.len, body)                                                  \
            }                                                                                                          \
        } while (ox_pair_next(&p_));                                                                                   \
    } while (0)
/* NOLINTEND(bugprone-macro-parentheses) */

/* The first two at once, then one by one: OP(so far, operand). */
#define FOLD(n, t, OP)                                                                                                 \
    do {                                                                                                               \
        if ((n)->n_in == 1) {                                                                                          \
            EACH(n, 0, t, o[i] = x);                                                                                   \
            break;                                                                                                     \
        }                                                                                                              \
        ox_pair two;                                                                                                   \
        ox_pair_init(&two, (n)->in[0], (n)->in[1], (n)->out[0]);                                                       \
        OX_PAIR_EACH(&two, t, (n)->in[0]->data, t, (n)->in[1]->data, t, (n)->out[0]->data, OP(x, y));                  \
        for (size_t k = 2; k < (n)->n_in; k++) {                                                                       \
            EACH(n, k, t, o[i] = OP(o[i], x));                                                                         \
        }                                                                                                              \
    } while (0)

#define GREATER(p, q) ((p) < (q) || (q) != (q) ? (q) : (p))
#define LESSER(p, q) ((q) < (p) || (q) != (q) ? (q) : (p))
#define GREATER_INTEGER(p, q) ((p) < (q) ? (q) : (p))
#define LESSER_INTEGER(p, q) ((q) < (p) ? (q) : (p))
#define PLUS(p, q) ((p) + (q))

/* NOLINTBEGIN(bugprone-macro-parentheses): arguments that are types */
#define OF_FLOATS(symbol, t)                                                                                           \
    static void symbol(ox_node *n, variadic_op op) {                                                                   \
        t *z = n->out[0]->data;                                                                                        \
        switch (op) {                                                                                                  \
        case MAX: FOLD(n, t, GREATER); break;                                                                          \
        case MIN: FOLD(n, t, LESSER); break;                                                                           \
        default: FOLD(n, t, PLUS);                                                                                     \
        }                                                                                                              \
        for (size_t i = 0; op == MEAN && i < n->out[0]->n; i++) {                                                      \
            z[i] /= (t)n->n_in;                                                                                        \
        }                                                                                                              \
    }
/* NOLINTEND(bugprone-macro-parentheses) */
OF_FLOATS(of_f32, float)
OF_FLOATS(of_f64, double)

#define OF_INTEGERS(symbol, t)                                                                                         \
    static void symbol(ox_node *n, variadic_op op) {                                                                   \
        if (op == MAX) {                                                                                               \
            FOLD(n, t, GREATER_INTEGER);                                                                               \
        } else {                                                                                                       \
            FOLD(n, t, LESSER_INTEGER);                                                                                \
        }                                                                                                              \
    }
OF_INTEGERS(of_u8, uint8_t)
OF_INTEGERS(of_i8, int8_t)
OF_INTEGERS(of_i32, int32_t)
OF_INTEGERS(of_i64, int64_t)

static status forward(ox_node *n, error *err) {
    (void)err;
    variadic_op op = op_of(n);
    switch (n->out[0]->dtype) {
    case ASSAY_F32: of_f32(n, op); break;
    case ASSAY_F64: of_f64(n, op); break;
    case ASSAY_U8: of_u8(n, op); break;
    case ASSAY_I8: of_i8(n, op); break;
    case ASSAY_I32: of_i32(n, op); break;
    default: of_i64(n, op);
    }
    return STATUS_OK;
}

/* For Max and Min: the chosen operand's number for each element. */
static status prepare(ox_node *n, bool want_vjp, error *err) {
    if (!want_vjp || op_of(n) > MIN) {
        return STATUS_OK;
    }
    n->state = mem_try(n->out[0]->n, sizeof(uint32_t), "the choices of Max and Min", err);
    return n->state != NULL ? STATUS_OK : STATUS_MEMORY;
}

static void release(ox_node *n) {
    mem_free(n->state);
    n->state = NULL;
}

/* Operand k is the choice where it equals the output and none has been made. */
#define CHOOSE(t)                                                                                                      \
    do {                                                                                                               \
        for (size_t r = 0; r < p.rows; r++) {                                                                          \
            const t *a = (const t *)n->in[k]->data + p.a + r * p.ra,                                                   \
                    *z = (const t *)n->out[0]->data + p.out + r * p.len;                                               \
            uint32_t *restrict c = (uint32_t *)n->state + p.out + r * p.len;                                           \
            OX_PAIR_RUN(t, a, p.sa, t, z, 1, p.len,                                                                    \
                        uint32_t is =                                                                                  \
                            (uint32_t)(c[i] == NONE) & ((uint32_t)(x == y) | (uint32_t) !(x == x || y == y));          \
                        c[i] = (c[i] & (is - 1)) | ((uint32_t)k & (0 - is)))                                           \
        }                                                                                                              \
    } while (ox_pair_next(&p))

static void choose(const ox_node *n, size_t k) {
    ox_pair p;
    ox_pair_init(&p, n->in[k], n->out[0], n->out[0]);
    switch (n->out[0]->dtype) {
    case ASSAY_F32: CHOOSE(float); break;
    case ASSAY_F64: CHOOSE(double); break;
    case ASSAY_U8: CHOOSE(uint8_t); break;
    case ASSAY_I8: CHOOSE(int8_t); break;
    case ASSAY_I32: CHOOSE(int32_t); break;
    default: CHOOSE(int64_t);
    }
}

/* To operand k, where it was chosen, and `dead` times where a constant was. */
static void add_chosen(const ox_node *n, size_t k, float dead) {
    const uint32_t *choice = n->state;
    const float *g = n->grad_out[0];
    ox_pair p;
    ox_pair_init(&p, n->in[k], n->in[k], n->out[0]);
    do {
        for (size_t r = 0; r < p.rows; r++) {
            float *restrict d = n->grad_in[k] + p.a + r * p.ra;
            double sum = 0;
            const uint32_t *c = choice + p.out + r * p.len;
            const float *from = g + p.out + r * p.len;
            for (size_t i = 0; i < p.len && p.sa != 0; i++) {
                d[i] += ox_masked(from[i], c[i] == k);
            }
            for (size_t i = 0; i < p.len && p.sa == 0; i++) {
                sum += (double)ox_masked(from[i], c[i] == k);
            }
            for (size_t i = 0; i < p.len && dead > 0; i++) {
                double v = c[i] != k && n->in[c[i]]->is_const ? (double)(dead * from[i]) : 0;
                d[i * p.sa] += p.sa != 0 ? (float)v : 0;
                sum += p.sa != 0 ? 0 : v;
            }
            if (p.sa == 0) {
                *d += (float)sum;
            }
        }
    } while (ox_pair_next(&p));
}

static void add_scaled(const ox_node *n, size_t k, double scale) {
    const float *grad = n->grad_out[0];
    ox_pair p;
    ox_pair_init(&p, n->in[k], n->in[k], n->out[0]);
    do {
        for (size_t r = 0; r < p.rows; r++) {
            const float *restrict g = grad + p.out + r * p.len;
            float *restrict d = n->grad_in[k] + p.a + r * p.ra;
            double sum = 0;
            for (size_t i = 0; i < p.len && p.sa != 0; i++) {
                d[i] += (float)((double)g[i] * scale);
            }
            for (size_t i = 0; i < p.len && p.sa == 0; i++) {
                sum += (double)g[i] * scale;
            }
            if (p.sa == 0 && p.len > 0) {
                *d += (float)sum;
            }
        }
    } while (ox_pair_next(&p));
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)err;
    variadic_op op = op_of(n);
    if (ox_grad_out(n, 0) == NULL) {
        return STATUS_OK;
    }
    float dead = mode == ASSAY_VJP_STRAIGHT_THROUGH ? 1 : (mode == ASSAY_VJP_LEAKY ? (float)OX_LEAKY_SLOPE : 0);
    if (op <= MIN) {
        memset(n->state, 0xff, n->out[0]->n * sizeof(uint32_t));  /* NONE */
        for (size_t k = 0; n->n_in > 0 && k < 2 * n->n_in; k++) { /* constants first */
            if (n->in[k % n->n_in]->is_const == (k < n->n_in)) {
                choose(n, k % n->n_in);
            }
        }
    }
    for (size_t k = 0; k < n->n_in; k++) {
        if (ox_grad_in(n, k) == NULL) {
            continue;
        }
        if (op <= MIN) {
            add_chosen(n, k, dead);
        } else {
            add_scaled(n, k, op == MEAN ? 1 / (double)n->n_in : 1);
        }
    }
    return STATUS_OK;
}

#define VARIADIC(symbol, name)                                                                                         \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = 1,                                                              \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH | OX_POINTWISE,                                      \
                                          .min_in = 1,                                                                 \
                                          .max_in = 65535,                                                             \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .prepare = prepare,                                                          \
                                          .release = release,                                                          \
                                          .forward = forward,                                                          \
                                          .vjp = vjp}
VARIADIC(max, "Max");
VARIADIC(min, "Min");
VARIADIC(sum, "Sum");
VARIADIC(mean, "Mean");
