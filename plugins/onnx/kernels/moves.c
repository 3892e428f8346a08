/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/moves.h"

#include <inttypes.h>

/* ---- tables ------------------------------------------------------------------------------------- */

/* Steps of the last dimension that lie one after the other become one run, and so on outwards. */
static void join(ox_moves *m) {
    while (m->n_dims > 0) {
        uint32_t d = m->n_dims - 1;
        bool together = m->at[d][0] != OX_FILL;
        for (size_t i = 1; i < m->shape[d] && together; i++) {
            together = m->at[d][i] != OX_FILL && m->at[d][i] == m->at[d][i - 1] + (int64_t)m->run;
        }
        if (!together) {
            return;
        }
        m->base += (size_t)m->at[d][0];
        m->run *= m->shape[d];
        m->n_dims--;
    }
    m->n_dims = 1;
    m->shape[0] = 1;
    m->at[0] = m->tables;
    m->at[0][0] = 0;
}

status ox_moves_prepare(ox_node *n, const int64_t *shape, uint32_t n_dims, ox_source source, const void *how,
                        error *err) {
    ox_moves *m = mem_zalloc(sizeof *m);
    size_t total = 1, n_tables = 1;
    n->state = m;
    m->n_dims = 1; /* nothing to do, unless ... */
    m->run = 1;
    for (uint32_t d = 0; d < n_dims; d++) {
        total *= (size_t)shape[d]; /* no overflow: the output's, ox_set_shape */
        n_tables += (size_t)shape[d];
    }
    if (total == 0) {
        return STATUS_OK;
    }
    m->tables = mem_try(n_tables, sizeof *m->tables, "index tables", err);
    if (m->tables == NULL) {
        return STATUS_MEMORY;
    }
    m->n_dims = n_dims;
    int64_t *at = m->tables;
    for (uint32_t d = 0; d < n_dims; d++) {
        m->shape[d] = (size_t)shape[d];
        m->at[d] = at;
        for (size_t i = 0; i < m->shape[d]; i++) {
            *at++ = source(how, d, i);
        }
    }
    join(m);
    return STATUS_OK;
}

void ox_moves_release(ox_node *n) {
    ox_moves *m = n->state;
    if (m != NULL) {
        mem_free(m->tables);
        mem_free(m);
        n->state = NULL;
    }
}

/* ---- walks -------------------------------------------------------------------------------------- */

/* Offset of all dimensions but the last at idx, or OX_FILL. */
static int64_t outer_at(const ox_moves *m, const size_t *idx) {
    int64_t at = (int64_t)m->base;
    for (uint32_t d = 0; d + 1 < m->n_dims; d++) {
        int64_t a = m->at[d][idx[d]];
        if (a == OX_FILL) {
            return OX_FILL;
        }
        at += a;
    }
    return at;
}

static bool outer_next(const ox_moves *m, size_t *idx) {
    for (uint32_t i = 1; i < m->n_dims; i++) {
        uint32_t d = m->n_dims - 1 - i;
        if (++idx[d] < m->shape[d]) {
            return true;
        }
        idx[d] = 0;
    }
    return false;
}

static void fill_items(char *to, const void *fill, size_t item, size_t n) {
    if (fill == NULL) {
        memset(to, 0, n * item);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(to + i * item, fill, item);
    }
}

#define COPY_ITEMS(type)                                                                                               \
    for (size_t i = 0; i < len; i++) {                                                                                 \
        if (at[i] != OX_FILL) {                                                                                        \
            ((type *)to)[i] = ((const type *)from)[at[i]];                                                             \
        } else {                                                                                                       \
            fill_items(to + i * item, fill, item, 1);                                                                  \
        }                                                                                                              \
    }                                                                                                                  \
    break

/* One step of all dimensions but the last. */
static void copy_row(const ox_moves *m, const char *from, char *to, size_t item, const void *fill) {
    const int64_t *at = m->at[m->n_dims - 1];
    size_t len = m->shape[m->n_dims - 1];
    if (m->run == 1) {
        switch (item) {
        case 1: COPY_ITEMS(uint8_t);
        case 4: COPY_ITEMS(uint32_t);
        default: COPY_ITEMS(uint64_t);
        }
        return;
    }
    size_t bytes = m->run * item;
    for (size_t i = 0; i < len; i++, to += bytes) {
        if (at[i] != OX_FILL) {
            memcpy(to, from + (size_t)at[i] * item, bytes);
        } else {
            fill_items(to, fill, item, m->run);
        }
    }
}

void ox_moves_copy(const ox_moves *m, const void *x, void *y, size_t item, const void *fill) {
    size_t idx[ASSAY_MAX_DIMS] = {0}, row = m->shape[m->n_dims - 1] * m->run;
    char *to = y;
    if (row == 0) {
        return;
    }
    do {
        int64_t at = outer_at(m, idx);
        if (at == OX_FILL) {
            fill_items(to, fill, item, row);
        } else {
            copy_row(m, (const char *)x + (size_t)at * item, to, item, fill);
        }
        to += row * item;
    } while (outer_next(m, idx));
}

static double sum_of(const float *g, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)g[i];
    }
    return sum;
}

void ox_moves_add(const ox_moves *m, const float *g, float *dx, double *at_fill) {
    size_t idx[ASSAY_MAX_DIMS] = {0}, len = m->shape[m->n_dims - 1];
    const int64_t *at = m->at[m->n_dims - 1];
    if (len == 0) {
        return;
    }
    do {
        int64_t outer = outer_at(m, idx);
        for (size_t i = 0; i < len; i++, g += m->run) {
            if (outer == OX_FILL || at[i] == OX_FILL) {
                *at_fill += sum_of(g, m->run);
                continue;
            }
            if (dx != NULL) {
                ox_add_run(dx + outer + at[i], g, m->run);
            }
        }
    } while (outer_next(m, idx));
}

status ox_moves_forward(ox_node *n, error *err) {
    (void)err;
    ox_moves_copy(n->state, n->in[0]->data, n->out[0]->data, ox_dtype_bytes(n->out[0]->dtype), NULL);
    return STATUS_OK;
}

status ox_moves_vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    double at_fill = 0;
    if (ox_grad_in(n, 0) != NULL && ox_grad_out(n, 0) != NULL) {
        ox_moves_add(n->state, ox_grad_out(n, 0), ox_grad_in(n, 0), &at_fill);
    }
    return STATUS_OK;
}

status ox_same_forward(ox_node *n, error *err) {
    (void)err;
    if (n->out[0]->n > 0) {
        memcpy(n->out[0]->data, n->in[0]->data, n->out[0]->n * ox_dtype_bytes(n->out[0]->dtype));
    }
    return STATUS_OK;
}

/* Stores where the gradient is fresh. */
status ox_same_vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    (void)err;
    float *dx = ox_grad_in(n, 0);
    const float *g = ox_grad_out(n, 0);
    size_t len = n->out[0]->n;
    if (dx == NULL || len == 0) {
        return STATUS_OK;
    }
    if (!ox_is_fresh(n, 0)) {
        ox_add_run(dx, g, g == NULL ? 0 : len);
    } else if (g == NULL) {
        memset(dx, 0, len * sizeof *dx);
    } else {
        memcpy(dx, g, len * sizeof *dx);
    }
    return STATUS_OK;
}

/* ---- lists of integers -------------------------------------------------------------------------- */

int64_t ox_index_at(const ox_tensor *t, size_t i) {
    return t->dtype == ASSAY_I64 ? ((const int64_t *)t->data)[i] : ((const int32_t *)t->data)[i];
}

status ox_need_indices(const ox_node *n, size_t i, error *err) {
    const ox_tensor *t = ox_input(n, i);
    if (t == NULL || (t->dtype != ASSAY_I64 && t->dtype != ASSAY_I32)) {
        return error_set(err, STATUS_MODEL, "input %zu is missing or not int64 or int32", i);
    }
    if (!t->is_const) {
        return error_set(err, STATUS_UNSUPPORTED, "input %zu is computed from the graph's input", i);
    }
    return STATUS_OK;
}

status ox_need_in_out(const ox_node *n, error *err) {
    if (n->in[0] == NULL || n->out[0] == NULL) {
        return error_set(err, STATUS_MODEL, "input 0 or output 0 is missing");
    }
    return STATUS_OK;
}

status ox_list_read(const ox_node *n, const char *attr, size_t input, ox_list *l, error *err) {
    *l = (ox_list){0};
    const int64_t *v = NULL;
    if (attr != NULL) {
        TRY(ox_attr_ints(n, attr, SIZE_MAX, &v, &l->n, err));
        l->present = ox_attr_find(n, attr) != NULL;
    }
    const ox_tensor *t = l->present ? NULL : ox_input(n, input);
    if (t != NULL) {
        TRY(ox_need_indices(n, input, err));
        if (t->n_dims != 1) {
            return error_set(err, STATUS_MODEL, "input %zu is not a vector", input);
        }
        l->present = true;
        l->n = t->n;
    }
    if (l->n > sizeof l->v / sizeof l->v[0]) {
        return error_set(err, STATUS_MODEL, "a list of %zu values for at most %d dimensions", l->n, ASSAY_MAX_DIMS);
    }
    for (size_t i = 0; i < l->n && (t != NULL || v != NULL); i++) {
        l->v[i] = t != NULL ? ox_index_at(t, i) : v[i];
    }
    return STATUS_OK;
}

status ox_list_axes(ox_list *l, uint32_t rank, error *err) {
    bool seen[2 * ASSAY_MAX_DIMS] = {false};
    for (size_t i = 0; i < l->n; i++) {
        int64_t a = l->v[i] < 0 && l->v[i] >= -(int64_t)rank ? l->v[i] + (int64_t)rank : l->v[i];
        if (a < 0 || a >= (int64_t)rank || seen[a]) {
            return error_set(err, STATUS_MODEL, "axis %" PRId64 " is outside %u dimensions or there twice", l->v[i],
                             rank);
        }
        seen[a] = true;
        l->v[i] = a;
    }
    return STATUS_OK;
}
