/* SPDX-License-Identifier: Apache-2.0
 * What the kernels on oneDNN share. Work space is always ours: oneDNN's own belongs to the thread that created a
 * primitive, but a plan may be made, run and freed by different threads, one after the other. */
#ifndef ONNX_KERNELS_DNNL_H
#define ONNX_KERNELS_DNNL_H

#include <oneapi/dnnl/dnnl.h>

#include "kernels/common.h"

#define OX_DNNL(call)                                                                                                  \
    do {                                                                                                               \
        dnnl_status_t code_ = (call);                                                                                  \
        if (code_ != dnnl_success) {                                                                                   \
            return error_set(err, code_ == dnnl_out_of_memory ? STATUS_MEMORY : STATUS_UNSUPPORTED,                    \
                             "oneDNN: status %d of %s", (int)code_, #call);                                            \
        }                                                                                                              \
    } while (0)

/* Engine, stream, and attributes that ask for work space of ours. */
typedef struct ox_dnnl {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_attr_t attr;
} ox_dnnl;
status ox_dnnl_open(ox_dnnl *d, error *err);
void ox_dnnl_close(ox_dnnl *d);

typedef struct ox_scratch {
    dnnl_memory_t memory; /* NULL: the primitive needs none */
    void *data;
} ox_scratch;
status ox_scratch_create(ox_scratch *s, const_dnnl_primitive_desc_t pd, dnnl_engine_t engine, error *err);
void ox_scratch_destroy(ox_scratch *s);

/* oneDNN's handles are void *, also of what it only reads. */
static inline void *ox_dnnl_handle(const float *p) {
    union {
        const float *in;
        void *out;
    } u = {.in = p};
    return u.out;
}

/* A float32 tensor of logical dims (N, C, spatial...): row-major, or with channels in blocks of 8 or 16 (4-D only). */
status ox_dnnl_desc(dnnl_memory_desc_t *md, int n_dims, const int64_t *dims, uint32_t block, error *err);

/* Copies `count` examples (C, spatial) from one of these layouts to another. */
typedef struct ox_reorder ox_reorder;
status ox_reorder_create(const int64_t dims[4], uint32_t from_block, uint32_t to_block, ox_reorder **out, error *err);
void ox_reorder_destroy(ox_reorder *r); /* NULL is allowed */
status ox_reorder_run(ox_reorder *r, const float *from, float *to, error *err);

#endif
