/* SPDX-License-Identifier: Apache-2.0 */
/* The critical-depth law (docs/theory, section 4.4): r layers at the small scale, the
 * rest O(1), escape after Theta(1), Theta(log 1/epsilon), Theta(epsilon^-(r-2))
 * for r = 1, 2, >= 3. Independent of the signs of the scales. */
#include <math.h>

#include "escapement/internal/theory.h"

static double smallest(int layers, const double *scale) {
  double least = HUGE_VAL;
  for (int l = 0; l < layers; l++) least = fmin(least, fabs(scale[l]));
  return least;
}

esc_critical_depth esc_critical_depth_compute(int layers, const double *scale, double spread) {
  const double bound = spread * smallest(layers, scale);
  double largest = 0, next = HUGE_VAL; /* largest scale inside the bottleneck, smallest outside */
  int r = 0;
  for (int l = 0; l < layers; l++) {
    const double size = fabs(scale[l]);
    if (size > bound) {
      next = fmin(next, size);
    } else {
      largest = fmax(largest, size);
      r++;
    }
  }
  return (esc_critical_depth){
      .r = r, .exponent = r > 2 ? 2 - r : 0, .logarithmic = r == 2, .hierarchy = next / largest};
}
