/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/columns.h"

/* Outputs first..end-1 of dimension d see an input through tap t. */
typedef struct range {
    size_t first, end;
} range;

static range outputs_of(const ox_window *w, unsigned d, size_t t) {
    size_t offset = t * w->dilation[d], lo = w->pad_lo[d], stride = w->stride[d];
    size_t first = offset >= lo ? 0 : (lo - offset + stride - 1) / stride;
    size_t room = w->in[d] + lo > offset ? w->in[d] + lo - offset : 0; /* o * stride < room */
    size_t end = (room + stride - 1) / stride;
    end = end < w->out[d] ? end : w->out[d];
    return (range){first < end ? first : end, end};
}

static size_t input_at(const ox_window *w, unsigned d, size_t o, size_t t) {
    return o * w->stride[d] + t * w->dilation[d] - w->pad_lo[d];
}

/* For one row of columns, of tap `tap`: `len` elements from `column` on stand for those from `image` on, `stride`
 * apart. */
#define EACH_RUN(w, tap, body)                                                                                         \
    do {                                                                                                               \
        size_t t_[3] = {(tap) / ((w)->k[1] * (w)->k[2]), (tap) / (w)->k[2] % (w)->k[1], (tap) % (w)->k[2]};            \
        range d_ = outputs_of(w, 0, t_[0]), h_ = outputs_of(w, 1, t_[1]), x_ = outputs_of(w, 2, t_[2]);                \
        size_t stride = (w)->stride[2], len = x_.end - x_.first;                                                       \
        for (size_t od_ = d_.first; len > 0 && od_ < d_.end; od_++) {                                                  \
            for (size_t oh_ = h_.first; oh_ < h_.end; oh_++) {                                                         \
                size_t column = (od_ * (w)->out[1] + oh_) * (w)->out[2] + x_.first;                                    \
                size_t row_ = input_at(w, 0, od_, t_[0]) * (w)->in[1] + input_at(w, 1, oh_, t_[1]);                    \
                size_t image = row_ * (w)->in[2] + input_at(w, 2, x_.first, t_[2]);                                    \
                body                                                                                                   \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

/* NOLINTBEGIN(bugprone-macro-parentheses): arguments that are types, and bodies */
#define ADD(T, name)                                                                                                   \
    void name(const ox_window *w, size_t channels, const T *columns, T *images) {                                      \
        for (size_t c = 0; c < channels; c++, images += w->in_plane) {                                                 \
            for (size_t tap = 0; tap < w->taps; tap++, columns += w->out_plane) {                                      \
                EACH_RUN(w, tap, {                                                                                     \
                    const T *from = columns + column;                                                                  \
                    T *to = images + image;                                                                            \
                    for (size_t i = 0; stride == 1 && i < len; i++) {                                                  \
                        to[i] += from[i];                                                                              \
                    }                                                                                                  \
                    for (size_t i = 0; stride != 1 && i < len; i++) {                                                  \
                        to[i * stride] += from[i];                                                                     \
                    }                                                                                                  \
                });                                                                                                    \
            }                                                                                                          \
        }                                                                                                              \
    }
/* NOLINTEND(bugprone-macro-parentheses) */
ADD(float, ox_columns_add)
ADD(double, ox_columns_add_double)

void ox_columns_take(const ox_window *w, size_t channels, const float *images, float *columns) {
    memset(columns, 0, channels * w->taps * w->out_plane * sizeof *columns);
    for (size_t c = 0; c < channels; c++, images += w->in_plane) {
        for (size_t tap = 0; tap < w->taps; tap++, columns += w->out_plane) {
            EACH_RUN(w, tap, {
                const float *from = images + image;
                float *to = columns + column;
                for (size_t i = 0; i < len; i++) {
                    to[i] = from[i * stride];
                }
            });
        }
    }
}
