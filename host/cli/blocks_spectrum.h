/* SPDX-License-Identifier: Apache-2.0 */
/* Jacobian of the plateau and Duhamel's formula: output of `blocks --spectrum`. */
#ifndef ESC_BLOCKS_SPECTRUM_H
#define ESC_BLOCKS_SPECTRUM_H

#include <jansson.h>

#include "escapement/blocks.h"

json_t *esc_blocks_spectrum_json(const esc_plateau_spectrum *s);
void esc_blocks_spectrum_print(const esc_plateau_spectrum *s);

#endif
