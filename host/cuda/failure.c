/* SPDX-License-Identifier: Apache-2.0 */
/* Messages for failures of CUDA and cuBLAS: the library's text and advice to the user. */
#include <string.h>

#include "cuda/check.h"

/* Errors that are a state of the machine, in the wording of NVIDIA's tools. */
static const struct {
  cudaError_t error;
  const char *advice;
} advices[] = {
    {cudaErrorMemoryAllocation,
     "fewer --slots need less memory; nvidia-smi lists the processes that use the GPU"},
    {cudaErrorDevicesUnavailable,
     "another process holds the GPU in compute mode EXCLUSIVE_PROCESS, or the mode is PROHIBITED "
     "(nvidia-smi -q -d COMPUTE); use another --device, or --backend cpu"},
    {cudaErrorDeviceAlreadyInUse,
     "another process holds the GPU in compute mode EXCLUSIVE_PROCESS; use another --device, or "
     "--backend cpu"},
    {cudaErrorInsufficientDriver,
     "update the driver, or build with an older CUDA Toolkit; --backend cpu needs no driver"},
    {cudaErrorUnsupportedPtxVersion,
     "the driver is older than the CUDA Toolkit of this build and cannot compile its PTX; update "
     "the driver, or build for this GPU (CMAKE_CUDA_ARCHITECTURES)"},
    {cudaErrorNoKernelImageForDevice,
     "this build has no code for the GPU; build with its CMAKE_CUDA_ARCHITECTURES"},
    {cudaErrorSystemNotReady,
     "on a machine with NVSwitch, nvidia-fabricmanager must run; ask its administrator"},
    {cudaErrorSystemDriverMismatch,
     "the driver's libraries and its kernel module differ; reboot after an update of the driver"},
    {cudaErrorCompatNotSupportedOnDevice,
     "the CUDA compatibility libraries do not support this GPU; remove them from LD_LIBRARY_PATH"},
    {cudaErrorOperatingSystem, "this process may not open /dev/nvidia*"},
    {cudaErrorECCUncorrectable, "the GPU's memory is faulty; reset or replace the GPU"},
};

const char *esc_cuda_advice(cudaError_t error) {
  for (size_t i = 0; i < sizeof advices / sizeof advices[0]; i++)
    if (advices[i].error == error) return advices[i].advice;
  return NULL;
}

esc_status esc_cuda_failed(const char *file, int line, const char *call, cudaError_t error) {
  (void)cudaGetLastError(); /* clears it for the next check */
  const int length = (int)strcspn(call, "(");
  const esc_status status = error == cudaErrorMemoryAllocation ? ESC_NO_MEMORY : ESC_DEVICE_FAILED;
  const char *advice = esc_cuda_advice(error);
  return esc_fail_at(file, line, status, "CUDA: %.*s: %s (%s)%s%s", length, call,
                     cudaGetErrorString(error), cudaGetErrorName(error), advice ? "; " : "",
                     advice ? advice : "");
}

esc_status esc_cublas_failed(const char *file, int line, const char *call, cublasStatus_t error) {
  return esc_fail_at(file, line, ESC_DEVICE_FAILED, "cuBLAS: %.*s: %s", (int)strcspn(call, "("),
                     call, cublasGetStatusString(error));
}
