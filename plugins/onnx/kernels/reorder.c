/* SPDX-License-Identifier: Apache-2.0
 * "(reorder)": in[0] as it is, out[0] in another layout of the channels. The plan puts it where a
 * blocked value meets a kernel that wants rows, and the other way round (blocked.c). */
#include "kernels/blocked.h"
#include "kernels/dnnl.h"
#include "kernels/epilogue.h"

typedef struct reorder_state {
    ox_reorder *forward, *backward;
    float *back; /* the gradient of in[0] before it is added */
} reorder_state;

static void release(ox_node *n) {
    reorder_state *s = n->state;
    if (s != NULL) {
        ox_reorder_destroy(s->forward);
        ox_reorder_destroy(s->backward);
        mem_free(s->back);
        mem_free(s);
        n->state = NULL;
    }
}

static status fill_state(ox_node *n, reorder_state *s, bool want_vjp, error *err) {
    int64_t dims[ASSAY_MAX_DIMS];
    uint32_t n_dims = 0;
    ox_logical_shape(n->in[0], dims, &n_dims);
    TRY(ox_reorder_create(dims, n->in[0]->block, n->out[0]->block, &s->forward, err));
    if (!want_vjp) {
        return STATUS_OK;
    }
    s->back = mem_try(n->in[0]->n, sizeof(float), "gradient", err);
    TRY(s->back == NULL ? STATUS_MEMORY : STATUS_OK);
    return ox_reorder_create(dims, n->out[0]->block, n->in[0]->block, &s->backward, err);
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    n->state = mem_zalloc(sizeof(reorder_state));
    status s = fill_state(n, n->state, want_vjp, err);
    if (s != STATUS_OK) {
        release(n);
    }
    return s;
}

static status forward(ox_node *n, error *err) {
    const reorder_state *s = n->state;
    return ox_reorder_run(s->forward, n->in[0]->data, n->out[0]->data, err);
}

static status vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    const reorder_state *s = n->state;
    float *dx = ox_grad_in(n, 0);
    const float *g = ox_grad_out(n, 0);
    if (dx == NULL || g == NULL) {
        ox_clear_fresh(n);
        return STATUS_OK;
    }
    bool fresh = ox_is_fresh(n, 0);
    TRY(ox_reorder_run(s->backward, g, fresh ? dx : s->back, err));
    if (!fresh) {
        ox_accumulate(ox_isa_best(), dx, s->back, n->in[0]->n, false);
    }
    return STATUS_OK;
}

const ox_kernel ox_kernel_reorder = {.op = "(reorder)",
                                     .min_opset = 1,
                                     .max_opset = 9999,
                                     .flags = OX_KEEPS_BATCH | OX_STORES_GRADIENT,
                                     .min_in = 1,
                                     .max_in = 1,
                                     .min_out = 1,
                                     .max_out = 1,
                                     .prepare = prepare,
                                     .release = release,
                                     .forward = forward,
                                     .vjp = vjp};
