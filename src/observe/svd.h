/* SPDX-License-Identifier: Apache-2.0 */
/* The largest singular value of a matrix w, as the largest eigenvalue of A = m'm, m the scaled w or
 * its transpose: parts shared by the Householder and the Lanczos method. Private to src/observe. */
#ifndef ESC_SVD_H
#define ESC_SVD_H

#include <stddef.h>

/* Vectors of a Lanczos basis; largest A that is tridiagonalised as a whole. */
enum { ESC_SVD_BASIS = 160, ESC_SVD_HOUSEHOLDER_MAX = 48 };

/* w times a power of two that brings its largest entry near 1, as m in A = m'm, the smaller of w'w
 * and ww'. The power is applied to the transpose when it is stored, to w itself in products. */
typedef struct esc_svd {
  int size, image_size;              /* of A; the other side of w */
  const double *transposed, *matrix; /* (size, image_size) m', (image_size, size) m, but for ... */
  double transposed_factor, factor;  /* ... these factors */
  double norm2;                      /* sum of the squares of m */
  double *basis, *image;             /* (ESC_SVD_BASIS + 1, size), (image_size): workspace */
} esc_svd;

/* y = m x, and y = m' x: (image_size) from (size), and back. */
void esc_svd_multiply(const esc_svd *a, const double *x, double *y);
void esc_svd_multiply_transposed(const esc_svd *a, const double *x, double *y);

/* (from, to), rows `stride` apart. */
typedef struct esc_svd_matrix {
  int from, to, stride;
  const double *entry;
} esc_svd_matrix;

/* y += factor m' x. */
void esc_svd_add_product(double factor, esc_svd_matrix m, const double *x, double *y);

/* Scales x to length 1 and returns what its length was; 0 and x = 0 unless that is above
 * `floor`. */
double esc_svd_normalise(int n, double *x, double floor);

/* A unit vector that is orthogonal to nothing in particular. */
void esc_svd_start_vector(int n, double *x);

/* Largest eigenvalue of the tridiagonal matrix of n > 0 rows with diagonal alpha and
 * beta[i] between i and i + 1, positive semidefinite to rounding; its unit vector s. */
double esc_tridiagonal_largest(int n, const double *alpha, const double *beta, double *s);

/* Unit vector x (size) of A's largest eigenvalue: by Householder's reduction of all of A,
 * size <= ESC_SVD_HOUSEHOLDER_MAX; by Lanczos. */
void esc_svd_householder(const esc_svd *a, double *x);
void esc_svd_lanczos(const esc_svd *a, double *x);

#endif
