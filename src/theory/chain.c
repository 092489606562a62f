/* SPDX-License-Identifier: Apache-2.0 */
/* The scalar chain f = s_L sigma(s_{L-1} ... sigma(s_1 g)) on the symmetric
 * manifold, and the reduced ODE's right-hand side and Jacobian (docs/theory, section 3.2).
 *
 * With h_0 = g, z_l = s_l h_{l-1}, h_l = sigma(z_l), f = z_L, and F_l the map from
 * z_l to f:
 *   df/ds_l        = F_l' h_{l-1},
 *   d2f/ds_l ds_m  = (F_m'' s_m h_{m-1} + F_m') dh_{m-1}/ds_l    for l < m,
 *   d2f/ds_m^2     = F_m'' h_{m-1}^2,
 * F_l' and F_l'' by recursion from the output. The flow is a gradient flow, so
 * the Jacobian is symmetric. */
#include "chain.h"

#include <math.h>
#include <string.h>

#include "escapement/internal/pieces.h"

typedef struct chain {
  double value;                      /* f */
  double input[ESC_LAYERS_MAX];      /* h_{l-1} */
  double gradient[ESC_LAYERS_MAX];   /* df/ds_l */
  double d1[ESC_LAYERS_MAX];         /* sigma'(z_l); not of the last layer */
  double d2[ESC_LAYERS_MAX];         /* sigma''(z_l); likewise */
  double backward[ESC_LAYERS_MAX];   /* F_l' */
  double backward_2[ESC_LAYERS_MAX]; /* F_l'' */
} chain;

static void chain_forward(const esc_activation *activation, int layers, const double *s, double g,
                          bool second, chain *c) {
  c->input[0] = g;
  for (int l = 0; l + 1 < layers; l++) {
    const double z = s[l] * c->input[l];
    const esc_eval_f64 e = esc_theory_activate(activation, z);
    c->input[l + 1] = e.value;
    c->d1[l] = e.derivative;
    if (second) c->d2[l] = esc_theory_second_derivative(activation, z, e);
  }
  c->value = s[layers - 1] * c->input[layers - 1];
}

static void chain_backward(int layers, const double *s, bool second, chain *c) {
  c->backward[layers - 1] = 1;
  c->backward_2[layers - 1] = 0;
  for (int l = layers - 2; l >= 0; l--) {
    const double factor = s[l + 1] * c->d1[l];
    c->backward[l] = c->backward[l + 1] * factor;
    if (second)
      c->backward_2[l] =
          c->backward_2[l + 1] * factor * factor + c->backward[l + 1] * s[l + 1] * c->d2[l];
  }
  for (int l = 0; l < layers; l++) c->gradient[l] = c->backward[l] * c->input[l];
}

/* Adds weight * (residual d2f/ds_l ds_m - df/ds_l df/ds_m) for l <= m. */
static void add_jacobian(const chain *c, int layers, const double *s, double weight,
                         double residual, double *jacobian) {
  for (int l = 0; l < layers; l++) {
    const double diagonal_term = c->backward_2[l] * c->input[l] * c->input[l];
    double tangent = c->input[l]; /* dz_l/ds_l, then dh_{m-1}/ds_l */
    jacobian[l * layers + l] +=
        weight * (residual * diagonal_term - c->gradient[l] * c->gradient[l]);
    for (int m = l + 1; m < layers; m++) {
      tangent *= (m - 1 > l ? s[m - 1] : 1) * c->d1[m - 1];
      const double mixed = (c->backward_2[m] * s[m] * c->input[m] + c->backward[m]) * tangent;
      jacobian[l * layers + m] += weight * (residual * mixed - c->gradient[l] * c->gradient[m]);
    }
  }
}

static void symmetrise(int n, double *matrix) {
  for (int i = 0; i < n; i++)
    for (int j = 0; j < i; j++) matrix[i * n + j] = matrix[j * n + i];
}

void esc_reduced_rhs(const esc_escape_problem *problem, const esc_quadrature *rule, const double *s,
                     double *rhs, double *jacobian) {
  const int layers = problem->layers;
  const double *node = rule->node, *weight = rule->weight;
  const size_t length = (size_t)layers;
  const bool second = jacobian != NULL;
  chain c;
  memset(rhs, 0, length * sizeof *rhs);
  if (second) memset(jacobian, 0, length * length * sizeof *jacobian);
  for (int i = 0; i < rule->count; i++) {
    chain_forward(&problem->activation, layers, s, node[i], second, &c);
    chain_backward(layers, s, second, &c);
    const double teacher = esc_theory_activate(&problem->activation, node[i]).value;
    const double residual = problem->amplitude * teacher - c.value;
    for (int l = 0; l < layers; l++) rhs[l] += weight[i] * residual * c.gradient[l];
    if (second) add_jacobian(&c, layers, s, weight[i], residual, jacobian);
  }
  if (second) symmetrise(layers, jacobian);
  for (int l = 0; l < layers; l++) rhs[l] -= problem->decay * s[l];
  for (int l = 0; second && l < layers; l++) jacobian[l * layers + l] -= problem->decay;
}

/* NaN where a polynomial produces infinities of both signs; every comparison with it fails. */
void esc_reduced_term_sizes(const esc_escape_problem *problem, const esc_quadrature *rule,
                            const double *s, double *size) {
  const int layers = problem->layers;
  const double *node = rule->node, *weight = rule->weight;
  chain c;
  memset(size, 0, (size_t)layers * sizeof *size);
  for (int i = 0; i < rule->count; i++) {
    chain_forward(&problem->activation, layers, s, node[i], false, &c);
    chain_backward(layers, s, false, &c);
    const double teacher = esc_theory_activate(&problem->activation, node[i]).value;
    const double terms = fabs(problem->amplitude * teacher) + fabs(c.value);
    for (int l = 0; l < layers; l++) size[l] += weight[i] * terms * fabs(c.gradient[l]);
  }
  for (int l = 0; l < layers; l++) size[l] += problem->decay * fabs(s[l]);
}

double esc_chain_output(const esc_activation *activation, int layers, const double *s, double g) {
  double h = g;
  for (int l = 0; l < layers; l++) h = esc_theory_activate(activation, s[l] * h).value;
  return h;
}

double esc_reduced_loss(const esc_escape_problem *problem, const esc_quadrature *rule,
                        const double *s) {
  const double *node = rule->node, *weight = rule->weight;
  const esc_activation *sigma = &problem->activation;
  const int last = problem->layers - 1;
  double sum = 0;
  for (int i = 0; i < rule->count; i++) {
    const double f = s[last] * esc_chain_output(sigma, last, s, node[i]);
    const double residual = problem->amplitude * esc_theory_activate(sigma, node[i]).value - f;
    sum += weight[i] * residual * residual;
  }
  return sum / 2;
}
