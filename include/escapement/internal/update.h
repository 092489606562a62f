/* SPDX-License-Identifier: Apache-2.0 */
/* One weight's update, in float. */
#ifndef ESCAPEMENT_UPDATE_H
#define ESCAPEMENT_UPDATE_H

#include "escapement/internal/float_math.h"

typedef struct esc_updated {
  float w, compensation;
  int nonzero_update, rounded_away; /* 1 or 0: G != 0; of these, w did not change */
} esc_updated;

/* w - rate g. */
ESC_SHARED esc_updated esc_update_plain(float rate, float g, float w) {
  const float next = esc_fma_f32(-rate, g, w);
  const int nonzero = g != 0.0f;
  const esc_updated u = {next, 0.0f, nonzero, nonzero & (next == w)};
  return u;
}

/* w - rate g, compensated: the rounding error (two-sum) is kept and added to the next step. */
ESC_SHARED esc_updated esc_update_compensated(float rate, float g, float w, float compensation) {
  const float step = esc_fma_f32(-rate, g, compensation);
  const float next = esc_add_f32(w, step), kept = esc_sub_f32(next, w);
  const float left = esc_add_f32(esc_sub_f32(w, esc_sub_f32(next, kept)), esc_sub_f32(step, kept));
  const int nonzero = g != 0.0f;
  const esc_updated u = {next, left, nonzero, nonzero & (step == compensation)};
  return u;
}

#endif
