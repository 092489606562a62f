/* SPDX-License-Identifier: Apache-2.0 */
/* |G_l|^2 and w <- w - eta gamma_l G for every weight (docs/theory, sections 0.5 and 8.1), in
 * one pass over G. A block has one layer of one network. A group of ESC_PARTIALS lanes has a row,
 * as the sum of |G|^2 in order.h; row n belongs to group n mod ESC_PARTIALS.
 *
 *    grid     (L, slots)
 *    block    256
 *    shared   136 bytes: the groups' sums, two counts
 *    bytes    12 P (G, w read; w written), with compensation 20 P (compensation read and written);
 *             16 L of results
 *    work     P FMA, and 6 P additions more with compensation; P products and P additions in double
 *    order.h  |G|^2 */
#include "device.cuh"
#include "escapement/internal/update.h"

enum { THREADS = ESC_PARTIALS * ESC_PARTIALS };

/* Counts of one thread. */
struct counts {
  int nonzero_updates, rounded_away;
};

/* A row of a layer's weights. */
struct weight_row {
  const float *g_gradient;
  float *g_w, *g_compensation; /* g_compensation: NULL for the plain update */
  int columns;
  float rate;
};

/* Updates columns lane, lane + ESC_PARTIALS, ... of a row; returns its partial sum of g^2
 * (order.h: |G|^2). */
static __device__ double row_update(const weight_row &row, int lane, counts *seen) {
  const float *g_gradient = row.g_gradient;
  float *g_w = row.g_w, *g_compensation = row.g_compensation;
  double partial = 0;
  for (int k = lane; k < row.columns; k += ESC_PARTIALS) {
    const esc_updated u =
        g_compensation ? esc_update_compensated(row.rate, g_gradient[k], g_w[k], g_compensation[k])
                       : esc_update_plain(row.rate, g_gradient[k], g_w[k]);
    partial += (double)g_gradient[k] * (double)g_gradient[k];
    g_w[k] = u.w;
    if (g_compensation) g_compensation[k] = u.compensation;
    seen->nonzero_updates += u.nonzero_update;
    seen->rounded_away += u.rounded_away;
  }
  return partial;
}

__global__ void __launch_bounds__(THREADS)
    esc_update_kernel(esc_device_problem p, esc_chunk chunk) {
  ESC_SHARED_MEMORY(double, s_row);             /* (group) */
  int *s_total = (int *)(s_row + ESC_PARTIALS); /* nonzero_updates, rounded_away */
  const int l = (int)blockIdx.x, slot = (int)blockIdx.y;
  const int lane = (int)threadIdx.x % ESC_PARTIALS, group = (int)threadIdx.x / ESC_PARTIALS;
  if (!chunk.update_mask[slot]) return;
  const int rows = l == p.layers - 1 ? 1 : p.width, columns = l == 0 ? p.inputs : p.width;
  const size_t layer = (size_t)slot * chunk.weight_stride + p.offset[l];
  counts seen = {0, 0};
  double sum = 0;
  if (threadIdx.x < 2) s_total[threadIdx.x] = 0;
  for (int first = 0; first < rows; first += ESC_PARTIALS) { /* uniform: whole warps reduce */
    const bool valid = first + group < rows;
    const size_t offset = layer + (size_t)(first + group) * (size_t)columns;
    const weight_row weights = {chunk.g + offset, chunk.w + offset,
                                chunk.compensation ? chunk.compensation + offset : NULL, columns,
                                p.rate[l]};
    const double partial = valid ? row_update(weights, lane, &seen) : 0.0;
    const double reduced = esc_tree_reduce_lanes(partial);
    if (valid) sum += reduced;
  }
  if (lane == 0) s_row[group] = sum;
  __syncthreads();
  atomicAdd(&s_total[0], seen.nonzero_updates); /* integers: their sum has no order */
  atomicAdd(&s_total[1], seen.rounded_away);
  __syncthreads();
  if (threadIdx.x != 0) return;
  const size_t out = (size_t)slot * (size_t)p.layers + (size_t)l;
  chunk.grad_norm_sq[out] = esc_tree_reduce_f64(s_row);
  chunk.nonzero_updates[out] = s_total[0];
  chunk.rounded_away[out] = s_total[1];
}

cudaError_t esc_launch_update(const esc_device_problem *p, const esc_chunk *chunk,
                              cudaStream_t stream) {
  const dim3 grid((unsigned)p->layers, (unsigned)chunk->slots);
  return ESC_LAUNCH(esc_update_kernel, grid, THREADS,
                    ESC_PARTIALS * sizeof(double) + 2 * sizeof(int), stream, *p, *chunk);
}
