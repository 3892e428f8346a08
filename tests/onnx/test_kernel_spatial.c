/* SPDX-License-Identifier: Apache-2.0
 * Pools, Resize, sampling, transposed convolution and boxes: values by hand, golden values of PyTorch
 * (tests/golden/onnx/make_spatial.py), what a hostile file may say, and large shapes of the fast paths. */
#include "kernel_driver.h"

/* Runs `spec` at batch 1 with input 0 = 1, 2, 3, ... and compares output `which`. */
static void expect(const char *spec, unsigned which, size_t n, const double *want) {
    for (int reference = 0; reference < 2; reference++) {
        driver d;
        assert_int_equal(driver_open(&d, spec, 1, false, 1), STATUS_OK);
        for (size_t i = 0; d.in[0] != NULL && !d.in[0]->is_const && i < d.in[0]->n; i++) {
            driver_put(d.in[0], i, (double)(i + 1));
        }
        if (which == 1) {
            d.out[1] = &d.out_t[1];
            d.n.n_out = 2;
            assert_int_equal(d.n.kernel->infer(&d.n, &d.err), STATUS_OK);
        }
        assert_int_equal(driver_prepare(&d, true), STATUS_OK);
        driver_forward(&d, reference == 1);
        if (d.out[which]->n != n) {
            fail_msg("%s: %zu values", spec, d.out[which]->n);
        }
        for (size_t i = 0; i < n; i++) {
            if (!(fabs(driver_get(d.out[which], i) - want[i]) <= 1e-5)) {
                fail_msg("%s: [%zu] is %g, not %g", spec, i, driver_get(d.out[which], i), want[i]);
            }
        }
        driver_close(&d);
    }
}
#define EXPECT(spec, which, ...)                                                                                       \
    do {                                                                                                               \
        const double want_[] = {__VA_ARGS__};                                                                          \
        expect(spec, which, sizeof want_ / sizeof want_[0], want_);                                                    \
    } while (0)

static void by_hand(void **state) {
    (void)state;
    EXPECT("MaxPool 12 kernel_shape=2,2 | f:Nx2x2x3", 1, 4, 5, 10, 11);
    EXPECT("MaxPool 12 kernel_shape=2,2 storage_order=1 | f:Nx1x2x3", 1, 3, 5);
    EXPECT("MaxPool 12 kernel_shape=2,2 storage_order=1 | f:Nx2x2x3", 1, 3, 5, 9, 11);
    EXPECT("MaxUnpool 11 kernel_shape=2,2 strides=2,2 | f:Nx1x1x2 i64:1x1x1x2=5,2", 0, 0, 0, 2, 0, 0, 1, 0, 0);
    EXPECT("LpPool 11 kernel_shape=2, | f:Nx1x3", 0, sqrt(5), sqrt(13));
    EXPECT("GlobalLpPool 2 p=1 | f:Nx1x3", 0, 6);
    EXPECT("Resize 13 | f:Nx1x2 - s:3=1,1,2", 0, 1, 1, 2, 2);
    EXPECT("Resize 13 mode=linear | f:Nx1x2 - s:3=1,1,2", 0, 1, 1.25, 1.75, 2);
    EXPECT("Resize 10 mode=linear | f:Nx1x2 s:3=1,1,2", 0, 1, 1.5, 2, 2);
    EXPECT("Resize 13 mode=linear coordinate_transformation_mode=align_corners | f:Nx1x2 - - i64:3=1,1,3", 0, 1, 1.5,
           2);
    EXPECT("Resize 13 nearest_mode=floor coordinate_transformation_mode=asymmetric | f:Nx1x3 - s:3=1,1,0.33333334", 0,
           1);
    EXPECT("Resize 13 nearest_mode=ceil coordinate_transformation_mode=asymmetric | f:Nx1x3 - s:3=1,1,2", 0, 1, 2, 2, 3,
           3, 3);
    EXPECT("Resize 11 coordinate_transformation_mode=tf_half_pixel_for_nn nearest_mode=floor | f:Nx1x2 s:0c s:3=1,1,2",
           0, 1, 1, 2, 2);
    EXPECT("Resize 13 mode=linear coordinate_transformation_mode=tf_crop_and_resize extrapolation_value=9.0 | f:Nx1x3 "
           "s:6=0,0,0.5,1,1,1.5 - i64:3=1,1,3",
           0, 2, 3, 9);
    EXPECT("Resize 18 keep_aspect_ratio_policy=not_smaller axes=1,2 | f:Nx1x2 - - i64:2=1,4", 0, 1, 1, 2, 2, 1, 1, 2,
           2);
    EXPECT("Resize 18 mode=linear antialias=1 | f:Nx1x4 - s:3=1,1,0.5", 0, 1.625, 3.375);
    EXPECT("Resize 18 mode=linear antialias=1 exclude_outside=1 | f:Nx1x4 - s:3=1,1,0.5", 0, 12.0 / 7, 23.0 / 7);
    EXPECT("Resize 13 mode=linear | u8:Nx1x2 - s:3=1,1,2", 0, 1, 1, 1, 2);
    EXPECT("Resize 13 | i64:Nx1x2 - s:3=1,1,2", 0, 1, 1, 2, 2);
    EXPECT("CenterCropPad 18 axes=1,2 | f:Nx3x2 i64:2=2,5", 0, 0, 1, 2, 0, 0, 0, 3, 4, 0, 0);
    EXPECT("ConvTranspose 11 strides=2, | f:Nx1x2 f:1x1x3c=1,1,1 f:1c=1", 0, 2, 2, 4, 3, 3);
    EXPECT("Col2Im 18 | f:Nx2x2 i64:1=3 i64:1=2", 0, 1, 5, 4);
    EXPECT("GridSample 16 align_corners=1 | f:Nx1x2x2 f:1x1x2x2=0,0,-3,0", 0, 2.5, 0);
    EXPECT("GridSample 16 align_corners=1 padding_mode=border mode=nearest | f:Nx1x2x2 f:1x1x2x2=0.9,0,-3,9", 0, 2, 3);
    EXPECT("RoiAlign 16 sampling_ratio=1 | f:1x1x2x2 f:1x4c=0.5,0.5,1.5,1.5 i64:1=0", 0, 2.5);
    EXPECT("RoiAlign 10 sampling_ratio=1 mode=max | f:1x1x2x2 f:1x4c=0,0,1,1 i64:1=0", 0, 1);
    EXPECT("AveragePool 11 kernel_shape=3, pads=1,1 count_include_pad=1 | f:Nx1x3", 0, 1, 2, 5.0 / 3);
    EXPECT("AveragePool 1 kernel_shape=3, pads=1,1 | f:Nx1x3", 0, 1.5, 2, 2.5);
}

/* Ties, thresholds, limits: the order is by score, of equals by index. */
static void suppression(void **state) {
    (void)state;
    EXPECT("NonMaxSuppression 11 | f:1x3x4c=0,0,1,1,0,0.1,1,1.1,0,5,1,6 f:1x1x3c=0.5,0.9,0.5 i64:=3 s:=0.5", 0, 0, 0, 1,
           0, 0, 2);
    EXPECT("NonMaxSuppression 11 | f:1x3x4c=1,1,0,0,0,0,1,1,0,5,1,6 f:1x1x3c=0.5,0.5,0.4 i64:=3 s:=0.5 s:=0.45", 0, 0,
           0, 0);
    EXPECT("NonMaxSuppression 10 center_point_box=1 | f:1x2x4c=0,0,1,1,0,3,1,1 f:1x2x2c=1,2,2,1 i64:=1", 0, 0, 0, 1, 0,
           1, 0);
    expect("NonMaxSuppression 11 | f:1x2x4c=0,0,1,1,0,3,1,1 f:1x1x2c=1,2", 0, 0, NULL);
}

static void hostile(void **state) {
    (void)state;
    static const char *const specs[] = {
        "MaxPool 12 kernel_shape=2,2 storage_order=2 | f:Nx1x3x3",
        "MaxPool 12 kernel_shape=2,2 storage_order=1.0 | f:Nx1x3x3",
        "LpPool 11 kernel_shape=2, p=0 | f:Nx1x3",
        "LpPool 11 kernel_shape=2, p=-1 | f:Nx1x3",
        "LpPool 11 kernel_shape=2, p=two | f:Nx1x3",
        "GlobalLpPool 2 | f:Nx1",
        "ConvTranspose 11 | f:Nx3x4 f:2x1x3",
        "ConvTranspose 11 group=2 | f:Nx3x4 f:3x1x3",
        "ConvTranspose 11 group=0 | f:Nx3x4 f:3x1x3",
        "ConvTranspose 11 | f:Nx3x4 f:3x1x3 f:2",
        "ConvTranspose 11 pads=5,5 | f:Nx3x4 f:3x1x3",
        "ConvTranspose 11 output_padding=-1, | f:Nx3x4 f:3x1x3",
        "ConvTranspose 11 output_shape=0, | f:Nx3x4 f:3x1x3",
        "ConvTranspose 11 output_shape=4611686018427387904, | f:Nx3x4 f:3x1x3",
        "ConvTranspose 11 strides=1073741824,1073741824 | f:Nx3x4x4 f:3x1x3x3",
        "ConvTranspose 11 | f:Nx3 f:3x1",
        "ConvTranspose 11 | i8:Nx3x4 i8:3x1x3",
        "Resize 13 | f:Nx1x2 - -",
        "Resize 13 | f:Nx1x2 - s:3=1,1,2 i64:3=1,1,2",
        "Resize 13 | f:Nx1x2 - s:2=1,2",
        "Resize 13 | f:Nx1x2 - s:3",
        "Resize 13 | f:Nx1x2 - s:3=1,1,-2",
        "Resize 13 | f:Nx1x2 - s:3=1,1,nan",
        "Resize 13 | f:Nx1x2 - s:3=1,1,1e30",
        "Resize 13 | f:Nx1x2 - s:3=2,1,1",
        "Resize 13 | f:Nx1x2 - - i64:3=1,1,-1",
        "Resize 13 | f:Nx1x2 - - i64:3=1,1,4611686018427387904",
        "Resize 13 | f:Nx1x0 - - i64:3=1,1,2",
        "Resize 13 mode=quintic | f:Nx1x2 - s:3=1,1,2",
        "Resize 13 nearest_mode=far | f:Nx1x2 - s:3=1,1,2",
        "Resize 13 coordinate_transformation_mode=tf_crop_and_resize | f:Nx1x2 - s:3=1,1,2",
        "Resize 13 mode=linear | i64:Nx1x2 - s:3=1,1,2",
        "Resize 18 axes=1,1 | f:Nx1x2 - s:2=1,2",
        "Resize 18 axes=3, | f:Nx1x2 - s:1=2",
        "Upsample 7 | f:Nx1x2",
        "Upsample 9 | f:Nx1x2",
        "GridSample 16 | f:Nx1x2x2 f:Nx2x2x3",
        "GridSample 16 | f:Nx1x2x2 f:3x2x2x2c",
        "GridSample 16 mode=sharp | f:Nx1x2x2 f:Nx2x2x2",
        "GridSample 16 | f:Nx1x0x2 f:Nx2x2x2",
        "RoiAlign 10 | f:1x1x2x2 f:1x5 i64:1=0",
        "RoiAlign 10 | f:1x1x2x2 f:2x4 i64:1=0",
        "RoiAlign 10 output_height=0 | f:1x1x2x2 f:1x4 i64:1=0",
        "RoiAlign 10 sampling_ratio=-1 | f:1x1x2x2 f:1x4 i64:1=0",
        "RoiAlign 10 mode=min | f:1x1x2x2 f:1x4 i64:1=0",
        "RoiAlign 10 output_height=1073741824 output_width=1073741824 | f:1x1x2x2 f:1x4 i64:1=0",
        "NonMaxSuppression 10 | f:1x2x4 f:1x1x2c",
        "NonMaxSuppression 10 | f:1x2x4c f:1x1x3c",
        "NonMaxSuppression 10 | f:1x2x4c f:1x1x2c i64:=1 s:=1.5",
        "NonMaxSuppression 10 | f:1x2x4c f:1x1x2c s:=1",
        "MaxUnpool 11 kernel_shape=2, | f:Nx1x2 i64:1x1x3",
        "MaxUnpool 11 kernel_shape=2, | f:Nx1x2 f:Nx1x2",
        "MaxUnpool 11 kernel_shape=2, strides=2, | f:Nx1x2 i64:2x1x2 i64:3=2,1,9",
        "CenterCropPad 18 | f:Nx3 i64:1=2",
        "CenterCropPad 18 axes=1, | f:Nx3 i64:1=-2",
        "CenterCropPad 18 axes=0, | f:Nx3 i64:1=3",
        "Col2Im 18 | f:Nx3x4 i64:1=6 i64:1=2",
        "Col2Im 18 | f:Nx3x4 i64:1=0 i64:1=3",
        "Col2Im 18 | f:Nx3x4 i64:2=3,3 i64:1=3",
        "AffineGrid 20 | f:Nx2x3 i64:5=2,1,2,2,2",
        "AffineGrid 20 | f:Nx2x3 i64:4=3,1,2,2",
        "AffineGrid 20 | f:Nx2x3 i64:4=2,1,-2,2",
    };
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        driver d;
        status s = driver_open(&d, specs[i], 2, false, 1);
        s = s == STATUS_OK ? driver_prepare(&d, true) : s;
        if (s != STATUS_MODEL && s != STATUS_UNSUPPORTED && s != STATUS_MEMORY) {
            fail_msg("%s: status %d", specs[i], (int)s);
        }
        assert_true(d.err.text[0] != '\0');
        driver_close(&d);
    }
}

/* What only the values say is an error of forward. */
static void hostile_values(void **state) {
    (void)state;
    static const char *const specs[] = {
        "RoiAlign 10 | f:1x1x2x2 f:1x4c=0,0,1,1 i64:1=1",       "RoiAlign 10 | f:1x1x2x2 f:1x4c=0,0,1,1 i64:1=-1",
        "RoiAlign 10 | f:1x1x2x2 f:1x4c=0,0,1e30,1 i64:1=0",    "RoiAlign 10 | f:1x1x2x2 f:1x4c=0,0,nan,1 i64:1=0",
        "MaxUnpool 11 kernel_shape=2, | f:Nx1x1 i64:2x1x1=0,1", "MaxUnpool 11 kernel_shape=2, | f:Nx1x1 i64:2x1x1=0,4",
        "MaxUnpool 11 kernel_shape=2, | f:Nx1x1 i64:2x1x1=-1,2"};
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        driver d;
        driver_ready(&d, specs[i], 2, false, 1);
        status s = d.n.kernel->forward(&d.n, &d.err);
        assert_true(s == STATUS_MODEL || s == STATUS_UNSUPPORTED);
        driver_close(&d);
    }
}

/* Upsample 7 has its scales in a list of floats. */
static void upsample_attribute(void **state) {
    (void)state;
    const float scales[3] = {1, 1, 2};
    ox_attr a = {.name = "scales", .kind = OX_FLOATS, .floats = scales, .n = 3};
    driver d;
    (void)driver_open(&d, "Upsample 7 | f:Nx1x2", 1, false, 1);
    d.n.attrs = &a;
    d.n.n_attrs = 1;
    assert_int_equal(d.n.kernel->infer(&d.n, &d.err), STATUS_OK);
    assert_int_equal(driver_prepare(&d, true), STATUS_OK);
    driver_forward(&d, false);
    assert_int_equal(d.out[0]->n, 4);
    assert_true(driver_get(d.out[0], 1) == driver_get(d.in[0], 0) && driver_get(d.out[0], 2) == driver_get(d.in[0], 1));
    driver_close(&d);
}

/* Coordinates that are no numbers read nothing, and stay in their own point. */
static void grid_without_numbers(void **state) {
    (void)state;
    static const char *const forms[] = {"",
                                        "padding_mode=border ",
                                        "padding_mode=reflection ",
                                        "mode=bicubic ",
                                        "mode=bicubic padding_mode=reflection ",
                                        "mode=nearest "};
    char spec[128];
    for (size_t i = 0; i < 6; i++) {
        driver d;
        (void)snprintf(spec, sizeof spec, "GridSample 16 %s| f:Nx1x3x3 f:Nx1x4x2", forms[i]);
        driver_ready(&d, spec, 1, false, 1);
        const float bad[6] = {NAN, INFINITY, -INFINITY, 1e30F, -1e30F, NAN};
        memcpy(d.in[1]->data, bad, sizeof bad);
        driver_gradients(&d, 1);
        driver_forward(&d, false);
        driver_vjp(&d, false, ASSAY_VJP_EXACT);
        for (size_t k = 0; k < 4; k++) {
            assert_true(isfinite(driver_get(d.out[0], k)));
        }
        driver_close(&d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),        cmocka_unit_test(suppression),        cmocka_unit_test(hostile),
        cmocka_unit_test(hostile_values), cmocka_unit_test(upsample_attribute), cmocka_unit_test(grid_without_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
