/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/dnnl.h"

status ox_dnnl_open(ox_dnnl *d, error *err) {
    OX_DNNL(dnnl_engine_create(&d->engine, dnnl_cpu, 0));
    OX_DNNL(dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags));
    OX_DNNL(dnnl_primitive_attr_create(&d->attr));
    OX_DNNL(dnnl_primitive_attr_set_scratchpad_mode(d->attr, dnnl_scratchpad_mode_user));
    return STATUS_OK;
}

void ox_dnnl_close(ox_dnnl *d) {
    (void)dnnl_primitive_attr_destroy(d->attr);
    (void)dnnl_stream_destroy(d->stream);
    (void)dnnl_engine_destroy(d->engine);
    *d = (ox_dnnl){0};
}

status ox_scratch_create(ox_scratch *s, const_dnnl_primitive_desc_t pd, dnnl_engine_t engine, error *err) {
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    size_t bytes = md == NULL ? 0 : dnnl_memory_desc_get_size(md);
    if (bytes == 0) {
        return STATUS_OK;
    }
    s->data = mem_try(bytes, 1, "work space of oneDNN", err);
    if (s->data == NULL) {
        return STATUS_MEMORY;
    }
    OX_DNNL(dnnl_memory_create(&s->memory, md, engine, s->data));
    return STATUS_OK;
}

void ox_scratch_destroy(ox_scratch *s) {
    (void)dnnl_memory_destroy(s->memory);
    mem_free(s->data);
    *s = (ox_scratch){0};
}

status ox_dnnl_desc(dnnl_memory_desc_t *md, int n_dims, const int64_t *dims, uint32_t block, error *err) {
    if (block > 0) {
        dnnl_format_tag_t tag = block == 16 ? dnnl_nChw16c : dnnl_nChw8c;
        OX_DNNL(dnnl_memory_desc_init_by_tag(md, n_dims, dims, dnnl_f32, tag));
        return STATUS_OK;
    }
    dnnl_dims_t strides = {0};
    for (int i = n_dims - 1; i >= 0; i--) {
        strides[i] = i == n_dims - 1 ? 1 : strides[i + 1] * dims[i + 1];
    }
    OX_DNNL(dnnl_memory_desc_init_by_strides(md, n_dims, dims, dnnl_f32, strides));
    return STATUS_OK;
}

/* ---- reorders ----------------------------------------------------------------------------------- */

struct ox_reorder {
    ox_dnnl d;
    dnnl_memory_t from, to;
    dnnl_primitive_t primitive;
    ox_scratch work;
};

static status create_reorder(ox_reorder *r, const int64_t dims[4], uint32_t from_block, uint32_t to_block, error *err) {
    dnnl_memory_desc_t from, to;
    TRY(ox_dnnl_open(&r->d, err));
    TRY(ox_dnnl_desc(&from, 4, dims, from_block, err));
    TRY(ox_dnnl_desc(&to, 4, dims, to_block, err));
    OX_DNNL(dnnl_memory_create(&r->from, &from, r->d.engine, DNNL_MEMORY_NONE));
    OX_DNNL(dnnl_memory_create(&r->to, &to, r->d.engine, DNNL_MEMORY_NONE));
    dnnl_primitive_desc_t pd = NULL;
    OX_DNNL(dnnl_reorder_primitive_desc_create(&pd, &from, r->d.engine, &to, r->d.engine, r->d.attr));
    dnnl_status_t code = dnnl_primitive_create(&r->primitive, pd);
    status work = code == dnnl_success ? ox_scratch_create(&r->work, pd, r->d.engine, err) : STATUS_OK;
    (void)dnnl_primitive_desc_destroy(pd);
    OX_DNNL(code);
    return work;
}

status ox_reorder_create(const int64_t dims[4], uint32_t from_block, uint32_t to_block, ox_reorder **out, error *err) {
    *out = mem_zalloc(sizeof **out);
    status s = create_reorder(*out, dims, from_block, to_block, err);
    if (s != STATUS_OK) {
        ox_reorder_destroy(*out);
        *out = NULL;
    }
    return s;
}

void ox_reorder_destroy(ox_reorder *r) {
    if (r != NULL) {
        (void)dnnl_primitive_destroy(r->primitive);
        (void)dnnl_memory_destroy(r->from);
        (void)dnnl_memory_destroy(r->to);
        ox_scratch_destroy(&r->work);
        ox_dnnl_close(&r->d);
        mem_free(r);
    }
}

status ox_reorder_run(ox_reorder *r, const float *from, float *to, error *err) {
    OX_DNNL(dnnl_memory_set_data_handle(r->from, ox_dnnl_handle(from)));
    OX_DNNL(dnnl_memory_set_data_handle(r->to, to));
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, r->from}, {DNNL_ARG_TO, r->to}, {DNNL_ARG_SCRATCHPAD, r->work.memory}};
    OX_DNNL(dnnl_primitive_execute(r->primitive, r->d.stream, r->work.memory != NULL ? 3 : 2, args));
    OX_DNNL(dnnl_stream_wait(r->d.stream));
    return STATUS_OK;
}
