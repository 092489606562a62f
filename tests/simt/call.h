/* SPDX-License-Identifier: Apache-2.0 */
/* Every runtime call goes through here: it takes the lock, counts, applies injected
 * faults and sticky errors, and stores its error for cudaGetLastError. */
#ifndef ESC_SIMT_CALL_H
#define ESC_SIMT_CALL_H

#include <mutex>

#include "device.h"
#include "esc_simt.h"
#include "memory.h"

namespace esc_simt {

/* Calls nest (a template of the runtime, cuBLAS): the lock is recursive. */
std::recursive_mutex &call_lock();

/* Counts a call; returns the injected error, or cudaSuccess. */
cudaError_t call_fault();

/* Stores an error as the last error; returns `error`. */
cudaError_t call_remember(cudaError_t error);

/* After cudaDeviceReset. */
void call_revive();

/* Device memory is accessible to the CPU only while a call runs work. */
struct CallScope {
  std::lock_guard<std::recursive_mutex> guard{call_lock()};
  ~CallScope() { memory_close(); }
};

/* A call without a device. */
template <class F>
cudaError_t call_query(F body) {
  const CallScope scope;
  const cudaError_t fault = call_fault();
  return call_remember(fault != cudaSuccess ? fault : body());
}

/* A call that asks about a device, without a context on it. */
template <class F>
cudaError_t call_info(F body) {
  return call_query([&] { return device_count() == 0 ? cudaErrorNoDevice : body(); });
}

/* A call that needs a context on the current device. */
template <class F>
cudaError_t call(F body) {
  return call_info([&] {
    const cudaError_t error = device_open(device_current());
    return error != cudaSuccess ? error : body();
  });
}

/* A call that frees or destroys, even after an injected error. */
template <class F>
cudaError_t call_releasing(F body) {
  const CallScope scope;
  const cudaError_t fault = call_fault();
  const cudaError_t error = body();
  return call_remember(fault != cudaSuccess ? fault : error);
}

} /* namespace esc_simt */
#endif
