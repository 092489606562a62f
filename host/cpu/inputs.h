/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs of a batch tile: copied from the caller's, or the same draws as those of esc_draw_inputs
 * (docs/inside/determinism.md), computed here for many Philox blocks at a time. */
#ifndef ESC_CPU_INPUTS_H
#define ESC_CPU_INPUTS_H

#include <string.h>

#include "cpu/network.h"
#include "cpu/simd.h"
#include "escapement/internal/stream.h"

/* Numbers of Philox blocks; a block gives 4 words and from them 4 normals. */
enum {
  ESC_BLOCKS_PER_GROUP = 128, /* drawn before their words are converted to normals */
  ESC_VECTORS_PER_DRAW = ESC_WIDE_LANES == 8 ? 4 : 2,
  ESC_BLOCKS_PER_DRAW = ESC_VECTORS_PER_DRAW * ESC_WIDE_LANES,
  ESC_BLOCK_GRANULE = 32, /* a multiple of ESC_BLOCKS_PER_DRAW that divides a full tile's blocks */
};

enum { ESC_PHILOX_ROUNDS = 10 };

/* The keys of all rounds, each word widened to a 64-bit lane. */
static inline void esc_philox_round_keys(uint64_t seed, uint64_t key[ESC_PHILOX_ROUNDS][2]) {
  esc_u32x2 k = esc_philox_key(seed);
  for (int round = 0; round < ESC_PHILOX_ROUNDS; round++) {
    for (int i = 0; i < 2; i++) key[round][i] = k.v[i];
    k.v[0] += 0x9E3779B9u;
    k.v[1] += 0xBB67AE85u;
  }
}

/* The four 32-bit words of every other of 2 ESC_WIDE_LANES blocks, in the low halves of 64-bit
 * lanes. The high halves hold remains of earlier products; no operation reads them. */
typedef struct esc_philox_vector {
  esc_wide v[4];
} esc_philox_vector;

/* Blocks `counter`, counter + 2, counter + 4, ... */
static inline esc_philox_vector esc_philox_vector_init(esc_u32x4 counter) {
  const esc_wide zero = {0}, even = ESC_WIDE_EVEN_NUMBERS;
  return (esc_philox_vector){
      {even + counter.v[0], zero + counter.v[1], zero + counter.v[2], zero + counter.v[3]}};
}

/* esc_philox_round for every lane. */
static inline void esc_philox_vector_round(esc_philox_vector *c, const uint64_t key[2]) {
  const esc_wide zero = {0};
  const esc_wide first = ESC_WIDE_MUL(c->v[0], zero + 0xD2511F53u);
  const esc_wide second = ESC_WIDE_MUL(c->v[2], zero + 0xCD9E8D57u);
  c->v[0] = (second >> 32) ^ c->v[1] ^ (zero + key[0]);
  c->v[1] = second;
  c->v[2] = (first >> 32) ^ c->v[3] ^ (zero + key[1]);
  c->v[3] = first;
}

/* The words of ESC_BLOCKS_PER_DRAW blocks from `counter` on: bits[w * ESC_BLOCKS_PER_GROUP + i] is
 * word w of block i. Two vectors hold the even and the odd of 2 ESC_WIDE_LANES blocks. The
 * operations of a block depend on each other; several vectors are interleaved to hide their
 * latency. */
static inline void esc_draw_bits(const uint64_t key[ESC_PHILOX_ROUNDS][2], esc_u32x4 counter,
                                 uint32_t *bits) {
  esc_philox_vector c[ESC_VECTORS_PER_DRAW];
#pragma GCC unroll 4
  for (int k = 0; k < ESC_VECTORS_PER_DRAW; k++) {
    c[k] = esc_philox_vector_init(counter);
    counter.v[0] += k % 2 == 0 ? 1 : 2 * ESC_WIDE_LANES - 1;
  }
#pragma GCC unroll 10
  for (int round = 0; round < ESC_PHILOX_ROUNDS; round++)
#pragma GCC unroll 4
    for (int k = 0; k < ESC_VECTORS_PER_DRAW; k++) esc_philox_vector_round(&c[k], key[round]);
#pragma GCC unroll 4
  for (int k = 0; k < ESC_VECTORS_PER_DRAW; k += 2)
    for (int w = 0; w < 4; w++) {
      const esc_wide words = (c[k].v[w] & 0xffffffffu) | c[k + 1].v[w] << 32;
      memcpy(bits + w * ESC_BLOCKS_PER_GROUP + k * ESC_WIDE_LANES, &words, sizeof words);
    }
}

/* The normals of `count` blocks, (count, 4), from their words, (4, ESC_BLOCKS_PER_GROUP). */
static inline void esc_draw_normals(int count, const uint32_t *restrict bits,
                                    float *restrict normal) {
#pragma omp simd
  for (int i = 0; i < count; i++) {
    float a, b, c, d;
    esc_normal_pair_f32(bits[i], bits[i + ESC_BLOCKS_PER_GROUP], &a, &b);
    esc_normal_pair_f32(bits[i + 2 * ESC_BLOCKS_PER_GROUP], bits[i + 3 * ESC_BLOCKS_PER_GROUP], &c,
                        &d);
    normal[4 * i] = a;
    normal[4 * i + 1] = b;
    normal[4 * i + 2] = c;
    normal[4 * i + 3] = d;
  }
}

/* The normals of `count` blocks from `counter` on, a multiple of ESC_BLOCK_GRANULE up to
 * ESC_BLOCKS_PER_GROUP, in the order of the blocks. */
static inline void esc_draw_group(const uint64_t key[ESC_PHILOX_ROUNDS][2], esc_u32x4 counter,
                                  int count, float *normal) {
  uint32_t bits[4][ESC_BLOCKS_PER_GROUP];
  for (int i = 0; i < count; i += ESC_BLOCKS_PER_DRAW) {
    esc_draw_bits(key, counter, &bits[0][i]);
    counter.v[0] += ESC_BLOCKS_PER_DRAW;
  }
  esc_draw_normals(count, bits[0], normal);
}

/* The normals of `blocks` consecutive Philox blocks from block `start` of the step on. Whole
 * granules are drawn: `normal` must have space for a full tile, because the last granule may exceed
 * the tile's samples. */
static inline void esc_draw_flat(const esc_cpu_network *net, uint32_t start, int blocks,
                                 float *normal) {
  uint64_t key[ESC_PHILOX_ROUNDS][2];
  esc_philox_round_keys(net->slot.member.seed, key);
  const uint64_t step = (uint64_t)net->slot.track.step;
  for (int done = 0; done < blocks; done += ESC_BLOCKS_PER_GROUP) {
    const int left =
        (blocks - done + ESC_BLOCK_GRANULE - 1) / ESC_BLOCK_GRANULE * ESC_BLOCK_GRANULE;
    const esc_u32x4 counter = esc_philox_counter(ESC_DOMAIN_DATA, step, 0, start + (uint32_t)done);
    esc_draw_group(key, counter, left < ESC_BLOCKS_PER_GROUP ? left : ESC_BLOCKS_PER_GROUP,
                   normal + (size_t)done * 4);
  }
}

/* Copies `samples` rows of `inputs` floats, `from_row` floats apart, into work->x. */
static inline void esc_inputs_copy(const esc_cpu_shared *s, const float *from, size_t from_row,
                                   int samples, esc_cpu_work *work) {
  const size_t inputs = (size_t)s->problem->shape.inputs, row = (size_t)s->layout.in_pad[0];
  for (size_t b = 0; b < (size_t)samples; b++)
    memcpy(work->x + b * row, from + b * from_row, inputs * sizeof *from);
}

/* Draws samples first, first + 1, ... of the member's current step into work->x: directly where a
 * row is a whole number of blocks without padding, else through work->draw. */
static inline void esc_inputs_draw(const esc_cpu_shared *s, const esc_cpu_network *net, int first,
                                   int samples, esc_cpu_work *work) {
  const int inputs = s->problem->shape.inputs, blocks = (inputs + 3) / 4;
  const bool direct = inputs == s->layout.in_pad[0];
  esc_draw_flat(net, (uint32_t)first * (uint32_t)blocks, samples * blocks,
                direct ? work->x : work->draw);
  if (!direct) esc_inputs_copy(s, work->draw, 4 * (size_t)blocks, samples, work);
}

#endif
