/* SPDX-License-Identifier: Apache-2.0
 * A small correct plug-in (z[k] = x[k] + x[3], 4 features, 3 classes, no model file) with hooks. Each bad plug-in is a
 * .c file that defines the hooks in which it misbehaves and then includes this file. */
#ifndef BAD_H
#define BAD_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assay/plugin.h"

#ifndef BAD_NAME
#define BAD_NAME "bad"
#endif
#ifndef BAD_ABI
#define BAD_ABI ASSAY_ABI_VERSION
#endif
#ifndef BAD_STRUCT_SIZE
#define BAD_STRUCT_SIZE sizeof(assay_plugin)
#endif
#ifndef ON_OPEN /* statement */
#define ON_OPEN ((void)0)
#endif
#ifndef ON_UNKNOWN_OPTION /* status */
#define ON_UNKNOWN_OPTION ASSAY_ERR_ARGUMENT
#endif
#ifndef ON_UNKNOWN_ID /* table */
#define ON_UNKNOWN_ID NULL
#endif
#ifndef ON_PORT /* statement on assay_port *p */
#define ON_PORT(p) ((void)0)
#endif
#ifndef ON_PREDICT /* statement after the outputs are computed: x (n, 4), z (n, 3) */
#define ON_PREDICT(x, z, n) ((void)0)
#endif
#ifndef ON_GRADIENT /* statement on g (n, 4) */
#define ON_GRADIENT(g, n) ((void)0)
#endif
#ifndef BAD_TRUSTING /* 1: arguments of predict and vjp are not checked */
#define BAD_TRUSTING 0
#endif

enum { F = 4, K = 3 };

struct assay_model {
    int unused;
};
struct assay_session {
    int unused;
};

static assay_status fail(assay_error *err, const char *text) {
    if (err != NULL && err->text != NULL && err->capacity > 0) {
        (void)snprintf(err->text, err->capacity, "%s", text);
    }
    return ASSAY_ERR_ARGUMENT;
}

static assay_status model_open(const assay_open_args *args, assay_model **model, assay_error *err) {
    *model = NULL;
    if (args->struct_size < sizeof *args || (args->n_options > 0 && args->options == NULL)) {
        return fail(err, "incomplete arguments");
    }
    if (args->path != NULL) {
        return fail(err, "no model file is read");
    }
    if (args->n_options > 0 && ON_UNKNOWN_OPTION != ASSAY_OK) {
        return fail(err, "there are no options");
    }
    *model = calloc(1, sizeof **model);
    ON_OPEN;
    return *model == NULL ? ASSAY_ERR_MEMORY : ASSAY_OK;
}

static void model_close(assay_model *m) {
    free(m);
}

static assay_status session_open(assay_model *m, const assay_session_args *args, assay_session **s, assay_error *err) {
    (void)m;
    *s = NULL;
    if (args->struct_size < sizeof *args) {
        return fail(err, "incomplete arguments");
    }
    *s = calloc(1, sizeof **s);
    return *s == NULL ? ASSAY_ERR_MEMORY : ASSAY_OK;
}

static void session_close(assay_session *s) {
    free(s);
}

static uint32_t n_ports(const assay_model *m, uint32_t direction) {
    (void)m;
    return direction <= 1 ? 1 : 0;
}

static assay_status port(const assay_model *m, uint32_t direction, uint32_t i, assay_port *p, assay_error *err) {
    (void)m;
    if (direction > 1 || i > 0 || p->struct_size < sizeof *p) {
        return fail(err, "no such port");
    }
    p->kind = direction == 0 ? ASSAY_PORT_FEATURES : ASSAY_PORT_LOGITS;
    p->name = direction == 0 ? "x" : "z";
    p->dtype = ASSAY_F32;
    p->n_dims = 2;
    p->shape[0] = -1;
    p->shape[1] = direction == 0 ? F : K;
    p->range_lo = 0;
    p->range_hi = 1;
    ON_PORT(p);
    return ASSAY_OK;
}

static int fits(const assay_tensor *t, int64_t n, int64_t width) {
    return t->struct_size >= sizeof *t && t->dtype == ASSAY_F32 && t->n_dims == 2 && t->shape[0] == n &&
           t->shape[1] == width && (t->data == NULL || t->size_bytes == (uint64_t)(n * width) * sizeof(float));
}

static int check(const assay_tensor *in, uint32_t n_in, const assay_tensor *out, uint32_t n_out) {
    if (BAD_TRUSTING) {
        return 1;
    }
    return in != NULL && out != NULL && n_in == 1 && n_out == 1 && in->struct_size >= sizeof *in && in->data != NULL &&
           in->shape[0] > 0 && in->shape[0] <= INT32_MAX && fits(in, in->shape[0], F) && fits(out, in->shape[0], K);
}

static void forward(float *x, float *z, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        for (int k = 0; k < K; k++) {
            z[i * K + k] = x[i * F + k] + x[i * F + 3];
        }
    }
}

static assay_status predict(assay_session *s, const assay_tensor *in, uint32_t n_in, assay_tensor *out, uint32_t n_out,
                            assay_error *err) {
    (void)s;
    if (!check(in, n_in, out, n_out)) {
        return fail(err, "a tensor does not fit");
    }
    if (out->data != NULL) {
        forward(in->data, out->data, in->shape[0]);
        ON_PREDICT((float *)in->data, (float *)out->data, in->shape[0]);
    }
    return ASSAY_OK;
}

static assay_status vjp(assay_session *s, const assay_tensor *in, uint32_t n_in, const assay_tensor *ct, uint32_t n_out,
                        assay_tensor *out, assay_tensor *grad, uint32_t mode, assay_error *err) {
    (void)s;
    if (!check(in, n_in, ct, n_out) || grad == NULL || mode != 0 || !fits(grad, in->shape[0], F)) {
        return fail(err, "a tensor or the mode does not fit");
    }
    float *g = grad->data;
    const float *u = ct->data;
    for (int64_t i = 0; i < in->shape[0]; i++) {
        g[i * F + 3] = 0;
        for (int k = 0; k < K; k++) {
            g[i * F + k] = u == NULL ? 0 : u[i * K + k];
            g[i * F + 3] += g[i * F + k];
        }
    }
    ON_GRADIENT(g, in->shape[0]);
    if (out != NULL && out->data != NULL) {
        forward(in->data, out->data, in->shape[0]);
    }
    return ASSAY_OK;
}

static const void *capability(const assay_model *m, const char *id) {
    static const assay_io io = {.struct_size = sizeof io, .n_ports = n_ports, .port = port};
    static const assay_predict p = {.struct_size = sizeof p, .predict = predict};
    static const assay_vjp v = {.struct_size = sizeof v, .modes = 1, .vjp = vjp};
    (void)m;
    if (strcmp(id, ASSAY_IO_1) == 0) {
        return &io;
    }
    if (strcmp(id, ASSAY_PREDICT_1) == 0) {
        return &p;
    }
    return strcmp(id, ASSAY_VJP_1) == 0 ? (const void *)&v : ON_UNKNOWN_ID;
}

static assay_status init(const assay_host *host, assay_error *err) {
    (void)host;
    (void)err;
    return ASSAY_OK;
}

static void deinit(void) {
}

static const void *get_api(const char *id) {
    static const assay_model_api api = {.struct_size = sizeof api,
                                        .open = model_open,
                                        .close = model_close,
                                        .session_open = session_open,
                                        .session_close = session_close,
                                        .capability = capability};
    return strcmp(id, ASSAY_MODEL_1) == 0 ? &api : NULL;
}

ASSAY_EXPORT extern const assay_plugin assay_plugin_entry;
const assay_plugin assay_plugin_entry = {
    .struct_size = BAD_STRUCT_SIZE,
    .abi_version = BAD_ABI,
    .name = BAD_NAME,
    .version = "1",
    .description = "a plug-in that breaks one rule",
    .init = init,
    .deinit = deinit,
    .get_api = get_api,
};

#endif
