/* SPDX-License-Identifier: Apache-2.0 */
/* What the two ways to a leading singular value share: the scaled matrix, products, and the
 * largest eigenvalue of a tridiagonal matrix. Private to src/observe. */
#ifndef ESC_LEADING_H
#define ESC_LEADING_H

#include <stddef.h>

/* A basis of Lanczos holds this many vectors; up to DIRECT rows A is reduced as a whole. */
enum { ESC_LEADING_BASIS = 160, ESC_LEADING_DIRECT = 48 };

/* w times a power of two that brings its largest entry to 1, as m in A = m'm, the smaller
 * of w'w and ww'. */
typedef struct esc_leading {
  int size, image_size;      /* of A; the other side of w */
  const double *to, *from;   /* (size, image_size) m', (image_size, size) m, but for ... */
  double to_unit, from_unit; /* ... these factors */
  double norm2;              /* sum of the squares of m */
  double *basis, *image;     /* (ESC_LEADING_BASIS + 1, size), (image_size): workspace */
} esc_leading;

/* y = m x, and y = m' x: (image_size) from (size), and back. */
void esc_leading_image(const esc_leading *a, const double *x, double *y);
void esc_leading_back(const esc_leading *a, const double *x, double *y);

/* (from, to), rows `stride` apart. */
typedef struct esc_leading_matrix {
  int from, to, stride;
  const double *entry;
} esc_leading_matrix;

/* y += factor m' x. */
void esc_leading_add_product(double factor, esc_leading_matrix m, const double *x, double *y);

/* Scales x to length 1 and returns what its length was; 0 and x = 0 unless that is above
 * `floor`. */
double esc_leading_normalise(int n, double *x, double floor);

/* A unit vector that is orthogonal to nothing in particular. */
void esc_leading_start(int n, double *x);

/* Largest eigenvalue of the tridiagonal matrix of n > 0 rows with diagonal alpha and
 * beta[i] between i and i + 1, positive semidefinite to rounding; its unit vector s. */
double esc_tridiagonal_largest(int n, const double *alpha, const double *beta, double *s);

/* Unit vector x (size) of A's largest eigenvalue: by Householder's reduction of all of A,
 * size <= ESC_LEADING_DIRECT; by Lanczos. */
void esc_leading_direct(const esc_leading *a, double *x);
void esc_leading_lanczos(const esc_leading *a, double *x);

#endif
