/* Path `chip` with products on the tensor cores, in 3xTF32: chip.h. */
#include "chip_step.cuh"
#include "chip_tensor.cuh"

/* grid (slot). Narrow networks leave a multiprocessor's shared memory to several
 * blocks: so must the registers, 168 of 384 threads. */
template <int N, int kind>
__global__ void __launch_bounds__(esc_chip<N>::threads, N <= 32 ? 96 / N : 1)
    esc_chip_tf32x3_kernel(const __grid_constant__ esc_chip_run r) {
  typedef esc_chip_tf32x3<N> P;
  ESC_SHARED_MEMORY(double, shared);
  const esc_track *track = &r.lot.track[blockIdx.x];
  if (track->finished) return;
  const esc_chip_block b = esc_chip_layout<N>(shared, r.problem.layers);
  esc_chip_thread<P> t = esc_chip_enter<P>(r, b);
  for (int64_t s = 0; s < r.steps && !track->finished; s++)
    if (!esc_chip_step<P, kind>(r, b, &t)) break;
  esc_chip_exit(r, b, t);
}

size_t esc_chip_tf32x3_scratch(int layers, int width, int batch) {
  return batch <= ESC_TILE ? 0 : (size_t)(layers - 1) * (size_t)width * (size_t)width;
}

template <int N, int kind>
static cudaError_t launch(const esc_chip_run &r, cudaStream_t stream) {
  const size_t shared = esc_chip_bytes(r.problem.layers, N);
  const cudaError_t error =
      cudaFuncSetAttribute((const void *)esc_chip_tf32x3_kernel<N, kind>,
                           cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
  if (error != cudaSuccess) return error;
  return ESC_LAUNCH((esc_chip_tf32x3_kernel<N, kind>), (unsigned)r.lot.slots, esc_chip<N>::threads,
                    shared, stream, r);
}

template <int N>
static cudaError_t launch_width(const esc_chip_run &r, cudaStream_t stream) {
  if (r.problem.activation == ESC_ACTIVATION_TANH) return launch<N, ESC_ACTIVATION_TANH>(r, stream);
  return launch<N, ESC_ANY_ACTIVATION>(r, stream);
}

cudaError_t esc_launch_chip_tf32x3(const esc_device_problem *p, const esc_track_rules *rules,
                                   const esc_lot *lot, int64_t steps, cudaStream_t stream) {
  const esc_chip_run r = {*p, *rules, *lot, steps};
  switch (p->width) {
    case 16: return launch_width<16>(r, stream);
    case 32: return launch_width<32>(r, stream);
    case 48: return launch_width<48>(r, stream);
    case 64: return launch_width<64>(r, stream);
    default: return cudaErrorInvalidValue;
  }
}
