/* SPDX-License-Identifier: Apache-2.0
 * Inside driver_cases: resizing, sampling, transposed convolution, boxes. */
/* clang-format off */
    "MaxPool 12 kernel_shape=3,3 pads=1,1,1,1 | f:Nx2x6x7",
    "MaxPool 12 kernel_shape=2,4 strides=3,3 pads=0,2,1,3 dilations=1,2 | f:Nx2x6x11",
    "AveragePool 11 kernel_shape=2,4 strides=3,3 pads=0,2,1,3 | f:Nx2x6x11",
    "AveragePool 19 kernel_shape=2,2,5 strides=1,2,2 pads=0,1,2,1,0,2 dilations=2,1,1 count_include_pad=1 | f:Nx2x4x5x9",
    "ConvTranspose 11 | f:Nx3x3x4 f:3x2x3x3",
    "ConvTranspose 1 strides=2,3 pads=1,0,0,1 output_padding=1,0 | f:Nx3x3x4 f:3x2x3x3 f:2",
    "ConvTranspose 11 group=2 strides=2,1 dilations=1,2 | f:Nx4x3x4 f:4x3x3x2c f:6",
    "ConvTranspose 11 auto_pad=SAME_UPPER strides=2, | f:Nx2x5 f:2x3x3",
    "ConvTranspose 11 auto_pad=SAME_LOWER strides=2,2 | f:Nx2x3x3 f:2x3x3x3",
    "ConvTranspose 11 strides=3,2 output_shape=10,8 | f:Nx1x3x3 f:1x2x3x3",
    "ConvTranspose 11 strides=1,2,2 pads=0,1,0,1,0,1 | f:Nx2x2x3x3 f:2x2x2x3x2",
    "Col2Im 18 pads=0,1,1,0 strides=2,1 dilations=1,2 | f:Nx8x15 i64:2=5,6 i64:2=2,2",
    "Col2Im 18 | f:Nx3x4 i64:1=6 i64:1=3",
/* clang-format on */
