/* SPDX-License-Identifier: Apache-2.0 */
/* Warps: shuffles and votes against values by hand, atomics, what is refused. */
#include <cmath>

#include "test_simt.h"

namespace {

enum { UP, DOWN, ACROSS, AT };

/* Each lane shuffles 100 + lane. */
__global__ void shuffle_kernel(int which, int argument, int width, int *out) {
  const int v = 100 + static_cast<int>(threadIdx.x % 32);
  int got = -1;
  switch (which) {
    case UP: got = __shfl_up_sync(~0u, v, static_cast<unsigned>(argument), width); break;
    case DOWN: got = __shfl_down_sync(~0u, v, static_cast<unsigned>(argument), width); break;
    case ACROSS: got = __shfl_xor_sync(~0u, v, argument, width); break;
    case AT: got = __shfl_sync(~0u, v, argument, width); break;
  }
  out[threadIdx.x] = got - 100;
}

template <class T>
__global__ void type_kernel(T *out) {
  const T v = static_cast<T>(threadIdx.x) + static_cast<T>(0.25);
  out[threadIdx.x] = __shfl_xor_sync(~0u, v, 1);
}

__global__ void wide_kernel(unsigned long long *out) {
  out[threadIdx.x] = __shfl_sync(~0u, 0x123456789abcdef0ull + threadIdx.x, 9);
}

/* The halves of a warp synchronize separately, in divergent code, twice. */
__global__ void halves_kernel(int *out) {
  const unsigned half = threadIdx.x < 16 ? 0x0000ffffu : 0xffff0000u;
  int v = static_cast<int>(threadIdx.x);
  if (threadIdx.x < 16) {
    v += __shfl_xor_sync(half, v, 8);
  } else {
    v -= __shfl_xor_sync(half, v, 4);
  }
  out[threadIdx.x] = __shfl_down_sync(0xffffffffu, v, 16);
}

__global__ void vote_kernel(unsigned *out) {
  const unsigned lane = threadIdx.x;
  if (lane < 24) {
    const unsigned mask = 0x00ffffffu;
    const unsigned odd = __ballot_sync(mask, lane % 2);
    const int any = __any_sync(mask, lane == 23), none = __any_sync(mask, lane == 30);
    const int all = __all_sync(mask, lane < 24), some = __all_sync(mask, lane < 23);
    __syncwarp(mask);
    out[lane] = odd + static_cast<unsigned>(any + 2 * none + 4 * all + 8 * some) * 0x1000000u;
  } else {
    out[lane] = __ballot_sync(0xff000000u, 1);
  }
}

/* Written by one lane, read by all after __syncwarp. */
template <bool synced>
__global__ void warp_barrier_kernel(int *out) {
  ESC_SHARED_MEMORY(int, s);
  if (threadIdx.x == 31) s[0] = 5;
  if (synced) __syncwarp();
  out[threadIdx.x] = s[0];
}

__global__ void atomic_kernel(int *i, unsigned *u, unsigned long long *l, float *f, double *d) {
  const int t = static_cast<int>(threadIdx.x);
  atomicAdd(&i[0], t - 10);
  atomicMax(&i[1], t);
  atomicMin(&i[2], t - 50);
  atomicAdd(&u[0], 0x80000000u + threadIdx.x);
  if (atomicCAS(&u[1], 7u, 8u) == 7u) atomicAdd(&u[2], 1u);
  atomicExch(&u[3], 11u);
  atomicOr(&u[4], 1u << (threadIdx.x % 32));
  atomicAdd(l, 0x100000000ull);
  atomicAdd(f, 0.5f);
  atomicAdd(d, 0.25);
}

__global__ void absent_lane_kernel() {
  if (threadIdx.x % 32 == 9) return;
  __shfl_sync(~0u, 1, 0);
}
__global__ void whole_warp_kernel() { __syncwarp(); }
__global__ void own_lane_kernel() { __ballot_sync(0x7fffffffu, 1); }
__global__ void unnamed_source_kernel() {
  if (threadIdx.x < 8) __shfl_sync(0xffu, 1, 12);
}
__global__ void unequal_masks_kernel() { __syncwarp(threadIdx.x == 1 ? 0xfffffffeu : ~0u); }
__global__ void bad_width_kernel() { __shfl_down_sync(~0u, 1, 1, 24); }

template <class... P, class... A>
void run(void (*kernel)(P...), unsigned threads, A... arguments) {
  TestStream stream;
  CHECK_OK(ESC_LAUNCH(kernel, 1, threads, 16, stream, arguments...));
  CHECK_OK(cudaStreamSynchronize(stream));
}

std::vector<int> shuffled(int which, int argument, int width) {
  TestArray<int> out(64);
  run(shuffle_kernel, 64, which, argument, width, out.device);
  std::vector<int> got = out.read();
  for (size_t i = 0; i < 32; i++) CHECK_EQUAL(got[i], got[i + 32]); /* warps are alike */
  got.resize(32);
  return got;
}

template <class T>
void check_type() {
  TestArray<T> out(32);
  run(type_kernel<T>, 32, out.device);
  const std::vector<T> got = out.read();
  for (size_t i = 0; i < 32; i++) {
    CHECK_EQUAL(got[i], static_cast<T>(i ^ 1) + static_cast<T>(0.25));
  }
}

} /* namespace */

TEST("shuffle up reads from below, its own value at the edge of its group") {
  const std::vector<int> whole = shuffled(UP, 3, 32), eights = shuffled(UP, 3, 8);
  const int head[] = {0, 1, 2, 0, 1, 2, 3, 4};
  for (size_t i = 0; i < 8; i++) CHECK_EQUAL(whole[i], head[i]);
  CHECK_EQUAL(whole[31], 28);
  for (size_t i = 0; i < 32; i++) {
    CHECK_EQUAL(eights[i], head[i % 8] + static_cast<int>(i / 8 * 8));
  }
  CHECK_EQUAL(shuffled(UP, 40, 32)[31], 31);
}

TEST("shuffle down reads from above, its own value at the edge of its group") {
  const std::vector<int> whole = shuffled(DOWN, 5, 32), fours = shuffled(DOWN, 1, 4);
  CHECK_EQUAL(whole[0], 5);
  CHECK_EQUAL(whole[26], 31);
  CHECK_EQUAL(whole[27], 27);
  const int four[] = {1, 2, 3, 3};
  for (size_t i = 0; i < 32; i++) CHECK_EQUAL(fours[i], four[i % 4] + static_cast<int>(i / 4 * 4));
}

TEST("shuffle xor reaches earlier groups and not later ones") {
  const std::vector<int> whole = shuffled(ACROSS, 21, 32), narrow = shuffled(ACROSS, 8, 8);
  for (int i = 0; i < 32; i++) CHECK_EQUAL(whole[static_cast<size_t>(i)], i ^ 21);
  CHECK_EQUAL(narrow[3], 3);  /* 11 is in a later group */
  CHECK_EQUAL(narrow[12], 4); /* 4 in an earlier one */
}

TEST("shuffle takes its source modulo its group") {
  const std::vector<int> whole = shuffled(AT, 33, 32), fours = shuffled(AT, 6, 4);
  for (size_t i = 0; i < 32; i++) {
    CHECK_EQUAL(whole[i], 1);
    CHECK_EQUAL(fours[i], static_cast<int>(i / 4 * 4) + 2);
  }
  CHECK_EQUAL(shuffled(AT, -1, 32)[0], 31);
}

TEST("shuffles carry every type, all 64 bits of it") {
  check_type<int>();
  check_type<unsigned>();
  check_type<long long>();
  check_type<unsigned long long>();
  check_type<float>();
  check_type<double>();
  TestArray<unsigned long long> out(32);
  run(wide_kernel, 32, out.device);
  CHECK_EQUAL(out.read()[31], 0x123456789abcdef9ull);
}

TEST("parts of a warp synchronize separately and then together, in all orders") {
  for (const char *order : {"forward", "reverse", "shuffled:5"}) {
    CHECK_EQUAL(esc_simt_set_order(order), 0);
    TestArray<int> out(32);
    run(halves_kernel, 32, out.device);
    const std::vector<int> got = out.read();
    for (int i = 0; i < 16; i++) {
      const int lane = i + 16; /* whose value this lane reads */
      CHECK_EQUAL(got[static_cast<size_t>(i)], lane - (lane ^ 4));
      CHECK_EQUAL(got[static_cast<size_t>(lane)], lane - (lane ^ 4));
    }
  }
}

TEST("votes count the lanes of their mask") {
  TestArray<unsigned> out(32);
  run(vote_kernel, 32, out.device);
  const std::vector<unsigned> got = out.read();
  CHECK_EQUAL(got[0], 0x05aaaaaau); /* any 1, none 0, all 4, some 0 */
  CHECK_EQUAL(got[23], 0x05aaaaaau);
  CHECK_EQUAL(got[24], 0xff000000u);
}

TEST("__syncwarp orders what lanes write and read") {
  TestArray<int> out(32);
  CHECK_EQUAL(esc_simt_set_order("forward"), 0);
  run(warp_barrier_kernel<true>, 32, out.device);
  CHECK_EQUAL(out.read()[0], 5);
  run(warp_barrier_kernel<false>, 32, out.device);
  CHECK_EQUAL(out.read()[0], 0x7ff7a5a5); /* the test can fail */
}

TEST("atomics return and leave what they should") {
  TestArray<int> i(std::vector<int>{0, -1, 0});
  TestArray<unsigned> u(std::vector<unsigned>{0, 7, 0, 0, 0});
  TestArray<unsigned long long> l(std::vector<unsigned long long>{1});
  TestArray<float> f(std::vector<float>{1});
  TestArray<double> d(std::vector<double>{1});
  run(atomic_kernel, 100, i.device, u.device, l.device, f.device, d.device);
  const std::vector<int> ints = i.read();
  CHECK_EQUAL(ints[0], 4950 - 1000);
  CHECK_EQUAL(ints[1], 99);
  CHECK_EQUAL(ints[2], -50);
  const std::vector<unsigned> words = u.read();
  CHECK_EQUAL(words[0], 4950u); /* 100 times 2^31 wraps to 0 */
  CHECK_EQUAL(words[1], 8u);
  CHECK_EQUAL(words[2], 1u);
  CHECK_EQUAL(words[3], 11u);
  CHECK_EQUAL(words[4], 0xffffffffu);
  CHECK_EQUAL(l.read()[0], 100 * 0x100000000ull + 1);
  CHECK_EQUAL(f.read()[0], 51.0f);
  CHECK_EQUAL(d.read()[0], 26.0);
}

TEST("intrinsics have CUDA's values at their edges") {
  CHECK_EQUAL(__clz(0), 32);
  CHECK_EQUAL(__clz(1), 31);
  CHECK_EQUAL(__clz(-1), 0);
  CHECK_EQUAL(__ffs(0), 0);
  CHECK_EQUAL(__ffs(8), 4);
  CHECK_EQUAL(__popc(0xf0f0u), 8);
  CHECK_EQUAL(__umulhi(0x80000000u, 6u), 3u);
  CHECK_EQUAL(__float_as_uint(1.0f), 0x3f800000u);
  CHECK_EQUAL(__int_as_float(0x40000000), 2.0f);
  CHECK_EQUAL(min(3, 4u), 3u);
  CHECK_EQUAL(max(-1, 2), 2);
  CHECK_EQUAL(max(NAN, 2.0f), 2.0f);
  CHECK_EQUAL(min(2.5, NAN), 2.5);
}

TEST("a lane that the mask names and that has returned aborts") {
  CHECK_DIES([] { run(absent_lane_kernel, 32); },
             "a shuffle, vote or product names lanes that do not come to it",
             "threads 0-8, 10-31 wait in __shfl_sync at test_simt_warp.cc:", "mask 0xffffffff",
             "threads 9 have returned");
}

TEST("a mask that names lanes beyond the block aborts") {
  CHECK_DIES([] { run(whole_warp_kernel, 60); }, "names lanes that do not come",
             "threads 32-59 wait in __syncwarp");
}

TEST("a mask without the lane that calls aborts") {
  CHECK_DIES([] { run(own_lane_kernel, 32); }, "thread (31,0,0)",
             "__ballot_sync with mask 0x7fffffff, which lacks lane 31");
}

TEST("a shuffle that reads from a lane outside its mask aborts") {
  CHECK_DIES([] { run(unnamed_source_kernel, 32); },
             "__shfl_sync reads from lane 12, which is not in mask 0x000000ff");
}

TEST("unequal masks at one call abort") {
  CHECK_DIES([] { run(unequal_masks_kernel, 32); }, "names lanes that do not come",
             "threads 0, 2-31 wait in __syncwarp", "threads 1 wait in __syncwarp");
}

TEST("a width that is no power of two aborts") {
  CHECK_DIES([] { run(bad_width_kernel, 32); }, "the width of a shuffle is not");
}
