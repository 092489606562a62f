/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernels share: who trains, tree reductions over lanes, activations by kind. */
#ifndef ESC_DEVICE_CUH
#define ESC_DEVICE_CUH

#include "escapement/internal/activation.h"
#include "escapement/internal/order.h"
#include "kernels.h"
#include "launch.h"

static __device__ inline bool esc_trains(const esc_chunk &chunk, int slot) {
  return !chunk.track[slot].finished;
}

/* Sum of the partials that ESC_PARTIALS neighbouring lanes hold, in halves as esc_tree_reduce_f32
 * does it; valid in the first of them. Called by whole warps. */
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

template <int kind>
static __device__ inline esc_eval_f32 esc_evaluate(const esc_device_problem &p, float z) {
  static_assert(0 <= kind && kind < ESC_ACTIVATION_COUNT, "an activation of activation_list.h");
#define ESC_CASE(context, name, function, ...) \
  if (kind == ESC_ACTIVATION_##name) return esc_##function##_eval_f32(z);
  ESC_ACTIVATION_FUNCTIONS(ESC_CASE, )
#undef ESC_CASE
  return esc_polynomial_eval_f32(p.coefficient, ESC_POLYNOMIAL_TERMS_MAX, z);
}

/* Calls X(kind) for the kind of problem p, known at compile time in there. */
#define ESC_DISPATCH_CASE(X, name, ...) \
  case ESC_ACTIVATION_##name:           \
    X(ESC_ACTIVATION_##name);           \
    break;
#define ESC_DISPATCH_ACTIVATION(kind, X)  \
  switch ((esc_activation_kind)(kind)) {  \
    ESC_ACTIVATIONS(ESC_DISPATCH_CASE, X) \
    case ESC_ACTIVATION_COUNT: break;     \
  }

static inline unsigned esc_blocks(size_t count, unsigned each) {
  return (unsigned)((count + each - 1) / each);
}

#endif
