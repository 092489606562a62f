/* SPDX-License-Identifier: Apache-2.0 */
/* Counter-based random bits: Philox4x32-10 (Salmon et al., SC11) of a seed and a counter that
 * encodes the purpose. No state: a draw is the same in any order, on any thread or device.
 *
 * Layout of the counter, least significant word first:
 *   v[0]  block: four words each; for data, sample * ceil(d/4) + j gives
 *         coordinates 4j ... 4j+3 of that sample
 *   v[1]  low 32 bits of the step
 *   v[2]  stream: an independent sequence
 *   v[3]  domain | (high 24 bits of the step) << 8
 * and the key is the seed, low word first. It is the block that cuRAND's
 * curand4() returns after curand_init(seed, (v[3] << 32) | v[2],
 * 4 * ((v[1] << 32) | v[0]), &state), as long as v[1] < 2^30. */
#ifndef ESCAPEMENT_PHILOX_H
#define ESCAPEMENT_PHILOX_H

#include <stdint.h>

#include "escapement/internal/portable.h"

typedef struct esc_u32x2 {
  uint32_t v[2];
} esc_u32x2;

typedef struct esc_u32x4 {
  uint32_t v[4];
} esc_u32x4;

/* Purposes of random numbers; domains share no numbers. */
typedef enum esc_domain {
  ESC_DOMAIN_DATA = 0,
  ESC_DOMAIN_INIT = 1,
  ESC_DOMAIN_TEACHER = 2,
  ESC_DOMAIN_ROUNDING = 3,
  ESC_DOMAIN_EVALUATION = 4
} esc_domain;

/* step < 2^56. */
ESC_SHARED esc_u32x4 esc_philox_counter(esc_domain domain, uint64_t step, uint32_t stream,
                                        uint32_t block) {
  const esc_u32x4 counter = {
      {block, (uint32_t)step, stream, (uint32_t)domain | (uint32_t)(step >> 32) << 8}};
  return counter;
}

ESC_SHARED esc_u32x2 esc_philox_key(uint64_t seed) {
  const esc_u32x2 key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
  return key;
}

ESC_SHARED esc_u32x4 esc_philox_round(esc_u32x4 c, esc_u32x2 key) {
  const uint64_t first = (uint64_t)0xD2511F53u * c.v[0];
  const uint64_t second = (uint64_t)0xCD9E8D57u * c.v[2];
  const esc_u32x4 next = {{(uint32_t)(second >> 32) ^ c.v[1] ^ key.v[0], (uint32_t)second,
                           (uint32_t)(first >> 32) ^ c.v[3] ^ key.v[1], (uint32_t)first}};
  return next;
}

/* Give `rounds` as a constant, so that the loop unrolls. */
ESC_SHARED esc_u32x4 esc_philox4x32(esc_u32x4 counter, esc_u32x2 key, int rounds) {
  for (int i = 0; i < rounds; i++) {
    counter = esc_philox_round(counter, key);
    key.v[0] += 0x9E3779B9u;
    key.v[1] += 0xBB67AE85u;
  }
  return counter;
}

ESC_SHARED esc_u32x4 esc_philox4x32_10(esc_u32x4 counter, esc_u32x2 key) {
  return esc_philox4x32(counter, key, 10);
}

#endif
