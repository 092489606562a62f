/* The inputs of a tile of samples: given, or what esc_draw_inputs gives, in loops
 * over many Philox blocks. */
#ifndef ESC_CPU_INPUTS_H
#define ESC_CPU_INPUTS_H

#include "cpu/block.h"
#include "cpu/network.h"
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

/* Flat normals of a tile's samples. Whole vectors are drawn, the last may reach into
 * the room of samples beyond. */
static inline void esc_draw_flat(const esc_cpu_network *net, uint32_t start, int blocks,
                                 float *normal) {
  uint64_t key[ESC_ROUNDS][2];
  esc_draw_keys(net->slot.member.seed, key);
  const uint64_t step = (uint64_t)net->slot.track.step;
  for (int done = 0; done < blocks; done += ESC_GROUP) {
    const int left = (blocks - done + ESC_PAD - 1) / ESC_PAD * ESC_PAD;
    const esc_u32x4 counter = esc_philox_counter(ESC_DOMAIN_DATA, step, 0, start + (uint32_t)done);
    esc_draw_group(key, counter, left < ESC_GROUP ? left : ESC_GROUP, normal + (size_t)done * 4);
  }
}

/* `samples` rows of `inputs` floats, `from_row` apart, into work->x. */
static inline void esc_inputs_copy(const esc_cpu_shared *s, const float *from, size_t from_row,
                                   int samples, esc_cpu_work *work) {
  const size_t inputs = (size_t)s->problem->shape.inputs, row = (size_t)s->layout.in_pad[0];
  for (size_t b = 0; b < (size_t)samples; b++)
    memcpy(work->x + b * row, from + b * from_row, inputs * sizeof *from);
}

/* Inputs `first`... of the member's current step into work->x, directly where its rows are
 * whole blocks and all of the padding. */
static inline void esc_inputs_draw(const esc_cpu_shared *s, const esc_cpu_network *net, int first,
                                   int samples, esc_cpu_work *work) {
  const int inputs = s->problem->shape.inputs, blocks = (inputs + 3) / 4;
  const bool direct = inputs == s->layout.in_pad[0];
  esc_draw_flat(net, (uint32_t)first * (uint32_t)blocks, samples * blocks,
                direct ? work->x : work->draw);
  if (!direct) esc_inputs_copy(s, work->draw, 4 * (size_t)blocks, samples, work);
}

#endif
