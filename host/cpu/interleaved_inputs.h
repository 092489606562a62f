/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs of interleaved networks: each lane has its own seed and step, so its own Philox key and
 * counter; block and word are the same in all lanes. The draws are those of esc_draw_inputs. */
#ifndef ESC_CPU_INTERLEAVED_INPUTS_H
#define ESC_CPU_INTERLEAVED_INPUTS_H

#include "cpu/inputs.h"
#include "cpu/interleaved.h"
#include "cpu/optimizer.h"

enum {
  ESC_WIDE_PER_BLOCK = ESC_INTERLEAVE / ESC_WIDE_LANES, /* vectors of 64-bit lanes */
  ESC_BLOCKS_TOGETHER = ESC_WIDE_PER_BLOCK < 4 ? 2 : 1, /* to hide the latency of a round */
  ESC_WIDE_TOGETHER = ESC_BLOCKS_TOGETHER * ESC_WIDE_PER_BLOCK,
};

/* The low halves of the lanes of an esc_wide. */
typedef uint32_t esc_narrow __attribute__((vector_size(4 * ESC_WIDE_LANES)));

/* Key and counter of every lane, in the low halves of 64-bit lanes. */
typedef struct esc_lane_stream {
  esc_wide key[ESC_PHILOX_ROUNDS][2][ESC_WIDE_PER_BLOCK];
  esc_wide counter[4][ESC_WIDE_PER_BLOCK]; /* of block 0 */
} esc_lane_stream;

/* Lanes without a network draw from seed 0. */
static void esc_lane_stream_seed(esc_lane_stream *stream, const esc_interleaved *pack) {
  for (int lane = 0; lane < ESC_INTERLEAVE; lane++) {
    uint64_t key[ESC_PHILOX_ROUNDS][2];
    const esc_cpu_network *const net = pack->network[lane];
    esc_philox_round_keys(net ? net->slot.member.seed : 0, key);
    for (int round = 0; round < ESC_PHILOX_ROUNDS; round++)
      for (int w = 0; w < 2; w++)
        stream->key[round][w][lane / ESC_WIDE_LANES][lane % ESC_WIDE_LANES] = key[round][w];
  }
}

/* Sets the counters to the networks' current steps. */
static void esc_lane_stream_step(esc_lane_stream *stream, const esc_interleaved *pack) {
  for (int lane = 0; lane < ESC_INTERLEAVE; lane++) {
    const esc_cpu_network *const net = pack->network[lane];
    const esc_u32x4 counter =
        esc_philox_counter(ESC_DOMAIN_DATA, net ? (uint64_t)net->slot.track.step : 0, 0, 0);
    for (int w = 0; w < 4; w++)
      stream->counter[w][lane / ESC_WIDE_LANES][lane % ESC_WIDE_LANES] = counter.v[w];
  }
}

/* esc_philox_vector_round with a key for each lane. */
static inline void esc_lane_philox_round(esc_philox_vector *c, esc_wide key_0, esc_wide key_1) {
  const esc_wide zero = {0};
  const esc_wide first = ESC_WIDE_MUL(c->v[0], zero + 0xD2511F53u);
  const esc_wide second = ESC_WIDE_MUL(c->v[2], zero + 0xCD9E8D57u);
  c->v[0] = (second >> 32) ^ c->v[1] ^ key_0;
  c->v[1] = second;
  c->v[2] = (first >> 32) ^ c->v[3] ^ key_1;
  c->v[3] = first;
}

/* The words of ESC_BLOCKS_TOGETHER blocks from `block` on. */
static inline void esc_lane_draw_bits(const esc_lane_stream *stream, uint32_t block,
                                      uint32_t bits[ESC_BLOCKS_TOGETHER][4][ESC_INTERLEAVE]) {
  esc_philox_vector c[ESC_WIDE_TOGETHER];
#pragma GCC unroll 8
  for (int k = 0; k < ESC_WIDE_TOGETHER; k++) {
    for (int w = 0; w < 4; w++) c[k].v[w] = stream->counter[w][k % ESC_WIDE_PER_BLOCK];
    c[k].v[0] += block + (uint32_t)(k / ESC_WIDE_PER_BLOCK);
  }
#pragma GCC unroll 10
  for (int round = 0; round < ESC_PHILOX_ROUNDS; round++)
#pragma GCC unroll 8
    for (int k = 0; k < ESC_WIDE_TOGETHER; k++)
      esc_lane_philox_round(&c[k], stream->key[round][0][k % ESC_WIDE_PER_BLOCK],
                            stream->key[round][1][k % ESC_WIDE_PER_BLOCK]);
#pragma GCC unroll 8
  for (int k = 0; k < ESC_WIDE_TOGETHER; k++)
    for (int w = 0; w < 4; w++) {
      const esc_narrow low = __builtin_convertvector(c[k].v[w], esc_narrow);
      memcpy(bits[k / ESC_WIDE_PER_BLOCK][w] + k % ESC_WIDE_PER_BLOCK * ESC_WIDE_LANES, &low,
             sizeof low);
    }
}

/* The normals of a block from its words; both (4, lane). */
static ESC_NOINLINE void esc_lane_draw_normals(const uint32_t *restrict bits,
                                               float *restrict normal) {
#pragma omp simd
  for (int lane = 0; lane < ESC_INTERLEAVE; lane++) {
    float a, b, c, d;
    esc_normal_pair_f32(bits[lane], bits[lane + ESC_INTERLEAVE], &a, &b);
    esc_normal_pair_f32(bits[lane + 2 * ESC_INTERLEAVE], bits[lane + 3 * ESC_INTERLEAVE], &c, &d);
    normal[lane] = a;
    normal[lane + ESC_INTERLEAVE] = b;
    normal[lane + 2 * ESC_INTERLEAVE] = c;
    normal[lane + 3 * ESC_INTERLEAVE] = d;
  }
}

/* Samples first, first + 1, ... of the networks' current steps, at most ESC_SLICE_SAMPLES. Blocks
 * are drawn ESC_BLOCKS_TOGETHER at a time; a slice has a multiple of that. */
static void esc_lane_inputs_draw(const esc_cpu_shared *s, const esc_lane_stream *stream, int first,
                                 int samples, esc_interleaved *pack) {
  const size_t blocks = esc_input_blocks(s), count = (size_t)samples * blocks;
  for (size_t i = 0; i < count; i += ESC_BLOCKS_TOGETHER) {
    uint32_t bits[ESC_BLOCKS_TOGETHER][4][ESC_INTERLEAVE];
    esc_lane_draw_bits(stream, (uint32_t)((size_t)first * blocks + i), bits);
    for (size_t k = 0; k < ESC_BLOCKS_TOGETHER; k++)
      esc_lane_draw_normals(bits[k][0], pack->x + 4 * (i + k) * ESC_INTERLEAVE);
  }
}

#endif
