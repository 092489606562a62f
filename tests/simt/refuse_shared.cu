/* SPDX-License-Identifier: Apache-2.0 */
/* Must not compile for the harness: see CMakeLists.txt. */
#include "launch.h"

__global__ void esc_static_kernel(float *out) {
  __shared__ float tile[32];
  tile[threadIdx.x] = 1.0f;
  *out = tile[0];
}
