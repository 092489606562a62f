/* SPDX-License-Identifier: Apache-2.0 */
/* The largest eigenvalue of a symmetric tridiagonal matrix T by Laguerre's method, and its
 * eigenvector by inverse iteration. Both use the pivots of x - T, which are all positive if and
 * only if x is above every eigenvalue. */
#include <float.h>
#include <math.h>
#include <stdbool.h>

#include "svd.h"

typedef struct tridiagonal {
  int n;
  const double *alpha, *beta;
} tridiagonal;

static double beta2_before(const tridiagonal *t, int i) {
  return i ? t->beta[i - 1] * t->beta[i - 1] : 0;
}

/* Laguerre's next point from x for the largest root of det(x - T), from the pivots' first and
 * second derivatives; x itself where x is not above every root. */
static double laguerre(const tridiagonal *t, double x) {
  double pivot = 1, d1 = 0, d2 = 0; /* derivatives of the pivot over the pivot */
  double sum1 = 0, sum2 = 0;        /* of 1/(x - root) and its square over all roots */
  for (int i = 0; i < t->n; i++) {
    const double ratio = beta2_before(t, i) / pivot, next = (x - t->alpha[i]) - ratio;
    if (!(next > 0)) return x;
    d2 = ratio * (d2 - 2 * d1 * d1) / next;
    d1 = (1 + ratio * d1) / next;
    pivot = next;
    sum1 += d1;
    sum2 += d1 * d1 - d2;
  }
  return x - t->n / (sum1 + sqrt(fmax(0, (t->n - 1) * (t->n * sum2 - sum1 * sum1))));
}

/* No eigenvalue is larger (Gershgorin). */
static double bound_above(const tridiagonal *t) {
  double bound = 0;
  for (int i = 0; i < t->n; i++)
    bound =
        fmax(bound, t->alpha[i] + sqrt(beta2_before(t, i)) + (i < t->n - 1 ? fabs(t->beta[i]) : 0));
  return bound * (1 + 1e-14);
}

/* From above, Laguerre's iterates decrease monotonically to the largest root, until rounding
 * changes a pivot's sign or a step is below an ulp. */
static double largest_root(const tridiagonal *t) {
  enum { STEPS = 100 }; /* an upper limit: convergence is cubic */
  double x = bound_above(t);
  for (int i = 0; i < STEPS; i++) {
    const double next = laguerre(t, x);
    if (!(x - next > DBL_EPSILON * x)) return x;
    x = next;
  }
  return x;
}

/* Pivots of x - T; false unless all are positive. */
static bool factorise(const tridiagonal *t, double x, double *pivot) {
  for (int i = 0; i < t->n; i++) {
    pivot[i] = (x - t->alpha[i]) - (i ? beta2_before(t, i) / pivot[i - 1] : 0);
    if (!(pivot[i] > DBL_MIN)) return false;
  }
  return true;
}

/* Solves (x - T) s = s in place: positive definite, so no pivoting is needed. */
static void solve(const tridiagonal *t, const double *pivot, double *s) {
  for (int i = 1; i < t->n; i++) s[i] += t->beta[i - 1] / pivot[i - 1] * s[i - 1];
  for (int i = t->n - 1; i >= 0; i--)
    s[i] = (s[i] + (i < t->n - 1 ? t->beta[i] * s[i + 1] : 0)) / pivot[i];
}

/* Inverse iteration with a shift just above the root: each iteration reduces the other components
 * by the ratio of that distance to the gap between the eigenvalues. */
double esc_tridiagonal_largest(int n, const double *alpha, const double *beta, double *s) {
  const tridiagonal t = {n, alpha, beta};
  const double root = largest_root(&t);
  double pivot[ESC_SVD_BASIS], shift = root;
  esc_svd_start_vector(n, s);
  if (root == 0) return 0;
  for (double increment = 2 * DBL_EPSILON * root; !factorise(&t, shift, pivot); increment *= 2)
    shift += increment;
  for (int i = 0; i < 3; i++) {
    solve(&t, pivot, s);
    esc_svd_normalise(n, s, 0);
  }
  return root;
}
