/* SPDX-License-Identifier: Apache-2.0 */
/* Products with the scaled matrix, and vectors, for the largest singular value. */
#include <math.h>
#include <string.h>

#include "svd.h"

#include "escapement/internal/dot.h"

/* Four rows at a time. */
void esc_svd_add_product(double factor, esc_svd_matrix matrix, const double *x, double *y) {
  const int from = matrix.from, to = matrix.to, stride = matrix.stride;
  const double *const m = matrix.entry;
  int i = 0;
  for (; i + 4 <= from; i += 4) {
    const double *const a = m + (size_t)i * (size_t)stride, *const b = a + stride,
                        *const c = b + stride, *const d = c + stride;
    const double xa = factor * x[i], xb = factor * x[i + 1], xc = factor * x[i + 2],
                 xd = factor * x[i + 3];
    for (int j = 0; j < to; j++) y[j] += (xa * a[j] + xb * b[j]) + (xc * c[j] + xd * d[j]);
  }
  for (; i < from; i++)
    for (int j = 0; j < to; j++) y[j] += factor * x[i] * m[(size_t)i * (size_t)stride + (size_t)j];
}

void esc_svd_multiply(const esc_svd *a, const double *x, double *y) {
  memset(y, 0, (size_t)a->image_size * sizeof *y);
  esc_svd_add_product(a->transposed_factor,
                      (esc_svd_matrix){a->size, a->image_size, a->image_size, a->transposed}, x, y);
}

void esc_svd_multiply_transposed(const esc_svd *a, const double *x, double *y) {
  memset(y, 0, (size_t)a->size * sizeof *y);
  esc_svd_add_product(a->factor, (esc_svd_matrix){a->image_size, a->size, a->size, a->matrix}, x,
                      y);
}

double esc_svd_normalise(int n, double *x, double floor) {
  const double length = sqrt(esc_dot_partial(8, x, x, n));
  if (!(length > floor)) {
    memset(x, 0, (size_t)n * sizeof *x);
    return 0;
  }
  for (int i = 0; i < n; i++) x[i] /= length;
  return length;
}

/* Entries of size 1/2 to 3/2 from the fractional parts of multiples of the golden ratio, signs from
 * those of the square root of 2: equidistributed, and the same on every machine. */
void esc_svd_start_vector(int n, double *x) {
  for (int i = 0; i < n; i++) {
    const double size = 0.5 + fmod(0.61803398874989485 * (i + 1), 1.0);
    x[i] = fmod(0.41421356237309505 * (i + 1), 1.0) < 0.4 ? -size : size;
  }
  esc_svd_normalise(n, x, 0);
}
