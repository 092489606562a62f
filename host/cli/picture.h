/* SPDX-License-Identifier: Apache-2.0 */
/* Options that every command that draws has. */
#ifndef ESC_PICTURE_H
#define ESC_PICTURE_H

#include "escapement/internal/status.h"

/* Of --width. */
#define ESC_PICTURE_WIDTH_WORDS "single|double" /* or inches */
#define ESC_PICTURE_WIDTH_HELP \
  "single (3.4 inches), double (7.0 inches: two journal columns), or 2 to 20 inches"

/* Refuses a width that is neither single, double nor 2 to 20 inches; NULL, none named, is right. */
esc_status esc_picture_width_check(const char *width);

#endif
