/* SPDX-License-Identifier: Apache-2.0 */
/* Activations by the names that users write. */
#include "escapement/activation.h"

#include <string.h>

#include "base/text.h"
#include "escapement/internal/problem.h"
#include "escapement/internal/status.h"

esc_status esc_activation_from_text(const char *text, esc_activation *out) {
#define NAMED(context, kind, function, name, ...) name ", "
  static const char names[] = ESC_ACTIVATIONS(NAMED, );
#undef NAMED
  const int named = (int)sizeof names - (int)sizeof "poly, "; /* the last has its coefficients */
  if (esc_activation_parse(text, out)) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: is not an activation; allowed: %.*sor poly:a0,a1,... (1 to %d coefficients)",
                  esc_quote(text, strlen(text)).text, named, names, ESC_POLYNOMIAL_TERMS_MAX);
}
