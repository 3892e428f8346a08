/* SPDX-License-Identifier: Apache-2.0
 * Col2Im (opset 18 on), one to three spatial dimensions: x (N, C * taps, L), image_shape and block_shape constants, to
 * y (N, C, image): each column element is added to the image element it stands for. Its gradient is im2col. */
#include <inttypes.h>

#include "kernels/columns.h"
#include "kernels/moves.h"

typedef struct plan {
    ox_window w;
    size_t batch, channels;
    float *columns; /* of one example's gradient */
} plan;

static status read_dims(const ox_list *l, const char *what, size_t *v, error *err) {
    for (size_t i = 0; i < l->n; i++) {
        if (l->v[i] < 1 || l->v[i] > (int64_t)1 << 30) {
            return error_set(err, STATUS_MODEL, "%s[%zu] is %" PRId64, what, i, l->v[i]);
        }
        v[i] = (size_t)l->v[i];
    }
    return STATUS_OK;
}

static status read_plan(const ox_node *n, plan *p, error *err) {
    TRY(ox_need_float(n, 0, err));
    const ox_tensor *x = n->in[0];
    ox_list image, block;
    *p = (plan){.w = {.k = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}, .in = {1, 1, 1}, .out = {1, 1, 1}}};
    TRY(ox_list_read(n, NULL, 1, &image, err));
    TRY(ox_list_read(n, NULL, 2, &block, err));
    if (x->n_dims != 3 || image.n == 0 || image.n != block.n) {
        return error_set(err, STATUS_MODEL, "%u dimensions, an image of %zu, blocks of %zu", x->n_dims, image.n,
                         block.n);
    }
    if (image.n > 3) {
        return error_set(err, STATUS_UNSUPPORTED, "an image of %zu dimensions; at most 3 are supported", image.n);
    }
    p->w.n_spatial = (uint32_t)image.n;
    TRY(read_dims(&image, "image_shape", p->w.in + 3 - image.n, err));
    TRY(read_dims(&block, "block_shape", p->w.k + 3 - image.n, err));
    TRY(ox_window_read_image(n, &p->w, err));
    p->batch = (size_t)x->shape[0];
    p->channels = (size_t)x->shape[1] / p->w.taps;
    if ((size_t)x->shape[1] % p->w.taps != 0 || (size_t)x->shape[2] != p->w.out_plane) {
        return error_set(err, STATUS_MODEL, "columns of %" PRId64 "x%" PRId64 " for blocks of %zu at %zu places",
                         x->shape[1], x->shape[2], p->w.taps, p->w.out_plane);
    }
    return STATUS_OK;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    plan p;
    TRY(read_plan(n, &p, err));
    int64_t shape[5] = {n->in[0]->shape[0], (int64_t)p.channels};
    for (uint32_t i = 0; i < p.w.n_spatial; i++) {
        shape[2 + i] = (int64_t)p.w.in[3 - p.w.n_spatial + i];
    }
    return ox_set_shape(n->out[0], n->in[0]->dtype, shape, 2 + p.w.n_spatial, err);
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    plan *p = mem_zalloc(sizeof *p);
    n->state = p;
    TRY(read_plan(n, p, err));
    if (want_vjp && p->batch > 0) {
        p->columns = mem_try(n->in[0]->n / p->batch, sizeof *p->columns, "columns", err);
        return p->columns == NULL ? STATUS_MEMORY : STATUS_OK;
    }
    return STATUS_OK;
}

static void release(ox_node *n) {
    plan *p = n->state;
    if (p != NULL) {
        mem_free(p->columns);
        mem_free(p);
        n->state = NULL;
    }
}

static status forward(ox_node *n, error *err) {
    (void)err;
    const plan *p = n->state;
    memset(n->out[0]->data, 0, n->out[0]->n * ox_dtype_bytes(n->out[0]->dtype));
    for (size_t e = 0; n->out[0]->n > 0 && e < p->batch; e++) {
        size_t from = e * (n->in[0]->n / p->batch), to = e * p->channels * p->w.in_plane;
        if (n->in[0]->dtype == ASSAY_F32) {
            ox_columns_add(&p->w, p->channels, ox_f32(n->in[0]) + from, (float *)n->out[0]->data + to);
        } else {
            ox_columns_add_double(&p->w, p->channels, (const double *)n->in[0]->data + from,
                                  (double *)n->out[0]->data + to);
        }
    }
    return STATUS_OK;
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const plan *p = n->state;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    for (size_t e = 0; g != NULL && dx != NULL && e < p->batch; e++) {
        size_t len = n->in[0]->n / p->batch;
        float *to = dx + e * len;
        ox_columns_take(&p->w, p->channels, g + e * p->channels * p->w.in_plane, p->columns);
        for (size_t i = 0; i < len; i++) {
            to[i] += p->columns[i];
        }
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_col2im = {.op = "Col2Im",
                                    .min_opset = 18,
                                    .max_opset = 9999,
                                    .flags = OX_KEEPS_BATCH,
                                    .min_in = 3,
                                    .max_in = 3,
                                    .min_out = 1,
                                    .max_out = 1,
                                    .infer = infer,
                                    .prepare = prepare,
                                    .release = release,
                                    .forward = forward,
                                    .vjp = vjp};
