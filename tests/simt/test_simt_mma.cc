/* SPDX-License-Identifier: Apache-2.0 */
/* The tensor core's product: who holds what, how it rounds, what it refuses; and how
 * kernels/mma.cuh cuts floats for it. */
#include <cmath>
#include <limits>

#include "mma.cuh"
#include "test_simt.h"

namespace {

/* a (16, 8), b (8, 8), c (16, 8), row-major; c is replaced. */
__global__ void product_kernel(const float *a, const float *b, float *c) {
  const int r = static_cast<int>(threadIdx.x) / 4, q = static_cast<int>(threadIdx.x) % 4;
  const float left[4] = {a[8 * r + q], a[8 * r + 64 + q], a[8 * r + q + 4], a[8 * r + 64 + q + 4]};
  const float right[2] = {b[8 * q + r], b[8 * q + 32 + r]};
  float *tile = c + 8 * r + 2 * q, sum[4] = {tile[0], tile[1], tile[64], tile[65]};
  esc_mma_m16n8k8(left, right, sum);
  tile[0] = sum[0];
  tile[1] = sum[1];
  tile[64] = sum[2];
  tile[65] = sum[3];
}

__global__ void operand_kernel(float left, float right) {
  const bool odd = threadIdx.x == 9;
  const float a[4] = {1, 1, odd ? left : 1, 1}, b[2] = {1, odd ? right : 1};
  float c[4] = {0};
  esc_mma_m16n8k8(a, b, c);
}

__global__ void missing_kernel() {
  const float a[4] = {0}, b[2] = {0};
  float c[4] = {0};
  if (threadIdx.x != 5) esc_mma_m16n8k8(a, b, c);
}

template <class... P, class... A>
void run(void (*kernel)(P...), unsigned threads, A... arguments) {
  TestStream stream;
  CHECK_OK(ESC_LAUNCH(kernel, 1, threads, 16, stream, arguments...));
  CHECK_OK(cudaStreamSynchronize(stream));
}

std::vector<float> product(const std::vector<float> &a, const std::vector<float> &b,
                           const std::vector<float> &c) {
  TestArray<float> left(a), right(b), sum(c);
  run(product_kernel, 32, left.device, right.device, sum.device);
  return sum.read();
}

/* A product whose first entry is c + a b, and all others 0. */
float single(float a, float b, float c) {
  std::vector<float> left(128), right(64), sum(128);
  left[0] = a;
  right[0] = b;
  sum[0] = c;
  return product(left, right, sum)[0];
}

} /* namespace */

TEST("a product of small integers is that of the matrices, in all orders") {
  std::vector<float> a(128), b(64), c(128), want(128);
  for (size_t i = 0; i < 128; i++) a[i] = static_cast<float>(i * 37 % 101) - 50;
  for (size_t i = 0; i < 64; i++) b[i] = static_cast<float>(i * 53 % 97) - 48;
  for (size_t i = 0; i < 128; i++) c[i] = want[i] = static_cast<float>(i * 29 % 89) - 44;
  for (size_t row = 0; row < 16; row++)
    for (size_t column = 0; column < 8; column++)
      for (size_t k = 0; k < 8; k++) want[8 * row + column] += a[8 * row + k] * b[8 * k + column];
  for (const char *order : {"forward", "reverse", "shuffled:5"}) {
    CHECK_EQUAL(esc_simt_set_order(order), 0);
    const std::vector<float> got = product(a, b, c);
    for (size_t i = 0; i < 128; i++) CHECK_EQUAL(got[i], want[i]);
  }
}

TEST("a product's sums are rounded toward zero, once") {
  const float above = std::nextafterf(1, 2), below = std::nextafterf(1, 0);
  CHECK_EQUAL(single(0x1.8p-24f, 1, 1), 1.0f);
  CHECK_EQUAL(single(0x1p-25f, 1, -1), -below); /* to nearest: -1 */
  CHECK_EQUAL(single(0x1p-23f, 1, 1), above);
  CHECK_EQUAL(single(-0x1p-30f, 1, 1), below);
  CHECK_EQUAL(single(0x1p-30f, 1, -1), -below);
  std::vector<float> a(128), b(64), c(128);
  for (size_t k = 0; k < 8; k++) a[k] = 0x1p-26f; /* eight of them are seen */
  for (size_t k = 0; k < 8; k++) b[8 * k] = 1;
  c[0] = 1;
  CHECK_EQUAL(product(a, b, c)[0], above);
}

TEST("a product has NaNs and infinities where the matrices do") {
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(std::isnan(single(std::numeric_limits<float>::quiet_NaN(), 1, 1)));
  CHECK(std::isnan(single(infinity, 0, 1)));
  CHECK_EQUAL(single(infinity, -1, 1), -infinity);
  CHECK_EQUAL(single(0x1p100f, 0x1p100f, 1), infinity);
}

TEST("an operand of more than 11 bits aborts, and is named") {
  CHECK_DIES([] { run(operand_kernel, 32, 0x1.002p0f, 1.0f); }, "thread (9,0,0)",
             "is given a[2] = 1.00048828 (0x3f801000), which is no TF32", "mma.cuh");
  CHECK_DIES([] { run(operand_kernel, 32, 1.0f, -0x1.000002p0f); },
             "is given b[1] = -1.00000012 (0xbf800001)");
}

TEST("a product to which a lane does not come aborts") {
  CHECK_DIES([] { run(missing_kernel, 32); }, "names lanes that do not come", "wait in mma.m16n8k8",
             "threads 5 have returned");
  CHECK_DIES([] { run(operand_kernel, 16, 1.0f, 1.0f); }, "names lanes that do not come");
}

TEST("hi and lo have 11 bits each and leave less than 2^-22 of the number") {
  uint32_t bits = 1;
  for (int i = 0; i < 100000; i++) {
    bits = bits * 1664525u + 1013904223u;
    const uint32_t exponent = 64 + (bits >> 8) % 128;
    const float x = __uint_as_float((bits & 0x807fffffu) | exponent << 23);
    float hi, lo;
    esc_tf32_split(x, &hi, &lo);
    CHECK_EQUAL(__float_as_uint(hi) & 0x1fffu, 0u);
    CHECK_EQUAL(__float_as_uint(lo) & 0x1fffu, 0u);
    CHECK(std::fabs(hi - x) <= 0x1p-11f * std::fabs(x));
    CHECK(std::fabs(static_cast<double>(x) - hi - lo) <= 0x1p-22 * std::fabs(x));
  }
}

TEST("no NaN and no infinity is lost when it is cut") {
  for (uint32_t bits = 0x7f800000u; bits < 0x80000000u; bits += 0x1ffu)
    for (const uint32_t sign : {0u, 0x80000000u}) {
      float hi, lo;
      esc_tf32_split(__uint_as_float(bits | sign), &hi, &lo);
      CHECK(std::isnan(lo));
    }
}
