/* Slope of log t* on log scale where some members spent their budget first:
 * log t* = level + slope log scale + sigma g, g standard normal, and of a censored
 * member only log t* > log steps_run is known. Maximum likelihood.
 *
 * In p = (1/sigma, level/sigma, slope/sigma) the log-likelihood is concave, so
 * Newton's method with step halving finds its maximum from anywhere, and the
 * Hessian there is the observed information. */
#include <gsl/gsl_errno.h>
#include <gsl/gsl_linalg.h>
#include <gsl/gsl_math.h>
#include <gsl/gsl_sf_erf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "regression.h"

enum { PARAMETERS = 3, NEWTON_STEPS = 200 };

typedef struct observation {
  double x, y, weight; /* log scale and log step, centred */
  bool censored;
} observation;

typedef struct likelihood {
  double value, gradient[PARAMETERS], information[PARAMETERS * PARAMETERS];
} likelihood;

/* Adds one observation. z = p . v is its standardised residual; its term is
 * log p_0 - z^2/2 if it escaped, log Q(z) with Q the normal tail if it did not. */
static void add(likelihood *l, const observation *o, const double *p) {
  const double v[PARAMETERS] = {o->y, -1, -o->x};
  const double z = p[0] * v[0] + p[1] * v[1] + p[2] * v[2];
  const double hazard = o->censored ? gsl_sf_hazard(z) : 0;
  const double first = o->censored ? -hazard : -z;
  const double second = o->censored ? hazard * (hazard - z) : 1;
  const double tail = o->censored ? gsl_sf_log_erfc(z / M_SQRT2) - M_LN2 : log(p[0]) - z * z / 2;
  l->value += o->weight * tail;
  for (int i = 0; i < PARAMETERS; i++) {
    l->gradient[i] += o->weight * first * v[i];
    for (int j = 0; j < PARAMETERS; j++)
      l->information[PARAMETERS * i + j] += o->weight * second * v[i] * v[j];
  }
  if (o->censored) return;
  l->gradient[0] += o->weight / p[0];
  l->information[0] += o->weight / (p[0] * p[0]);
}

static likelihood evaluate(int64_t n, const observation *o, const double *p) {
  likelihood l = {.value = 0};
  for (int64_t i = 0; i < n; i++) add(&l, &o[i], p);
  return l;
}

/* step = information^-1 right; false if the information is not positive definite. */
static bool solve(const likelihood *l, const double *right, double *step) {
  double factor[PARAMETERS * PARAMETERS];
  memcpy(factor, l->information, sizeof factor);
  gsl_matrix_view a = gsl_matrix_view_array(factor, PARAMETERS, PARAMETERS);
  gsl_vector_const_view b = gsl_vector_const_view_array(right, PARAMETERS);
  gsl_vector_view x = gsl_vector_view_array(step, PARAMETERS);
  return gsl_linalg_cholesky_decomp1(&a.matrix) == GSL_SUCCESS &&
         gsl_linalg_cholesky_solve(&a.matrix, &b.vector, &x.vector) == GSL_SUCCESS;
}

/* Goes along `step`, halving it until the likelihood rises; false if it never does. */
static bool climb(int64_t n, const observation *o, const double *step, double *p, likelihood *l) {
  for (double length = 1; length > 1e-12; length /= 2) {
    double trial[PARAMETERS];
    for (int i = 0; i < PARAMETERS; i++) trial[i] = p[i] + length * step[i];
    if (!(trial[0] > 0)) continue;
    const likelihood there = evaluate(n, o, trial);
    if (!(there.value > l->value)) continue;
    *l = there;
    memcpy(p, trial, sizeof trial);
    return true;
  }
  return false;
}

/* True at the maximum: Newton's decrement, twice the likelihood still to gain, is
 * negligible against 1 (a move by one standard error costs 1/2). */
static bool maximise(int64_t n, const observation *o, double *p, likelihood *l) {
  *l = evaluate(n, o, p);
  for (int k = 0; k < NEWTON_STEPS; k++) {
    double step[PARAMETERS], decrement = 0;
    if (!solve(l, l->gradient, step)) return false;
    for (int i = 0; i < PARAMETERS; i++) decrement += step[i] * l->gradient[i];
    const bool risen = climb(n, o, step, p, l);
    if (decrement < 1e-16) return true;
    if (!risen) return decrement < 1e-8; /* as flat as rounding lets it be seen */
  }
  return false;
}

/* Standard error of p_2/p_0 by the delta method. */
static double slope_error(const likelihood *l, const double *p) {
  const double derivative[PARAMETERS] = {-p[2] / (p[0] * p[0]), 0, 1 / p[0]};
  double covariant[PARAMETERS];
  if (!solve(l, derivative, covariant)) return NAN;
  return sqrt(derivative[0] * covariant[0] + derivative[2] * covariant[2]);
}

/* The sample as a list, without empty cells. */
static int64_t list(const esc_sample *sample, const double *multiplicity, observation *o) {
  int64_t n = 0;
  for (int64_t cell = 0; cell < sample->seeds * sample->points; cell++) {
    const double weight = multiplicity[cell / sample->points];
    if (weight == 0 || isnan(sample->step[cell])) continue;
    o[n++] = (observation){sample->log_scale[cell % sample->points],
                           esc_log_step(sample->step[cell]), weight, sample->censored[cell]};
  }
  return n;
}

/* Sums over the escaped members: least squares of their own. */
typedef struct moments {
  double weight, xx, xy, yy;
} moments;

/* Centres all observations at the escaped ones' means (x and y in place). */
static moments centre(int64_t n, observation *o) {
  moments m = {0, 0, 0, 0};
  double x = 0, y = 0;
  for (int64_t i = 0; i < n; i++) {
    if (o[i].censored) continue;
    m.weight += o[i].weight;
    x += (o[i].x - x) * o[i].weight / m.weight;
    y += (o[i].y - y) * o[i].weight / m.weight;
  }
  for (int64_t i = 0; i < n; i++) {
    o[i].x -= x;
    o[i].y -= y;
    if (o[i].censored) continue;
    m.xx += o[i].weight * o[i].x * o[i].x;
    m.xy += o[i].weight * o[i].x * o[i].y;
    m.yy += o[i].weight * o[i].y * o[i].y;
  }
  return m;
}

static bool any_censored(int64_t n, const observation *o) {
  for (int64_t i = 0; i < n; i++)
    if (o[i].censored) return true;
  return false;
}

static esc_line fit(int64_t n, observation *o, const esc_censored_start *start,
                    esc_censored_start *end) {
  const moments m = centre(n, o);
  esc_line line = {NAN, NAN};
  if (!(m.xx > 1e-20 * m.weight)) return line; /* one scale, or none, has escaped members */
  const double slope = m.xy / m.xx;
  const double sigma = sqrt(fmax(m.yy - m.xy * slope, 0) / m.weight);
  const double first = 1 / fmax(sigma, 1e-6); /* escaped members can lie on a line */
  *end = start ? *start : (esc_censored_start){first, 0, first * slope};
  const bool closed_form = !any_censored(n, o);
  double p[PARAMETERS] = {end->precision, end->level, end->tilt};
  likelihood top = {.value = NAN};
  const bool converged = closed_form || maximise(n, o, p, &top);
  line.slope = closed_form ? slope : p[2] / p[0];
  if (converged && m.weight > 2)
    line.standard_error = closed_form ? sigma / sqrt(m.xx) : slope_error(&top, p);
  *end = (esc_censored_start){p[0], p[1], p[2]};
  return line;
}

esc_status esc_censored_fit(const esc_sample *sample, const double *multiplicity,
                            const esc_censored_start *start, esc_line *line,
                            esc_censored_start *end) {
  esc_status status = ESC_OK;
  observation *o = malloc((size_t)(sample->seeds * sample->points + 1) * sizeof *o);
  ESC_TRY_ALLOCATE(o);
  *end = (esc_censored_start){0, 0, 0};
  *line = fit(list(sample, multiplicity, o), o, start, end);
done:
  free(o);
  return status;
}
