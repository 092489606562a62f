/* SPDX-License-Identifier: Apache-2.0 */
/* The leading vector of a large A = m'm by Lanczos.
 *
 * Krylov vectors are kept orthogonal to all before them, so that the projection T stays
 * what exact arithmetic gives: its largest eigenvalue theta grows towards that of A. The
 * basis ends when theta fits and no longer grows, or when the space is used up (rank below
 * the size, repeated singular values), which the rounding of A's norm tells. */
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "leading.h"

#include "escapement/internal/dot.h"

enum { RESTARTS = 4, LOOK_EVERY = 6 };
/* Residual over theta: the error of theta is at most that, and of the order of its square
 * over the relative gap to the next eigenvalue. */
static const double residual_max = 1e-6;
/* What theta may still grow by between two looks, relative. */
static const double growth_max = 1e-13;

typedef struct lanczos {
  const esc_leading *m;
  int size, k;  /* of A; basis vectors so far */
  double floor; /* lengths of at most this are rounding of A's */
  double alpha[ESC_LEADING_BASIS], beta[ESC_LEADING_BASIS]; /* T */
  double s[ESC_LEADING_BASIS];                              /* eigenvector of T */
  double theta, growth, residual;
} lanczos;

static double *vector(const lanczos *z, int i) { return z->m->basis + (size_t)i * (size_t)z->size; }

/* Takes from x what it has of the basis vectors 0..k. */
static void orthogonalise(const lanczos *z, int k, double *x) {
  double along[ESC_LEADING_BASIS];
  for (int i = 0; i <= k; i++) along[i] = esc_dot_partial(8, vector(z, i), x, z->size);
  esc_leading_add_product(-1, (esc_leading_matrix){k + 1, z->size, z->size, z->m->basis}, along, x);
}

/* Steps k -> k + 1: column k of T, and the next basis vector. The second pass makes up for
 * what the first loses where little is left. */
static void extend(lanczos *z) {
  const int n = z->size, k = z->k;
  double *const next = vector(z, k + 1);
  esc_leading_image(z->m, vector(z, k), z->m->image);
  esc_leading_back(z->m, z->m->image, next);
  z->alpha[k] = esc_dot_partial(8, vector(z, k), next, n);
  const double before = esc_dot_partial(8, next, next, n);
  orthogonalise(z, k, next);
  if (esc_dot_partial(8, next, next, n) < 0.1 * before) orthogonalise(z, k, next);
  z->beta[k] = esc_leading_normalise(n, next, z->floor);
  z->k = k + 1;
}

/* theta, its eigenvector s of T, and the residual |A y - theta y|. */
static void look(lanczos *z) {
  const double theta = esc_tridiagonal_largest(z->k, z->alpha, z->beta, z->s);
  z->growth = theta - z->theta;
  z->theta = theta;
  z->residual = z->beta[z->k - 1] * fabs(z->s[z->k - 1]);
}

static bool has_converged(const lanczos *z) {
  return z->residual <= residual_max * z->theta && z->growth <= growth_max * z->theta;
}

/* The Ritz vector. */
static void combine(const lanczos *z, double *x) {
  memset(x, 0, (size_t)z->size * sizeof *x);
  esc_leading_add_product(1, (esc_leading_matrix){z->k, z->size, z->size, z->m->basis}, z->s, x);
  esc_leading_normalise(z->size, x, 0);
}

/* One basis from x; true once theta is good enough, or all that there is. */
static bool run(lanczos *z, double *x) {
  const int most = z->size < ESC_LEADING_BASIS ? z->size : ESC_LEADING_BASIS;
  memcpy(vector(z, 0), x, (size_t)z->size * sizeof *x);
  z->k = 0;
  z->theta = 0;
  for (;;) {
    extend(z);
    const bool ended = z->k == z->size || z->beta[z->k - 1] == 0, last = ended || z->k == most;
    if (!last && z->k % LOOK_EVERY) continue;
    look(z);
    if (!last && !has_converged(z)) continue;
    combine(z, x);
    return ended || has_converged(z);
  }
}

void esc_leading_lanczos(const esc_leading *m, double *x) {
  lanczos z = {.m = m, .size = m->size, .floor = 4 * m->size * DBL_EPSILON * m->norm2};
  esc_leading_start(z.size, x);
  for (int i = 0; i < RESTARTS && !run(&z, x); i++) continue;
}
