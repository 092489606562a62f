/* Normals by address: the draw of (seed, domain, step, stream, index). */
#ifndef ESCAPEMENT_STREAM_H
#define ESCAPEMENT_STREAM_H

#include "escapement/normal.h"
#include "escapement/philox.h"

/* The four normals of Philox block `block`. */
static inline void esc_normal4_at(uint64_t seed, esc_domain domain, uint64_t step, uint32_t stream,
                                  uint32_t block, float normal[4]) {
  const esc_u32x4 counter = esc_philox_counter(domain, step, stream, block);
  esc_normal4_f32(esc_philox4x32_10(counter, esc_philox_key(seed)), normal);
}

/* Normal number `index` of a stream that is indexed flat. */
static inline float esc_normal_at(uint64_t seed, esc_domain domain, uint64_t step, uint32_t stream,
                                  uint64_t index) {
  float normal[4];
  esc_normal4_at(seed, domain, step, stream, (uint32_t)(index / 4), normal);
  return normal[index % 4];
}

#endif
