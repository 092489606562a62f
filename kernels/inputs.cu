/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs x ~ N(0, I_d) of each network's current step (docs/theory, sections 0.1 and 8.3), equal to
 * those of esc_draw_inputs (src/model/data.c): one Philox block of four normals a thread.
 *
 *    grid     (ceil(B ceil(d / 4) / 256), slots)
 *    block    256
 *    shared   none
 *    bytes    4 B d written
 *    work     B ceil(d / 4) Philox blocks, two Box-Muller pairs each
 *    order.h  no sum */
#include "device.cuh"
#include "escapement/internal/stream.h"

static const unsigned threads = 256;

__global__ void esc_inputs_kernel(esc_device_problem p, esc_chunk chunk) {
  const int slot = (int)blockIdx.y;
  if (!esc_is_training(chunk, slot)) return;
  const int blocks = (p.inputs + 3) / 4;
  const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= (size_t)p.batch * (size_t)blocks) return;
  const size_t sample = i / (size_t)blocks;
  const int first = 4 * (int)(i % (size_t)blocks);
  float normal[4];
  esc_normal4_at(chunk.seed[slot], ESC_DOMAIN_DATA, (uint64_t)chunk.track[slot].step, 0,
                 (uint32_t)i, normal);
  float *g_x = chunk.x + ((size_t)slot * (size_t)p.batch + sample) * (size_t)p.inputs + first;
  for (int j = 0; j < 4 && first + j < p.inputs; j++) g_x[j] = normal[j];
}

cudaError_t esc_launch_inputs(const esc_device_problem *p, const esc_chunk *chunk,
                              cudaStream_t stream) {
  const size_t draws = (size_t)p->batch * (size_t)((p->inputs + 3) / 4);
  const dim3 grid(esc_block_count(draws, threads), (unsigned)chunk->slots);
  return ESC_LAUNCH(esc_inputs_kernel, grid, threads, 0, stream, *p, *chunk);
}
