/* SPDX-License-Identifier: Apache-2.0 */
/* The harness's side of ESC_LAUNCH (kernels/launch.h): arguments are copied now,
 * the kernel runs when its stream does. */
#ifndef ESC_SIMT_LAUNCH_H
#define ESC_SIMT_LAUNCH_H

#include <functional>
#include <tuple>
#include <utility>

#include "cuda_runtime.h"

namespace esc_simt {

struct Launch {
  const char *name; /* as written at the launch; static */
  const void *kernel;
  dim3 grid, block;
  size_t shared;              /* bytes */
  std::function<void()> body; /* one thread */
};

/* Checks the configuration and queues the launch. */
cudaError_t queue_launch(Launch launch, cudaStream_t stream);

template <class... P, class... A>
cudaError_t launch(const char *name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                   cudaStream_t stream, A &&...arguments) {
  auto body = [kernel, values = std::tuple<P...>(std::forward<A>(arguments)...)] {
    std::apply(kernel, values);
  };
  return queue_launch({name, reinterpret_cast<const void *>(kernel), grid, block, shared, body},
                      stream);
}

} /* namespace esc_simt */
#endif
