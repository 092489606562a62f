/* SPDX-License-Identifier: Apache-2.0 */
/* Gaussian expectations against numbers from elsewhere: 40-digit adaptive
 * quadrature (mpmath, quad of h(g) npdf(g) on half-integer intervals) or exact. */
#include "check.h"
#include "escapement/internal/activation.h"
#include "escapement/internal/theory.h"

static void steep_products(void *context, double g, double *out) {
  (void)context;
  out[0] = tanh(g) * tanh(2 * g);
  out[1] = erf(g) * erf(4 * g);
  out[2] = tanh(g) * tanh(50 * g);
}

static void products_that_saturate_have_thirteen_digits(void **state) {
  (void)state;
  double mean[3], error;
  esc_assert_ok(esc_gaussian_expectation(&(esc_gaussian_integral){steep_products, NULL, 3, false},
                                         1e-14, mean, &error));
  esc_assert_close(mean[0], 0.4931298982039523662336, 1e-13, 0);
  esc_assert_close(mean[1], 0.5946300564784120363301, 1e-13, 0);
  esc_assert_close(mean[2], 0.5558481445147772202927, 1e-13, 0);
  assert_true(error <= 1e-14);
}

/* g^0, g^2, ..., g^32, of which the last lives at |g| near 5.7 */
static void even_powers(void *context, double g, double *out) {
  (void)context;
  for (int k = 0; k <= 16; k++) out[k] = pow(g, 2 * k);
}

static void even_powers_have_their_double_factorials(void **state) {
  (void)state;
  double mean[17], error, want = 1;
  esc_assert_ok(esc_gaussian_expectation(&(esc_gaussian_integral){even_powers, NULL, 17, false},
                                         1e-13, mean, &error));
  for (int k = 0; k <= 16; k++) {
    if (k > 0) want *= 2 * k - 1;
    esc_assert_close(mean[k], want, 0, 1e-12);
  }
}

/* g^100: beyond the reach of the finite rules, which must notice. */
static void high_power(void *context, double g, double *out) {
  (void)context;
  *out = pow(g, 100);
}

static void what_lies_far_out_is_not_cut_off(void **state) {
  (void)state;
  double mean, error, want = 1;
  for (int k = 99; k > 1; k -= 2) want *= k;
  esc_assert_ok(esc_gaussian_expectation(&(esc_gaussian_integral){high_power, NULL, 1, false},
                                         1e-10, &mean, &error));
  esc_assert_close(mean, want, 0, 1e-10);
}

static void kinks(void *context, double g, double *out) {
  (void)context;
  out[0] = fabs(g);
  out[1] = g > 0;
  out[2] = g > 0 ? g * g * g : 0;
}

static void a_kink_at_zero_costs_no_digits(void **state) {
  (void)state;
  double mean[3], error;
  esc_assert_ok(esc_gaussian_expectation(&(esc_gaussian_integral){kinks, NULL, 3, true}, 1e-13,
                                         mean, &error));
  esc_assert_close(mean[0], sqrt(2 / acos(-1)), 1e-14, 0);
  esc_assert_close(mean[1], 0.5, 1e-14, 0);
  esc_assert_close(mean[2], sqrt(2 / acos(-1)), 1e-14, 0);
  assert_true(error <= 1e-13);
}

/* A kink where no rule expects one. */
static void hidden_kink(void *context, double g, double *out) {
  (void)context;
  *out = fabs(g - 0.3);
}

static void the_error_is_owned_up_to(void **state) {
  (void)state;
  double mean, error;
  const double tail = erfc(0.3 / sqrt(2)) / 2, density = exp(-0.045) / sqrt(2 * acos(-1));
  const double want = 2 * density + 0.3 * (1 - 2 * tail); /* exact */
  esc_assert_ok(esc_gaussian_expectation(&(esc_gaussian_integral){hidden_kink, NULL, 1, false},
                                         1e-14, &mean, &error));
  assert_true(error > 1e-14);
  assert_true(fabs(mean - want) <= 3 * error * want);
}

static void cancelling(void *context, double g, double *out) {
  (void)context;
  out[0] = g * g * g; /* 0 by symmetry */
  out[1] = g * g * g * g - 3;
  out[2] = 0;
}

static void an_expectation_of_zero_is_no_trouble(void **state) {
  (void)state;
  double mean[3], error;
  esc_assert_ok(esc_gaussian_expectation(&(esc_gaussian_integral){cancelling, NULL, 3, false},
                                         1e-13, mean, &error));
  for (int i = 0; i < 3; i++) esc_assert_close(mean[i], 0, 1e-13, 0);
  assert_true(error <= 1e-13);
}

static void infinite(void *context, double g, double *out) {
  (void)context;
  *out = exp(g * g) * g * g;
}

static void a_divergent_expectation_has_an_infinite_error(void **state) {
  (void)state;
  double mean, error;
  esc_assert_ok(esc_gaussian_expectation(&(esc_gaussian_integral){infinite, NULL, 1, false}, 1e-10,
                                         &mean, &error));
  assert_false(error < 0.1);
}

/* ---- rules for the chain ---- */

typedef struct chain {
  const char *activation;
  int layers;
  double scale;
} chain;

/* sigma(s sigma(... s sigma(s g))) s without the rule's own code. */
static double network(const esc_activation *a, int layers, double scale, double g) {
  double z = scale * g;
  for (int l = 1; l < layers; l++) z = scale * esc_activate_f64(a, z).value;
  return z;
}

/* E[(sigma(g) - f) f] and E[sigma(g) g] by the rule. */
static void averages(const esc_activation *a, const chain *c, const esc_quadrature *rule,
                     double out[2]) {
  const double *node = rule->node, *weight = rule->weight;
  out[0] = out[1] = 0;
  for (int i = 0; i < rule->count; i++) {
    const double f = network(a, c->layers, c->scale, node[i]);
    const double teacher = esc_activate_f64(a, node[i]).value;
    out[0] += weight[i] * (teacher - f) * f;
    out[1] += weight[i] * teacher * node[i];
  }
}

/* 2^17 midpoints on +-15, away from the kink of relu. */
enum { FINE = 1 << 17 };
static void fine_averages(const esc_activation *a, const chain *c, double out[2]) {
  static double node[FINE], weight[FINE];
  const double step = 30.0 / FINE;
  for (int i = 0; i < FINE; i++) {
    node[i] = (i + 0.5) * step - 15;
    weight[i] = step * exp(-node[i] * node[i] / 2) / sqrt(2 * acos(-1));
  }
  averages(a, c, &(esc_quadrature){FINE, node, weight}, out);
}

static void check_rule(const chain *c) {
  esc_activation a;
  esc_quadrature rule;
  double got[2], want[2], total = 0;
  assert_true(esc_activation_parse(c->activation, &a));
  esc_assert_ok(esc_gaussian_rule(&a, c->layers, c->scale, 1e-11, &rule));
  averages(&a, c, &rule, got);
  fine_averages(&a, c, want);
  for (int i = 0; i < rule.count; i++) total += rule.weight[i];
  const double kink = strcmp(c->activation, "relu") ? 0 : 1e-8; /* what midpoints lose there */
  esc_assert_close(got[0], want[0], 1e-11 + kink, 1e-11);
  esc_assert_close(got[1], want[1], 1e-11 + kink, 0);
  esc_assert_close(total, 1, 1e-13, 0);
  esc_quadrature_free(&rule);
}

static void a_rule_averages_the_chain_it_is_made_for(void **state) {
  (void)state;
  static const chain chains[] = {
      {"linear", 3, 0.7},
      {"relu", 2, 1.1},
      {"relu", 6, 0.9},
      {"tanh", 2, 0.1},
      {"tanh", 5, 1},
      {"tanh", 6, 3},
      {"tanh", 2, 300},
      {"erf", 4, 1.5},
      {"sin", 4, 1.2},
      {"gelu", 4, 1.4},
      {"swish", 3, 2},
      {"softplus", 5, 1},
      {"sigmoid", 6, 1.6},
      {"softplus-raw", 3, 0.8},
      {"sigmoid-raw", 64, 0.5},
      {"poly:0,1,0,-0.1", 4, 0.6},
      {"poly:0,-1,0.3", 3, 0.5},
  };
  for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) check_rule(&chains[i]);
}

/* Split at its kink it is smooth on both sides. */
static void a_rule_for_relu_is_short(void **state) {
  (void)state;
  const esc_activation relu = {.kind = ESC_ACTIVATION_RELU};
  esc_quadrature rule;
  esc_assert_ok(esc_gaussian_rule(&relu, 4, 0.8, 1e-12, &rule));
  assert_in_range(rule.count, 1, 64);
  esc_quadrature_free(&rule);
}

static void a_rule_that_cannot_be_is_refused_in_words(void **state) {
  (void)state;
  esc_activation cubic;
  esc_quadrature rule;
  assert_true(esc_activation_parse("poly:0,1,0,-1", &cubic));
  assert_int_equal(esc_gaussian_rule(&cubic, 6, 1, 1e-11, &rule), ESC_BAD_INPUT);
  assert_non_null(strstr(esc_error_message(), "6 layers at scales up to 1"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_that_saturate_have_thirteen_digits),
      cmocka_unit_test(even_powers_have_their_double_factorials),
      cmocka_unit_test(what_lies_far_out_is_not_cut_off),
      cmocka_unit_test(a_kink_at_zero_costs_no_digits),
      cmocka_unit_test(the_error_is_owned_up_to),
      cmocka_unit_test(an_expectation_of_zero_is_no_trouble),
      cmocka_unit_test(a_divergent_expectation_has_an_infinite_error),
      cmocka_unit_test(a_rule_averages_the_chain_it_is_made_for),
      cmocka_unit_test(a_rule_for_relu_is_short),
      cmocka_unit_test(a_rule_that_cannot_be_is_refused_in_words),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
