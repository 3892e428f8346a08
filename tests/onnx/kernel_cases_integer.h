/* SPDX-License-Identifier: Apache-2.0
 * Inside driver_cases: integer and quantised operators, com.microsoft. */
/* clang-format off */
    "ConvInteger 10 | u8:Nx3x5x6 i8:4x3x3x3c u8:1=117",
    "ConvInteger 10 pads=1,1,1,1 strides=2,2 | i8:Nx2x7x6 u8:3x2x3x3c i8:1=-5 u8:3=128,7,255",
    "ConvInteger 10 group=4 pads=1,0,0,1 | u8:Nx4x5x5 i8:4x1x3x3c",
    "MatMulInteger 10 | u8:Nx7 i8:7x5c u8:1=12 i8:5=1,-2,3,0,127",
    "MatMulInteger 10 | i8:Nx2x3x8 u8:Nx2x8x4 i8:1=-128 u8:1=3",
    "QLinearConv 10 pads=1,1,1,1 | u8:Nx3x6x7 s:1=0.02 u8:1=117 i8:5x3x3x3c s:5=0.01,0.02,0.03,0.04,0.05 i8:1=0 s:1=0.31 u8:1=100",
    "QLinearConv 10 group=3 strides=2,2 | i8:Nx3x6x7 s:1=0.02 i8:1=-7 i8:3x1x3x3c s:1=0.01 i8:1=2 s:1=0.1 i8:1=3",
    "QLinearMatMul 10 | u8:Nx9 s:1=0.02 u8:1=117 i8:9x6c s:6=0.01,0.02,0.03,0.04,0.05,0.06 i8:6=0,1,2,3,4,5 s:1=0.2 u8:1=90",
    "QLinearMatMul 21 | i8:Nx3x5 s:1=0.02 i8:1=-3 i8:Nx5x4 s:1=0.01 i8:1=0 s:1=0.1 i8:1=0",
    "com.microsoft.QGemm 1 transB=1 alpha=0.5 | u8:Nx9 s:1=0.02 u8:1=117 i8:6x9c s:1=0.01 i8:1=0 i32:6=100,-200,300,0,5,6",
/* clang-format on */
