/* SPDX-License-Identifier: Apache-2.0 */
/* The leading singular triple of a matrix of any finite entries: all products are with the
 * matrix times a power of two that brings its largest entry to 1. A row or a column is its
 * own; a small matrix is reduced as a whole (direct.c), a larger one by Lanczos (lanczos.c).
 *
 * Both are here because they are what snapshots can afford: for 32 rows GSL's
 * gsl_eigen_symm takes four times as long, LAPACK's dsyevr for the largest eigenvalue alone
 * three times, and for 256 rows both ten times. */
#include "leading.h"

#include <math.h>
#include <string.h>

#include "escapement/internal/observe.h"

static int smaller(int a, int b) { return a < b ? a : b; }

typedef struct blocks {
  double *transposed;    /* (columns, rows) */
  double *basis, *image; /* of esc_leading */
} blocks;

static blocks describe(esc_arena *a, int rows, int columns) {
  blocks b;
  b.transposed = ESC_CARVE(a, double, (size_t)rows *(size_t)columns);
  b.basis = ESC_CARVE(a, double, (size_t)(ESC_LEADING_BASIS + 1) * (size_t)smaller(rows, columns));
  b.image = ESC_CARVE(a, double, rows > columns ? rows : columns);
  return b;
}

void esc_leading_describe(esc_arena *a, int rows, int columns) {
  const size_t mark = esc_arena_mark(a);
  describe(a, rows, columns);
  esc_arena_release(a, mark);
}

/* The power of two that brings the largest |entry| to 1/2 to 1, or as near as a number of
 * normal size can; 0 where all are 0, NaN where one is not finite. */
static double find_unit(size_t count, const double *w) {
  enum { MOST = 1000 };
  double largest = 0;
  int exponent;
  for (size_t i = 0; i < count; i++) {
    if (!isfinite(w[i])) return (double)NAN;
    largest = fmax(largest, fabs(w[i]));
  }
  if (largest == 0) return 0;
  frexp(largest, &exponent);
  return ldexp(1, exponent > MOST ? -MOST : exponent < -MOST ? MOST : -exponent);
}

/* wt = unit w'; returns the sum of its squares. */
static double transpose(int rows, int columns, double unit, const double *w, double *wt) {
  double sum = 0;
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < columns; j++) {
      const double x = unit * w[(size_t)i * (size_t)columns + (size_t)j];
      wt[(size_t)j * (size_t)rows + (size_t)i] = x;
      sum += x * x;
    }
  return sum;
}

/* w as m. */
static esc_leading make_leading(int rows, int columns, double unit, const double *w, blocks b) {
  const bool wide = rows < columns;
  esc_leading m = {.size = smaller(rows, columns), .image_size = wide ? columns : rows};
  m.norm2 = transpose(rows, columns, unit, w, b.transposed);
  m.to = wide ? w : b.transposed;
  m.from = wide ? b.transposed : w;
  m.to_unit = wide ? unit : 1;
  m.from_unit = wide ? 1 : unit;
  m.basis = b.basis;
  m.image = b.image;
  return m;
}

double esc_leading_singular(int rows, int columns, const double *w, double *left, double *right,
                            esc_arena *workspace) {
  const bool wide = rows < columns;
  const double unit = find_unit((size_t)rows * (size_t)columns, w);
  double *const x = wide ? left : right, *const y = wide ? right : left;
  memset(left, 0, (size_t)rows * sizeof *left);
  memset(right, 0, (size_t)columns * sizeof *right);
  if (!(unit > 0)) return unit;
  const size_t mark = esc_arena_mark(workspace);
  const esc_leading m = make_leading(rows, columns, unit, w, describe(workspace, rows, columns));
  if (m.size == 1)
    x[0] = 1;
  else if (m.size <= ESC_LEADING_DIRECT)
    esc_leading_direct(&m, x);
  else
    esc_leading_lanczos(&m, x);
  esc_leading_image(&m, x, y);
  esc_arena_release(workspace, mark);
  return esc_leading_normalise(m.image_size, y, 0) / unit;
}
