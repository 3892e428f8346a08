/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <string.h>

assay_session *ox_session_open(const assay_model *m, uint32_t tile, bool unpadded) {
    assay_session *s = mem_zalloc(sizeof *s);
    s->model = m;
    s->tile = tile;
    s->unpadded = unpadded;
    return s;
}

void ox_session_close(assay_session *s) {
    if (s != NULL) {
        for (size_t i = 0; i < OX_MAX_PLANS; i++) {
            ox_plan_free(s->plans[i].plan);
        }
        mem_free(s);
    }
}

/* Examples of one execution when the caller gives n. */
static size_t step_of(const assay_session *s, size_t n) {
    if (s->model->one_by_one) {
        return 1;
    }
    return s->unpadded ? n : s->tile;
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

/* n real examples into a plan of `batch`, the rest copies of the last one: no value that is not in the data anyway. */
static void load_examples(const assay_session *s, ox_plan *p, const float *raw, size_t n) {
    const ox_preprocess *pre = &s->model->pre;
    float *x = p->tensors[s->model->graph.input].data;
    ox_preprocess_forward(pre, raw, n, x);
    for (size_t i = n; i < (size_t)p->batch; i++) {
        memcpy(x + i * pre->n_features, x + (n - 1) * pre->n_features, pre->n_features * sizeof *x);
    }
}

static void store_outputs(const assay_session *s, const ox_plan *p, float *const outputs[2], size_t at, size_t n) {
    for (uint32_t i = 0; i < s->model->n_ports; i++) {
        const ox_port *port = &s->model->ports[i];
        if (outputs[i] != NULL) {
            memcpy(outputs[i] + at * port->n, p->tensors[port->value].data, n * port->n * sizeof(float));
        }
    }
}

status ox_session_predict(assay_session *s, const float *raw, size_t n, float *const outputs[2], error *err) {
    size_t step = step_of(s, n);
    ox_plan *p = NULL;
    TRY(get_plan(s, step, false, -1, &p, err));
    for (size_t at = 0; at < n; at += step) {
        size_t k = n - at < step ? n - at : step;
        load_examples(s, p, raw + at * s->model->pre.n_features, k);
        TRY(ox_plan_forward(p, err));
        store_outputs(s, p, outputs, at, k);
    }
    return STATUS_OK;
}

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

status ox_session_vjp(assay_session *s, const float *raw, size_t n, const float *const cotangents[2],
                      float *const outputs[2], float *gradient, assay_vjp_mode mode, error *err) {
    size_t step = step_of(s, n), n_features = s->model->pre.n_features;
    ox_plan *p = NULL;
    TRY(get_plan(s, step, true, -1, &p, err));
    for (size_t at = 0; at < n; at += step) {
        size_t k = n - at < step ? n - at : step;
        load_examples(s, p, raw + at * n_features, k);
        TRY(ox_plan_forward(p, err));
        if (outputs != NULL) {
            store_outputs(s, p, outputs, at, k);
        }
        load_cotangents(s, p, cotangents, at, k);
        TRY(ox_plan_backward(p, mode, err));
        const float *gx = p->grads[s->model->graph.input];
        ox_preprocess_backward(&s->model->pre, gx, k, gradient + at * n_features);
    }
    return STATUS_OK;
}

status ox_session_embed(assay_session *s, const float *raw, size_t n, const ox_layer *layer, float *output,
                        error *err) {
    size_t step = step_of(s, n);
    ox_plan *p = NULL;
    TRY(get_plan(s, step, false, layer->value, &p, err));
    for (size_t at = 0; at < n; at += step) {
        size_t k = n - at < step ? n - at : step;
        load_examples(s, p, raw + at * s->model->pre.n_features, k);
        TRY(ox_plan_forward(p, err));
        memcpy(output + at * layer->n, p->tensors[layer->value].data, k * layer->n * sizeof *output);
    }
    return STATUS_OK;
}
