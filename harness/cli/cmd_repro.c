/* SPDX-License-Identifier: Apache-2.0
 * One example of one item, run again by itself, compared with what the store holds. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "cli/cli.h"
#include "run/supervisor.h"
#include "store/store.h"
#include "suites/suites.h"

/* NPY version 1.0, little-endian float32, C order. */
static status write_npy(const char *path, const float *v, const int64_t *shape, size_t n_dims, error *err) {
    strbuf b = {0};
    size_t n = 1;
    strbuf_add(&b, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (size_t i = 0; i < n_dims; i++) {
        strbuf_addf(&b, "%lld,%s", (long long)shape[i], i + 1 < n_dims ? " " : "");
        n *= (size_t)shape[i];
    }
    strbuf_add(&b, "), }");
    while ((10 + b.len + 1) % 64 != 0) {
        strbuf_add(&b, " ");
    }
    strbuf_add(&b, "\n");
    strbuf out = {0};
    uint8_t head[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)(b.len & 0xff), (uint8_t)(b.len >> 8)};
    strbuf_addn(&out, head, sizeof head);
    strbuf_addn(&out, b.data, b.len);
    strbuf_addn(&out, v, n * sizeof *v);
    status s = io_write_atomic(path, out.data, out.len, err);
    strbuf_free(&b);
    strbuf_free(&out);
    return s;
}

static status find_item(const plan *p, const char *ref, const plan_item **out, error *err) {
    size_t n = strlen(ref);
    *out = NULL;
    for (size_t i = 0; i < p->n_items; i++) {
        char key[DIGEST_HEX];
        digest_hex(&p->items[i].key, key);
        if (strncmp(key, ref, n) == 0) {
            bool same = *out != NULL && memcmp(&(*out)->key, &p->items[i].key, sizeof(*out)->key) == 0;
            if (*out != NULL && !same) { /* the same model or data may stand in a config under two names */
                return error_set(err, STATUS_USAGE, "\"%.64s\" stands for several items: give more of the key", ref);
            }
            *out = *out == NULL ? &p->items[i] : *out;
        }
    }
    return *out != NULL
               ? STATUS_OK
               : error_set(err, STATUS_REFUSED,
                           "no item of this run has the key %.64s now: model, data, parameters, plug-in or numeric "
                           "environment differ from those of the run (assay plan prints the keys)",
                           ref);
}

static void print_row(const char *who, const observation *o) {
    char score[STR_DOUBLE_BYTES];
    (void)printf("%-9s label %d  prediction %d  score %s  flags %u\n", who, o->label, o->pred,
                 str_from_double(o->score, score), o->flags);
}

/* Prints both and says whether they are the same; *same. */
static status compare_stored(store *db, const plan_item *it, uint32_t example, const observation *now, arena *mem,
                             bool *same, error *err) {
    char key[DIGEST_HEX];
    digest_hex(&it->key, key);
    store_item_state have;
    TRY(store_item_find(db, key, &have, err));
    store_columns c = {0};
    TRY(store_load_item_columns(db, have.item_id, "clean", true, mem, &c, err));
    for (size_t i = 0; i < c.n; i++) {
        if (c.i_example[i] != (int64_t)example) {
            continue;
        }
        observation then = {.label = c.label[i], .pred = c.pred[i], .score = c.score[i], .flags = c.flags[i]};
        print_row("stored", &then);
        *same = then.label == now->label && then.pred == now->pred && then.flags == now->flags &&
                observation_same_score(then.score, now->score);
        (void)printf("%s\n", *same ? "equal, bit for bit" : "DIFFERENT");
        return STATUS_OK;
    }
    (void)printf("stored    nothing for example %u\n", example);
    *same = true;
    return STATUS_OK;
}

static status dump(const plan *p, const plan_item *it, uint32_t example, const observation *o, const char *dir,
                   error *err) {
    const dataset *d = p->datasets[it->i_dataset].data;
    arena a = {0};
    float *x = arena_alloc(&a, d->n_features * sizeof *x);
    dataset_gather(d, &example, 1, x);
    char *in = arena_printf(&a, "%s/example-%u-input.npy", dir, example);
    char *out = arena_printf(&a, "%s/example-%u-output.npy", dir, example);
    int64_t k = o->n_logits;
    status s = io_make_dirs(dir, err);
    s = s == STATUS_OK ? write_npy(in, x, d->shape, d->n_dims, err) : s;
    s = s == STATUS_OK ? write_npy(out, o->logits, &k, 1, err) : s;
    if (s == STATUS_OK) {
        (void)printf("wrote %s and %s\n", in, out);
    }
    arena_free(&a);
    return s;
}

static status print_output(const observation *o) {
    (void)printf("output   ");
    for (uint32_t i = 0; i < o->n_logits; i++) {
        char num[STR_DOUBLE_BYTES];
        (void)printf(" %s", str_from_double((double)o->logits[i], num));
    }
    (void)printf("\n");
    return STATUS_OK;
}

/* `text` names one of the item's examples. */
static status find_example(const plan_item *it, const char *text, uint32_t *example, error *err) {
    int64_t v = -1;
    bool number = str_to_i64(text, &v);
    for (size_t i = 0; number && i < it->n_index; i++) {
        if ((int64_t)it->index[i] == v) {
            *example = it->index[i];
            return STATUS_OK;
        }
    }
    return error_set(err, STATUS_USAGE, "EXAMPLE must be one of the item's %zu (from %u to %u), not \"%.40s\"",
                     it->n_index, it->index[0], it->index[it->n_index - 1], text);
}

static status repro(const cli_args *args, const plan *p, store *db, const cli_cpu *cpu, arena *mem, bool *same,
                    error *err) {
    const plan_item *it = NULL;
    uint32_t example = 0;
    TRY(find_item(p, args->v[1], &it, err));
    TRY(find_example(it, args->v[2], &example, err));
    observation o = {0};
    float *logits = NULL;
    (void)printf("item      %s\ncommand   %s\n", plan_item_title(p, it, mem), args->line);
    for (size_t i = 0; i < cpu->n_env; i++) {
        (void)printf("%s%s", i == 0 ? "worker    " : " ", cpu->env[i]);
    }
    (void)printf("\n");
    status s = run_one(p, it, example, (worker_env){cpu->env, cpu->n_env}, &o, &logits, err);
    if (s == STATUS_OK) {
        print_row("now", &o);
        (void)print_output(&o);
        s = compare_stored(db, it, example, &o, mem, same, err);
    }
    if (s == STATUS_OK) {
        s = dump(p, it, example, &o, cli_has(args, "output") ? cli_get(args, "output") : ".", err);
    }
    mem_free(logits);
    return s;
}

/* What the command line of the run had said over its configuration. */
static void resolved(config_override *o, const char *config_json, arena *mem) {
    json_error_t je;
    json_t *j = json_loads(config_json, 0, &je);
    const char *logits = json_string_value(json_object_get(j, "logits"));
    json_int_t limit = json_integer_value(json_object_get(j, "limit"));
    o->seed = json_integer_value(json_object_get(j, "seed"));
    o->limit = limit > 0 ? limit : -1;
    o->logits = arena_strdup(mem, logits);
    json_decref(j);
}

static int run(const cli_args *args, arena *mem, error *err) {
    cli_cpu cpu = {0};
    store *db = NULL;
    config *c = NULL;
    plan *p = NULL;
    store_run_row row = {0};
    bool same = false;
    suite_list suites = {0};
    suites.v = suite_all(&suites.n);
    CLI_TRY(cli_cpu_choice(args, &cpu, err));
    CLI_TRY(store_open(cli_store_path(args), STORE_READ, &db, err));
    status s = store_run_get(db, args->v[0], mem, &row, err);
    if (s == STATUS_OK) {
        config_override over = CONFIG_OVERRIDE_NONE;
        resolved(&over, row.config_json, mem);
        s = config_load_text(row.config_path, row.config_text, suites, &over, &c, err);
    }
    if (s == STATUS_OK) {
        s = plan_make(c, (worker_env){cpu.env, cpu.n_env}, false, &p, err);
    }
    if (s != STATUS_OK && row.config_path != NULL && row.config_path[0] != '/') {
        (void)error_prefix(err, "paths of this run start in the folder where it was started (its configuration: %s): ",
                           row.config_path);
    }
    if (s == STATUS_OK) {
        s = repro(args, p, db, &cpu, mem, &same, err);
    }
    plan_close(p);
    config_close(c);
    store_close(db);
    return s != STATUS_OK ? cli_fail(s) : same ? 0 : status_exit_code(STATUS_MODEL);
}

static const cli_option options[] = {
    CLI_STORE_OPTION,
    {"output", 'o', "DIR", "folder for the two .npy files (default: the current one)"},
    CLI_ISA_OPTION,
};

const command command_repro = {
    .info = {.id = "repro",
             .summary = "Run one example of one item again, compare it with the store, dump input and output"},
    .usage = "RUN ITEM EXAMPLE",
    .details =
        "ITEM is the beginning of an item key (assay plan prints them), EXAMPLE a row of the dataset from 0. Uses the "
        "configuration text that the run stored; relative paths are resolved where the configuration file was.",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .min_args = 3,
    .max_args = 3,
    .run = run,
};
