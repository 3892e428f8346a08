/* SPDX-License-Identifier: Apache-2.0
 * DepthToSpace (DCR; CRD from opset 11 on) and SpaceToDepth, any dtype: blocks of b x b between channels and space. */
#include "kernels/moves.h"

typedef struct blocks {
    int64_t b, c, h,
        w;    /* block size; channels, height and width of the deep side divided among blocks: (b b c, h, w) */
    bool crd; /* channel c b b + block instead of block * c + channel */
} blocks;

static status read_blocks(const ox_node *n, bool to_space, blocks *k, error *err) {
    const ox_tensor *x = n->in[0];
    TRY(ox_check_attr(n, "blocksize", OX_INT, err));
    TRY(ox_check_attr(n, "mode", OX_STRING, err));
    const ox_attr *mode = to_space ? ox_attr_find(n, "mode") : NULL;
    int64_t b = ox_attr_int(n, "blocksize", 0);
    if (x->n_dims != 4 || b < 1 || b > 0x7fffffff) {
        return error_set(err, STATUS_MODEL, "blocksize %lld for an input of %u dimensions", (long long)b, x->n_dims);
    }
    *k = (blocks){.b = b, .c = x->shape[1], .h = x->shape[2], .w = x->shape[3]};
    k->crd = mode != NULL && strcmp(mode->s, "CRD") == 0;
    if (mode != NULL && !k->crd && strcmp(mode->s, "DCR") != 0) {
        return error_set(err, STATUS_MODEL, "mode \"%.40s\"", mode->s);
    }
    if (to_space ? k->c % (b * b) != 0 : k->h % b != 0 || k->w % b != 0) {
        return error_set(err, STATUS_MODEL, "%lld channels of %lld x %lld are no blocks of %lld", (long long)k->c,
                         (long long)k->h, (long long)k->w, (long long)b);
    }
    if (to_space) {
        k->c /= b * b;
    } else {
        k->h /= b;
        k->w /= b;
    }
    return STATUS_OK;
}

static bool to_space(const ox_node *n) {
    return strcmp(n->op, "DepthToSpace") == 0;
}

static status infer(ox_node *n, error *err) {
    TRY(ox_need_in_out(n, err));
    blocks k = {0};
    TRY(read_blocks(n, to_space(n), &k, err));
    int64_t shape[4] = {n->in[0]->shape[0], k.c, k.h, k.w};
    for (unsigned i = 0; i < 2; i++) {
        unsigned first = to_space(n) ? 2 : 1, d = to_space(n) ? first + i : first;
        if (__builtin_mul_overflow(shape[d], k.b, &shape[d])) {
            return error_set(err, STATUS_MODEL, "blocksize %lld makes the output too large", (long long)k.b);
        }
    }
    return ox_set_shape(n->out[0], n->in[0]->dtype, shape, 4, err);
}

/* Offset on the deep side of block (i, j): along its channels. */
static int64_t block(const blocks *k, int64_t index) {
    return index * (k->crd ? 1 : k->c) * k->h * k->w;
}

static int64_t depth_source(const void *how, uint32_t d, size_t i) {
    const blocks *k = how;
    int64_t at = (int64_t)i, plane = k->h * k->w;
    switch (d) {
    case 0: return at * k->b * k->b * k->c * plane;
    case 1: return at * (k->crd ? k->b * k->b : 1) * plane;
    case 2: return block(k, at % k->b * k->b) + at / k->b * k->w;
    default: return block(k, at % k->b) + at / k->b;
    }
}

static int64_t space_source(const void *how, uint32_t d, size_t i) {
    const blocks *k = how;
    int64_t at = (int64_t)i, row = k->b * k->w, plane = k->b * k->h * row;
    switch (d) {
    case 0: return at * k->c * plane;
    case 1: return at % k->c * plane + at / k->c / k->b * row + at / k->c % k->b;
    case 2: return at * k->b * row;
    default: return at * k->b;
    }
}

static status prepare(ox_node *n, bool want_vjp, error *err) {
    (void)want_vjp;
    blocks k = {0};
    TRY(read_blocks(n, to_space(n), &k, err));
    return ox_moves_prepare(n, n->out[0]->shape, 4, to_space(n) ? depth_source : space_source, &k, err);
}

#define BLOCKS(symbol, name)                                                                                           \
    const ox_kernel ox_kernel_##symbol = {.op = (name),                                                                \
                                          .min_opset = 1,                                                              \
                                          .max_opset = 9999,                                                           \
                                          .flags = OX_KEEPS_BATCH,                                                     \
                                          .min_in = 1,                                                                 \
                                          .max_in = 1,                                                                 \
                                          .min_out = 1,                                                                \
                                          .max_out = 1,                                                                \
                                          .infer = infer,                                                              \
                                          .prepare = prepare,                                                          \
                                          .release = ox_moves_release,                                                 \
                                          .forward = ox_moves_forward,                                                 \
                                          .vjp = ox_moves_vjp}
BLOCKS(depth_to_space, "DepthToSpace");
BLOCKS(space_to_depth, "SpaceToDepth");
