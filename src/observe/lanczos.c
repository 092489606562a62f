/* SPDX-License-Identifier: Apache-2.0 */
/* Leading eigenvector of a large A = m'm by the Lanczos method with full orthogonalisation and
 * restarts from the Ritz vector.
 *
 * Full orthogonalisation keeps the projection T close to that of exact arithmetic, so that its
 * largest eigenvalue theta grows towards that of A. A basis ends when the residual of theta is
 * small and theta no longer grows, or when the Krylov space is exhausted (rank below the size,
 * repeated singular values): beta at the level of rounding in |A|. */
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "svd.h"

#include "escapement/internal/dot.h"

enum { RESTARTS = 4, CHECK_INTERVAL = 6 };
/* Residual over theta: the error of theta is at most that, and of the order of its square
 * over the relative gap to the next eigenvalue. */
static const double residual_max = 1e-6;
/* Largest relative growth of theta between two checks that counts as converged. */
static const double growth_max = 1e-13;

typedef struct lanczos {
  const esc_svd *m;
  int size, k;  /* of A; basis vectors so far */
  double floor; /* lengths of at most this are rounding of A's */
  double alpha[ESC_SVD_BASIS], beta[ESC_SVD_BASIS]; /* T */
  double s[ESC_SVD_BASIS];                          /* eigenvector of T */
  double theta, growth, residual;
} lanczos;

static double *vector(const lanczos *z, int i) { return z->m->basis + (size_t)i * (size_t)z->size; }

/* Removes from x its components along the basis vectors 0..k. */
static void orthogonalise(const lanczos *z, int k, double *x) {
  double coefficient[ESC_SVD_BASIS];
  for (int i = 0; i <= k; i++) coefficient[i] = esc_dot_partial(8, vector(z, i), x, z->size);
  esc_svd_add_product(-1, (esc_svd_matrix){k + 1, z->size, z->size, z->m->basis}, coefficient, x);
}

/* From k to k + 1 basis vectors, with column k of T. Where the remainder is small, the first pass
 * has lost digits to cancellation, and a second pass restores orthogonality. */
static void extend_basis(lanczos *z) {
  const int n = z->size, k = z->k;
  double *const next = vector(z, k + 1);
  esc_svd_multiply(z->m, vector(z, k), z->m->image);
  esc_svd_multiply_transposed(z->m, z->m->image, next);
  z->alpha[k] = esc_dot_partial(8, vector(z, k), next, n);
  const double norm2_before = esc_dot_partial(8, next, next, n);
  orthogonalise(z, k, next);
  if (esc_dot_partial(8, next, next, n) < 0.1 * norm2_before) orthogonalise(z, k, next);
  z->beta[k] = esc_svd_normalise(n, next, z->floor);
  z->k = k + 1;
}

/* theta, its eigenvector s of T, and the residual |A y - theta y|. */
static void solve_projection(lanczos *z) {
  const double theta = esc_tridiagonal_largest(z->k, z->alpha, z->beta, z->s);
  z->growth = theta - z->theta;
  z->theta = theta;
  z->residual = z->beta[z->k - 1] * fabs(z->s[z->k - 1]);
}

static bool has_converged(const lanczos *z) {
  return z->residual <= residual_max * z->theta && z->growth <= growth_max * z->theta;
}

/* The Ritz vector. */
static void make_ritz_vector(const lanczos *z, double *x) {
  memset(x, 0, (size_t)z->size * sizeof *x);
  esc_svd_add_product(1, (esc_svd_matrix){z->k, z->size, z->size, z->m->basis}, z->s, x);
  esc_svd_normalise(z->size, x, 0);
}

/* One basis started at x; true if theta has converged or the basis spans the Krylov space. */
static bool build_basis(lanczos *z, double *x) {
  const int max = z->size < ESC_SVD_BASIS ? z->size : ESC_SVD_BASIS;
  memcpy(vector(z, 0), x, (size_t)z->size * sizeof *x);
  z->k = 0;
  z->theta = 0;
  for (;;) {
    extend_basis(z);
    const bool ended = z->k == z->size || z->beta[z->k - 1] == 0, last = ended || z->k == max;
    if (!last && z->k % CHECK_INTERVAL) continue;
    solve_projection(z);
    if (!last && !has_converged(z)) continue;
    make_ritz_vector(z, x);
    return ended || has_converged(z);
  }
}

void esc_svd_lanczos(const esc_svd *m, double *x) {
  lanczos z = {.m = m, .size = m->size, .floor = 4 * m->size * DBL_EPSILON * m->norm2};
  esc_svd_start_vector(z.size, x);
  for (int i = 0; i < RESTARTS && !build_basis(&z, x); i++) continue;
}
