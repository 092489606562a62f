/* SPDX-License-Identifier: Apache-2.0 */
/* Notification of the caller about phases of the run. */
#include "run/run.h"

void esc_run_phase_begin(const esc_run *r, esc_run_phase phase) {
  const esc_run_callbacks *callbacks = &r->options.callbacks;
  if (callbacks->phase) callbacks->phase(callbacks->context, phase, true);
}

void esc_run_phase_end(const esc_run *r, esc_run_phase phase) {
  const esc_run_callbacks *callbacks = &r->options.callbacks;
  if (callbacks->phase) callbacks->phase(callbacks->context, phase, false);
}
