/* SPDX-License-Identifier: Apache-2.0
 * The item request that a worker gets (worker.c documents its members). */
#include "run/item_request.h"

status item_request_send(const plan *p, const plan_item *it, const uint32_t *index, size_t n, bool keep_logits, int fd,
                         error *err) {
    const config *c = p->config;
    const config_model *m = p->models[it->i_model].config;
    const plan_dataset *d = &p->datasets[it->i_dataset];
    const config_suite *s = &c->suites[it->i_suite];
    json_t *options = json_array();
    for (size_t i = 0; i < m->n_options; i++) {
        (void)json_array_append_new(options, json_pack("[s, s]", m->options[i].key, m->options[i].value));
    }
    json_t *cols = json_array();
    for (size_t i = 0; i < m->n_columns; i++) {
        (void)json_array_append_new(cols, json_string(m->columns[i]));
    }
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        (void)json_array_append_new(list, json_integer(index[i]));
    }
    char hex[DIGEST_HEX];
    digest_hex(&d->data->sha256, hex);
    json_error_t je;
    json_t *o = json_pack("{s:s, s:o, s:o, s:o, s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:b, s:b, s:o}", "plugin",
                          m->plugin_path, "model", m->path == NULL ? json_null() : json_string(m->path), "options",
                          options, "manifest", c->manifest->path, "dataset", d->config->id, "dataset_sha256", hex,
                          "suite", s->suite->info.id, "params", json_loads(s->params_json, 0, &je), "seed",
                          (json_int_t)c->seed, "tile", (json_int_t)c->tile, "threads", (json_int_t)c->threads, "batch",
                          (json_int_t)c->batch, "unpadded", 0, "keep_logits", keep_logits, "index", list);
    if (o == NULL) {
        return error_set(err, STATUS_USAGE, "a path or an option of model \"%s\" is not UTF-8", m->name);
    }
    return frame_write_json(fd, FRAME_ITEM, o, err);
}
