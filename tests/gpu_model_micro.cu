/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels whose cycles are known, for tests/test_gpu_model.py. Each repeats `n` times 64
 * operations of one kind. */

enum { CHAINS = 16, LINKS = 4 }; /* operations of a repetition, and of those, on one register */

extern __shared__ float words[];

/* Each multiply-add depends on the one before. */
extern "C" __global__ void dependent_ffma(float *out, int n, float a, float b) {
  float x = out[threadIdx.x];
#pragma unroll 1
  for (int i = 0; i < n; i++)
#pragma unroll
    for (int k = 0; k < LINKS * CHAINS; k++) x = fmaf(x, a, b);
  out[threadIdx.x] = x;
}

/* Sixteen chains side by side. */
extern "C" __global__ void independent_ffma(float *out, int n, float a, float b) {
  float x[CHAINS];
  for (int k = 0; k < CHAINS; k++) x[k] = out[threadIdx.x + k];
#pragma unroll 1
  for (int i = 0; i < n; i++)
#pragma unroll
    for (int k = 0; k < LINKS * CHAINS; k++) x[k % CHAINS] = fmaf(x[k % CHAINS], a, b);
  for (int k = 0; k < CHAINS; k++) out[threadIdx.x + k] = x[k];
}

extern "C" __global__ void independent_dfma(double *out, int n, double a, double b) {
  double x[CHAINS];
  for (int k = 0; k < CHAINS; k++) x[k] = out[threadIdx.x + k];
#pragma unroll 1
  for (int i = 0; i < n; i++)
#pragma unroll
    for (int k = 0; k < LINKS * CHAINS; k++) x[k % CHAINS] = fma(x[k % CHAINS], a, b);
  for (int k = 0; k < CHAINS; k++) out[threadIdx.x + k] = x[k];
}

/* bytes: from one lane's words to the next's. Other words in every repetition, or the loads would
 * be moved out of the loop. */
template <int bytes>
static __device__ __forceinline__ void load_words(float *out, int n) {
  unsigned at = (unsigned)__cvta_generic_to_shared(words) + threadIdx.x * bytes;
  float sum[CHAINS] = {0};
#pragma unroll 1
  for (int i = 0; i < n; i++, at += 128)
#pragma unroll
    for (int k = 0; k < LINKS * CHAINS; k++) {
      float v;
      asm volatile("ld.shared.f32 %0, [%1];" : "=f"(v) : "r"(at + 128 * k));
      sum[k % CHAINS] += v;
    }
  for (int k = 0; k < CHAINS; k++) out[threadIdx.x + k] = sum[k];
}

extern "C" __global__ void load_neighbours(float *out, int n, float, float) {
  load_words<4>(out, n);
}

/* Eight lanes have words of the same bank. */
extern "C" __global__ void load_conflicts(float *out, int n, float, float) {
  load_words<32>(out, n);
}

/* Four words a lane, all different. */
extern "C" __global__ void load_wide(float *out, int n, float, float) {
  unsigned at = (unsigned)__cvta_generic_to_shared(words) + threadIdx.x * 16;
  float sum[CHAINS] = {0};
#pragma unroll 1
  for (int i = 0; i < n; i++, at += 128)
#pragma unroll
    for (int k = 0; k < LINKS * CHAINS; k++) {
      float4 v;
      asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
                   : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
                   : "r"(at + 512 * k));
      sum[k % CHAINS] += v.x + v.y + v.z + v.w;
    }
  for (int k = 0; k < CHAINS; k++) out[threadIdx.x + k] = sum[k];
}

extern "C" __global__ void barriers(float *out, int n, float a, float) {
#pragma unroll 1
  for (int i = 0; i < n; i++)
#pragma unroll
    for (int k = 0; k < LINKS * CHAINS; k++) __syncthreads();
  out[threadIdx.x] = a;
}
