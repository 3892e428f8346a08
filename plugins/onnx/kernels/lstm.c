/* SPDX-License-Identifier: Apache-2.0
 * LSTM (recurrent.h; the equations are in lstm.h). */
#include "kernels/recurrent.h"

#define SUFFIX f32
#define REAL float
#define REAL_IS_FLOAT 1
#define NAME(x) x##_f32
#include "kernels/recurrent_loop.h"
/* after the loop's declarations */
#include "kernels/lstm.h"
#undef SUFFIX
#undef REAL
#undef REAL_IS_FLOAT
#undef NAME

#define SUFFIX f64
#define REAL double
#define REAL_IS_FLOAT 0
#define NAME(x) x##_f64
#include "kernels/recurrent_loop.h"
/* after the loop's declarations */
#include "kernels/lstm.h"

static const ox_cell cell = {.gates = 4,
                             .n_activations = 3,
                             .activations = {OX_GATE_SIGMOID, OX_GATE_TANH, OX_GATE_TANH},
                             .cell_state = true,
                             .variant = "input_forget"};

static status infer(ox_node *n, error *err) {
    return ox_recurrent_infer(n, &cell, err);
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    return ox_recurrent_prepare(n, &cell, want_vjp, err);
}

static status forward(ox_node *n, error *err) {
    return n->in[0]->dtype == ASSAY_F32 ? forward_f32(n, err) : forward_f64(n, err);
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    return n->in[0]->dtype == ASSAY_F32 ? vjp_f32(n, mode, err) : vjp_f64(n, mode, err);
}

const ox_kernel ox_kernel_lstm = {.op = "LSTM",
                                  .min_opset = 1,
                                  .max_opset = 9999,
                                  .flags = OX_KEEPS_BATCH,
                                  .min_in = 3,
                                  .max_in = 8,
                                  .min_out = 0,
                                  .max_out = 3,
                                  .infer = infer,
                                  .prepare = prepare,
                                  .release = ox_recurrent_release,
                                  .forward = forward,
                                  .forward_reference = forward_f64,
                                  .vjp = vjp,
                                  .vjp_reference = vjp_f64,
                                  .macs = ox_recurrent_macs};
