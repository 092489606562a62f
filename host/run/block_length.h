/* SPDX-License-Identifier: Apache-2.0 */
/* How many steps networks are trained for before the host looks at them again. */
#ifndef ESC_RUN_BLOCK_LENGTH_H
#define ESC_RUN_BLOCK_LENGTH_H

#include <stdint.h>

/* A round over all chunks of slots, each of which was trained for one block of steps. */
typedef struct esc_round {
  int64_t block;          /* steps of the blocks */
  int64_t advanced;       /* most steps that a network made */
  int64_t made, possible; /* sum over networks, and that sum if all had made their whole block */
  double seconds;
  int slots;
} esc_round;

/* Steps of the next blocks: the same, twice or half of them. A round is to take 0.05 s; less, down
 * to 0.005 s or a microsecond a slot, if networks that have finished or reached their step limits
 * miss more than 1/24 of the steps: SIMD lanes, threads or multiprocessors idle meanwhile
 * (runs/bench/notes.md). A launch has at most 2^20 steps (kernels/fused_step.cuh). */
int64_t esc_next_block(const esc_round *round);

#endif
