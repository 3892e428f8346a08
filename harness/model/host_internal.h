/* SPDX-License-Identifier: Apache-2.0
 * Shared by the files of the plug-in host (host_*.c) and by validate_*.c, which has to break the rules on purpose. */
#ifndef MODEL_HOST_INTERNAL_H
#define MODEL_HOST_INTERNAL_H

#include <pthread.h>

#include "base/str.h"
#include "model/guard.h"
#include "model/host.h"

#define HOST_ERROR_BYTES 1024u
#define HOST_MAX_PORTS 32u
#define HOST_MAX_NAMES 65536u /* labels or columns of one model */
#define HOST_MAX_LAYERS (1u << 20)
#define HOST_MAX_SETS 65536u /* of cotangents in one call */
#define HOST_MAX_FEATURES (1u << 28)
#define HOST_MAX_OUTPUTS (1u << 24)

struct plugin {
    arena arena;
    void *handle;
    const assay_plugin *raw; /* the plug-in's own struct */
    assay_plugin entry;      /* copy: members beyond its struct_size are NULL */
    assay_model_api api;     /* copy */
    assay_host host;
    digest_value sha256;
    char *path;
    const char *environment;
    bool inited;
    pthread_mutex_t lock; /* warnings: sessions in other threads may find something */
    strbuf warnings;
};

typedef struct host_port {
    assay_port port; /* name points into the model's arena */
    size_t n_values; /* per example; 0 where a dimension is not known */
} host_port;

struct model {
    arena arena;
    plugin *plugin;
    assay_model *raw;
    model_facts facts;
    assay_io io; /* copies of the tables; members beyond struct_size are NULL */
    assay_predict predict;
    assay_vjp vjp;
    assay_vjp_sets vjp_sets;
    uint32_t n_in, n_out;
    host_port in[HOST_MAX_PORTS];
    host_port out[HOST_MAX_PORTS];
    uint32_t i_out;   /* the output that is used */
    uint32_t *gather; /* NULL, or per feature of the model the dataset's column */
};

#define SESSION_OVERRUN 1u /* wrote outside an output */
#define SESSION_MUTATED 2u /* changed an input or a cotangent */
#define SESSION_STRUCT 4u  /* changed a tensor struct */

struct session {
    model *model;
    assay_session *raw;
    unsigned breaches; /* SESSION_*, all that was seen */
    guard_buffer x, out, cotangent, gradient;
};

/* An error buffer for the plug-in: `e` points into `text`, which is terminated by us whatever the plug-in does. */
typedef struct host_error {
    assay_error e;
    char text[HOST_ERROR_BYTES];
} host_error;
void host_error_init(host_error *e);
/* STATUS_OK, or sets err: `plug-in "onnx": predict: <text>`. ASSAY_ERR_ARGUMENT becomes `on_argument`. */
status host_status(const plugin *p, assay_status rc, host_error *e, const char *what, status on_argument, error *err);

/* Records what guard_leave found, once per kind and place. */
void host_note(plugin *p, unsigned breaches, const char *where);

/* Copies a table of the plug-in, of which the first 4 bytes are its struct_size: `size` bytes into `out`, zero beyond
 * the table's own size. False if the table is smaller than `min`, which is where version 1 of it ends. */
bool host_copy_table(const void *table, void *out, size_t size, size_t min);
/* The least size of a known capability's table; 4 for an unknown id. */
size_t host_table_min(const char *id);

/* A tensor of `batch` examples for a port. data may be NULL. */
assay_tensor host_tensor(const host_port *p, size_t batch, void *data);
size_t host_dtype_bytes(uint32_t dtype); /* 0: unknown */

#endif
