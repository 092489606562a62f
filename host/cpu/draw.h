/* The normal inputs of a tile of samples: what esc_draw_inputs gives, in loops over
 * many Philox blocks. */
#ifndef ESC_DRAW_H
#define ESC_DRAW_H

#include "cpu/block.h"
#include "cpu/simd.h"
#include "escapement/stream.h"

enum { ESC_GROUP = 128 }; /* Philox blocks drawn together, of 4 normals each */

enum { ESC_ROUNDS = 10 };

/* The keys of the rounds, ready to be spread over lanes. */
static inline void esc_draw_keys(uint64_t seed, uint64_t key[ESC_ROUNDS][2]) {
  esc_u32x2 k = esc_philox_key(seed);
  for (int round = 0; round < ESC_ROUNDS; round++) {
    for (int i = 0; i < 2; i++) key[round][i] = k.v[i];
    k.v[0] += 0x9E3779B9u;
    k.v[1] += 0xBB67AE85u;
  }
}

/* esc_philox_round on a block a lane. Words stand in the low halves; what is left
 * in the high ones never comes down. */
static inline void esc_draw_round(esc_wide c[4], const uint64_t key[2]) {
  const esc_wide zero = {0};
  const esc_wide first = ESC_WIDE_MUL(c[0], zero + 0xD2511F53u);
  const esc_wide second = ESC_WIDE_MUL(c[2], zero + 0xCD9E8D57u);
  c[0] = (second >> 32) ^ c[1] ^ (zero + key[0]);
  c[1] = second;
  c[2] = (first >> 32) ^ c[3] ^ (zero + key[1]);
  c[3] = first;
}

/* Words of ESC_WIDE_LANES blocks from `counter` on: bits[w][i] is word w of block i. */
static inline void esc_draw_bits(const uint64_t key[ESC_ROUNDS][2], esc_u32x4 counter,
                                 uint32_t *bits) {
  esc_wide c[4];
  for (int w = 0; w < 4; w++) c[w] = (esc_wide){0} + counter.v[w];
  for (unsigned i = 0; i < ESC_WIDE_LANES; i++) c[0][i] += i;
#pragma GCC unroll 10
  for (int round = 0; round < ESC_ROUNDS; round++) esc_draw_round(c, key[round]);
  for (int w = 0; w < 4; w++) {
    const esc_narrow low = __builtin_convertvector(c[w], esc_narrow);
    memcpy(bits + w * ESC_GROUP, &low, sizeof low);
  }
}

/* Normals 0 and 1, or 2 and 3, of `count` blocks from their words. */
static inline void esc_draw_pairs(int count, const uint32_t *restrict radius,
                                  const uint32_t *restrict angle, float *restrict first,
                                  float *restrict second) {
#pragma omp simd
  for (int i = 0; i < count; i++) {
    float a, b;
    esc_normal_pair_f32(radius[i], angle[i], &a, &b);
    first[i] = a;
    second[i] = b;
  }
}

/* The normals of `count` blocks from `counter` on, a multiple of ESC_PAD up to
 * ESC_GROUP, in the order of the blocks. */
static inline void esc_draw_group(const uint64_t key[ESC_ROUNDS][2], esc_u32x4 counter, int count,
                                  float *normal) {
  uint32_t bits[4][ESC_GROUP];
  float draw[4][ESC_GROUP];
  for (int i = 0; i < count; i += ESC_WIDE_LANES) {
    esc_draw_bits(key, counter, &bits[0][i]);
    counter.v[0] += ESC_WIDE_LANES;
  }
  for (int w = 0; w < 4; w += 2) esc_draw_pairs(count, bits[w], bits[w + 1], draw[w], draw[w + 1]);
  esc_transpose(4, (size_t)count, draw[0], ESC_GROUP, normal, 4);
}

#endif
