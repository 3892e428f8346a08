/* SPDX-License-Identifier: Apache-2.0 */
#include "run/register.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/io.h"
#include "build_info.h"

static char *dump(arena *a, json_t *o) {
    char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    char *copy = arena_strdup(a, text == NULL ? "{}" : text);
    free(text);
    json_decref(o);
    return copy;
}

static json_t *text_or_null(const char *s) {
    json_t *j = s == NULL ? NULL : json_string(s);
    return j == NULL ? json_null() : j;
}

static char *hex_of(arena *a, const digest_value *v) {
    char *hex = arena_alloc(a, DIGEST_HEX);
    digest_hex(v, hex);
    return hex;
}

static status put_build(registered *r, store *s, arena *a, error *err) {
    const char *text = ASSAY_VERSION "\n" ASSAY_GIT "\n" ASSAY_COMPILER "\n" ASSAY_BUILD;
    digest_value v = digest_of(text, strlen(text));
    store_build b = {.sha256 = hex_of(a, &v),
                     .version = ASSAY_VERSION,
                     .git = ASSAY_GIT,
                     .compiler = ASSAY_COMPILER,
                     .libraries_json = "{\"build\":\"" ASSAY_BUILD "\"}",
                     .dirty = strstr(ASSAY_GIT, "-dirty") != NULL};
    return store_put_build(s, &b, &r->build_id, err);
}

static status put_host(registered *r, store *s, const char *blas_core, arena *a, error *err) {
    char cpu[CPU_MODEL_BYTES];
    char name[256] = "";
    struct utsname u = {0};
    cpu_model_name(cpu);
    (void)gethostname(name, sizeof name - 1);
    (void)uname(&u);
    int64_t ram = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    char *hw =
        arena_printf(a, "%s\n%s\n%d\n%lld\n%s", cpu, cpu_isa_name(cpu_detect()), cpu_count(), (long long)ram, name);
    digest_value v = digest_of(hw, strlen(hw));
    store_host h = {.hw_sha256 = hex_of(a, &v),
                    .name = name,
                    .cpu = cpu,
                    .cpu_flags = cpu_isa_name(cpu_detect()),
                    .kernel = arena_printf(a, "%s %s", u.sysname, u.release),
                    .blas_core = blas_core == NULL ? "" : blas_core,
                    .json = "{}",
                    .n_cores = cpu_count(),
                    .ram_bytes = ram};
    return store_put_host(s, &h, &r->host_id, err);
}

static json_t *model_facts_json(const plan_model *m) {
    json_t *options = json_object();
    for (size_t i = 0; i < m->config->n_options; i++) {
        (void)json_object_set_new(options, m->config->options[i].key, text_or_null(m->config->options[i].value));
    }
    return json_pack("{s:o, s:o}", "file", text_or_null(m->config->path == NULL ? NULL : io_basename(m->config->path)),
                     "options", options);
}

static const char *file_format(const char *path) {
    const char *dot = path == NULL ? NULL : strrchr(io_basename(path), '.');
    return dot == NULL ? "" : dot + 1;
}

static status put_model(registered *r, const plan *p, store *s, size_t i, arena *a, error *err) {
    const plan_model *m = &p->models[i];
    store_model row = {.key_sha256 = hex_of(a, &m->key),
                       .sha256 = hex_of(a, &m->sha256),
                       .name = m->config->name,
                       .format = file_format(m->config->path),
                       .json = dump(a, model_facts_json(m)),
                       .size_bytes = m->n_bytes};
    TRY(store_put_model(s, &row, &r->model[i], err));
    store_plugin pl = {.so_sha256 = hex_of(a, &m->plugin_sha256),
                       .name = m->plugin_name,
                       .version = m->plugin_version,
                       .abi = ASSAY_ABI_VERSION};
    return store_put_plugin(s, &pl, &r->plugin[i], err);
}

static status put_dataset(registered *r, const plan *p, store *s, size_t i, arena *a, error *err) {
    const plan_dataset *d = &p->datasets[i];
    json_t *names = json_array();
    for (size_t k = 0; k < d->data->n_classes; k++) {
        (void)json_array_append_new(names, text_or_null(d->data->class_names == NULL ? NULL : d->data->class_names[k]));
    }
    json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "title", text_or_null(d->record->title), "licence",
                          text_or_null(d->record->licence), "provenance", text_or_null(d->record->provenance),
                          "citation", text_or_null(d->record->citation), "modality", text_or_null(d->record->modality),
                          "reader", text_or_null(d->data->reader), "class_names", names);
    store_dataset row = {.sha256 = hex_of(a, &d->data->sha256),
                         .name = d->config->id,
                         .split = d->data->split == NULL ? "" : d->data->split,
                         .json = dump(a, o),
                         .n = (int64_t)d->data->n};
    return store_put_dataset(s, &row, &r->dataset[i], err);
}

static status put_suite(registered *r, const plan *p, store *s, size_t i, arena *a, error *err) {
    const config_suite *u = &p->config->suites[i];
    char *spec = arena_printf(a, "%s@%u %s", u->suite->info.id, u->suite->info.version, u->params_json);
    digest_value v = digest_of(spec, strlen(spec));
    store_suite row = {.spec_sha256 = hex_of(a, &v),
                       .name = u->suite->info.id,
                       .params_json = u->params_json,
                       .version = u->suite->info.version};
    return store_put_suite(s, &row, &r->suite[i], err);
}

status registered_make(registered *r, const plan *p, store *s, const char *blas_core, error *err) {
    const config *c = p->config;
    *r = (registered){0};
    r->model = mem_zalloc((c->n_models + 1) * sizeof *r->model);
    r->plugin = mem_zalloc((c->n_models + 1) * sizeof *r->plugin);
    r->dataset = mem_zalloc((c->n_datasets + 1) * sizeof *r->dataset);
    r->suite = mem_zalloc((c->n_suites + 1) * sizeof *r->suite);
    r->has_facts = mem_zalloc(c->n_models + 1);
    store_condition clean = {
        .key = "clean", .kind = "clean", .algo = "", .params_json = "{}", .severity = __builtin_nan("")};
    arena a = {0};
    status st = put_build(r, s, &a, err);
    st = st == STATUS_OK ? put_host(r, s, blas_core, &a, err) : st;
    st = st == STATUS_OK ? store_put_condition(s, &clean, &r->clean_id, err) : st;
    for (size_t i = 0; st == STATUS_OK && i < c->n_models; i++) {
        st = put_model(r, p, s, i, &a, err);
    }
    for (size_t i = 0; st == STATUS_OK && i < c->n_datasets; i++) {
        st = put_dataset(r, p, s, i, &a, err);
    }
    for (size_t i = 0; st == STATUS_OK && i < c->n_suites; i++) {
        st = put_suite(r, p, s, i, &a, err);
    }
    arena_free(&a);
    return st;
}

/* A run is an event, not a content: its uid is a hash of the plan and of when and where it happened. */
static char *new_run_uid(const plan *p, arena *a) {
    uint8_t nonce[16] = {0};
    if (getrandom(nonce, sizeof nonce, 0) != (ssize_t)sizeof nonce) {
        nonce[0] = 1; /* time and process still tell two runs apart */
    }
    digest *d = digest_new();
    digest_field(d, "plan", p->sha256.bytes, DIGEST_BYTES);
    digest_field_u64(d, "time", (uint64_t)clock_wall_ns());
    digest_field_u64(d, "pid", (uint64_t)getpid());
    digest_field(d, "nonce", nonce, sizeof nonce);
    digest_value v = digest_finish(d);
    return arena_printf(a, "%.16s", hex_of(a, &v));
}

status registered_run(const registered *r, const plan *p, store *s, const char *command_line, const char *git_revision,
                      int64_t *run_id, error *err) {
    const config *c = p->config;
    arena a = {0};
    store_run_spec spec = {.run_uid = new_run_uid(p, &a),
                           .label = c->label,
                           .config_path = c->path,
                           .config_text = c->text,
                           .config_json = c->json,
                           .config_sha256 = hex_of(&a, &c->sha256),
                           .plan_sha256 = hex_of(&a, &p->sha256),
                           .command_line = command_line,
                           .git_revision = git_revision,
                           .build_id = r->build_id,
                           .host_id = r->host_id,
                           .seed = c->seed,
                           .limited = p->limited};
    status st = store_run_begin(s, &spec, run_id, err);
    arena_free(&a);
    return st;
}

status registered_item(const registered *r, const plan *p, store *s, const plan_item *it, const char *key_hex,
                       int64_t *item_id, error *err) {
    store_item_spec spec = {.item_key = key_hex,
                            .model_id = r->model[it->i_model],
                            .plugin_id = r->plugin[it->i_model],
                            .suite_id = r->suite[it->i_suite],
                            .dataset_id = r->dataset[it->i_dataset],
                            .i_shard = (int64_t)it->i_shard,
                            .i_first = it->n_index == 0 ? 0 : it->index[0],
                            .n_expected = (int64_t)it->n_index,
                            .model_name = p->models[it->i_model].config->name,
                            .params_json = it->params_json,
                            .numeric_env = p->models[it->i_model].environment,
                            .comparability_key = it->comparability_key,
                            .comparability_json = it->comparability_json};
    return store_item_put(s, &spec, item_id, err);
}

status registered_facts(registered *r, const plan *p, store *s, size_t i_model, const frame *f, error *err) {
    if (r->has_facts[i_model]) {
        return STATUS_OK;
    }
    json_t *facts = frame_json(f, err);
    if (facts == NULL) {
        return err->code;
    }
    arena a = {0};
    json_t *o = model_facts_json(&p->models[i_model]);
    (void)json_object_update(o, facts);
    json_t *own = json_object(); /* what another plug-in may say otherwise of the same file */
    (void)json_object_set(own, "n_classes", json_object_get(facts, "n_classes"));
    (void)json_object_set(own, "probabilities", json_object_get(facts, "probabilities"));
    (void)json_object_set_new(o, "plugins", json_pack("{s:o}", hex_of(&a, &p->models[i_model].plugin_sha256), own));
    json_decref(facts);
    r->has_facts[i_model] = true;
    status st = store_set_model_json(s, r->model[i_model], dump(&a, o), err);
    arena_free(&a);
    return st;
}

void registered_free(registered *r) {
    mem_free(r->model);
    mem_free(r->plugin);
    mem_free(r->dataset);
    mem_free(r->suite);
    mem_free(r->has_facts);
    *r = (registered){0};
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char *plan_environments(const plan *p, arena *a) {
    const char **v = arena_alloc(a, (p->config->n_models + 1) * sizeof *v);
    for (size_t i = 0; i < p->config->n_models; i++) {
        v[i] = p->models[i].environment;
    }
    qsort(v, p->config->n_models, sizeof *v, by_text);
    char *all = arena_strdup(a, "");
    for (size_t i = 0; i < p->config->n_models; i++) {
        bool skip = v[i][0] == '\0' || (i > 0 && strcmp(v[i], v[i - 1]) == 0);
        all = skip ? all : arena_printf(a, "%s%s%s", all, all[0] == '\0' ? "" : "\n", v[i]);
    }
    return all;
}
