/* SPDX-License-Identifier: Apache-2.0
 * Inside driver_cases: reductions, normalisations, losses, ArgMax and TopK. */
/* clang-format off */
    "ReduceSum 11 axes=1, | f:Nx3x4",
    "ReduceSum 13 keepdims=0 | f:Nx3x4 i64:2=-1,1",
    "ReduceSum 13 noop_with_empty_axes=1 | f:Nx3x4",
    "ReduceSum 13 | f:Nx2x3x2x2 i64:2=1,3",
    "ReduceMean 18 | f:Nx3x4x2 i64:2=2,3",
    "ReduceMean 13 axes=-1, keepdims=0 | f:Nx3x37",
    "ReduceMax 13 axes=-1, | f:Nx3x4",
    "ReduceMin 20 keepdims=0 | f:Nx3x4 i64:1=1",
    "ReduceProd 13 axes=2, | f:Nx3x4p",
    "ReduceL1 11 axes=1, | f:Nx3x2",
    "ReduceL2 18 | f:Nx3x4 i64:1=-1",
    "ReduceLogSum 13 axes=1,2 | f:Nx3x2p",
    "ReduceLogSumExp 11 axes=-2, keepdims=0 | f:Nx3x4",
    "ReduceSumSquare 18 | f:Nx2x3 i64:2=1,2",
/* clang-format on */
