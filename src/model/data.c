/* SPDX-License-Identifier: Apache-2.0 */
/* Training inputs from the counter-based stream. */
#include "escapement/internal/model.h"
#include "escapement/internal/stream.h"

void esc_draw_inputs(uint64_t seed, int64_t step, int first, int samples, int inputs, float *x) {
  const int blocks = (inputs + 3) / 4; /* four normals a Philox block */
  for (int b = 0; b < samples; b++)
    for (int j = 0; j < blocks; j++) {
      float normal[4];
      const uint32_t block = (uint32_t)(first + b) * (uint32_t)blocks + (uint32_t)j;
      esc_normal4_at(seed, ESC_DOMAIN_DATA, (uint64_t)step, 0, block, normal);
      for (int i = 0; i < 4 && 4 * j + i < inputs; i++)
        x[(size_t)b * (size_t)inputs + (size_t)(4 * j + i)] = normal[i];
    }
}
