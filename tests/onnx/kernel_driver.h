/* SPDX-License-Identifier: Apache-2.0
 * One node built by hand from a line of text, without a plan:
 *     "Conv 13 pads=1,1,1,1 group=2 | f:Nx4x5x5 f:6x2x3x3c f:6c"
 * operator, opset, attributes | inputs. A dtype is f (float32, or float64 in a node of doubles), s (always float32),
 * i8, u8, i32, i64, bool; N is the batch; c at the end makes a constant, p a positive input, q one above 1, w one in
 * -5..5; '-' is absent. Values in constants can be given: i64:2=0,-1. An attribute is an integer, a list (1,2 or 3,), a
 * float (with a point) or a string. */
#ifndef TESTS_ONNX_KERNEL_DRIVER_H
#define TESTS_ONNX_KERNEL_DRIVER_H

#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel.h"

#define DRIVER_MAX 8
#define DRIVER_OUTS 4

typedef struct driver {
    ox_node n;
    ox_attr attrs[DRIVER_MAX];
    int64_t ints[DRIVER_MAX][8];
    char text[512], strings[DRIVER_MAX][32];
    ox_tensor in_t[DRIVER_MAX], out_t[DRIVER_OUTS];
    ox_tensor *in[DRIVER_MAX], *out[DRIVER_OUTS];
    float *grad_in[DRIVER_MAX], *grad_out[DRIVER_OUTS];
    bool prepared, doubles;
    size_t batch;
    error err;
} driver;

static inline uint64_t driver_random(uint64_t *s) { /* splitmix64 */
    uint64_t z = (*s += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline double driver_get(const ox_tensor *t, size_t i) {
    switch (t->dtype) {
    case ASSAY_F32: return (double)((const float *)t->data)[i];
    case ASSAY_F64: return ((const double *)t->data)[i];
    case ASSAY_I8: return ((const int8_t *)t->data)[i];
    case ASSAY_I32: return ((const int32_t *)t->data)[i];
    case ASSAY_I64: return (double)((const int64_t *)t->data)[i];
    default: return ((const uint8_t *)t->data)[i];
    }
}

static inline void driver_put(ox_tensor *t, size_t i, double v) {
    switch (t->dtype) {
    case ASSAY_F32: ((float *)t->data)[i] = (float)v; break;
    case ASSAY_F64: ((double *)t->data)[i] = v; break;
    case ASSAY_I8: ((int8_t *)t->data)[i] = (int8_t)v; break;
    case ASSAY_I32: ((int32_t *)t->data)[i] = (int32_t)v; break;
    case ASSAY_I64: ((int64_t *)t->data)[i] = (int64_t)v; break;
    default: ((uint8_t *)t->data)[i] = (uint8_t)v;
    }
}

/* A shuffled grid over (-1, 1), or (0.25, 2.25), (1.25, 3.25), (-5, 5): no two values closer than 2 / n, none closer to
 * 0 than 1 / n, so that small tensors stay away from kinks and ties. Integers: any of -128..127 or 0..255. */
static inline void driver_fill(ox_tensor *t, char range, uint64_t seed) {
    double low = range == 'p' ? 0.25 : (range == 'q' ? 1.25 : (range == 'w' ? -5 : -1)), span = range == 'w' ? 10 : 2;
    if (t->dtype != ASSAY_F32 && t->dtype != ASSAY_F64) {
        for (size_t i = 0; i < t->n; i++) {
            double lo = t->dtype == ASSAY_U8 || t->dtype == ASSAY_BOOL ? 0 : -128;
            driver_put(t, i, lo + (double)(driver_random(&seed) % (t->dtype == ASSAY_BOOL ? 2 : 256)));
        }
        return;
    }
    for (size_t i = 0; i < t->n; i++) {
        driver_put(t, i, low + span * ((double)i + 0.5) / (double)t->n);
    }
    for (size_t i = t->n; i > 1; i--) {
        size_t j = (size_t)(driver_random(&seed) % i);
        double a = driver_get(t, i - 1), b = driver_get(t, j);
        driver_put(t, i - 1, b);
        driver_put(t, j, a);
    }
}

static inline void driver_attr(driver *d, char *token) {
    size_t i = d->n.n_attrs++;
    assert_true(i < DRIVER_MAX);
    ox_attr *a = &d->attrs[i];
    char *v = strchr(token, '=');
    *v++ = '\0';
    a->name = token;
    if (strchr(v, ',') != NULL) {
        a->kind = OX_INTS;
        a->ints = d->ints[i];
        for (char *end = v; *end != '\0'; v = end) {
            d->ints[i][a->n++] = strtoll(v, &end, 10);
            end += *end == ',' ? 1 : 0;
        }
    } else if (isalpha((unsigned char)*v)) {
        a->kind = OX_STRING;
        a->s = v;
    } else if (strchr(v, '.') != NULL) {
        a->kind = OX_FLOAT;
        a->f = strtof(v, NULL);
    } else {
        a->kind = OX_INT;
        a->i = strtoll(v, NULL, 10);
    }
}

static inline uint32_t driver_dtype(const driver *d, const char *name) {
    static const struct {
        const char *name;
        uint32_t dtype;
    } names[] = {{"s", ASSAY_F32},   {"i8", ASSAY_I8},   {"u8", ASSAY_U8},    {"i32", ASSAY_I32},
                 {"i64", ASSAY_I64}, {"f64", ASSAY_F64}, {"bool", ASSAY_BOOL}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i].name, name) == 0) {
            return names[i].dtype;
        }
    }
    return d->doubles ? ASSAY_F64 : ASSAY_F32;
}

static inline void driver_values(ox_tensor *t, char *values) {
    for (size_t k = 0; k < t->n; k++) {
        driver_put(t, k, strtod(values, &values));
        values += *values == ',' ? 1 : 0;
    }
}

static inline void driver_input(driver *d, char *token, uint64_t seed) {
    size_t i = d->n.n_in++;
    assert_true(i < DRIVER_MAX);
    if (strcmp(token, "-") == 0) {
        return;
    }
    ox_tensor *t = d->in[i] = &d->in_t[i];
    char *s = strchr(token, ':'), *values = strchr(token, '=');
    *s++ = '\0';
    if (values != NULL) {
        *values++ = '\0';
    }
    t->name = "input";
    t->dtype = driver_dtype(d, token);
    t->n = 1;
    while (*s == 'N' || isdigit((unsigned char)*s)) {
        t->has_batch = t->has_batch || *s == 'N';
        int64_t v = *s == 'N' ? (int64_t)d->batch : strtoll(s, &s, 10);
        s += *s == 'N' ? 1 : 0;
        t->shape[t->n_dims++] = v;
        t->n *= (size_t)v;
        s += *s == 'x' ? 1 : 0;
    }
    t->is_const = *s == 'c' || values != NULL;
    t->data = mem_zalloc(t->n * 8);
    if (values != NULL) {
        driver_values(t, values);
    } else {
        driver_fill(t, *s, seed * 100 + i);
    }
}

/* Infers; on success everything but prepare has been done. */
static inline status driver_open(driver *d, const char *spec, size_t batch, bool doubles, uint64_t seed) {
    memset(d, 0, sizeof *d);
    d->batch = batch;
    d->doubles = doubles;
    (void)snprintf(d->text, sizeof d->text, "%s", spec);
    char *rest = NULL;
    bool inputs = false;
    d->n.op = strtok_r(d->text, " ", &rest);
    d->n.opset = atoi(strtok_r(NULL, " ", &rest));
    for (char *t = strtok_r(NULL, " ", &rest); t != NULL; t = strtok_r(NULL, " ", &rest)) {
        if (strcmp(t, "|") == 0) {
            inputs = true;
        } else if (inputs) {
            driver_input(d, t, seed);
        } else {
            driver_attr(d, t);
        }
    }
    d->n.name = "node";
    d->n.attrs = d->attrs;
    d->n.in = d->in;
    d->n.out = d->out;
    d->n.grad_in = d->grad_in;
    d->n.grad_out = d->grad_out;
    d->n.n_out = 1;
    d->out[0] = &d->out_t[0];
    d->n.kernel = ox_kernel_find(d->n.op, d->n.opset);
    if (d->n.kernel == NULL) {
        return error_set(&d->err, STATUS_UNSUPPORTED, "no kernel %s %d", d->n.op, d->n.opset);
    }
    if (d->n.n_in < d->n.kernel->min_in || d->n.n_in > d->n.kernel->max_in) {
        return error_set(&d->err, STATUS_MODEL, "%zu inputs", d->n.n_in);
    }
    return d->n.kernel->infer(&d->n, &d->err);
}

static inline status driver_prepare(driver *d, bool vjp) {
    for (size_t i = 0; i < d->n.n_out; i++) {
        if (d->out[i] != NULL) {
            d->out[i]->data = mem_zalloc(d->out[i]->n * 8);
            d->grad_out[i] = mem_zalloc(d->out[i]->n * sizeof(float));
        }
    }
    d->prepared = true;
    return d->n.kernel->prepare == NULL ? STATUS_OK : d->n.kernel->prepare(&d->n, vjp, &d->err);
}

static inline void driver_close(driver *d) {
    if (d->prepared && d->n.kernel->release != NULL) {
        d->n.kernel->release(&d->n);
    }
    for (size_t i = 0; i < DRIVER_MAX; i++) {
        mem_free(d->in_t[i].data);
        mem_free(d->grad_in[i]);
    }
    for (size_t i = 0; i < DRIVER_OUTS; i++) {
        mem_free(d->out_t[i].data);
        mem_free(d->grad_out[i]);
    }
}

/* Ready to run, or the test fails with the error's text. */
static inline void driver_ready(driver *d, const char *spec, size_t batch, bool doubles, uint64_t seed) {
    if (driver_open(d, spec, batch, doubles, seed) != STATUS_OK || driver_prepare(d, true) != STATUS_OK) {
        fail_msg("%s: %s", spec, d->err.text);
    }
}

/* Wants gradients of every float input (and of quantised data), random cotangents. */
static inline void driver_gradients(driver *d, uint64_t seed) {
    for (size_t i = 0; i < d->n.n_in; i++) {
        const ox_tensor *t = d->in[i];
        bool data = t != NULL && (t->dtype == ASSAY_F32 || t->dtype == ASSAY_F64 ||
                                  (i == 0 && (t->dtype == ASSAY_I8 || t->dtype == ASSAY_U8)));
        mem_free(d->grad_in[i]);
        d->grad_in[i] = data && !t->is_const ? mem_zalloc(t->n * sizeof(float)) : NULL;
    }
    for (size_t i = 0; i < d->out[0]->n; i++) {
        d->grad_out[0][i] = (float)(int)(driver_random(&seed) % 1001) / 500 - 1;
    }
}

static inline void driver_zero_gradients(driver *d) {
    for (size_t i = 0; i < d->n.n_in; i++) {
        if (d->grad_in[i] != NULL) {
            memset(d->grad_in[i], 0, d->in[i]->n * sizeof(float));
        }
    }
}

static inline void driver_forward(driver *d, bool reference) {
    const ox_kernel *k = d->n.kernel;
    status st = (reference && k->forward_reference != NULL ? k->forward_reference : k->forward)(&d->n, &d->err);
    if (st != STATUS_OK) {
        fail_msg("%s forward: %s", d->n.op, d->err.text);
    }
}

static inline void driver_vjp(driver *d, bool reference, assay_vjp_mode mode) {
    const ox_kernel *k = d->n.kernel;
    status st = (reference && k->vjp_reference != NULL ? k->vjp_reference : k->vjp)(&d->n, mode, &d->err);
    if (st != STATUS_OK) {
        fail_msg("%s vjp: %s", d->n.op, d->err.text);
    }
}

/* Every kernel in small shapes; test_kernel_gradients.c fails where a kernel of the registry has none. */
static const char *const driver_cases[] = {
    "Add 7 | f:Nx3x4 f:Nx3x4",
    "Add 13 | f:Nx3x4 f:4",
    "Add 14 | f:Nx3x4 f:3x1",
    "Sub 13 | f:Nx3x2x2 f:1x3x1x1",
    "Sub 7 | f:1 f:Nx5",
    "Mul 14 | f:Nx2x3 f:Nx1x3",
    "Mul 7 | f:Nx7 f:1",
    "Div 13 | f:Nx3x4 f:Nx3x4p",
    "Div 7 | f:Nx3x4 f:3x1p",
    "Relu 6 | f:Nx3x5",
    "Relu 14 | f:Nx2x4x4",
    "LeakyRelu 6 | f:Nx6",
    "LeakyRelu 16 alpha=0.3 | f:Nx6",
    "Sigmoid 13 | f:Nx9",
    "Tanh 13 | f:Nx9",
    "Softmax 13 | f:Nx7",
    "Softmax 13 axis=1 | f:Nx3x4",
    "Softmax 11 | f:Nx3x2",
    "Softmax 7 axis=2 | f:Nx2x3",
    "Identity 13 | f:Nx4",
    "Dropout 7 ratio=0.5 | f:Nx4",
    "Dropout 13 | f:Nx4",
    "Flatten 13 | f:Nx2x3x2",
    "Flatten 9 axis=2 | f:Nx2x3x2",
    "Flatten 13 axis=-1 | f:Nx2x3",
    "Reshape 13 | f:Nx2x6 i64:2=0,-1",
    "Reshape 14 | f:Nx12 i64:4=-1,3,2,2",
    "Reshape 13 | f:Nx2x6 i64:2=1,12",
    "Transpose 13 perm=0,2,3,1 | f:Nx2x3x4",
    "Transpose 13 perm=0,2,1 | f:Nx3x4",
    "Concat 13 axis=1 | f:Nx2x3 f:Nx1x3 f:Nx3x3",
    "Concat 11 axis=-1 | f:Nx2 f:Nx3",
    "Cast 13 to=11 | f:Nx5",
    "BatchNormalization 7 | f:Nx3x2x2 f:3 f:3 f:3 f:3p",
    "BatchNormalization 15 epsilon=0.01 | f:Nx4 f:4c f:4c f:4c f:4c=1,2,0.5,0.3",
    "Gemm 7 | f:Nx5 f:5x7 f:7",
    "Gemm 13 alpha=0.5 beta=2.0 transB=1 | f:Nx5 f:18x5 f:18",
    "Gemm 11 transB=1 | f:Nx5 f:3x5c",
    "Gemm 13 beta=0.25 | f:Nx6 f:6x4 f:Nx1",
    "MatMul 13 | f:Nx5 f:5x19",
    "MatMul 13 | f:Nx5 f:5",
    "MatMul 9 | f:Nx3x4 f:Nx4x2",
    "MatMul 13 | f:Nx2x3x4 f:1x2x4x3",
    "MatMul 13 | f:3x4 f:Nx4x5",
    "MatMul 13 | f:Nx2x3x4 f:4x3c",
    "Conv 11 kernel_shape=3,3 pads=1,1,1,1 | f:Nx2x5x5 f:3x2x3x3 f:3",
    "Conv 11 strides=2,2 group=2 | f:Nx4x5x4 f:4x2x2x2",
    "Conv 7 dilations=2, pads=2,1 | f:Nx2x9 f:3x2x3c f:3c",
    "Conv 13 auto_pad=SAME_UPPER strides=2,2 | f:Nx1x5x6 f:2x1x3x3",
    "Conv 13 auto_pad=SAME_LOWER | f:Nx1x4x4 f:2x1x2x2",
    "Conv 13 pads=1,0,1,0,1,0 | f:Nx1x3x3x4 f:2x1x2x2x2 f:2",
    "MaxPool 12 kernel_shape=2,2 strides=2,2 | f:Nx2x6x5",
    "MaxPool 8 kernel_shape=3,3 strides=2,2 pads=1,1,1,1 | f:Nx1x6x6",
    "MaxPool 12 kernel_shape=3, ceil_mode=1 strides=2, | f:Nx2x8",
    "MaxPool 11 kernel_shape=2,2 dilations=2,2 | f:Nx1x5x5",
    "MaxPool 11 kernel_shape=2,2,2 auto_pad=SAME_UPPER | f:Nx1x3x3x3",
    "AveragePool 11 kernel_shape=2,2 strides=2,2 | f:Nx2x4x5",
    "AveragePool 11 kernel_shape=3,3 pads=1,1,1,1 count_include_pad=1 | f:Nx1x5x5",
    "AveragePool 10 kernel_shape=3,3 pads=1,1,1,1 strides=2,2 ceil_mode=1 | f:Nx1x6x6",
    "AveragePool 7 kernel_shape=3, auto_pad=SAME_LOWER strides=2, | f:Nx2x7",
    "AveragePool 19 kernel_shape=2,2 dilations=2,1 | f:Nx1x5x4",
    "GlobalAveragePool 1 | f:Nx3x4x5",
    "QuantizeLinear 10 | f:Nx6 s:1=0.0625 i8:1=3",
    "QuantizeLinear 13 axis=1 | f:Nx3x2 s:3=0.0625,0.125,0.01 u8:3=128,7,0",
    "DequantizeLinear 10 | i8:Nx6 s:1=0.0625 i8:1=3",
    "DequantizeLinear 13 axis=1 | u8:Nx3x2 s:3 u8:3=128,7,0",
    "DequantizeLinear 13 | i8:Nx4 s:1=0.5",
#include "kernel_cases_math.h"
    "Squeeze 11 axes=1,-1 | f:Nx1x3x1",
    "Squeeze 13 | f:Nx1x3 i64:1=1",
    "Unsqueeze 11 axes=1,3 | f:Nx3x2",
    "Unsqueeze 13 | f:Nx3x2 i64:2=-1,1",
    "Slice 9 axes=1,2 starts=1,-3 ends=3,9223372036854775807 | f:Nx4x5",
    "Slice 13 | f:Nx4x5 i64:2=1,-1 i64:2=3,-9223372036854775807 i64:2=1,2 i64:2=1,-2",
    "Slice 10 | f:Nx7 i32:2=0,1 i32:2=2147483647,6 - i32:2=1,2",
    "Split 2 axis=1 split=4, | f:Nx4x2",
    "Split 13 axis=-1 | f:Nx3x2 i64:1=2",
    "Gather 13 axis=1 | f:Nx4x3 i64:2x2=0,-1,3,1",
    "Gather 11 axis=-1 | f:Nx2x4 i32:=2",
    "Gather 13 axis=2 | f:Nx2x3 i64:3=1,1,0",
    "Expand 13 | f:Nx1x3 i64:3=1,4,3",
    "Expand 8 | f:Nx2x1 i64:2=1,5",
    "Tile 13 | f:Nx2x3 i64:3=1,2,3",
    "Pad 2 pads=0,1,0,2 value=0.5 | f:Nx4",
    "Pad 13 | f:Nx2x3x3 i64:8=0,0,1,2,0,0,-1,1",
    "Pad 13 | f:Nx3 i64:4=0,1,0,2 f:1",
    "Pad 11 mode=reflect | f:Nx4x3 i64:6=0,3,1,0,2,-1",
    "Pad 13 mode=edge | f:Nx2x3 i64:6=0,2,1,0,0,3",
    "Pad 18 | f:Nx2x3 i64:2=1,1 - i64:1=-2",
    "GlobalMaxPool 1 | f:Nx3x4x5",
#include "kernel_cases_index.h"
#include "kernel_cases_integer.h"
#include "kernel_cases_logic.h"
#include "kernel_cases_reduce.h"
#include "kernel_cases_sequence.h"
#include "kernel_cases_spatial.h"
};
#define N_DRIVER_CASES (sizeof driver_cases / sizeof driver_cases[0])

#endif
