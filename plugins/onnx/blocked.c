/* SPDX-License-Identifier: Apache-2.0
 * Layout planning: convolutions want their channels in blocks of a vector's width, and what lies between two of them
 * (activations, additions, pools) can work on the blocks. So values stay blocked from node to node, and a reorder
 * stands only where a blocked value meets a kernel that needs rows. What is wanted by name is always in rows. */
#include <string.h>

#include "kernels/blocked.h"
#include "plan_build.h"

typedef struct planner {
    ox_builder *b;
    ox_plan *p;
    ox_tensor **blocked; /* by tensor: its copy in blocks, or NULL */
    ox_tensor **rows;    /* by tensor: the copy in rows of a blocked one */
    bool *viewed;        /* by tensor: another one has its bytes */
} planner;

static size_t index_of(const planner *l, const ox_tensor *t) {
    return (size_t)(t - l->p->tensors);
}

/* The blocked form of a value (N, C, H, W): see ox_tensor.block. */
static status set_blocked(ox_tensor *t, uint32_t block, error *err) {
    int64_t shape[5] = {t->shape[0], (t->shape[1] + block - 1) / block, t->shape[2], t->shape[3], block};
    int64_t channels = t->shape[1];
    TRY(ox_set_shape(t, t->dtype, shape, 5, err));
    t->block = block;
    t->channels = channels;
    return STATUS_OK;
}

static status set_rows(ox_tensor *t, const ox_tensor *from, error *err) {
    int64_t shape[ASSAY_MAX_DIMS];
    uint32_t n_dims = 0;
    ox_logical_shape(from, shape, &n_dims);
    t->has_batch = from->has_batch;
    return ox_set_shape(t, from->dtype, shape, n_dims, err);
}

static void add_node(planner *l, const ox_node *n) {
    l->p->nodes[l->p->n_nodes++] = *n;
}

static void add_reorder(planner *l, ox_tensor *from, ox_tensor *to) {
    ox_node n = {.name = to->name, .op = ox_kernel_reorder.op, .opset = 1, .kernel = &ox_kernel_reorder};
    ox_build_ports(l->b, &n, 1, 1);
    n.in[0] = from;
    n.out[0] = to;
    add_node(l, &n);
}

static status new_tensor(planner *l, const ox_tensor *like, uint32_t block, ox_tensor **out) {
    *out = ox_build_tensor(l->b, like->name);
    TRY(set_rows(*out, like, l->b->err));
    return block > 0 ? set_blocked(*out, block, l->b->err) : STATUS_OK;
}

/* `t` in another layout: made once, read by all. */
static status other_layout(planner *l, ox_tensor *t, uint32_t block, ox_tensor **out) {
    ox_tensor **known = block > 0 ? &l->blocked[index_of(l, t)] : &l->rows[index_of(l, t)];
    if (*known == NULL || (*known)->block != block) {
        TRY(new_tensor(l, t, block, known));
        add_reorder(l, t, *known);
    }
    *out = *known;
    return STATUS_OK;
}

static status need(planner *l, ox_node *n, size_t i, uint32_t block) {
    if (i >= n->n_in || n->in[i] == NULL || n->in[i]->is_const || n->in[i]->block == block) {
        return STATUS_OK;
    }
    return other_layout(l, n->in[i], block, &n->in[i]);
}

static status need_rows(planner *l, ox_node *n) {
    for (size_t i = 0; i < n->n_in; i++) {
        TRY(need(l, n, i, 0));
    }
    return STATUS_OK;
}

static bool is_image(const ox_tensor *t) {
    return t->n_dims == 4 && t->dtype == ASSAY_F32 && !t->is_const && t->n > 0;
}

/* A reader that the plan does not know, or a view, would take blocks for rows. */
static bool may_block(const planner *l, const ox_tensor *t) {
    return is_image(t) && !l->b->wanted[index_of(l, t)] && !l->viewed[index_of(l, t)];
}

/* The block of a pointwise node's output: that of its blocked inputs, if all others can be brought to it. Scalars
 * fit any layout. */
static uint32_t common_block(const ox_node *n) {
    uint32_t block = 0;
    if ((n->kernel->flags & OX_POINTWISE) == 0 || n->n_out != 1 || !is_image(n->out[0]) ||
        ox_attr_find(n, "axis") != NULL) { /* of broadcasting before opset 7 */
        return 0;
    }
    for (size_t i = 0; i < n->n_in; i++) {
        const ox_tensor *t = n->in[i];
        if (t == NULL || (t->is_const && t->n == 1)) {
            continue;
        }
        int64_t shape[ASSAY_MAX_DIMS];
        uint32_t n_dims = 0;
        ox_logical_shape(t, shape, &n_dims);
        if (t->is_const || n_dims != 4 || memcmp(shape, n->out[0]->shape, 4 * sizeof *shape) != 0) {
            return 0;
        }
        block = t->block > block ? t->block : block;
    }
    return block;
}

/* Adds the node; its output is given in `block`s, and where it must stand in rows, a copy is, followed by a reorder. */
static status add_blocked(planner *l, ox_node *n, uint32_t block) {
    ox_tensor *rows = n->out[0];
    if (block == 0 || may_block(l, rows)) {
        add_node(l, n);
        return block == 0 ? STATUS_OK : set_blocked(rows, block, l->b->err);
    }
    TRY(new_tensor(l, rows, block, &n->out[0]));
    add_node(l, n);
    add_reorder(l, n->out[0], rows);
    return STATUS_OK;
}

static status pointwise(planner *l, ox_node *n, uint32_t block) {
    for (size_t i = 0; i < n->n_in; i++) {
        TRY(need(l, n, i, block));
    }
    return add_blocked(l, n, block);
}

/* A kernel that takes and gives whatever it says; it reorders its output itself where that is cheaper (the kernels of
 * files), or cannot (those for blocks alone). */
static status by_layout(planner *l, ox_node *n) {
    uint32_t in = 0, out = 0;
    n->kernel->layout(n, &in, &out);
    bool blocks_only = n->kernel->infer == NULL;
    out = blocks_only || may_block(l, n->out[0]) ? out : 0;
    TRY(need(l, n, 0, in));
    for (size_t i = 1; i < n->n_in; i++) {
        TRY(need(l, n, i, i == OX_RESIDUAL ? out : 0));
    }
    return add_blocked(l, n, out);
}

static status plan_node(planner *l, const ox_node *from) {
    ox_node n = *from;
    status s = STATUS_OK;
    if (n.kernel->blocked != NULL && n.in[0]->block > 0 && n.n_out == 1) {
        n.kernel = n.kernel->blocked;
    }
    uint32_t block = common_block(&n);
    if (n.kernel->layout != NULL) {
        s = by_layout(l, &n);
    } else if (block > 0) {
        s = pointwise(l, &n, block);
    } else {
        s = need_rows(l, &n);
        add_node(l, &n);
    }
    return s == STATUS_OK ? s : ox_node_error(l->b->g, n.name, n.op, l->b->err);
}

static bool any_layout(const ox_plan *p) {
    for (size_t k = 0; k < p->n_nodes; k++) {
        if (p->nodes[k].kernel->layout != NULL) {
            return true;
        }
    }
    return false;
}

status ox_build_layouts(ox_builder *b) {
    ox_plan *p = b->p;
    if (!any_layout(p)) {
        return STATUS_OK;
    }
    size_t n = p->n_nodes;
    planner l = {.b = b, .p = p};
    ox_node *before = arena_alloc(&p->memory, n * sizeof *before);
    memcpy(before, p->nodes, n * sizeof *before);
    l.blocked = arena_alloc(&p->memory, p->cap_tensors * sizeof *l.blocked);
    l.rows = arena_alloc(&p->memory, p->cap_tensors * sizeof *l.rows);
    l.viewed = arena_alloc(&p->memory, p->cap_tensors * sizeof *l.viewed);
    for (size_t v = 0; v < p->n_tensors; v++) {
        l.viewed[p->root[v]] = l.viewed[p->root[v]] || p->root[v] != v;
    }
    p->n_nodes = 0;
    for (size_t k = 0; k < n; k++) {
        TRY(plan_node(&l, &before[k]));
    }
    return STATUS_OK;
}
