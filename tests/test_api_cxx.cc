/* SPDX-License-Identifier: Apache-2.0 */
/* The public headers from C++: they compile together, and their functions link with C's names. */
#include <cmath>
#include <cstdio>
#include <cstring>

#include "escapement/escapement.h" /* all of include/escapement */

static int failures = 0;

static void check(bool holds, const char *property) {
  if (holds) return;
  std::fprintf(stderr, "%s: %s\n", property, esc_error_message());
  failures++;
}

int main() {
  esc_activation tanh_activation{};
  esc_classification c{};
  check(esc_activation_from_text("tanh", &tanh_activation) == ESC_OK, "tanh is an activation");
  check(esc_activation_classify(&tanh_activation, &c) == ESC_OK && c.class_ == ESC_CLASS_B,
        "tanh is of class B");

  esc_escape_problem problem{};
  esc_escape_times times{};
  problem.activation = tanh_activation;
  problem.amplitude = 1;
  problem.layers = 2;
  problem.scale[0] = problem.scale[1] = 0.1;
  problem.to = 0.3;
  check(esc_escape_times_compute(&problem, &times) == ESC_OK && std::isfinite(times.ode),
        "two layers escape");

  problem.to = -1;
  check(esc_escape_times_compute(&problem, &times) == ESC_BAD_INPUT &&
            std::strstr(esc_error_message(), "to: is -1") != nullptr,
        "a scale below 0 is refused by name");
  return failures;
}
