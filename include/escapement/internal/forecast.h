/* SPDX-License-Identifier: Apache-2.0 */
/* Escape steps predicted before anything is trained (docs/theory, section 10).
 *
 * On its plateau a network is small behind its first small layer k, so linear there: with the
 * features h of the layers before k (the inputs, if k is the first layer; frozen, as they move
 * by O(epsilon^2)),
 *   f = w.h,  w = a_1^(L-1-k) W_L ... W_k,
 * and the population loss is quadratic in w,
 *   loss = E[T^2]/2 - w.b + w'Cw/2,  b = E[T h],  C = E[h h'].
 * The flow dW_l/dt = -gamma_l grad of this is integrated from the very weights that a member
 * will start with (Bogacki-Shampine, error 1e-3 a step) to where the loss passes the
 * threshold; t/eta is the step, and a moving average follows phi/(1-phi) steps later. So S(0)
 * of the seed, its sign, the metric and O(1) layers are in it; left out are the noise of
 * minibatches, saturation where the scales have reached O(1), and corrections of
 * O(epsilon^(q-1)). A network wider than 64 is stood for by one of width 64 with as many
 * inputs a unit: its distribution over seeds, not its seeds.
 * Symmetric starts under the normalized metric take the reduced ODE's loss instead, blocks of
 * up to two modes the block reduction's; both have saturation in them.
 *
 * Measured against training, 12 seeds of each sweep (tools/forecast_check,
 * runs/forecast/forecast.txt), as ln(forecast/real) of single members: tanh and sin within 0.05
 * with a standard deviation over seeds of 0.02, of 0.06 behind an O(1) layer; gelu +0.04 to +0.09
 * at scales 0.02 and 0.05, but +0.23 +- 0.16 at 0.2 (corrections of O(epsilon)); r = 2 with few
 * steps -0.12 +- 0.10; the reduced ODE and the blocks within 0.01. The stand-in of width 64 has
 * the median of width 128 to 0.04. `spread` is set above all but the second of these. */
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
  bool late;       /* a threshold is below what the linear part can reach: a lower bound */
  bool own;        /* of the member itself: not of a narrower stand-in */
  const char *why; /* without a method: why there is none. Constant text */
} esc_forecast;

/* How members of this problem with these small layers can be forecast. */
esc_forecast_method esc_forecast_method_of(const esc_problem *problem, const esc_member *member,
                                           const char **why);

/* The forecast of one member. Without a method ESC_OK with NaN and `why`. */
esc_status esc_forecast_member(const esc_problem *problem, const esc_member *member,
                               esc_forecast *out);

/* Floating-point operations that a forecast takes, to a factor of a few. */
double esc_forecast_cost(const esc_problem *problem, const esc_member *member,
                         esc_forecast_method method);

/* Whether every seed has the same forecast. */
bool esc_forecast_is_seedless(esc_forecast_method method);

/* Probability that a member of this forecast does not cross its last threshold within
 * `steps`, by the forecast's spread; NaN without a method. */
double esc_forecast_censored(const esc_forecast *forecast, int thresholds, int64_t steps);

#endif
