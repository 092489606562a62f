/* SPDX-License-Identifier: Apache-2.0 */
/* The project's Philox blocks against cuRAND's, by the rule of philox.h. Compiled twice: by
 * nvcc, for draws on a device; and by the host's compiler (test_curand_host.cc), where cuRAND's
 * header functions are host functions. */
#include <cuda_runtime.h>
#ifdef __CUDACC__
#define WHERE_DRAWN static __device__
#else
#define WHERE_DRAWN static inline
#define QUALIFIERS WHERE_DRAWN /* of cuRAND's functions */
#endif
#include <curand_kernel.h>

#include <cstdio>
#include <vector>

#include "escapement/internal/philox.h"

struct draw {
  uint64_t seed;
  esc_u32x4 counter; /* v[1] < 2^30 */
};

struct block_pair {
  esc_u32x4 own;
  uint4 curand;
};

ESC_SHARED esc_u32x4 own_block(draw d, int rounds) {
  return esc_philox4x32(d.counter, esc_philox_key(d.seed), rounds);
}

WHERE_DRAWN uint4 curand_block(draw d) {
  const uint32_t *v = d.counter.v;
  curandStatePhilox4_32_10_t state;
  curand_init(d.seed, (unsigned long long)v[3] << 32 | v[2],
              4 * ((unsigned long long)v[1] << 32 | v[0]), &state);
  return curand4(&state);
}

static bool same(esc_u32x4 a, uint4 b) {
  return a.v[0] == b.x && a.v[1] == b.y && a.v[2] == b.z && a.v[3] == b.w;
}

/* Counters of every domain: each word at its extremes, then many in between. */
static std::vector<draw> make_draws() {
  static const uint64_t step[] = {0, 1, 0x3fffffff, UINT64_C(0x100000000),
                                  UINT64_C(0xffffff3fffffff)};
  static const uint32_t word[] = {0, 1, 0x7fffffff, 0xffffffff};
  std::vector<draw> draws;
  for (int domain = ESC_DOMAIN_DATA; domain <= ESC_DOMAIN_EVALUATION; domain++)
    for (const uint64_t t : step)
      for (const uint32_t stream : word)
        for (const uint32_t block : word)
          for (const uint64_t seed : {UINT64_C(0), UINT64_C(1), ~UINT64_C(0)})
            draws.push_back({seed, esc_philox_counter((esc_domain)domain, t, stream, block)});
  for (uint32_t i = 0; i < 100000; i++) {
    const uint32_t mixed = 2654435761u * i;
    draws.push_back({(uint64_t)mixed << 32 | i,
                     esc_philox_counter((esc_domain)(i % 5), mixed >> 2, 40503u * i, ~mixed)});
  }
  return draws;
}

#ifdef __CUDACC__
static bool report_failure(cudaError_t error, const char *call) {
  if (error != cudaSuccess) printf("%s: %s\n", call, cudaGetErrorString(error));
  return error != cudaSuccess;
}

__global__ void draw_kernel(const draw *draws, int count, block_pair *pairs) {
  const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) pairs[i] = {own_block(draws[i], 10), curand_block(draws[i])};
}

static bool draw_pairs(const std::vector<draw> &draws, std::vector<block_pair> &pairs) {
  const int count = (int)draws.size();
  draw *d_draws = nullptr;
  block_pair *d_pairs = nullptr;
  bool wrong =
      report_failure(cudaMalloc(&d_draws, draws.size() * sizeof(draw)), "cudaMalloc") ||
      report_failure(cudaMalloc(&d_pairs, draws.size() * sizeof(block_pair)), "cudaMalloc") ||
      report_failure(
          cudaMemcpy(d_draws, draws.data(), draws.size() * sizeof(draw), cudaMemcpyHostToDevice),
          "cudaMemcpy");
  if (!wrong) draw_kernel<<<(count + 255) / 256, 256>>>(d_draws, count, d_pairs);
  wrong = wrong || report_failure(cudaGetLastError(), "draw_kernel") ||
          report_failure(cudaMemcpy(pairs.data(), d_pairs, draws.size() * sizeof(block_pair),
                                    cudaMemcpyDeviceToHost),
                         "cudaMemcpy");
  cudaFree(d_draws);
  cudaFree(d_pairs);
  return !wrong;
}

/* Prints the reason if there is none. */
static bool has_device() {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error == cudaSuccess && devices > 0) return true;
  printf("skipped: no CUDA device: %s\n",
         error == cudaSuccess ? "none is visible" : cudaGetErrorString(error));
  return false;
}
#else
static bool draw_pairs(const std::vector<draw> &draws, std::vector<block_pair> &pairs) {
  for (size_t i = 0; i < draws.size(); i++)
    pairs[i] = {own_block(draws[i], 10), curand_block(draws[i])};
  return true;
}

static bool has_device() { return true; }
#endif

/* Blocks that differ from cuRAND's, drawn by the kernel or by the host; with one round less none
 * may be equal. */
static int count_wrong(const std::vector<draw> &draws, const std::vector<block_pair> &pairs) {
  int wrong = 0;
  for (size_t i = 0; i < draws.size(); i++) {
    const uint4 want = pairs[i].curand;
    const bool right = same(pairs[i].own, want) && same(own_block(draws[i], 10), want) &&
                       !same(own_block(draws[i], 9), want);
    const uint32_t *v = draws[i].counter.v;
    if (!right && wrong++ < 10)
      printf("differs: seed %016llx, counter %08x %08x %08x %08x\n",
             (unsigned long long)draws[i].seed, v[0], v[1], v[2], v[3]);
  }
  return wrong;
}

int main() {
  if (!has_device()) return 77;
  const std::vector<draw> draws = make_draws();
  std::vector<block_pair> pairs(draws.size());
  if (!draw_pairs(draws, pairs)) return 1;
  const int wrong = count_wrong(draws, pairs);
  printf("%zu blocks, %d differ from cuRAND's\n", draws.size(), wrong);
  return wrong != 0;
}
