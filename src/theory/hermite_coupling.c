/* SPDX-License-Identifier: Apache-2.0 */
/* Couplings between even and odd Hermite polynomials by multiplication with sigma, an example of
 * nested truncations (docs/theory, section 6.8). */
#include <math.h>
#include <stdlib.h>

#include "escapement/internal/pieces.h"
#include "escapement/internal/spectrum.h"
#include "escapement/internal/theory.h"

/* he[m] = He_m(g) / sqrt(m!), m < count. */
static void hermite(double g, int count, double *he) {
  he[0] = 1;
  if (count > 1) he[1] = g;
  for (int m = 1; m + 1 < count; m++) he[m + 1] = (g * he[m] - sqrt(m) * he[m - 1]) / sqrt(m + 1);
}

/* even_odd[i][j] = E[sigma(g) he[2i] he[2j + 1]], by the trapezoid rule on +-14. */
static void multiply_by_sigma(const esc_activation *a, int n, double *even_odd, double *he) {
  const double step = 0.05, range = 14;
  for (int i = 0; i < n * n; i++) even_odd[i] = 0;
  for (double g = -range; g <= range; g += step) {
    const double weight = step * exp(-g * g / 2) * 0.39894228040143267794;
    const double value = weight * esc_theory_activate(a, g).value;
    hermite(g, 2 * n, he);
    for (int i = 0; i < n; i++)
      for (int j = 0; j < n; j++) even_odd[i * n + j] += value * he[2 * i] * he[2 * j + 1];
  }
}

esc_status esc_hermite_coupling(const esc_activation *activation, int n, double strength,
                                double *j) {
  esc_status status = ESC_OK;
  double *product = malloc((size_t)(n * n) * sizeof *product);
  double *he = malloc((size_t)(2 * n) * sizeof *he);
  ESC_TRY_ALLOCATE(product);
  ESC_TRY_ALLOCATE(he);
  multiply_by_sigma(activation, n, product, he);
  for (int i = 0; i < 4 * n * n; i++) j[i] = 0;
  for (int i = 0; i < n; i++) {
    j[i * 2 * n + i] = -(1 + 2 * i);
    j[(n + i) * 2 * n + n + i] = -(2 + 2 * i);
    for (int k = 0; k < n; k++) {
      const double coupling = strength * fabs(product[i * n + k]);
      j[i * 2 * n + n + k] = coupling;
      j[(n + k) * 2 * n + i] = coupling;
    }
  }
done:
  free(product);
  free(he);
  return status;
}
