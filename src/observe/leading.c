/* The leading singular triple by Lanczos on A = w'w.
 *
 * Krylov vectors are kept orthogonal to all before them, so that the projection T stays
 * what exact arithmetic gives; its largest eigenvalue theta grows towards that of A and
 * is that of A to residual^2 / gap. Matrices are small: libraries compute all singular
 * values in 10 to 30 times the time. */
#include <math.h>
#include <string.h>

#include "escapement/observe.h"

enum { BASIS = 160, RESTARTS = 4, FIRST_LOOK = 6, LOOK_EVERY = 3 };
/* Residual over theta: the error of theta is of the order of its square. */
static const double enough = 1e-6;

typedef struct lanczos {
  int rows, columns, k;
  const double *w;
  double *wt;                       /* (columns, rows) */
  double *basis;                    /* (BASIS + 1, columns) */
  double *image;                    /* (rows) */
  double alpha[BASIS], beta[BASIS]; /* T; beta[i] between i and i + 1 */
  double s[BASIS];                  /* eigenvector of T */
  double theta, residual;
} lanczos;

size_t esc_leading_room(int rows, int columns) {
  return (size_t)rows * (size_t)columns + (size_t)(BASIS + 1) * (size_t)columns + (size_t)rows;
}

static double dot(int n, const double *a, const double *b) {
  double part[4] = {0};
  int i = 0;
  for (; i + 4 <= n; i += 4)
    for (int j = 0; j < 4; j++) part[j] += a[i + j] * b[i + j];
  for (; i < n; i++) part[0] += a[i] * b[i];
  return (part[0] + part[1]) + (part[2] + part[3]);
}

static void add_scaled(int n, double factor, const double *a, double *b) {
  for (int i = 0; i < n; i++) b[i] += factor * a[i];
}

/* y = m' x for m (from, to): rows of m, scaled. */
static void multiply(int from, int to, const double *m, const double *x, double *y) {
  memset(y, 0, (size_t)to * sizeof *y);
  for (int i = 0; i < from; i++) add_scaled(to, x[i], m + (size_t)i * (size_t)to, y);
}

/* Scales x to length 1; returns what its length was. */
static double normalise(int n, double *x) {
  const double length = sqrt(dot(n, x, x));
  for (int i = 0; i < n && length > 0; i++) x[i] /= length;
  return length;
}

static double *vector(const lanczos *z, int i) { return z->basis + (size_t)i * (size_t)z->columns; }

/* Steps k -> k + 1: column k of T, and the next basis vector. */
static void extend(lanczos *z) {
  const int n = z->columns, k = z->k;
  double *const next = vector(z, k + 1);
  multiply(n, z->rows, z->wt, vector(z, k), z->image);
  multiply(z->rows, n, z->w, z->image, next);
  z->alpha[k] = dot(n, vector(z, k), next);
  for (int i = k; i >= 0; i--) add_scaled(n, -dot(n, vector(z, i), next), vector(z, i), next);
  z->beta[k] = normalise(n, next);
  z->k = k + 1;
}

/* Newton's step at x for the largest root of det(x - T), from the pivots of x - T. */
static double newton(const lanczos *z, double x) {
  double pivot = 1, slope = 0, sum = 0; /* slope of the pivot over the pivot */
  for (int i = 0; i < z->k; i++) {
    const double b2 = i ? z->beta[i - 1] * z->beta[i - 1] : 0;
    const double next = (x - z->alpha[i]) - b2 / pivot;
    slope = (1 + b2 / pivot * slope) / next;
    pivot = next;
    sum += slope;
  }
  return 1 / sum;
}

/* No eigenvalue of T is larger (Gershgorin). */
static double above(const lanczos *z) {
  double bound = 0;
  for (int i = 0; i < z->k; i++)
    bound = fmax(bound, z->alpha[i] + (i ? z->beta[i - 1] : 0) + (i < z->k - 1 ? z->beta[i] : 0));
  return bound * (1 + 1e-14);
}

/* theta, its eigenvector s of T, and the residual |A y - theta y|. From above Newton's
 * steps fall monotonically to the largest root. */
static void look(lanczos *z) {
  const int k = z->k;
  double x = above(z), step = x;
  for (int i = 0; i < 200 && step > 1e-15 * x; i++) {
    step = newton(z, x);
    x -= step;
  }
  z->theta = x;
  z->s[k - 1] = 1;
  for (int i = k - 1; i > 0; i--) { /* upwards it grows, so rounding does not */
    const double below = i < k - 1 ? z->beta[i] * z->s[i + 1] : 0;
    z->s[i - 1] = ((x - z->alpha[i]) * z->s[i] - below) / z->beta[i - 1];
  }
  const double length = sqrt(dot(k, z->s, z->s));
  for (int i = 0; i < k; i++) z->s[i] /= length;
  z->residual = z->beta[k - 1] * fabs(z->s[k - 1]);
}

/* The Ritz vector, into `right`. */
static void combine(const lanczos *z, double *right) {
  memset(right, 0, (size_t)z->columns * sizeof *right);
  for (int i = 0; i < z->k; i++) add_scaled(z->columns, z->s[i], vector(z, i), right);
  normalise(z->columns, right);
}

/* A start that is orthogonal to nothing in particular: the fractions of multiples of the
 * golden ratio. */
static void start_anywhere(int n, double *x) {
  for (int i = 0; i < n; i++) x[i] = fmod(0.61803398874989485 * (i + 1), 1.0) - 0.3;
  normalise(n, x);
}

/* One basis from `right`; true once theta is good enough. */
static bool run(lanczos *z, double *right) {
  const int n = z->columns, most = n < BASIS ? n : BASIS;
  bool done = false;
  memcpy(vector(z, 0), right, (size_t)n * sizeof *right);
  z->k = 0;
  z->theta = 0;
  z->residual = INFINITY;
  while (!done) {
    extend(z);
    const bool last = z->k == most || !(z->beta[z->k - 1] > 1e-14 * z->alpha[0]);
    if (!last && (z->k < FIRST_LOOK || (z->k - FIRST_LOOK) % LOOK_EVERY)) continue;
    look(z);
    done = last || !(z->residual > enough * z->theta);
  }
  combine(z, right);
  return z->k == n || !(z->residual > enough * z->theta);
}

double esc_leading_singular(int rows, int columns, const double *w, double *left, double *right,
                            double *room) {
  lanczos z = {.rows = rows, .columns = columns, .w = w, .wt = room};
  z.basis = room + (size_t)rows * (size_t)columns;
  z.image = z.basis + (size_t)(BASIS + 1) * (size_t)columns;
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < columns; j++)
      z.wt[(size_t)j * (size_t)rows + (size_t)i] = w[(size_t)i * (size_t)columns + (size_t)j];
  memset(left, 0, (size_t)rows * sizeof *left);
  memset(right, 0, (size_t)columns * sizeof *right);
  const double norm2 = dot(rows * columns, w, w);
  if (norm2 == 0) return 0;
  if (!isfinite(norm2)) return NAN;
  start_anywhere(columns, right);
  for (int i = 0; i < RESTARTS && !run(&z, right); i++) continue;
  multiply(columns, rows, z.wt, right, left);
  return normalise(rows, left);
}
