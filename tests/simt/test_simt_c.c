/* SPDX-License-Identifier: Apache-2.0 */
/* The headers as a C17 program sees them: what the project's host code is made of.
 * Leaves one NVTX range open on purpose, which its caller counts. */
#include <string.h>

#include "cublas_v2.h"
#include "cuda_runtime.h"
#include "esc_simt.h"
#include "nvtx3/nvToolsExt.h"

int test_simt_c(void);

static int nvtx_levels(void) {
  nvtxDomainHandle_t domain = nvtxDomainCreateA("test");
  nvtxEventAttributes_t range;
  memset(&range, 0, sizeof range);
  range.version = NVTX_VERSION;
  range.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
  range.messageType = NVTX_MESSAGE_TYPE_REGISTERED;
  range.message.registered = nvtxDomainRegisterStringA(domain, "step");
  if (nvtxDomainRangePushEx(domain, &range) != 0) return 1;
  if (nvtxDomainRangePushEx(domain, &range) != 1) return 2;
  if (nvtxRangePushA("other domain") != 0) return 3;
  if (nvtxDomainRangePop(domain) != 1) return 4;
  if (nvtxRangePop() != 0) return 5;
  nvtxDomainDestroy(domain);
  return 0;
}

/* 0, or the number of the check that failed. */
int test_simt_c(void) {
  cudaStream_t stream;
  float *device = NULL, back[4] = {0}, host[4] = {1, 2, 3, 4};
  const float4 v = make_float4(1, 2, 3, 4);
  const dim3 size = {1, 2, 3};
  const enum cudaMemcpyKind in = cudaMemcpyHostToDevice, out = cudaMemcpyDeviceToHost;
  if (v.w < 4 || size.z != 3 || sizeof(float2) != 8) return 10;
  if (cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) != cudaSuccess) return 11;
  if (cudaMalloc((void **)&device, sizeof host) != cudaSuccess) return 12;
  if (cudaMemcpyAsync(device, host, sizeof host, in, stream) != cudaSuccess) return 13;
  if (cudaMemcpyAsync(back, device, sizeof back, out, stream) != cudaSuccess) return 14;
  if (cudaStreamSynchronize(stream) != cudaSuccess) return 15;
  if (memcmp(back, host, sizeof host) != 0) return 16;
  if (cudaFree(device) != cudaSuccess || cudaStreamDestroy(stream) != cudaSuccess) return 17;
  return nvtx_levels();
}
