/* SPDX-License-Identifier: Apache-2.0 */
/* sigma, sigma', sigma'' and the homogeneity deficit kappa(z) = sigma(z) - z sigma'(z) of
 * every activation (docs/theory, section 2.1), for the real type ESC_REAL. activation.h
 * includes this file once for float and once for double; ESC_OF(name) is `name`
 * with the type's suffix.
 *
 * kappa never comes from the difference that defines it where its terms cancel.
 * In float there are selects but no branches, so that a loop over an array
 * vectorises. A product that meets a sum is an explicit fma, so that host and
 * device round alike.
 * z is finite; a NaN goes through to the value. */

typedef struct ESC_OF(esc_eval) {
  ESC_REAL value, derivative, deficit;
} ESC_OF(esc_eval);

/* The logistic function at z and at -z, each to full relative accuracy. */
typedef struct ESC_OF(esc_logistic) {
  ESC_REAL decay;     /* exp(-|z|) */
  ESC_REAL here;      /* 1/(1 + exp(-z)) */
  ESC_REAL reflected; /* 1/(1 + exp(z)) = 1 - here */
} ESC_OF(esc_logistic);

ESC_SHARED ESC_OF(esc_logistic) ESC_OF(esc_logistic_at)(ESC_REAL z) {
  const ESC_REAL decay = ESC_OF(esc_exp)(-ESC_ABSOLUTE(z));
  const ESC_REAL large = 1 / (1 + decay), small = decay * large;
  const ESC_OF(esc_logistic) p = {decay, z < 0 ? small : large, z < 0 ? large : small};
  return p;
}

/* exp(-c z^2) for c = 1 or 1/2, with what rounding takes from z^2 put back: relative accuracy
 * does not fall with z. Beyond 64 it is 0 in any type, and z^2 could overflow. */
ESC_SHARED ESC_REAL ESC_OF(esc_gaussian)(ESC_REAL c, ESC_REAL z) {
  const ESC_REAL a = ESC_ABSOLUTE(z), b = a > 64 ? 64 : a;
  const ESC_REAL square = b * b, lost = ESC_OF(esc_fma)(b, b, -square);
  const ESC_REAL e = ESC_OF(esc_exp)(-c * square);
  return ESC_OF(esc_fma)(-c * lost, e, e);
}

ESC_SHARED ESC_OF(esc_eval) ESC_OF(esc_linear_eval)(ESC_REAL z) {
  const ESC_OF(esc_eval) e = {z, 1, 0};
  return e;
}

ESC_SHARED ESC_REAL ESC_OF(esc_linear_second_derivative)(ESC_REAL z, ESC_OF(esc_eval) e) {
  (void)z, (void)e;
  return 0;
}

/* sigma'(0) = 0. */
ESC_SHARED ESC_OF(esc_eval) ESC_OF(esc_relu_eval)(ESC_REAL z) {
  const ESC_REAL zero = 0, one = 1;
  const ESC_OF(esc_eval) e = {z < 0 ? zero : z, z > 0 ? one : zero, 0};
  return e;
}

/* The delta function at the corner is left out. */
ESC_SHARED ESC_REAL ESC_OF(esc_relu_second_derivative)(ESC_REAL z, ESC_OF(esc_eval) e) {
  (void)z, (void)e;
  return 0;
}

/* From h = tanh z, which is the expensive part. */
ESC_SHARED ESC_OF(esc_eval) ESC_OF(esc_tanh_eval_with)(ESC_REAL z, ESC_REAL h) {
  const ESC_OF(esc_eval) e = {h, ESC_OF(esc_fma)(-h, h, 1), ESC_OF(esc_tanh_deficit)(z, h)};
  return e;
}

ESC_SHARED ESC_OF(esc_eval) ESC_OF(esc_tanh_eval)(ESC_REAL z) {
  return ESC_OF(esc_tanh_eval_with)(z, ESC_OF(esc_tanh)(z));
}

ESC_SHARED ESC_REAL ESC_OF(esc_tanh_second_derivative)(ESC_REAL z, ESC_OF(esc_eval) e) {
  (void)z;
  return -2 * e.value * e.derivative;
}

ESC_SHARED ESC_OF(esc_eval) ESC_OF(esc_erf_eval)(ESC_REAL z) {
  const ESC_REAL two_over_root_pi = (ESC_REAL)1.1283791670955125739;
  const ESC_REAL h = ESC_OF(esc_erf)(z), g = two_over_root_pi * ESC_OF(esc_gaussian)(1, z);
  const ESC_OF(esc_eval) e = {h, g, ESC_OF(esc_erf_deficit)(z, h, g)};
  return e;
}

ESC_SHARED ESC_REAL ESC_OF(esc_erf_second_derivative)(ESC_REAL z, ESC_OF(esc_eval) e) {
  return -2 * z * e.derivative;
}

ESC_SHARED ESC_OF(esc_eval) ESC_OF(esc_sin_eval)(ESC_REAL z) {
  ESC_REAL s, c;
  ESC_OF(esc_sincos)(z, &s, &c);
  const ESC_OF(esc_eval) e = {s, c, ESC_OF(esc_sin_deficit)(z, s, c)};
  return e;
}

ESC_SHARED ESC_REAL ESC_OF(esc_sin_second_derivative)(ESC_REAL z, ESC_OF(esc_eval) e) {
  (void)z;
  return -e.value;
}

/* z Phi(z), kappa = -z^2 phi(z). */
ESC_SHARED ESC_OF(esc_eval) ESC_OF(esc_gelu_eval)(ESC_REAL z) {
  const ESC_REAL half = (ESC_REAL)0.5, one_over_root_two_pi = (ESC_REAL)0.39894228040143267794;
  const ESC_REAL cdf = ESC_OF(esc_normal_cdf)(z);
  const ESC_REAL density = one_over_root_two_pi * ESC_OF(esc_gaussian)(half, z);
  const ESC_OF(esc_eval) e = {z * cdf, ESC_OF(esc_fma)(z, density, cdf), -(z * density) * z};
  return e;
}

ESC_SHARED ESC_REAL ESC_OF(esc_gelu_second_derivative)(ESC_REAL z, ESC_OF(esc_eval) e) {
  const ESC_REAL half = (ESC_REAL)0.5, one_over_root_two_pi = (ESC_REAL)0.39894228040143267794;
  (void)e;
  return one_over_root_two_pi * ESC_OF(esc_gaussian)(half, z) * (2 - z * z);
}

/* z p with p = 1/(1 + exp(-z)), kappa = -z^2 p (1-p). */
ESC_SHARED ESC_OF(esc_eval) ESC_OF(esc_swish_eval)(ESC_REAL z) {
  const ESC_OF(esc_logistic) p = ESC_OF(esc_logistic_at)(z);
  const ESC_REAL value = z * p.here;
  const ESC_OF(esc_eval)
      e = {value, ESC_OF(esc_fma)(value, p.reflected, p.here), -value * (z * p.reflected)};
  return e;
}

/* sigma' = p + z p q, so sigma'' = p q (2 + z (q - p)). */
ESC_SHARED ESC_REAL ESC_OF(esc_swish_second_derivative)(ESC_REAL z, ESC_OF(esc_eval) e) {
  const ESC_OF(esc_logistic) p = ESC_OF(esc_logistic_at)(z);
  (void)e;
  return p.here * p.reflected * (2 + z * (p.reflected - p.here));
}

/* ln(1 + e^z), kappa = ln(1 + e^{-|z|}) + |z| / (1 + e^{|z|}). */
ESC_SHARED ESC_OF(esc_eval) ESC_OF(esc_softplus_raw_eval)(ESC_REAL z) {
  const ESC_REAL zero = 0;
  const ESC_OF(esc_logistic) p = ESC_OF(esc_logistic_at)(z);
  const ESC_REAL tail = ESC_OF(esc_log1p)(p.decay), smaller = z < 0 ? p.here : p.reflected;
  const ESC_OF(esc_eval)
      e = {(z < 0 ? zero : z) + tail, p.here, ESC_OF(esc_fma)(ESC_ABSOLUTE(z), smaller, tail)};
  return e;
}

ESC_SHARED ESC_REAL ESC_OF(esc_softplus_raw_second_derivative)(ESC_REAL z, ESC_OF(esc_eval) e) {
  (void)z;
  return e.derivative * (1 - e.derivative);
}

/* ln(1 + e^z) - ln 2. Near 0, where that cancels: with y = z/2 and t = tanh y it is
 * y + ln cosh y, kappa = ln cosh y - y t, and ln cosh y = -ln(1 - t^2)/2. */
ESC_SHARED ESC_OF(esc_eval) ESC_OF(esc_softplus_eval)(ESC_REAL z) {
  const ESC_REAL ln_two = (ESC_REAL)0.69314718055994530942;
  const ESC_OF(esc_eval) raw = ESC_OF(esc_softplus_raw_eval)(z);
  const int near = ESC_ABSOLUTE(z) < 2;
  const ESC_REAL y = z / 2, t = ESC_OF(esc_tanh)(y), zero = 0;
  const ESC_REAL log_cosh = ESC_OF(esc_log1p)(near ? -t * t : zero) / -2;
  const ESC_OF(esc_eval) e = {near ? y + log_cosh : raw.value - ln_two, raw.derivative,
                              near ? ESC_OF(esc_fma)(-y, t, log_cosh) : raw.deficit - ln_two};
  return e;
}

ESC_SHARED ESC_REAL ESC_OF(esc_softplus_second_derivative)(ESC_REAL z, ESC_OF(esc_eval) e) {
  return ESC_OF(esc_softplus_raw_second_derivative)(z, e);
}

/* 1/(1 + e^{-z}), kappa = p (1 - z (1-p)). */
ESC_SHARED ESC_OF(esc_eval) ESC_OF(esc_sigmoid_raw_eval)(ESC_REAL z) {
  const ESC_OF(esc_logistic) p = ESC_OF(esc_logistic_at)(z);
  const ESC_OF(esc_eval)
      e = {p.here, p.here * p.reflected, p.here * ESC_OF(esc_fma)(-z, p.reflected, 1)};
  return e;
}

ESC_SHARED ESC_REAL ESC_OF(esc_sigmoid_raw_second_derivative)(ESC_REAL z, ESC_OF(esc_eval) e) {
  (void)z;
  return (1 - 2 * e.value) * e.derivative;
}

/* 1/(1 + e^{-z}) - 1/2 = tanh(z/2)/2. */
ESC_SHARED ESC_OF(esc_eval) ESC_OF(esc_sigmoid_eval)(ESC_REAL z) {
  const ESC_OF(esc_eval) h = ESC_OF(esc_tanh_eval)(z / 2);
  const ESC_OF(esc_eval) e = {h.value / 2, h.derivative / 4, h.deficit / 2};
  return e;
}

ESC_SHARED ESC_REAL ESC_OF(esc_sigmoid_second_derivative)(ESC_REAL z, ESC_OF(esc_eval) e) {
  (void)z;
  return -2 * e.value * e.derivative;
}

/* sum_k a_k z^k for k < terms, kappa = sum_k (1-k) a_k z^k. A loop over z vectorises when `terms`
 * is a constant, for example the largest, with zeros behind the last coefficient. */
ESC_SHARED ESC_OF(esc_eval)
    ESC_OF(esc_polynomial_eval)(const ESC_REAL *coefficient, int terms, ESC_REAL z) {
  ESC_OF(esc_eval) e = {0, 0, 0};
  for (int k = terms - 1; k >= 0; k--) {
    e.derivative = ESC_OF(esc_fma)(e.derivative, z, e.value);
    e.value = ESC_OF(esc_fma)(e.value, z, coefficient[k]);
    e.deficit = ESC_OF(esc_fma)(e.deficit, z, (ESC_REAL)(1 - k) * coefficient[k]);
  }
  return e;
}

ESC_SHARED ESC_OF(esc_eval)
    ESC_OF(esc_polynomial_activate)(const esc_activation *activation, ESC_REAL z) {
  ESC_REAL coefficient[ESC_POLYNOMIAL_TERMS_MAX];
  for (int k = 0; k < activation->terms; k++) {
    coefficient[k] = (ESC_REAL)activation->coefficient[k];
  }
  return ESC_OF(esc_polynomial_eval)(coefficient, activation->terms, z);
}

ESC_SHARED ESC_REAL ESC_OF(esc_polynomial_second_derivative)(const esc_activation *activation,
                                                             ESC_REAL z) {
  ESC_REAL sum = 0;
  for (int k = activation->terms - 1; k >= 2; k--)
    sum = ESC_OF(esc_fma)(sum, z, (ESC_REAL)(k * (k - 1) * activation->coefficient[k]));
  return sum;
}

/* The activation that `activation` names. In a loop over many z switch outside it instead. */
ESC_SHARED ESC_OF(esc_eval) ESC_OF(esc_activate)(const esc_activation *activation, ESC_REAL z) {
  switch (activation->kind) {
#define ESC_CASE(context, kind, function, ...) \
  case ESC_ACTIVATION_##kind: return ESC_OF(esc_##function##_eval)(z);
    ESC_ACTIVATION_FUNCTIONS(ESC_CASE, )
#undef ESC_CASE
    case ESC_ACTIVATION_POLYNOMIAL:
    case ESC_ACTIVATION_COUNT: break;
  }
  return ESC_OF(esc_polynomial_activate)(activation, z);
}

/* sigma''(z); e is the activation at z. */
ESC_SHARED ESC_REAL ESC_OF(esc_second_derivative)(const esc_activation *activation, ESC_REAL z,
                                                  ESC_OF(esc_eval) e) {
  switch (activation->kind) {
#define ESC_CASE(context, kind, function, ...) \
  case ESC_ACTIVATION_##kind: return ESC_OF(esc_##function##_second_derivative)(z, e);
    ESC_ACTIVATION_FUNCTIONS(ESC_CASE, )
#undef ESC_CASE
    case ESC_ACTIVATION_POLYNOMIAL:
    case ESC_ACTIVATION_COUNT: break;
  }
  return ESC_OF(esc_polynomial_second_derivative)(activation, z);
}
