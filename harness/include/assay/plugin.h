/* SPDX-License-Identifier: Apache-2.0
 *
 * assay/plugin.h: the plug-in ABI of assay. This is all that a model author sees.
 *
 * A plug-in is a shared object that exports one data symbol, `assay_plugin_entry`. From it the host
 * walks   entry -> model api -> model (immutable weights) -> session (per-thread state).
 * The header compiles alone as C11 and as C++11 and needs nothing but this file.
 *
 * Rules that hold everywhere
 *  - Every struct that crosses starts with `struct_size`, set by whoever fills the struct in. A reader
 *    looks at a member only if it lies inside the writer's struct_size. Members are only ever appended.
 *  - New behaviour is a new capability id ("assay.vjp/2"); an id never changes its meaning. Asking for
 *    an unknown id returns NULL.
 *  - Nobody frees the other's memory. Outputs, gradients and error text go into buffers of the caller.
 *    What a plug-in returns by pointer (names, labels, api tables) stays valid until the object it was
 *    asked of is closed.
 *  - Inputs are RAW: in the units and the range that the port declares. A plug-in normalises inside
 *    (scale, mean, std, layout), so that a perturbation budget means the same for every model, and the
 *    vjp is with respect to the raw input.
 *  - A call never changes its inputs, never writes outside its outputs, never calls exit(), never
 *    changes locale, signal handlers or the floating-point environment, never prints to stdout.
 *  - Batch invariance: with the same session options, the result for one example depends neither on its
 *    neighbours nor on its position in the batch nor on the batch's size.
 *
 * Thread rules, written before each function pointer
 *  [main]     called by one thread at a time, with no other call into the plug-in running;
 *  [session]  never two calls at once in one session; different sessions may run in parallel;
 *  [any]      may be called at any time from any thread.
 */
#ifndef ASSAY_PLUGIN_H
#define ASSAY_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASSAY_ABI_VERSION 1u
#define ASSAY_MAX_DIMS 8

#if defined(__GNUC__)
#define ASSAY_EXPORT __attribute__((visibility("default")))
#else
#define ASSAY_EXPORT
#endif

/* ---- status and errors -------------------------------------------------------------------------- */

typedef enum assay_status {
    ASSAY_OK = 0,
    ASSAY_ERR_ARGUMENT = 1,    /* the caller broke the contract: shape, dtype, NULL, out of range   */
    ASSAY_ERR_MODEL = 2,       /* the model file is unreadable, malformed or inconsistent           */
    ASSAY_ERR_UNSUPPORTED = 3, /* well-formed, but this plug-in cannot run it; text names what      */
    ASSAY_ERR_MEMORY = 4,      /* an allocation failed                                              */
    ASSAY_ERR_IO = 5,          /* a file could not be read                                          */
    ASSAY_ERR_INTERNAL = 6     /* a defect of the plug-in                                           */
} assay_status;

/* Owned by the caller. The plug-in writes at most `capacity` bytes, always NUL-terminated UTF-8, on
 * every status but ASSAY_OK. `err` itself may be NULL. */
typedef struct assay_error {
    uint32_t struct_size;
    uint32_t capacity;
    char *text;
} assay_error;

/* ---- tensors ------------------------------------------------------------------------------------ */

typedef enum assay_dtype {
    ASSAY_F32 = 1,
    ASSAY_U8 = 2,
    ASSAY_I8 = 3,
    ASSAY_I32 = 4,
    ASSAY_I64 = 5,
    ASSAY_F64 = 6,
    ASSAY_BOOL = 7
} assay_dtype;

/* Dense, row-major, little-endian, aligned to at least 64 bytes by the host. The memory belongs to the
 * caller. shape[0] is the batch. */
typedef struct assay_tensor {
    uint32_t struct_size;
    uint32_t dtype; /* assay_dtype */
    uint32_t n_dims;
    uint32_t reserved; /* 0 */
    int64_t shape[ASSAY_MAX_DIMS];
    void *data;
    uint64_t size_bytes; /* of data; always the product of shape times the item size */
} assay_tensor;

/* ---- entry -------------------------------------------------------------------------------------- */

typedef enum assay_log_level { ASSAY_LOG_DEBUG = 0, ASSAY_LOG_INFO = 1, ASSAY_LOG_WARN = 2 } assay_log_level;

/* What the host offers to the plug-in. Valid from init() to deinit(). */
typedef struct assay_host {
    uint32_t struct_size;
    uint32_t abi_version;
    const char *host_version; /* "assay 0.1.0" */
    void *context;
    /* [any] One line of UTF-8 text; the host copies it. */
    void (*log)(void *context, assay_log_level level, const char *text);
} assay_host;

/* The one exported symbol:   ASSAY_EXPORT extern const assay_plugin assay_plugin_entry; */
typedef struct assay_plugin {
    uint32_t struct_size;
    uint32_t abi_version;    /* ASSAY_ABI_VERSION it was built with */
    const char *name;        /* id: lower case, digits, '-' */
    const char *version;     /* of the plug-in; changes whenever a result bit may change */
    const char *description; /* one line */
    /* [main] Called once, before anything else. `host` outlives the plug-in's use. */
    assay_status (*init)(const assay_host *host, assay_error *err);
    /* [main] Called once, last; all models are closed. */
    void (*deinit)(void);
    /* [any] "assay.model/1" -> assay_model_api, "assay.environment/1" -> assay_environment,
     * "assay.inspect/1" -> assay_inspect; else NULL. */
    const void *(*get_api)(const char *id);
} assay_plugin;

/* "assay.environment/1": what of this machine changes result bits, as one line of text, e.g.
 * "openblas=0.3.21 core=SKYLAKEX onednn=2.6.3 isa=avx512_core". It enters the key of every cached
 * result, so it must not hold host name, time, thread count or path. Optional. */
#define ASSAY_ENVIRONMENT_1 "assay.environment/1"
typedef struct assay_environment {
    uint32_t struct_size;
    uint32_t reserved;
    /* [any] Writes at most `capacity` bytes with NUL; returns the length without NUL. */
    size_t (*describe)(char *text, size_t capacity);
} assay_environment;

/* ---- models and sessions ------------------------------------------------------------------------ */

typedef struct assay_model assay_model;     /* defined by the plug-in */
typedef struct assay_session assay_session; /* defined by the plug-in */

typedef struct assay_option {
    const char *key;   /* "preprocess.mean" */
    const char *value; /* UTF-8; lists are separated by newlines: "0.48\n0.45\n0.40" */
} assay_option;

/* An unknown option is ASSAY_ERR_ARGUMENT with the known ones in the text. */
typedef struct assay_open_args {
    uint32_t struct_size;
    uint32_t n_options;
    const char *path; /* of the model file; NULL where the plug-in needs none */
    const assay_option *options;
} assay_open_args;

#define ASSAY_SESSION_UNPADDED 1u /* run a batch as it comes, without tiles: latency, re-verification */

typedef struct assay_session_args {
    uint32_t struct_size;
    uint32_t tile;      /* examples of one padded execution: 1, 8 or 32; decides result bits  */
    uint32_t n_threads; /* may be used by the plug-in; must not change any result bit         */
    uint32_t flags;     /* ASSAY_SESSION_* */
} assay_session_args;

#define ASSAY_MODEL_1 "assay.model/1"
typedef struct assay_model_api {
    uint32_t struct_size;
    uint32_t reserved;
    /* [main] On error *model is NULL and nothing is left behind. */
    assay_status (*open)(const assay_open_args *args, assay_model **model, assay_error *err);
    /* [main] All its sessions are closed. NULL is allowed. */
    void (*close)(assay_model *model);
    /* [any] */
    assay_status (*session_open)(assay_model *model, const assay_session_args *args, assay_session **session,
                                 assay_error *err);
    /* [session] NULL is allowed. */
    void (*session_close)(assay_session *session);
    /* [any] The table of a capability ("assay.predict/1", ...) as this model has it, or NULL. */
    const void *(*capability)(const assay_model *model, const char *id);
} assay_model_api;

/* ---- "assay.io/1" (mandatory) ------------------------------------------------------------------- */

typedef enum assay_port_kind {
    ASSAY_PORT_FEATURES = 1,      /* input: raw features or pixels        */
    ASSAY_PORT_LOGITS = 2,        /* output: unnormalised class scores    */
    ASSAY_PORT_PROBABILITIES = 3, /* output: rows sum to one              */
    ASSAY_PORT_REGRESSION = 4,    /* output: real targets                 */
    ASSAY_PORT_OTHER = 5
} assay_port_kind;

#define ASSAY_DIRECTION_INPUT 0u
#define ASSAY_DIRECTION_OUTPUT 1u

typedef struct assay_port {
    uint32_t struct_size;
    uint32_t kind; /* assay_port_kind */
    const char *name;
    uint32_t dtype;
    uint32_t n_dims;
    int64_t shape[ASSAY_MAX_DIMS]; /* shape[0] = -1: any batch */
    double range_lo, range_hi;     /* legal raw range of an input; -inf/+inf where unbounded */
} assay_port;

#define ASSAY_IO_1 "assay.io/1"
typedef struct assay_io {
    uint32_t struct_size;
    uint32_t reserved;
    uint32_t (*n_ports)(const assay_model *model, uint32_t direction); /* [any] */
    /* [any] `port->struct_size` is set by the host; the plug-in fills in what fits. */
    assay_status (*port)(const assay_model *model, uint32_t direction, uint32_t i, assay_port *port, assay_error *err);
} assay_io;

/* A model whose graph ends in a softmax exposes two outputs: first the LOGITS before it, then the
 * PROBABILITIES. Hosts use the first LOGITS port where there is one. */

/* ---- "assay.predict/1" -------------------------------------------------------------------------- */

#define ASSAY_PREDICT_1 "assay.predict/1"
typedef struct assay_predict {
    uint32_t struct_size;
    uint32_t reserved;
    /* [session] One tensor per port, in port order. An output whose data is NULL is not wanted. All
     * share one batch size >= 1. Outputs are written in full or the call fails. */
    assay_status (*predict)(assay_session *session, const assay_tensor *inputs, uint32_t n_inputs,
                            assay_tensor *outputs, uint32_t n_outputs, assay_error *err);
} assay_predict;

/* ---- "assay.vjp/1" ------------------------------------------------------------------------------ */

typedef enum assay_vjp_mode {
    ASSAY_VJP_EXACT = 0,           /* the derivative; 0 where a function is flat; at a kink the 0 side */
    ASSAY_VJP_LEAKY = 1,           /* dead rectifiers pass a small slope (0.1)                         */
    ASSAY_VJP_STRAIGHT_THROUGH = 2 /* round, sign, quantise pass the gradient inside their range       */
} assay_vjp_mode;

#define ASSAY_VJP_1 "assay.vjp/1"
typedef struct assay_vjp {
    uint32_t struct_size;
    uint32_t modes; /* bit mask: 1u << assay_vjp_mode */
    /* [session] gradient[i] = sum_o sum_k cotangent[o][b,k] * d output[o][b,k] / d input[i][b,...]:
     * the vector-Jacobian product with a cotangent that the host chooses, so that a new loss never
     * changes the ABI. Examples are independent. A cotangent whose data is NULL counts as zero;
     * outputs[] may be NULL, else they receive the forward values of the same pass. */
    assay_status (*vjp)(assay_session *session, const assay_tensor *inputs, uint32_t n_inputs,
                        const assay_tensor *cotangents, uint32_t n_outputs, assay_tensor *outputs,
                        assay_tensor *gradients, uint32_t mode, assay_error *err);
} assay_vjp;

/* ---- "assay.vjp/2" ------------------------------------------------------------------------------ */

/* assay.vjp/1 for several sets of cotangents at the same inputs, so that Jacobians and attacks with several losses pay
 * for one forward pass. Optional; a model that has it has assay.vjp/1 as well. */
#define ASSAY_VJP_2 "assay.vjp/2"
typedef struct assay_vjp_sets {
    uint32_t struct_size;
    uint32_t modes; /* as in assay.vjp/1 */
    /* [session] cotangents[k * n_outputs + o] and gradients[k * n_inputs + i] belong to set k of n_sets >= 1. Each
     * gradient has the bits that assay.vjp/1 gives for its set alone; outputs as there. */
    assay_status (*vjp)(assay_session *session, const assay_tensor *inputs, uint32_t n_inputs,
                        const assay_tensor *cotangents, uint32_t n_outputs, uint32_t n_sets, assay_tensor *outputs,
                        assay_tensor *gradients, uint32_t mode, assay_error *err);
} assay_vjp_sets;

/* ---- "assay.embed/1" ---------------------------------------------------------------------------- */

#define ASSAY_EMBED_1 "assay.embed/1"
typedef struct assay_embed {
    uint32_t struct_size;
    uint32_t reserved;
    uint32_t (*n_layers)(const assay_model *model);                  /* [any] */
    const char *(*layer_name)(const assay_model *model, uint32_t i); /* [any] NULL past the end */
    /* [any] Values per example of the layer (flattened); 0 if there is no such layer. "penultimate" is
     * always known where the model ends in a linear layer: the input of that layer. */
    uint64_t (*layer_size)(const assay_model *model, const char *name);
    /* [session] output: (N, layer_size) float32. */
    assay_status (*embed)(assay_session *session, const assay_tensor *inputs, uint32_t n_inputs, const char *layer,
                          assay_tensor *output, assay_error *err);
    /* [any] Appended to version 1, so it may be missing or NULL: for a name that stands for another layer, as
     * "penultimate" does, that layer's own name; else NULL. */
    const char *(*layer_alias_of)(const assay_model *model, const char *name);
} assay_embed;

/* ---- "assay.labels/1" --------------------------------------------------------------------------- */

#define ASSAY_LABELS_1 "assay.labels/1"
typedef struct assay_labels {
    uint32_t struct_size;
    uint32_t reserved;
    uint32_t (*n_labels)(const assay_model *model);             /* [any] */
    const char *(*label)(const assay_model *model, uint32_t i); /* [any] NULL past the end */
    /* [any] Names of the input columns that a tabular model reads, in order; 0 and NULL if not known. */
    uint32_t (*n_columns)(const assay_model *model);
    const char *(*column)(const assay_model *model, uint32_t i);
} assay_labels;

/* ---- "assay.cost/1" ----------------------------------------------------------------------------- */

typedef struct assay_cost_info {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t n_params;      /* scalar weights                                         */
    uint64_t n_params_zero; /* of these, exactly zero                                 */
    uint64_t n_macs;        /* multiply-accumulates for one example                   */
    uint64_t weight_bytes;  /* as stored in the model                                 */
    double weight_bits;     /* mean bits per weight                                   */
    uint64_t peak_bytes;    /* activations of one example in one forward pass         */
} assay_cost_info;

#define ASSAY_COST_1 "assay.cost/1"
typedef struct assay_cost {
    uint32_t struct_size;
    uint32_t reserved;
    assay_status (*cost)(const assay_model *model, assay_cost_info *info, assay_error *err); /* [any] */
} assay_cost;

/* ---- "assay.layers/1" --------------------------------------------------------------------------- */

/* assay.cost/1 layer by layer, in the order of execution and as the model's file has it, before anything is fused. What
 * is computed once from constants is no layer. A weight that several layers read counts at the first. So the sums over
 * the layers are the numbers of assay.cost/1. */
typedef struct assay_layer_info {
    uint32_t struct_size;
    uint32_t dtype;   /* of the first output */
    const char *name; /* of the node */
    const char *op;   /* operator: "Conv" */
    uint32_t n_dims;
    uint32_t reserved;
    int64_t shape[ASSAY_MAX_DIMS]; /* of the first output, for one example */
    uint64_t n_params;
    uint64_t n_params_zero;
    uint64_t n_macs;
    uint64_t weight_bytes; /* as stored in the model     */
    double weight_bits;    /* mean bits per weight, or 0 */
} assay_layer_info;

#define ASSAY_LAYERS_1 "assay.layers/1"
typedef struct assay_layers {
    uint32_t struct_size;
    uint32_t reserved;
    uint32_t (*n_layers)(const assay_model *model);                                                         /* [any] */
    assay_status (*layer)(const assay_model *model, uint32_t i, assay_layer_info *layer, assay_error *err); /* [any] */
} assay_layers;

/* ---- "assay.memory/1" --------------------------------------------------------------------------- */

typedef struct assay_memory_info {
    uint32_t struct_size;
    uint32_t step;          /* examples of one execution: a batch runs in so many steps of this size */
    uint64_t forward_bytes; /* activations of one step of predict                                    */
    uint64_t vjp_bytes;     /* activations and gradients of one step of vjp; 0 without vjp           */
    const char *reason;     /* why examples run one by one, where it is the model's doing; else NULL */
} assay_memory_info;

#define ASSAY_MEMORY_1 "assay.memory/1"
typedef struct assay_memory {
    uint32_t struct_size;
    uint32_t reserved;
    /* [main] What a call with `batch` examples in such a session needs at its peak, besides weights and the caller's
     * tensors. */
    assay_status (*memory)(assay_model *model, const assay_session_args *args, uint64_t batch, assay_memory_info *info,
                           assay_error *err);
} assay_memory;

/* ---- "assay.inspect/1" -------------------------------------------------------------------------- */

/* From assay_plugin.get_api: facts about a model file, also about one that open refuses. Optional.
 * `fact` is called with one line of UTF-8 each; a key may come several times. Keys so far:
 *   "format"       "ONNX, IR version 8"
 *   "producer"     "pytorch 1.13.0"
 *   "opset"        "ai.onnx 17"
 *   "input", "output"  "x: float32 (batch, 1, 28, 28)", as the file declares them
 *   "operator"     "Conv 5": how often the file has it
 *   "unsupported"  "node \"x\": NonZero": each node that this plug-in cannot run */
#define ASSAY_INSPECT_1 "assay.inspect/1"
typedef struct assay_inspect {
    uint32_t struct_size;
    uint32_t reserved;
    /* [main] args as for open; options are not looked at. */
    assay_status (*inspect)(const assay_open_args *args,
                            void (*fact)(void *context, const char *key, const char *value), void *context,
                            assay_error *err);
} assay_inspect;

/* ---- "assay.text/1" ----------------------------------------------------------------------------- */

#define ASSAY_TEXT_1 "assay.text/1"
typedef struct assay_text {
    uint32_t struct_size;
    uint32_t reserved;
    /* [session] `texts[i]` has `n_bytes[i]` bytes of UTF-8, not NUL-terminated. Tokenising is the
     * plug-in's. outputs as in assay.predict/1 with batch n_texts. */
    assay_status (*predict_text)(assay_session *session, const char *const *texts, const size_t *n_bytes,
                                 uint32_t n_texts, assay_tensor *outputs, uint32_t n_outputs, assay_error *err);
} assay_text;

/* ---- layout is part of the promise (LP64) ------------------------------------------------------- */

#if defined(__cplusplus)
#define ASSAY_PIN(type, member, offset) static_assert(offsetof(type, member) == (offset), #type "." #member)
#else
#define ASSAY_PIN(type, member, offset) _Static_assert(offsetof(type, member) == (offset), #type "." #member)
#endif
#if defined(__LP64__)
ASSAY_PIN(assay_error, text, 8);
ASSAY_PIN(assay_tensor, shape, 16);
ASSAY_PIN(assay_tensor, data, 80);
ASSAY_PIN(assay_tensor, size_bytes, 88);
ASSAY_PIN(assay_host, log, 24);
ASSAY_PIN(assay_plugin, name, 8);
ASSAY_PIN(assay_plugin, init, 32);
ASSAY_PIN(assay_plugin, get_api, 48);
ASSAY_PIN(assay_environment, describe, 8);
ASSAY_PIN(assay_open_args, path, 8);
ASSAY_PIN(assay_open_args, options, 16);
ASSAY_PIN(assay_session_args, flags, 12);
ASSAY_PIN(assay_model_api, open, 8);
ASSAY_PIN(assay_model_api, capability, 40);
ASSAY_PIN(assay_port, name, 8);
ASSAY_PIN(assay_port, shape, 24);
ASSAY_PIN(assay_port, range_lo, 88);
ASSAY_PIN(assay_io, port, 16);
ASSAY_PIN(assay_predict, predict, 8);
ASSAY_PIN(assay_vjp, vjp, 8);
ASSAY_PIN(assay_vjp_sets, vjp, 8);
ASSAY_PIN(assay_embed, embed, 32);
ASSAY_PIN(assay_labels, column, 32);
ASSAY_PIN(assay_cost_info, n_params, 8);
ASSAY_PIN(assay_cost_info, peak_bytes, 48);
ASSAY_PIN(assay_cost, cost, 8);
ASSAY_PIN(assay_layer_info, name, 8);
ASSAY_PIN(assay_layer_info, shape, 32);
ASSAY_PIN(assay_layer_info, n_params, 96);
ASSAY_PIN(assay_layer_info, weight_bits, 128);
ASSAY_PIN(assay_layers, layer, 16);
ASSAY_PIN(assay_memory_info, forward_bytes, 8);
ASSAY_PIN(assay_memory_info, reason, 24);
ASSAY_PIN(assay_memory, memory, 8);
ASSAY_PIN(assay_inspect, inspect, 8);
ASSAY_PIN(assay_text, predict_text, 8);
#endif

#ifdef __cplusplus
}
#endif

#endif /* ASSAY_PLUGIN_H */
