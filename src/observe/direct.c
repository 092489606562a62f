/* SPDX-License-Identifier: Apache-2.0 */
/* The leading vector of a small A = m'm: Householder's reduction of all of A to tridiagonal
 * form. No start and no stopping rule: what it finds is the largest whatever w is. */
#include <math.h>
#include <string.h>

#include "leading.h"

#include "escapement/internal/dot.h"

enum { N = ESC_LEADING_DIRECT };

/* A, (n, n) in rows of n; reflections v_k of length sqrt(2), 0 up to element k. */
typedef struct reduction {
  int n;
  double *a, *v; /* (n, n) each */
  double alpha[N], beta[N];
} reduction;

static double *row(const reduction *r, double *m, int i) { return m + (size_t)i * (size_t)r->n; }

/* v_k, which takes column k of A to a multiple of the axis k + 1; v_k = 0 where it is that
 * already. */
static void find_reflection(reduction *r, int k) {
  double *const v = row(r, r->v, k);
  const int n = r->n;
  memset(v, 0, (size_t)n * sizeof *v);
  memcpy(v + k + 1, row(r, r->a, k) + k + 1, (size_t)(n - k - 1) * sizeof *v);
  const double length = sqrt(esc_dot_partial(8, v, v, n));
  r->beta[k] = v[k + 1] < 0 ? length : -length;
  v[k + 1] -= r->beta[k];
  esc_leading_normalise(n, v, 0);
  for (int i = k + 1; i < n; i++) v[i] *= sqrt(2);
}

/* A <- H A H with H = 1 - vv', below and right of k: A - vq' - qv', q = Av - v (v'Av)/2. */
static void reflect(reduction *r, int k) {
  const int n = r->n;
  const double *const v = row(r, r->v, k);
  double q[N] = {0};
  const int from = (k + 1) & ~1; /* whole pairs of numbers */
  esc_leading_add_product(1,
                          (esc_leading_matrix){n - k - 1, n - from, n, row(r, r->a, k + 1) + from},
                          v + k + 1, q + from);
  const double half = esc_dot_partial(8, v, q, n) / 2;
  for (int i = k + 1; i < n; i++) q[i] -= half * v[i];
  for (int i = k + 1; i < n; i++) {
    double *const a = row(r, r->a, i);
    for (int j = k + 1; j < n; j++) a[j] -= v[i] * q[j] + q[i] * v[j];
  }
}

/* Row i of A is m' times column i of m; what is left of its diagonal is known. */
static void make_a(const esc_leading *m, reduction *r) {
  const int n = r->n;
  for (int i = 0; i < n; i++) {
    const double *const column = m->to + (size_t)i * (size_t)m->image_size;
    double *const a = row(r, r->a, i);
    memset(a, 0, (size_t)n * sizeof *a);
    esc_leading_add_product(m->to_unit * m->from_unit,
                            (esc_leading_matrix){m->image_size, n - i, n, m->from + i}, column,
                            a + i);
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

void esc_leading_direct(const esc_leading *m, double *x) {
  reduction r = {.n = m->size, .a = m->basis};
  r.v = r.a + (size_t)r.n * (size_t)r.n;
  make_a(m, &r);
  reduce(&r);
  esc_tridiagonal_largest(r.n, r.alpha, r.beta, x);
  for (int k = r.n - 2; k >= 0; k--) { /* back from T's axes to A's */
    const double *const v = row(&r, r.v, k), along = esc_dot_partial(8, v, x, r.n);
    for (int i = k + 1; i < r.n; i++) x[i] -= along * v[i];
  }
  esc_leading_normalise(r.n, x, 0);
}
