/* SPDX-License-Identifier: Apache-2.0 */
/* A matrix product by sequential sums of fmaf.
 *
 * Chains of different elements are independent, so they run side by side in vector
 * registers without a change of any bit: op(A) is packed so that its columns are
 * contiguous, and a column of C is summed over k. */
#include "gemm.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace esc_simt {
namespace {

/* Nearest, ties away from zero, as the device's conversion; NaN and inf are unchanged. */
float round_tf32(float x) {
  if (!std::isfinite(x)) return x;
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits = (bits + 0x1000u) & 0xffffe000u;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* op(X) (rows, columns), columns contiguous. */
std::vector<float> pack(const float *x, size_t ld, bool transpose, size_t rows, size_t columns,
                        bool tf32) {
  std::vector<float> out(rows * columns);
  for (size_t j = 0; j < columns; j++) {
    for (size_t i = 0; i < rows; i++) {
      const float value = transpose ? x[j + i * ld] : x[i + j * ld];
      out[i + j * rows] = tf32 ? round_tf32(value) : value;
    }
  }
  return out;
}

/* sum[i] = fma over ascending p of a[i, p] b[p], from 0. */
inline __attribute__((always_inline)) void sum_column(size_t m, size_t k, const float *a,
                                                      const float *b, float *chain) {
  for (size_t i = 0; i < m; i++) chain[i] = 0.0f;
  for (size_t p = 0; p < k; p++) {
    const float factor = b[p];
    const float *column = a + p * m;
    for (size_t i = 0; i < m; i++) chain[i] = __builtin_fmaf(column[i], factor, chain[i]);
  }
}

using SumColumn = void (*)(size_t m, size_t k, const float *a, const float *b, float *chain);

void sum_plain(size_t m, size_t k, const float *a, const float *b, float *chain) {
  sum_column(m, k, a, b, chain);
}

#ifdef __x86_64__
__attribute__((target("avx2,fma"), optimize("O3"))) void sum_avx2(size_t m, size_t k,
                                                                  const float *a, const float *b,
                                                                  float *chain) {
  sum_column(m, k, a, b, chain);
}
SumColumn choose() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? sum_avx2 : sum_plain;
}
#else
SumColumn choose() { return sum_plain; }
#endif

/* C = alpha sum + beta C; C is not read if beta is 0. */
void store_column(const Gemm &g, const float *chain, float *c) {
  for (size_t i = 0; i < g.m; i++) {
    c[i] = g.beta == 0.0f ? g.alpha * chain[i] : g.alpha * chain[i] + g.beta * c[i];
  }
}

} /* namespace */

void gemm_run(const Gemm &g) {
  static const SumColumn sum = choose();
  const bool reads = g.alpha != 0.0f && g.k != 0;
  const size_t k = reads ? g.k : 0;
  const std::vector<float> a = pack(g.a, g.lda, g.transpose_a, g.m, k, g.tf32);
  const std::vector<float> b = pack(g.b, g.ldb, g.transpose_b, k, g.n, g.tf32);
  std::vector<float> chain(g.m);
  for (size_t j = 0; j < g.n; j++) {
    sum(g.m, k, a.data(), b.data() + j * k, chain.data());
    store_column(g, chain.data(), g.c + j * g.ldc);
  }
}

} /* namespace esc_simt */
