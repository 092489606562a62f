/* SPDX-License-Identifier: Apache-2.0 */
/* One single-precision matrix product as cublas_v2.h defines its rounding. */
#ifndef ESC_SIMT_GEMM_H
#define ESC_SIMT_GEMM_H

#include <cstddef>

namespace esc_simt {

/* C (m, n) = alpha op(A) (m, k) op(B) (k, n) + beta C; column-major. */
struct Gemm {
  bool transpose_a, transpose_b;
  size_t m, n, k;
  float alpha;
  const float *a;
  size_t lda;
  const float *b;
  size_t ldb;
  float beta;
  float *c;
  size_t ldc;
  bool tf32; /* round A and B to ten mantissa bits first */
};

void gemm_run(const Gemm &gemm);

} /* namespace esc_simt */
#endif
