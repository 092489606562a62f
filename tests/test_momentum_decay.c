/* SPDX-License-Identifier: Apache-2.0 */
/* Momentum and weight decay in the reduced ODE (docs/theory, sections 4.10 and 4.11): other
 * integrators, the iteration itself, closed forms of the linear chain, and the critical decay. */
#include <gsl/gsl_errno.h>

#include "check.h"
#include "escapement/internal/theory.h"

enum { LAYERS = 6 };

typedef struct start {
  const char *activation;
  double amplitude;
  double scale[LAYERS]; /* a scale of 0 ends the list */
  double to;
  int layer; /* from 1 */
  double momentum, rate, decay;
} start;

static esc_escape_problem problem(const start *s) {
  esc_escape_problem p = {.amplitude = s->amplitude,
                          .to = s->to,
                          .layer = s->layer - 1,
                          .momentum = s->momentum,
                          .rate = s->rate,
                          .decay = s->decay};
  assert_true(esc_activation_parse(s->activation, &p.activation));
  while (p.layers < LAYERS && s->scale[p.layers] != 0) {
    p.scale[p.layers] = s->scale[p.layers];
    p.layers++;
  }
  return p;
}

static esc_escape_times times_of(const start *s) {
  const esc_escape_problem p = problem(s);
  esc_escape_times times;
  esc_assert_ok(esc_escape_times_compute(&p, &times));
  return times;
}

static esc_critical_decay critical_of(const start *s) {
  const esc_escape_problem p = problem(s);
  esc_critical_decay critical;
  esc_assert_ok(esc_critical_decay_compute(&p, &critical));
  return critical;
}

/* ---- other integrators ---- */

/* Times by SciPy's DOP853 (relative tolerance 3e-14), in the plain time t with the trapezoid rule
 * on +-12, step 0.02; LSODA (1e-12) agrees to 1e-9. A small rate makes the flow stiff, for which
 * the program's own tolerance is 1e-11 a step. */
static void times_agree_with_other_integrators(void **unused) {
  (void)unused;
  static const struct {
    start start;
    double time;
  } rows[] = {
      {{"tanh", 1, {.1, .1, .1, .1}, .5, 1, .9, .01, 0}, 8.82211825612},
      {{"gelu", 2, {1, .05, .05, .05}, .4, 2, .5, .5, 0}, 36.8528625436},
      {{"sin", 1.5, {.1, .12, .1}, .5, 1, .99, .05, 0}, 1.38365784613}, /* inertia leads */
      {{"erf", .8, {.1, .1, .3, .2}, .4, 1, .9, .02, .005}, 3.12147188892},
      {{"swish", 1.3, {.08, .12, .2}, .5, 1, 0, 0, .02}, 74.5880394298},
      {{"tanh", 1, {.02, .02, .02, 1, 1}, .5, 1, .9, 0, .002}, 10.9428139168},
      {{"tanh", 1, {.1, .1, .1, .1}, .5, 1, 0, .1, 0}, 83.6731535059},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    esc_assert_close(times_of(&rows[i].start).ode, rows[i].time, 0, 2e-9);
}

/* ---- momentum ---- */

static void without_a_rate_momentum_scales_time_by_one_minus_beta(void **unused) {
  (void)unused;
  for (int i = 0; i < 2; i++) {
    start s = {"tanh", 1, {.1, .1, .1, .1}, .5, 1, 0, 0, i ? .004 : 0};
    const esc_escape_times plain = times_of(&s);
    s.momentum = .9;
    const esc_escape_times t = times_of(&s);
    esc_assert_close(t.ode, .1 * plain.ode, 0, 1e-9);
    esc_assert_close(t.closed, .1 * plain.closed, 0, 1e-12);
    if (i == 0) esc_assert_close(t.corrected, .1 * plain.corrected, 0, 1e-12);
  }
}

/* The balanced linear chain: ds/dt = rate_of(s) = s^{L-1} (a - s^L). */
static double rate_of(double amplitude, int layers, double s) {
  return pow(s, layers - 1) * (amplitude - pow(s, layers));
}

/* (t(eta) - t(0)) / T tends to 1 + ln F(s*) / F(s_0), with an error of first order in T. */
static void a_small_rate_adds_the_relaxation_time_and_a_logarithm(void **unused) {
  (void)unused;
  double error[2];
  start s = {"linear", 1, {.1, .1, .1}, .5, 1, .5, 0, 0};
  const double expected = 1 + log(rate_of(1, 3, .5) / rate_of(1, 3, .1));
  const double limit = times_of(&s).ode;
  for (int i = 0; i < 2; i++) {
    s.rate = i ? .001 : .002;
    const esc_escape_problem p = problem(&s);
    const double excess = times_of(&s).ode - limit;
    error[i] = excess / esc_relaxation_time(&p) / expected - 1;
    /* corrected has that term: what is left of the rate's effect is of second order */
    const start without = {"linear", 1, {.1, .1, .1}, .5, 1, .5, 0, 0};
    const double added = times_of(&s).corrected - times_of(&without).corrected;
    esc_assert_close(added, expected * esc_relaxation_time(&p), 0, 1e-9);
  }
  assert_true(fabs(error[1]) < 2e-3 && fabs(error[1] / error[0] - .5) < .02);
}

/* Steps, with a fraction, in which w += beta (w - w_before) + eta F(w) takes the linear chain to
 * s*.
 */
static double heavy_ball_steps(const start *s, int layers) {
  double w = s->scale[0], before = w;
  for (int k = 1;; k++) {
    const double force = rate_of(s->amplitude, layers, w) - s->decay * w;
    const double next = w + s->momentum * (w - before) + s->rate * force;
    if (next >= s->to) return k - (next - s->to) / (next - w);
    before = w, w = next;
  }
}

/* The flow starts half a step late: s'(0) = 0 at t = 0, in the iteration at t = -eta/2. */
static void the_second_order_flow_counts_the_steps_of_the_heavy_ball(void **unused) {
  (void)unused;
  static const start starts[] = {{"linear", 1, {.1, .1, .1}, .5, 1, .9, .02, 0},
                                 {"linear", 1, {.1, .1, .1}, .5, 1, .99, .002, .01},
                                 {"linear", 1.5, {.2, .2}, .8, 1, .8, .01, .1},
                                 {"linear", 1, {.1, .1, .1}, .5, 1, 0, .02, 0}};
  for (int i = 0; i < 4; i++) {
    const esc_escape_problem p = problem(&starts[i]);
    const double steps = times_of(&starts[i]).ode / starts[i].rate;
    esc_assert_close(steps - heavy_ball_steps(&starts[i], p.layers), .5, .03, 0);
  }
}

/* Inertia alone, m s'' = D s^{L-1}: t* ~ epsilon^{-(L-2)/2} where friction is small. */
static void friction_decides_the_exponent(void **unused) {
  (void)unused;
  for (int i = 0; i < 2; i++) {
    double time[2];
    for (int k = 0; k < 2; k++) {
      const double e = k ? .001 : .002;
      const start s = {"linear", 1, {e, e, e, e}, .5, 1, i ? .999999 : .9, i ? 100 : .001, 0};
      time[k] = times_of(&s).ode;
    }
    esc_assert_close(log(time[1] / time[0]) / log(2), i ? 1 : 2, .01, 0);
  }
}

/* ---- decay ---- */

/* Two linear layers: ds/dt = (a - lambda) s - s^3, the chain without decay for a - lambda. */
static void two_linear_layers_with_decay_have_a_smaller_teacher(void **unused) {
  (void)unused;
  const start s = {"linear", 1.5, {.01, .01}, .5, 1, 0, 0, .4};
  const start smaller = {"linear", 1.1, {.01, .01}, .5, 1, 0, 0, 0};
  esc_assert_close(times_of(&s).ode, times_of(&smaller).ode, 0, 1e-9);
  esc_assert_close(times_of(&s).closed, times_of(&smaller).closed, 0, 1e-12);
}

/* ds/dt = D s^{L-1} - lambda s: u = s^{2-L} obeys du/dt = (L-2) (lambda u - D). */
static double bernoulli(double drive, double decay, int layers, double from, double to) {
  const double u0 = pow(from, 2 - layers), u1 = pow(to, 2 - layers), limit = drive / decay;
  return log((limit - u1) / (limit - u0)) / (decay * (layers - 2));
}

static void closed_is_bernoullis_solution(void **unused) {
  (void)unused;
  for (int layers = 3; layers <= LAYERS; layers++) {
    start s = {"linear", 1.3, {0}, .02, 1, 0, 0, .5 * 1.3 * pow(.01, layers - 2)};
    for (int l = 0; l < layers; l++) s.scale[l] = .01;
    const esc_escape_times t = times_of(&s);
    esc_assert_close(t.closed, bernoulli(1.3, s.decay, layers, .01, .02), 0, 1e-11);
    esc_assert_close(t.ode, t.closed, 0, 1e-4); /* self-interaction is below s^3 */
  }
}

/* ds_l/dt = D prod_{j != l} s_j - lambda s_l by Runge-Kutta steps of order 4. */
static void add_rates(const start *s, int layers, const double *at, double *rate) {
  for (int l = 0; l < layers; l++) {
    rate[l] = s->amplitude;
    for (int j = 0; j < layers; j++) rate[l] *= j == l ? 1 : at[j];
    rate[l] -= s->decay * at[l];
  }
}

static void runge_kutta(const start *s, int layers, double h, double *scale) {
  static const double node[4] = {0, .5, .5, 1}, weight[4] = {1. / 6, 1. / 3, 1. / 3, 1. / 6};
  double rate[LAYERS] = {0}, at[LAYERS], sum[LAYERS] = {0};
  for (int i = 0; i < 4; i++) {
    for (int l = 0; l < layers; l++) at[l] = scale[l] + h * node[i] * rate[l];
    add_rates(s, layers, at, rate);
    for (int l = 0; l < layers; l++) sum[l] += h * weight[i] * rate[l];
  }
  for (int l = 0; l < layers; l++) scale[l] += sum[l];
}

static void closed_follows_the_leading_order_from_any_start(void **unused) {
  (void)unused;
  enum { STEPS = 20000 };
  static const start starts[] = {{"linear", 1, {.02, .03, .05}, .2, 1, 0, 0, .012},
                                 {"linear", 1, {.05, .05, .05, 1, 1}, .4, 2, 0, 0, .01},
                                 {"linear", 1, {.3, .02}, .5, 2, 0, 0, .2},
                                 {"linear", 2, {.1, .4, .2, .3}, .45, 2, 0, 0, .05}};
  for (int i = 0; i < 4; i++) {
    const esc_escape_problem p = problem(&starts[i]);
    double scale[LAYERS];
    const double time = times_of(&starts[i]).closed;
    memcpy(scale, starts[i].scale, sizeof scale);
    for (int k = 0; k < STEPS; k++) runge_kutta(&starts[i], p.layers, time / STEPS, scale);
    esc_assert_close(scale[p.layer], p.to, 0, 1e-9);
  }
}

/* ---- the critical decay ---- */

/* Balanced linear layers: the rate at the start is 0 at lambda = e^{L-2} (a - e^L). */
static void a_balanced_linear_start_has_its_exact_critical_decay(void **unused) {
  (void)unused;
  const start s = {"linear", 1, {.1, .1, .1, .1}, .5, 1, 0, 0, 0};
  const esc_critical_decay c = critical_of(&s);
  esc_assert_close(c.ode, .01 * (1 - 1e-4), 0, 2e-9);
  esc_assert_close(c.closed, .01, 0, 1e-12);
}

/* The fixed point sqrt(a - lambda) of two linear layers meets s*. */
static void a_threshold_at_the_fixed_point_is_critical_too(void **unused) {
  (void)unused;
  const start s = {"linear", 1.5, {.1, .1}, .5, 1, 0, 0, 0};
  const esc_critical_decay c = critical_of(&s);
  esc_assert_close(c.ode, 1.25, 0, 1e-8);
  esc_assert_close(c.closed, 1.5, 0, 1e-12);
}

/* Independent bisections with SciPy's DOP853 (relative tolerance 1e-11), to 1e-9. */
static void critical_decays_agree_with_another_integrator(void **unused) {
  (void)unused;
  const start equal = {"tanh", 1, {.1, .1, .1, .1}, .5, 1, 0, 0, 0};
  const start three = {"tanh", 1, {.02, .02, .02, 1, 1}, .5, 1, 0, 0, 0};
  esc_assert_close(critical_of(&equal).ode, .00598438043, 0, 4e-9);
  esc_assert_close(critical_of(&three).ode, .00415263674, 0, 4e-9);
}

/* r small layers: lambda_c -> (r-2) / (L-2) D epsilon^{r-2}. */
static void small_layers_set_the_critical_decay(void **unused) {
  (void)unused;
  double error = 1;
  for (int i = 0; i < 2; i++) {
    const double e = i ? 1e-4 : 1e-3;
    const start s = {"linear", 1, {e, e, e, 1, 1}, .5, 1, 0, 0, 0};
    const double next = fabs(critical_of(&s).ode / (e / 3) - 1);
    assert_true(next < error / 5);
    error = next;
  }
  assert_true(error < 2e-3);
}

/* Near the critical decay t* grows by ln 10 / mu for every digit, mu the saddle's unstable rate. */
static void times_diverge_logarithmically_at_the_critical_decay(void **unused) {
  (void)unused;
  const double e = .1, critical = e * e * (1 - pow(e, 4));
  const double mu = 3 * e * e - 7 * pow(e, 6) - critical;
  double time[2];
  for (int i = 0; i < 2; i++) {
    const start s = {"linear", 1, {e, e, e, e}, .5, 1, 0, 0, critical * (1 - (i ? 1e-5 : 1e-4))};
    time[i] = times_of(&s).ode;
  }
  esc_assert_close(time[1] - time[0], log(10) / mu, 0, 1e-3);
}

static void beyond_the_critical_decay_the_origin_keeps_the_start(void **unused) {
  (void)unused;
  start s = {"linear", 1, {.1, .1, .1, .1}, .5, 1, 0, 0, .01};
  for (int i = 0; i < 2; i++) {
    const esc_escape_times t = times_of(&s);
    assert_true(isnan(t.ode) && t.decays);
    assert_non_null(strstr(t.note, "decay towards 0"));
    s.momentum = .9, s.rate = .1;
  }
  s.decay = .009;
  assert_false(times_of(&s).decays);
  s.scale[0] = .5;
  assert_true(isinf(critical_of(&s).ode));
  const start never = {"linear", 1, {.1, .1, .1}, 5, 1, 0, 0, 0};
  assert_true(isnan(critical_of(&never).ode));
}

/* Within rounding of the critical decay the crossing is open, which is not the same as none. */
static void at_the_critical_decay_the_crossing_is_undecided(void **unused) {
  (void)unused;
  start s = {"linear", 1, {.1, .1, .1, .1}, .5, 1, 0, 0, .009999 * (1 - 1e-13)};
  const esc_escape_times open = times_of(&s);
  assert_true(isnan(open.ode) && open.undecided && !open.decays);
  s.decay = .009999 * (1 - 1e-6);
  assert_true(isfinite(times_of(&s).ode) && !times_of(&s).undecided);
  s.decay = .009999 * (1 + 1e-6);
  assert_true(times_of(&s).decays && !times_of(&s).undecided);
}

/* A balanced start is at rest and its force is positive below the same decay as without momentum.
 */
static void momentum_does_not_change_a_balanced_starts_critical_decay(void **unused) {
  (void)unused;
  const start s = {"linear", 1, {.1, .1, .1, .1}, .5, 1, .9, .1, .001};
  esc_assert_close(critical_of(&s).ode, .009999, 0, 1e-8);
}

/* ---- trajectories ---- */

static void trajectories_pass_through_the_crossing(void **unused) {
  (void)unused;
  const start s = {"erf", .8, {.1, .1, .3, .2}, .4, 1, .9, .02, .005};
  const esc_escape_problem p = problem(&s);
  const double time[2] = {0, times_of(&s).ode};
  double scale[2][4], loss[2];
  esc_assert_ok(esc_trajectory_compute(&p, 2, time, scale[0], loss));
  esc_assert_close(scale[1][0], .4, 0, 1e-9);
}

int main(void) {
  gsl_set_error_handler_off();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(times_agree_with_other_integrators),
      cmocka_unit_test(without_a_rate_momentum_scales_time_by_one_minus_beta),
      cmocka_unit_test(a_small_rate_adds_the_relaxation_time_and_a_logarithm),
      cmocka_unit_test(the_second_order_flow_counts_the_steps_of_the_heavy_ball),
      cmocka_unit_test(friction_decides_the_exponent),
      cmocka_unit_test(two_linear_layers_with_decay_have_a_smaller_teacher),
      cmocka_unit_test(closed_is_bernoullis_solution),
      cmocka_unit_test(closed_follows_the_leading_order_from_any_start),
      cmocka_unit_test(a_balanced_linear_start_has_its_exact_critical_decay),
      cmocka_unit_test(a_threshold_at_the_fixed_point_is_critical_too),
      cmocka_unit_test(critical_decays_agree_with_another_integrator),
      cmocka_unit_test(small_layers_set_the_critical_decay),
      cmocka_unit_test(times_diverge_logarithmically_at_the_critical_decay),
      cmocka_unit_test(beyond_the_critical_decay_the_origin_keeps_the_start),
      cmocka_unit_test(at_the_critical_decay_the_crossing_is_undecided),
      cmocka_unit_test(momentum_does_not_change_a_balanced_starts_critical_decay),
      cmocka_unit_test(trajectories_pass_through_the_crossing),
  };
  return cmocka_run_group_tests_name("momentum_decay", tests, NULL, NULL);
}
