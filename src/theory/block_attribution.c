/* SPDX-License-Identifier: Apache-2.0 */
/* Attribution of t_k(1) - t_k(0) to channels (docs/theory, section 6.6): the integral of
 * dt_k/dlambda over lambda = 0..1, channel by channel, by adaptive quadrature.
 *
 * The integrand is steep near lambda = 0, where a small part of the upper level already lets a late
 * mode escape with an early one, and in a narrow range of lambda, where a late mode begins to do
 * so. So the variable is u with lambda = w ((1 + 1/w)^u - 1), w = map_width, on a grid of u whose
 * intervals are halved where the error is largest. On an interval the polynomial through the
 * nearest STENCIL points is integrated, so that every point remains in use when the grid is
 * refined.
 *
 * Error control: the channels must add up to the difference of the escape times at the ends of the
 * interval, and each channel must agree with a polynomial of lower degree. An interval whose error
 * persists at the smallest width contains a jump of the escape time (a passage that appears or
 * vanishes), which is reported and belongs to no channel. Points are independent and computed in
 * parallel. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block_path.h"
#include "escapement/internal/homotopy.h"

enum {
  INITIAL_INTERVALS = 8,
  HALVINGS_MAX = 10, /* of an initial interval, before its error is reported as a jump */
  STENCIL = 10,
  STENCIL_LOW = 8,
  POINTS_MAX = 200,
  CHECKED_POINTS = 7, /* also evaluated on a coarser grid of nodes */
  GAUSS_NODES = 5,    /* exact for polynomials through STENCIL points */
  MODES = ESC_BLOCK_MODES_MAX
};
static const double map_width = 0.01;
/* Sum of the |errors| of the intervals, relative to the shift. Where the integrand is steep, the
 * error of the grid of nodes is of this order or larger (7e-5 of the time for gelu, L = 4). */
static const double default_tolerance = 1e-5;
/* The distance of the two polynomials overestimates the error of the higher one: by the factor that
 * two more points gain for an analytic integrand resolved to 1e-6. */
static const double order_gain = 0.01;
static const double coarse_fineness = 0.8; /* of the coarser grid of nodes */
static const double noise_factor = 30; /* relative error of a time over the solver's tolerance */
/* Intervals with at least this fraction of the worst error are halved together with the worst. */
static const double refine_fraction = 0.02;
/* Least factor by which halving a resolved interval reduces its error. */
static const double halving_gain = 256;

typedef double channel_values[MODES][ESC_LAYERS_MAX];

typedef struct interval {
  channel_values sum;
  double error[MODES]; /* 0: below the noise */
  double excess;       /* largest error over the interval's share of the allowed error */
} interval;

typedef struct integration {
  const esc_homotopy *homotopy;
  esc_block_grid grid;
  esc_attribution *out;  /* its points, ascending, are the ends of the intervals */
  double u[POINTS_MAX];  /* of the points */
  interval *interval;    /* (POINTS_MAX) */
  double allowed[MODES]; /* error of the whole integral */
  double floor[MODES];   /* an interval's error below this is noise of the escape times */
  int done, expected;    /* points */
  esc_attribution_report *report;
  void *context;
} integration;

void esc_attribution_free(esc_attribution *a) {
  free(a->point);
  *a = (esc_attribution){0};
}

static double lambda_of(double u) {
  return u == 1 ? 1 : map_width * expm1(u * log1p(1 / map_width));
}

static double lambda_derivative(double lambda) {
  return (lambda + map_width) * log1p(1 / map_width);
}

/* ---- points ---- */

static void report_point(integration *t) {
  t->done++;
  if (t->report) t->report(t->context, t->done, t->expected);
}

static void insert_point(integration *t, double u, const esc_homotopy_point *point) {
  esc_attribution *out = t->out;
  int i = out->points++;
  for (; i > 0 && t->u[i - 1] > u; i--) {
    t->u[i] = t->u[i - 1];
    out->point[i] = out->point[i - 1];
  }
  t->u[i] = u;
  out->point[i] = *point;
}

/* Error messages are per thread, so the message of a failure is copied to the calling thread. */
static esc_status add_points(integration *t, int count, const double *u) {
  esc_status first = ESC_OK;
  char message[1024] = "";
  esc_homotopy_point *point = malloc((size_t)count * sizeof *point);
  if (!point) return ESC_FAIL(ESC_NO_MEMORY, "no memory for %d points of lambda", count);
  if (t->done + count > t->expected) t->expected = t->done + count;
#pragma omp parallel for schedule(dynamic, 1)
  for (int i = 0; i < count; i++) {
    const esc_status status =
        esc_homotopy_evaluate(t->homotopy, &t->grid, lambda_of(u[i]), true, &point[i]);
#pragma omp critical
    {
      if (status != ESC_OK && first == ESC_OK) {
        first = status;
        snprintf(message, sizeof message, "%s", esc_error_message());
      }
      report_point(t);
    }
  }
  for (int i = 0; first == ESC_OK && i < count; i++) insert_point(t, u[i], &point[i]);
  free(point);
  return first == ESC_OK ? ESC_OK : ESC_FAIL(first, "%s", message);
}

/* ---- intervals ---- */

static bool is_jump(const integration *t, int i) {
  for (int j = 0; j < t->out->jumps; j++)
    if (t->out->jump[j].from == t->out->point[i].lambda) return true;
  return false;
}

/* Weights of the integral over from..to of the polynomial through the values at u[0..count). */
static void find_weights(const double *u, int count, double from, double to, double *weight) {
  static const double node[GAUSS_NODES] = {-0.9061798459386640, -0.5384693101056831, 0,
                                           0.5384693101056831, 0.9061798459386640};
  static const double node_weight[GAUSS_NODES] = {0.2369268850561891, 0.4786286704993665,
                                                  0.5688888888888889, 0.4786286704993665,
                                                  0.2369268850561891};
  for (int j = 0; j < count; j++) {
    weight[j] = 0;
    for (int g = 0; g < GAUSS_NODES; g++) {
      const double x = from + (to - from) * (1 + node[g]) / 2;
      double basis = node_weight[g] * (to - from) / 2;
      for (int k = 0; k < count; k++)
        if (k != j) basis *= (x - u[k]) / (u[j] - u[k]);
      weight[j] += basis;
    }
  }
}

/* Interval i by the nearest `stencil` points with no jump between them and the interval. */
static void integrate_interval(const integration *t, int i, int stencil, channel_values sum) {
  const esc_block_problem *b = &t->homotopy->problem;
  int low = i, high = i + 1;
  double weight[STENCIL];
  while (low > 0 && !is_jump(t, low - 1)) low--;
  while (high + 1 < t->out->points && !is_jump(t, high)) high++;
  const int count = high - low + 1 < stencil ? high - low + 1 : stencil;
  int first = i + 1 - count / 2;
  if (first < low) first = low;
  if (first + count - 1 > high) first = high + 1 - count;
  find_weights(t->u + first, count, t->u[i], t->u[i + 1], weight);
  memset(sum, 0, sizeof(channel_values));
  for (int j = 0; j < count; j++) {
    const esc_homotopy_point *p = &t->out->point[first + j];
    for (int k = 0; k < b->modes; k++)
      for (int c = 0; c < b->layers; c++)
        sum[k][c] += weight[j] * lambda_derivative(p->lambda) * p->channel[k][c];
  }
}

/* Error of mode k on interval i; 0 if below the noise, NaN if a time is NaN. */
static double find_error(const integration *t, int i, int k, channel_values fine,
                         channel_values coarse) {
  const esc_homotopy_point *p = &t->out->point[i];
  double residual = p[1].escape[k] - p[0].escape[k], change = 0;
  for (int c = 0; c < t->homotopy->problem.layers; c++) {
    residual -= fine[k][c];
    change = hypot(change, fine[k][c] - coarse[k][c]);
  }
  const double error = hypot(residual, order_gain * change);
  return error <= t->floor[k] ? 0 : error;
}

static void integrate_intervals(integration *t) {
  const int modes = t->homotopy->problem.modes, count = t->out->points - 1;
  for (int i = 0; i < count; i++) {
    interval *current = &t->interval[i];
    channel_values coarse;
    *current = (interval){0};
    if (is_jump(t, i)) continue;
    integrate_interval(t, i, STENCIL, current->sum);
    integrate_interval(t, i, STENCIL_LOW, coarse);
    for (int k = 0; k < modes; k++) {
      current->error[k] = find_error(t, i, k, current->sum, coarse);
      const double excess = count * current->error[k] / t->allowed[k];
      if (!(excess <= current->excess)) current->excess = excess;
    }
  }
}

static bool has_converged(const integration *t) {
  for (int k = 0; k < t->homotopy->problem.modes; k++) {
    double error = 0;
    for (int i = 0; i + 1 < t->out->points; i++) error += t->interval[i].error[k];
    if (!(error <= t->allowed[k])) return false;
  }
  return true;
}

/* ---- refinement ---- */

static bool is_finest(const integration *t, int i) {
  return t->u[i + 1] - t->u[i] < 1.5 / (INITIAL_INTERVALS << HALVINGS_MAX);
}

static int find_worst(const integration *t) {
  int worst = 0;
  for (int i = 1; i + 1 < t->out->points; i++)
    if (!(t->interval[i].excess <= t->interval[worst].excess)) worst = i;
  return worst;
}

static void add_jump(integration *t, int i) {
  const esc_homotopy_point *p = &t->out->point[i];
  esc_attribution_jump *jump = &t->out->jump[t->out->jumps++];
  *jump = (esc_attribution_jump){.from = p[0].lambda, .to = p[1].lambda};
  for (int k = 0; k < t->homotopy->problem.modes; k++)
    jump->size[k] = p[1].escape[k] - p[0].escape[k];
}

/* The widths of neighbours may differ by a factor of 2 at most: a polynomial through points
 * crowded on one side is inaccurate on the other. */
static bool has_narrow_neighbour(const integration *t, const bool *halve, int i) {
  const double width = t->u[i + 1] - t->u[i];
  for (int j = i - 1; j <= i + 1; j += 2) {
    if (j < 0 || j + 1 >= t->out->points || is_jump(t, j)) continue;
    if ((t->u[j + 1] - t->u[j]) / (halve[j] ? 2 : 1) < 0.4 * width) return true;
  }
  return false;
}

/* u of the points to add: the midpoints of the intervals to halve. */
static int choose_points(const integration *t, double worst, double *u) {
  bool halve[POINTS_MAX] = {0}, changes = true;
  const int intervals = t->out->points - 1;
  int count = 0;
  for (int i = 0; i < intervals; i++)
    halve[i] = t->interval[i].excess > 1 && !(t->interval[i].excess < refine_fraction * worst) &&
               !is_finest(t, i);
  while (changes) {
    changes = false;
    for (int i = 0; i < intervals; i++)
      if (!halve[i] && !is_jump(t, i) && has_narrow_neighbour(t, halve, i))
        halve[i] = changes = true;
  }
  for (int i = 0; i < intervals; i++)
    if (halve[i]) u[count++] = (t->u[i] + t->u[i + 1]) / 2;
  return count;
}

/* Estimates the final number of points from the present errors, for progress. */
static void expect_points(integration *t) {
  double more = 0;
  for (int i = 0; i + 1 < t->out->points; i++)
    if (t->interval[i].excess > 1)
      more += exp2(ceil(log(t->interval[i].excess) / log(halving_gain))) - 1;
  t->expected = more < POINTS_MAX - t->done ? t->done + (int)more : POINTS_MAX;
}

static esc_status refine(integration *t) {
  esc_status status = ESC_OK;
  double u[POINTS_MAX];
  for (;;) {
    integrate_intervals(t);
    if (has_converged(t)) break;
    const int worst = find_worst(t);
    if (is_finest(t, worst)) {
      if (t->out->jumps == ESC_ATTRIBUTION_JUMPS_MAX) break;
      add_jump(t, worst);
      continue;
    }
    const int count = choose_points(t, t->interval[worst].excess, u);
    expect_points(t);
    if (count == 0 || t->out->points + count > POINTS_MAX) break;
    ESC_TRY(add_points(t, count, u));
  }
  t->out->converged = has_converged(t);
done:
  return status;
}

static void find_cancellation(const esc_block_problem *b, int k, esc_attribution *out) {
  out->cancellation[k] = INFINITY;
  for (int i = 0; i < out->points; i++) {
    double sum = 0, size = 0;
    for (int c = 0; c < b->layers; c++) {
      sum += out->point[i].channel[k][c];
      size += fabs(out->point[i].channel[k][c]);
    }
    if (fabs(sum) / size < out->cancellation[k]) {
      out->cancellation[k] = fabs(sum) / size;
      out->cancellation_lambda[k] = out->point[i].lambda;
    }
  }
}

static void sum_intervals(const integration *t) {
  const esc_block_problem *b = &t->homotopy->problem;
  esc_attribution *out = t->out;
  for (int k = 0; k < b->modes; k++) {
    out->residual[k] = out->to[k] - out->from[k];
    for (int j = 0; j < out->jumps; j++) out->residual[k] -= out->jump[j].size[k];
    for (int i = 0; i + 1 < out->points; i++) {
      out->error[k] += t->interval[i].error[k];
      for (int c = 0; c < b->layers; c++) out->channel[k][c] += t->interval[i].sum[k][c];
    }
    for (int c = 0; c < b->layers; c++) out->residual[k] -= out->channel[k][c];
    find_cancellation(b, k, out);
  }
}

/* ---- the nodes ---- */

/* Sum over the modes of |dt_k/du|. */
static double steepness(const integration *t, int i) {
  const esc_homotopy_point *p = &t->out->point[i];
  double sum = 0;
  for (int k = 0; k < t->homotopy->problem.modes; k++) sum += fabs(p->derivative[k]);
  return sum * lambda_derivative(p->lambda);
}

/* Index of the k-th point to recompute on the coarser grid: evenly spread, then the steepest. */
static int index_to_check(const integration *t, int k) {
  int steepest = 0;
  if (k < CHECKED_POINTS - 1) return k * (t->out->points - 1) / (CHECKED_POINTS - 2);
  for (int i = 1; i < t->out->points; i++)
    if (steepness(t, i) > steepness(t, steepest)) steepest = i;
  return steepest;
}

/* Escape times on a grid with fewer nodes. No sensitivities are needed, so that all checks together
 * cost less than one point of the quadrature. */
static esc_status compare_nodes(integration *t) {
  esc_status status = ESC_OK;
  esc_attribution *out = t->out;
  esc_block_grid coarse = {0};
  esc_homotopy_point point[CHECKED_POINTS];
  esc_status found[CHECKED_POINTS];
  ESC_TRY(esc_block_grid_create(&t->homotopy->problem, coarse_fineness, &coarse));
#pragma omp parallel for schedule(dynamic, 1)
  for (int i = 0; i < CHECKED_POINTS; i++)
    found[i] = esc_homotopy_evaluate(t->homotopy, &coarse, out->point[index_to_check(t, i)].lambda,
                                     false, &point[i]);
  for (int i = 0; i < CHECKED_POINTS; i++)
    for (int k = 0; k < t->homotopy->problem.modes; k++) {
      const double time = out->point[index_to_check(t, i)].escape[k];
      const double change = found[i] == ESC_OK ? fabs(point[i].escape[k] - time) : (double)NAN;
      if (!isnan(out->node_error[k]) && !(change <= out->node_error[k]))
        out->node_error[k] = change;
    }
done:
  esc_block_grid_free(&coarse);
  return status;
}

static esc_status add_first_points(integration *t) {
  esc_status status = ESC_OK;
  esc_attribution *out = t->out;
  const esc_homotopy *h = t->homotopy;
  const double relative = h->tolerance > 0 ? h->tolerance : default_tolerance;
  double u[INITIAL_INTERVALS + 1];
  for (int i = 0; i <= INITIAL_INTERVALS; i++) u[i] = (double)i / INITIAL_INTERVALS;
  ESC_TRY(add_points(t, INITIAL_INTERVALS + 1, u));
  for (int k = 0; k < h->problem.modes; k++) {
    out->from[k] = out->point[0].escape[k];
    out->to[k] = out->point[INITIAL_INTERVALS].escape[k];
    t->allowed[k] = relative * (fabs(out->to[k] - out->from[k]) + 1e-3 * out->to[k]);
    t->floor[k] = noise_factor * esc_block_path_tolerance(h->problem.modes) * out->to[k];
  }
done:
  return status;
}

esc_status esc_attribution_find(const esc_homotopy *homotopy, esc_attribution_report *report,
                                void *context, esc_attribution *out) {
  esc_status status = ESC_OK;
  integration t = {.homotopy = homotopy, .out = out, .report = report, .context = context};
  *out = (esc_attribution){0};
  ESC_TRY_ALLOCATE(out->point = malloc(POINTS_MAX * sizeof *out->point));
  ESC_TRY_ALLOCATE(t.interval = calloc(POINTS_MAX, sizeof *t.interval));
  ESC_TRY(esc_block_grid_create(&homotopy->problem, 1, &t.grid));
  ESC_TRY(add_first_points(&t));
  ESC_TRY(refine(&t));
  sum_intervals(&t);
  ESC_TRY(compare_nodes(&t));
done:
  free(t.interval);
  esc_block_grid_free(&t.grid);
  if (status != ESC_OK) esc_attribution_free(out);
  return status;
}
