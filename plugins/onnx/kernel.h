/* SPDX-License-Identifier: Apache-2.0
 * What a graph node and a kernel are. A kernel is one operator in one file of kernels/ with one line in
 * kernels/registry.def; graph, plan and session (the rest of plugins/onnx) know no operator by name
 * except through these tables. */
#ifndef ONNX_KERNEL_H
#define ONNX_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "assay/plugin.h"
#include "base/mem.h"
#include "base/status.h"

/* Dense row-major. In a plan the batch is already in shape[0] of every value that has one. */
typedef struct ox_tensor {
    const char *name;
    uint32_t dtype; /* assay_dtype */
    uint32_t n_dims;
    int64_t shape[ASSAY_MAX_DIMS];
    size_t n;       /* elements: the product of shape (1 for a scalar) */
    void *data;     /* constants: always; else set by the plan before forward */
    bool is_const;  /* initialiser, Constant, or folded: data is valid at infer time and never written */
    bool has_batch; /* shape[0] is the batch: computed along with shapes by the plan */
    /* 0: as the model has it. Else the channels stand in blocks of `block` floats, the last one filled up with
     * zeros, and shape is the one in memory: (N, ceil(C / block), spatial..., block). Only kernels with `layout` meet
     * such values, and elementwise ones, which need not know. */
    uint32_t block;
    int64_t channels; /* C where block > 0 */
} ox_tensor;

typedef enum ox_attr_kind { OX_INT, OX_FLOAT, OX_STRING, OX_TENSOR, OX_INTS, OX_FLOATS, OX_OTHER } ox_attr_kind;

typedef struct ox_attr {
    const char *name;
    ox_attr_kind kind;
    int64_t i;
    float f;
    const char *s; /* NUL-terminated copy */
    size_t n;      /* of ints or floats */
    const int64_t *ints;
    const float *floats;
    const ox_tensor *t;
} ox_attr;

typedef struct ox_kernel ox_kernel;

/* What the plan's rewriting (rewrite.c) appended to a node whose kernel has OX_EPILOGUE: after the operator itself,
 * y = act(y + in[OX_RESIDUAL]), see kernels/epilogue.h. */
typedef enum ox_activation { OX_ACT_LINEAR, OX_ACT_RELU, OX_ACT_LEAKY_RELU, OX_ACT_CLIP } ox_activation;
typedef struct ox_epilogue {
    ox_activation act;
    float scale;  /* OX_SCALES: the operator's result is multiplied by it first; 0: it is not */
    float alpha;  /* of OX_ACT_LEAKY_RELU, > 0 */
    float lo, hi; /* of OX_ACT_CLIP, lo < hi */
} ox_epilogue;

/* An operand of a kernel with OX_TAKES_VIEWS as it stands in memory: element (i0, i1, ...) of `shape` is at
 * offset + sum of i * stride in the data (and the gradient) of the tensor. So slices, transposes and reshapes around a
 * product need not copy. */
typedef struct ox_view {
    uint32_t n_dims;
    int64_t shape[ASSAY_MAX_DIMS];
    size_t stride[ASSAY_MAX_DIMS], offset;
} ox_view;

#define OX_RESIDUAL 3u /* index of the input that is added, of out[0]'s shape; n_in is 4 where there is one */

/* One node of one plan (a plan belongs to one session and one batch size: no locking anywhere). */
typedef struct ox_node {
    const char *name, *op; /* name: the node's, or its first output's where it has none */
    int opset;             /* of the node's domain */
    const ox_attr *attrs;
    size_t n_attrs;
    size_t n_in, n_out;
    ox_tensor **in;  /* NULL where an optional input is absent */
    ox_tensor **out; /* NULL where an optional output is absent */
    /* For vjp only: float32 buffers of in[i]'s and out[i]'s shape. grad_in[i] is NULL where no gradient is wanted
     * (constants, outputs of kernels with OX_NO_GRADIENT). The quantised values between QuantizeLinear and
     * DequantizeLinear have one, "per quantum". A kernel ADDS to grad_in[i]; the plan has zeroed it before. */
    float **grad_in;
    float **grad_out; /* read-only for the kernel; never NULL for a float output when vjp is called */
    /* For kernels with OX_STORES_GRADIENT, by input: grad_in[i] holds nothing yet, so the kernel must write every
     * element of it (zeros where nothing flows) instead of adding. NULL: add to all. */
    bool *fresh;
    ox_epilogue epilogue;
    const ox_view *in_view[2], *out_view; /* NULL: as the tensor's shape says, row-major */
    const ox_kernel *kernel;
    void *state;    /* the kernel's, from prepare to release */
    bool reference; /* run the reference paths (ASSAY_ONNX_REFERENCE=1) */
    /* An unpadded session: the batch runs as it comes, and products go through OpenBLAS. Bits may then depend on the
     * batch; what is re-verified this way has been computed by another implementation. */
    bool unpadded;
} ox_node;

/* Gradients of quantised tensors. Every gradient buffer is float32, whatever the dtype of its value: an int8, uint8
 * or int32 value q that lies on a path of gradients has a float buffer "per quantum", dL/dq. So the plan allocates
 * grad buffers for the int8/uint8 outputs of QuantizeLinear (and what MaxPool, Reshape, Transpose, Concat, Identity
 * make of them) as for floats, and walks backwards through them. DequantizeLinear: dq += g * scale, in every mode.
 * QuantizeLinear: exact and leaky mode add exact zero (it is flat almost everywhere); straight-through mode adds
 * g / scale where x quantises without saturation, zero elsewhere: Q then DQ has slope 1 inside the range. The plan
 * may skip what lies behind an OX_ZERO_GRADIENT node unless the mode is straight-through.
 * A kernel takes grad_out[k] == NULL as zero. */
#define OX_ZERO_GRADIENT 1u    /* exact gradient is zero everywhere (QuantizeLinear): vjp honours the mode */
#define OX_NO_GRADIENT 2u      /* integer or shape output: never asked for a vjp */
#define OX_KEEPS_BATCH 4u      /* elementwise or per-example: usable under any batch */
#define OX_READS_SHAPE 8u      /* reads its inputs' shapes alone (Shape, Size): computed while the plan is made */
#define OX_TAKES_SHAPE 16u     /* its constant inputs only say the output's shape (Reshape, Expand) */
#define OX_EPILOGUE 32u        /* applies node->epilogue and the residual input */
#define OX_STORES_GRADIENT 64u /* honours node->fresh */
#define OX_VIEW 128u           /* out[0] has in[0]'s bytes in its order: where it is the only output, none is copied */
#define OX_TAKES_VIEWS 512u    /* of in[0], in[1] and out[0]; infer has seen the shapes of the views */
#define OX_SCALES 1024u        /* applies epilogue.scale */
#define OX_POINTWISE 256u      /* elementwise: runs on blocked values as on others */

struct ox_kernel {
    const char *op;           /* "Conv"; domain ai.onnx */
    int min_opset, max_opset; /* inclusive; max 9999 = open */
    unsigned flags;
    unsigned min_in, max_in, min_out, max_out; /* arity */
    /* Checks attributes and input dtypes/shapes, sets dtype, n_dims, shape, n of every out[]. May read
     * in[i]->data where in[i]->is_const. Called once per plan, with the batch in place. Everything comes
     * from a hostile file: every dimension is checked, products by mem_mul. Errors:
     * STATUS_MODEL (inconsistent) or STATUS_UNSUPPORTED (well-formed, not done); text without the node's name (the plan
     * prefixes `file: node "x" (Conv): `). */
    status (*infer)(ox_node *n, error *err);
    /* Optional. Allocates n->state (packed weights, oneDNN primitives, scratch) for these shapes. want_vjp: backward is
     * going to be used as well. Must leave nothing behind on error. */
    status (*prepare)(ox_node *n, bool want_vjp, error *err);
    void (*release)(ox_node *n); /* NULL where there is no prepare; called even if prepare failed */
    /* in[]->data and out[]->data are set. Bit-exact repeatable; an example's result depends neither on its
     * position in the batch nor on its neighbours. No allocation. */
    status (*forward)(ox_node *n, error *err);
    /* The plain-loop oracle of the same (NULL: forward is itself the plain loop). */
    status (*forward_reference)(ox_node *n, error *err);
    /* NULL iff OX_NO_GRADIENT. Called after forward in the same plan; in[] and out[] still hold their values. */
    status (*vjp)(ox_node *n, assay_vjp_mode mode, error *err);
    status (*vjp_reference)(ox_node *n, assay_vjp_mode mode, error *err); /* or NULL */
    /* Optional. The blocks (0: none) in which the kernel would best get in[0] and give out[0], for the shapes that
     * infer has set. in[0] may already be blocked: then that is what it gets. Without it, a kernel that is not
     * OX_POINTWISE never meets a blocked value. */
    void (*layout)(const ox_node *n, uint32_t *in_block, uint32_t *out_block);
    const ox_kernel *blocked; /* takes the node over where in[0] is blocked; or NULL. Has `layout`. */
    /* Multiply-accumulates of the whole node at these shapes; NULL = 0. */
    uint64_t (*macs)(const ox_node *n);
};

const ox_kernel *ox_kernel_find(const char *op, int opset);
const ox_kernel *const *ox_kernel_all(size_t *n);

/* ---- helpers for kernels (kernels/common.c) ----------------------------------------------------- */
const ox_attr *ox_attr_find(const ox_node *n, const char *name);
int64_t ox_attr_int(const ox_node *n, const char *name, int64_t def);
float ox_attr_float(const ox_node *n, const char *name, float def);
/* STATUS_MODEL if present with another kind, or with a count other than `count` (SIZE_MAX: any). Absent: *v = NULL. */
status ox_attr_ints(const ox_node *n, const char *name, size_t count, const int64_t **v, size_t *n_v, error *err);
size_t ox_dtype_bytes(uint32_t dtype); /* 0 if unknown */
/* Sets shape and n with overflow and limit checks (dims >= 0, n * item <= 2^40). */
status ox_set_shape(ox_tensor *t, uint32_t dtype, const int64_t *shape, uint32_t n_dims, error *err);
/* Multidirectional (numpy) broadcasting. */
status ox_broadcast(const ox_tensor *a, const ox_tensor *b, int64_t shape[ASSAY_MAX_DIMS], uint32_t *n_dims,
                    error *err);
bool ox_same_shape(const ox_tensor *a, const ox_tensor *b);
/* The shape that the model means, also where t is blocked. */
void ox_logical_shape(const ox_tensor *t, int64_t shape[ASSAY_MAX_DIMS], uint32_t *n_dims);
static inline bool ox_is_fresh(const ox_node *n, size_t i) {
    return n->fresh != NULL && n->fresh[i];
}

#endif
