/* SPDX-License-Identifier: Apache-2.0 */
/* The inputs of a tile of samples: given, or what esc_draw_inputs gives, in loops
 * over many Philox blocks. */
#ifndef ESC_CPU_INPUTS_H
#define ESC_CPU_INPUTS_H

#include "cpu/block.h"
#include "cpu/network.h"
#include "cpu/simd.h"
#include "escapement/internal/stream.h"

enum { ESC_GROUP = 128 }; /* Philox blocks on their way together, of 4 normals each */
enum { ESC_SIDE_BY_SIDE = ESC_WIDE_LANES == 8 ? 4 : 2 };
enum { ESC_DRAWN = ESC_SIDE_BY_SIDE * ESC_WIDE_LANES };
enum { ESC_WHOLE = 32 }; /* a multiple of ESC_DRAWN that divides the blocks of a full tile */

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

/* Words of ESC_WIDE_LANES blocks; they stand in the low halves of the lanes, and what is
 * left in the high ones never comes down. */
typedef struct esc_words {
  esc_wide v[4];
} esc_words;

static inline esc_words esc_draw_begin(esc_u32x4 counter) {
  esc_words c;
  for (int w = 0; w < 4; w++) c.v[w] = (esc_wide){0} + counter.v[w];
  for (unsigned i = 0; i < ESC_WIDE_LANES; i++) c.v[0][i] += i;
  return c;
}

/* esc_philox_round on every lane. */
static inline void esc_draw_round(esc_words *c, const uint64_t key[2]) {
  const esc_wide zero = {0};
  const esc_wide first = ESC_WIDE_MUL(c->v[0], zero + 0xD2511F53u);
  const esc_wide second = ESC_WIDE_MUL(c->v[2], zero + 0xCD9E8D57u);
  c->v[0] = (second >> 32) ^ c->v[1] ^ (zero + key[0]);
  c->v[1] = second;
  c->v[2] = (first >> 32) ^ c->v[3] ^ (zero + key[1]);
  c->v[3] = first;
}

/* The words of ESC_DRAWN blocks from `counter` on: bits[w * ESC_GROUP + i] is word w of block i.
 * A block is one long chain of operations: several go side by side. */
static inline void esc_draw_bits(const uint64_t key[ESC_ROUNDS][2], esc_u32x4 counter,
                                 uint32_t *bits) {
  esc_words c[ESC_SIDE_BY_SIDE];
#pragma GCC unroll 4
  for (int k = 0; k < ESC_SIDE_BY_SIDE; k++) {
    c[k] = esc_draw_begin(counter);
    counter.v[0] += ESC_WIDE_LANES;
  }
#pragma GCC unroll 10
  for (int round = 0; round < ESC_ROUNDS; round++)
#pragma GCC unroll 4
    for (int k = 0; k < ESC_SIDE_BY_SIDE; k++) esc_draw_round(&c[k], key[round]);
#pragma GCC unroll 4
  for (int k = 0; k < ESC_SIDE_BY_SIDE; k++)
    for (int w = 0; w < 4; w++) {
      const esc_narrow low = __builtin_convertvector(c[k].v[w], esc_narrow);
      memcpy(bits + w * ESC_GROUP + k * ESC_WIDE_LANES, &low, sizeof low);
    }
}

/* The normals of `count` blocks from their words, rows of ESC_GROUP both. */
static inline void esc_draw_normals(int count, const uint32_t *restrict bits,
                                    float *restrict normal) {
#pragma omp simd
  for (int i = 0; i < count; i++) {
    float a, b, c, d;
    esc_normal_pair_f32(bits[i], bits[i + ESC_GROUP], &a, &b);
    esc_normal_pair_f32(bits[i + 2 * ESC_GROUP], bits[i + 3 * ESC_GROUP], &c, &d);
    normal[i] = a;
    normal[i + ESC_GROUP] = b;
    normal[i + 2 * ESC_GROUP] = c;
    normal[i + 3 * ESC_GROUP] = d;
  }
}

/* The normals of `count` blocks from `counter` on, a multiple of ESC_WHOLE up to
 * ESC_GROUP, in the order of the blocks. */
static inline void esc_draw_group(const uint64_t key[ESC_ROUNDS][2], esc_u32x4 counter, int count,
                                  float *normal) {
  uint32_t bits[4][ESC_GROUP];
  float draw[4][ESC_GROUP];
  for (int i = 0; i < count; i += ESC_DRAWN) {
    esc_draw_bits(key, counter, &bits[0][i]);
    counter.v[0] += ESC_DRAWN;
  }
  esc_draw_normals(count, bits[0], draw[0]);
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
    const int left = (blocks - done + ESC_WHOLE - 1) / ESC_WHOLE * ESC_WHOLE;
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
