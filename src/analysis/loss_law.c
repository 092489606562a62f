/* SPDX-License-Identifier: Apache-2.0 */
/* Law of one example's loss on the plateau: that of T(x) = sum_k a_k sigma(v_k . x)
 * and of its loss at f = 0 (docs/theory, section 5.6). */
#include "loss_law.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_sort.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/activation.h"
#include "escapement/internal/loss.h"

enum { NODES = 4096 };         /* of g, midpoints: exact to rounding for smooth functions */
static const double reach = 8; /* of |g|: P(|g| > 8) = 1e-15 */

/* n weighted values; T before its loss is taken, or one mode's share of it. */
typedef struct points {
  int n;
  double *value, *weight;
} points;

static void free_points(points *p) {
  free(p->value);
  free(p->weight);
}

static esc_status create_points(int n, points *p) {
  esc_status status = ESC_OK;
  *p = (points){n, calloc((size_t)n, sizeof *p->value), calloc((size_t)n, sizeof *p->weight)};
  ESC_TRY_ALLOCATE(p->value);
  ESC_TRY_ALLOCATE(p->weight);
done:
  return status;
}

static double mean_of(const points *p) {
  double total = 0, sum = 0;
  for (int i = 0; i < p->n; i++) {
    total += p->weight[i];
    sum += p->weight[i] * p->value[i];
  }
  return sum / total;
}

static double variance_of(const points *p) {
  const double mean = mean_of(p);
  double total = 0, sum = 0;
  for (int i = 0; i < p->n; i++) {
    total += p->weight[i];
    sum += p->weight[i] * (p->value[i] - mean) * (p->value[i] - mean);
  }
  return sum / total;
}

/* amplitude * sigma(g). */
static esc_status mode_points(const esc_activation *activation, double amplitude, points *p) {
  esc_status status = ESC_OK;
  const double step = 2 * reach / NODES;
  ESC_TRY(create_points(NODES, p));
  for (int i = 0; i < NODES; i++) {
    const double g = (i + 0.5) * step - reach;
    p->value[i] = amplitude * esc_activate_f64(activation, g).value;
    p->weight[i] = step * gsl_ran_ugaussian_pdf(g);
  }
done:
  return status;
}

void esc_lattice_spread(int n, const double *value, const double *weight, esc_lattice to) {
  memset(to.cell, 0, (size_t)to.cells * sizeof *to.cell);
  for (int i = 0; i < n; i++) {
    const double place = to.step > 0 ? (value[i] - to.low) / to.step : 0;
    if (!(place > -1 && place <= to.cells - 1)) continue; /* NaN too: it has no cell */
    const int left = (int)place;
    const double share = place - left;
    to.cell[left] += weight[i] * (1 - share);
    if (left + 1 < to.cells) to.cell[left + 1] += weight[i] * share;
  }
}

void esc_lattice_convolve(int na, const double *a, int nb, const double *b, int n, double *out) {
  memset(out, 0, (size_t)n * sizeof *out);
  for (int i = 0; i < na && i < n; i++) {
    const int most = nb < n - i ? nb : n - i;
    if (a[i] == 0) continue;
    for (int j = 0; j < most; j++) out[i + j] += a[i] * b[j];
  }
}

static void least_and_most(const points *p, double *least, double *most) {
  *least = *most = p->value[0];
  for (int i = 1; i < p->n; i++) {
    *least = fmin(*least, p->value[i]);
    *most = fmax(*most, p->value[i]);
  }
}

/* A sum of modes on a lattice of `room` cells, of which `used` are. */
typedef struct mode_sum {
  double step;
  int room, used;
  double *weight; /* (room) */
} mode_sum;

/* Convolves one more mode, between `low` and `high`, into the sum. */
static esc_status add_mode(const points *mode, double low, double high, mode_sum *sum) {
  esc_status status = ESC_OK;
  const double step = sum->step;
  const int cells = step > 0 ? (int)fmin(ceil((high - low) / step) + 2, sum->room) : 1;
  double *cell = malloc((size_t)cells * sizeof *cell);
  double *next = malloc((size_t)sum->room * sizeof *next);
  ESC_TRY_ALLOCATE(cell);
  ESC_TRY_ALLOCATE(next);
  esc_lattice_spread(mode->n, mode->value, mode->weight, (esc_lattice){low, step, cells, cell});
  esc_lattice_convolve(sum->used, sum->weight, cells, cell, sum->room, next);
  memcpy(sum->weight, next, (size_t)sum->room * sizeof *next);
  sum->used = sum->used + cells - 1 < sum->room ? sum->used + cells - 1 : sum->room;
done:
  free(next);
  free(cell);
  return status;
}

/* The lattice widened the variance a little: puts it right. */
static void restore_variance(double variance, points *p) {
  const double mean = mean_of(p), wide = variance_of(p);
  if (!(wide > 0)) return;
  for (int i = 0; i < p->n; i++) p->value[i] = mean + (p->value[i] - mean) * sqrt(variance / wide);
}

/* T of several modes. */
static esc_status convolve_modes(int modes, const points *mode, points *sum) {
  esc_status status = ESC_OK;
  double low[ESC_MODES_MAX], high[ESC_MODES_MAX], start = 0, range = 0, variance = 0;
  for (int k = 0; k < modes; k++) {
    least_and_most(&mode[k], &low[k], &high[k]);
    start += low[k];
    range += high[k] - low[k];
    variance += variance_of(&mode[k]);
  }
  const double step = range / ESC_LATTICE;
  mode_sum all = {.step = step, .room = ESC_LATTICE + 3 * modes, .used = 1};
  ESC_TRY(create_points(all.room, sum));
  all.weight = sum->weight;
  all.weight[0] = 1;
  for (int k = 0; k < modes; k++) ESC_TRY(add_mode(&mode[k], low[k], high[k], &all));
  sum->n = all.used;
  for (int i = 0; i < all.used; i++) sum->value[i] = start + i * step;
  restore_variance(variance, sum);
done:
  return status;
}

/* Squares of the values and their sum are numbers. */
static esc_status check_finite(const points *p, const char *what) {
  if (isfinite(mean_of(p)) && isfinite(variance_of(p))) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "false escapes: the %s at f = 0 exceeds the range of a double",
                  what);
}

static esc_status teacher_points(const esc_problem *problem, points *t) {
  esc_status status = ESC_OK;
  const esc_teacher *teacher = &problem->teacher;
  points mode[ESC_MODES_MAX] = {{0, NULL, NULL}};
  for (int k = 0; k < teacher->modes; k++) {
    ESC_TRY(mode_points(&problem->activation, teacher->amplitude[k], &mode[k]));
    ESC_TRY(check_finite(&mode[k], "teacher"));
  }
  if (teacher->modes == 1) {
    *t = mode[0];
    mode[0] = (points){0, NULL, NULL};
  } else {
    ESC_TRY(convolve_modes(teacher->modes, mode, t));
  }
done:
  for (int k = 0; k < teacher->modes; k++) free_points(&mode[k]);
  return status;
}

esc_status esc_loss_sample_create(const esc_problem *problem, esc_loss_sample *sample) {
  esc_status status = ESC_OK;
  points p = {0, NULL, NULL};
  *sample = (esc_loss_sample){.n = 0};
  ESC_TRY(teacher_points(problem, &p));
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
  p = (points){0, NULL, NULL};
done:
  free_points(&p);
  return status;
}

void esc_loss_sample_free(esc_loss_sample *sample) {
  free(sample->value);
  free(sample->weight);
}
