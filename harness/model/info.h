/* SPDX-License-Identifier: Apache-2.0
 * What there is to know of one model (`assay model info`), as the JSON document "assay.model-info/1" of
 * docs/report-schema.md. The model is opened in a child process: a hostile file ends that one. */
#ifndef MODEL_INFO_H
#define MODEL_INFO_H

#include "model/child.h"

/* The hidden verb of the child: argv = PLUGIN MODEL BATCH [KEY=VALUE ...], the document on PROC_CHANNEL_FD. Returns the
 * exit code. */
#define INFO_VERB "__model-info"
int info_child(int argc, char **argv);

typedef struct info_spec {
    const char *exe; /* NULL: this binary */
    const char *plugin, *model;
    const assay_option *options;
    size_t n_options;
    int64_t batch;
    double timeout_s;
    int64_t rss_limit;
    const char *max_isa;
} info_spec;

/* The document's text, in the arena. A model that does not open is no error here: the document then has `error` with
 * the status in `code`. STATUS_MODEL where the child crashed, hung or took too much memory. */
status info_run(const info_spec *spec, arena *a, const char **document, error *err);

#endif
