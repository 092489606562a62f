/* SPDX-License-Identifier: Apache-2.0 */
/* |G_l|^2 and w <- w - eta gamma_l G for every weight (docs/theory, sections 0.5 and 8.1), in
 * one pass over G. A block is one layer of one network, ESC_PARTS lanes a row; row n belongs to
 * group n mod ESC_PARTS.
 *
 *    grid     (L, slots)
 *    block    256
 *    shared   136 bytes: the groups' sums, two counts
 *    bytes    12 P (G and w read, w written), with compensation 20 P (it is read and written as
 * well); 16 L of results work     P FMA, with compensation 6 P additions more; P products and P
 * additions in double order.h  |G|^2 */
#include "device.cuh"
#include "escapement/internal/update.h"

enum { THREADS = ESC_PARTS * ESC_PARTS };

/* What a thread has seen. */
struct counts {
  int moved, lost;
};

/* A row of a layer's weights. */
struct weight_row {
  const float *g_gradient;
  float *g_w, *g_low; /* g_low may be NULL */
  int columns;
  float rate;
};

/* Columns lane, lane + ESC_PARTS, ... of a row: updates them, adds up their squares. */
static __device__ double row_update(const weight_row &row, int lane, counts *seen) {
  const float *g_gradient = row.g_gradient;
  float *g_w = row.g_w, *g_low = row.g_low;
  double part = 0;
  for (int k = lane; k < row.columns; k += ESC_PARTS) {
    const esc_updated u = g_low ? esc_update_compensated(row.rate, g_gradient[k], g_w[k], g_low[k])
                                : esc_update_plain(row.rate, g_gradient[k], g_w[k]);
    part += (double)g_gradient[k] * (double)g_gradient[k];
    g_w[k] = u.w;
    if (g_low) g_low[k] = u.low;
    seen->moved += u.moved;
    seen->lost += u.lost;
  }
  return part;
}

/* grid (layer, slot) */
__global__ void __launch_bounds__(THREADS) esc_update_kernel(esc_device_problem p, esc_lot lot) {
  ESC_SHARED_MEMORY(double, s_row);          /* (group) */
  int *s_total = (int *)(s_row + ESC_PARTS); /* moved, lost */
  const int l = (int)blockIdx.x, slot = (int)blockIdx.y;
  const int lane = (int)threadIdx.x % ESC_PARTS, group = (int)threadIdx.x / ESC_PARTS;
  if (!lot.go[slot]) return;
  const int rows = l == p.layers - 1 ? 1 : p.width, columns = l == 0 ? p.inputs : p.width;
  const size_t layer = (size_t)slot * lot.weights + p.offset[l];
  counts seen = {0, 0};
  double sum = 0;
  if (threadIdx.x < 2) s_total[threadIdx.x] = 0;
  for (int first = 0; first < rows; first += ESC_PARTS) { /* all lanes go the same way */
    const bool valid = first + group < rows;
    const size_t offset = layer + (size_t)(first + group) * (size_t)columns;
    const weight_row weights = {lot.g + offset, lot.w + offset, lot.low ? lot.low + offset : NULL,
                                columns, p.rate[l]};
    const double part = valid ? row_update(weights, lane, &seen) : 0.0;
    const double folded = esc_fold_lanes(part);
    if (valid) sum += folded;
  }
  if (lane == 0) s_row[group] = sum;
  __syncthreads();
  atomicAdd(&s_total[0], seen.moved); /* integers: the order does not matter */
  atomicAdd(&s_total[1], seen.lost);
  __syncthreads();
  if (threadIdx.x != 0) return;
  const size_t out = (size_t)slot * (size_t)p.layers + (size_t)l;
  lot.gradient2[out] = esc_fold_f64(s_row);
  lot.moved[out] = s_total[0];
  lot.lost[out] = s_total[1];
}

cudaError_t esc_launch_update(const esc_device_problem *p, const esc_lot *lot,
                              cudaStream_t stream) {
  const dim3 grid((unsigned)p->layers, (unsigned)lot->slots);
  return ESC_LAUNCH(esc_update_kernel, grid, THREADS, ESC_PARTS * sizeof(double) + 2 * sizeof(int),
                    stream, *p, *lot);
}
