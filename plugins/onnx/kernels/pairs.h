/* SPDX-License-Identifier: Apache-2.0
 * Operators of two inputs, element by element: shapes (numpy broadcasting; before opset 7 the attributes axis and
 * broadcast), loops forward, and gradients, where a broadcast operand receives a sum. */
#ifndef ONNX_KERNELS_PAIRS_H
#define ONNX_KERNELS_PAIRS_H

#include "kernels/integer.h"
#include "kernels/map.h"

/* The output goes by in dense planes of rows x len elements, in order. */
typedef struct ox_pair {
    size_t rows, len;
    size_t a, b, out; /* where the plane starts in the operands and in the output */
    size_t ra, rb;    /* steps of the operands from row to row */
    size_t sa, sb;    /* within a row: 0 or 1 */
    ox_walk outside;
    size_t idx[ASSAY_MAX_DIMS];
} ox_pair;

void ox_pair_init(ox_pair *p, const ox_tensor *a, const ox_tensor *b, const ox_tensor *out);
bool ox_pair_next(ox_pair *p);
/* The operands change places. Before the first step. */
void ox_pair_exchange(ox_pair *p);
/* Inputs 0 and 1 of a node that has passed ox_pair_infer. */
void ox_pair_of(ox_pair *p, const ox_node *n);
/* Inputs 0 and 1 are there and broadcast; out[0] has their shape and `dtype`. */
status ox_pair_infer(ox_node *n, uint32_t dtype, error *err);
/* The sum of m doubles in an order that depends on m alone, in partial sums that fill a vector. */
double ox_lane_sum(const double *t, size_t m);
/* STATUS_MODEL where an integer divisor (input 1) is zero and there is something to divide. */
status ox_pair_divisor(const ox_node *n, error *err);

/* Runs `body` for i < len with x and y at hand. All variants are loops the compiler can turn into vectors. */
#define OX_PAIR_RUN(tx, a, sa, ty, b, sb, len, body)                                                                   \
    if ((sa) != 0 && (sb) != 0) {                                                                                      \
        for (size_t i = 0; i < (len); i++) {                                                                           \
            tx x = (tx)(a)[i];                                                                                         \
            ty y = (ty)(b)[i];                                                                                         \
            (void)x, (void)y;                                                                                          \
            body;                                                                                                      \
        }                                                                                                              \
    } else if ((sa) != 0) {                                                                                            \
        ty y = (ty) * (b);                                                                                             \
        for (size_t i = 0; i < (len); i++) {                                                                           \
            tx x = (tx)(a)[i];                                                                                         \
            (void)x, (void)y;                                                                                          \
            body;                                                                                                      \
        }                                                                                                              \
    } else if ((sb) != 0) {                                                                                            \
        tx x = (tx) * (a);                                                                                             \
        for (size_t i = 0; i < (len); i++) {                                                                           \
            ty y = (ty)(b)[i];                                                                                         \
            (void)x, (void)y;                                                                                          \
            body;                                                                                                      \
        }                                                                                                              \
    } else {                                                                                                           \
        tx x = (tx) * (a);                                                                                             \
        ty y = (ty) * (b);                                                                                             \
        for (size_t i = 0; i < (len); i++) {                                                                           \
            (void)x, (void)y;                                                                                          \
            body;                                                                                                      \
        }                                                                                                              \
    }

/* NOLINTBEGIN(bugprone-macro-parentheses): arguments that are types */
/* o = expr(x, y) over a pair `p` from its start to its end; A and B point to operands of type ta and tb. */
#define OX_PAIR_EACH(p, ta, A, tb, B, to, O, expr)                                                                     \
    do {                                                                                                               \
        for (size_t r = 0; r < (p)->rows; r++) {                                                                       \
            const ta *a_ = (const ta *)(A) + (p)->a + r * (p)->ra;                                                     \
            const tb *b_ = (const tb *)(B) + (p)->b + r * (p)->rb;                                                     \
            to *restrict o_ = (to *)(O) + (p)->out + r * (p)->len;                                                     \
            OX_PAIR_RUN(ta, a_, (p)->sa, tb, b_, (p)->sb, (p)->len, o_[i] = (to)(expr))                                \
        }                                                                                                              \
    } while (ox_pair_next(p))
/* NOLINTEND(bugprone-macro-parentheses) */

/* The same for the inputs of node n and its output. */
#define OX_PAIR_MAP(n, tin, to, expr)                                                                                  \
    do {                                                                                                               \
        ox_pair p_;                                                                                                    \
        ox_pair_of(&p_, n);                                                                                            \
        OX_PAIR_EACH(&p_, tin, (n)->in[0]->data, tin, (n)->in[1]->data, to, (n)->out[0]->data, expr);                  \
    } while (0)

/* For operands of any dtypes, by index: `body` has ia, ib and io. */
#define OX_PAIR_INDICES(p, body)                                                                                       \
    do {                                                                                                               \
        for (size_t r = 0; r < (p)->rows; r++) {                                                                       \
            size_t ia = (p)->a + r * (p)->ra, ib = (p)->b + r * (p)->rb, io = (p)->out + r * (p)->len;                 \
            for (size_t end = io + (p)->len; io < end; io++, ia += (p)->sa, ib += (p)->sb) {                           \
                body;                                                                                                  \
            }                                                                                                          \
        }                                                                                                              \
    } while (ox_pair_next(p))

typedef int64_t ox_pair_integer(int64_t x, int64_t y);
/* Integers of any width, which wrap. */
OX_INLINE void ox_pair_integers(ox_node *n, ox_pair_integer *f) {
    ox_pair p;
    ox_pair_of(&p, n);
    OX_PAIR_INDICES(&p, ox_int_put(n->out[0], io, f(ox_int_at(n->in[0], ia), ox_int_at(n->in[1], ib))));
}

/* What one output element adds to the gradient of operand k. */
typedef double ox_pair_slope(double x, double y, double g, assay_vjp_mode mode);
/* The plain loop. A row of a broadcast operand is summed in double, in order. */
OX_INLINE void ox_pair_gradient(const ox_node *n, size_t k, ox_pair_slope *term, assay_vjp_mode mode) {
    float *dst = ox_grad_in(n, k);
    const float *g = ox_grad_out(n, 0);
    if (dst == NULL || g == NULL) {
        return;
    }
    ox_pair p;
    ox_pair_of(&p, n);
    do {
        for (size_t r = 0; r < p.rows; r++) {
            size_t ia = p.a + r * p.ra, ib = p.b + r * p.rb, io = p.out + r * p.len, sd = k == 0 ? p.sa : p.sb;
            float *d = dst + (k == 0 ? ia : ib);
            double sum = 0;
            for (size_t i = 0; i < p.len; i++) {
                double v =
                    term(ox_at(n->in[0], ia + i * p.sa), ox_at(n->in[1], ib + i * p.sb), (double)g[io + i], mode);
                if (sd != 0) {
                    d[i] += (float)v;
                } else {
                    sum += v;
                }
            }
            if (sd == 0 && p.len > 0) {
                *d += (float)sum;
            }
        }
    } while (ox_pair_next(&p));
}

/* v or 0, without a branch. */
static inline float ox_masked(float v, bool keep) {
    uint32_t bits = 0;
    memcpy(&bits, &v, sizeof bits);
    bits &= 0 - (uint32_t)keep;
    memcpy(&v, &bits, sizeof v);
    return v;
}

#define OX_PAIR_CHUNK 256 /* terms of a sum that are at hand at a time */
/* The fast one, of float32 inputs: expr of x, y and g, which are floats where d[i] += expr, and doubles in a sum. */
#define OX_PAIR_GRADIENT_F32(n, k, expr)                                                                               \
    do {                                                                                                               \
        ox_pair p_;                                                                                                    \
        ox_pair_of(&p_, n);                                                                                            \
        do {                                                                                                           \
            for (size_t r = 0; r < p_.rows; r++) {                                                                     \
                const float *a_ = ox_f32((n)->in[0]) + p_.a + r * p_.ra, *b_ = ox_f32((n)->in[1]) + p_.b + r * p_.rb;  \
                const float *g_ = (n)->grad_out[0] + p_.out + r * p_.len;                                              \
                float *restrict d_ = (n)->grad_in[k] + ((k) == 0 ? p_.a + r * p_.ra : p_.b + r * p_.rb);               \
                if (((k) == 0 ? p_.sa : p_.sb) != 0) {                                                                 \
                    OX_PAIR_RUN(float, a_, p_.sa, float, b_, p_.sb, p_.len, float g = g_[i]; d_[i] += (float)(expr))   \
                    continue;                                                                                          \
                }                                                                                                      \
                double sum_ = 0, t_[OX_PAIR_CHUNK];                                                                    \
                for (size_t c = 0; c < p_.len; c += OX_PAIR_CHUNK) {                                                   \
                    size_t m = p_.len - c < OX_PAIR_CHUNK ? p_.len - c : OX_PAIR_CHUNK;                                \
                    const float *ac = a_ + c * p_.sa, *bc = b_ + c * p_.sb, *gc = g_ + c;                              \
                    OX_PAIR_RUN(double, ac, p_.sa, double, bc, p_.sb, m, double g = (double)gc[i]; t_[i] = (expr))     \
                    sum_ += ox_lane_sum(t_, m);                                                                        \
                }                                                                                                      \
                if (p_.len > 0) {                                                                                      \
                    *d_ += (float)sum_;                                                                                \
                }                                                                                                      \
            }                                                                                                          \
        } while (ox_pair_next(&p_));                                                                                   \
    } while (0)

/* Both inputs are float32 and operand k wants a gradient. */
static inline bool ox_pair_f32(const ox_node *n) {
    return n->in[0]->dtype == ASSAY_F32 && n->in[1]->dtype == ASSAY_F32;
}

#endif
