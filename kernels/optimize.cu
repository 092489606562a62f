/* SPDX-License-Identifier: Apache-2.0 */
/* Momentum, weight decay and Adam (docs/theory, section 1.7): replaces each gradient by the
 * direction of its weight's step, E, which the update kernel then uses as the gradient; and the
 * ledger's sums <E_l, V_l> and |W_l|^2. Not launched for plain gradient descent. Blocks, groups and
 * lanes as in update.cu.
 *
 *    grid     (L, slots)
 *    block    256
 *    shared   256 bytes: the groups' two sums
 *    bytes    8 P (G, w read), 4 P (G written); 8 P more for each of velocity and second moment;
 *             16 L of results
 *    work     decay 2 P FMA, momentum at most 4 P; Adam 5 P FMA, 5 P products, P divisions and
 *             roots; 2 P products and 2 P additions in double
 *    order.h  |G|^2, for both sums */
#include "device.cuh"

enum { THREADS = ESC_PARTIALS * ESC_PARTIALS };

/* A row of a layer's weights; moments are NULL for an optimizer without them. */
struct optimized_row {
  const float *g_w;
  float *g_gradient, *g_velocity, *g_second_moment;
  int columns;
};

/* One thread's sums of a row, or of rows. */
struct row_sums {
  double velocity_product, weight_norm_sq;
};

static __device__ float optimize(const esc_optimizer_rules &r, const esc_optimizer_step &s,
                                 const optimized_row &row, int k) {
  const float g = row.g_gradient[k], w = row.g_w[k];
  if (r.adam) return esc_optimizer_adam(&r, &s, g, w, &row.g_velocity[k], &row.g_second_moment[k]);
  if (row.g_velocity) return esc_optimizer_momentum(&r, &s, g, w, &row.g_velocity[k]);
  return esc_optimizer_decay(&r, &s, g, w);
}

/* Columns lane, lane + ESC_PARTIALS, ... of a row; returns their partial sums. */
static __device__ row_sums optimize_row(const esc_optimizer_rules &r, const esc_optimizer_step &s,
                                        const optimized_row &row, int lane) {
  row_sums sum = {0, 0};
  for (int k = lane; k < row.columns; k += ESC_PARTIALS) {
    const float e = optimize(r, s, row, k), w = row.g_w[k];
    if (row.g_velocity) sum.velocity_product += (double)e * (double)row.g_velocity[k];
    sum.weight_norm_sq += (double)w * (double)w;
    row.g_gradient[k] = e;
  }
  return sum;
}

/* Element `offset` of an array, or NULL if the chunk lacks it. */
static __device__ float *find(float *g_array, size_t offset) {
  return g_array ? g_array + offset : NULL;
}

__global__ void __launch_bounds__(THREADS)
    esc_optimize_kernel(const __grid_constant__ esc_device_problem p, esc_chunk chunk) {
  ESC_SHARED_MEMORY(double, s_sum); /* (2, group) */
  const int l = (int)blockIdx.x, slot = (int)blockIdx.y;
  const int lane = (int)threadIdx.x % ESC_PARTIALS, group = (int)threadIdx.x / ESC_PARTIALS;
  if (!chunk.update_mask[slot]) return;
  const int rows = l == p.layers - 1 ? 1 : p.width, columns = l == 0 ? p.inputs : p.width;
  const size_t layer = (size_t)slot * chunk.weight_stride + p.offset[l];
  const esc_optimizer_step step = esc_optimizer_step_make(&p.optimizer, l, chunk.track[slot].step);
  row_sums sum = {0, 0};
  for (int first = 0; first < rows; first += ESC_PARTIALS) { /* uniform: whole warps reduce */
    const bool valid = first + group < rows;
    const size_t offset = layer + (size_t)(first + group) * (size_t)columns;
    const optimized_row row = {chunk.w + offset, chunk.g + offset, find(chunk.velocity, offset),
                               find(chunk.second_moment, offset), columns};
    row_sums partial = {0, 0};
    if (valid) partial = optimize_row(p.optimizer, step, row, lane);
    partial.velocity_product = esc_tree_reduce_lanes(partial.velocity_product);
    partial.weight_norm_sq = esc_tree_reduce_lanes(partial.weight_norm_sq);
    if (!valid) continue;
    sum.velocity_product += partial.velocity_product;
    sum.weight_norm_sq += partial.weight_norm_sq;
  }
  if (lane == 0) {
    s_sum[group] = sum.velocity_product;
    s_sum[ESC_PARTIALS + group] = sum.weight_norm_sq;
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  const size_t out = (size_t)slot * (size_t)p.layers + (size_t)l;
  chunk.velocity_product[out] = esc_tree_reduce_f64(s_sum);
  chunk.weight_norm_sq[out] = esc_tree_reduce_f64(s_sum + ESC_PARTIALS);
}

cudaError_t esc_launch_optimize(const esc_device_problem *p, const esc_chunk *chunk,
                                cudaStream_t stream) {
  const dim3 grid((unsigned)p->layers, (unsigned)chunk->slots);
  return ESC_LAUNCH(esc_optimize_kernel, grid, THREADS, 2 * ESC_PARTIALS * sizeof(double), stream,
                    *p, *chunk);
}
