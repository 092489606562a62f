/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of products in double. The order of a sum is partial_sum of a result, so each order is a
 * function. */
#ifndef ESCAPEMENT_DOT_H
#define ESCAPEMENT_DOT_H

/* sum_i a_i b_i by ascending i. */
static inline double esc_dot(const double *a, const double *b, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

/* The same in `partials` (4 or 8, a constant) partial sums, so that it vectorises: term i goes to
 * partial sum i modulo `partials`, what is left of n to the first, and they are added in pairs. */
static inline double esc_dot_partial(int partials, const double *a, const double *b, int n) {
  double partial_sum[8] = {0};
  int i = 0;
  for (; i + partials <= n; i += partials)
    for (int j = 0; j < partials; j++) partial_sum[j] += a[i + j] * b[i + j];
  for (; i < n; i++) partial_sum[0] += a[i] * b[i];
  for (int j = 4; j < partials; j++) partial_sum[j - 4] += partial_sum[j];
  return (partial_sum[0] + partial_sum[1]) + (partial_sum[2] + partial_sum[3]);
}

#endif
