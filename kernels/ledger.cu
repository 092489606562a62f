/* SPDX-License-Identifier: Apache-2.0 */
/* The imbalance ledger of one step: sums u . kappa(z) over the tiles, then adds the right side of
 * docs/theory, section 1.4, to each interface's sum (section 1.5), and increments the step. A warp
 * has one network, a lane one layer.
 *
 *    grid     (ceil(slots / 4))
 *    block    128
 *    shared   none
 *    bytes    read 8 (L - 1) T (tiles), 8 L (|G|^2), 8 L (counts); written 8 (L - 1) (deficit)
 *             with momentum or weight decay 16 L more read (the optimizer's sums)
 *    work     (L - 1) T additions in double, and esc_track_layer for each layer
 *    order.h  ledger u . kappa(z), from the tiles on */
#include "device.cuh"

enum { LANES = 32, WARPS = 4 };

/* Sum of interface l's tiles, ascending. */
static __device__ double tile_sum(const esc_device_problem &p, const esc_chunk &chunk, int slot,
                                  int l, int tiles) {
  const double *g_tile_deficit =
      chunk.tile_deficit + ((size_t)slot * (size_t)(p.layers - 1) + (size_t)l) * (size_t)tiles;
  double sum = 0;
  for (int i = 0; i < tiles; i++) sum += g_tile_deficit[i];
  return sum;
}

/* Adds layer l of a step with momentum or weight decay; `row`: the network's first layer. */
static __device__ void add_optimized(esc_track *g_track, const esc_track_rules &rules,
                                     const esc_chunk &chunk, size_t row, int l) {
  const esc_step_sums sums = {chunk.deficit + row, chunk.grad_norm_sq + row,
                              chunk.velocity_product + row, chunk.weight_norm_sq + row};
  esc_track_optimized_layer(g_track, &rules, l, &sums);
}

__global__ void __launch_bounds__(LANES *WARPS)
    esc_ledger_kernel(esc_device_problem p, esc_track_rules rules, esc_chunk chunk, int tiles) {
  const int lane = (int)threadIdx.x % LANES;
  const int slot = (int)blockIdx.x * WARPS + (int)threadIdx.x / LANES;
  if (slot >= chunk.slots || !chunk.update_mask[slot]) return;
  esc_track *g_track = &chunk.track[slot];
  const size_t row = (size_t)slot * (size_t)p.layers;
  for (int l = lane; l < p.layers; l += LANES) {
    if (l < p.layers - 1) chunk.deficit[row + (size_t)l] = tile_sum(p, chunk, slot, l, tiles);
    if (!rules.optimized)
      esc_track_layer(g_track, &rules, l, chunk.deficit + row, chunk.grad_norm_sq + row);
    else if (rules.has_ledger)
      add_optimized(g_track, rules, chunk, row, l);
  }
  __syncwarp(0xffffffffu);
  if (lane != 0) return;
  for (int l = 0; l < p.layers; l++) {
    g_track->nonzero_updates += chunk.nonzero_updates[row + (size_t)l];
    g_track->rounded_away += chunk.rounded_away[row + (size_t)l];
  }
  esc_track_step(g_track, &rules);
}

cudaError_t esc_launch_ledger(const esc_device_problem *p, const esc_track_rules *rules,
                              const esc_chunk *chunk, cudaStream_t stream) {
  const unsigned blocks = esc_block_count((size_t)chunk->slots, WARPS);
  return ESC_LAUNCH(esc_ledger_kernel, blocks, LANES * WARPS, 0, stream, *p, *rules, *chunk,
                    esc_chunk_tiles(p));
}
