/* SPDX-License-Identifier: Apache-2.0
 * The item request that a worker gets (worker.c documents its members). */
#include "run/item_request.h"

status item_request_send(const plan *p, const plan_item *it, const uint32_t *index, size_t n, bool keep_logits, int fd,
                         error *err) {
    char hex[DIGEST_HEX];
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
    /* whole shards are the rule: [first, last]; the others name every example */
    bool run = n > 0 && (size_t)(index[n - 1] - index[0]) == n - 1;
    json_t *list = json_array();
    for (size_t i = 0; i < n; i += run && n > 1 ? n - 1 : 1) {
        (void)json_array_append_new(list, json_integer(index[i]));
    }
    char plugin_hex[DIGEST_HEX];
    char model_hex[DIGEST_HEX];
    digest_hex(&d->data->sha256, hex);
    digest_hex(&p->models[it->i_model].plugin_sha256, plugin_hex);
    digest_hex(&p->models[it->i_model].sha256, model_hex);
    const struct {
        const char *key;
        json_t *value;
    } members[] = {
        {"plugin", json_string(m->plugin_path)},
        {"plugin_sha256", json_string(plugin_hex)},
        {"model", m->path == NULL ? json_null() : json_string(m->path)},
        {"model_sha256", json_string(model_hex)},
        {"options", options},
        {"columns", cols},
        {"manifest", json_string(c->manifest->path)},
        {"dataset", json_string(d->config->id)},
        {"dataset_sha256", json_string(hex)},
        {"suite", json_string(s->suite->info.id)},
        {"params", json_loads(s->params_json, 0, NULL)},
        {"seed", json_integer(c->seed)},
        {"tile", json_integer(c->tile)},
        {"threads", json_integer(c->threads)},
        {"batch", json_integer(c->batch)},
        {"unpadded", json_false()},
        {"keep_logits", json_boolean(keep_logits)},
        {run ? "range" : "index", list},
    };
    json_t *o = json_object();
    bool complete = true; /* json_string gives NULL for text that is not UTF-8 */
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        complete = json_object_set_new(o, members[i].key, members[i].value) == 0 && complete;
    }
    if (!complete) {
        json_decref(o);
        return error_set(err, STATUS_USAGE, "a path or an option of model \"%s\" is not UTF-8", m->name);
    }
    return frame_write_json(fd, FRAME_ITEM, o, err);
}
