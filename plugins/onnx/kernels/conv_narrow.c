/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/conv.h"
#include "kernels/sgemm.h"

#define MAX_CHANNELS 4u
#define MAX_COLUMNS ((size_t)1 << 20) /* floats: what a cache holds */

struct ox_conv_narrow {
    const ox_conv_shape *s; /* the caller's */
    ox_isa isa;
    float *packed;  /* dy (K, plane) */
    float *columns; /* (C * taps, plane) */
};

bool ox_conv_narrow_pays(const ox_conv_shape *s) {
    size_t rows = 0, columns = 0;
    return s->groups == 1 && s->c_in <= MAX_CHANNELS && mem_mul(s->c_in, s->w.taps, &rows) &&
           mem_mul(rows, s->w.out_plane, &columns) && columns <= MAX_COLUMNS;
}

status ox_conv_narrow_create(const ox_conv_shape *s, ox_conv_narrow **out, error *err) {
    ox_conv_narrow *c = mem_zalloc(sizeof *c);
    size_t floats = 0;
    *out = c;
    c->s = s;
    c->isa = ox_isa_best();
    if (!ox_gemm_packed(s->c_out, s->w.out_plane, &floats)) {
        return error_set(err, STATUS_MEMORY, "the packed gradient overflows");
    }
    c->packed = mem_try(floats, sizeof(float), "packed gradient", err);
    c->columns = mem_try(s->c_in * s->w.taps * s->w.out_plane, sizeof(float), "columns", err);
    return c->packed == NULL || c->columns == NULL ? STATUS_MEMORY : STATUS_OK;
}

void ox_conv_narrow_destroy(ox_conv_narrow *c) {
    if (c != NULL) {
        mem_free(c->packed);
        mem_free(c->columns);
        mem_free(c);
    }
}

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

/* Adds one row of columns (a channel and a tap) to the channel's image. */
static void add_tap(const ox_window *w, const size_t t[3], const float *column, float *dx) {
    range d = outputs_of(w, 0, t[0]), h = outputs_of(w, 1, t[1]), x = outputs_of(w, 2, t[2]);
    size_t stride = w->stride[2], len = x.end - x.first;
    for (size_t od = d.first; len > 0 && od < d.end; od++) {
        for (size_t oh = h.first; oh < h.end; oh++) {
            const float *from = column + (od * w->out[1] + oh) * w->out[2] + x.first;
            size_t row = input_at(w, 0, od, t[0]) * w->in[1] + input_at(w, 1, oh, t[1]);
            float *to = dx + row * w->in[2] + input_at(w, 2, x.first, t[2]);
            if (stride == 1) {
                for (size_t i = 0; i < len; i++) {
                    to[i] += from[i];
                }
            } else {
                for (size_t i = 0; i < len; i++) {
                    to[i * stride] += from[i];
                }
            }
        }
    }
}

void ox_conv_narrow_backward(ox_conv_narrow *c, const float *weights, const float *dy, float *dx) {
    const ox_window *w = &c->s->w;
    size_t rows = c->s->c_in * w->taps, plane = w->out_plane;
    ox_gemm_pack(dy, c->s->c_out, plane, plane, 1, c->packed);
    ox_gemm(c->isa, rows, plane, c->s->c_out, weights, 1, rows, c->packed, c->columns, plane);
    for (size_t i = 0; i < rows; i++) {
        size_t tap = i % w->taps, t[3] = {tap / (w->k[1] * w->k[2]), tap / w->k[2] % w->k[1], tap % w->k[2]};
        add_tap(w, t, c->columns + i * plane, dx + i / w->taps * w->in_plane);
    }
}
