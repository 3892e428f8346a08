/* SPDX-License-Identifier: Apache-2.0
 * What RNN, GRU and LSTM share: geometry, activations, weights, and the memory of a walk through time.
 *
 * The time loops are templates (recurrent_loop.h and lstm.h, gru.h, rnn.h) of which each operator has two instances:
 * float on kernels/sgemm.h, and double on plain loops, which is the reference and what models in double run.
 *
 * Rows. Row t * N + n (layout 0) or n * T + t (layout 1) of a buffer belongs to step t of example n, as X lies in
 * memory. So one product gives the gates' inputs of every step and direction, and one each the gradients of X and W. A
 * step gathers the rows of its examples, which differ where a reversed sequence is shorter than T.
 *
 * Steps beyond an example's length leave its state alone and give zeros in Y. A length computed in the graph is cut to
 * 0..T. Initial states and lengths that are constants for one example serve every example. */
#ifndef ONNX_KERNELS_RECURRENT_H
#define ONNX_KERNELS_RECURRENT_H

#include "kernels/common.h"
#include "kernels/sgemm.h"
#include "kernels/vmath.h"

#define OX_MAX_GATES 4u
#define OX_MAX_ACTIVATIONS 3u

/* The slopes are those of kernels/activations.c: a kink belongs to the flat side, leaky mode passes 0.1 where Relu and
 * ThresholdedRelu are dead and at and beyond the bounds of `clip`; straight-through passes what is clipped. */
typedef enum ox_gate_kind {
    OX_GATE_SIGMOID,
    OX_GATE_TANH,
    OX_GATE_RELU,
    OX_GATE_LEAKY_RELU,
    OX_GATE_HARD_SIGMOID,
    OX_GATE_ELU,
    OX_GATE_THRESHOLDED_RELU,
    OX_GATE_SCALED_TANH,
    OX_GATE_AFFINE,
    OX_GATE_SOFTSIGN,
    OX_GATE_SOFTPLUS
} ox_gate_kind;

typedef struct ox_gate {
    ox_gate_kind kind;
    double alpha, beta;
    double clip; /* inputs are cut to [-clip, clip]; INFINITY where they are not */
    const ox_vmath *math;
} ox_gate;

/* What is fixed by the operator. */
typedef struct ox_cell {
    size_t gates, n_activations;
    ox_gate_kind activations[OX_MAX_ACTIVATIONS];
    bool cell_state;     /* LSTM: initial_c, P, Y_c */
    const char *variant; /* an attribute 0 or 1 that changes the equations, or NULL */
} ox_cell;

/* B[i][j] = t[at + i * row + j * col] (k, n) of a weight tensor, packed for the float path. */
typedef struct ox_weights {
    const ox_tensor *t;
    size_t at, row, col, k, n;
    float *packed;
} ox_weights;

enum { OX_RNN_X, OX_RNN_W, OX_RNN_R, OX_RNN_B, OX_RNN_LENGTHS, OX_RNN_H, OX_RNN_C, OX_RNN_P };

typedef struct ox_recurrent {
    size_t T, N, I, H, D, GH; /* steps, examples, inputs, units, directions, units of all gates */
    bool batch_first, variant, cell_state, want_vjp, unpadded;
    bool reverse[2];
    ox_gate act[2][OX_MAX_ACTIVATIONS]; /* by direction */
    ox_isa isa;
    const ox_vmath *math;
    ox_weights wt, w;             /* W^T (I, D * GH) for forward, W for vjp */
    ox_weights rt[2][2], r[2][2]; /* by direction; [1]: the hidden gate of a GRU that resets before the product */
    size_t *length;               /* (N) of the last forward */
    /* Float or double, as the path is; the last forward's path is the one that vjp must take. Only with want_vjp: those
     * marked *. */
    void *x;               /* (T * N, I) in double */
    void *z;               /* (T * N, D * GH) inputs of the activations */
    void *y;               /* the same: their outputs; is z without want_vjp */
    void *dz;              /* * the same: gradients */
    void *h_before;        /* * (D, T * N, H) */
    void *c_before, *c;    /* * LSTM: the same */
    void *squashed;        /* * the same: h(c) */
    void *reset, *d_reset; /* * GRU, the same: r h, or h R^T + b before the reset, and the gradient of that */
    void *h, *cell;        /* (N, H) now */
    void *q, *u, *v;       /* (N, GH), (N, H), (N, H): products of one step */
    void *bias_w, *bias_r, *peephole; /* (D, GH), (D, GH), (D, 3 H) */
    float *packed_rows;               /* * a right factor of the gradients of weights */
    void *product;                    /* * a gradient of X, W or R */
} ox_recurrent;

status ox_recurrent_infer(ox_node *n, const ox_cell *cell, error *err);
status ox_recurrent_prepare(ox_node *n, const ox_cell *cell, bool want_vjp, error *err);
void ox_recurrent_release(ox_node *n);
uint64_t ox_recurrent_macs(const ox_node *n);

/* Reads lengths, and packs the weights that are not constant. */
void ox_recurrent_begin(ox_node *n, bool pack);

/* y = act(z); y may be z. dy *= act'(z) by the rule of `mode`, where y is act(z). */
void ox_activate_f32(const ox_gate *a, const float *z, float *y, size_t len);
void ox_activate_f64(const ox_gate *a, const double *z, double *y, size_t len);
void ox_slope_f32(const ox_gate *a, const float *z, const float *y, float *dy, size_t len, assay_vjp_mode mode);
void ox_slope_f64(const ox_gate *a, const double *z, const double *y, double *dy, size_t len, assay_vjp_mode mode);

static inline size_t ox_recurrent_row(const ox_recurrent *s, size_t t, size_t n) {
    return s->batch_first ? n * s->T + t : t * s->N + n;
}

/* The step of time that example n is at; only where step < length. */
static inline size_t ox_recurrent_time(const ox_recurrent *s, size_t d, size_t n, size_t step) {
    return s->reverse[d] ? s->length[n] - 1 - step : step;
}

/* Element 0 of (t, d, n) in Y, and of (d, n) in a state of `examples` examples. */
static inline size_t ox_recurrent_at(const ox_recurrent *s, size_t t, size_t d, size_t n) {
    return (s->batch_first ? (n * s->T + t) * s->D + d : (t * s->D + d) * s->N + n) * s->H;
}
static inline size_t ox_recurrent_state_at(const ox_recurrent *s, const ox_tensor *t, size_t d, size_t n) {
    size_t examples = (size_t)t->shape[s->batch_first ? 0 : 1];
    n = examples == 1 ? 0 : n;
    return (s->batch_first ? n * s->D + d : d * examples + n) * s->H;
}

#endif
