/* SPDX-License-Identifier: Apache-2.0
 * What the pools share: the plan of a window operator, and its walk row by row. One row of outputs is made in two
 * steps, each of them a plain loop over neighbours: the input's rows under the window become one padded row, then the
 * row's taps are joined. Where the stride is above one the padded row is first taken apart into `stride` phases
 * (phase p holds elements p, p + stride, ...), so that one tap of neighbouring outputs is a run of neighbours. */
#ifndef ONNX_KERNELS_POOL_ROWS_H
#define ONNX_KERNELS_POOL_ROWS_H

#include "kernels/window.h"

#define OX_POOL_MAX_STRIDE 8u /* of phases; beyond it the plain loop is as good */
#define OX_POOL_BUFFERS 4u

typedef struct ox_pool {
    ox_window w;
    bool by_rows;                  /* the walk serves this geometry */
    size_t width;                  /* elements of a padded row */
    size_t middle;                 /* of them those of the input, from pad_lo[2] on */
    size_t phase;                  /* elements of a phase; a buffer holds stride[2] of them */
    size_t *tap_at;                /* k[2]: tap t of output 0 in the phases */
    void *buffer[OX_POOL_BUFFERS]; /* each of stride[2] * phase items of eight bytes; zeroed */
    double *column;                /* out[2] values of the kernel's own */
} ox_pool;

/* out[0] gets input 0's dtype and the shape of w's outputs. */
status ox_pool_infer(ox_node *n, ox_window *w, error *err);
/* n->state = an ox_pool; for a kernel's prepare and release. */
status ox_pool_prepare(ox_node *n, bool want_vjp, error *err);
void ox_pool_release(ox_node *n);

/* Offset in its plane of row (i, j) of a window's taps. */
static inline size_t ox_pool_row(const ox_window *w, ox_taps d, ox_taps h, size_t i, size_t j) {
    return ((d.at + (i - d.first) * w->dilation[0]) * w->in[1] + h.at + (j - h.first) * w->dilation[1]) * w->in[2];
}

/* Calls body for each row of outputs of a plane: d, h are its taps, `row` counts from 0. */
#define OX_POOL_EACH_ROW(w, body)                                                                                      \
    for (size_t od_ = 0, row = 0; od_ < (w)->out[0]; od_++) {                                                          \
        ox_taps d = ox_window_taps(w, 0, od_);                                                                         \
        for (size_t oh_ = 0; oh_ < (w)->out[1]; oh_++, row++) {                                                        \
            ox_taps h = ox_window_taps(w, 1, oh_);                                                                     \
            body                                                                                                       \
        }                                                                                                              \
    }

/* For elements of type T: ox_pool_split_T takes a padded row apart, ox_pool_join_T puts it together again. */
/* NOLINTBEGIN(bugprone-macro-parentheses): arguments that are types, and bodies */
#define OX_POOL_PHASES(T)                                                                                              \
    static inline const T *ox_pool_split_##T(const ox_pool *p, const T *row, T *phases) {                              \
        size_t s = p->w.stride[2], width = p->width, phase = p->phase, whole = width / s;                              \
        if (s == 1) {                                                                                                  \
            return row;                                                                                                \
        }                                                                                                              \
        if (s == 2) {                                                                                                  \
            T *even = phases, *odd = phases + phase;                                                                   \
            for (size_t i = 0; i < whole; i++) {                                                                       \
                even[i] = row[2 * i];                                                                                  \
                odd[i] = row[2 * i + 1];                                                                               \
            }                                                                                                          \
            even[whole] = row[2 * whole]; /* one beyond an even width: never read */                                   \
            return phases;                                                                                             \
        }                                                                                                              \
        for (size_t k = 0; k < s; k++) {                                                                               \
            for (size_t i = 0; i * s + k < width; i++) {                                                               \
                phases[k * phase + i] = row[i * s + k];                                                                \
            }                                                                                                          \
        }                                                                                                              \
        return phases;                                                                                                 \
    }                                                                                                                  \
    static inline const T *ox_pool_join_##T(const ox_pool *p, const T *phases, T *row) {                               \
        size_t s = p->w.stride[2], phase = p->phase, whole = p->width / s + 1;                                         \
        if (s == 1) {                                                                                                  \
            return phases;                                                                                             \
        }                                                                                                              \
        if (s == 2) {                                                                                                  \
            const T *even = phases, *odd = phases + phase;                                                             \
            for (size_t i = 0; i < whole; i++) {                                                                       \
                row[2 * i] = even[i];                                                                                  \
                row[2 * i + 1] = odd[i];                                                                               \
            }                                                                                                          \
            return row;                                                                                                \
        }                                                                                                              \
        for (size_t k = 0; k < s; k++) {                                                                               \
            for (size_t i = 0; i < whole; i++) {                                                                       \
                row[i * s + k] = phases[k * phase + i];                                                                \
            }                                                                                                          \
        }                                                                                                              \
        return row;                                                                                                    \
    }

/* NOLINTEND(bugprone-macro-parentheses) */

#endif
