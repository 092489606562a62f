/* SPDX-License-Identifier: Apache-2.0 */
/* Normals by address: the draw of (seed, domain, step, stream, index). */
#ifndef ESCAPEMENT_STREAM_H
#define ESCAPEMENT_STREAM_H

#include "escapement/internal/normal.h"
#include "escapement/internal/philox.h"

/* The four normals of Philox block `block`. */
ESC_SHARED void esc_normal4_at(uint64_t seed, esc_domain domain, uint64_t step, uint32_t stream,
                               uint32_t block, float normal[4]) {
  const esc_u32x4 counter = esc_philox_counter(domain, step, stream, block);
  esc_normal4_f32(esc_philox4x32_10(counter, esc_philox_key(seed)), normal);
}

/* The address of a stream of normals. */
typedef struct esc_stream {
  uint64_t seed;
  esc_domain domain;
  uint64_t step;
  uint32_t stream;
} esc_stream;

/* out[i] = normal `first` + i of a stream that is indexed flat, for i < count. */
void esc_normals_fill(esc_stream from, uint64_t first, uint64_t count, float *out);

#endif
