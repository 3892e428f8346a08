/* SPDX-License-Identifier: Apache-2.0
 * A session: the plans of one thread. Padded execution always runs the same number of examples at once, `tile` or the
 * model's chunk if that is less, the last step filled up with copies of its last example, so that every execution has
 * the same shapes and the same bits. */
#ifndef ONNX_SESSION_H
#define ONNX_SESSION_H

#include "model.h"

#define OX_MAX_TILE 1024u
#define OX_MAX_PLANS 8

typedef struct ox_cached_plan {
    ox_plan *plan;
    int64_t batch;
    bool want_vjp;
    int32_t layer; /* value of an embedding, or -1: the ports */
    uint64_t used;
} ox_cached_plan;

struct assay_session {
    const assay_model *model;
    uint32_t tile;
    bool unpadded;
    ox_cached_plan plans[OX_MAX_PLANS]; /* least recently used goes first */
    uint64_t clock;
    /* Further threads take whole steps, so they change no bit. Each has a session of its own for its plans. */
    assay_session **helpers;
    uint32_t n_helpers;
};

#define OX_MAX_THREADS 256u

assay_session *ox_session_open(const assay_model *m, uint32_t tile, uint32_t n_threads, bool unpadded);
void ox_session_close(assay_session *s);

/* raw: (n, features). outputs[i]: (n, values of port i) or NULL. */
status ox_session_predict(assay_session *s, const float *raw, size_t n, float *const outputs[2], error *err);
/* cotangents[i]: (n, values of port i) or NULL (zero). gradient: (n, features). */
status ox_session_vjp(assay_session *s, const float *raw, size_t n, const float *const cotangents[2],
                      float *const outputs[2], float *gradient, assay_vjp_mode mode, error *err);
/* One forward pass for several sets; each gradient has the bits of a call for its set alone. */
typedef struct ox_vjp_set {
    const float *cotangents[2];
    float *gradient;
} ox_vjp_set;
status ox_session_vjp_sets(assay_session *s, const float *raw, size_t n, const ox_vjp_set *sets, size_t n_sets,
                           float *const outputs[2], assay_vjp_mode mode, error *err);
status ox_session_embed(assay_session *s, const float *raw, size_t n, const ox_layer *layer, float *output, error *err);
/* Bytes of the plans that a call with n examples runs. */
status ox_session_memory(assay_session *s, size_t n, assay_memory_info *info, error *err);

#endif
