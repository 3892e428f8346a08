/* SPDX-License-Identifier: Apache-2.0 */
#include "preprocess.h"

#include <math.h>
#include <string.h>

#include "base/str.h"

#define MAX_FEATURES ((size_t)1 << 26) /* 256 MiB of float32 per example */

/* One line of a newline-separated list; NULL at the end. `buf` has 64 bytes: no number is longer. */
static const char *next_line(const char *at, char buf[64], bool *fits) {
    size_t n = strcspn(at, "\n");
    *fits = n < 64;
    if (*fits) {
        memcpy(buf, at, n);
        buf[n] = '\0';
    }
    return at[n] == '\n' ? at + n + 1 : at + n;
}

static status read_list(const char *text, const char *key, size_t n, float def, float *out, error *err) {
    for (size_t i = 0; i < n; i++) {
        out[i] = def;
    }
    if (text == NULL) {
        return STATUS_OK;
    }
    size_t k = 0;
    for (const char *at = text; *at != '\0';) {
        char buf[64];
        bool fits = true;
        double v = 0;
        at = next_line(at, buf, &fits);
        if (!fits || !str_to_double(buf, &v) || !isfinite((float)v)) {
            return error_set(err, STATUS_USAGE, "%s: line %zu is not a finite number", key, k + 1);
        }
        if (k < n) {
            out[k] = (float)v;
        }
        k++;
    }
    if (k != 1 && k != n) {
        return error_set(err, STATUS_USAGE, "%s: %zu values where 1 or %zu are needed", key, k, n);
    }
    for (size_t i = 1; i < n && k == 1; i++) {
        out[i] = out[0];
    }
    return STATUS_OK;
}

static status read_range(ox_preprocess *p, const char *text, const char *key, error *err) {
    double v[2] = {-INFINITY, INFINITY};
    size_t k = 0;
    for (const char *at = text; at != NULL && *at != '\0'; k++) {
        char buf[64];
        bool fits = true;
        at = next_line(at, buf, &fits);
        if (k > 1 || !fits || !str_to_double(buf, &v[k])) {
            return error_set(err, STATUS_USAGE, "%s: line %zu is not one of two numbers (low, high)", key, k + 1);
        }
    }
    if (text != NULL && (k != 2 || !(v[0] < v[1]))) {
        return error_set(err, STATUS_USAGE, "%s: two lines, low and high with low < high, are needed", key);
    }
    p->range_lo = v[0];
    p->range_hi = v[1];
    return STATUS_OK;
}

static status read_choice(const char *text, const char *key, const char *no, const char *yes, bool *out, error *err) {
    *out = text != NULL && strcmp(text, yes) == 0;
    if (text != NULL && !*out && strcmp(text, no) != 0) {
        return error_set(err, STATUS_USAGE, "%s: must be %s or %s, not \"%.40s\"", key, no, yes, text);
    }
    return STATUS_OK;
}

static status read_shape(ox_preprocess *p, const ox_graph *g, const ox_preprocess_text *t, error *err) {
    const char *name = g->values[g->input].name;
    p->n_dims = g->input_n_dims;
    if (p->n_dims < 2) {
        return error_set(err, STATUS_UNSUPPORTED, "%s: input \"%s\" has no dimension besides the batch", g->file, name);
    }
    TRY(read_choice(t->layout, t->layout_key, "NCHW", "NHWC", &p->nhwc, err));
    if (p->nhwc && p->n_dims != 4) {
        return error_set(err, STATUS_USAGE, "%s: NHWC needs an input of four dimensions", t->layout_key);
    }
    p->n_features = 1;
    p->shape[0] = -1;
    for (uint32_t i = 1; i < p->n_dims; i++) {
        p->shape[i] = g->input_shape[p->nhwc ? (i == 1 ? 3 : i - 1) : i];
        if (p->shape[i] <= 0) {
            return error_set(err, STATUS_UNSUPPORTED, "%s: input \"%s\": dimension %u has no fixed size", g->file, name,
                             i);
        }
        if (!mem_mul(p->n_features, (size_t)p->shape[i], &p->n_features) || p->n_features > MAX_FEATURES) {
            return error_set(err, STATUS_UNSUPPORTED, "%s: input \"%s\" has more than %zu values per example", g->file,
                             name, MAX_FEATURES);
        }
    }
    p->n_channels = p->n_dims == 4 || p->n_dims == 2 ? (size_t)p->shape[1] : 1;
    p->n_inner = p->n_features / p->n_channels;
    TRY(read_choice(t->channels, t->channels_key, "RGB", "BGR", &p->bgr, err));
    if (p->bgr && (p->n_dims != 4 || p->n_channels != 3)) {
        return error_set(err, STATUS_USAGE, "%s: BGR needs images of three channels", t->channels_key);
    }
    return STATUS_OK;
}

/* Without a list nothing of the example's size is allocated: a file's claim of many features costs nothing. */
static status read_numbers(ox_preprocess *p, const ox_preprocess_text *t, arena *memory, error *err) {
    p->identity = t->scale == NULL && t->mean == NULL && t->std == NULL;
    if (p->identity) {
        return STATUS_OK;
    }
    size_t bytes = p->n_channels * sizeof(float);
    p->scale = arena_alloc(memory, bytes);
    p->mean = arena_alloc(memory, bytes);
    p->std = arena_alloc(memory, bytes);
    TRY(read_list(t->scale, t->scale_key, p->n_channels, 1, p->scale, err));
    TRY(read_list(t->mean, t->mean_key, p->n_channels, 0, p->mean, err));
    TRY(read_list(t->std, t->std_key, p->n_channels, 1, p->std, err));
    for (size_t i = 0; i < p->n_channels; i++) {
        if (!(p->std[i] > 0)) {
            return error_set(err, STATUS_USAGE, "%s: value %zu is not positive", t->std_key, i + 1);
        }
    }
    return STATUS_OK;
}

status ox_preprocess_init(ox_preprocess *p, const ox_graph *g, const ox_preprocess_text *t, arena *memory, error *err) {
    *p = (ox_preprocess){0};
    TRY(read_shape(p, g, t, err));
    TRY(read_numbers(p, t, memory, err));
    return read_range(p, t->range, t->range_key, err);
}

/* Channel c of the model is channel host_channel(c) of the host. */
static size_t host_channel(const ox_preprocess *p, size_t c) {
    return p->bgr ? p->n_channels - 1 - c : c;
}

void ox_preprocess_forward(const ox_preprocess *p, const float *raw, size_t n, float *x) {
    bool plain = p->identity && !p->bgr && !p->nhwc;
    if (plain) {
        memcpy(x, raw, n * p->n_features * sizeof *x);
        return;
    }
    size_t step = p->nhwc ? p->n_channels : 1;
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < p->n_channels; c++) {
            const float *from = raw + i * p->n_features + host_channel(p, c) * p->n_inner;
            float *to = x + i * p->n_features + (p->nhwc ? c : c * p->n_inner);
            for (size_t k = 0; k < p->n_inner; k++) {
                float v = from[k];
                to[k * step] = p->identity ? v : (v * p->scale[c] - p->mean[c]) / p->std[c];
            }
        }
    }
}

void ox_preprocess_backward(const ox_preprocess *p, const float *gx, size_t n, float *graw) {
    size_t step = p->nhwc ? p->n_channels : 1;
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < p->n_channels; c++) {
            float *to = graw + i * p->n_features + host_channel(p, c) * p->n_inner;
            const float *from = gx + i * p->n_features + (p->nhwc ? c : c * p->n_inner);
            for (size_t k = 0; k < p->n_inner; k++) {
                float g = from[k * step];
                to[k] = p->identity ? g : g / p->std[c] * p->scale[c];
            }
        }
    }
}
