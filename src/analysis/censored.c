/* SPDX-License-Identifier: Apache-2.0 */
/* Slope of log t* on log scale with right-censored members, by maximum likelihood:
 * log t* = level + slope log scale + sigma g, g standard normal; of a censored member only
 * log t* > log steps_run is known (docs/theory, section 11).
 *
 * With y the log step's distance from the escaped members' least squares line and
 * x centred at their mean, p = (1/sigma, level/sigma, slope/sigma) makes the
 * log-likelihood concave, so Newton's method with step halving converges from any start,
 * and the negative Hessian there is the observed information. Escaped members enter
 * only through three moments, because the cross terms vanish; equal censored observations
 * are merged, so that an iteration costs one term for each distinct budget.
 *
 * Members of one seed are not independent, so the error is the sandwich estimator clustered
 * by seed: each seed's score times the inverse information. */
#include <gsl/gsl_errno.h>
#include <gsl/gsl_linalg.h>
#include <gsl/gsl_math.h>
#include <gsl/gsl_sf_erf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "censored.h"

enum { PARAMETERS = 3, NEWTON_STEPS = 200 };

typedef struct observation {
  double x, y, weight; /* log scale and log step, both relative to the escaped ones' line */
  bool censored;
} observation;

/* Of the escaped members. */
typedef struct moments {
  double weight, xx, yy;
  double x, y, slope; /* their means, and the slope of their least squares line */
} moments;

typedef struct data {
  moments escaped;
  int64_t n;                   /* different censored observations */
  const observation *censored; /* (n) */
} data;

typedef struct likelihood {
  double value, gradient[PARAMETERS], information[PARAMETERS * PARAMETERS];
} likelihood;

/* Sum of log p_0 - z^2/2 over the escaped members; z = p . (y, -1, -x) is the
 * standardised residual. */
static likelihood escaped_likelihood(const moments *m, const double *p) {
  const double square[PARAMETERS] = {m->yy, m->weight, m->xx};
  likelihood l = {.value = m->weight * log(p[0])};
  for (int i = 0; i < PARAMETERS; i++) {
    l.value -= square[i] * p[i] * p[i] / 2;
    l.gradient[i] = -square[i] * p[i];
    l.information[(PARAMETERS + 1) * i] = square[i];
  }
  l.gradient[0] += m->weight / p[0];
  l.information[0] += m->weight / (p[0] * p[0]);
  return l;
}

/* Adds log Q(z) of a censored observation, Q the normal tail probability. The derivative is minus
 * the hazard phi/Q; beyond z = 25, where the quotient loses digits, it is a function of GSL. */
static void add_censored(likelihood *l, const observation *o, const double *p) {
  const double v[PARAMETERS] = {o->y, -1, -o->x};
  const double z = p[0] * v[0] + p[1] * v[1] + p[2] * v[2];
  const double tail = gsl_sf_log_erfc(z / M_SQRT2) - M_LN2;
  const double log_density = -z * z / 2 - (M_LN2 + M_LNPI) / 2;
  const double hazard = z < 25 ? exp(log_density - tail) : gsl_sf_hazard(z);
  l->value += o->weight * tail;
  for (int i = 0; i < PARAMETERS; i++) {
    l->gradient[i] -= o->weight * hazard * v[i];
    for (int j = 0; j < PARAMETERS; j++)
      l->information[PARAMETERS * i + j] += o->weight * hazard * (hazard - z) * v[i] * v[j];
  }
}

static likelihood evaluate(const data *d, const double *p) {
  likelihood l = escaped_likelihood(&d->escaped, p);
  for (int64_t i = 0; i < d->n; i++) add_censored(&l, &d->censored[i], p);
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

/* Line search along `step`, halved until the likelihood rises; false if it never does. */
static bool search_along(const data *d, const double *step, double *p, likelihood *l) {
  for (double length = 1; length > 1e-12; length /= 2) {
    double trial[PARAMETERS];
    for (int i = 0; i < PARAMETERS; i++) trial[i] = p[i] + length * step[i];
    if (!(trial[0] > 0)) continue;
    const likelihood trial_likelihood = evaluate(d, trial);
    if (!(trial_likelihood.value > l->value)) continue;
    *l = trial_likelihood;
    memcpy(p, trial, sizeof trial);
    return true;
  }
  return false;
}

/* True at the maximum. Newton's decrement is twice the log-likelihood still to be gained (one
 * standard error is 1/2). Below 1e-8 rounding would hide a rise, so a last step is made without a
 * line search: Newton's method squares the remaining error. */
static bool maximise(const data *d, double *p, likelihood *l) {
  *l = evaluate(d, p);
  for (int k = 0; k < NEWTON_STEPS; k++) {
    double step[PARAMETERS], decrement = 0;
    if (!solve(l, l->gradient, step)) return false;
    for (int i = 0; i < PARAMETERS; i++) decrement += step[i] * l->gradient[i];
    if (decrement < 1e-8) {
      for (int i = 0; i < PARAMETERS; i++) p[i] += step[i];
      *l = evaluate(d, p);
      return true;
    }
    if (!search_along(d, step, p, l)) return decrement < 1e-6;
  }
  return false;
}

/* `row` = (d(p_2/p_0)/dp) information^-1: the change of the slope with a score (delta method). */
static bool slope_row(const likelihood *l, const double *p, double *row) {
  const double derivative[PARAMETERS] = {-p[2] / (p[0] * p[0]), 0, 1 / p[0]};
  return solve(l, derivative, row);
}

/* The table as a list, point by point. Successive censored members of the same step are merged
 * into one observation. */
static int64_t list_observations(const esc_seed_table *table, observation *o) {
  int64_t n = 0;
  for (int p = 0; p < table->points; p++) {
    observation *last = NULL; /* censored one of this point */
    double last_step = NAN;
    for (int64_t i = table->point_begin[p]; i < table->point_begin[p + 1]; i++) {
      const esc_cell *cell = &table->cell[table->column[i]];
      if (cell->censored && cell->step == last_step) {
        last->weight++;
        continue;
      }
      o[n] = (observation){table->log_scale[p], esc_log_step(cell->step), 1, cell->censored};
      if (cell->censored) {
        last = &o[n];
        last_step = cell->step;
      }
      n++;
    }
  }
  return n;
}

/* Makes all observations (x and y, in place) relative to the least squares line of the escaped
 * ones; false if those are at one scale or there are none. */
static bool centre(int64_t n, observation *o, moments *m) {
  double xy = 0;
  *m = (moments){.weight = 0};
  for (int64_t i = 0; i < n; i++) {
    if (o[i].censored) continue;
    m->weight += o[i].weight;
    m->x += (o[i].x - m->x) * o[i].weight / m->weight;
    m->y += (o[i].y - m->y) * o[i].weight / m->weight;
  }
  for (int64_t i = 0; i < n; i++) {
    o[i].x -= m->x;
    o[i].y -= m->y;
    if (o[i].censored) continue;
    m->xx += o[i].weight * o[i].x * o[i].x;
    xy += o[i].weight * o[i].x * o[i].y;
  }
  if (!(m->xx > 1e-20 * m->weight)) return false;
  m->slope = xy / m->xx;
  for (int64_t i = 0; i < n; i++) {
    o[i].y -= m->slope * o[i].x;
    if (!o[i].censored) m->yy += o[i].weight * o[i].y * o[i].y;
  }
  return true;
}

/* Moves the censored observations to the front and counts them. */
static int64_t move_censored_first(int64_t n, observation *o) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++)
    if (o[i].censored) o[count++] = o[i];
  return count;
}

/* influence[s] = row . score of seed s. */
static void fill_influence(const esc_seed_table *table, const moments *m, const double *p,
                           const double *row, double *influence) {
  for (int64_t s = 0; s < table->seeds; s++) influence[s] = 0;
  for (int64_t i = 0; i < table->cells; i++) {
    const esc_cell *cell = &table->cell[i];
    const double x = table->log_scale[cell->point] - m->x;
    const observation o = {x, esc_log_step(cell->step) - m->y - m->slope * x, 1, cell->censored};
    const double z = p[0] * o.y - p[1] - p[2] * o.x;
    likelihood l = {.value = 0};
    if (o.censored) {
      add_censored(&l, &o, p);
    } else {
      l.gradient[0] = 1 / p[0] - z * o.y;
      l.gradient[1] = z;
      l.gradient[2] = z * o.x;
    }
    for (int k = 0; k < PARAMETERS; k++) influence[cell->seed] += row[k] * l.gradient[k];
  }
}

/* With one seed the error from the observed information. */
static double error_over_seeds(const esc_seed_table *table, const double *row, const double *p,
                               const double *influence) {
  const double n = (double)table->seeds;
  double sum = 0;
  if (table->seeds < 2) return sqrt((row[2] - row[0] * p[2] / p[0]) / p[0]);
  for (int64_t s = 0; s < table->seeds; s++) sum += influence[s] * influence[s];
  return sqrt(sum * n / (n - 1));
}

static esc_line fit(const esc_seed_table *table, observation *o, double *influence) {
  esc_line line = {NAN, NAN};
  data d = {.censored = o};
  likelihood maximum;
  double row[PARAMETERS];
  const int64_t n = list_observations(table, o);
  if (!centre(n, o, &d.escaped)) return line;
  d.n = move_censored_first(n, o);
  const moments *m = &d.escaped;
  /* Escaped members can be exactly on a line: sigma then starts at a small value above 0. */
  double p[PARAMETERS] = {1 / fmax(sqrt(m->yy / m->weight), d.n ? 1e-6 : 1e-12), 0, 0};
  maximum = evaluate(&d, p);
  const bool converged = d.n == 0 || maximise(&d, p, &maximum);
  line.slope = m->slope + p[2] / p[0];
  if (!converged || m->weight < 3 || !slope_row(&maximum, p, row)) return line;
  fill_influence(table, m, p, row, influence);
  line.standard_error = error_over_seeds(table, row, p, influence);
  return line;
}

esc_status esc_censored_slope(const esc_seed_table *table, double *influence, esc_line *line) {
  esc_status status = ESC_OK;
  observation *o = malloc(((size_t)table->cells + 1) * sizeof *o);
  ESC_TRY_ALLOCATE(o);
  for (int64_t s = 0; s < table->seeds; s++) influence[s] = 0;
  *line = fit(table, o, influence);
done:
  free(o);
  return status;
}
