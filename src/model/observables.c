/* SPDX-License-Identifier: Apache-2.0 */
/* The table of observables, used by all code that measures, stores or reads them. */
#include "escapement/internal/results.h"

const esc_observable esc_observables[ESC_OBSERVABLES] = {
#define ROW(name, axis, units, text)                                                   \
  {#name,                                                                              \
   units,                                                                              \
   text,                                                                               \
   #name "_end",                                                                       \
   text                                                                                \
   "; when training ended: at the escape (the last threshold's) or at the end of the " \
   "budget, after steps_run updates",                                                  \
   ESC_AXIS_##axis},
    ESC_OBSERVABLE_LIST(ROW)
#undef ROW
};

int esc_observable_length(int layers, esc_axis axis) {
  return axis == ESC_AXIS_LAYER ? layers : axis == ESC_AXIS_INTERFACE ? layers - 1 : 1;
}

int esc_observable_offset(int layers, int k) {
  int offset = 0;
  for (int i = 0; i < k; i++) offset += esc_observable_length(layers, esc_observables[i].axis);
  return offset;
}

int esc_observation_length(int layers) { return esc_observable_offset(layers, ESC_OBSERVABLES); }
