/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of products in double. Results depend on the order of a sum, so that each has its own. */
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
  double part[8] = {0};
  int i = 0;
  for (; i + partials <= n; i += partials)
    for (int j = 0; j < partials; j++) part[j] += a[i + j] * b[i + j];
  for (; i < n; i++) part[0] += a[i] * b[i];
  for (int j = 4; j < partials; j++) part[j - 4] += part[j];
  return (part[0] + part[1]) + (part[2] + part[3]);
}

#endif
