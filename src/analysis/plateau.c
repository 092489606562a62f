/* SPDX-License-Identifier: Apache-2.0 */
/* The bootstrap interval of one member, from its snapshots (docs/theory, section 5.4): constants
 * and exponents inside the window of m. An exponent is a least squares slope in log-log
 * coordinates; its error has the residuals, the curvature beyond its noise, and the next order. */
#include "escapement/internal/plateau.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#include "escapement/internal/observe.h"

typedef struct member {
  const esc_results *r;
  int64_t i, inside; /* snapshots inside the window */
  const esc_plateau_rules *rules;
} member;

static double observable_value(const member *m, int observable, int64_t k, int l) {
  const int length = esc_observable_length(m->r->layers, esc_observables[observable].axis);
  return m->r->observable[observable][(m->i * m->r->snapshots + k) * length + l];
}

static double scalar_value(const member *m, int observable, int64_t k) {
  return observable_value(m, observable, k, 0);
}

static bool is_small(const member *m, int l) { return m->r->small_layers[m->i] >> l & 1; }

/* Maximum and minimum; NaN if `a` is NaN. */
static double max_or_nan(double a, double b) { return isnan(a) || a > b ? a : b; }
static double min_or_nan(double a, double b) { return isnan(a) || a < b ? a : b; }

static void extend_range(double value, double *low, double *high) {
  *low = min_or_nan(value, *low);
  *high = max_or_nan(value, *high);
}

static double bottleneck_norm(const member *m, int64_t k) {
  return scalar_value(m, ESC_OBSERVABLE_bottleneck_norm, k);
}

/* Number of snapshots before the first one outside the window. */
static int64_t count_inside(const member *m) {
  int64_t k = 0;
  while (k < m->r->snapshots && bottleneck_norm(m, k) <= m->rules->window) k++;
  return k;
}

/* A quantity at snapshot k. */
typedef double quantity(const member *m, int64_t k);

static double self_ratio(const member *m, int64_t k) {
  return fabs(scalar_value(m, ESC_OBSERVABLE_self_interaction, k) /
              scalar_value(m, ESC_OBSERVABLE_drive, k));
}

static double orthogonal_ratio(const member *m, int64_t k) {
  return fabs(scalar_value(m, ESC_OBSERVABLE_orthogonal, k) /
              scalar_value(m, ESC_OBSERVABLE_drive, k));
}

static double signal(const member *m, int64_t k) {
  return scalar_value(m, ESC_OBSERVABLE_signal, k);
}

static double signal_grad_norm_sq(const member *m, int64_t k) {
  return scalar_value(m, ESC_OBSERVABLE_signal_gradient2, k);
}

/* First snapshot of the last contiguous range inside the window with S > 0, m at least
 * ESC_EXPONENT_MIN_GROWTH times its start, and y not below the floor. */
static int64_t range_start(const member *m, quantity *y, double floor) {
  const double least = ESC_EXPONENT_MIN_GROWTH * bottleneck_norm(m, 0);
  int64_t k = m->inside;
  while (k > 0 && signal(m, k - 1) > 0 && bottleneck_norm(m, k - 1) >= least &&
         !(y(m, k - 1) < floor))
    k--;
  return k;
}

/* Sums over centred logarithms: s<i><j> of dx^i dy^j. */
typedef struct sums {
  double n, mean_x, mean_y, s20, s30, s40, s11, s21, s02;
} sums;

static sums sum_logarithms(const member *m, int64_t first, quantity *x, quantity *y) {
  sums s = {.n = (double)(m->inside - first)};
  for (int64_t k = first; k < m->inside; k++) {
    s.mean_x += log(x(m, k)) / s.n;
    s.mean_y += log(y(m, k)) / s.n;
  }
  for (int64_t k = first; k < m->inside; k++) {
    const double dx = log(x(m, k)) - s.mean_x, dy = log(y(m, k)) - s.mean_y, dx2 = dx * dx;
    s.s20 += dx2;
    s.s30 += dx2 * dx;
    s.s40 += dx2 * dx2;
    s.s11 += dx * dy;
    s.s21 += dx2 * dy;
    s.s02 += dy * dy;
  }
  return s;
}

/* x^2 less the square of its noise; 0 if x is below its noise. */
static double above_noise(double x, double noise) { return fmax(x * x - noise * noise, 0); }

/* Fits a line, and the quadratic term that is orthogonal to it. */
static void fit_line(const sums *s, double range, esc_exponent *out) {
  const double slope = s->s11 / s->s20, residual = fmax(s->s02 - slope * s->s11, 0);
  const double square = s->s40 - s->s20 * s->s20 / s->n - s->s30 * s->s30 / s->s20;
  const double quadratic = (s->s21 - s->s30 / s->s20 * s->s11) / square;
  const double noise =
      sqrt(fmax(residual - quadratic * quadratic * square, 0) / (s->n - 3) / square);
  out->value = slope;
  out->curvature = quadratic * range / 2;
  out->error =
      sqrt(residual / (s->n - 2) / s->s20 + above_noise(out->curvature, noise * range / 2) +
           out->next_order * out->next_order);
}

static esc_obstacle find_obstacle(const member *m, int64_t without_floor, const esc_exponent *e) {
  const int64_t above_start = m->inside - without_floor;
  if (m->inside == 0)
    return isnan(bottleneck_norm(m, 0)) ? ESC_OBSTACLE_NO_M : ESC_OBSTACLE_OUTSIDE;
  if (above_start > 0 && e->snapshots == 0) return ESC_OBSTACLE_FLOOR;
  if (above_start < ESC_EXPONENT_MIN_SNAPSHOTS) {
    if (e->growth < ESC_EXPONENT_MIN_GROWTH * ESC_EXPONENT_MIN_SPAN) return ESC_OBSTACLE_GROWTH;
    return signal(m, m->inside - 1) > 0 ? ESC_OBSTACLE_FEW : ESC_OBSTACLE_SIGN;
  }
  if (e->snapshots < ESC_EXPONENT_MIN_SNAPSHOTS) return ESC_OBSTACLE_FLOOR;
  return e->high >= ESC_EXPONENT_MIN_SPAN * e->low ? ESC_MEASURED : ESC_OBSTACLE_RANGE;
}

static esc_exponent measure_exponent(const member *m, quantity *x, quantity *y, double floor) {
  const double none = (double)NAN;
  const int64_t first = range_start(m, y, floor);
  esc_exponent e = {.value = none,
                    .error = none,
                    .curvature = none,
                    .next_order = none,
                    .low = none,
                    .high = none};
  e.snapshots = m->inside - first;
  e.growth = m->inside ? bottleneck_norm(m, m->inside - 1) / bottleneck_norm(m, 0) : none;
  if (e.snapshots > 0) {
    e.low = INFINITY;
    e.high = 0;
  }
  for (int64_t k = first; k < m->inside; k++) extend_range(x(m, k), &e.low, &e.high);
  e.obstacle = find_obstacle(m, range_start(m, y, 0), &e);
  if (e.obstacle != ESC_MEASURED) return e;
  const double range = log(e.high / e.low);
  const sums s = sum_logarithms(m, first, x, y);
  const int q = m->rules->order;
  e.next_order = q > 1 ? pow(bottleneck_norm(m, m->inside - 1), q - 1) / range : 0;
  if (!isfinite(s.s02) || !isfinite(s.s20))
    e.obstacle = ESC_OBSTACLE_VALUE;
  else
    fit_line(&s, range, &e);
  return e;
}

void esc_exponent_explain(const esc_exponent *e, const esc_plateau_rules *rules, char *text,
                          size_t size) {
  switch (e->obstacle) {
    case ESC_OBSTACLE_NO_M:
      snprintf(text, size, "m is not a number at the start: no layer is small");
      return;
    case ESC_OBSTACLE_OUTSIDE: snprintf(text, size, "m starts above the window"); return;
    case ESC_OBSTACLE_GROWTH:
      snprintf(text, size, "m grows by a factor of %.3g only inside the window; %d is needed",
               e->growth, ESC_EXPONENT_MIN_GROWTH * ESC_EXPONENT_MIN_SPAN);
      return;
    case ESC_OBSTACLE_SIGN: snprintf(text, size, "S is not positive at the window's end"); return;
    case ESC_OBSTACLE_FEW:
      snprintf(text, size, "snapshots with m above twice its start: %lld, of %d needed",
               (long long)e->snapshots, ESC_EXPONENT_MIN_SNAPSHOTS);
      return;
    case ESC_OBSTACLE_RANGE:
      snprintf(text, size, "the snapshots span a factor of %.3g only; %d is needed",
               e->high / e->low, ESC_EXPONENT_MIN_SPAN);
      return;
    case ESC_OBSTACLE_FLOOR:
      snprintf(text, size, "below %d times the sampling noise, which is %.2g of the drive",
               ESC_FLOOR_FACTOR, rules->floor);
      return;
    case ESC_OBSTACLE_VALUE: snprintf(text, size, "a value is 0 or not a number"); return;
    case ESC_MEASURED:
    case ESC_OBSTACLES: break;
  }
  snprintf(text, size, "measured");
}

static double self_over_mr(const member *m, int64_t k) {
  return self_ratio(m, k) / pow(bottleneck_norm(m, k), m->r->bottleneck[m->i]);
}

/* NaN where nothing is inside the window. */
static double largest_inside(const member *m, quantity *x) {
  double max = m->inside ? 0 : (double)NAN;
  for (int64_t k = 0; k < m->inside; k++) max = max_or_nan(x(m, k), max);
  return max;
}

static double largest_drift(const member *m) {
  const bool any = m->inside && m->r->bottleneck[m->i] < m->r->layers;
  double max = any ? 0 : (double)NAN;
  for (int64_t k = 0; k < m->inside; k++)
    for (int l = 0; l < m->r->layers; l++)
      if (!is_small(m, l))
        max = max_or_nan(observable_value(m, ESC_OBSERVABLE_layer_drift, k, l), max);
  return max;
}

/* |f|_L2 over the product of the small layers' operator norms. */
static double output_ratio(const member *m, int64_t k) {
  const double mean = scalar_value(m, ESC_OBSERVABLE_output_mean, k);
  double ratio = sqrt(scalar_value(m, ESC_OBSERVABLE_output_variance, k) + mean * mean);
  for (int l = 0; l < m->r->layers; l++)
    if (is_small(m, l)) ratio /= observable_value(m, ESC_OBSERVABLE_operator_norm, k, l);
  return ratio;
}

static void measure_chains(const member *m, esc_plateau *out) {
  static const int chain[] = {ESC_OBSERVABLE_forward_chain, ESC_OBSERVABLE_backward_chain};
  out->chain_low = INFINITY;
  out->chain_high = 0;
  for (int64_t k = 0; k < m->inside; k++)
    for (int c = 0; c < 2; c++)
      for (int l = 0; l < m->r->layers; l++)
        extend_range(observable_value(m, chain[c], k, l) / observable_value(m, chain[c], 0, l),
                     &out->chain_low, &out->chain_high);
  if (m->inside == 0) out->chain_low = out->chain_high = (double)NAN;
}

static void measure_gains(const member *m, esc_plateau *out) {
  out->gain_low = INFINITY;
  out->gain_high = 0;
  for (int64_t k = 0; k < m->inside; k++)
    for (int l = 0; l < m->r->layers && signal(m, k) > 0; l++)
      if (is_small(m, l))
        extend_range(observable_value(m, ESC_OBSERVABLE_signal_gradient_norm, k, l) *
                         observable_value(m, ESC_OBSERVABLE_operator_norm, k, l) / signal(m, k),
                     &out->gain_low, &out->gain_high);
  if (out->gain_high == 0) out->gain_low = out->gain_high = (double)NAN;
}

/* Integral of dx / x^(r-1) from a to b. */
static double comparison_time(int r, double a, double b) {
  return r == 2 ? log(b / a) : (pow(b, 2 - r) - pow(a, 2 - r)) / (2 - r);
}

/* Growth of m compared with dm/dt = C m^(r-1), C the largest measured value. */
static void measure_growth(const member *m, double rate, esc_plateau *out) {
  const int r = m->r->bottleneck[m->i];
  out->growth = 0;
  for (int64_t k = 0; k + 1 < m->inside; k++) {
    const double a = bottleneck_norm(m, k), b = bottleneck_norm(m, k + 1);
    const double time = rate * (double)(m->r->snapshot_step[k + 1] - m->r->snapshot_step[k]);
    if (b > a) out->growth = max_or_nan(comparison_time(r, a, b) / time, out->growth);
  }
  const double time = rate * (double)m->r->snapshot_step[m->inside - 1];
  if (out->growth == 0) return;
  out->exit_bound = comparison_time(r, out->m_start, out->m_end) / (out->growth * time);
}

static void measure_start(const member *m, esc_plateau *out) {
  out->m_start = bottleneck_norm(m, 0);
  out->self_start = self_ratio(m, 0);
  out->orthogonal_start = orthogonal_ratio(m, 0);
  out->signal_start = fabs(signal(m, 0));
  out->gradient2_start = signal_grad_norm_sq(m, 0);
}

void esc_plateau_measure(const esc_results *r, int64_t i, const esc_plateau_rules *rules,
                         esc_plateau *out) {
  const double none = (double)NAN;
  member m = {.r = r, .i = i, .rules = rules};
  m.inside = count_inside(&m);
  const bool exited = m.inside < r->snapshots && bottleneck_norm(&m, m.inside) > rules->window;
  *out = (esc_plateau){.snapshots = m.inside,
                       .exit_step = exited ? r->snapshot_step[m.inside] : -1,
                       .growth = none,
                       .exit_bound = none};
  measure_start(&m, out);
  out->m_end = m.inside ? bottleneck_norm(&m, m.inside - 1) : none;
  out->drift = largest_drift(&m);
  out->drift_over_m2 = out->drift / (out->m_end * out->m_end);
  out->self_over_drive = largest_inside(&m, self_ratio);
  out->self_over_mr = largest_inside(&m, self_over_mr);
  out->orthogonal_over_drive = largest_inside(&m, orthogonal_ratio);
  out->output_over_gain = largest_inside(&m, output_ratio);
  out->self_exponent = measure_exponent(&m, bottleneck_norm, self_ratio, 0);
  out->orthogonal_exponent =
      measure_exponent(&m, bottleneck_norm, orthogonal_ratio, ESC_FLOOR_FACTOR * rules->floor);
  out->signal_exponent = measure_exponent(&m, signal, signal_grad_norm_sq, 0);
  measure_chains(&m, out);
  measure_gains(&m, out);
  if (m.inside > 1) measure_growth(&m, rules->rate, out);
}
