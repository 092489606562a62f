/* SPDX-License-Identifier: Apache-2.0 */
/* Activations of 16 numbers at once against those of one. */
#include "escapement/internal/vector_activation.h"

#include "check.h"
#include "escapement/internal/activation.h"

/* Largest error in units of 2^-52 (1 + |scalar|); infinite for NaN. */
static double error(double lane, double scalar) {
  const double e = fabs(lane - scalar) / (0x1p-52 * (1 + fabs(scalar)));
  return e <= 1e300 ? e : (double)INFINITY;
}

static double largest_error(const esc_activation *a, double from) {
  esc_vector z, value, d1, d2;
  double largest = 0;
  for (int s = 0; s < ESC_VECTOR_LANES; s++) z[s] = from + 0.0123 * s;
  esc_vector_activate(a, z, value, d1, d2);
  for (int s = 0; s < ESC_VECTOR_LANES; s++) {
    const esc_eval_f64 e = esc_activate_f64(a, z[s]);
    largest = fmax(largest, error(value[s], e.value));
    largest = fmax(largest, error(d1[s], e.derivative));
    largest = fmax(largest, error(d2[s], esc_second_derivative_f64(a, z[s], e)));
  }
  return largest;
}

/* 6: about four rounded operations that do not cancel, doubled where a factor 2 follows. */
static void lanes_are_the_scalar_activations(void **state) {
  (void)state;
  const char *name[] = {"tanh", "sigmoid", "sigmoid-raw", "swish", "gelu", "poly:0,1,0,-0.1",
                        "erf",  "sin",     "softplus"};
  for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
    esc_activation a;
    assert_true(esc_activation_parse(name[i], &a));
    for (double from = -12; from < 12; from += 0.19) {
      const double largest = largest_error(&a, from);
      if (!(largest <= 6)) fail_msg("%s near %g: %g units", name[i], from, largest);
    }
  }
}

/* z beyond what e^z can give a double. */
static void lanes_saturate_at_large_arguments(void **state) {
  (void)state;
  const char *name[] = {"tanh", "sigmoid", "swish", "gelu"};
  for (int i = 0; i < 4; i++) {
    esc_activation a;
    assert_true(esc_activation_parse(name[i], &a));
    for (double from = -1e4; from <= 1e4; from += 2e4) assert_true(largest_error(&a, from) <= 6);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lanes_are_the_scalar_activations),
      cmocka_unit_test(lanes_saturate_at_large_arguments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
