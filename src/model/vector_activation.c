/* SPDX-License-Identifier: Apache-2.0 */
/* With the scalar tanh, erfc and exp of the C library, activations would be nine tenths of the cost
 * of a block flow and a half of an initial signal's. So tanh, the sigmoids, swish, gelu and
 * polynomials have vectorisable forms here, within a few ulp of the library's values. Others are
 * evaluated for one number after another (pieces.h). */
#include "escapement/internal/vector_activation.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "escapement/internal/pieces.h"

enum { LANES = ESC_VECTOR_LANES };

/* e^x = scale (1 + expm1_r) for x = n ln 2 + r <= 0, |r| <= ln 2 / 2, with scale = 2^n and
 * expm1_r = e^r - 1 by its series to r^13. x below -700 counts as -700. */
ESC_SIMD_CLONES
static void split_exp(const double *restrict x, double *restrict scale, double *restrict expm1_r) {
  static const double series[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800,
                                  1.0 / 362880,     1.0 / 40320,     1.0 / 5040,     1.0 / 720,
                                  1.0 / 120,        1.0 / 24,        1.0 / 6,        1.0 / 2};
  /* ln_two has zeros at its end, so that n ln_two is exact. */
  const double round = 0x1.8p52, ln_two = 0x1.62e42feep-1, ln_two_low = 0x1.a39ef35793c76p-33;
  esc_vector r, sum;
  for (int s = 0; s < LANES; s++) {
    const double bounded = x[s] < -700 ? -700 : x[s];
    const double shifted = bounded * 1.4426950408889634074 + round, n = shifted - round;
    int64_t bits; /* of shifted: n in the lowest ones */
    r[s] = (bounded - n * ln_two) - n * ln_two_low;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (int64_t)((uint64_t)(bits + 1023) << 52);
    memcpy(&scale[s], &bits, sizeof bits);
    sum[s] = series[0];
  }
  for (int i = 1; i < 12; i++)
    for (int s = 0; s < LANES; s++) sum[s] = sum[s] * r[s] + series[i];
  for (int s = 0; s < LANES; s++) expm1_r[s] = sum[s] * r[s] * r[s] + r[s];
}

/* tanh z = -m / (2 + m) with m = e^x - 1, x = -2|z|: nothing cancels. */
ESC_SIMD_CLONES
static void vector_tanh(const double *restrict z, double *restrict h) {
  esc_vector x, scale, expm1_r;
  for (int s = 0; s < LANES; s++) x[s] = -2 * fabs(z[s]);
  split_exp(x, scale, expm1_r);
  for (int s = 0; s < LANES; s++) {
    const double m = scale[s] * expm1_r[s] + (scale[s] - 1);
    h[s] = copysign(-m / (2 + m), z[s]);
  }
}

ESC_SIMD_CLONES
static void activate_tanh(const double *z, double *value, double *d1, double *d2) {
  vector_tanh(z, value);
  for (int s = 0; s < LANES; s++) d1[s] = 1 - value[s] * value[s];
  for (int s = 0; d2 && s < LANES; s++) d2[s] = -2 * value[s] * d1[s];
}

/* tanh(z/2)/2 */
ESC_SIMD_CLONES
static void activate_sigmoid(const double *z, double *value, double *d1, double *d2) {
  esc_vector half;
  for (int s = 0; s < LANES; s++) half[s] = z[s] / 2;
  activate_tanh(half, value, d1, d2);
  for (int s = 0; s < LANES; s++) value[s] /= 2;
  for (int s = 0; s < LANES; s++) d1[s] /= 4;
  for (int s = 0; d2 && s < LANES; s++) d2[s] /= 8;
}

/* logistic = 1/(1 + e^-z), reflected = 1/(1 + e^z), each to full relative accuracy. */
ESC_SIMD_CLONES
static void vector_logistic(const double *restrict z, double *restrict logistic,
                            double *restrict reflected) {
  esc_vector x, scale, expm1_r;
  for (int s = 0; s < LANES; s++) x[s] = -fabs(z[s]);
  split_exp(x, scale, expm1_r);
  for (int s = 0; s < LANES; s++) {
    const double decay = scale[s] + scale[s] * expm1_r[s];
    const double large = 1 / (1 + decay), small = decay * large;
    logistic[s] = z[s] < 0 ? small : large;
    reflected[s] = z[s] < 0 ? large : small;
  }
}

ESC_SIMD_CLONES
static void activate_logistic(const double *z, double *value, double *d1, double *d2) {
  esc_vector reflected;
  vector_logistic(z, value, reflected);
  for (int s = 0; s < LANES; s++) d1[s] = value[s] * reflected[s];
  for (int s = 0; d2 && s < LANES; s++) d2[s] = d1[s] * (reflected[s] - value[s]);
}

/* p z, p + z p q, p q (2 + z (q - p)) */
ESC_SIMD_CLONES
static void activate_swish(const double *z, double *value, double *d1, double *d2) {
  esc_vector p, q;
  vector_logistic(z, p, q);
  for (int s = 0; s < LANES; s++) value[s] = z[s] * p[s];
  for (int s = 0; s < LANES; s++) d1[s] = p[s] + value[s] * q[s];
  for (int s = 0; d2 && s < LANES; s++) d2[s] = p[s] * q[s] * (2 + z[s] * (q[s] - p[s]));
}

/* e^(-z^2/2); the rounding error of z^2 is computed by Dekker's splitting and corrected for. */
ESC_SIMD_CLONES
static void vector_gaussian(const double *restrict z, double *restrict out) {
  esc_vector x, rounding_error, scale, expm1_r;
  for (int s = 0; s < LANES; s++) {
    const double a = fabs(z[s]), b = a > 40 ? 40 : a, square = b * b;
    const double big = 134217729 * b, high = big - (big - b), low = b - high;
    rounding_error[s] = ((high * high - square) + 2 * high * low) + low * low;
    x[s] = -square / 2;
  }
  split_exp(x, scale, expm1_r);
  for (int s = 0; s < LANES; s++) {
    const double e = scale[s] + scale[s] * expm1_r[s];
    out[s] = e - rounding_error[s] / 2 * e;
  }
}

/* erfc x = e^(-x^2) P(t) / (1 + 2x) for x >= 0 with t = (x - 3)/(x + 3) in [-1, 1]: P is the
 * Chebyshev series of degree 24, truncated where its terms fall below 1e-17, in powers of t, whose
 * coefficients have absolute values with the sum 1.8. x = |z|/sqrt 2 gives the distribution
 * function's tail. */
ESC_SIMD_CLONES
static void vector_normal_cdf(const double *restrict z, const double *restrict gaussian,
                              double *restrict cdf) {
  static const double c[] = {
      8.3158422230907163944e-10,  9.8298431589155637756e-10, -8.1714918574968871929e-9,
      -1.3293801920101197428e-8,  4.094522424769330679e-8,   1.0178777666723705881e-7,
      -1.4030178349356070472e-7,  -6.1653155565720729189e-7, 3.5559901523922328753e-7,
      3.4723085453743238706e-6,   -7.3072999849704515965e-7, -0.000020100506070040774509,
      4.9491573457766771332e-6,   0.00012509932882154611781, -0.00010515970934133420876,
      -0.00077983226639065588998, 0.0018886903433281153528,  0.0025293918152225093748,
      -0.023770514917012663881,   0.068308027344047249024,   -0.1192736634153940563,
      0.12964515870275804582,     -0.04756229435344905359,   -0.13562110612458114437,
      1.2530080582697296466};
  esc_vector x, t, sum;
  for (int s = 0; s < LANES; s++) {
    const double a = fabs(z[s]);
    x[s] = (a > 40 ? 40 : a) * 0.70710678118654752440;
    t[s] = (x[s] - 3) / (x[s] + 3);
    sum[s] = c[0];
  }
  for (int i = 1; i < 25; i++)
    for (int s = 0; s < LANES; s++) sum[s] = sum[s] * t[s] + c[i];
  for (int s = 0; s < LANES; s++) {
    const double tail = gaussian[s] * sum[s] / (2 + 4 * x[s]);
    cdf[s] = z[s] < 0 ? tail : 1 - tail;
  }
}

/* z Phi, Phi + z phi, phi (2 - z^2) */
ESC_SIMD_CLONES
static void activate_gelu(const double *z, double *value, double *d1, double *d2) {
  esc_vector cdf, density;
  vector_gaussian(z, density);
  vector_normal_cdf(z, density, cdf);
  for (int s = 0; s < LANES; s++) density[s] *= 0.39894228040143267794;
  for (int s = 0; s < LANES; s++) value[s] = z[s] * cdf[s];
  for (int s = 0; s < LANES; s++) d1[s] = cdf[s] + z[s] * density[s];
  for (int s = 0; d2 && s < LANES; s++) d2[s] = density[s] * (2 - z[s] * z[s]);
}

ESC_SIMD_CLONES
static void activate_polynomial(const esc_activation *a, const double *restrict z,
                                double *restrict value, double *restrict d1, double *d2) {
  esc_vector second = {0};
  for (int s = 0; s < LANES; s++) value[s] = d1[s] = 0;
  for (int k = a->terms - 1; k >= 0; k--)
    for (int s = 0; s < LANES; s++) {
      second[s] = second[s] * z[s] + d1[s];
      d1[s] = d1[s] * z[s] + value[s];
      value[s] = value[s] * z[s] + a->coefficient[k];
    }
  for (int s = 0; d2 && s < LANES; s++) d2[s] = 2 * second[s];
}

void esc_vector_activate(const esc_activation *a, const esc_vector z, esc_vector value,
                         esc_vector d1, double *d2) {
  switch (a->kind) {
    case ESC_ACTIVATION_TANH: activate_tanh(z, value, d1, d2); return;
    case ESC_ACTIVATION_SIGMOID: activate_sigmoid(z, value, d1, d2); return;
    case ESC_ACTIVATION_SIGMOID_RAW: activate_logistic(z, value, d1, d2); return;
    case ESC_ACTIVATION_SWISH: activate_swish(z, value, d1, d2); return;
    case ESC_ACTIVATION_GELU: activate_gelu(z, value, d1, d2); return;
    case ESC_ACTIVATION_POLYNOMIAL: activate_polynomial(a, z, value, d1, d2); return;
    default: break; /* one number after another */
  }
  for (int s = 0; s < LANES; s++) {
    const esc_eval_f64 e = esc_theory_activate(a, z[s]);
    value[s] = e.value;
    d1[s] = e.derivative;
    if (d2) d2[s] = esc_theory_second_derivative(a, z[s], e);
  }
}
