/* SPDX-License-Identifier: Apache-2.0 */
/* The imbalance ledger of one step: sums the tiles of u kappa(z), then adds the right side of
 * docs/theory, section 1.4, to each interface's sum (section 1.5), and counts the step. A warp
 * is a network, a lane a layer.
 *
 *    grid     (ceil(slots / 4))
 *    block    128
 *    shared   none
 *    bytes    read 8 (L - 1) T (tile), 8 L (|G|^2), 8 L (counts); written 8 (L - 1) (deficit)
 *    work     (L - 1) T additions in double, and esc_track_layer for each layer
 *    order.h  ledger u . kappa(z), from the tiles on */
#include "device.cuh"

enum { LANES = 32, WARPS = 4 };

/* Sum of interface l's tiles, ascending. */
static __device__ double tile_sum(const esc_device_problem &p, const esc_lot &lot, int slot, int l,
                                  int tiles) {
  const double *g_tile =
      lot.tile + ((size_t)slot * (size_t)(p.layers - 1) + (size_t)l) * (size_t)tiles;
  double sum = 0;
  for (int i = 0; i < tiles; i++) sum += g_tile[i];
  return sum;
}

/* grid (groups of WARPS slots) */
__global__ void __launch_bounds__(LANES *WARPS)
    esc_ledger_kernel(esc_device_problem p, esc_track_rules rules, esc_lot lot, int tiles) {
  const int lane = (int)threadIdx.x % LANES;
  const int slot = (int)blockIdx.x * WARPS + (int)threadIdx.x / LANES;
  if (slot >= lot.slots || !lot.go[slot]) return;
  esc_track *g_track = &lot.track[slot];
  const size_t row = (size_t)slot * (size_t)p.layers;
  for (int l = lane; l < p.layers; l += LANES) {
    if (l < p.layers - 1) lot.deficit[row + (size_t)l] = tile_sum(p, lot, slot, l, tiles);
    esc_track_layer(g_track, &rules, l, lot.deficit + row, lot.gradient2 + row);
  }
  __syncwarp(0xffffffffu);
  if (lane != 0) return;
  for (int l = 0; l < p.layers; l++) {
    g_track->updates += lot.moved[row + (size_t)l];
    g_track->lost += lot.lost[row + (size_t)l];
  }
  esc_track_step(g_track, &rules);
}

cudaError_t esc_launch_ledger(const esc_device_problem *p, const esc_track_rules *rules,
                              const esc_lot *lot, cudaStream_t stream) {
  const unsigned blocks = esc_block_count((size_t)lot->slots, WARPS);
  return ESC_LAUNCH(esc_ledger_kernel, blocks, LANES * WARPS, 0, stream, *p, *rules, *lot,
                    esc_lot_tiles(p));
}
