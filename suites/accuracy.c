/* SPDX-License-Identifier: Apache-2.0
 * Suite `accuracy`: one forward pass over the clean data; prediction, its probability and the logits of
 * each example. What the numbers mean is the metrics' business. */
#include <math.h>

#include "base/mem.h"
#include "run/suite.h"

/* Lowest index among the largest (numpy, torch); -1 when a value is not finite. */
static int32_t argmax(const float *z, size_t k, uint32_t *flags) {
    size_t best = 0;
    for (size_t j = 0; j < k; j++) {
        if (!isfinite(z[j])) {
            *flags |= OBS_NONFINITE;
            return -1;
        }
        best = z[j] > z[best] ? j : best;
    }
    for (size_t j = best + 1; j < k; j++) {
        *flags |= z[j] >= z[best] ? OBS_TIE : 0;
    }
    return (int32_t)best;
}

/* Softmax of the winner, in double with the maximum taken out; a model that ends in probabilities is taken at its word.
 */
static double confidence(const float *z, size_t k, int32_t pred, bool probabilities) {
    if (pred < 0) {
        return NAN;
    }
    if (probabilities) {
        return (double)z[pred];
    }
    double sum = 0;
    for (size_t j = 0; j < k; j++) {
        sum += exp((double)z[j] - (double)z[pred]);
    }
    return 1.0 / sum;
}

static observation observe(const suite_context *ctx, uint32_t i, const float *z) {
    const model_facts *f = model_get_facts(ctx->model);
    observation o = {.i_example = i, .label = -1, .latency_ns = -1};
    o.pred = argmax(z, f->n_outputs, &o.flags);
    o.score = confidence(z, f->n_outputs, o.pred, f->probabilities);
    if (ctx->data->label == NULL || ctx->data->label[i] < 0) {
        o.flags |= OBS_NO_LABEL;
    } else {
        o.label = ctx->data->label[i];
        o.flags |= (size_t)o.label >= f->n_outputs ? OBS_LABEL_UNKNOWN : 0;
    }
    if (ctx->keep_logits) {
        o.n_logits = (uint32_t)f->n_outputs;
        o.logits = z;
    }
    return o;
}

static status collect(const suite_context *ctx, const void *params, error *err) {
    (void)params; /* it has none */
    size_t k = model_get_facts(ctx->model)->n_outputs;
    size_t batch = ctx->batch < ctx->n_index ? ctx->batch : ctx->n_index;
    if (batch == 0) {
        return STATUS_OK; /* all rows are in the store, only the end was not */
    }
    float *x = mem_try(batch, ctx->data->n_features * sizeof *x, "a batch of inputs", err);
    float *z = mem_try(batch, k * sizeof *z, "a batch of outputs", err);
    observation *rows = mem_try(batch, sizeof *rows, "a batch of observations", err);
    status s = x == NULL || z == NULL || rows == NULL ? STATUS_MEMORY : STATUS_OK;
    for (size_t i = 0; s == STATUS_OK && i < ctx->n_index; i += batch) {
        size_t n = ctx->n_index - i < batch ? ctx->n_index - i : batch;
        dataset_gather(ctx->data, ctx->index + i, n, x);
        s = session_predict(ctx->session, x, n, z, err);
        for (size_t j = 0; s == STATUS_OK && j < n; j++) {
            rows[j] = observe(ctx, ctx->index[i + j], z + j * k);
        }
        if (s == STATUS_OK) {
            s = ctx->emit(ctx->sink, rows, n, err);
        }
    }
    mem_free(x);
    mem_free(z);
    mem_free(rows);
    return s;
}

static const char *const needs[] = {ASSAY_PREDICT_1, NULL};
static const char *const default_metrics[] = {"accuracy", "topk", "log-loss", "confusion", NULL};

const suite suite_accuracy = {
    .info = {.id = "accuracy",
             .summary = "prediction, confidence and logits of every clean example",
             .cite = "",
             .version = 1},
    .needs = needs,
    .metrics = default_metrics,
    .collect = collect,
};
