/* An activation at 16 nodes at once. Nine tenths of a block flow's time would go into the
 * library's tanh, one number at a time: so tanh has a form here that vectorises, within a few
 * ulp of it. The others go through activation.h. */
#include "lanes.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "curvature.h"
#include "escapement/activation.h"

enum { LANES = ESC_BLOCK_LANES };

/* tanh z = -m / (2 + m) with m = e^x - 1, x = -2|z|. With x = n ln 2 + r and |r| <= ln 2 / 2,
 * m = 2^n (e^r - 1) + (2^n - 1), e^r - 1 by its series to r^13: nothing cancels. */
ESC_FOR_EVERY_WIDTH
static void lanes_tanh(const double *restrict z, double *restrict h) {
  static const double series[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800,
                                  1.0 / 362880,     1.0 / 40320,     1.0 / 5040,     1.0 / 720,
                                  1.0 / 120,        1.0 / 24,        1.0 / 6,        1.0 / 2};
  /* ln_two has zeros at its end, so that n ln_two is exact. */
  const double round = 0x1.8p52, ln_two = 0x1.62e42feep-1, ln_two_low = 0x1.a39ef35793c76p-33;
  esc_block_lane r, scale, sum;
  for (int s = 0; s < LANES; s++) {
    const double twice = -2 * fabs(z[s]), x = twice < -80 ? -80 : twice;
    const double shifted = x * 1.4426950408889634074 + round, n = shifted - round;
    int64_t bits; /* of shifted: n in the lowest ones */
    r[s] = (x - n * ln_two) - n * ln_two_low;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (int64_t)((uint64_t)(bits + 1023) << 52);
    memcpy(&scale[s], &bits, sizeof bits);
    sum[s] = series[0];
  }
  for (int i = 1; i < 12; i++)
    for (int s = 0; s < LANES; s++) sum[s] = sum[s] * r[s] + series[i];
  for (int s = 0; s < LANES; s++) {
    const double m = scale[s] * (sum[s] * r[s] * r[s] + r[s]) + (scale[s] - 1);
    h[s] = copysign(-m / (2 + m), z[s]);
  }
}

static void activate_tanh(const double *z, double *value, double *slope, double *bend) {
  lanes_tanh(z, value);
  for (int s = 0; s < LANES; s++) slope[s] = 1 - value[s] * value[s];
  for (int s = 0; bend && s < LANES; s++) bend[s] = -2 * value[s] * slope[s];
}

void esc_lanes_activate(const esc_activation *a, const esc_block_lane z, esc_block_lane value,
                        esc_block_lane slope, double *bend) {
  if (a->kind == ESC_ACTIVATION_TANH) {
    activate_tanh(z, value, slope, bend);
    return;
  }
  for (int s = 0; s < LANES; s++) {
    const esc_eval_f64 e = esc_activate_f64(a, z[s]);
    value[s] = e.value;
    slope[s] = e.derivative;
    if (bend) bend[s] = esc_curvature(a, z[s], &e);
  }
}
