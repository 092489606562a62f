/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers of all kernels: state of a network, reduction over lanes, activations by kind, number of
 * blocks. */
#ifndef ESC_DEVICE_CUH
#define ESC_DEVICE_CUH

#include "escapement/internal/activation.h"
#include "escapement/internal/order.h"
#include "kernels.h"
#include "launch.h"

/* A slot whose network has finished, or has reached its step limit, is idle until the host changes
 * its track. */
static __device__ inline bool esc_is_training(const esc_chunk &chunk, int slot) {
  return esc_track_is_active(&chunk.track[slot]);
}

/* Sum of the partial sums of ESC_PARTIALS neighbouring lanes, by the tree of esc_tree_reduce_f32;
 * valid in the first of these lanes. A lane's value is right for the tree although all lanes add:
 * those in the upper half are not read again. Called by whole warps. */
template <typename Real>
static __device__ inline Real esc_tree_reduce_lanes(Real partial) {
  for (int half = ESC_PARTIALS / 2; half > 0; half /= 2)
    partial += __shfl_down_sync(0xffffffffu, partial, half, ESC_PARTIALS);
  return partial;
}

/* Floats of one hidden layer of the whole chunk. */
static __device__ __host__ inline size_t esc_layer_floats(const esc_device_problem &p,
                                                          const esc_chunk &chunk) {
  return (size_t)chunk.slots * (size_t)p.batch * (size_t)p.width;
}

/* sigma, sigma' and kappa at z (docs/theory, section 2.1). The kind is a template argument, so
 * that a kernel holds one activation; values that the caller does not use are optimised away. */
template <int kind>
static __device__ inline esc_eval_f32 esc_evaluate(const esc_device_problem &p, float z) {
  static_assert(0 <= kind && kind < ESC_ACTIVATION_COUNT, "an activation of activation_list.h");
#define ESC_CASE(context, name, function, ...) \
  if (kind == ESC_ACTIVATION_##name) return esc_##function##_eval_f32(z);
  ESC_ACTIVATION_FUNCTIONS(ESC_CASE, )
#undef ESC_CASE
  return esc_polynomial_eval_f32(p.coefficient, ESC_POLYNOMIAL_TERMS_MAX, z);
}

/* Calls X(kind) for the activation's kind, a constant in X. */
#define ESC_DISPATCH_CASE(X, name, ...) \
  case ESC_ACTIVATION_##name:           \
    X(ESC_ACTIVATION_##name);           \
    break;
#define ESC_DISPATCH_ACTIVATION(kind, X)  \
  switch ((esc_activation_kind)(kind)) {  \
    ESC_ACTIVATIONS(ESC_DISPATCH_CASE, X) \
    case ESC_ACTIVATION_COUNT: break;     \
  }

/* Number of blocks of `each` threads for `count` elements. */
static inline unsigned esc_block_count(size_t count, unsigned each) {
  return (unsigned)((count + each - 1) / each);
}

#endif
