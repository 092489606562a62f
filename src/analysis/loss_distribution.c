/* SPDX-License-Identifier: Apache-2.0 */
/* Distribution of one example's loss on the plateau (docs/theory, section 5.6): of the target
 * T(x) = sum_k a_k sigma(v_k . x), x Gaussian, and of its loss at f = 0. Midpoint rule over each
 * pre-activation v_k . x; the modes are convolved on a lattice, whose widening of the variance is
 * corrected. */
#include "loss_distribution.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_sort.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/activation.h"
#include "escapement/internal/loss.h"

enum { NODES = 4096 };              /* of g, midpoints: exact to rounding for smooth functions */
static const double half_range = 8; /* of |g|: P(|g| > 8) = 1e-15 */

/* n weighted values: T, or the contribution of one mode to T. */
typedef struct weighted_values {
  int n;
  double *value, *weight;
} weighted_values;

static void free_values(weighted_values *p) {
  free(p->value);
  free(p->weight);
}

static esc_status create_values(int n, weighted_values *p) {
  esc_status status = ESC_OK;
  *p = (weighted_values){n, calloc((size_t)n, sizeof *p->value),
                         calloc((size_t)n, sizeof *p->weight)};
  ESC_TRY_ALLOCATE(p->value);
  ESC_TRY_ALLOCATE(p->weight);
done:
  return status;
}

static double mean_of(const weighted_values *p) {
  double total = 0, sum = 0;
  for (int i = 0; i < p->n; i++) {
    total += p->weight[i];
    sum += p->weight[i] * p->value[i];
  }
  return sum / total;
}

static double variance_of(const weighted_values *p) {
  const double mean = mean_of(p);
  double total = 0, sum = 0;
  for (int i = 0; i < p->n; i++) {
    total += p->weight[i];
    sum += p->weight[i] * (p->value[i] - mean) * (p->value[i] - mean);
  }
  return sum / total;
}

/* amplitude * sigma(g). */
static esc_status fill_mode(const esc_activation *activation, double amplitude,
                            weighted_values *p) {
  esc_status status = ESC_OK;
  const double step = 2 * half_range / NODES;
  ESC_TRY(create_values(NODES, p));
  for (int i = 0; i < NODES; i++) {
    const double g = (i + 0.5) * step - half_range;
    p->value[i] = amplitude * esc_activate_f64(activation, g).value;
    p->weight[i] = step * gsl_ran_ugaussian_pdf(g);
  }
done:
  return status;
}

void esc_lattice_spread(int n, const double *value, const double *weight, esc_lattice to) {
  memset(to.cell, 0, (size_t)to.cells * sizeof *to.cell);
  for (int i = 0; i < n; i++) {
    const double index = to.step > 0 ? (value[i] - to.low) / to.step : 0;
    if (!(index > -1 && index <= to.cells - 1)) continue; /* NaN too: it has no cell */
    const int left = (int)index;
    const double share = index - left;
    to.cell[left] += weight[i] * (1 - share);
    if (left + 1 < to.cells) to.cell[left + 1] += weight[i] * share;
  }
}

void esc_lattice_convolve(int na, const double *a, int nb, const double *b, int n, double *out) {
  memset(out, 0, (size_t)n * sizeof *out);
  for (int i = 0; i < na && i < n; i++) {
    const int max = nb < n - i ? nb : n - i;
    if (a[i] == 0) continue;
    for (int j = 0; j < max; j++) out[i + j] += a[i] * b[j];
  }
}

static void find_range(const weighted_values *p, double *min, double *max) {
  *min = *max = p->value[0];
  for (int i = 1; i < p->n; i++) {
    *min = fmin(*min, p->value[i]);
    *max = fmax(*max, p->value[i]);
  }
}

/* A sum of modes on a lattice of `capacity` cells, of which `used` are. */
typedef struct mode_sum {
  double step;
  int capacity, used;
  double *weight; /* (capacity) */
} mode_sum;

/* Convolves one more mode, between `low` and `high`, into the sum. */
static esc_status add_mode(const weighted_values *mode, double low, double high, mode_sum *sum) {
  esc_status status = ESC_OK;
  const double step = sum->step;
  const int cells = step > 0 ? (int)fmin(ceil((high - low) / step) + 2, sum->capacity) : 1;
  double *cell = malloc((size_t)cells * sizeof *cell);
  double *next = malloc((size_t)sum->capacity * sizeof *next);
  ESC_TRY_ALLOCATE(cell);
  ESC_TRY_ALLOCATE(next);
  esc_lattice_spread(mode->n, mode->value, mode->weight, (esc_lattice){low, step, cells, cell});
  esc_lattice_convolve(sum->used, sum->weight, cells, cell, sum->capacity, next);
  memcpy(sum->weight, next, (size_t)sum->capacity * sizeof *next);
  sum->used = sum->used + cells - 1 < sum->capacity ? sum->used + cells - 1 : sum->capacity;
done:
  free(next);
  free(cell);
  return status;
}

/* Rescales about the mean to the exact variance, which the lattice widens by up to step^2/4 a
 * mode. */
static void restore_variance(double variance, weighted_values *p) {
  const double mean = mean_of(p), wide = variance_of(p);
  if (!(wide > 0)) return;
  for (int i = 0; i < p->n; i++) p->value[i] = mean + (p->value[i] - mean) * sqrt(variance / wide);
}

/* T of several modes. */
static esc_status convolve_modes(int modes, const weighted_values *mode, weighted_values *sum) {
  esc_status status = ESC_OK;
  double low[ESC_MODES_MAX], high[ESC_MODES_MAX], start = 0, range = 0, variance = 0;
  for (int k = 0; k < modes; k++) {
    find_range(&mode[k], &low[k], &high[k]);
    start += low[k];
    range += high[k] - low[k];
    variance += variance_of(&mode[k]);
  }
  const double step = range / ESC_LATTICE;
  mode_sum all = {.step = step, .capacity = ESC_LATTICE + 3 * modes, .used = 1};
  ESC_TRY(create_values(all.capacity, sum));
  all.weight = sum->weight;
  all.weight[0] = 1;
  for (int k = 0; k < modes; k++) ESC_TRY(add_mode(&mode[k], low[k], high[k], &all));
  sum->n = all.used;
  for (int i = 0; i < all.used; i++) sum->value[i] = start + i * step;
  restore_variance(variance, sum);
done:
  return status;
}

/* Squares of the values, and their sum, are finite. */
static esc_status check_finite(const weighted_values *p, const char *what) {
  if (isfinite(mean_of(p)) && isfinite(variance_of(p))) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "false escapes: the %s at f = 0 exceeds the range of a double",
                  what);
}

static esc_status fill_teacher(const esc_problem *problem, weighted_values *t) {
  esc_status status = ESC_OK;
  const esc_teacher *teacher = &problem->teacher;
  weighted_values mode[ESC_MODES_MAX] = {{0, NULL, NULL}};
  for (int k = 0; k < teacher->modes; k++) {
    ESC_TRY(fill_mode(&problem->activation, teacher->amplitude[k], &mode[k]));
    ESC_TRY(check_finite(&mode[k], "teacher"));
  }
  if (teacher->modes == 1) {
    *t = mode[0];
    mode[0] = (weighted_values){0, NULL, NULL};
  } else {
    ESC_TRY(convolve_modes(teacher->modes, mode, t));
  }
done:
  for (int k = 0; k < teacher->modes; k++) free_values(&mode[k]);
  return status;
}

esc_status esc_loss_sample_create(const esc_problem *problem, esc_loss_sample *sample) {
  esc_status status = ESC_OK;
  weighted_values p = {0, NULL, NULL};
  *sample = (esc_loss_sample){.n = 0};
  ESC_TRY(fill_teacher(problem, &p));
  double total = 0;
  for (int i = 0; i < p.n; i++) total += p.weight[i];
  for (int i = 0; i < p.n; i++) {
    p.weight[i] /= total;
    p.value[i] = esc_loss_eval_f64(problem->loss, problem->huber_delta, 0, p.value[i]).value;
  }
  ESC_TRY(check_finite(&p, "loss"));
  gsl_sort2(p.value, 1, p.weight, 1, (size_t)p.n);
  const bool constant = p.value[p.n - 1] - p.value[0] <= 1e-12 * p.value[p.n - 1];
  *sample = (esc_loss_sample){p.n, p.value, p.weight, constant ? p.value[0] : mean_of(&p),
                              constant ? 0 : sqrt(variance_of(&p))};
  p = (weighted_values){0, NULL, NULL};
done:
  free_values(&p);
  return status;
}

void esc_loss_sample_free(esc_loss_sample *sample) {
  free(sample->value);
  free(sample->weight);
}
