/* SPDX-License-Identifier: Apache-2.0 */
#include "escapement/run.h"

void esc_run_options_init(esc_run_options *options) {
  *options = (esc_run_options){.device = -1, .checkpoint_seconds = 60};
}
