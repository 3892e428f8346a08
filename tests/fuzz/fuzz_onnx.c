/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz_onnx.h"

#include <string.h>

#include "model.h"

/* Beyond these a plan is made but not run. */
#define MAX_MACS ((uint64_t)1 << 22)
#define MAX_BYTES ((size_t)4 << 20)
#define MAX_WANTED 8u

/* Small numbers that are indexes, booleans and pixels alike. */
static void fill(const ox_tensor *t) {
    size_t item = ox_dtype_bytes(t->dtype);
    uint8_t *bytes = t->data;
    for (size_t i = 0; i < t->n; i++) {
        int32_t whole = (int32_t)(i * 7 % 5) - (t->dtype == ASSAY_F32 || t->dtype == ASSAY_F64 ? 2 : 0);
        float f32 = (float)whole * 0.75F;
        double f64 = (double)f32;
        int64_t i64 = whole;
        uint8_t u8 = (uint8_t)(t->dtype == ASSAY_BOOL ? whole % 2 : whole);
        const void *from = &u8;
        switch (t->dtype) {
        case ASSAY_F32: from = &f32; break;
        case ASSAY_F64: from = &f64; break;
        case ASSAY_I64: from = &i64; break;
        case ASSAY_I32: from = &whole; break;
        default: break;
        }
        memcpy(bytes + i * item, from, item);
    }
}

static void set_cotangents(ox_plan *p, const ox_plan_args *a) {
    ox_plan_zero_gradients(p);
    for (size_t i = 0; i < a->n_wanted; i++) {
        float *g = p->grads[a->wanted[i]];
        for (size_t j = 0; g != NULL && j < p->tensors[a->wanted[i]].n; j++) {
            g[j] += (float)(j % 3) - 1;
        }
    }
}

static bool is_small(const ox_plan *p) {
    return ox_plan_macs(p) <= MAX_MACS && p->n_activation_bytes <= MAX_BYTES && p->n_gradient_bytes <= MAX_BYTES;
}

static void run(ox_plan *p, const ox_plan_args *a) {
    static const assay_vjp_mode modes[] = {ASSAY_VJP_EXACT, ASSAY_VJP_LEAKY, ASSAY_VJP_STRAIGHT_THROUGH};
    error err = {0};
    fill(&p->tensors[p->graph->input]);
    if (ox_plan_forward(p, &err) != STATUS_OK || !a->want_vjp) {
        return;
    }
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        set_cotangents(p, a);
        (void)ox_plan_backward(p, modes[i], &err);
    }
}

typedef enum outcome { REFUSED, LARGE, RAN } outcome;

static outcome try_plan(const ox_graph *g, ox_plan_args a) {
    error err = {0};
    ox_plan *p = NULL;
    a.wanted = g->outputs;
    a.n_wanted = g->n_outputs < MAX_WANTED ? g->n_outputs : MAX_WANTED;
    if (ox_plan_make(g, &a, &p, &err) != STATUS_OK) {
        return REFUSED;
    }
    bool small = is_small(p);
    if (small) {
        run(p, &a);
    }
    ox_plan_free(p);
    return small ? RAN : LARGE;
}

/* False if running the model is too much work. */
static bool try_plans(const ox_graph *g) {
    outcome o = try_plan(g, (ox_plan_args){.batch = 2, .want_vjp = true});
    if (o == RAN) {
        (void)try_plan(g, (ox_plan_args){.batch = 2});
        (void)try_plan(g, (ox_plan_args){.batch = 2, .want_vjp = true, .reference = true});
        (void)try_plan(g, (ox_plan_args){.batch = 17, .unpadded = true});
        return true;
    }
    if (o == REFUSED) {
        o = try_plan(g, (ox_plan_args){.batch = 1, .want_vjp = true, .only_this_batch = true});
    }
    if (o == RAN) {
        (void)try_plan(g, (ox_plan_args){.batch = 1, .reference = true, .only_this_batch = true});
    }
    return o != LARGE;
}

/* What ox_model_open does once a file is loaded. */
static void try_model(const ox_graph *g, bool small) {
    error err = {0};
    assay_model m = {.graph = *g};
    assay_open_args none = {.struct_size = sizeof none, .path = "fuzz"};
    if (ox_options_read(&m, &none, &err) == STATUS_OK && small) {
        (void)ox_ports_find(&m, &err);
    }
    arena_free(&m.memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    ox_graph g;
    error err = {0};
    if (ox_graph_parse(data, n, "fuzz", &g, &err) == STATUS_OK) {
        try_model(&g, try_plans(&g));
        ox_graph_free(&g);
    }
    return 0;
}
