/* SPDX-License-Identifier: Apache-2.0 */
/* Must not compile for the harness: see CMakeLists.txt. */
#include "launch.h"

__global__ void esc_active_kernel(unsigned *out) { *out = __activemask(); }
