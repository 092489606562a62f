/* SPDX-License-Identifier: Apache-2.0 */
/* The option --width of the commands that draw figures. */
#ifndef ESC_FIGURE_WIDTH_H
#define ESC_FIGURE_WIDTH_H

#include "escapement/internal/status.h"

#define ESC_FIGURE_WIDTH_WORDS "single|double" /* or inches */
#define ESC_FIGURE_WIDTH_HELP \
  "single (3.4 inches), double (7.0 inches: two journal columns), or 2 to 20 inches"

/* Refuses a width other than single, double or 2 to 20 inches; NULL (no --width) is accepted. */
esc_status esc_figure_width_check(const char *width);

#endif
