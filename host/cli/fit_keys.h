/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of the swept keys in the table of fit. */
#ifndef ESC_FIT_KEYS_H
#define ESC_FIT_KEYS_H

#include "escapement/fit.h"

/* Prints the names of the keys, without their sections, or the values of a group; nothing without a
 * grid. */
void esc_fit_keys_print_head(const esc_fit *fit);
void esc_fit_keys_print_values(const esc_fit *fit, const esc_fit_group *group);

/* "network.width = 16, train.batch = 8; ", cut to `size` bytes; "" without a grid. */
void esc_fit_keys_print(const esc_fit_group *group, char *text, size_t size);

#endif
