// SPDX-License-Identifier: Apache-2.0
// The one C++ unit: PCG's reference implementation (pcg_random.hpp) behind the C header.
#include "base/rng.h"

#include <cstring>

#include <pcg_random.hpp>

extern "C" {
#include "base/digest.h"
}
#include "base/normal.h"

namespace {

using state128 = pcg_extras::pcg128_t;

// pcg64 keeps its state and stream protected; the words of an rng are moved in and out of it here.
struct generator : pcg64 {
    explicit generator(const rng &r) {
        state_ = join(r.state);
        inc_ = join(r.inc);
    }
    void save(rng *r) const {
        r->state[0] = static_cast<uint64_t>(state_ >> 64U);
        r->state[1] = static_cast<uint64_t>(state_);
    }
    static state128 join(const uint64_t w[2]) {
        return (static_cast<state128>(w[0]) << 64U) | w[1];
    }
};

uint64_t next(rng *r) {
    generator g(*r);
    const uint64_t v = g();
    g.save(r);
    return v;
}

} // namespace

extern "C" {

rng rng_at(uint64_t seed, const char *algo, uint64_t example, uint64_t repeat, uint64_t stream) {
    digest *d = digest_new();
    digest_field_u64(d, "seed", seed);
    digest_field_str(d, "algo", algo);
    digest_field_u64(d, "example", example);
    digest_field_u64(d, "repeat", repeat);
    digest_field_u64(d, "stream", stream);
    const digest_value v = digest_finish(d);
    rng r;
    uint64_t w[4];
    std::memset(w, 0, sizeof w);
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 8; j++) {
            w[i] |= static_cast<uint64_t>(v.bytes[8 * i + j]) << (8 * j);
        }
    }
    r.state[0] = w[0];
    r.state[1] = w[1];
    r.inc[0] = w[2];
    r.inc[1] = w[3] | 1U; // PCG streams are odd increments
    (void)next(&r);
    return r;
}

uint64_t rng_u64(rng *r) {
    return next(r);
}

double rng_unit(rng *r) {
    return static_cast<double>(next(r) >> 11U) * 0x1.0p-53;
}

// Lemire, "Fast random integer generation in an interval", 2019.
uint64_t rng_below(rng *r, uint64_t bound) {
    state128 m = static_cast<state128>(next(r)) * bound;
    if (static_cast<uint64_t>(m) < bound) {
        const uint64_t threshold = (0 - bound) % bound;
        while (static_cast<uint64_t>(m) < threshold) {
            m = static_cast<state128>(next(r)) * bound;
        }
    }
    return static_cast<uint64_t>(m >> 64U);
}

double rng_normal(rng *r) {
    // (k + 1/2) / 2^52 is exact, symmetric about 1/2 and strictly inside (0, 1). With 53 bits k + 1/2 would round, and
    // the largest k to 1, whose quantile is infinite.
    return normal_quantile((static_cast<double>(next(r) >> 12U) + 0.5) * 0x1.0p-52);
}

void rng_fill_u64(rng *r, uint64_t *out, size_t n) {
    generator g(*r);
    for (size_t i = 0; i < n; i++) {
        out[i] = g();
    }
    g.save(r);
}

void rng_shuffle_u32(rng *r, uint32_t *v, size_t n) {
    for (size_t i = n; i > 1; i--) {
        const uint64_t j = rng_below(r, i);
        const uint32_t t = v[i - 1];
        v[i - 1] = v[j];
        v[j] = t;
    }
}

} // extern "C"
