/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/picture.h"

#include <string.h>

#include "base/text.h"
#include "escapement/internal/number.h"

esc_status esc_picture_width_check(const char *width) {
  double inches = 0;
  if (!width || !strcmp(width, "single") || !strcmp(width, "double")) return ESC_OK;
  if (!esc_number_parse(width, strlen(width), &inches) && inches >= 2 && inches <= 20)
    return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "--width %s: allowed: single, double, or 2 to 20 (inches)",
                  esc_quote(width, strlen(width)).text);
}
