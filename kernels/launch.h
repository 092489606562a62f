/* SPDX-License-Identifier: Apache-2.0 */
/* Launches and dynamic shared memory. Here, and in mma.cuh for the tensor cores, nvcc is
 * distinguished from the SIMT harness (tests/simt), which compiles the same sources as C++.
 *
 *    ESC_LAUNCH(kernel, grid, block, shared_bytes, stream, arguments...)
 *      is an expression of type cudaError_t. Arguments convert as in a call. A
 *      template kernel goes in parentheses: ESC_LAUNCH((step_kernel<32, 4>), ...).
 *      More than 48 KiB of shared memory need cudaFuncSetAttribute before the launch.
 *
 *    ESC_SHARED_MEMORY(type, name);
 *      inside a kernel: `name` points to the block's dynamic shared memory, 16-byte
 *      aligned. Static __shared__ variables are not used in this project, because the
 *      harness checks dynamic shared memory block by block. */
#ifndef ESC_LAUNCH_H
#define ESC_LAUNCH_H

#include <cuda_runtime.h>

#ifdef __CUDACC__
#include <utility>

template <class... P, class... A>
inline cudaError_t esc_launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes,
                              cudaStream_t stream, A &&...arguments) {
  kernel<<<grid, block, shared_bytes, stream>>>(std::forward<A>(arguments)...);
  return cudaGetLastError();
}
#define ESC_LAUNCH(kernel, ...) esc_launch(kernel, __VA_ARGS__)
#define ESC_SHARED_MEMORY(type, name)                               \
  extern __shared__ __align__(16) unsigned char esc_shared_bytes[]; \
  type *const name = reinterpret_cast<type *>(esc_shared_bytes)
#else
#include <esc_simt_launch.h>

#define ESC_LAUNCH(kernel, ...) esc_simt::launch(#kernel, kernel, __VA_ARGS__)
#define ESC_SHARED_MEMORY(type, name) \
  type *const name = static_cast<type *>(esc_simt::position.shared)
#endif

#endif
