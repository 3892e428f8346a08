/* SPDX-License-Identifier: Apache-2.0
 * A plug-in as it was built for ABI 1: it sees only the frozen header. It must load, validate and compute in every
 * later host. Do not touch: the point is that it stays what it is.   p[k] = softmax(x)[k], 3 features, 3 classes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v1/plugin.h"

enum { K = 3 };

struct assay_model {
    int unused;
};
struct assay_session {
    int unused;
};

static assay_status refuse(assay_error *err, const char *text) {
    if (err != NULL && err->text != NULL && err->capacity > 0) {
        (void)snprintf(err->text, err->capacity, "%s", text);
    }
    return ASSAY_ERR_ARGUMENT;
}

static assay_status model_open(const assay_open_args *args, assay_model **model, assay_error *err) {
    *model = NULL;
    if (args->struct_size < sizeof *args || args->n_options > 0 || args->path != NULL) {
        return refuse(err, "neither options nor a file are known");
    }
    *model = calloc(1, sizeof **model);
    return *model == NULL ? ASSAY_ERR_MEMORY : ASSAY_OK;
}

static void model_close(assay_model *m) {
    free(m);
}

static assay_status session_open(assay_model *m, const assay_session_args *args, assay_session **s, assay_error *err) {
    (void)m;
    *s = NULL;
    if (args->struct_size < sizeof *args) {
        return refuse(err, "incomplete arguments");
    }
    *s = calloc(1, sizeof **s);
    return *s == NULL ? ASSAY_ERR_MEMORY : ASSAY_OK;
}

static void session_close(assay_session *s) {
    free(s);
}

static uint32_t n_ports(const assay_model *m, uint32_t direction) {
    (void)m;
    return direction <= ASSAY_DIRECTION_OUTPUT ? 1 : 0;
}

static assay_status port(const assay_model *m, uint32_t direction, uint32_t i, assay_port *p, assay_error *err) {
    (void)m;
    if (direction > ASSAY_DIRECTION_OUTPUT || i > 0 || p->struct_size < sizeof *p) {
        return refuse(err, "no such port");
    }
    p->kind = direction == ASSAY_DIRECTION_INPUT ? ASSAY_PORT_FEATURES : ASSAY_PORT_PROBABILITIES;
    p->name = direction == ASSAY_DIRECTION_INPUT ? "x" : "p";
    p->dtype = ASSAY_F32;
    p->n_dims = 2;
    p->shape[0] = -1;
    p->shape[1] = K;
    p->range_lo = -1;
    p->range_hi = 1;
    return ASSAY_OK;
}

static int fits(const assay_tensor *t, int64_t n) {
    return t->struct_size >= sizeof *t && t->dtype == ASSAY_F32 && t->n_dims == 2 && t->shape[0] == n &&
           t->shape[1] == K && (t->data == NULL || t->size_bytes == (uint64_t)n * K * sizeof(float));
}

static assay_status predict(assay_session *s, const assay_tensor *in, uint32_t n_in, assay_tensor *out, uint32_t n_out,
                            assay_error *err) {
    if (s == NULL || in == NULL || out == NULL || n_in != 1 || n_out != 1 || in->struct_size < sizeof *in ||
        in->data == NULL || in->shape[0] < 1 || in->shape[0] > INT32_MAX || !fits(in, in->shape[0]) ||
        !fits(out, in->shape[0])) {
        return refuse(err, "a tensor does not fit");
    }
    const float *x = in->data;
    float *p = out->data;
    for (int64_t i = 0; p != NULL && i < in->shape[0]; i++) {
        double e[K];
        double sum = 0;
        for (int k = 0; k < K; k++) {
            e[k] = exp((double)x[i * K + k]);
            sum += e[k];
        }
        for (int k = 0; k < K; k++) {
            p[i * K + k] = (float)(e[k] / sum);
        }
    }
    return ASSAY_OK;
}

static const void *capability(const assay_model *m, const char *id) {
    static const assay_io io = {.struct_size = sizeof io, .n_ports = n_ports, .port = port};
    static const assay_predict p = {.struct_size = sizeof p, .predict = predict};
    (void)m;
    return strcmp(id, ASSAY_IO_1) == 0 ? (const void *)&io : strcmp(id, ASSAY_PREDICT_1) == 0 ? &p : NULL;
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
    .struct_size = sizeof assay_plugin_entry,
    .abi_version = 1,
    .name = "abi-v1",
    .version = "1",
    .description = "softmax, frozen at ABI 1",
    .init = init,
    .deinit = deinit,
    .get_api = get_api,
};
