/* SPDX-License-Identifier: Apache-2.0 */
/* The model: teacher, metric, initial weights, S(0), escape events, float updates. */
#include "escapement/internal/model.h"

#include <float.h>
#include <math.h>

#include "escapement/internal/activation.h"
#include "escapement/internal/stream.h"
#include "escapement/internal/track.h"
#include "escapement/internal/update.h"
#include "verify/fixture.h"
#include "verify/oracle.h"
#include "verify/verify.h"

enum { MODES = 3, INPUTS = 7, WIDTH = 6, LAYERS = 3 };
enum { WEIGHTS = WIDTH * INPUTS + WIDTH * WIDTH + WIDTH };

/* Independent of esc_dot, which the checked code uses. */
static double dot(const double *a, const double *b, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

/* Gram-Schmidt twice: an ulp or two of each of the products. The linear part's direction has
 * a_k/|a| along v_k. */
static esc_status directions(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  esc_problem p = esc_verify_problem(LAYERS, WIDTH, INPUTS, 1);
  double v[MODES * INPUTS], linear[INPUTS], size = 0;
  esc_verify_modes(&p, MODES);
  for (int k = 0; k < MODES; k++) size = hypot(size, p.teacher.amplitude[k]);
  for (int kind = ESC_DIRECTIONS_AXES; kind <= ESC_DIRECTIONS_RANDOM; kind++) {
    p.teacher.directions = (esc_directions)kind;
    esc_teacher_directions(&p, v);
    esc_linear_direction(&p, v, linear);
    for (int i = 0; i < MODES; i++) {
      esc_verify_record(worst, dot(linear, v + i * INPUTS, INPUTS) - p.teacher.amplitude[i] / size,
                        8 * DBL_EPSILON, "v . v_%d", i + 1);
      for (int j = 0; j < MODES; j++)
        esc_verify_record(worst, dot(v + i * INPUTS, v + j * INPUTS, INPUTS) - (i == j),
                          8 * DBL_EPSILON, "v_%d . v_%d", i + 1, j + 1);
    }
  }
  return ESC_OK;
}

/* T = sum_k a_k sigma(v_k . x), in another order: some ulps of the terms. */
static esc_status target(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  esc_problem p = esc_verify_problem(LAYERS, WIDTH, INPUTS, 1);
  double v[MODES * INPUTS], x[INPUTS];
  esc_verify_modes(&p, MODES);
  esc_teacher_directions(&p, v);
  for (int kind = 0; kind < ESC_ACTIVATION_COUNT; kind++) {
    double want = 0;
    p.activation = esc_verify_activation(kind);
    for (int i = 0; i < INPUTS; i++) x[i] = sin(1 + 3 * i + kind);
    for (int k = MODES - 1; k >= 0; k--)
      want += p.teacher.amplitude[k] *
              esc_activate_f64(&p.activation, dot(x, v + k * INPUTS, INPUTS)).value;
    esc_verify_record(worst, esc_reference_target(&p, v, x) - want, 32 * DBL_EPSILON, "%s",
                      esc_verify_activation_name(kind));
  }
  return ESC_OK;
}

/* gamma = (n, 1, ..., 1, 1/n), n = N or the block's N/K; exact. */
static esc_status metric(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  esc_problem p = esc_verify_problem(4, WIDTH, INPUTS, 1);
  p.teacher.modes = 2;
  for (int blocks = 0; blocks < 2; blocks++) {
    const double n = blocks ? WIDTH / 2.0 : WIDTH, want[4] = {n, 1, 1, 1 / n};
    p.scheme = blocks ? ESC_SCHEME_BLOCKS : ESC_SCHEME_HE_NORMAL;
    for (int l = 0; l < 4; l++) {
      p.metric = ESC_METRIC_EUCLIDEAN;
      esc_verify_record(worst, esc_metric_gamma(&p, l) - 1, 0, "euclidean, layer %d", l + 1);
      p.metric = ESC_METRIC_NORMALIZED;
      esc_verify_record(worst, esc_metric_gamma(&p, l) - want[l], 0, "normalized, layer %d", l + 1);
    }
  }
  return ESC_OK;
}

/* Against the oracle's own teacher, in long double: a product and a root, an ulp or two;
 * entries that are made of directions, some ulps of 1. */
static esc_status initial(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  const esc_member m = esc_verify_member(5, 1, 0.3);
  double v[MODES * INPUTS], w[WEIGHTS];
  long double v_want[MODES * INPUTS], want[WEIGHTS];
  for (int scheme = ESC_SCHEME_HE_NORMAL; scheme <= ESC_SCHEME_BLOCKS; scheme++) {
    esc_problem p = esc_verify_problem(LAYERS, WIDTH, INPUTS, 1);
    esc_verify_modes(&p, scheme == ESC_SCHEME_SYMMETRIC ? 1 : MODES);
    p.scheme = (esc_scheme)scheme;
    esc_teacher_directions(&p, v);
    esc_initial_weights(&p, &m, v, w);
    esc_oracle_directions(&p, v_want);
    esc_oracle_initial(&p, &m, v_want, want);
    for (int i = 0; i < WEIGHTS; i++)
      esc_verify_record(worst, (double)(w[i] - want[i]),
                        4 * DBL_EPSILON * (double)fmaxl(fabsl(want[i]), scheme ? 0.3L : 0),
                        "scheme %d, weight %d", scheme, i);
  }
  return ESC_OK;
}

/* E[(v.x) f] of a network of two inputs by the trapezoid rule over the plane, and
 * sqrt(E[f^2]). */
static double signal_by_quadrature(const esc_verify_fixture *s, double *rms) {
  const double h = 0.2, range = 8;
  double v[2], signal = 0, f2 = 0;
  esc_linear_direction(&s->problem, s->directions, v);
  for (double x0 = -range; x0 <= range; x0 += h)
    for (double x1 = -range; x1 <= range; x1 += h) {
      const double x[2] = {x0, x1}, mass = h * h / (2 * acos(-1)) * exp(-(x0 * x0 + x1 * x1) / 2);
      const double f = esc_reference_output(&s->problem, s->w, x, s->work);
      signal += mass * (v[0] * x0 + v[1] * x1) * f;
      f2 += mass * f * f;
    }
  *rms = sqrt(f2);
  return signal;
}

/* Five of the errors that the estimate states, and what the rule leaves: 1e-6 of
 * sqrt(E[f^2]), at ReLU's kinks h^2 of it. */
static esc_status signal(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  esc_status status = ESC_OK;
  const esc_member m = esc_verify_member(5, 1, 0.7);
  esc_verify_fixture s = {0};
  esc_problem p = esc_verify_problem(LAYERS, WIDTH, 2, 1);
  esc_arena workspace = {0};
  esc_verify_modes(&p, 2);
  ESC_TRY(esc_verify_fixture_open(&p, &s));
  ESC_TRY(esc_arena_create(esc_signal_workspace(p.shape), &workspace));
  for (int kind = 0; kind < ESC_ACTIVATION_COUNT; kind++) {
    double rms, error;
    s.problem.activation = esc_verify_activation(kind);
    const double want = signal_by_quadrature(&s, &rms);
    const double got = esc_initial_signal(&s.problem, &m, s.directions, s.w, &workspace, &error);
    const double rule = kind == ESC_ACTIVATION_RELU ? 0.04 : 1e-6;
    esc_verify_record(worst, got - want, 5 * error + rule * rms, "%s",
                      esc_verify_activation_name(kind));
  }
done:
  esc_verify_fixture_close(&s);
  esc_arena_free(&workspace);
  return status;
}

/* m_0 = loss_0, m_t = phi m_{t-1} + (1-phi) loss_t, and its first step below a threshold.
 * Three rounded operations a step, of which the average forgets old ones. */
static esc_status events(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  esc_problem p = esc_verify_problem(LAYERS, WIDTH, INPUTS, 1);
  esc_track_rules rules;
  esc_track track;
  double average = 0;
  int64_t crossing = -1;
  p.smoothing = 0.9;
  p.thresholds = 2;
  p.threshold[0] = 0.3;
  p.threshold[1] = 1e-9;
  esc_track_rules_init(&rules, &p, false);
  esc_track_start(&track);
  for (int step = 0; step < 200; step++) {
    const double loss = exp(-0.02 * step) * (1 + 0.5 * sin(7 * step));
    average = step == 0 ? loss : 0.9 * average + 0.1 * loss;
    if (crossing < 0 && average < 0.3) crossing = step;
    esc_track_loss(&track, &rules, loss);
    esc_verify_record(worst, track.smoothed - average, 20 * DBL_EPSILON, "average of step %d",
                      step);
    esc_track_step(&track, &rules);
  }
  esc_verify_record(worst, (double)(track.escape_step[0] - crossing), 0, "crossing");
  esc_verify_record(worst, (double)(track.escape_step[1] + 1), 0, "no crossing");
  return ESC_OK;
}

/* 10^5 steps of 3e-9 from 1, each below half an ulp of float: plain stays, compensated
 * moves, and what it has left over is less than an ulp of 1. The compensation rounds each
 * step by 2^-48 of 1, up or down. */
static esc_status updates(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  const float rate = 1e-3F, g = 3e-6F;
  const int steps = 100000;
  float plain = 1, high = 1, compensation = 0;
  esc_verify_record(worst, (double)esc_update_plain(0.25F, 2, 1).w - 0.5, 0, "plain");
  for (int i = 0; i < steps; i++) {
    const esc_updated u = esc_update_compensated(rate, g, high, compensation);
    plain = esc_update_plain(rate, g, plain).w;
    high = u.w;
    compensation = u.compensation;
  }
  const double want = 1 - steps * ((double)rate * (double)g);
  esc_verify_record(worst, (double)plain - 1, 0, "plain, rounded away");
  esc_verify_record(worst, (double)high + (double)compensation - want, 4 * sqrt(steps) * 0x1p-48,
                    "compensated");
  esc_verify_record(worst, (double)compensation, 0x1p-24, "compensation");
  return ESC_OK;
}

const esc_verify_check esc_verify_model[] = {
    {"teacher: orthonormal directions", directions},
    {"teacher: targets", target},
    {"metric", metric},
    {"initial weights", initial},
    {"S(0) by quadrature", signal},
    {"moving average, first crossing", events},
    {"float updates, compensated", updates},
    {0},
};
