/* SPDX-License-Identifier: Apache-2.0 */
/* The plateau's Jacobian and Duhamel's form, as `blocks --spectrum` tells them. */
#ifndef ESC_BLOCKS_SPECTRUM_H
#define ESC_BLOCKS_SPECTRUM_H

#include <jansson.h>

#include "escapement/blocks.h"

json_t *esc_blocks_spectrum_json(const esc_plateau_spectrum *s);
void esc_blocks_spectrum_print(const esc_plateau_spectrum *s);

#endif
