/* SPDX-License-Identifier: Apache-2.0 */
/* The activations in extended precision (64-bit mantissas or more), by their
 * textbook formulas and their Taylor coefficients: what the tests compare with. */
#ifndef ESC_EXACT_ACTIVATION_H
#define ESC_EXACT_ACTIVATION_H

#include <math.h>

#include "escapement/internal/problem.h"

enum { KINDS = ESC_ACTIVATION_COUNT };

typedef struct exact {
  long double value, derivative;
} exact;

#define LN_TWO 0.693147180559945309417232121458L
#define TWO_OVER_ROOT_PI 1.128379167095512573896158903122L
#define ONE_OVER_ROOT_TWO_PI 0.398942280401432677939946059934L

static inline exact exact_tanh(long double z) {
  const long double h = tanhl(z), c = coshl(z);
  return (exact){h, 1 / (c * c)};
}

static inline exact exact_sigmoid_raw(long double z) {
  const long double p = 1 / (1 + expl(-z));
  return (exact){p, p / (1 + expl(z))};
}

/* Without the digits which subtracting 1/2 costs. */
static inline exact exact_sigmoid(long double z) {
  const exact h = exact_tanh(z / 2);
  return (exact){h.value / 2, h.derivative / 4};
}

static inline exact exact_gelu(long double z) {
  const long double cdf = erfcl(-z * sqrtl(0.5L)) / 2;
  return (exact){z * cdf, cdf + z * expl(-z * z / 2) * ONE_OVER_ROOT_TWO_PI};
}

static inline exact exact_swish(long double z) {
  const exact p = exact_sigmoid_raw(z);
  return (exact){z * p.value, p.value + z * p.derivative};
}

static inline exact exact_softplus_raw(long double z) {
  return (exact){log1pl(expl(z)), exact_sigmoid_raw(z).value};
}

/* Without the digits which subtracting ln 2 costs. */
static inline exact exact_softplus(long double z) {
  return (exact){log1pl(expm1l(z) / 2), exact_sigmoid_raw(z).value};
}

static inline exact exact_polynomial(long double z) {
  return (exact){0.25L + z / 2 - 3 * z * z + z * z * z * z / 8, 0.5L - 6 * z + z * z * z / 2};
}

static inline exact exact_of(int kind, long double z) {
  switch (kind) {
    case ESC_ACTIVATION_LINEAR: return (exact){z, 1};
    case ESC_ACTIVATION_RELU: return (exact){z > 0 ? z : 0, z > 0};
    case ESC_ACTIVATION_TANH: return exact_tanh(z);
    case ESC_ACTIVATION_ERF: return (exact){erfl(z), TWO_OVER_ROOT_PI * expl(-z * z)};
    case ESC_ACTIVATION_SIN: return (exact){sinl(z), cosl(z)};
    case ESC_ACTIVATION_GELU: return exact_gelu(z);
    case ESC_ACTIVATION_SWISH: return exact_swish(z);
    case ESC_ACTIVATION_SOFTPLUS: return exact_softplus(z);
    case ESC_ACTIVATION_SIGMOID: return exact_sigmoid(z);
    case ESC_ACTIVATION_SOFTPLUS_RAW: return exact_softplus_raw(z);
    case ESC_ACTIVATION_SIGMOID_RAW: return exact_sigmoid_raw(z);
    default: return exact_polynomial(z);
  }
}

/* a_0, ..., a_9 of sigma = sum_k a_k z^k; none for relu, whose deficit is 0. */
enum { TERMS = 10 };
static const long double taylor[KINDS][TERMS] = {
    [ESC_ACTIVATION_LINEAR] = {0, 1},
    [ESC_ACTIVATION_TANH] = {0, 1, 0, -1 / 3.0L, 0, 2 / 15.0L, 0, -17 / 315.0L, 0, 62 / 2835.0L},
    [ESC_ACTIVATION_ERF] = {0, TWO_OVER_ROOT_PI, 0, -TWO_OVER_ROOT_PI / 3, 0, TWO_OVER_ROOT_PI / 10,
                            0, -TWO_OVER_ROOT_PI / 42, 0, TWO_OVER_ROOT_PI / 216},
    [ESC_ACTIVATION_SIN] = {0, 1, 0, -1 / 6.0L, 0, 1 / 120.0L, 0, -1 / 5040.0L, 0, 1 / 362880.0L},
    [ESC_ACTIVATION_GELU] = {0, 0.5L, ONE_OVER_ROOT_TWO_PI, 0, -ONE_OVER_ROOT_TWO_PI / 6, 0,
                             ONE_OVER_ROOT_TWO_PI / 40, 0, -ONE_OVER_ROOT_TWO_PI / 336},
    [ESC_ACTIVATION_SWISH] = {0, 0.5L, 0.25L, 0, -1 / 48.0L, 0, 1 / 480.0L, 0, -17 / 80640.0L},
    [ESC_ACTIVATION_SOFTPLUS] = {0, 0.5L, 0.125L, 0, -1 / 192.0L, 0, 1 / 2880.0L, 0,
                                 -17 / 645120.0L},
    [ESC_ACTIVATION_SIGMOID] = {0, 0.25L, 0, -1 / 48.0L, 0, 1 / 480.0L, 0, -17 / 80640.0L, 0,
                                31 / 1451520.0L},
    [ESC_ACTIVATION_SOFTPLUS_RAW] = {LN_TWO, 0.5L, 0.125L, 0, -1 / 192.0L, 0, 1 / 2880.0L, 0,
                                     -17 / 645120.0L},
    [ESC_ACTIVATION_SIGMOID_RAW] = {0.5L, 0.25L, 0, -1 / 48.0L, 0, 1 / 480.0L, 0, -17 / 80640.0L, 0,
                                    31 / 1451520.0L},
    [ESC_ACTIVATION_POLYNOMIAL] = {0.25L, 0.5L, -3, 0, 0.125L},
};

/* sum_k (1-k) a_k z^k; at |z| <= 0.01 the next term is below 1e-15 of the sum. */
static inline double exact_deficit_near_zero(int kind, long double z) {
  long double sum = 0;
  for (int k = TERMS - 1; k >= 0; k--) sum = sum * z + (1 - k) * taylor[kind][k];
  return (double)sum;
}

#endif
