/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <pthread.h>
#include <string.h>

assay_session *ox_session_open(const assay_model *m, uint32_t tile, uint32_t n_threads, bool unpadded) {
    assay_session *s = mem_zalloc(sizeof *s);
    s->model = m;
    s->tile = tile;
    s->unpadded = unpadded;
    if (n_threads > 1 && !unpadded) {
        s->n_helpers = (n_threads < OX_MAX_THREADS ? n_threads : OX_MAX_THREADS) - 1;
        s->helpers = mem_zalloc(s->n_helpers * sizeof *s->helpers);
        for (uint32_t i = 0; i < s->n_helpers; i++) {
            s->helpers[i] = ox_session_open(m, tile, 1, false);
        }
    }
    return s;
}

void ox_session_close(assay_session *s) {
    if (s == NULL) {
        return;
    }
    for (uint32_t i = 0; i < s->n_helpers; i++) {
        ox_session_close(s->helpers[i]);
    }
    mem_free(s->helpers);
    for (size_t i = 0; i < OX_MAX_PLANS; i++) {
        ox_plan_free(s->plans[i].plan);
    }
    mem_free(s);
}

/* Examples of one execution when the caller gives n. */
static size_t step_of(const assay_session *s, size_t n) {
    if (s->model->one_by_one) {
        return 1;
    }
    if (s->unpadded) {
        return n;
    }
    return s->tile < s->model->chunk ? s->tile : s->model->chunk;
}

static status make_plan(assay_session *s, ox_cached_plan *c, error *err) {
    int32_t wanted[2];
    ox_plan_args a = {.batch = c->batch,
                      .wanted = wanted,
                      .want_vjp = c->want_vjp,
                      .reference = s->model->reference,
                      .unpadded = s->unpadded,
                      .only_this_batch = s->model->one_by_one};
    a.n_wanted = ox_model_wanted(s->model, wanted);
    if (c->layer >= 0) {
        wanted[0] = c->layer;
        a.n_wanted = 1;
    }
    return ox_plan_make(&s->model->graph, &a, &c->plan, err);
}

static status get_plan(assay_session *s, size_t batch, bool want_vjp, int32_t layer, ox_plan **out, error *err) {
    ox_cached_plan *oldest = &s->plans[0];
    for (size_t i = 0; i < OX_MAX_PLANS; i++) {
        ox_cached_plan *c = &s->plans[i];
        if (c->plan != NULL && c->batch == (int64_t)batch && c->want_vjp == want_vjp && c->layer == layer) {
            c->used = ++s->clock;
            *out = c->plan;
            return STATUS_OK;
        }
        if (c->used < oldest->used) {
            oldest = c;
        }
    }
    ox_plan_free(oldest->plan);
    *oldest = (ox_cached_plan){.batch = (int64_t)batch, .want_vjp = want_vjp, .layer = layer};
    TRY(make_plan(s, oldest, err));
    oldest->used = ++s->clock;
    *out = oldest->plan;
    return STATUS_OK;
}

static void store_outputs(const assay_session *s, const ox_plan *p, float *const outputs[2], size_t at, size_t n) {
    for (uint32_t i = 0; i < s->model->n_ports; i++) {
        const ox_port *port = &s->model->ports[i];
        if (outputs[i] != NULL) {
            memcpy(outputs[i] + at * port->n, p->tensors[port->value].data, n * port->n * sizeof(float));
        }
    }
}

static status predict_serial(assay_session *s, const float *raw, size_t n, float *const outputs[2], error *err) {
    size_t step = step_of(s, n);
    ox_plan *p = NULL;
    TRY(get_plan(s, step, false, -1, &p, err));
    for (size_t at = 0; at < n; at += step) {
        size_t k = n - at < step ? n - at : step;
        TRY(ox_model_load_examples(s->model, p, raw + at * s->model->pre.n_features, k, err));
        TRY(ox_plan_forward(p, err));
        store_outputs(s, p, outputs, at, k);
    }
    return STATUS_OK;
}

/* What a call asks for, or a part of it. */
typedef struct request {
    enum { PREDICT, VJP, EMBED } kind;
    const float *raw;
    size_t n;
    float *outputs[2];      /* of VJP: both NULL where no outputs are wanted */
    const ox_vjp_set *sets; /* of the whole call; this part begins at `first`, where the other pointers stand */
    size_t n_sets, first;
    assay_vjp_mode mode;
    const ox_layer *layer;
    float *embedding;
} request;

/* Padded rows keep a cotangent of zero. */
static void load_cotangents(const assay_session *s, ox_plan *p, const float *const cotangents[2], size_t at, size_t n) {
    ox_plan_zero_gradients(p);
    for (uint32_t i = 0; i < s->model->n_ports; i++) {
        const ox_port *port = &s->model->ports[i];
        float *g = p->grads[port->value];
        if (cotangents[i] == NULL || g == NULL) {
            continue;
        }
        const float *from = cotangents[i] + at * port->n;
        for (size_t j = 0; j < n * port->n; j++) {
            g[j] += from[j];
        }
    }
}

static status vjp_serial(assay_session *s, const request *r, error *err) {
    size_t step = step_of(s, r->n), n_features = s->model->pre.n_features;
    ox_plan *p = NULL;
    TRY(get_plan(s, step, true, -1, &p, err));
    for (size_t at = 0; at < r->n; at += step) {
        size_t k = r->n - at < step ? r->n - at : step;
        TRY(ox_model_load_examples(s->model, p, r->raw + at * n_features, k, err));
        TRY(ox_plan_forward(p, err));
        store_outputs(s, p, r->outputs, at, k);
        for (size_t i = 0; i < r->n_sets; i++) {
            load_cotangents(s, p, r->sets[i].cotangents, r->first + at, k);
            TRY(ox_plan_backward(p, r->mode, err));
            const float *gx = p->grads[s->model->graph.input];
            ox_preprocess_backward(&s->model->pre, gx, k, r->sets[i].gradient + (r->first + at) * n_features);
        }
    }
    return STATUS_OK;
}

static status embed_serial(assay_session *s, const float *raw, size_t n, const ox_layer *layer, float *output,
                           error *err) {
    size_t step = step_of(s, n);
    ox_plan *p = NULL;
    TRY(get_plan(s, step, false, layer->value, &p, err));
    for (size_t at = 0; at < n; at += step) {
        size_t k = n - at < step ? n - at : step;
        TRY(ox_model_load_examples(s->model, p, raw + at * s->model->pre.n_features, k, err));
        TRY(ox_plan_forward(p, err));
        memcpy(output + at * layer->n, p->tensors[layer->value].data, k * layer->n * sizeof *output);
    }
    return STATUS_OK;
}

/* ---- threads ------------------------------------------------------------------------------------ */

/* One thread's share. */
typedef struct share {
    assay_session *s;
    request r;
    status result;
    error err;
    pthread_t thread;
    bool started;
} share;

static void *serve(void *p) {
    share *w = p;
    request *r = &w->r;
    switch (r->kind) {
    case PREDICT: w->result = predict_serial(w->s, r->raw, r->n, r->outputs, &w->err); break;
    case VJP: w->result = vjp_serial(w->s, r, &w->err); break;
    case EMBED: w->result = embed_serial(w->s, r->raw, r->n, r->layer, r->embedding, &w->err); break;
    }
    return NULL;
}

static request part_of(const assay_session *s, const request *r, size_t at, size_t n) {
    request part = *r;
    part.raw += at * s->model->pre.n_features;
    part.n = n;
    part.first += at;
    part.embedding = r->embedding == NULL ? NULL : r->embedding + at * r->layer->n;
    for (uint32_t i = 0; i < s->model->n_ports; i++) {
        size_t skip = at * s->model->ports[i].n;
        part.outputs[i] = r->outputs[i] == NULL ? NULL : r->outputs[i] + skip;
    }
    return part;
}

/* Whole steps to each thread, the first share to this one. Of several errors the one of the earliest examples is told.
 */
static status run(assay_session *s, const request *r, error *err) {
    size_t step = step_of(s, r->n);
    size_t n_steps = (r->n + step - 1) / step;
    size_t n_shares = n_steps < s->n_helpers + 1U ? n_steps : s->n_helpers + 1U;
    share *w = mem_zalloc(n_shares * sizeof *w);
    for (size_t i = n_shares; i-- > 0;) {
        size_t first = n_steps * i / n_shares * step;
        size_t end = n_steps * (i + 1) / n_shares * step;
        end = end < r->n ? end : r->n;
        w[i].s = i == 0 ? s : s->helpers[i - 1];
        w[i].r = part_of(s, r, first, end - first);
        w[i].started = i > 0 && pthread_create(&w[i].thread, NULL, serve, &w[i]) == 0;
        if (!w[i].started) {
            (void)serve(&w[i]);
        }
    }
    status st = STATUS_OK;
    for (size_t i = 0; i < n_shares; i++) {
        if (w[i].started) {
            (void)pthread_join(w[i].thread, NULL);
        }
        if (st == STATUS_OK && w[i].result != STATUS_OK) {
            st = error_set(err, w[i].result, "%s", w[i].err.text);
        }
    }
    mem_free(w);
    return st;
}

status ox_session_predict(assay_session *s, const float *raw, size_t n, float *const outputs[2], error *err) {
    request r = {.kind = PREDICT, .raw = raw, .n = n, .outputs = {outputs[0], outputs[1]}};
    return run(s, &r, err);
}

status ox_session_vjp_sets(assay_session *s, const float *raw, size_t n, const ox_vjp_set *sets, size_t n_sets,
                           float *const outputs[2], assay_vjp_mode mode, error *err) {
    request r = {.kind = VJP, .raw = raw, .n = n, .sets = sets, .n_sets = n_sets, .mode = mode};
    if (outputs != NULL) {
        r.outputs[0] = outputs[0];
        r.outputs[1] = outputs[1];
    }
    return run(s, &r, err);
}

status ox_session_vjp(assay_session *s, const float *raw, size_t n, const float *const cotangents[2],
                      float *const outputs[2], float *gradient, assay_vjp_mode mode, error *err) {
    ox_vjp_set set = {{cotangents[0], cotangents[1]}, gradient};
    return ox_session_vjp_sets(s, raw, n, &set, 1, outputs, mode, err);
}

status ox_session_embed(assay_session *s, const float *raw, size_t n, const ox_layer *layer, float *output,
                        error *err) {
    request r = {.kind = EMBED, .raw = raw, .n = n, .layer = layer, .embedding = output};
    return run(s, &r, err);
}

status ox_session_memory(assay_session *s, size_t n, assay_memory_info *info, error *err) {
    size_t step = step_of(s, n);
    ox_plan *p = NULL;
    TRY(get_plan(s, step, false, -1, &p, err));
    info->forward_bytes = p->n_activation_bytes;
    TRY(get_plan(s, step, true, -1, &p, err));
    info->vjp_bytes = p->n_activation_bytes + p->n_gradient_bytes;
    info->step = (uint32_t)step;
    info->reason = s->model->one_by_one ? s->model->reason : NULL;
    return STATUS_OK;
}
