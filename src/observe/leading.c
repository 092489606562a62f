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

double esc_leading_dot(int n, const double *a, const double *b) {
  double part[8] = {0};
  int i = 0;
  for (; i + 8 <= n; i += 8)
    for (int j = 0; j < 8; j++) part[j] += a[i + j] * b[i + j];
  for (; i < n; i++) part[0] += a[i] * b[i];
  for (int j = 0; j < 4; j++) part[j] += part[j + 4];
  return (part[0] + part[1]) + (part[2] + part[3]);
}

/* Four rows at a time. */
void esc_leading_add_product(double factor, int from, int to, int stride, const double *m,
                             const double *x, double *y) {
  int i = 0;
  for (; i + 4 <= from; i += 4) {
    const double *const a = m + (size_t)i * (size_t)stride, *const b = a + stride,
                        *const c = b + stride, *const d = c + stride;
    const double xa = factor * x[i], xb = factor * x[i + 1], xc = factor * x[i + 2],
                 xd = factor * x[i + 3];
    for (int j = 0; j < to; j++) y[j] += (xa * a[j] + xb * b[j]) + (xc * c[j] + xd * d[j]);
  }
  for (; i < from; i++)
    for (int j = 0; j < to; j++) y[j] += factor * x[i] * m[(size_t)i * (size_t)stride + (size_t)j];
}

void esc_leading_image(const esc_leading *a, const double *x, double *y) {
  memset(y, 0, (size_t)a->image_size * sizeof *y);
  esc_leading_add_product(a->to_unit, a->size, a->image_size, a->image_size, a->to, x, y);
}

void esc_leading_back(const esc_leading *a, const double *x, double *y) {
  memset(y, 0, (size_t)a->size * sizeof *y);
  esc_leading_add_product(a->from_unit, a->image_size, a->size, a->size, a->from, x, y);
}

double esc_leading_normalise(int n, double *x, double floor) {
  const double length = sqrt(esc_leading_dot(n, x, x));
  if (!(length > floor)) {
    memset(x, 0, (size_t)n * sizeof *x);
    return 0;
  }
  for (int i = 0; i < n; i++) x[i] /= length;
  return length;
}

/* Sizes from 1/2 to 3/2 by the fractions of multiples of the golden ratio, signs by those
 * of the square root of 2. */
void esc_leading_start(int n, double *x) {
  for (int i = 0; i < n; i++) {
    const double size = 0.5 + fmod(0.61803398874989485 * (i + 1), 1.0);
    x[i] = fmod(0.41421356237309505 * (i + 1), 1.0) < 0.4 ? -size : size;
  }
  esc_leading_normalise(n, x, 0);
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
