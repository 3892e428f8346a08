/* SPDX-License-Identifier: Apache-2.0
 * What a hostile file can say to a kernel is a clean error of infer (or prepare): status and text, no crash. */
#include "kernel_driver.h"

static const char *const bad_specs[] = {
    /* windows */
    "Conv 13 strides=0,1 | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 strides=-1,1 | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 strides=9223372036854775807,1 | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 strides=1, | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 strides=1,1,1 | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 strides=1 | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 dilations=0,1 | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 dilations=-4,1 | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 dilations=4611686018427387904,1 | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 dilations=3,3 | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 pads=-1,0,0,0 | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 pads=9223372036854775807,0,0,0 | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 pads=1048577,0,0,0 | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 pads=1,1 | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 pads=1048576,1048576,1048576,1048576 | f:Nx2x5x5 f:3x2x3x3", /* the output is too large */
    "Conv 13 kernel_shape=3,2 | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 kernel_shape=0,0 | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 kernel_shape=3, | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 auto_pad=SIDEWAYS | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 auto_pad=1 | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 group=0 | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 group=-1 | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 group=2 | f:Nx2x5x5 f:3x1x3x3",
    "Conv 13 group=3 | f:Nx2x5x5 f:3x1x3x3",
    "Conv 13 group=1.5 | f:Nx2x5x5 f:3x2x3x3",
    "Conv 13 | f:Nx2x5x5 f:3x3x3x3",
    "Conv 13 | f:Nx2x5x5 f:3x2x3x3 f:2",
    "Conv 13 | f:Nx2x5x5 f:3x2x3x3 f:1x3",
    "Conv 13 | f:Nx2x5x5 f:3x2x3",
    "Conv 13 | f:Nx2 f:3x2",
    "Conv 13 | f:Nx2x1x1x1x1 f:3x2x1x1x1x1",
    "Conv 13 | f:Nx2x2x2 f:3x2x3x3",
    "Conv 13 | f:Nx0x5x5 f:3x0x3x3",
    "Conv 13 | f:Nx2x5x5 f:0x2x3x3",
    "Conv 13 | f:Nx2x5x5 f:3x2x0x3",
    "Conv 13 | i8:Nx2x5x5 i8:3x2x3x3",
    "Conv 13 | f:Nx2x5x5 i8:3x2x3x3",
    "Conv 13 | f:Nx2x5x5 -",
    "Conv 13 | - f:3x2x3x3",
    "MaxPool 12 | f:Nx2x5x5",
    "MaxPool 12 kernel_shape=6,6 | f:Nx2x5x5",
    "MaxPool 12 kernel_shape=0,2 | f:Nx2x5x5",
    "MaxPool 12 kernel_shape=-2,2 | f:Nx2x5x5",
    "MaxPool 12 kernel_shape=2,2 pads=2,0,0,0 | f:Nx2x5x5",
    "MaxPool 12 kernel_shape=2,2 strides=0,0 | f:Nx2x5x5",
    "MaxPool 12 kernel_shape=2,2 ceil_mode=1.0 | f:Nx2x5x5",
    "MaxPool 12 kernel_shape=4611686018427387904,2 | f:Nx2x5x5",
    "MaxPool 12 kernel_shape=2,2 dilations=1073741824,1073741824 | f:Nx2x5x5",
    "MaxPool 12 kernel_shape=2,2 | f:Nx2x0x5",
    "MaxPool 12 kernel_shape=2,2 | i64:Nx2x5x5",
    "MaxPool 12 kernel_shape=2 | f:Nx2x5",
    "AveragePool 11 kernel_shape=3,3 dilations=4,4 pads=4,4,4,4 | f:Nx1x1x1",
    "AveragePool 11 kernel_shape=2,2 pads=0,0,2,0 | f:Nx2x5x5",
    "AveragePool 11 kernel_shape=2,2 count_include_pad=yes | f:Nx2x5x5",
    "AveragePool 11 kernel_shape=2,2 | i8:Nx2x5x5",
    "GlobalAveragePool 1 | f:Nx2",
    "GlobalAveragePool 1 | f:Nx2x0",
    "GlobalAveragePool 1 | i32:Nx2x3",
    /* products */
    "Gemm 13 | f:Nx5 f:4x3",
    "Gemm 13 | f:Nx5x1 f:5x3",
    "Gemm 13 | f:Nx5 f:5",
    "Gemm 13 | f:Nx5 f:5x3 f:4",
    "Gemm 13 | f:Nx5 f:5x3 f:2x2x3",
    "Gemm 13 | f:Nx5 f:5x1 f:5x3",
    "Gemm 13 | f:Nx5 i8:5x3",
    "Gemm 13 | i32:Nx5 i32:5x3",
    "Gemm 13 | f:Nx5 f:5x3 i32:3",
    "Gemm 13 alpha=1 | f:Nx5 f:5x3",
    "Gemm 13 transB=1.0 | f:Nx5 f:5x3",
    "Gemm 13 transA=1 | f:Nx5 f:Nx3",
    "Gemm 13 | f:Nx5",
    "MatMul 13 | f:Nx5 f:4x3",
    "MatMul 13 | f:Nx2x3x4 f:3x4x2",
    "MatMul 13 | f: f:5",
    "MatMul 13 | i64:Nx5 i64:5x3",
    "MatMul 13 | f:3x4 f:Nx2",
    /* elementwise */
    "Add 13 | f:Nx3 f:4",
    "Add 13 | f:Nx3 i64:3",
    "Add 13 | bool:Nx3 bool:3",
    "Add 13 | f:Nx3 -",
    "Add 13 | f:1048576x1 f:1x1048576",
    "Relu 14 | i32:Nx3",
    "LeakyRelu 13 alpha=1 | f:Nx3",
    "Sigmoid 13 | bool:Nx3",
    "Tanh 13 | i64:Nx3",
    "Cast 13 | f:Nx3",
    "Cast 13 to=8 | f:Nx3",
    "Cast 13 to=-1 | f:Nx3",
    "Cast 13 to=FLOAT | f:Nx3",
    /* axes and shapes */
    "Softmax 13 axis=2 | f:Nx3",
    "Softmax 13 axis=-3 | f:Nx3",
    "Softmax 13 axis=0 | f:Nx3",
    "Softmax 11 axis=0 | f:Nx3",
    "Softmax 13 axis=1.0 | f:Nx3",
    "Softmax 13 | i8:Nx3",
    "Flatten 13 axis=3 | f:Nx3",
    "Flatten 13 axis=-9223372036854775808 | f:Nx3",
    "Flatten 13 axis=0 | f:Nx3",
    "Reshape 13 | f:Nx6 i64:2=0,5",
    "Reshape 13 | f:Nx6 i64:2=-1,-1",
    "Reshape 13 | f:Nx6 i64:2=-2,3",
    "Reshape 13 | f:Nx6 i64:3=0,6,0",
    "Reshape 14 allowzero=1 | f:Nx6 i64:2=0,-1",
    "Reshape 13 | f:Nx6 i64:2=4611686018427387904,4",
    "Reshape 13 | f:Nx6 i64:2=-1,7",
    "Reshape 13 | f:Nx6 i64:2",
    "Reshape 13 | f:Nx6 i32:2=-1,6",
    "Reshape 13 | f:Nx6 f:2=-1,6",
    "Reshape 13 | f:Nx6 i64:1x2=-1,6",
    "Reshape 13 | f:Nx6 i64:9=1,1,1,1,1,1,1,1,-1",
    "Reshape 13 | f:Nx6 -",
    "Transpose 13 perm=0,0 | f:Nx3",
    "Transpose 13 perm=0,2 | f:Nx3",
    "Transpose 13 perm=0,-1 | f:Nx3",
    "Transpose 13 perm=0,1,2 | f:Nx3",
    "Transpose 13 perm=0 | f:N",
    "Concat 13 | f:Nx3 f:Nx3",
    "Concat 13 axis=2 | f:Nx3 f:Nx3",
    "Concat 13 axis=-3 | f:Nx3 f:Nx3",
    "Concat 13 axis=0 | f:Nx3 f:Nx3",
    "Concat 13 axis=1 | f:Nx3 f:Nx3x1",
    "Concat 13 axis=1 | f:Nx3x2 f:Nx3x3",
    "Concat 13 axis=1 | f:Nx3 i8:Nx3",
    "Concat 13 axis=1 | f:Nx3 -",
    "Identity 13 | -",
    "Dropout 13 | f:Nx3 s:1=0.5 bool:1=1",
    "Dropout 13 | f:Nx3 s:1=0.5 bool:1",
    "Dropout 10 | f:Nx3 s:1=0.5",
    "Dropout 13 | i8:Nx3",
    "BatchNormalization 13 | f:Nx3 f:3 f:3 f:3 f:2",
    "BatchNormalization 13 | f:Nx3 f:3 f:3 f:3x1 f:3",
    "BatchNormalization 13 | f:N f:3 f:3 f:3 f:3",
    "BatchNormalization 13 | f:Nx3 f:3 f:3 f:3",
    "BatchNormalization 13 | f:Nx3 f:3 - f:3 f:3",
    "BatchNormalization 13 epsilon=1 | f:Nx3 f:3 f:3 f:3 f:3",
    "BatchNormalization 14 training_mode=1 | f:Nx3 f:3 f:3 f:3 f:3",
    /* quantisation */
    "QuantizeLinear 10 | f:Nx3 s:3=1,1,1",
    "QuantizeLinear 13 axis=2 | f:Nx3 s:3=1,1,1",
    "QuantizeLinear 13 axis=0 | f:Nx3 s:3=1,1,1",
    "QuantizeLinear 13 | f:Nx3 s:1x3=1,1,1",
    "QuantizeLinear 13 | f:Nx3 s:1=0",
    "QuantizeLinear 13 | f:Nx3 s:1=-1",
    "QuantizeLinear 13 | f:Nx3 s:1=nan",
    "QuantizeLinear 13 | f:Nx3 s:1=inf",
    "QuantizeLinear 13 | f:Nx3 s:1=1 i32:1=0",
    "QuantizeLinear 13 | f:Nx3 s:1=1 i8:3=0,0,0",
    "QuantizeLinear 13 | f:Nx3 i8:1=1",
    "QuantizeLinear 13 | i8:Nx3 s:1=1",
    "QuantizeLinear 13 | f:Nx3 -",
    "QuantizeLinear 9 | f:Nx3 s:1=1",
    "QuantizeLinear 21 output_dtype=3 | f:Nx3 s:1=1 u8:1=0",
    "QuantizeLinear 21 output_dtype=16 | f:Nx3 s:1=1",
    "BatchNormalization 14 training_mode=yes | f:Nx3 f:3 f:3 f:3 f:3",
    "DequantizeLinear 13 | i8:Nx3 s:1=1 u8:1=0",
    "DequantizeLinear 13 | f:Nx3 s:1=1",
    "DequantizeLinear 13 | i8:Nx3 s:2=1,1",
    "DequantizeLinear 13 axis=7 | i8:Nx3 s:3=1,1,1",
    /* data movement */
    "Squeeze 11 axes=2, | f:Nx1x3",
    "Squeeze 11 axes=0, | f:Nx1x3",
    "Squeeze 11 axes=3, | f:Nx1x3",
    "Squeeze 11 axes=1,-2 | f:Nx1x3",
    "Squeeze 11 axes=1 | f:Nx1x3",
    "Squeeze 13 | f:Nx1x3 i64:1",
    "Squeeze 13 | f:Nx1x3 f:1=1",
    "Squeeze 13 | f:Nx1x3 i64:1x1=1",
    "Squeeze 13 | -",
    "Unsqueeze 11 | f:Nx3",
    "Unsqueeze 11 axes=4, | f:Nx3",
    "Unsqueeze 11 axes=-9223372036854775808, | f:Nx3",
    "Unsqueeze 11 axes=1,1 | f:Nx3",
    "Unsqueeze 13 | f:Nx3 i64:7=1,2,3,4,5,6,7",
    "Unsqueeze 13 | f:Nx3 i64:17c",
    "Unsqueeze 13 | f:Nx3",
    "Slice 13 | f:Nx3",
    "Slice 13 | f:Nx3 i64:1=0 i64:2=1,1",
    "Slice 13 | f:Nx3 i64:1=0 i64:1=1 i64:1=5",
    "Slice 13 | f:Nx3 i64:1=0 i64:1=1 i64:1=1 i64:1=0",
    "Slice 13 | f:Nx3 i64:1=1 i64:1=9",
    "Slice 13 | f:Nx3 i64:1=-1 i64:1=-9223372036854775807 i64:1=0 i64:1=-1",
    "Slice 13 | f:Nx3 i64:1 i64:1=1 i64:1=1",
    "Slice 13 | f:Nx3 i64:3=0,0,0 i64:3=1,1,1",
    "Slice 9 starts=0, | f:Nx3",
    "Slice 9 starts=0, ends=1.0 | f:Nx3",
    "Split 13 axis=0 | f:Nx3",
    "Split 13 axis=2 | f:Nx3",
    "Split 2 axis=1 split=1,2 | f:Nx3",
    "Split 2 axis=1 split=2, | f:Nx3",
    "Split 2 axis=1 split=-3, | f:Nx3",
    "Split 13 axis=1 | f:Nx3 i64:2=1,2",
    "Split 13 axis=1 | f:Nx3 i64:1",
    "Split 13 axis=1 | f:Nx3 i64:1=4",
    "Split 18 axis=1 num_outputs=2 | f:Nx3",
    "Split 18 axis=1 num_outputs=1.0 | f:Nx3",
    "Gather 13 axis=1 | f:Nx3 i64:1=3",
    "Gather 13 axis=1 | f:Nx3 i64:1=-4",
    "Gather 13 axis=1 | f:Nx3 f:1=0",
    "Gather 13 | f:Nx3 i64:1=0",
    "Gather 13 axis=2 | f:Nx3 i64:1=0",
    "Gather 13 axis=1 | f:Nx3 i64:1x1x1x1x1x1x1x1=0",
    "Gather 13 axis=1 | f:Nx3 -",
    "Expand 13 | f:Nx3 i64:2=1,4",
    "Expand 13 | f:Nx3 i64:2=1,-1",
    "Expand 13 | f:Nx1 i64:2=1,4611686018427387904",
    "Expand 13 | f:Nx3 i64:9=1,1,1,1,1,1,1,1,3",
    "Expand 13 | f:Nx3 i64:2",
    "Expand 13 | f:Nx3 i64:1x2=1,3",
    "Tile 13 | f:Nx3 i64:1=2",
    "Tile 13 | f:Nx3 i64:2=2,1",
    "Tile 13 | f:Nx3 i64:2=1,-1",
    "Tile 13 | f:Nx3 i64:2=1,9223372036854775807",
    "Tile 13 | f:Nx3 i64:2=1,4611686018427387904",
    "Pad 2 | f:Nx3",
    "Pad 2 pads=0,1,0 | f:Nx3",
    "Pad 2 pads=0,1,0,1 mode=sideways | f:Nx3",
    "Pad 2 pads=0,1,0,1 mode=1 | f:Nx3",
    "Pad 2 pads=0,1,0,1 value=1 | f:Nx3",
    "Pad 2 pads=0,1,0,1 | i8:Nx3",
    "Pad 13 | f:Nx3 i64:4=1,0,0,0",
    "Pad 13 | f:Nx3 i64:4=0,-2,0,-2",
    "Pad 13 | f:Nx3 i64:4=0,9223372036854775807,0,1",
    "Pad 13 | f:Nx3 i64:4=0,4611686018427387904,0,1",
    "Pad 13 mode=reflect | f:Nx3 i64:4=0,3,0,0",
    "Pad 13 mode=reflect | f:Nx0 i64:4=0,0,0,1",
    "Pad 13 mode=edge | f:Nx0 i64:4=0,1,0,0",
    "Pad 13 | f:Nx3 i64:4=0,1,0,1 f:2",
    "Pad 13 | f:Nx3 i64:4=0,1,0,1 i64:1=2",
    "Pad 13 | f:Nx3 i64:4",
    "Pad 18 | f:Nx3 i64:2=0,1 - i64:2=0,1",
    "Pad 18 | f:Nx3 i64:4=0,1,0,1 - i64:2=1,1",
    "GlobalMaxPool 1 | f:Nx3",
    "GlobalMaxPool 1 | f:Nx3x0",
    "GlobalMaxPool 1 | i8:Nx3x2",
    /* constants */
    "Constant 13 |",
    "Constant 13 value_int=1 value_float=1.0 |",
    "Constant 13 value_string=abc |",
    "Constant 13 value_int=1.0 |",
    "Constant 13 sparse_value=1 |",
};

static void bad_specs_are_errors(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad_specs / sizeof bad_specs[0]; i++) {
        driver d;
        status st = driver_open(&d, bad_specs[i], 2, false, 1);
        if (st != STATUS_MODEL && st != STATUS_UNSUPPORTED) {
            fail_msg("%s: status %s", bad_specs[i], status_name(st));
        }
        assert_true(d.err.text[0] != '\0');
        driver_close(&d);
    }
}

/* Well-formed, but at the edge: these run. */
static void edges_run(void **state) {
    (void)state;
    static const char *const specs[] = {
        "Conv 13 strides=1073741824,1073741824 | f:Nx2x5x5 f:3x2x3x3",
        "Conv 13 pads=9,9,9,9 dilations=5,5 | f:Nx2x5x5 f:3x2x3x3",
        "Conv 13 pads=300,0,0,0 strides=100,1 | f:Nx2x5x5 f:3x2x3x3",
        "Conv 13 | f:0x2x5x5 f:3x2x3x3",
        "Relu 14 | f:0x3",
        "Add 13 | f:0x3 f:3",
        "Mul 13 | f: f:",
        "Transpose 13 | f:",
        "Transpose 13 | f:0x3",
        "Softmax 13 | f:3x0",
        "Softmax 11 axis=2 | f:Nx3",
        "Softmax 11 axis=-1 | f:Nx3",
        "Reshape 14 allowzero=1 | f:0x6 i64:2=0,6",
        "Reshape 13 | f:1 i64:0c",
        "Concat 13 axis=1 | f:Nx0 f:Nx3",
        "MaxPool 12 kernel_shape=2,2 strides=1073741824,7 | f:Nx2x5x5",
        "MaxPool 12 kernel_shape=2,2 | f:0x2x5x5",
        "GlobalAveragePool 1 | f:Nx3x2x2x2x2x2x2",
        "Gemm 13 | f:0x5 f:5x3 f:3",
        "QuantizeLinear 21 output_dtype=3 | f:Nx3 s:1=1",
        "QuantizeLinear 13 axis=-1 | f:Nx3 s:3=1,2,3",
        "BatchNormalization 13 | f:0x3 f:3 f:3 f:3 f:3",
        "Identity 13 | i64:Nx3",
        "Sub 13 | i64:Nx3 i64:1",
        "Slice 13 | f:0x3 i64:1=0 i64:1=1 i64:1=1",
        "Slice 13 | f:Nx3 i64:1=5 i64:1=9 i64:1=1",
        "Slice 13 | f:Nx3 i64:1=2 i64:1=-9223372036854775807 i64:1=1 i64:1=-9223372036854775807",
        "Slice 13 | f:Nx0 i64:1=-1 i64:1=-9 i64:1=1 i64:1=-1",
        "Squeeze 13 | f:1x1",
        "Unsqueeze 13 | f: i64:1=0",
        "Split 18 axis=1 num_outputs=1 | f:Nx0",
        "Gather 13 axis=1 | f:Nx3 i64:0c",
        "Gather 13 axis=1 | f:Nx0x2 i64:0c",
        "Expand 13 | f: i64:0c",
        "Expand 13 | f:Nx1 i64:2=1,0",
        "Tile 13 | f:Nx3 i64:2=1,0",
        "Tile 13 | u8:Nx3 i64:2=1,2",
        "Pad 13 | f:Nx0 i64:4=0,1,0,1",
        "Pad 13 | f: i64:0c",
        "Pad 13 | f:Nx3 i64:4=0,-3,0,0",
        "Pad 13 | bool:Nx3 i64:4=0,1,0,0 bool:1=1",
    };
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        driver d;
        driver_ready(&d, specs[i], 2, false, 1);
        driver_gradients(&d, 3);
        driver_forward(&d, false);
        driver_vjp(&d, false, ASSAY_VJP_EXACT);
        driver_forward(&d, true);
        driver_vjp(&d, true, ASSAY_VJP_EXACT);
        driver_close(&d);
    }
}

static void integer_arithmetic(void **state) {
    (void)state;
    driver d;
    driver_ready(&d, "Div 13 | i64:3=7,-7,-9223372036854775807 i64:1=-1", 1, false, 1);
    ((int64_t *)d.in[0]->data)[2] = INT64_MIN;
    driver_forward(&d, false);
    assert_true(((int64_t *)d.out[0]->data)[0] == -7 && ((int64_t *)d.out[0]->data)[1] == 7);
    assert_true(((int64_t *)d.out[0]->data)[2] == INT64_MIN);
    ((int64_t *)d.in[1]->data)[0] = 0;
    assert_int_equal(d.n.kernel->forward(&d.n, &d.err), STATUS_MODEL);
    driver_close(&d);
    driver_ready(&d, "Mul 13 | i32:2=2147483647,3 i32:2=2,5", 1, false, 1);
    driver_forward(&d, false);
    assert_true(((int32_t *)d.out[0]->data)[0] == -2 && ((int32_t *)d.out[0]->data)[1] == 15);
    driver_close(&d);
}

static void optional_outputs(void **state) {
    (void)state;
    driver d;
    assert_int_equal(driver_open(&d, "Dropout 13 | f:Nx3", 2, false, 1), STATUS_OK);
    d.out[1] = &d.out_t[1];
    d.n.n_out = 2;
    assert_int_equal(d.n.kernel->infer(&d.n, &d.err), STATUS_OK);
    assert_int_equal(driver_prepare(&d, true), STATUS_OK);
    driver_forward(&d, false);
    assert_true(d.out_t[1].dtype == ASSAY_BOOL && ((uint8_t *)d.out_t[1].data)[5] == 1);
    driver_close(&d);
    assert_int_equal(driver_open(&d, "BatchNormalization 13 | f:Nx3 f:3 f:3 f:3 f:3", 2, false, 1), STATUS_OK);
    d.out[1] = &d.out_t[1];
    d.n.n_out = 2;
    assert_int_equal(d.n.kernel->infer(&d.n, &d.err), STATUS_UNSUPPORTED);
    driver_close(&d);
}

static void constants(void **state) {
    (void)state;
    static const struct {
        const char *spec;
        uint32_t dtype, n_dims;
        double last;
    } forms[] = {{"Constant 12 value_int=-7 |", ASSAY_I64, 0, -7},
                 {"Constant 13 value_float=2.5 |", ASSAY_F32, 0, 2.5},
                 {"Constant 13 value_ints=3,4, |", ASSAY_I64, 1, 4}};
    for (size_t i = 0; i < 3; i++) {
        driver d;
        driver_ready(&d, forms[i].spec, 1, false, 1);
        driver_forward(&d, false);
        assert_true(d.out[0]->dtype == forms[i].dtype && d.out[0]->n_dims == forms[i].n_dims);
        assert_true(driver_get(d.out[0], d.out[0]->n - 1) == forms[i].last);
        driver_close(&d);
    }
    float data[6] = {1, 2, 3, 4, 5, 6};
    const ox_tensor t = {.dtype = ASSAY_F32, .n_dims = 2, .shape = {2, 3}, .n = 6, .data = data, .is_const = true};
    ox_attr attrs[2] = {{.name = "value", .kind = OX_TENSOR, .t = &t},
                        {.name = "value_floats", .kind = OX_FLOATS, .floats = data, .n = 6}};
    for (size_t i = 0; i < 2; i++) {
        driver d;
        (void)driver_open(&d, "Constant 13 |", 1, false, 1);
        d.n.attrs = &attrs[i];
        d.n.n_attrs = 1;
        assert_int_equal(d.n.kernel->infer(&d.n, &d.err), STATUS_OK);
        assert_int_equal(driver_prepare(&d, false), STATUS_OK);
        driver_forward(&d, false);
        assert_int_equal(d.out[0]->n_dims, i == 0 ? 2 : 1);
        assert_memory_equal(d.out[0]->data, data, sizeof data);
        driver_close(&d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_specs_are_errors), cmocka_unit_test(edges_run), cmocka_unit_test(integer_arithmetic),
        cmocka_unit_test(optional_outputs),     cmocka_unit_test(constants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
