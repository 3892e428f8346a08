/* SPDX-License-Identifier: Apache-2.0
 * Keyed random numbers (PCG64, M.E. O'Neill 2014). There is no global generator: rng_at hashes its whole path,
 * so that batch size, order, threads, subset and resume never change a result. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rng {
    uint64_t state[2], inc[2]; /* a PCG64 (XSL-RR 128/64) state and stream, high word first */
} rng;

/* `algo` is id@version ("gaussian-noise@1"), `example` the example's stable id. */
rng rng_at(uint64_t seed, const char *algo, uint64_t example, uint64_t repeat, uint64_t stream);

uint64_t rng_u64(rng *r);
double rng_unit(rng *r);                    /* uniform in [0, 1), 53 bits */
uint64_t rng_below(rng *r, uint64_t bound); /* uniform in 0..bound-1, unbiased; bound >= 1 */
double rng_normal(rng *r);                  /* standard normal, inverse CDF (base/normal.h), one draw per value */
void rng_fill_u64(rng *r, uint64_t *out, size_t n);
void rng_shuffle_u32(rng *r, uint32_t *v, size_t n); /* Fisher-Yates */

#ifdef __cplusplus
}
#endif
#endif
