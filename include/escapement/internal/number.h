/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers in text, read strictly and written exactly, whatever the locale.
 *
 * A number is a decimal such as 3, -0.5, .05 or 1e-3: no sign +, no leading
 * zeros, no hexadecimal, no _ or thousands separators, no nan, no inf, nothing
 * behind it. A number outside the range of normal doubles is refused, too. */
#ifndef ESCAPEMENT_NUMBER_H
#define ESCAPEMENT_NUMBER_H

#include <stddef.h>
#include <stdint.h>

/* Capacity for the output of esc_number_print, with its NUL. */
enum { ESC_NUMBER_SIZE = 32 };

/* Reads all `length` bytes of `text`. Returns NULL, or the fault as text that follows the value in
 * a message ("is too large"); then *value is unchanged. */
const char *esc_number_parse(const char *text, size_t length, double *value);

/* The same for whole numbers. 4e5 and 1.5e3 are whole numbers, 1.0 is not. */
const char *esc_integer_parse(const char *text, size_t length, int64_t *value);

/* Writes a finite `value` so that esc_number_parse and any YAML reader give the
 * same double back: as few digits as do, always with a point ("1.0", "1.0e-05"). */
void esc_number_print(double value, char *text, size_t size);

#endif
