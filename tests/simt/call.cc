/* SPDX-License-Identifier: Apache-2.0 */
/* Counting and failing calls; the last error; names of errors. */
#include "call.h"

#include "order.h"

namespace esc_simt {
namespace {

int64_t calls, fail_at; /* index of the call that fails; 0: none */
cudaError_t fail_with = cudaSuccess;
cudaError_t sticky_error = cudaSuccess; /* what every call returns */
thread_local cudaError_t last = cudaSuccess;

bool is_sticky(cudaError_t error) {
  switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorECCUncorrectable: return true;
    default: return false;
  }
}

} /* namespace */

std::recursive_mutex &call_lock() {
  static std::recursive_mutex lock;
  return lock;
}

cudaError_t call_fault() {
  if (++calls != fail_at) return sticky_error;
  if (sticky_error == cudaSuccess && is_sticky(fail_with)) sticky_error = fail_with;
  return sticky_error != cudaSuccess ? sticky_error : fail_with;
}

cudaError_t call_remember(cudaError_t error) {
  if (error != cudaSuccess) last = error;
  return error;
}

void call_revive() { sticky_error = last = cudaSuccess; }

} /* namespace esc_simt */

using namespace esc_simt;

cudaError_t cudaPeekAtLastError() { return sticky_error != cudaSuccess ? sticky_error : last; }

cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  last = cudaSuccess;
  return error;
}

const char *cudaGetErrorName(cudaError_t error) {
  switch (static_cast<int>(error)) {
#define ESC_SIMT_NAME(name, value, text) \
  case value: return #name;
    ESC_SIMT_ERRORS(ESC_SIMT_NAME)
#undef ESC_SIMT_NAME
    default: return "unrecognized error code";
  }
}

const char *cudaGetErrorString(cudaError_t error) {
  switch (static_cast<int>(error)) {
#define ESC_SIMT_TEXT(name, value, text) \
  case value: return text;
    ESC_SIMT_ERRORS(ESC_SIMT_TEXT)
#undef ESC_SIMT_TEXT
    default: return "unrecognized error code";
  }
}

void esc_simt_fail_at(int64_t nth, cudaError_t error) {
  const CallScope scope;
  fail_at = nth > 0 ? calls + nth : 0;
  fail_with = error;
}

int64_t esc_simt_calls() {
  const CallScope scope;
  return calls;
}

void esc_simt_reset() {
  const CallScope scope;
  fail_at = 0;
  call_revive();
  order_reset();
  esc_simt_set_memory(memory_default_bytes);
  esc_simt_set_devices(1);
  esc_simt_set_name(nullptr);
  esc_simt_set_driver(CUDART_VERSION);
}
