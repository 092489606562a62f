/* SPDX-License-Identifier: Apache-2.0 */
/* Escape steps forecast before training (docs/theory, section 10).
 *
 * On its plateau the pre-activations of a network from its first small layer k on are small, so
 * that part is linear: with the features h of the layers before k (the inputs, if k is the first
 * layer; constant, because they change by O(epsilon^2)), f = w.h,  w = a_1^(L-1-k) W_L ... W_k, and
 * the population loss is quadratic in w, loss = E[T^2]/2 - w.b + w'Cw/2,  b = E[T h],  C = E[h h'].
 * The flow dW_l/dt = -gamma_l grad_l(loss) is integrated from the member's initial weights
 * (Bogacki-Shampine, error 1e-3 a step) to where the loss passes the threshold; the step is t/eta,
 * plus phi/(1-phi) for the lag of the moving average. So S(0) of the seed, its sign, the metric and
 * O(1) layers are included; minibatch noise, saturation at scales of O(1), and corrections of
 * O(epsilon^(q-1)) are not. A network wider than 64 is replaced by one of width 64 with the same
 * inputs per unit, which has the same distribution over seeds but not the same seeds.
 * For symmetric starts under the normalized metric the loss is that of the reduced ODE, for blocks
 * of up to two modes that of the block reduction; both include saturation.
 *
 * Measured against training, 12 seeds of each sweep (tools/forecast_check,
 * runs/forecast/forecast.txt), as ln(forecast/real) of single members: tanh and sin within 0.05
 * with a standard deviation over seeds of 0.02, of 0.06 behind an O(1) layer; gelu +0.04 to +0.09
 * at scales 0.02 and 0.05, but +0.23 +- 0.16 at 0.2 (corrections of O(epsilon)); r = 2 with few
 * steps -0.12 +- 0.10; the reduced ODE and the blocks within 0.01. The substitute of width 64 has
 * the median of width 128 to 0.04. `spread` is above all of these but the +0.23.
 */
#ifndef ESCAPEMENT_FORECAST_H
#define ESCAPEMENT_FORECAST_H

#include "escapement/internal/problem.h"
#include "escapement/internal/status.h"

typedef enum esc_forecast_method {
  ESC_FORECAST_NONE,
  ESC_FORECAST_LINEAR_FLOW,
  ESC_FORECAST_REDUCED_ODE,
  ESC_FORECAST_BLOCKS,
} esc_forecast_method;

typedef struct esc_forecast {
  esc_forecast_method method;
  double step[ESC_THRESHOLDS_MAX]; /* (threshold); infinity: not within a thousand budgets; NaN
                                      without a method */
  double spread;                   /* standard deviation of ln(step/real) of one member */
  bool is_lower_bound; /* a threshold is below the linear part's least loss: steps are bounds */
  bool is_member;      /* at the network's width; false: at a smaller width in its place */
  const char *why;     /* without a method: why there is none. Constant text */
} esc_forecast;

/* The forecast method for members of this problem with these small layers; *why: the reason where
 * there is none. */
esc_forecast_method esc_forecast_method_of(const esc_problem *problem, const esc_member *member,
                                           const char **why);

/* The forecast of one member. Without a method ESC_OK with NaN and `why`. */
esc_status esc_forecast_member(const esc_problem *problem, const esc_member *member,
                               esc_forecast *out);

/* Floating-point operations of a forecast, to a factor of a few. */
double esc_forecast_cost(const esc_problem *problem, const esc_member *member,
                         esc_forecast_method method);

/* Whether every seed has the same forecast. */
bool esc_forecast_is_seedless(esc_forecast_method method);

/* Probability that a member of this forecast does not cross its last threshold within
 * `steps`, by the forecast's spread; NaN without a method. */
double esc_forecast_censored(const esc_forecast *forecast, int thresholds, int64_t steps);

#endif
