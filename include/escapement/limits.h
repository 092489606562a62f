/* SPDX-License-Identifier: Apache-2.0 */
/* The largest problems that are described, trained or evaluated. */
#ifndef ESCAPEMENT_LIMITS_H
#define ESCAPEMENT_LIMITS_H

enum {
  ESC_LAYERS_MAX = 64, /* a layer set is one 64-bit mask */
  ESC_WIDTH_MAX = 4096,
  ESC_INPUTS_MAX = 4096,
  ESC_BATCH_MAX = 1 << 20,
  ESC_MODES_MAX = 64,
  ESC_THRESHOLDS_MAX = 16,
  ESC_POLYNOMIAL_TERMS_MAX = 17 /* a_0 ... a_16 */
};

#endif
