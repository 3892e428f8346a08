/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/lookup.h"

#include <inttypes.h>

/* ---- state -------------------------------------------------------------------------------------- */

status ox_lookup_make(ox_node *n, size_t n_slots, size_t run, error *err) {
    ox_lookup *l = mem_zalloc(sizeof *l);
    n->state = l;
    *l = (ox_lookup){.n = n_slots, .run = run, .outer = 1};
    l->at = mem_try(n_slots, sizeof *l->at, "offsets", err);
    return l->at == NULL ? STATUS_MEMORY : STATUS_OK;
}

void ox_lookup_release(ox_node *n) {
    ox_lookup *l = n->state;
    if (l != NULL) {
        mem_free(l->at);
        mem_free(l->winner);
        mem_free(l->product);
        mem_free(l->before);
        mem_free(l);
        n->state = NULL;
    }
}

/* ---- indices ------------------------------------------------------------------------------------ */

status ox_need_integers(const ox_node *n, size_t i, error *err) {
    const ox_tensor *t = ox_input(n, i);
    if (t == NULL || (t->dtype != ASSAY_I64 && t->dtype != ASSAY_I32)) {
        return error_set(err, STATUS_MODEL, "input %zu is missing or not int64 or int32", i);
    }
    return STATUS_OK;
}

status ox_index_read(const ox_tensor *t, size_t i, int64_t dim, int64_t *v, error *err) {
    int64_t k = ox_index_at(t, i);
    if (k < -dim || k >= dim) {
        return error_set(err, STATUS_MODEL, "index %" PRId64 " (element %zu) is outside %" PRId64 " elements", k, i,
                         dim);
    }
    *v = k < 0 ? k + dim : k;
    return STATUS_OK;
}

status ox_lookup_batch(const ox_node *n, size_t count, bool *batch, int64_t *examples, error *err) {
    *batch = false;
    *examples = 1;
    for (size_t i = 0; i < count; i++) {
        if (n->in[i]->has_batch) {
            *batch = true;
            *examples = n->in[i]->shape[0];
        }
    }
    for (size_t i = 0; *batch && i < count; i++) {
        const ox_tensor *t = n->in[i];
        if (!t->has_batch && (t->n_dims == 0 || t->shape[0] != 1)) {
            return error_set(err, STATUS_UNSUPPORTED, "input %zu is not the same for each example of the batch", i);
        }
    }
    return STATUS_OK;
}

bool ox_lookup_first_example(const ox_tensor *t) {
    bool zero = t->is_const && !t->has_batch && t->n_dims > 1 && t->shape[0] == 1;
    for (size_t i = 0; zero && i < t->n; i += (size_t)t->shape[t->n_dims - 1]) {
        zero = ox_index_at(t, i) == 0;
    }
    return zero;
}

/* Elements of t for each step of dimension d; none where there is one only: it is shared. */
static size_t step_of(const ox_tensor *t, uint32_t d) {
    return t->shape[d] == 1 ? 0 : ox_count(t, d + 1, t->n_dims);
}

/* A walk over slots, with the place in the data and in the indices. */
typedef struct slots {
    uint32_t rank;
    size_t n, c[ASSAY_MAX_DIMS], shape[ASSAY_MAX_DIMS];
    size_t x_step[ASSAY_MAX_DIMS], i_step[ASSAY_MAX_DIMS], x, i;
} slots;

static void slots_init(slots *s, const int64_t *shape, uint32_t rank) {
    *s = (slots){.rank = rank, .n = 1};
    for (uint32_t d = 0; d < rank; d++) {
        s->shape[d] = (size_t)shape[d];
        s->n *= s->shape[d];
    }
}

static void slots_next(slots *s) {
    for (uint32_t d = s->rank; d-- > 0;) {
        s->x += s->x_step[d];
        s->i += s->i_step[d];
        if (++s->c[d] < s->shape[d]) {
            return;
        }
        s->x -= s->x_step[d] * s->shape[d];
        s->i -= s->i_step[d] * s->shape[d];
        s->c[d] = 0;
    }
}

status ox_lookup_elements(const ox_tensor *x, const ox_tensor *indices, const int64_t *shape, uint32_t axis,
                          int64_t *at, error *err) {
    slots s;
    slots_init(&s, shape, x->n_dims);
    for (uint32_t d = 0; d < s.rank; d++) {
        s.x_step[d] = d == axis ? 0 : step_of(x, d);
        s.i_step[d] = step_of(indices, d);
    }
    int64_t dim = x->shape[axis], stride = (int64_t)ox_count(x, axis + 1, x->n_dims);
    for (size_t k = 0; k < s.n; k++, slots_next(&s)) {
        int64_t v = 0;
        TRY(ox_index_read(indices, s.i, dim, &v, err));
        if (at != NULL) {
            at[k] = (int64_t)s.x + v * stride;
        }
    }
    return STATUS_OK;
}

status ox_lookup_tuples(const ox_tuples *t, int64_t *at, error *err) {
    const ox_tensor *x = t->x, *indices = t->indices;
    slots s;
    slots_init(&s, t->shape, indices->n_dims - 1);
    uint32_t len = (uint32_t)indices->shape[s.rank];
    for (uint32_t d = 0; d < s.rank; d++) {
        s.x_step[d] = d < t->batch_dims || (d == 0 && t->batch) ? step_of(x, d) : 0;
        s.i_step[d] = step_of(indices, d);
    }
    bool own = t->batch && t->batch_dims == 0; /* coordinate 0 is the example, whatever (0) the vector says */
    size_t stride[ASSAY_MAX_DIMS] = {0};
    for (uint32_t j = 0; j < len; j++) {
        stride[j] = own && j == 0 ? 0 : ox_count(x, t->batch_dims + j + 1, x->n_dims);
    }
    for (size_t k = 0; k < s.n; k++, slots_next(&s)) {
        size_t offset = s.x;
        for (uint32_t j = 0; j < len; j++) {
            int64_t v = 0;
            TRY(ox_index_read(indices, s.i + j, x->shape[t->batch_dims + j], &v, err));
            offset += (size_t)v * stride[j];
        }
        if (at != NULL) {
            at[k] = (int64_t)offset;
        }
    }
    return STATUS_OK;
}

/* ---- reading ------------------------------------------------------------------------------------ */

#define PICK(type)                                                                                                     \
    for (size_t s = 0; s < l->n; s++) {                                                                                \
        ((type *)to)[s] = ((const type *)from)[l->at[s]];                                                              \
    }                                                                                                                  \
    break

void ox_gather_forward(ox_node *n) {
    const ox_lookup *l = n->state;
    size_t item = ox_dtype_bytes(n->out[0]->dtype), bytes = l->run * item;
    const char *from = n->in[0]->data;
    char *to = n->out[0]->data;
    for (size_t o = 0; o < l->outer; o++, from += l->step * item, to += l->n * bytes) {
        if (l->run != 1) {
            for (size_t s = 0; s < l->n && bytes > 0; s++) {
                memcpy(to + s * bytes, from + (size_t)l->at[s] * item, bytes);
            }
            continue;
        }
        switch (item) {
        case 1: PICK(uint8_t);
        case 4: PICK(uint32_t);
        default: PICK(uint64_t);
        }
    }
}

status ox_gather_vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    const ox_lookup *l = n->state;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0);
    if (g == NULL || dx == NULL) {
        return STATUS_OK;
    }
    for (size_t o = 0; o < l->outer; o++, dx += l->step) {
        for (size_t s = 0; s < l->n; s++, g += l->run) {
            float *d = dx + l->at[s];
            for (size_t k = 0; k < l->run; k++) {
                d[k] += g[k];
            }
        }
    }
    return STATUS_OK;
}
