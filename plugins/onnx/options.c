/* SPDX-License-Identifier: Apache-2.0
 * Options of the caller win over metadata_props of the file ("assay.mean"), which win over defaults. */
#include <string.h>

#include "model.h"

typedef enum option_id {
    OPT_SCALE,
    OPT_MEAN,
    OPT_STD,
    OPT_LAYOUT,
    OPT_CHANNELS,
    OPT_RANGE,
    OPT_OUTPUT,
    OPT_KIND,
    OPT_LABELS,
    OPT_COLUMNS,
    N_OPTIONS
} option_id;

static const struct {
    const char *key, *meta; /* either may be NULL */
} options[N_OPTIONS] = {
    [OPT_SCALE] = {"preprocess.scale", "assay.scale"},
    [OPT_MEAN] = {"preprocess.mean", "assay.mean"},
    [OPT_STD] = {"preprocess.std", "assay.std"},
    [OPT_LAYOUT] = {"preprocess.layout", "assay.layout"},
    [OPT_CHANNELS] = {"preprocess.channels", "assay.channels"},
    [OPT_RANGE] = {"preprocess.range", "assay.range"},
    [OPT_OUTPUT] = {"output", NULL},
    [OPT_KIND] = {"output.kind", NULL},
    [OPT_LABELS] = {NULL, "assay.labels"},
    [OPT_COLUMNS] = {NULL, "assay.columns"},
};

typedef struct setting {
    const char *text; /* NULL where not given */
    const char *key;  /* for error texts */
} setting;

static int option_find(const char *key) {
    if (strcmp(key, "range") == 0) { /* the port's range may stand outside `preprocess` */
        return OPT_RANGE;
    }
    for (int i = 0; i < N_OPTIONS; i++) {
        if (options[i].key != NULL && strcmp(options[i].key, key) == 0) {
            return i;
        }
    }
    return -1;
}

static status collect(const assay_model *m, const assay_open_args *args, setting s[N_OPTIONS], error *err) {
    for (int i = 0; i < N_OPTIONS; i++) {
        const char *meta = options[i].meta;
        s[i].text = meta != NULL ? ox_graph_meta(&m->graph, meta) : NULL;
        s[i].key = s[i].text != NULL ? meta : options[i].key;
    }
    for (uint32_t k = 0; k < args->n_options; k++) {
        const assay_option *o = &args->options[k];
        int i = o->key != NULL && o->value != NULL ? option_find(o->key) : -1;
        if (i < 0) {
            return error_set(err, STATUS_USAGE,
                             "unknown option \"%.60s\"; known: output, output.kind, preprocess.channels, "
                             "preprocess.layout, preprocess.mean, preprocess.range (or range), preprocess.scale, "
                             "preprocess.std",
                             o->key != NULL ? o->key : "");
        }
        s[i] = (setting){o->value, o->key};
    }
    return STATUS_OK;
}

static status read_kind(assay_model *m, const setting *s, error *err) {
    static const struct {
        const char *name;
        uint32_t kind;
    } kinds[] = {{"logits", ASSAY_PORT_LOGITS},
                 {"probabilities", ASSAY_PORT_PROBABILITIES},
                 {"regression", ASSAY_PORT_REGRESSION}};
    for (size_t i = 0; s->text != NULL && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, s->text) == 0) {
            m->output_kind = kinds[i].kind;
        }
    }
    if (s->text != NULL && m->output_kind == 0) {
        return error_set(err, STATUS_USAGE, "%s: must be logits, probabilities or regression, not \"%.40s\"", s->key,
                         s->text);
    }
    return STATUS_OK;
}

/* Newline-separated names; an empty text is an empty list. */
static void read_names(arena *a, const char *text, const char ***names, uint32_t *n) {
    *n = 0;
    *names = NULL;
    if (text == NULL || text[0] == '\0') {
        return;
    }
    size_t count = 1;
    for (const char *c = text; *c != '\0'; c++) {
        count += *c == '\n';
    }
    const char **list = arena_alloc(a, count * sizeof *list);
    const char *at = text;
    for (size_t i = 0; i < count; i++) {
        size_t len = strcspn(at, "\n");
        list[i] = arena_strndup(a, at, len);
        at += len + 1;
    }
    *names = list;
    *n = (uint32_t)count; /* below 2^31: the file is */
}

status ox_options_read(assay_model *m, const assay_open_args *args, error *err) {
    setting s[N_OPTIONS] = {0};
    TRY(collect(m, args, s, err));
    TRY(read_kind(m, &s[OPT_KIND], err));
    m->output_name = arena_strdup(&m->memory, s[OPT_OUTPUT].text);
    read_names(&m->memory, s[OPT_LABELS].text, &m->labels, &m->n_labels);
    read_names(&m->memory, s[OPT_COLUMNS].text, &m->columns, &m->n_columns);
    ox_preprocess_text t = {.scale = s[OPT_SCALE].text,
                            .mean = s[OPT_MEAN].text,
                            .std = s[OPT_STD].text,
                            .layout = s[OPT_LAYOUT].text,
                            .channels = s[OPT_CHANNELS].text,
                            .range = s[OPT_RANGE].text,
                            .scale_key = s[OPT_SCALE].key,
                            .mean_key = s[OPT_MEAN].key,
                            .std_key = s[OPT_STD].key,
                            .layout_key = s[OPT_LAYOUT].key,
                            .channels_key = s[OPT_CHANNELS].key,
                            .range_key = s[OPT_RANGE].key};
    status s_pre = ox_preprocess_init(&m->pre, &m->graph, &t, &m->memory, err);
    if (s_pre == STATUS_USAGE && err != NULL && strncmp(err->text, "assay.", 6) == 0) {
        (void)error_prefix(err, "%s: metadata ", m->graph.file); /* the file's fault, not the caller's */
        s_pre = err->code = STATUS_MODEL;
    }
    return s_pre;
}
