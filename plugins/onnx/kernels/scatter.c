/* SPDX-License-Identifier: Apache-2.0
 * What ScatterElements and ScatterND share (lookup.h): updates put at offsets, with a reduction, and their vjp. */
#include "kernels/lookup.h"

status ox_scatter_reduction(const ox_node *n, ox_reduction *r, error *err) {
    static const char *const names[] = {"none", "add", "mul", "max", "min"};
    TRY(ox_check_attr(n, "reduction", OX_STRING, err));
    const ox_attr *a = ox_attr_find(n, "reduction");
    *r = OX_REDUCE_NONE;
    for (unsigned i = 0; a != NULL && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(a->s, names[i]) == 0) {
            *r = (ox_reduction)i;
            return STATUS_OK;
        }
    }
    return a == NULL ? STATUS_OK : error_set(err, STATUS_MODEL, "reduction \"%.40s\"", a->s);
}

status ox_scatter_make(ox_node *n, size_t n_slots, size_t run, bool want_vjp, error *err) {
    ox_reduction r = OX_REDUCE_NONE;
    TRY(ox_scatter_reduction(n, &r, err));
    TRY(ox_lookup_make(n, n_slots, run, err));
    ox_lookup *l = n->state;
    size_t len = n->out[0]->n;
    if (want_vjp && r == OX_REDUCE_MUL) {
        l->product = mem_try(len, sizeof *l->product, "products", err);
        l->before = l->product == NULL ? NULL : mem_try(n_slots * run, sizeof *l->before, "products", err);
        return l->before == NULL ? STATUS_MEMORY : STATUS_OK;
    }
    if (want_vjp && r != OX_REDUCE_ADD) {
        l->winner = mem_try(len, sizeof *l->winner, "places of updates", err);
        return l->winner == NULL ? STATUS_MEMORY : STATUS_OK;
    }
    return STATUS_OK;
}

/* Calls `body` for each updated element of the output: p, and its update u; updates may be shared by the examples. */
#define EACH_UPDATE(l, n_updates, body)                                                                                \
    for (size_t s = 0, j = 0, u = 0; s < (l)->n; s++) {                                                                \
        for (size_t k = 0; k < (l)->run; k++, j++) {                                                                   \
            size_t p = (size_t)(l)->at[s] + k;                                                                         \
            body;                                                                                                      \
            u = u + 1 < (n_updates) ? u + 1 : 0;                                                                       \
        }                                                                                                              \
    }

#define FLOAT_ABOVE(b, a) ((b) > (a) || ((b) != (b) && (a) == (a)))
#define INT_ABOVE(b, a) ((b) > (a))
#define FLOAT_BELOW(b, a) ((b) < (a) || ((b) != (b) && (a) == (a)))
#define INT_BELOW(b, a) ((b) < (a))

/* Integers wrap (`wide` is unsigned); for bool, sum is Or and product is And. */
#define SCATTER(name, type, wide, sum, product, ABOVE, BELOW)                                                          \
    static void scatter_##name(const ox_lookup *l, ox_reduction r, const ox_tensor *updates, ox_tensor *out) {         \
        typedef type element;                                                                                          \
        const element *from = updates->data;                                                                           \
        element *y = out->data;                                                                                        \
        EACH_UPDATE(l, updates->n, {                                                                                   \
            (void)j;                                                                                                   \
            type a = y[p];                                                                                             \
            type b = from[u];                                                                                          \
            switch (r) {                                                                                               \
            case OX_REDUCE_ADD: y[p] = (type)((wide)a sum(wide) b); break;                                             \
            case OX_REDUCE_MUL: y[p] = (type)((wide)a product(wide) b); break;                                         \
            case OX_REDUCE_MAX: y[p] = ABOVE(b, a) ? b : a; break;                                                     \
            case OX_REDUCE_MIN: y[p] = BELOW(b, a) ? b : a; break;                                                     \
            default: y[p] = b;                                                                                         \
            }                                                                                                          \
        })                                                                                                             \
    }
SCATTER(f32, float, float, +, *, FLOAT_ABOVE, FLOAT_BELOW)
SCATTER(f64, double, double, +, *, FLOAT_ABOVE, FLOAT_BELOW)
SCATTER(i8, int8_t, uint32_t, +, *, INT_ABOVE, INT_BELOW)
SCATTER(u8, uint8_t, uint32_t, +, *, INT_ABOVE, INT_BELOW)
SCATTER(i32, int32_t, uint32_t, +, *, INT_ABOVE, INT_BELOW)
SCATTER(i64, int64_t, uint64_t, +, *, INT_ABOVE, INT_BELOW)
SCATTER(bool, uint8_t, unsigned, |, &, INT_ABOVE, INT_BELOW)

/* in[0] everywhere first; one that is shared by the examples, for each. */
static void copy_data(const ox_node *n) {
    size_t item = ox_dtype_bytes(n->out[0]->dtype), bytes = n->in[0]->n * item, total = n->out[0]->n * item;
    for (size_t at = 0; bytes > 0 && at < total; at += bytes) {
        memcpy((char *)n->out[0]->data + at, n->in[0]->data, bytes);
    }
}

status ox_scatter_forward(ox_node *n, error *err) {
    const ox_lookup *l = n->state;
    ox_reduction r = OX_REDUCE_NONE;
    TRY(ox_scatter_reduction(n, &r, err));
    copy_data(n);
    switch (n->out[0]->dtype) {
    case ASSAY_F32: scatter_f32(l, r, n->in[2], n->out[0]); break;
    case ASSAY_F64: scatter_f64(l, r, n->in[2], n->out[0]); break;
    case ASSAY_I8: scatter_i8(l, r, n->in[2], n->out[0]); break;
    case ASSAY_U8: scatter_u8(l, r, n->in[2], n->out[0]); break;
    case ASSAY_I32: scatter_i32(l, r, n->in[2], n->out[0]); break;
    case ASSAY_I64: scatter_i64(l, r, n->in[2], n->out[0]); break;
    default: scatter_bool(l, r, n->in[2], n->out[0]);
    }
    return STATUS_OK;
}

static void add_at(float *d, size_t i, double v) {
    if (d != NULL) {
        d[i] += (float)v;
    }
}

/* The cotangent goes to the one value that became the output's. */
static void vjp_winner(const ox_node *n, ox_reduction r, const float *g, float *dx, float *du) {
    const ox_lookup *l = n->state;
    const ox_tensor *x = n->in[0], *updates = n->in[2];
    for (size_t i = 0; i < n->out[0]->n; i++) {
        l->winner[i] = -1;
    }
    EACH_UPDATE(l, updates->n, {
        (void)j;
        int64_t w = l->winner[p];
        double a = w < 0 ? ox_at(x, p % x->n) : ox_at(updates, (size_t)w);
        double b = ox_at(updates, u);
        bool wins = r == OX_REDUCE_NONE || (r == OX_REDUCE_MAX ? FLOAT_ABOVE(b, a) : FLOAT_BELOW(b, a));
        l->winner[p] = wins ? (int64_t)u : w;
    })
    for (size_t i = 0; i < n->out[0]->n; i++) {
        if (l->winner[i] < 0) {
            add_at(dx, i % x->n, (double)g[i]);
        } else {
            add_at(du, (size_t)l->winner[i], (double)g[i]);
        }
    }
}

/* d(x u1 u2 ...)/du1 = x u2 ...: products from both sides, no division (a factor may be 0). */
static void vjp_product(const ox_node *n, const float *g, float *dx, float *du) {
    const ox_lookup *l = n->state;
    const ox_tensor *x = n->in[0], *updates = n->in[2];
    size_t len = n->out[0]->n;
    for (size_t i = 0; i < len; i++) {
        l->product[i] = ox_at(x, i % x->n);
    }
    EACH_UPDATE(l, updates->n, {
        l->before[j] = l->product[p];
        l->product[p] *= ox_at(updates, u);
    })
    for (size_t i = 0; i < len; i++) {
        l->product[i] = 1;
    }
    for (size_t s = l->n; s-- > 0;) {
        for (size_t k = 0; k < l->run; k++) {
            size_t p = (size_t)l->at[s] + k, j = s * l->run + k, u = j % updates->n;
            add_at(du, u, (double)g[p] * l->before[j] * l->product[p]);
            l->product[p] *= ox_at(updates, u);
        }
    }
    for (size_t i = 0; i < len; i++) {
        add_at(dx, i % x->n, (double)g[i] * l->product[i]);
    }
}

status ox_scatter_vjp(ox_node *n, assay_vjp_mode mode, error *err) {
    (void)mode;
    const ox_lookup *l = n->state;
    const float *g = ox_grad_out(n, 0);
    float *dx = ox_grad_in(n, 0), *du = ox_grad_in(n, 2);
    ox_reduction r = OX_REDUCE_NONE;
    TRY(ox_scatter_reduction(n, &r, err));
    if (g == NULL || n->out[0]->n == 0) {
        return STATUS_OK;
    }
    if (r == OX_REDUCE_MUL) {
        vjp_product(n, g, dx, du);
    } else if (r == OX_REDUCE_ADD) {
        for (size_t i = 0; i < n->out[0]->n; i++) {
            add_at(dx, i % n->in[0]->n, (double)g[i]);
        }
        EACH_UPDATE(l, n->in[2]->n, {
            (void)j;
            add_at(du, u, (double)g[p]);
        })
    } else {
        vjp_winner(n, r, g, dx, du);
    }
    return STATUS_OK;
}
