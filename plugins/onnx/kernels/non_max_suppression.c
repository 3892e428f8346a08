/* SPDX-License-Identifier: Apache-2.0
 * NonMaxSuppression (opset 10 on): boxes (B, S, 4), scores (B, C, S) to int64 (selected, 3): batch, class, box. How
 * many are selected depends on the data, so they must be constant. Per batch and class the boxes whose score is above
 * the threshold are taken from the best on (of equals the one that comes first), unless they overlap one taken before
 * by more than iou_threshold; boxes without an area overlap nothing. */
#include <inttypes.h>
#include <stdlib.h>

#include "kernels/common.h"

typedef struct suppression {
    const float *boxes, *scores;
    size_t batch, classes, n;
    int64_t most; /* boxes per class */
    float iou, least;
    bool has_least, center;
    size_t *order, *kept; /* n each */
    int64_t *selected;    /* triples */
    size_t n_selected, capacity;
} suppression;

static status read_scalar(const ox_node *n, size_t i, uint32_t dtype, const ox_tensor **t, error *err) {
    *t = ox_input(n, i);
    if (*t == NULL) {
        return STATUS_OK;
    }
    if ((*t)->dtype != dtype || (*t)->n != 1) {
        return error_set(err, STATUS_MODEL, "input %zu is not one %s", i, ox_dtype_name(dtype));
    }
    return STATUS_OK;
}

static status read_inputs(const ox_node *n, suppression *s, error *err) {
    const ox_tensor *boxes = ox_input(n, 0), *scores = ox_input(n, 1), *most = NULL, *iou = NULL, *least = NULL;
    TRY(ox_need_float(n, 0, err));
    TRY(ox_need_float(n, 1, err));
    TRY(read_scalar(n, 2, ASSAY_I64, &most, err));
    TRY(read_scalar(n, 3, ASSAY_F32, &iou, err));
    TRY(read_scalar(n, 4, ASSAY_F32, &least, err));
    TRY(ox_check_attr(n, "center_point_box", OX_INT, err));
    if (boxes->dtype != ASSAY_F32 || scores->dtype != ASSAY_F32 || boxes->n_dims != 3 || scores->n_dims != 3 ||
        boxes->shape[2] != 4 || boxes->shape[0] != scores->shape[0] || boxes->shape[1] != scores->shape[2]) {
        return error_set(err, STATUS_MODEL, "boxes (batch, n, 4) and scores (batch, classes, n) of float32 are needed");
    }
    for (size_t i = 0; i < n->n_in; i++) {
        if (n->in[i] != NULL && !n->in[i]->is_const) {
            return error_set(err, STATUS_UNSUPPORTED, "the output's size depends on input %zu, which is no constant",
                             i);
        }
    }
    *s = (suppression){.boxes = ox_f32(boxes),
                       .scores = ox_f32(scores),
                       .batch = (size_t)scores->shape[0],
                       .classes = (size_t)scores->shape[1],
                       .n = (size_t)scores->shape[2],
                       .most = most == NULL ? 0 : ((const int64_t *)most->data)[0],
                       .iou = iou == NULL ? 0 : ox_f32(iou)[0],
                       .least = least == NULL ? 0 : ox_f32(least)[0],
                       .has_least = least != NULL,
                       .center = ox_attr_int(n, "center_point_box", 0) != 0};
    if (!(s->iou >= 0 && s->iou <= 1)) {
        return error_set(err, STATUS_MODEL, "iou_threshold is %g", (double)s->iou);
    }
    return STATUS_OK;
}

/* Corners, whichever diagonal the box names. */
typedef struct box {
    float y1, x1, y2, x2;
} box;

static box box_of(const suppression *s, size_t b, size_t i) {
    const float *v = s->boxes + (b * s->n + i) * 4;
    if (s->center) { /* x, y, width, height */
        return (box){v[1] - v[3] / 2, v[0] - v[2] / 2, v[1] + v[3] / 2, v[0] + v[2] / 2};
    }
    bool y = v[0] <= v[2], x = v[1] <= v[3];
    return (box){y ? v[0] : v[2], x ? v[1] : v[3], y ? v[2] : v[0], x ? v[3] : v[1]};
}

static bool overlap(const suppression *s, box a, box b) {
    float y1 = a.y1 > b.y1 ? a.y1 : b.y1, y2 = a.y2 < b.y2 ? a.y2 : b.y2;
    float x1 = a.x1 > b.x1 ? a.x1 : b.x1, x2 = a.x2 < b.x2 ? a.x2 : b.x2;
    if (y2 <= y1 || x2 <= x1) {
        return false;
    }
    float common = (y2 - y1) * (x2 - x1), of_a = (a.y2 - a.y1) * (a.x2 - a.x1), of_b = (b.y2 - b.y1) * (b.x2 - b.x1);
    float all = of_a + of_b - common;
    return of_a > 0 && of_b > 0 && all > 0 && common / all > s->iou;
}

static int by_score(const void *a, const void *b, void *scores) {
    const float *score = scores;
    size_t i = *(const size_t *)a, k = *(const size_t *)b;
    if (score[i] != score[k]) {
        return score[i] > score[k] ? -1 : 1;
    }
    return i < k ? -1 : (i > k ? 1 : 0);
}

/* Boxes above the threshold, the best first; a score that is no number is not above it. */
static size_t candidates(const suppression *s, float *score) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->has_least ? score[i] > s->least : score[i] == score[i]) {
            s->order[n++] = i;
        }
    }
    qsort_r(s->order, n, sizeof *s->order, by_score, score);
    return n;
}

static void select_class(suppression *s, size_t b, size_t c, float *score) {
    memcpy(score, s->scores + (b * s->classes + c) * s->n, s->n * sizeof *score);
    size_t n = candidates(s, score), n_kept = 0;
    for (size_t i = 0; i < n && (int64_t)n_kept < s->most; i++) {
        box one = box_of(s, b, s->order[i]);
        bool free = true;
        for (size_t k = 0; k < n_kept && free; k++) {
            free = !overlap(s, one, box_of(s, b, s->kept[k]));
        }
        if (!free) {
            continue;
        }
        s->kept[n_kept++] = s->order[i];
        s->selected = mem_grow(s->selected, &s->capacity, 3 * (s->n_selected + 1), sizeof *s->selected);
        int64_t *to = s->selected + 3 * s->n_selected++;
        to[0] = (int64_t)b;
        to[1] = (int64_t)c;
        to[2] = (int64_t)s->order[i];
    }
}

/* s->selected is the caller's to free. */
static status suppress(const ox_node *n, suppression *s, error *err) {
    TRY(read_inputs(n, s, err));
    float *score = mem_try(s->n, sizeof *score, "scores", err);
    s->order = mem_try(s->n, sizeof *s->order, "scores", err);
    s->kept = mem_try(s->n, sizeof *s->kept, "scores", err);
    bool all = score != NULL && s->order != NULL && s->kept != NULL;
    for (size_t i = 0; all && i < s->batch * s->classes; i++) {
        select_class(s, i / s->classes, i % s->classes, score);
    }
    mem_free(score);
    mem_free(s->order);
    mem_free(s->kept);
    return all ? STATUS_OK : STATUS_MEMORY;
}

static status infer(ox_node *n, error *err) {
    suppression s = {0};
    TRY(suppress(n, &s, err));
    mem_free(s.selected);
    int64_t shape[2] = {(int64_t)s.n_selected, 3};
    return ox_set_shape(n->out[0], ASSAY_I64, shape, 2, err);
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    suppression s = {0};
    TRY(suppress(n, &s, err));
    n->state = s.selected;
    return STATUS_OK;
}

static void release(ox_node *n) {
    mem_free(n->state);
    n->state = NULL;
}

static status forward(ox_node *n, error *err) {
    (void)err;
    if (n->out[0]->n > 0) {
        memcpy(n->out[0]->data, n->state, n->out[0]->n * sizeof(int64_t));
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_non_max_suppression = {.op = "NonMaxSuppression",
                                                 .min_opset = 10,
                                                 .max_opset = 9999,
                                                 .flags = OX_NO_GRADIENT,
                                                 .min_in = 2,
                                                 .max_in = 5,
                                                 .min_out = 1,
                                                 .max_out = 1,
                                                 .infer = infer,
                                                 .prepare = prepare,
                                                 .release = release,
                                                 .forward = forward};
