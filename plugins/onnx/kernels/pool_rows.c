/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/pool_rows.h"

status ox_pool_infer(ox_node *n, ox_window *w, error *err) {
    if (n->in[0] == NULL || n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "input 0 or output 0 is missing");
    }
    const ox_tensor *x = n->in[0];
    TRY(ox_window_read(n, NULL, true, w, err));
    int64_t shape[5] = {x->shape[0], x->shape[1]};
    for (uint32_t i = 0; i < w->n_spatial; i++) {
        shape[2 + i] = (int64_t)w->out[3 - w->n_spatial + i];
    }
    return ox_set_shape(n->out[0], x->dtype, shape, x->n_dims, err);
}

/* No product overflows: check_pool and the window's limits keep a padded row below 2^31 elements. */
static status make_rows(ox_pool *p, error *err) {
    const ox_window *w = &p->w;
    size_t s = w->stride[2];
    p->width = (w->out[2] - 1) * s + (w->k[2] - 1) * w->dilation[2] + 1;
    p->middle = w->in[2] < p->width - w->pad_lo[2] ? w->in[2] : p->width - w->pad_lo[2];
    p->phase = p->width / s + 2;
    p->tap_at = mem_try(w->k[2], sizeof *p->tap_at, "window's taps", err);
    p->column = mem_try(w->out[2], sizeof *p->column, "row of a pool", err);
    if (p->tap_at == NULL || p->column == NULL) {
        return STATUS_MEMORY;
    }
    for (size_t t = 0; t < w->k[2]; t++) {
        p->tap_at[t] = t * w->dilation[2] % s * p->phase + t * w->dilation[2] / s;
    }
    for (unsigned i = 0; i < OX_POOL_BUFFERS; i++) {
        p->buffer[i] = mem_try(s * p->phase, sizeof(double), "row of a pool", err);
        if (p->buffer[i] == NULL) {
            return STATUS_MEMORY;
        }
    }
    return STATUS_OK;
}

status ox_pool_prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    ox_pool *p = mem_zalloc(sizeof *p);
    n->state = p;
    TRY(ox_window_read(n, NULL, true, &p->w, err));
    p->by_rows = p->w.stride[2] <= OX_POOL_MAX_STRIDE && n->out[0]->n > 0;
    return p->by_rows ? make_rows(p, err) : STATUS_OK;
}

void ox_pool_release(ox_node *n) {
    ox_pool *p = n->state;
    if (p != NULL) {
        for (unsigned i = 0; i < OX_POOL_BUFFERS; i++) {
            mem_free(p->buffer[i]);
        }
        mem_free(p->tap_at);
        mem_free(p->column);
        mem_free(p);
        n->state = NULL;
    }
}
