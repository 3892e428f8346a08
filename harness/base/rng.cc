// SPDX-License-Identifier: Apache-2.0
// The one C++ unit: PCG's reference implementation (pcg_random.hpp) behind the C header.
#include "base/rng.h"

#include <cmath>
#include <cstring>

#include <pcg_random.hpp>

extern "C" {
#include "base/digest.h"
}

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

// Wichura, "Algorithm AS 241: The Percentage Points of the Normal Distribution", 1988, PPND16.
double ratio(const double *num, const double *den, double r) {
    double a = num[7];
    double b = den[7];
    for (int i = 6; i >= 0; i--) {
        a = a * r + num[i];
        b = b * r + den[i];
    }
    return a / b;
}

double normal_quantile(double p) {
    static const double a[8] = {3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3,
                                1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                3.3430575583588128105e+4, 2.5090809287301226727e+3};
    static const double b[8] = {1.0,
                                4.2313330701600911252e+1,
                                6.8718700749205790830e+2,
                                5.3941960214247511077e+3,
                                2.1213794301586595867e+4,
                                3.9307895800092710610e+4,
                                2.8729085735721942674e+4,
                                5.2264952788528545610e+3};
    static const double c[8] = {1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
                                3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
                                2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double d[8] = {1.0,
                                2.05319162663775882187e0,
                                1.67638483018380384940e0,
                                6.89767334985100004550e-1,
                                1.48103976427480074590e-1,
                                1.51986665636164571966e-2,
                                5.47593808499534494600e-4,
                                1.05075007164441684324e-9};
    static const double e[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                                2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double f[8] = {1.0,
                                5.99832206555887937690e-1,
                                1.36929880922735805310e-1,
                                1.48753612908506148525e-2,
                                7.86869131145613259100e-4,
                                1.84631831751005468180e-5,
                                1.42151175831644588870e-7,
                                2.04426310338993978564e-15};
    const double q = p - 0.5;
    if (std::fabs(q) <= 0.425) {
        return q * ratio(a, b, 0.180625 - q * q);
    }
    double r = std::sqrt(-std::log(q < 0 ? p : 1.0 - p));
    const double v = r <= 5.0 ? ratio(c, d, r - 1.6) : ratio(e, f, r - 5.0);
    return q < 0 ? -v : v;
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
