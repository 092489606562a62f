/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

json_t *esc_json_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

json_t *esc_json_text(const char *text) {
  json_t *json = json_string(text);
  if (json) return json;
  char *const copy = strdup(text);
  if (!copy) return NULL;
  esc_text_force_utf8(copy);
  json = json_string(copy);
  free(copy);
  return json;
}
