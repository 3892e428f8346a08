/* SPDX-License-Identifier: Apache-2.0
 * The output plane is walked as one line, in the padded image's own row length: output (y, x) is position y * Q + x,
 * and tap (i, j) reads there what lies i' * Q + j' further on. The few positions past the end of a row are computed and
 * thrown away, which costs less than short rows. A stride s makes s * s images, one for each remainder (phase), so that
 * the same holds; only phases that some tap reads are kept.
 *
 * Bytes lie in one of two forms. Quads: four channels interleaved, one lane of a vector is one position of four
 * channels. Windows, where there are fewer channels (a first layer, a depthwise one): each channel by itself, a lane is
 * four neighbours along x, that is up to four taps.
 *
 * Weights are broadcast, positions are vector lanes, so sums come out in the model's order of channels. A further row
 * of weights that are all 1 gives the sums of x that a weight zero point needs. */
#include "kernels/iconv.h"

#include "kernels/simd.h"

#define LANES OX_IGEMM_LANES
#define QUAD 4u
#define CHUNK 512u /* positions: 12 rows of sums stay near */
#define SLACK 256u /* bytes that the last vector may read past the image */

/* One dimension: where taps look. */
typedef struct axis {
    size_t n_phases, q;     /* phases in use; their length */
    size_t phase[4 * QUAD]; /* remainder of each */
    size_t *slot, *shift;   /* by tap: its phase and how far on */
} axis;

/* One step of the tile: the taps of its (up to) four bytes; SIZE_MAX: none, the weight is 0. */
typedef struct step {
    size_t offset; /* bytes */
    size_t tap[QUAD];
} step;

struct ox_iconv {
    ox_conv_shape s;
    ox_int8_isa isa;
    bool windows, x_signed, w_signed, need_sums;
    axis axes[3];
    size_t *tables;                /* the memory of slot and shift */
    size_t per_in, per_out, inner; /* channels of a group; quads or channels of a step */
    size_t plane, image_bytes;     /* bytes of one quad or channel, and of all */
    step *steps;
    size_t *offsets, n_steps;
    uint8_t *image, *rows; /* rows: four of a strided input */
    uint8_t *weights, *ones;
    int32_t *sums, *x_sums, *add, *w_zero; /* by channel: what x_zero adds, and the shifted zero points */
    int32_t *w_sums, x_zero;
};

void ox_iconv_destroy(ox_iconv *c) {
    if (c == NULL) {
        return;
    }
    void *const all[] = {c->tables, c->steps,  c->offsets, c->image,  c->rows,   c->weights, c->ones,
                         c->sums,   c->x_sums, c->add,     c->w_zero, c->w_sums, c};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        mem_free(all[i]);
    }
}

/* ---- geometry ----------------------------------------------------------------------------------- */

static status too_odd(error *err) {
    return error_set(err, STATUS_UNSUPPORTED, "an integer convolution of this geometry");
}

static status read_axis(const ox_window *w, unsigned d, axis *a, error *err) {
    size_t s = w->stride[d], reach = (w->out[d] - 1) * s + (w->k[d] - 1) * w->dilation[d] + 1;
    a->q = (reach + s - 1) / s;
    for (size_t t = 0; t < w->k[d]; t++) {
        size_t at = t * w->dilation[d], p = 0;
        while (p < a->n_phases && a->phase[p] != at % s) {
            p++;
        }
        if (p == sizeof a->phase / sizeof a->phase[0]) {
            return too_odd(err);
        }
        a->phase[p] = at % s;
        a->n_phases += p == a->n_phases;
        a->slot[t] = p;
        a->shift[t] = at / s;
    }
    return STATUS_OK;
}

/* Position of tap (i, j, t) in a channel's phases, in positions. */
static size_t tap_position(const ox_iconv *c, size_t i, size_t j, size_t t) {
    const axis *a = c->axes;
    size_t phase = (a[0].slot[i] * a[1].n_phases + a[1].slot[j]) * a[2].n_phases + a[2].slot[t];
    return ((phase * a[0].q + a[0].shift[i]) * a[1].q + a[1].shift[j]) * a[2].q + a[2].shift[t];
}

static void add_step(ox_iconv *c, size_t position, size_t tap, bool windows) {
    step *s = &c->steps[c->n_steps++];
    *s = (step){.offset = windows ? position : position * QUAD, .tap = {tap, SIZE_MAX, SIZE_MAX, SIZE_MAX}};
}

/* Taps of one row and phase, in order: a new window where the last does not reach. */
static void window_steps(ox_iconv *c, size_t i, size_t j) {
    const ox_window *w = &c->s.w;
    for (size_t p = 0; p < c->axes[2].n_phases; p++) {
        size_t start = 0;
        bool open = false;
        for (size_t t = 0; t < w->k[2]; t++) {
            size_t at = c->axes[2].shift[t];
            if (c->axes[2].slot[t] != p) {
                continue;
            }
            size_t tap = (i * w->k[1] + j) * w->k[2] + t;
            if (!open || at - start >= QUAD) {
                add_step(c, tap_position(c, i, j, t), tap, true);
                start = at;
                open = true;
            } else {
                c->steps[c->n_steps - 1].tap[at - start] = tap;
            }
        }
    }
}

static void make_steps(ox_iconv *c, bool windows) {
    const ox_window *w = &c->s.w;
    c->n_steps = 0;
    for (size_t i = 0; i < w->k[0]; i++) {
        for (size_t j = 0; j < w->k[1]; j++) {
            for (size_t t = 0; t < w->k[2] && !windows; t++) {
                add_step(c, tap_position(c, i, j, t), (i * w->k[1] + j) * w->k[2] + t, false);
            }
            if (windows) {
                window_steps(c, i, j);
            }
        }
    }
}

/* ---- memory ------------------------------------------------------------------------------------- */

static status take(void *at, size_t n, size_t item, error *err) {
    void *p = mem_try(n > 0 ? n : 1, item, "integer convolution", err);
    memcpy(at, &p, sizeof p);
    return p == NULL ? STATUS_MEMORY : STATUS_OK;
}

static status take_axes(ox_iconv *c, error *err) {
    const ox_window *w = &c->s.w;
    size_t n = 0;
    if (!mem_add(w->k[0], w->k[1], &n) || !mem_add(n, w->k[2], &n) || w->taps > ((size_t)1 << 20)) {
        return too_odd(err);
    }
    TRY(take(&c->tables, 2 * n, sizeof *c->tables, err));
    size_t *at = c->tables;
    for (unsigned d = 0; d < 3; d++) {
        c->axes[d].slot = at;
        c->axes[d].shift = at + w->k[d];
        at += 2 * w->k[d];
        TRY(read_axis(w, d, &c->axes[d], err));
    }
    return STATUS_OK;
}

/* Phases of one channel, in positions; false where it is out of all proportion. */
static bool channel_positions(const ox_iconv *c, size_t *n) {
    const axis *a = c->axes;
    *n = 1;
    for (unsigned d = 0; d < 3; d++) {
        if (!mem_mul(*n, a[d].n_phases, n) || !mem_mul(*n, a[d].q, n)) {
            return false;
        }
    }
    return *n <= 16 * (c->s.w.in_plane + c->s.w.out_plane) + 65536;
}

static status take_image(ox_iconv *c, size_t channel, error *err) {
    const ox_window *w = &c->s.w;
    c->inner = c->windows ? c->per_in : (c->per_in + QUAD - 1) / QUAD;
    c->plane = c->windows ? channel : channel * QUAD;
    size_t n = 0;
    if (!mem_mul(c->plane, c->inner, &n) || !mem_mul(n, c->s.groups, &n) || !mem_add(n, SLACK, &c->image_bytes)) {
        return too_odd(err);
    }
    TRY(take(&c->image, c->image_bytes + (size_t)CHUNK * QUAD, 1, err));
    memset(c->image, 0, c->image_bytes + (size_t)CHUNK * QUAD);
    return take(&c->rows, QUAD * (w->in[2] + 16), 1, err);
}

static status take_weights(ox_iconv *c, error *err) {
    size_t n = 0, out = c->s.c_out;
    if (!mem_mul(c->n_steps * QUAD, c->inner, &n) || !mem_mul(n, out, &n)) {
        return too_odd(err);
    }
    TRY(take(&c->weights, n, 1, err));
    TRY(take(&c->ones, n / out, 1, err));
    TRY(take(&c->offsets, c->n_steps, sizeof *c->offsets, err));
    TRY(take(&c->sums, (size_t)OX_IGEMM_ROWS * CHUNK + LANES, sizeof(int32_t), err));
    TRY(take(&c->x_sums, CHUNK + LANES, sizeof(int32_t), err));
    TRY(take(&c->add, out, sizeof(int32_t), err));
    TRY(take(&c->w_zero, out, sizeof(int32_t), err));
    TRY(take(&c->w_sums, out, sizeof(int32_t), err));
    for (size_t i = 0; i < c->n_steps; i++) {
        c->offsets[i] = c->steps[i].offset;
    }
    return STATUS_OK;
}

static status create(ox_iconv *c, error *err) {
    const ox_window *w = &c->s.w;
    size_t channel = 0;
    if (w->in_plane == 0 || w->out_plane == 0 || c->s.c_in == 0 || c->s.c_out == 0) {
        return too_odd(err);
    }
    TRY(take_axes(c, err));
    if (!channel_positions(c, &channel)) {
        return too_odd(err);
    }
    TRY(take(&c->steps, w->taps, sizeof *c->steps, err));
    make_steps(c, true);
    /* a window costs two shuffles more than a quad */
    c->windows = 5 * c->n_steps * c->per_in < 4 * w->taps * ((c->per_in + QUAD - 1) / QUAD);
    make_steps(c, c->windows);
    TRY(take_image(c, channel, err));
    return take_weights(c, err);
}

status ox_iconv_create(const ox_conv_shape *s, ox_int8_isa isa, ox_iconv **out, error *err) {
    ox_iconv *c = mem_zalloc(sizeof *c);
    c->s = *s;
    c->isa = isa;
    c->per_in = s->c_in / s->groups;
    c->per_out = s->c_out / s->groups;
    status code = create(c, err);
    if (code != STATUS_OK) {
        ox_iconv_destroy(c);
        c = NULL;
    }
    *out = c;
    return code;
}

/* ---- weights ------------------------------------------------------------------------------------ */

/* The four bytes of one output channel at one step and one quad or channel `i`; their sum is added to *sum. */
static void pack_four(const ox_iconv *c, const uint8_t *w, const step *s, size_t i, uint8_t to[QUAD], int32_t *sum) {
    size_t taps = c->s.w.taps;
    const uint8_t flip = c->w_signed ? 0 : 0x80;
    for (size_t q = 0; q < QUAD; q++) {
        size_t channel = c->windows ? i : i * QUAD + q, tap = c->windows ? s->tap[q] : s->tap[0];
        bool used = channel < c->per_in && tap != SIZE_MAX;
        to[q] = !used ? 0 : (w == NULL ? 1 : w[channel * taps + tap] ^ flip);
        *sum = (int32_t)((uint32_t)*sum + (uint32_t)(int8_t)to[q]);
    }
}

void ox_iconv_weights(ox_iconv *c, const void *w, bool is_signed, const int32_t *zero) {
    c->w_signed = is_signed;
    c->need_sums = false;
    size_t row = c->per_in * c->s.w.taps, quads = c->n_steps * c->inner;
    int32_t ignored = 0;
    for (size_t k = 0; k < c->s.c_out; k++) {
        c->w_zero[k] = ox_shifted_weight(zero[k], is_signed);
        c->need_sums = c->need_sums || c->w_zero[k] != 0;
        c->w_sums[k] = 0;
        uint8_t *to = c->weights + k * quads * QUAD;
        for (size_t s = 0; s < c->n_steps; s++) {
            for (size_t i = 0; i < c->inner; i++, to += QUAD) {
                pack_four(c, (const uint8_t *)w + k * row, &c->steps[s], i, to, &c->w_sums[k]);
            }
        }
    }
    uint8_t *to = c->ones;
    for (size_t s = 0; s < c->n_steps; s++) {
        for (size_t i = 0; i < c->inner; i++, to += QUAD) {
            pack_four(c, NULL, &c->steps[s], i, to, &ignored);
        }
    }
}

/* ---- image -------------------------------------------------------------------------------------- */

void ox_iconv_begin(ox_iconv *c, bool is_signed, int32_t zero) {
    c->x_signed = is_signed;
    c->x_zero = ox_shifted_activation(zero, is_signed);
    memset(c->image, c->x_zero, c->image_bytes);
    uint32_t n = (uint32_t)(c->per_in * c->s.w.taps), z = (uint32_t)c->x_zero;
    for (size_t k = 0; k < c->s.c_out; k++) {
        c->add[k] = (int32_t)(n * z * (uint32_t)c->w_zero[k] - z * (uint32_t)c->w_sums[k]);
    }
}

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef uint16_t shorts8 __attribute__((vector_size(16)));

typedef uint64_t words2 __attribute__((vector_size(16)));

/* The first n bytes (4, 8 or 16); the rest is zero. Through a register: a partly written vector would have to wait for
 * memory. */
static inline bytes16 load_some(const uint8_t *p, const size_t n) {
    bytes16 v;
    uint64_t word = 0;
    if (n == 16) {
        memcpy(&v, p, 16);
        return v;
    }
    if (n == 8) {
        memcpy(&word, p, 8);
    } else {
        uint32_t half;
        memcpy(&half, p, 4);
        word = half;
    }
    return (bytes16)(words2){word, 0};
}

static inline void store_some(uint8_t *p, bytes16 v, const size_t n) {
    uint64_t word = ((words2)v)[0];
    if (n == 16) {
        memcpy(p, &v, 16);
    } else {
        memcpy(p, &word, 8);
    }
}

/* Rows are short, so that a remainder is done by vectors as well: the last one overlaps the one before. */
#define WITH_OVERLAP(n, width, body)                                                                                   \
    do {                                                                                                               \
        for (size_t i = 0; i + (width) <= (n); i += (width)) {                                                         \
            body;                                                                                                      \
        }                                                                                                              \
        if ((n) % (width) != 0) {                                                                                      \
            size_t i = (n) - (width);                                                                                  \
            body;                                                                                                      \
        }                                                                                                              \
    } while (0)

/* to[4 i + r] = from[r][i] ^ flip for `n` (4, 8 or 16) values of i. */
static inline void interleave_some(const uint8_t *const from[QUAD], size_t i, const size_t n, uint8_t flip,
                                   uint8_t *to) {
    bytes16 a = load_some(from[0] + i, n), b = load_some(from[1] + i, n);
    bytes16 c = load_some(from[2] + i, n), d = load_some(from[3] + i, n);
    shorts8 ab = (shorts8)__builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    shorts8 cd = (shorts8)__builtin_shufflevector(c, d, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    shorts8 ef = (shorts8)__builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    shorts8 gh = (shorts8)__builtin_shufflevector(c, d, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    bytes16 out[4] = {(bytes16)__builtin_shufflevector(ab, cd, 0, 8, 1, 9, 2, 10, 3, 11) ^ flip,
                      (bytes16)__builtin_shufflevector(ab, cd, 4, 12, 5, 13, 6, 14, 7, 15) ^ flip,
                      (bytes16)__builtin_shufflevector(ef, gh, 0, 8, 1, 9, 2, 10, 3, 11) ^ flip,
                      (bytes16)__builtin_shufflevector(ef, gh, 4, 12, 5, 13, 6, 14, 7, 15) ^ flip};
    memcpy(to + i * QUAD, out, n * QUAD);
}

static void interleave(const uint8_t *const from[QUAD], size_t n, uint8_t flip, uint8_t *to) {
    if (n >= 16) {
        WITH_OVERLAP(n, 16, interleave_some(from, i, 16, flip, to));
    } else if (n >= 8) {
        WITH_OVERLAP(n, 8, interleave_some(from, i, 8, flip, to));
    } else if (n >= 4) {
        WITH_OVERLAP(n, 4, interleave_some(from, i, 4, flip, to));
    } else {
        for (size_t i = 0; i < n * QUAD; i++) {
            to[i] = from[i % QUAD][i / QUAD] ^ flip;
        }
    }
}

static inline void copy_some(const uint8_t *from, size_t i, const size_t n, uint8_t flip, uint8_t *to) {
    store_some(to + i, load_some(from + i, n) ^ flip, n);
}

/* to[i] = from[i] ^ flip */
static inline void copy_bytes(const uint8_t *from, size_t n, uint8_t flip, uint8_t *to) {
    if (n >= 16) {
        WITH_OVERLAP(n, 16, copy_some(from, i, 16, flip, to));
    } else if (n >= 8) {
        WITH_OVERLAP(n, 8, copy_some(from, i, 8, flip, to));
    } else {
        for (size_t i = 0; i < n; i++) {
            to[i] = from[i] ^ flip;
        }
    }
}

/* Bytes 0, 2, ... 14; GCC makes a shuffle of bytes from single ones below SSSE3. */
static inline bytes16 even_bytes(bytes16 v) {
#if defined(__SSE2__)
    __m128i even = _mm_and_si128((__m128i)v, _mm_set1_epi16(255));
    return (bytes16)_mm_packus_epi16(even, even);
#else
    return __builtin_shufflevector(v, v, 0, 2, 4, 6, 8, 10, 12, 14, 0, 2, 4, 6, 8, 10, 12, 14);
#endif
}

/* to[i] = from[stride * i] ^ flip */
static void copy_strided(const uint8_t *from, size_t stride, size_t n, uint8_t flip, uint8_t *to) {
    size_t i = 0;
    for (; stride == 2 && i + 8 < n; i += 8) { /* the sixteenth byte is still before the last that counts */
        store_some(to + i, even_bytes(load_some(from + 2 * i, 16) ^ flip), 8);
    }
    for (; i < n; i++) {
        to[i] = from[i * stride] ^ flip;
    }
}

/* Of one dimension and phase: places first .. first + n - 1 hold input `at`, `at` + stride, ...; the rest is padding.
 */
typedef struct span {
    size_t first, at, n;
} span;

static span span_of(const ox_iconv *c, unsigned d, size_t p) {
    const ox_window *w = &c->s.w;
    size_t s = w->stride[d], phase = c->axes[d].phase[p], lo = w->pad_lo[d];
    size_t first = phase >= lo ? 0 : (lo - phase + s - 1) / s, at = first * s + phase - lo;
    size_t n = at < w->in[d] ? (w->in[d] - at + s - 1) / s : 0;
    size_t room = c->axes[d].q > first ? c->axes[d].q - first : 0;
    return (span){first, at, n < room ? n : room};
}

/* One row of one phase: `from` is the input row of the first channel, `to` its place. */
static inline void copy_row(const ox_iconv *c, const uint8_t *from, size_t channels, span x, uint8_t flip,
                            uint8_t *to) {
    const size_t stride = c->s.w.stride[2], width = c->s.w.in[2] + 16;
    if (c->windows && stride == 1) {
        copy_bytes(from + x.at, x.n, flip, to + x.first);
        return;
    }
    if (c->windows) {
        copy_strided(from + x.at, stride, x.n, flip, to + x.first);
        return;
    }
    const uint8_t *rows[QUAD];
    for (size_t r = 0; r < QUAD; r++) {
        rows[r] = from + (r < channels ? r : 0) * c->s.w.in_plane + x.at; /* what is not there has weight 0 */
        if (stride != 1) {
            copy_strided(rows[r], stride, x.n, 0, c->rows + r * width);
            rows[r] = c->rows + r * width;
        }
    }
    interleave(rows, x.n, flip, to + x.first * QUAD);
}

/* All phases of one channel, or of a quad of `channels`. */
static void copy_channel(ox_iconv *c, const uint8_t *x, size_t channels, uint8_t *to) {
    const ox_window *w = &c->s.w;
    const axis *a = c->axes;
    const uint8_t flip = c->x_signed ? 0x80 : 0;
    size_t unit = c->windows ? 1 : QUAD, row = a[2].q * unit;
    for (size_t p = 0; p < a[0].n_phases * a[1].n_phases * a[2].n_phases; p++) {
        span z = span_of(c, 0, p / a[2].n_phases / a[1].n_phases);
        span y = span_of(c, 1, p / a[2].n_phases % a[1].n_phases), s = span_of(c, 2, p % a[2].n_phases);
        uint8_t *phase = to + p * a[0].q * a[1].q * row;
        for (size_t i = 0; i < z.n && s.n > 0; i++) {
            for (size_t j = 0; j < y.n; j++) {
                size_t from = (z.at + i * w->stride[0]) * w->in[1] + y.at + j * w->stride[1];
                uint8_t *at = phase + ((z.first + i) * a[1].q + y.first + j) * row;
                copy_row(c, x + from * w->in[2], channels, s, flip, at);
            }
        }
    }
}

static void copy_image(ox_iconv *c, const uint8_t *x) {
    uint8_t *to = c->image;
    size_t unit = c->windows ? 1 : QUAD;
    for (size_t g = 0; g < c->s.groups; g++) {
        for (size_t i = 0; i < c->inner; i++, to += c->plane) {
            size_t left = c->per_in - i * unit;
            copy_channel(c, x + (g * c->per_in + i * unit) * c->s.w.in_plane, left < unit ? left : unit, to);
        }
    }
}

/* ---- sums --------------------------------------------------------------------------------------- */

/* Output rows of one plane that are computed together, or a part of one row. */
typedef struct chunk {
    size_t at;       /* position in the image's line */
    size_t position; /* in the output's plane */
    size_t len, n;   /* of a row; rows */
} chunk;

static size_t positions(const ox_iconv *c, const chunk *k) {
    return (k->n - 1) * c->axes[2].q + k->len;
}

/* What the weights' zero point adds: zero * (sum of x), modulo 2^32. */
static void subtract(int32_t *sums, const int32_t *x_sums, uint32_t zero, size_t n) {
    for (size_t i = 0; i < n; i++) {
        sums[i] = (int32_t)((uint32_t)sums[i] - zero * (uint32_t)x_sums[i]);
    }
}

static ox_int8_tile tile_of(const ox_iconv *c, size_t group, const chunk *k) {
    size_t unit = c->windows ? 1 : QUAD;
    return (ox_int8_tile){.form = c->windows ? OX_INT8_WINDOWS : OX_INT8_QUADS,
                          .v = c->image + group * c->inner * c->plane + k->at * unit,
                          .offset = c->offsets,
                          .n_offsets = c->n_steps,
                          .inner = c->inner,
                          .inner_step = c->plane,
                          .panel = LANES * unit,
                          .row = c->n_steps * c->inner * QUAD,
                          .step = QUAD,
                          .ldc = CHUNK};
}

static void run_rows(ox_iconv *c, size_t channel, size_t rows, const chunk *k, ox_int8_tile *t, ox_iconv_sink sink,
                     void *ctx) {
    size_t n = positions(c, k);
    t->b = c->weights + channel * t->row;
    t->c = c->sums;
    t->start = c->add + channel;
    ox_int8_tile_run(c->isa, t, rows, (n + LANES - 1) / LANES);
    for (size_t r = 0; r < rows; r++) {
        if (c->w_zero[channel + r] != 0) {
            subtract(c->sums + r * CHUNK, c->x_sums, (uint32_t)c->w_zero[channel + r], n);
        }
        const ox_iconv_rows done = {.channel = channel + r,
                                    .position = k->position,
                                    .acc = c->sums + r * CHUNK,
                                    .pitch = c->axes[2].q,
                                    .len = k->len,
                                    .n = k->n};
        sink(ctx, &done);
    }
}

static void run_chunk(ox_iconv *c, size_t group, const chunk *k, ox_iconv_sink sink, void *ctx) {
    ox_int8_tile t = tile_of(c, group, k);
    if (c->need_sums) {
        t.b = c->ones;
        t.c = c->x_sums;
        ox_int8_tile_run(c->isa, &t, 1, (positions(c, k) + LANES - 1) / LANES);
    }
    for (size_t row = 0, rows = 0; row < c->per_out; row += rows) {
        size_t left = c->per_out - row;
        rows = left == 16 ? 8 : (left < OX_IGEMM_ROWS ? left : OX_IGEMM_ROWS);
        run_rows(c, group * c->per_out + row, rows, k, &t, sink, ctx);
    }
}

void ox_iconv_run(ox_iconv *c, const void *x, ox_iconv_sink sink, void *ctx) {
    const ox_window *w = &c->s.w;
    const size_t q = c->axes[2].q, together = q < CHUNK ? CHUNK / q : 1;
    copy_image(c, x);
    for (size_t g = 0; g < c->s.groups; g++) {
        for (size_t z = 0; z < w->out[0]; z++) {
            for (size_t y = 0; y < w->out[1]; y += together) {
                for (size_t p = 0; p < w->out[2]; p += CHUNK) {
                    chunk k = {.at = (z * c->axes[1].q + y) * q + p,
                               .position = (z * w->out[1] + y) * w->out[2] + p,
                               .len = w->out[2] - p < CHUNK ? w->out[2] - p : CHUNK,
                               .n = w->out[1] - y < together ? w->out[1] - y : together};
                    run_chunk(c, g, &k, sink, ctx);
                }
            }
        }
    }
}

/* ---- plain loops -------------------------------------------------------------------------------- */

static int32_t byte_at(const void *p, bool is_signed, size_t i) {
    return is_signed ? ((const int8_t *)p)[i] : ((const uint8_t *)p)[i];
}

int32_t ox_iconv_at(const ox_conv_shape *s, const void *x, bool x_signed, int32_t x_zero, const void *w, bool w_signed,
                    int32_t w_zero, size_t channel, size_t position) {
    const ox_window *wd = &s->w;
    size_t per_in = s->c_in / s->groups, g = channel / (s->c_out / s->groups);
    ox_taps d = ox_window_taps(wd, 0, position / (wd->out[1] * wd->out[2]));
    ox_taps h = ox_window_taps(wd, 1, position / wd->out[2] % wd->out[1]);
    ox_taps v = ox_window_taps(wd, 2, position % wd->out[2]);
    uint32_t sum = 0;
    for (size_t c = 0; c < per_in; c++) {
        for (size_t i = d.first; i < d.end; i++) {
            for (size_t j = h.first; j < h.end; j++) {
                size_t z = d.at + (i - d.first) * wd->dilation[0], y = h.at + (j - h.first) * wd->dilation[1];
                size_t row = (g * per_in + c) * wd->in_plane + (z * wd->in[1] + y) * wd->in[2];
                size_t tap = (channel * per_in + c) * wd->taps + (i * wd->k[1] + j) * wd->k[2];
                for (size_t t = v.first; t < v.end; t++) {
                    int32_t a = byte_at(x, x_signed, row + v.at + (t - v.first) * wd->dilation[2]) - x_zero;
                    sum += (uint32_t)(a * (byte_at(w, w_signed, tap + t) - w_zero));
                }
            }
        }
    }
    return (int32_t)sum;
}
