#include "curvature.h"

static double polynomial(const esc_activation *a, double z) {
  double sum = 0;
  for (int k = a->terms - 1; k >= 2; k--) sum = fma(sum, z, k * (k - 1) * a->coefficient[k]);
  return sum;
}

/* sigma' = p + z p q, so sigma'' = p q (2 + z (q - p)). */
static double swish(double z) {
  const esc_logistic_f64 p = esc_logistic_at_f64(z);
  return p.here * p.reflected * (2 + z * (p.reflected - p.here));
}

double esc_curvature(const esc_activation *a, double z, const esc_eval_f64 *e) {
  switch (a->kind) {
    case ESC_ACTIVATION_LINEAR:
    case ESC_ACTIVATION_RELU: return 0;
    case ESC_ACTIVATION_TANH: return -2 * e->value * e->derivative;
    case ESC_ACTIVATION_ERF: return -2 * z * e->derivative;
    case ESC_ACTIVATION_SIN: return -e->value;
    case ESC_ACTIVATION_GELU:
      return 0.39894228040143267794 * esc_gaussian_f64(0.5, z) * (2 - z * z);
    case ESC_ACTIVATION_SWISH: return swish(z);
    case ESC_ACTIVATION_SOFTPLUS:
    case ESC_ACTIVATION_SOFTPLUS_RAW: return e->derivative * (1 - e->derivative);
    case ESC_ACTIVATION_SIGMOID: return -2 * e->value * e->derivative;
    case ESC_ACTIVATION_SIGMOID_RAW: return (1 - 2 * e->value) * e->derivative;
    case ESC_ACTIVATION_POLYNOMIAL:
    case ESC_ACTIVATION_COUNT: break;
  }
  return polynomial(a, z);
}
