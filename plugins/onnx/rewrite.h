/* SPDX-License-Identifier: Apache-2.0
 * What the rules of rewrite*.c share. A rule looks at node k, whose producers are known, and either leaves it (false)
 * or changes the plan; a node that is no longer read is dropped in the end. Private to rewrite*.c. */
#ifndef ONNX_REWRITE_H
#define ONNX_REWRITE_H

#include <string.h>

#include "plan_build.h"

typedef struct rewriter {
    ox_builder *b;
    ox_plan *p;
    size_t *uses;   /* by tensor: inputs that read it, one more where it is wanted */
    size_t *maker;  /* by tensor: index of the node + 1, 0: none */
    bool *gone;     /* by node */
    status failure; /* of a rule, with b->err set */
} rewriter;

static inline size_t rw_index(const rewriter *w, const ox_tensor *t) {
    return (size_t)(t - w->p->tensors);
}

static inline bool rw_is(const ox_node *n, const char *op) {
    return n != NULL && strcmp(n->op, op) == 0;
}

static inline ox_node *rw_maker(const rewriter *w, const ox_tensor *t) {
    size_t k = t == NULL || t->is_const ? 0 : w->maker[rw_index(w, t)];
    return k == 0 ? NULL : &w->p->nodes[k - 1];
}

/* The node that made `t` for one reader alone, so that the two can become one; else NULL. */
static inline ox_node *rw_sole_maker(const rewriter *w, const ox_tensor *t) {
    ox_node *n = rw_maker(w, t);
    return n != NULL && w->uses[rw_index(w, t)] == 1 && n->out[0] == t ? n : NULL;
}

/* Node k is no more: its one result is written by `by`. */
static inline void rw_absorb(rewriter *w, size_t k, ox_node *by) {
    ox_node *n = &w->p->nodes[k];
    by->out[0] = n->out[0];
    w->maker[rw_index(w, n->out[0])] = (size_t)(by - w->p->nodes) + 1;
    w->gone[k] = true;
}

static inline bool rw_f32(const ox_tensor *t) {
    return t != NULL && t->dtype == ASSAY_F32;
}

/* Input i where it is a float32 constant. */
static inline const ox_tensor *rw_constant(const ox_node *n, size_t i) {
    return i < n->n_in && rw_f32(n->in[i]) && n->in[i]->is_const ? n->in[i] : NULL;
}

/* Input i is a constant of one element: its value. */
static inline bool rw_scalar(const ox_node *n, size_t i, float *v) {
    const ox_tensor *t = rw_constant(n, i);
    if (t == NULL || t->n != 1) {
        return false;
    }
    *v = *(const float *)t->data;
    return true;
}

/* A product that could still take something behind it. */
static inline bool rw_takes_more(const ox_node *n) {
    return n != NULL && (n->kernel->flags & OX_EPILOGUE) != 0 && n->epilogue.act == OX_ACT_LINEAR &&
           n->out_view == NULL && rw_f32(n->out[0]);
}

extern const char rw_folded[]; /* the name of constants that the rules have made */
/* A new float32 constant of this shape, its data to be filled; NULL with w->failure set. */
ox_tensor *rw_new_constant(rewriter *w, const int64_t *shape, uint32_t n_dims);

/* rewrite_views.c */
bool rw_take_views(rewriter *w, size_t k);
bool rw_give_view(rewriter *w, size_t k);
/* rewrite_patterns.c */
bool rw_layer_norm(rewriter *w, size_t k);
bool rw_layer_norm_affine(rewriter *w, size_t k);
bool rw_gelu(rewriter *w, size_t k);

#endif
