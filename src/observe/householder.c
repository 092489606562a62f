/* SPDX-License-Identifier: Apache-2.0 */
/* Leading eigenvector of a small A = m^T m: Householder reduction of A to a tridiagonal T, the
 * leading eigenvector of T (tridiagonal.c), and the reflections applied to it. Needs no start
 * vector and no convergence test, so it finds the largest eigenvalue for every w. */
#include <math.h>
#include <string.h>

#include "svd.h"

#include "escapement/internal/dot.h"

enum { N = ESC_SVD_HOUSEHOLDER_MAX };

/* A, (n, n) in rows of n; reflections v_k of length sqrt(2), 0 up to element k. */
typedef struct reduction {
  int n;
  double *a, *v; /* (n, n) each */
  double alpha[N], beta[N];
} reduction;

static double *row(const reduction *r, double *m, int i) { return m + (size_t)i * (size_t)r->n; }

/* v_k, whose reflection maps column k of A to a multiple of axis k + 1; 0 if column k is a
 * multiple. */
static void find_reflection(reduction *r, int k) {
  double *const v = row(r, r->v, k);
  const int n = r->n;
  memset(v, 0, (size_t)n * sizeof *v);
  memcpy(v + k + 1, row(r, r->a, k) + k + 1, (size_t)(n - k - 1) * sizeof *v);
  const double length = sqrt(esc_dot_partial(8, v, v, n));
  r->beta[k] = v[k + 1] < 0 ? length : -length;
  v[k + 1] -= r->beta[k];
  esc_svd_normalise(n, v, 0);
  for (int i = k + 1; i < n; i++) v[i] *= sqrt(2);
}

/* A <- H A H, H = 1 - v v^T, below and right of k: A - v q^T - q v^T, q = A v - v (v^T A v)/2. */
static void reflect(reduction *r, int k) {
  const int n = r->n;
  const double *const v = row(r, r->v, k);
  double q[N] = {0};
  const int from = (k + 1) & ~1; /* whole pairs of numbers */
  esc_svd_add_product(1, (esc_svd_matrix){n - k - 1, n - from, n, row(r, r->a, k + 1) + from},
                      v + k + 1, q + from);
  const double half = esc_dot_partial(8, v, q, n) / 2;
  for (int i = k + 1; i < n; i++) q[i] -= half * v[i];
  for (int i = k + 1; i < n; i++) {
    double *const a = row(r, r->a, i);
    for (int j = k + 1; j < n; j++) a[j] -= v[i] * q[j] + q[i] * v[j];
  }
}

/* Row i of A is m^T times column i of m; entries left of the diagonal follow by symmetry. */
static void make_gram(const esc_svd *m, reduction *r) {
  const int n = r->n;
  for (int i = 0; i < n; i++) {
    const double *const column = m->transposed + (size_t)i * (size_t)m->image_size;
    double *const a = row(r, r->a, i);
    memset(a, 0, (size_t)n * sizeof *a);
    esc_svd_add_product(m->transposed_factor * m->factor,
                        (esc_svd_matrix){m->image_size, n - i, n, m->matrix + i}, column, a + i);
    for (int j = 0; j < i; j++) a[j] = row(r, r->a, j)[i];
  }
}

static void reduce(reduction *r) {
  for (int k = 0; k < r->n - 1; k++) {
    find_reflection(r, k);
    reflect(r, k);
  }
  for (int k = 0; k < r->n; k++) r->alpha[k] = fmax(0, row(r, r->a, k)[k]);
}

void esc_svd_householder(const esc_svd *m, double *x) {
  reduction r = {.n = m->size, .a = m->basis};
  r.v = r.a + (size_t)r.n * (size_t)r.n;
  make_gram(m, &r);
  reduce(&r);
  esc_tridiagonal_largest(r.n, r.alpha, r.beta, x);
  for (int k = r.n - 2; k >= 0; k--) { /* from the basis of T back to that of A */
    const double *const v = row(&r, r.v, k), coefficient = esc_dot_partial(8, v, x, r.n);
    for (int i = k + 1; i < r.n; i++) x[i] -= coefficient * v[i];
  }
  esc_svd_normalise(r.n, x, 0);
}
