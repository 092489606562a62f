/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic of truncated power series with running error bounds, and with it
 * the Taylor series of every activation from its definition (docs/theory, section 2.1).
 *
 * exp, sin and log follow from their differential equations: y = exp f has
 * y' = f' y, so k y_k = sum_{j=1..k} j f_j y_{k-j}, and so on. */
#include "series.h"

#include <float.h>
#include <gsl/gsl_math.h>
#include <math.h>

enum { TERMS = ESC_TAYLOR_TERMS };
static const double unit_roundoff = DBL_EPSILON / 2; /* one operation's relative rounding */

/* ---- numbers with an error bound ---- */

static esc_term exact(double value) { return (esc_term){value, 0}; }

/* A value that was rounded within an ulp. */
static esc_term rounded(double value) { return (esc_term){value, 2 * unit_roundoff * fabs(value)}; }

static esc_term sum(esc_term a, esc_term b) {
  const double value = a.value + b.value;
  return (esc_term){value, a.error + b.error + unit_roundoff * fabs(value)};
}

static esc_term negative(esc_term a) { return (esc_term){-a.value, a.error}; }

static esc_term product(esc_term a, esc_term b) {
  const double value = a.value * b.value;
  const double error = fabs(a.value) * b.error + a.error * (fabs(b.value) + b.error);
  return (esc_term){value, error + unit_roundoff * fabs(value)};
}

static esc_term quotient(esc_term a, esc_term b) {
  const double value = a.value / b.value;
  const double error = (a.error + fabs(value) * b.error) / fabs(b.value);
  return (esc_term){value, error + unit_roundoff * fabs(value)};
}

/* The bounds are of first order in rounding; the factor 2 covers the higher orders. */
bool esc_term_vanishes(esc_term term) { return fabs(term.value) <= 2 * term.error; }

/* ---- series ---- */

esc_power_series esc_power_series_linear(double slope) {
  esc_power_series f = {{{0, 0}}};
  f.term[1] = exact(slope);
  return f;
}

esc_power_series esc_power_series_shift(esc_power_series f, double constant) {
  f.term[0] = sum(f.term[0], exact(constant));
  return f;
}

esc_power_series esc_power_series_scale(esc_power_series f, double factor) {
  for (int k = 0; k < TERMS; k++) f.term[k] = product(f.term[k], rounded(factor));
  return f;
}

esc_power_series esc_power_series_add(esc_power_series f, esc_power_series g) {
  for (int k = 0; k < TERMS; k++) f.term[k] = sum(f.term[k], g.term[k]);
  return f;
}

esc_power_series esc_power_series_subtract(esc_power_series f, esc_power_series g) {
  for (int k = 0; k < TERMS; k++) f.term[k] = sum(f.term[k], negative(g.term[k]));
  return f;
}

/* sum_{j=from..k} f_j g_{k-j} */
static esc_term convolve(const esc_power_series *f, const esc_power_series *g, int from, int k) {
  esc_term total = exact(0);
  for (int j = from; j <= k; j++) total = sum(total, product(f->term[j], g->term[k - j]));
  return total;
}

esc_power_series esc_power_series_multiply(esc_power_series f, esc_power_series g) {
  esc_power_series h;
  for (int k = 0; k < TERMS; k++) h.term[k] = convolve(&f, &g, 0, k);
  return h;
}

/* h = f/g: g_0 h_k = f_k - sum_{j=1..k} g_j h_{k-j} */
esc_power_series esc_power_series_divide(esc_power_series f, esc_power_series g) {
  esc_power_series h;
  for (int k = 0; k < TERMS; k++) {
    const esc_term known = convolve(&g, &h, 1, k);
    h.term[k] = quotient(sum(f.term[k], negative(known)), g.term[0]);
  }
  return h;
}

/* z f', the Euler operator. */
static esc_power_series euler(esc_power_series f) {
  for (int k = 0; k < TERMS; k++) f.term[k] = product(f.term[k], exact(k));
  return f;
}

/* A function's value at `argument`, with its rounding and the propagated error of the argument. */
static esc_term propagate(double value, double derivative, esc_term argument) {
  return sum(rounded(value), (esc_term){0, fabs(derivative) * argument.error});
}

esc_power_series esc_power_series_exp(esc_power_series f) {
  const esc_power_series zdf = euler(f);
  const double start = exp(f.term[0].value);
  esc_power_series y;
  y.term[0] = propagate(start, start, f.term[0]);
  for (int k = 1; k < TERMS; k++) y.term[k] = quotient(convolve(&zdf, &y, 1, k), exact(k));
  return y;
}

/* s = sin f, c = cos f: s' = f' c, c' = -f' s */
esc_power_series esc_power_series_sin(esc_power_series f) {
  const esc_power_series zdf = euler(f);
  const double start = f.term[0].value;
  esc_power_series s, c;
  s.term[0] = propagate(sin(start), cos(start), f.term[0]);
  c.term[0] = propagate(cos(start), sin(start), f.term[0]);
  for (int k = 1; k < TERMS; k++) {
    s.term[k] = quotient(convolve(&zdf, &c, 1, k), exact(k));
    c.term[k] = negative(quotient(convolve(&zdf, &s, 1, k), exact(k)));
  }
  return s;
}

/* y = log f: f (z y') = z f' */
esc_power_series esc_power_series_log(esc_power_series f) {
  esc_power_series y = esc_power_series_divide(euler(f), f);
  const double start = f.term[0].value;
  y.term[0] = propagate(log(start), 1 / start, f.term[0]);
  for (int k = 1; k < TERMS; k++) y.term[k] = quotient(y.term[k], exact(k));
  return y;
}

esc_power_series esc_power_series_integrate(esc_power_series f) {
  esc_power_series y;
  y.term[0] = exact(0);
  for (int k = 1; k < TERMS; k++) y.term[k] = quotient(f.term[k - 1], exact(k));
  return y;
}

/* ---- the activations ---- */

/* c exp(-b z^2) integrated from 0. */
static esc_power_series gaussian_integral(double c, double b) {
  const esc_power_series z = esc_power_series_linear(1);
  const esc_power_series exponent = esc_power_series_scale(esc_power_series_multiply(z, z), -b);
  return esc_power_series_integrate(esc_power_series_scale(esc_power_series_exp(exponent), c));
}

/* (e^z - e^-z) / (e^z + e^-z) */
static esc_power_series tanh_series(void) {
  const esc_power_series exp_z = esc_power_series_exp(esc_power_series_linear(1));
  const esc_power_series exp_minus_z = esc_power_series_exp(esc_power_series_linear(-1));
  return esc_power_series_divide(esc_power_series_subtract(exp_z, exp_minus_z),
                                 esc_power_series_add(exp_z, exp_minus_z));
}

/* 1 / (1 + e^-z) */
static esc_power_series sigmoid_series(void) {
  const esc_power_series one = esc_power_series_shift(esc_power_series_linear(0), 1);
  return esc_power_series_divide(
      one, esc_power_series_shift(esc_power_series_exp(esc_power_series_linear(-1)), 1));
}

/* log(1 + e^z) */
static esc_power_series softplus_series(void) {
  return esc_power_series_log(
      esc_power_series_shift(esc_power_series_exp(esc_power_series_linear(1)), 1));
}

/* z Phi(z) */
static esc_power_series gelu_series(void) {
  const esc_power_series cdf = gaussian_integral(M_2_SQRTPI * M_SQRT1_2 / 2, 0.5);
  return esc_power_series_multiply(esc_power_series_linear(1), esc_power_series_shift(cdf, 0.5));
}

/* f - f(0) */
static esc_power_series centred(esc_power_series f) {
  f.term[0] = exact(0);
  return f;
}

static esc_power_series polynomial_series(const esc_activation *activation) {
  esc_power_series f = esc_power_series_linear(0);
  for (int k = 0; k < activation->terms; k++) f.term[k] = exact(activation->coefficient[k]);
  return f;
}

static esc_power_series pieces_series(const esc_activation_pieces *pieces) {
  esc_power_series f = esc_power_series_linear(0);
  for (int k = 0; k < ESC_POLYNOMIAL_TERMS_MAX; k++)
    f.term[k] = (esc_term){pieces->taylor[k], pieces->taylor_error[k]};
  return f;
}

esc_power_series esc_activation_series(const esc_activation *activation) {
  switch (activation->kind) {
    case ESC_ACTIVATION_LINEAR: return esc_power_series_linear(1);
    case ESC_ACTIVATION_TANH: return tanh_series();
    case ESC_ACTIVATION_ERF: return gaussian_integral(M_2_SQRTPI, 1);
    case ESC_ACTIVATION_SIN: return esc_power_series_sin(esc_power_series_linear(1));
    case ESC_ACTIVATION_GELU: return gelu_series();
    case ESC_ACTIVATION_SWISH:
      return esc_power_series_multiply(esc_power_series_linear(1), sigmoid_series());
    case ESC_ACTIVATION_SOFTPLUS: return centred(softplus_series());
    case ESC_ACTIVATION_SIGMOID: return centred(sigmoid_series());
    case ESC_ACTIVATION_SOFTPLUS_RAW: return softplus_series();
    case ESC_ACTIVATION_SIGMOID_RAW: return sigmoid_series();
    case ESC_ACTIVATION_POLYNOMIAL: return polynomial_series(activation);
    case ESC_ACTIVATION_PIECEWISE: return pieces_series(activation->pieces);
    case ESC_ACTIVATION_RELU: break;
  }
  return esc_power_series_linear(0);
}
