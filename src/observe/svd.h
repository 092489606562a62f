/* SPDX-License-Identifier: Apache-2.0 */
/* The largest singular value of a matrix w, from the largest eigenvalue of A = m^T m, m the scaled
 * w or its transpose: parts shared by the Householder and the Lanczos method. Private to
 * src/observe. */
#ifndef ESC_SVD_H
#define ESC_SVD_H

#include <stddef.h>

/* Vectors of a Lanczos basis; largest size of A for the Householder method. */
enum { ESC_SVD_BASIS = 160, ESC_SVD_HOUSEHOLDER_MAX = 48 };

/* m is w or w^T times a power of two that brings its largest entry near 1, so that A = m^T m is the
 * smaller of the two Gram matrices. The stored transpose contains the power of two, w does not:
 * factors apply it in products. */
typedef struct esc_svd {
  int size, image_size;     /* of A; the other side of w */
  const double *transposed; /* (size, image_size): m^T / transposed_factor */
  const double *matrix;     /* (image_size, size): m / factor */
  double transposed_factor, factor;
  double norm2;          /* sum of the squares of m */
  double *basis, *image; /* (ESC_SVD_BASIS + 1, size), (image_size): workspace */
} esc_svd;

/* y = m x, (image_size) from (size); y = m^T x, (size) from (image_size). */
void esc_svd_multiply(const esc_svd *a, const double *x, double *y);
void esc_svd_multiply_transposed(const esc_svd *a, const double *x, double *y);

/* (from, to), rows `stride` apart. */
typedef struct esc_svd_matrix {
  int from, to, stride;
  const double *entry;
} esc_svd_matrix;

/* y += factor m^T x. */
void esc_svd_add_product(double factor, esc_svd_matrix m, const double *x, double *y);

/* Scales x to length 1 and returns its previous length. If that is not above `floor`, sets x = 0
 * and returns 0. */
double esc_svd_normalise(int n, double *x, double floor);

/* A fixed unit vector with entries of similar size and irregular signs, to start an iteration. */
void esc_svd_start_vector(int n, double *x);

/* Largest eigenvalue of the tridiagonal matrix of n > 0 rows with diagonal alpha and
 * off-diagonal beta[i] between i and i + 1, positive semidefinite to rounding; s receives its unit
 * vector. */
double esc_tridiagonal_largest(int n, const double *alpha, const double *beta, double *s);

/* Unit vector x (size) of A's largest eigenvalue: by Householder's reduction of all of A,
 * size <= ESC_SVD_HOUSEHOLDER_MAX; by Lanczos. */
void esc_svd_householder(const esc_svd *a, double *x);
void esc_svd_lanczos(const esc_svd *a, double *x);

#endif
