/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks: indices, shared memory, barriers, orders, and what is refused. */
#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "test_simt.h"

namespace {

const char *const orders[] = {"forward", "reverse", "shuffled:1", "shuffled:2"};

__global__ void index_kernel(int *out) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  atomicAdd(&out[block * threads + thread], static_cast<int>(block * 1000 + thread + 1));
}

/* out[i] = (i + 1) mod n, if every write comes before every read. */
template <bool with_barrier>
__global__ void neighbour_kernel(int *out) {
  ESC_SHARED_MEMORY(int, s);
  s[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (with_barrier) __syncthreads();
  out[threadIdx.x] = s[(threadIdx.x + 1) % blockDim.x];
}

/* The last block to run wins. */
__global__ void last_block_kernel(int *out) { *out = static_cast<int>(blockIdx.x); }

__global__ void shared_start_kernel(int *all_nan, uint64_t *address) {
  ESC_SHARED_MEMORY(float, s);
  ESC_SHARED_MEMORY(double, d);
  *all_nan = __syncthreads_and(std::isnan(s[threadIdx.x]) && std::isnan(d[threadIdx.x / 2]));
  *address = reinterpret_cast<uint64_t>(s);
  s[threadIdx.x] = 1.0f; /* must not be seen by the next block */
}

__global__ void predicate_kernel(int *out) {
  const int odd = threadIdx.x % 2;
  out[0] = __syncthreads_count(odd);
  out[1] = __syncthreads_or(threadIdx.x == 5);
  out[2] = __syncthreads_or(0);
  out[3] = __syncthreads_and(odd);
  out[4] = __syncthreads_and(7);
}

/* Ten rounds of a prefix sum that needs all its barriers. */
__global__ void scan_kernel(int *out) {
  ESC_SHARED_MEMORY(int, s);
  s[threadIdx.x] = 1;
  __syncthreads();
  for (unsigned step = 1; step < blockDim.x; step *= 2) {
    const int add = threadIdx.x >= step ? s[threadIdx.x - step] : 0;
    __syncthreads();
    s[threadIdx.x] += add;
    __syncthreads();
  }
  out[threadIdx.x] = s[threadIdx.x];
}

/* In which turn each thread ran, before and after a barrier. */
__global__ void turn_kernel(int *next, int *turn) {
  turn[threadIdx.x] = atomicAdd(&next[0], 1);
  __syncthreads();
  turn[blockDim.x + threadIdx.x] = atomicAdd(&next[1], 1);
}

__global__ void half_returns_kernel() {
  if (threadIdx.x >= 64) return;
  __syncthreads();
}

__global__ void two_barriers_kernel() {
  if (threadIdx.x < 40) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void barrier_against_shuffle_kernel() {
  if (threadIdx.x == 3) {
    __syncthreads();
  } else {
    __shfl_xor_sync(0xffffffffu, 1, 1);
  }
}

__global__ void trap_kernel() {
  if (threadIdx.x == 7 && blockIdx.x == 2) __trap();
}

__global__ void overrun_kernel() {
  ESC_SHARED_MEMORY(char, s);
  s[threadIdx.x] = 1;
}

__device__ int deep(int n) {
  volatile char bytes[1024];
  bytes[n % 1024] = static_cast<char>(n);
  return n == 0 ? bytes[0] : deep(n - 1) + bytes[n % 1024];
}
__global__ void deep_kernel(int *out) { *out = deep(100000); }

void launch_and_wait(void (*kernel)(), unsigned blocks, unsigned threads, size_t shared = 0) {
  TestStream stream;
  CHECK_OK(ESC_LAUNCH(kernel, blocks, threads, shared, stream));
  CHECK_OK(cudaStreamSynchronize(stream));
}

std::vector<int> neighbours(bool with_barrier, const char *order) {
  CHECK_EQUAL(esc_simt_set_order(order), 0);
  TestStream stream;
  TestArray<int> out(64);
  void (*const kernel)(int *) = with_barrier ? neighbour_kernel<true> : neighbour_kernel<false>;
  CHECK_OK(ESC_LAUNCH(kernel, 1, 64, 64 * sizeof(int), stream, out));
  CHECK_OK(cudaStreamSynchronize(stream));
  return out.read();
}

int last_block(const char *order) {
  CHECK_EQUAL(esc_simt_set_order(order), 0);
  TestStream stream;
  TestArray<int> out(1);
  CHECK_OK(ESC_LAUNCH(last_block_kernel, 50, 1, 0, stream, out));
  CHECK_OK(cudaStreamSynchronize(stream));
  return out.read()[0];
}

} /* namespace */

TEST("every thread of a three-dimensional grid runs once, with its indices") {
  for (const char *order : orders) {
    CHECK_EQUAL(esc_simt_set_order(order), 0);
    TestStream stream;
    const size_t blocks = 3 * 2 * 4, threads = 5 * 4 * 3;
    TestArray<int> out(std::vector<int>(blocks * threads, 0));
    CHECK_OK(ESC_LAUNCH(index_kernel, dim3(3, 2, 4), dim3(5, 4, 3), 0, stream, out));
    CHECK_OK(cudaStreamSynchronize(stream));
    const std::vector<int> got = out.read();
    for (size_t i = 0; i < got.size(); i++) {
      CHECK_EQUAL(got[i], i / threads * 1000 + i % threads + 1);
    }
  }
}

TEST("a kernel with its barrier gives one result in all orders") {
  for (const char *order : orders) {
    const std::vector<int> got = neighbours(true, order);
    for (int i = 0; i < 64; i++) CHECK_EQUAL(got[static_cast<size_t>(i)], (i + 1) % 64);
  }
}

TEST("a kernel without its barrier gives different results in different orders") {
  const std::vector<int> forward = neighbours(false, "forward");
  const std::vector<int> reverse = neighbours(false, "reverse");
  const std::vector<int> shuffled = neighbours(false, "shuffled:1");
  CHECK_EQUAL(forward[0], 0x7ff7a5a5); /* read before it was written */
  CHECK_EQUAL(forward[63], 0);
  CHECK_EQUAL(reverse[0], 1);
  CHECK_EQUAL(reverse[63], 0x7ff7a5a5);
  CHECK(forward != reverse && shuffled != forward && shuffled != reverse);
}

TEST("a shuffled order is the same for the same seed") {
  CHECK(neighbours(false, "shuffled:3") == neighbours(false, "shuffled:3"));
  CHECK(neighbours(false, "shuffled:3") != neighbours(false, "shuffled:4"));
}

TEST("the order is applied anew at every barrier") {
  for (const char *order : orders) {
    CHECK_EQUAL(esc_simt_set_order(order), 0);
    TestStream stream;
    TestArray<int> next(std::vector<int>{0, 0}), turn(256);
    CHECK_OK(ESC_LAUNCH(turn_kernel, 1, 128, 0, stream, next, turn));
    CHECK_OK(cudaStreamSynchronize(stream));
    const std::vector<int> got = turn.read();
    const std::vector<int> before(got.begin(), got.begin() + 128),
        after(got.begin() + 128, got.end());
    CHECK_EQUAL(before == after, order[0] != 's');
    for (const std::vector<int> &phase : {before, after}) {
      CHECK_EQUAL(std::set<int>(phase.begin(), phase.end()).size(), 128);
    }
  }
}

TEST("blocks run in the order that is set") {
  CHECK_EQUAL(last_block("forward"), 49);
  CHECK_EQUAL(last_block("reverse"), 0);
  const int a = last_block("shuffled:1"), b = last_block("shuffled:2"),
            c = last_block("shuffled:3");
  CHECK(a != b || b != c);
}

TEST("an order that is none is refused and changes nothing") {
  CHECK_EQUAL(esc_simt_set_order("reverse"), 0);
  for (const char *text : {"", "backward", "shuffled", "shuffled:", "shuffled:-1", "shuffled:1x",
                           "shuffled:99999999999999999999"}) {
    CHECK_EQUAL(esc_simt_set_order(text), -1);
  }
  CHECK_EQUAL(esc_simt_set_order(nullptr), -1);
  TestStream stream;
  TestArray<int> out(1);
  CHECK_OK(ESC_LAUNCH(last_block_kernel, 50, 1, 0, stream, out));
  CHECK_OK(cudaStreamSynchronize(stream));
  CHECK_EQUAL(out.read()[0], 0);
}

TEST("barriers in a loop keep 1000 threads in step, in all orders") {
  for (const char *order : orders) {
    CHECK_EQUAL(esc_simt_set_order(order), 0);
    TestStream stream;
    TestArray<int> out(1000);
    CHECK_OK(ESC_LAUNCH(scan_kernel, 1, 1000, 4000, stream, out));
    CHECK_OK(cudaStreamSynchronize(stream));
    const std::vector<int> got = out.read();
    for (size_t i = 0; i < got.size(); i++) CHECK_EQUAL(got[i], i + 1);
  }
}

TEST("shared memory starts as NaN for float and double in every block, 16-byte aligned") {
  TestStream stream;
  TestArray<int> nan(1);
  TestArray<uint64_t> address(1);
  for (unsigned blocks = 1; blocks < 4; blocks++) {
    CHECK_OK(ESC_LAUNCH(shared_start_kernel, blocks, 96, 96 * sizeof(float), stream, nan, address));
    CHECK_OK(cudaStreamSynchronize(stream));
    CHECK_EQUAL(nan.read()[0], 1);
    CHECK_EQUAL(address.read()[0] % 16, 0);
  }
}

TEST("barriers count, or and and their predicates") {
  TestStream stream;
  TestArray<int> out(5);
  CHECK_OK(ESC_LAUNCH(predicate_kernel, 1, 75, 0, stream, out));
  CHECK_OK(cudaStreamSynchronize(stream));
  const int want[] = {37, 1, 0, 0, 1};
  for (size_t i = 0; i < 5; i++) CHECK_EQUAL(out.read()[i], want[i]);
}

TEST("a barrier that some threads miss by returning aborts and says who") {
  CHECK_DIES(
      [] { launch_and_wait(half_returns_kernel, 2, 128); }, "kernel kernel, block (",
      "a barrier is not reached by threads that have returned",
      "threads 0-63 wait in __syncthreads at test_simt_block.cc:", "threads 64-127 have returned");
}

TEST("threads at different barriers abort and say where") {
  CHECK_DIES([] { launch_and_wait(two_barriers_kernel, 1, 96); },
             "threads wait at different barriers", "threads 0-39 wait in __syncthreads at",
             "threads 40-95 wait in __syncthreads at");
}

TEST("a shuffle against a barrier aborts") {
  CHECK_DIES([] { launch_and_wait(barrier_against_shuffle_kernel, 1, 32); },
             "a shuffle, vote or product names lanes that do not come to it",
             "threads 0-2, 4-31 wait in", "__shfl_xor_sync", "mask 0xffffffff",
             "threads 3 wait in __syncthreads");
}

TEST("the report names kernel, block and thread") {
  CHECK_DIES(
      [] {
        TestStream stream;
        CHECK_OK(ESC_LAUNCH(trap_kernel, 3, 32, 0, stream));
        cudaStreamSynchronize(stream);
      },
      "kernel trap_kernel, block (2,0,0), thread (7,0,0): test_simt_block.cc:", "__trap");
}

TEST("a stack that overflows is caught by its guard") {
  CHECK_DIES([] {
    TestStream stream;
    TestArray<int> out(1);
    CHECK_OK(ESC_LAUNCH(deep_kernel, 1, 1, 0, stream, out));
    cudaStreamSynchronize(stream);
  });
}

#ifdef __SANITIZE_ADDRESS__
TEST("a byte beyond the requested shared memory is an error of AddressSanitizer") {
  launch_and_wait(overrun_kernel, 1, 37, 37);
  CHECK_DIES([] { launch_and_wait(overrun_kernel, 1, 38, 37); }, "heap-buffer-overflow");
}
#else
TEST("shared memory can be used to its last byte") { launch_and_wait(overrun_kernel, 1, 37, 37); }
#endif
