/* SPDX-License-Identifier: Apache-2.0
 * Inside driver_cases: recurrent networks, Einsum. Layout 1: the batch is the first dimension of Y. */
/* clang-format off */
    "RNN 14 layout=1 | f:Nx3x4 f:1x5x4 f:1x5x5",
    "RNN 14 layout=1 direction=bidirectional | f:Nx3x4 f:2x3x4 f:2x3x3 f:2x6 i32:N f:Nx2x3",
    "GRU 14 layout=1 | f:Nx3x4 f:1x9x4 f:1x9x3 f:1x18 - f:Nx1x3",
    "GRU 14 layout=1 linear_before_reset=1 direction=reverse | f:Nx3x4 f:1x9x4 f:1x9x3 f:1x18 i32:N f:Nx1x3",
    "GRU 14 layout=1 direction=bidirectional | f:Nx3x2 f:2x6x2c f:2x6x2c f:2x12c",
    "LSTM 14 layout=1 | f:Nx3x4 f:1x12x4 f:1x12x3 f:1x24 - f:Nx1x3 f:Nx1x3 f:1x9",
    "LSTM 14 layout=1 direction=bidirectional | f:Nx3x2 f:2x8x2 f:2x8x2 f:2x16 i32:N f:Nx2x2 f:Nx2x2 f:2x6",
    "LSTM 14 layout=1 direction=reverse input_forget=1 | f:Nx3x2 f:1x8x2 f:1x8x2 - - - - f:1x6",
    "LSTM 14 layout=1 clip=0.7 | f:Nx3x2 f:1x8x2c f:1x8x2c f:1x16c",
    "Einsum 12 equation=bij->bji | f:Nx3x4",
    "Einsum 12 equation=b...ii->b... | f:Nx2x3x3",
    "Einsum 12 equation=bij->bj | f:Nx3x4",
    /* clang-format on */
