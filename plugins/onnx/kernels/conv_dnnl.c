/* SPDX-License-Identifier: Apache-2.0
 * oneDNN 2.x keeps data in blocked layouts of its choice: weights are reordered once, input and output of each
 * example on the way in and out where its layout is not the model's. */
#include "kernels/conv.h"
#include "kernels/dnnl.h"

/* A value in the model's layout (`user`, whose memory moves with every call) and in oneDNN's (`inner`, ours). */
typedef struct port {
    dnnl_memory_t user, inner;
    dnnl_primitive_t reorder; /* NULL: the layouts are the same, user is used as it is */
    ox_scratch work;
    float *data;
} port;

typedef struct direction {
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive;
    ox_scratch work;
    port from, to, weights;
} direction;

struct ox_conv_dnnl {
    ox_dnnl d;
    direction forward, backward; /* backward: from dy to dx */
    dnnl_memory_t bias;
    bool want_vjp;
};

static void port_destroy(port *p) {
    (void)dnnl_primitive_destroy(p->reorder);
    (void)dnnl_memory_destroy(p->user);
    (void)dnnl_memory_destroy(p->inner);
    ox_scratch_destroy(&p->work);
    mem_free(p->data);
}

static void direction_destroy(direction *d) {
    port_destroy(&d->from);
    port_destroy(&d->to);
    port_destroy(&d->weights);
    (void)dnnl_primitive_destroy(d->primitive);
    (void)dnnl_primitive_desc_destroy(d->pd);
    ox_scratch_destroy(&d->work);
}

void ox_conv_dnnl_destroy(ox_conv_dnnl *c) {
    if (c == NULL) {
        return;
    }
    direction_destroy(&c->forward);
    direction_destroy(&c->backward);
    (void)dnnl_memory_destroy(c->bias);
    ox_dnnl_close(&c->d);
    mem_free(c);
}

/* Plain and free-layout descriptors of x, weights, bias, y. */
typedef struct descs {
    dnnl_memory_desc_t x, w, b, y, x_any, w_any, y_any;
    dnnl_dims_t strides, dilates, lo, hi;
} descs;

static status any_layout(dnnl_memory_desc_t *any, int n_dims, const dnnl_dims_t dims, error *err) {
    OX_DNNL(dnnl_memory_desc_init_by_tag(any, n_dims, dims, dnnl_f32, dnnl_format_tag_any));
    return STATUS_OK;
}

/* Values that the plan keeps in blocks are taken and given as they are; of others oneDNN chooses the layout inside. */
static status value_layouts(dnnl_memory_desc_t *md, dnnl_memory_desc_t *any, int n_dims, const dnnl_dims_t dims,
                            uint32_t block, error *err) {
    TRY(ox_dnnl_desc(md, n_dims, dims, block, err));
    *any = *md;
    return block > 0 ? STATUS_OK : any_layout(any, n_dims, dims, err);
}

static status describe(const ox_conv_shape *s, descs *d, error *err) {
    const ox_window *w = &s->w;
    uint32_t first = 3 - w->n_spatial;
    int n = (int)w->n_spatial, grouped = s->groups > 1 ? 1 : 0;
    dnnl_dims_t x = {1, (int64_t)s->c_in}, y = {1, (int64_t)s->c_out}, b = {(int64_t)s->c_out}, k = {0};
    k[0] = (int64_t)s->groups;
    k[grouped] = (int64_t)(s->c_out / s->groups);
    k[grouped + 1] = (int64_t)(s->c_in / s->groups);
    for (int i = 0; i < n; i++) {
        x[2 + i] = (int64_t)w->in[first + (uint32_t)i];
        y[2 + i] = (int64_t)w->out[first + (uint32_t)i];
        k[grouped + 2 + i] = (int64_t)w->k[first + (uint32_t)i];
        d->strides[i] = (int64_t)w->stride[first + (uint32_t)i];
        d->dilates[i] = (int64_t)w->dilation[first + (uint32_t)i] - 1;
        d->lo[i] = (int64_t)w->pad_lo[first + (uint32_t)i];
        d->hi[i] = (int64_t)w->pad_hi[first + (uint32_t)i];
    }
    TRY(value_layouts(&d->x, &d->x_any, n + 2, x, s->x_block, err));
    TRY(value_layouts(&d->y, &d->y_any, n + 2, y, s->y_block, err));
    TRY(value_layouts(&d->w, &d->w_any, n + 2 + grouped, k, 0, err));
    return ox_dnnl_desc(&d->b, 1, b, 0, err);
}

/* to_inner: the user's data are reordered into ours before the primitive; else ours into the user's after it. */
static status port_create(port *p, const ox_conv_dnnl *c, const dnnl_memory_desc_t *user,
                          const dnnl_memory_desc_t *inner, bool to_inner, error *err) {
    dnnl_engine_t engine = c->d.engine;
    OX_DNNL(dnnl_memory_create(&p->user, user, engine, DNNL_MEMORY_NONE));
    if (dnnl_memory_desc_equal(user, inner) != 0) {
        return STATUS_OK;
    }
    p->data = mem_try(dnnl_memory_desc_get_size(inner), 1, "blocked tensor", err);
    if (p->data == NULL) {
        return STATUS_MEMORY;
    }
    OX_DNNL(dnnl_memory_create(&p->inner, inner, engine, p->data));
    dnnl_primitive_desc_t pd = NULL;
    OX_DNNL(dnnl_reorder_primitive_desc_create(&pd, to_inner ? user : inner, engine, to_inner ? inner : user, engine,
                                               c->d.attr));
    dnnl_status_t code = dnnl_primitive_create(&p->reorder, pd);
    status work = code == dnnl_success ? ox_scratch_create(&p->work, pd, engine, err) : STATUS_OK;
    (void)dnnl_primitive_desc_destroy(pd);
    OX_DNNL(code);
    return work;
}

/* forward_training also where no gradient is wanted: the two kinds choose different implementations, and a prediction
 * should not depend on what else a session may be asked. (It was also the faster one: 4.1 against 6.3 us for
 * 1 -> 16 channels, 28x28, AVX-512.) */
static status create_forward(ox_conv_dnnl *c, const descs *d, bool bias, error *err) {
    dnnl_convolution_desc_t cd;
    OX_DNNL(dnnl_dilated_convolution_forward_desc_init(&cd, dnnl_forward_training, dnnl_convolution_direct, &d->x_any,
                                                       &d->w_any, bias ? &d->b : NULL, &d->y_any, d->strides,
                                                       d->dilates, d->lo, d->hi));
    direction *f = &c->forward;
    OX_DNNL(dnnl_primitive_desc_create(&f->pd, &cd, c->d.attr, c->d.engine, NULL));
    OX_DNNL(dnnl_primitive_create(&f->primitive, f->pd));
    TRY(ox_scratch_create(&f->work, f->pd, c->d.engine, err));
    TRY(port_create(&f->from, c, &d->x, dnnl_primitive_desc_query_md(f->pd, dnnl_query_src_md, 0), true, err));
    TRY(port_create(&f->weights, c, &d->w, dnnl_primitive_desc_query_md(f->pd, dnnl_query_weights_md, 0), true, err));
    TRY(port_create(&f->to, c, &d->y, dnnl_primitive_desc_query_md(f->pd, dnnl_query_dst_md, 0), false, err));
    if (bias) {
        OX_DNNL(dnnl_memory_create(&c->bias, &d->b, c->d.engine, DNNL_MEMORY_NONE));
    }
    return STATUS_OK;
}

static status create_backward(ox_conv_dnnl *c, const descs *d, error *err) {
    dnnl_convolution_desc_t cd;
    OX_DNNL(dnnl_dilated_convolution_backward_data_desc_init(&cd, dnnl_convolution_direct, &d->x_any, &d->w_any,
                                                             &d->y_any, d->strides, d->dilates, d->lo, d->hi));
    direction *b = &c->backward;
    OX_DNNL(dnnl_primitive_desc_create(&b->pd, &cd, c->d.attr, c->d.engine, c->forward.pd));
    OX_DNNL(dnnl_primitive_create(&b->primitive, b->pd));
    TRY(ox_scratch_create(&b->work, b->pd, c->d.engine, err));
    TRY(port_create(&b->from, c, &d->y, dnnl_primitive_desc_query_md(b->pd, dnnl_query_diff_dst_md, 0), true, err));
    TRY(port_create(&b->weights, c, &d->w, dnnl_primitive_desc_query_md(b->pd, dnnl_query_weights_md, 0), true, err));
    return port_create(&b->to, c, &d->x, dnnl_primitive_desc_query_md(b->pd, dnnl_query_diff_src_md, 0), false, err);
}

static status create(ox_conv_dnnl *c, const ox_conv_shape *s, bool bias, error *err) {
    descs d = {0};
    TRY(describe(s, &d, err));
    TRY(ox_dnnl_open(&c->d, err));
    TRY(create_forward(c, &d, bias, err));
    return c->want_vjp ? create_backward(c, &d, err) : STATUS_OK;
}

status ox_conv_dnnl_create(const ox_conv_shape *s, bool bias, bool want_vjp, ox_conv_dnnl **out, error *err) {
    ox_conv_dnnl *c = mem_zalloc(sizeof *c);
    c->want_vjp = want_vjp;
    status code = create(c, s, bias, err);
    if (code != STATUS_OK) {
        ox_conv_dnnl_destroy(c);
        c = NULL;
    }
    *out = c;
    return code;
}

static status reorder(ox_conv_dnnl *c, const port *p, bool to_inner, error *err) {
    if (p->reorder == NULL) {
        return STATUS_OK;
    }
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, to_inner ? p->user : p->inner},
                              {DNNL_ARG_TO, to_inner ? p->inner : p->user},
                              {DNNL_ARG_SCRATCHPAD, p->work.memory}};
    OX_DNNL(dnnl_primitive_execute(p->reorder, c->d.stream, p->work.memory != NULL ? 3 : 2, args));
    return STATUS_OK;
}

static dnnl_memory_t memory_of(const port *p) {
    return p->reorder == NULL ? p->user : p->inner;
}

status ox_conv_dnnl_weights(ox_conv_dnnl *c, const float *weights, const float *bias, error *err) {
    OX_DNNL(dnnl_memory_set_data_handle(c->forward.weights.user, ox_dnnl_handle(weights)));
    TRY(reorder(c, &c->forward.weights, true, err));
    if (c->bias != NULL) {
        OX_DNNL(dnnl_memory_set_data_handle(c->bias, ox_dnnl_handle(bias)));
    }
    if (c->want_vjp) {
        OX_DNNL(dnnl_memory_set_data_handle(c->backward.weights.user, ox_dnnl_handle(weights)));
        TRY(reorder(c, &c->backward.weights, true, err));
    }
    OX_DNNL(dnnl_stream_wait(c->d.stream));
    return STATUS_OK;
}

#define MAX_ARGS 5 /* of a convolution: its three values, bias, work space */

/* set_data_handle writes zeros into the padding of a blocked layout, where an activation may have left others. */
static status run(ox_conv_dnnl *c, direction *d, int n_args, dnnl_exec_arg_t args[MAX_ARGS], const float *from,
                  float *to, error *err) {
    if (d->work.memory != NULL) {
        args[n_args++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, d->work.memory};
    }
    OX_DNNL(dnnl_memory_set_data_handle(d->from.user, ox_dnnl_handle(from)));
    OX_DNNL(dnnl_memory_set_data_handle(d->to.user, to));
    TRY(reorder(c, &d->from, true, err));
    OX_DNNL(dnnl_primitive_execute(d->primitive, c->d.stream, n_args, args));
    TRY(reorder(c, &d->to, false, err));
    OX_DNNL(dnnl_stream_wait(c->d.stream));
    return STATUS_OK;
}

status ox_conv_dnnl_forward(ox_conv_dnnl *c, const float *x, float *y, error *err) {
    direction *d = &c->forward;
    dnnl_exec_arg_t args[MAX_ARGS] = {{DNNL_ARG_SRC, memory_of(&d->from)},
                                      {DNNL_ARG_WEIGHTS, memory_of(&d->weights)},
                                      {DNNL_ARG_DST, memory_of(&d->to)},
                                      {DNNL_ARG_BIAS, c->bias}};
    return run(c, d, c->bias != NULL ? 4 : 3, args, x, y, err);
}

status ox_conv_dnnl_backward(ox_conv_dnnl *c, const float *dy, float *dx, error *err) {
    direction *d = &c->backward;
    dnnl_exec_arg_t args[MAX_ARGS] = {{DNNL_ARG_DIFF_DST, memory_of(&d->from)},
                                      {DNNL_ARG_WEIGHTS, memory_of(&d->weights)},
                                      {DNNL_ARG_DIFF_SRC, memory_of(&d->to)}};
    return run(c, d, 3, args, dy, dx, err);
}

/* ---- which blocks ------------------------------------------------------------------------------- */

/* 0 where oneDNN's choice is none of ours. */
static uint32_t block_of(const dnnl_memory_desc_t *md, int n_dims, const int64_t *dims) {
    for (uint32_t block = 8; n_dims == 4 && block <= 16; block += 8) {
        dnnl_memory_desc_t ours;
        if (ox_dnnl_desc(&ours, n_dims, dims, block, NULL) == STATUS_OK && dnnl_memory_desc_equal(&ours, md) != 0) {
            return block;
        }
    }
    return 0;
}

void ox_conv_dnnl_blocks(const ox_conv_shape *s, uint32_t *in_block, uint32_t *out_block) {
    *in_block = *out_block = 0;
    ox_conv_dnnl *c = NULL;
    ox_conv_shape free_choice = *s;
    free_choice.x_block = free_choice.y_block = 0;
    if (ox_conv_dnnl_create(&free_choice, false, false, &c, NULL) != STATUS_OK) {
        return;
    }
    descs d = {0};
    if (describe(&free_choice, &d, NULL) == STATUS_OK) {
        const direction *f = &c->forward;
        *in_block = block_of(dnnl_primitive_desc_query_md(f->pd, dnnl_query_src_md, 0), d.x.ndims, d.x.dims);
        *out_block = block_of(dnnl_primitive_desc_query_md(f->pd, dnnl_query_dst_md, 0), d.y.ndims, d.y.dims);
    }
    ox_conv_dnnl_destroy(c);
}
