/* SPDX-License-Identifier: Apache-2.0 */
/* Theory's escape times over a range of epsilon, and slopes of what is drawn. */
#include <math.h>
#include <string.h>

#include "figure/figure.h"

esc_status esc_curves_of(const esc_escape_problem *problem, uint64_t small_layers, double low,
                         double high, int points, esc_curves *out) {
  esc_status status = ESC_OK;
  esc_escape_problem p = *problem;
  out->points = points;
  for (int i = 0; i < points; i++) {
    const double epsilon = low * pow(high / low, points > 1 ? (double)i / (points - 1) : 0);
    esc_escape_times times;
    for (int l = 0; l < p.layers; l++)
      if (small_layers >> l & 1) p.scale[l] = problem->scale[l] * epsilon;
    ESC_TRY(esc_escape_times_find(&p, &times));
    out->epsilon[i] = epsilon;
    out->ode[i] = times.ode;
    out->closed[i] = times.closed;
    out->corrected[i] = times.corrected;
  }
done:
  return status;
}

static double part_of_length(int points, const double *step, const double *y, int i) {
  double low = INFINITY, high = -INFINITY;
  for (int k = 0; k < points; k++) {
    low = fmin(low, y[k]);
    high = fmax(high, y[k]);
  }
  const double move = high > low ? fabs(y[i] - y[i - 1]) / (high - low) : 0;
  return (step[i] - step[i - 1]) / (step[points - 1] - step[0]) + 2 * move;
}

void esc_curve_steps(int points, const double *step, const double *y, double *out) {
  double whole = 0, before = 0;
  int k = 1;
  for (int i = 1; i < points; i++) whole += part_of_length(points, step, y, i);
  for (int i = 0; i < ESC_CURVE_POINTS; i++) {
    const double length = whole * i / (ESC_CURVE_POINTS - 1);
    double part = part_of_length(points, step, y, k);
    while (k + 1 < points && before + part < length) {
      before += part;
      part = part_of_length(points, step, y, ++k);
    }
    out[i] = step[k - 1] + (step[k] - step[k - 1]) * fmin((length - before) / part, 1);
  }
}

void esc_curve_knots(double low, double high, double *epsilon) {
  for (int i = 0; i < ESC_CURVE_KNOTS; i++) {
    const double x = (1 - cos(M_PI * i / (ESC_CURVE_KNOTS - 1))) / 2;
    epsilon[i] = low * pow(high / low, x);
  }
}

/* Barycentric interpolation in Chebyshev's points of the second kind (Berrut and Trefethen 2004,
 * eq. 5.4): weights alternate, and are halved at the ends. */
static double interpolate(const double *x, const double *y, double z) {
  double above = 0, below = 0;
  for (int i = 0; i < ESC_CURVE_KNOTS; i++) {
    const double end = i == 0 || i == ESC_CURVE_KNOTS - 1 ? 0.5 : 1;
    const double off = z - x[i];
    if (fabs(off) < 1e-12) return y[i];
    const double weight = (i % 2 ? -end : end) / off;
    above += weight * y[i];
    below += weight;
  }
  return above / below;
}

void esc_curve_smooth(const double *knot, const double *value, double *epsilon, double *y) {
  double x[ESC_CURVE_KNOTS], logs[ESC_CURVE_KNOTS];
  for (int i = 0; i < ESC_CURVE_KNOTS; i++) {
    x[i] = log(knot[i]);
    logs[i] = log(value[i]);
  }
  const double low = x[0], high = x[ESC_CURVE_KNOTS - 1];
  for (int i = 0; i < ESC_CURVE_POINTS; i++) {
    const double z = low + (high - low) * i / (ESC_CURVE_POINTS - 1);
    epsilon[i] = exp(z);
    y[i] = exp(interpolate(x, logs, z));
  }
}

esc_status esc_mean_curve_of(const esc_figure_run *run, esc_observable_index observable, int column,
                             esc_mean_curve *out) {
  const esc_results *r = run->results;
  const double *value = r->observable[observable];
  *out = (esc_mean_curve){.points = (int)r->snapshots};
  if (r->snapshots < 2 || r->snapshots > ESC_FIGURE_POINTS_MAX || r->members < 2)
    return ESC_FAIL(ESC_BAD_INPUT, "%s.h5: needs 2 to %d snapshots of two members or more",
                    run->sweep->name, (int)ESC_FIGURE_POINTS_MAX);
  const bool by_layer = observable >= ESC_OBSERVABLE_frobenius_norm;
  const int64_t width = !by_layer                                ? 1
                        : observable >= ESC_OBSERVABLE_imbalance ? r->layers - 1
                                                                 : r->layers;
  for (int i = 0; i < out->points; i++) {
    double sum = 0, square = 0;
    for (int64_t m = 0; m < r->members; m++) sum += value[(m * r->snapshots + i) * width + column];
    out->step[i] = (double)r->snapshot_step[i];
    out->mean[i] = sum / (double)r->members;
    for (int64_t m = 0; m < r->members; m++) {
      const double off = value[(m * r->snapshots + i) * width + column] - out->mean[i];
      square += off * off;
    }
    out->error[i] = sqrt(square / (double)(r->members - 1) / (double)r->members);
  }
  return ESC_OK;
}

void esc_mean_curve_draw(json_t *panel, const esc_mean_curve *c, double rate, int colour,
                         const char *label) {
  double time[ESC_FIGURE_POINTS_MAX], low[ESC_FIGURE_POINTS_MAX], high[ESC_FIGURE_POINTS_MAX];
  for (int i = 0; i < c->points; i++) {
    time[i] = rate * c->step[i];
    low[i] = c->mean[i] - 2 * c->error[i];
    high[i] = c->mean[i] + 2 * c->error[i];
  }
  const esc_plot_series marks = {.role = ESC_MARKS,
                                 .colour = colour,
                                 .count = c->points,
                                 .x = time,
                                 .y = c->mean,
                                 .low = low,
                                 .high = high,
                                 .every = 2};
  esc_panel_series(panel, &marks, "%s", label);
}

static double least_squares(int n, const double *x, const double *y, bool log_y) {
  double sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (int i = 0; i < n; i++) {
    const double u = log(x[i]), v = log_y ? log(y[i]) : y[i];
    sx += u;
    sy += v;
    sxx += u * u;
    sxy += u * v;
  }
  return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

double esc_log_slope(int n, const double *x, const double *y) {
  return least_squares(n, x, y, true);
}

double esc_steps_per_decade(int n, const double *x, const double *y) {
  return -least_squares(n, x, y, false) * log(10);
}
