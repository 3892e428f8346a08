/* SPDX-License-Identifier: Apache-2.0
 * ReduceSum, Mean, Max, Min, Prod, L1, L2, LogSum, LogSumExp and SumSquare over any axes: an attribute in old opsets,
 * a constant input in new ones. Floats are accumulated in double, integers in 64 bits (they wrap; L2 and logarithms go
 * through double and are cut). Over no elements: what the operation starts from (0, 1, -inf, inf, NaN for the mean).
 * A NaN among the elements makes ReduceMax and ReduceMin NaN. The gradient of these goes to the first of the equals. */
#include "kernels/reduce.h"

#include <math.h>

#include "kernels/integer.h"
#include "kernels/map.h"
#include "kernels/vmath.h"

#define AXES_INPUT_OPSET 18 /* 13 for ReduceSum */

typedef enum kind { SUM, MEAN, MAX, MIN, PROD, L1, L2, LOG_SUM, LOG_SUM_EXP, SUM_SQUARE } kind;
static const char *const kind_names[] = {"Sum", "Mean", "Max",    "Min",       "Prod",
                                         "L1",  "L2",   "LogSum", "LogSumExp", "SumSquare"};

typedef struct reduction {
    ox_reduction r;
    kind kind;
} reduction;

static kind kind_of(const ox_node *n) {
    size_t k = 0;
    while (k < SUM_SQUARE && strcmp(n->op + strlen("Reduce"), kind_names[k]) != 0) {
        k++;
    }
    return (kind)k;
}

void ox_reduction_init(ox_reduction *r, const ox_tensor *x, const bool reduced[ASSAY_MAX_DIMS]) {
    *r = (ox_reduction){.kept.n = 1, .reduced.n = 1, .width = 1, .run = 1, .n = 1};
    size_t stride = x->n;
    bool last = false; /* the kind of the dimension before */
    for (uint32_t d = 0, first = 1; d < x->n_dims; d++) {
        size_t dim = (size_t)x->shape[d];
        if (dim == 1) {
            continue;
        }
        stride = dim == 0 ? 0 : stride / dim;
        r->n *= reduced[d] ? dim : 1;
        ox_odometer *o = reduced[d] ? &r->reduced : &r->kept;
        uint32_t k = o->n_dims;
        if (first == 0 && last == reduced[d]) {
            o->shape[k - 1] *= dim;
            o->stride[k - 1] = stride;
        } else {
            o->shape[k] = dim;
            o->stride[k] = stride;
            o->n_dims++;
        }
        first = 0;
        last = reduced[d];
    }
    ox_odometer *o = last ? &r->reduced : &r->kept;
    if (o->n_dims > 0) {
        *(last ? &r->run : &r->width) = o->shape[--o->n_dims];
    }
    for (uint32_t d = 0; d < r->kept.n_dims; d++) {
        r->kept.n *= r->kept.shape[d];
    }
    for (uint32_t d = 0; d < r->reduced.n_dims; d++) {
        r->reduced.n *= r->reduced.shape[d];
    }
}

/* ---- shapes ------------------------------------------------------------------------------------- */

/* noop_with_empty_axes: nothing is reduced. The text of opsets 13 to 21 then has the output equal the input; ONNX
 * Runtime, and the text as it was clarified later, still apply what the operation does to one element (|x| for L1 and
 * L2, log x, x^2), and so do we. */
static status read_axes(const ox_node *n, bool reduced[ASSAY_MAX_DIMS], error *err) {
    const ox_tensor *x = n->in[0];
    bool input = n->opset >= (kind_of(n) == SUM ? 13 : AXES_INPUT_OPSET);
    ox_list axes;
    TRY(ox_check_attr(n, "keepdims", OX_INT, err));
    TRY(ox_check_attr(n, "noop_with_empty_axes", OX_INT, err));
    TRY(ox_list_read(n, input ? NULL : "axes", input ? 1 : SIZE_MAX, &axes, err));
    TRY(ox_list_axes(&axes, x->n_dims, err));
    bool noop = input && axes.n == 0 && ox_attr_int(n, "noop_with_empty_axes", 0) != 0;
    for (uint32_t d = 0; d < ASSAY_MAX_DIMS; d++) {
        reduced[d] = axes.n == 0 && !noop && d < x->n_dims;
    }
    for (size_t i = 0; i < axes.n; i++) {
        reduced[axes.v[i]] = true;
    }
    return STATUS_OK;
}

static status check_dtype(const ox_node *n, error *err) {
    uint32_t t = n->in[0]->dtype;
    kind k = kind_of(n);
    bool extreme = k == MAX || k == MIN;
    bool ok = ox_is_float(t) || t == ASSAY_I32 || t == ASSAY_I64 ||
              (extreme && (t == ASSAY_I8 || t == ASSAY_U8 || (t == ASSAY_BOOL && n->opset >= 20)));
    return ok ? STATUS_OK
              : error_set(err, STATUS_UNSUPPORTED, "%s of %s at opset %d", n->op, ox_dtype_name(t), n->opset);
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    TRY(check_dtype(n, err));
    const ox_tensor *x = n->in[0];
    bool reduced[ASSAY_MAX_DIMS], keep = ox_attr_int(n, "keepdims", 1) != 0;
    TRY(read_axes(n, reduced, err));
    int64_t shape[ASSAY_MAX_DIMS] = {0};
    uint32_t rank = 0;
    bool empty = false;
    for (uint32_t d = 0; d < x->n_dims; d++) {
        empty = empty || (reduced[d] && x->shape[d] == 0);
        if (!reduced[d] || keep) {
            shape[rank++] = reduced[d] ? 1 : x->shape[d];
        }
    }
    if (empty && !ox_is_float(x->dtype) && kind_of(n) != SUM && kind_of(n) != PROD && kind_of(n) != SUM_SQUARE &&
        kind_of(n) != L1) {
        return error_set(err, STATUS_UNSUPPORTED, "%s of no %s values has no value", n->op, ox_dtype_name(x->dtype));
    }
    return ox_set_shape(n->out[0], x->dtype, shape, rank, err);
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    bool reduced[ASSAY_MAX_DIMS];
    reduction *s = mem_zalloc(sizeof *s);
    n->state = s;
    s->kind = kind_of(n);
    TRY(read_axes(n, reduced, err));
    ox_reduction_init(&s->r, n->in[0], reduced);
    return STATUS_OK;
}

static void release(ox_node *n) {
    mem_free(n->state);
    n->state = NULL;
}

/* ---- floats ------------------------------------------------------------------------------------- */

OX_INLINE double start_of(const kind k) {
    return k == MAX || k == LOG_SUM_EXP ? -INFINITY : (k == MIN ? INFINITY : (k == PROD ? 1 : 0));
}

/* LogSumExp: the first pass is Max; the second, exp(x - max). */
OX_INLINE double step(const kind k, double acc, double v) {
    switch (k) {
    case MAX: return v > acc || v != v ? v : acc;
    case MIN: return v < acc || v != v ? v : acc;
    case PROD: return acc * v;
    case L1: return acc + fabs(v);
    case L2:
    case SUM_SQUARE: return acc + v * v;
    default: return acc + v;
    }
}

OX_INLINE double finish(const kind k, double acc, size_t n) {
    switch (k) {
    case MEAN: return acc / (double)n;
    case L2: return sqrt(acc);
    case LOG_SUM: return log(acc);
    default: return acc;
    }
}

OX_INLINE double load(const void *x, size_t i, const bool f32) {
    return f32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

/* One run of neighbouring elements into one accumulator; v: by vmath.h. */
OX_INLINE double run_of(const kind k, double acc, const void *x, size_t at, size_t len, const bool f32,
                        const ox_vmath *v) {
    if (f32 && v != NULL && (k == SUM || k == MEAN || k == LOG_SUM)) {
        return acc + v->sum((const float *)x + at, len);
    }
    if (f32 && v != NULL && (k == L2 || k == SUM_SQUARE)) {
        return acc + v->sum_squares((const float *)x + at, 0, len);
    }
    for (size_t i = at; i < at + len; i++) {
        acc = step(k, acc, load(x, i, f32));
    }
    return acc;
}

/* `width` outputs at once, whose first elements are x[base...]. */
OX_INLINE void accumulate(const ox_reduction *r, const kind k, const void *x, size_t base, size_t width, double *acc,
                          const bool f32, const ox_vmath *v) {
    size_t idx[ASSAY_MAX_DIMS] = {0}, at = base;
    for (size_t j = 0; j < width; j++) {
        acc[j] = start_of(k);
    }
    if (r->n == 0) {
        return;
    }
    do {
        if (r->run > 1) {
            acc[0] = run_of(k, acc[0], x, at, r->run, f32, v);
        } else {
            for (size_t j = 0; j < width; j++) {
                acc[j] = step(k, acc[j], load(x, at + j, f32));
            }
        }
    } while (ox_odometer_next(&r->reduced, idx, &at));
}

/* log sum exp of output j, given the maxima. */
static void log_sum_exp(const ox_reduction *r, const ox_tensor *x, size_t base, size_t width, double *acc) {
    double sum[OX_REDUCE_WIDTH] = {0};
    size_t idx[ASSAY_MAX_DIMS] = {0}, at = base;
    if (r->n == 0) {
        return;
    }
    do {
        for (size_t i = 0; i < r->run; i++) {
            for (size_t j = 0; j < width; j++) {
                sum[j] += isinf(acc[j]) ? 0 : exp(ox_at(x, at + i + j) - acc[j]);
            }
        }
    } while (ox_odometer_next(&r->reduced, idx, &at));
    for (size_t j = 0; j < width; j++) {
        acc[j] = isinf(acc[j]) ? acc[j] : acc[j] + log(sum[j]);
    }
}

OX_INLINE void floats(ox_node *n, const kind k, const bool f32, const ox_vmath *v) {
    const ox_reduction *r = &((const reduction *)n->state)->r;
    const ox_tensor *x = n->in[0];
    double acc[OX_REDUCE_WIDTH];
    size_t idx[ASSAY_MAX_DIMS] = {0}, base = 0, o = 0;
    if (n->out[0]->n == 0) {
        return;
    }
    do {
        for (size_t j = 0; j < r->width; j += OX_REDUCE_WIDTH) {
            size_t width = r->width - j < OX_REDUCE_WIDTH ? r->width - j : OX_REDUCE_WIDTH;
            accumulate(r, k == LOG_SUM_EXP ? MAX : k, x->data, base + j, width, acc, f32, v);
            if (k == LOG_SUM_EXP) {
                log_sum_exp(r, x, base + j, width, acc);
            }
            for (size_t i = 0; i < width; i++) {
                ox_put(n->out[0], o++, finish(k, acc[i], r->n));
            }
        }
    } while (ox_odometer_next(&r->kept, idx, &base));
}

OX_INLINE void floats_of(ox_node *n, const bool f32, const ox_vmath *v) {
    switch (((const reduction *)n->state)->kind) {
    case SUM: floats(n, SUM, f32, v); break;
    case MEAN: floats(n, MEAN, f32, v); break;
    case MAX: floats(n, MAX, f32, v); break;
    case MIN: floats(n, MIN, f32, v); break;
    case PROD: floats(n, PROD, f32, v); break;
    case L1: floats(n, L1, f32, v); break;
    case L2: floats(n, L2, f32, v); break;
    case LOG_SUM: floats(n, LOG_SUM, f32, v); break;
    case LOG_SUM_EXP: floats(n, LOG_SUM_EXP, f32, v); break;
    case SUM_SQUARE: floats(n, SUM_SQUARE, f32, v); break;
    }
}

/* ---- integers ----------------------------------------------------------------------------------- */

static int64_t integer_step(kind k, int64_t acc, int64_t v) {
    switch (k) {
    case MAX: return v > acc ? v : acc;
    case MIN: return v < acc ? v : acc;
    case PROD: return (int64_t)((uint64_t)acc * (uint64_t)v);
    case L1: return (int64_t)((uint64_t)acc + (v < 0 ? 0 - (uint64_t)v : (uint64_t)v));
    case SUM_SQUARE: return (int64_t)((uint64_t)acc + (uint64_t)v * (uint64_t)v);
    default: return (int64_t)((uint64_t)acc + (uint64_t)v);
    }
}

/* A double cut to an integer; what does not fit, to the nearest that does. */
static int64_t cut(double v) {
    if (!(v > -0x1p63)) {
        return INT64_MIN;
    }
    return v >= 0x1p63 ? INT64_MAX : (int64_t)v;
}

static int64_t integer_of(const ox_reduction *r, kind k, const ox_tensor *x, size_t base) {
    size_t idx[ASSAY_MAX_DIMS] = {0}, at = base;
    int64_t acc = k == PROD ? 1 : (k == MAX || k == LOG_SUM_EXP ? INT64_MIN : (k == MIN ? INT64_MAX : 0));
    double real = 0;
    if (r->n == 0) {
        return acc;
    }
    do {
        for (size_t i = 0; i < r->run; i++) {
            double v = ox_at(x, at + i);
            real += k == L2 ? v * v : (k == LOG_SUM_EXP ? exp(v) : v);
            acc = integer_step(k, acc, ox_int_at(x, at + i));
        }
    } while (ox_odometer_next(&r->reduced, idx, &at));
    switch (k) {
    case MEAN: return acc / (int64_t)r->n;
    case L2: return cut(sqrt(real));
    case LOG_SUM:
    case LOG_SUM_EXP: return cut(log(real));
    default: return acc;
    }
}

static void integers(ox_node *n) {
    const reduction *s = n->state;
    size_t idx[ASSAY_MAX_DIMS] = {0}, base = 0, o = 0;
    if (n->out[0]->n == 0) {
        return;
    }
    do {
        for (size_t j = 0; j < s->r.width; j++) {
            ox_int_put(n->out[0], o++, integer_of(&s->r, s->kind, n->in[0], base + j));
        }
    } while (ox_odometer_next(&s->r.kept, idx, &base));
}

/* ---- forward ------------------------------------------------------------------------------------ */

static void reduce(ox_node *n, const ox_vmath *v) {
    if (n->in[0]->dtype == ASSAY_F32) {
        floats_of(n, true, v);
    } else if (n->in[0]->dtype == ASSAY_F64) {
        floats_of(n, false, NULL);
    } else {
        integers(n);
    }
}

static status forward(ox_node *n, error *err) {
    (void)err;
    reduce(n, ox_vmath_of(ox_isa_best()));
    return STATUS_OK;
}

static status forward_reference(ox_node *n, error *err) {
    (void)err;
    reduce(n, NULL);
    return STATUS_OK;
}

/* ---- gradient ----------------------------------------------------------------------------------- */

/* What an output's slopes need beyond the output: LogSum, the sum; Prod, the product of the non-zero factors and the
 * number of zeros; Max and Min, where the chosen one is (as long as it has not been met: SIZE_MAX). */
typedef struct facts {
    double y, value;
    size_t zeros, chosen;
} facts;

static facts facts_of(const ox_node *n, size_t base, size_t o) {
    const reduction *s = n->state;
    const ox_tensor *x = n->in[0];
    size_t idx[ASSAY_MAX_DIMS] = {0}, at = base;
    facts f = {.y = ox_at(n->out[0], o), .value = s->kind == PROD ? 1 : 0, .chosen = SIZE_MAX};
    if (s->kind != LOG_SUM && s->kind != PROD && s->kind != MAX && s->kind != MIN) {
        return f;
    }
    do {
        for (size_t i = at; i < at + s->r.run; i++) {
            double v = ox_at(x, i);
            f.chosen = f.chosen == SIZE_MAX && (v == f.y || v != v) ? i : f.chosen;
            f.zeros += v == 0;
            f.value = s->kind != PROD ? f.value + v : f.value * (v == 0 ? 1 : v);
        }
    } while (ox_odometer_next(&s->r.reduced, idx, &at));
    return f;
}

static double slope(kind k, const facts *f, size_t i, double v, size_t n) {
    switch (k) {
    case SUM: return 1;
    case MEAN: return 1 / (double)n;
    case MAX:
    case MIN: return i == f->chosen;
    case PROD: return f->zeros == 0 ? f->value / v : (f->zeros == 1 && v == 0 ? f->value : 0);
    case L1: return (v > 0) - (v < 0);
    case L2: return f->y == 0 ? 0 : v / f->y;
    case LOG_SUM: return 1 / f->value;
    case LOG_SUM_EXP: return exp(v - f->y);
    default: return 2 * v;
    }
}

static void vjp_output(const ox_node *n, size_t base, size_t o, double g, float *dx) {
    const reduction *s = n->state;
    size_t idx[ASSAY_MAX_DIMS] = {0}, at = base;
    facts f = facts_of(n, base, o);
    do {
        for (size_t i = at; i < at + s->r.run; i++) {
            dx[i] += (float)(g * slope(s->kind, &f, i, ox_at(n->in[0], i), s->r.n));
        }
    } while (ox_odometer_next(&s->r.reduced, idx, &at));
}

static status vjp_reference(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const reduction *s = n->state;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    size_t idx[ASSAY_MAX_DIMS] = {0}, base = 0, o = 0;
    if (g == NULL || dx == NULL || n->in[0]->n == 0) {
        return STATUS_OK;
    }
    do {
        for (size_t j = 0; j < s->r.width; j++, o++) {
            vjp_output(n, base + j, o, (double)g[o], dx);
        }
    } while (ox_odometer_next(&s->r.kept, idx, &base));
    return STATUS_OK;
}

/* Sum and Mean: every element gets the same. */
static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    const reduction *s = n->state;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    size_t idx[ASSAY_MAX_DIMS] = {0}, base = 0;
    if (g == NULL || dx == NULL || n->in[0]->n == 0 || (s->kind != SUM && s->kind != MEAN)) {
        return vjp_reference(n, mode, err);
    }
    double scale = s->kind == MEAN ? 1 / (double)s->r.n : 1;
    do {
        size_t in[ASSAY_MAX_DIMS] = {0}, at = base;
        do {
            float all = (float)((double)g[0] * scale);
            for (size_t i = 0; i < s->r.run && s->r.run > 1; i++) {
                dx[at + i] += all;
            }
            for (size_t j = 0; j < s->r.width && s->r.run == 1; j++) {
                dx[at + j] += (float)((double)g[j] * scale);
            }
        } while (ox_odometer_next(&s->r.reduced, in, &at));
        g += s->r.width;
    } while (ox_odometer_next(&s->r.kept, idx, &base));
    return STATUS_OK;
}

#define REDUCE(symbol, name)                                                                                           \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = 1,                                                              \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH,                                                     \
                                          .min_in = 1,                                                                 \
                                          .max_in = 2,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .prepare = prepare,                                                          \
                                          .release = release,                                                          \
                                          .forward = forward,                                                          \
                                          .forward_reference = forward_reference,                                      \
                                          .vjp = vjp,                                                                  \
                                          .vjp_reference = vjp_reference}
REDUCE(reduce_sum, "ReduceSum");
REDUCE(reduce_mean, "ReduceMean");
REDUCE(reduce_max, "ReduceMax");
REDUCE(reduce_min, "ReduceMin");
REDUCE(reduce_prod, "ReduceProd");
REDUCE(reduce_l1, "ReduceL1");
REDUCE(reduce_l2, "ReduceL2");
REDUCE(reduce_log_sum, "ReduceLogSum");
REDUCE(reduce_log_sum_exp, "ReduceLogSumExp");
REDUCE(reduce_sum_square, "ReduceSumSquare");
