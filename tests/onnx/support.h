/* SPDX-License-Identifier: Apache-2.0
 * What the tests of the onnx plug-in share: a writer of ONNX files (also of broken ones), readers of .npy and of the
 * Fashion-MNIST images, and the plug-in's tables without dlopen. */
#ifndef TESTS_ONNX_SUPPORT_H
#define TESTS_ONNX_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api.h"
#include "assay/plugin.h"
#include "base/mem.h"

/* ---- protobuf, written by hand ------------------------------------------------------------------ */

typedef struct pb {
    uint8_t *data;
    size_t n, cap;
} pb;

void pb_raw(pb *b, const void *data, size_t n);
void pb_varint(pb *b, uint64_t v);
void pb_tag(pb *b, unsigned field, unsigned type);
void pb_int(pb *b, unsigned field, uint64_t v);
void pb_float(pb *b, unsigned field, float v);
void pb_bytes(pb *b, unsigned field, const void *data, size_t n);
void pb_str(pb *b, unsigned field, const char *s);
void pb_msg(pb *b, unsigned field, pb *sub); /* frees sub */
void pb_free(pb *b);

/* Into a GraphProto. Shapes: -1 is a symbolic dimension. Names of a node are separated by blanks, "-" is absent. */
void onnx_input(pb *graph, const char *name, const int64_t *shape, size_t n);
void onnx_output(pb *graph, const char *name);
void onnx_f32(pb *graph, const char *name, const int64_t *shape, size_t n, const float *data);
void onnx_i64(pb *graph, const char *name, const int64_t *shape, size_t n, const int64_t *data);
void onnx_node(pb *graph, const char *op, const char *name, const char *in, const char *out, pb *attrs); /* or NULL */
/* Into a NodeProto's `attrs`. */
void onnx_attr_int(pb *attrs, const char *name, int64_t v);
/* A whole model; frees graph. meta: key, value, ..., NULL; or NULL. */
pb onnx_model(pb *graph, int opset, const char *const *meta);

/* ---- files -------------------------------------------------------------------------------------- */

const char *source_path(char buf[512], const char *relative); /* below ASSAY_SOURCE_DIR */
uint8_t *read_whole(const char *path, size_t *n);             /* NULL if it is not there; mem_free */
char *write_temp(const pb *b, char path[64]);                 /* the path, to be unlinked */

typedef struct npy {
    float *data;
    size_t n, n_dims;
    int64_t shape[8];
} npy;
bool npy_read(const char *path, npy *out); /* <f4, <f8, integers and bool, as float; false if it is not there */
void npy_free(npy *a);

/* `n` images from `at` on of the test split, in [0, 1], (n, 1, 28, 28); NULL where the dataset is not installed. */
float *fashion_images(size_t at, size_t n);

/* ---- the plug-in -------------------------------------------------------------------------------- */

typedef struct rig {
    const assay_model_api *api;
    assay_model *model;
    size_t n_features, n_outputs; /* per example; of the first output port */
    uint32_t n_ports;
    assay_port in, out[2];
    char text[2000]; /* of the last error */
    assay_error err;
} rig;

assay_status rig_open(rig *r, const char *path, const assay_option *options, uint32_t n_options);
/* From a model in memory (frees it). */
assay_status rig_open_pb(rig *r, pb *model, const assay_option *options, uint32_t n_options);
void rig_close(rig *r);
assay_session *rig_session(rig *r, uint32_t tile, uint32_t flags);
/* out: first port; calls of one batch. Fails the test on error. */
void rig_predict(rig *r, assay_session *s, const float *x, size_t n, float *out);
void rig_vjp(rig *r, assay_session *s, const float *x, size_t n, const float *cotangent, uint32_t mode, float *out,
             float *gradient);
assay_tensor rig_tensor(const assay_port *p, const float *data, size_t n);

#endif
