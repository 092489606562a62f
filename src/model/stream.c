/* SPDX-License-Identifier: Apache-2.0 */
#include "escapement/internal/stream.h"

#include "escapement/internal/simd_clones.h"

enum { BLOCKS = 16 }; /* drawn at once, at most */

/* normal[k][i] = normal k of block `block` + i, for i < count. */
ESC_SIMD_CLONES
static void draw_blocks(esc_stream from, uint32_t block, int count,
                        float normal[restrict 4][BLOCKS]) {
#pragma omp simd
  for (int i = 0; i < count; i++) {
    float four[4];
    esc_normal4_at(from.seed, from.domain, from.step, from.stream, block + (uint32_t)i, four);
    normal[0][i] = four[0];
    normal[1][i] = four[1];
    normal[2][i] = four[2];
    normal[3][i] = four[3];
  }
}

void esc_normals_fill(esc_stream from, uint64_t first, uint64_t count, float *out) {
  const uint64_t end = first + count, end_block = (end + 3) / 4;
  float normal[4][BLOCKS];
  for (uint64_t block = first / 4; block < end_block; block += BLOCKS) {
    const uint64_t left = end_block - block;
    draw_blocks(from, (uint32_t)block, left < BLOCKS ? (int)left : BLOCKS, normal);
    for (uint64_t i = 4 * block; i < 4 * (block + BLOCKS) && i < end; i++)
      if (i >= first) out[i - first] = normal[i % 4][i / 4 - block];
  }
}
