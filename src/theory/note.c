/* SPDX-License-Identifier: Apache-2.0 */
/* The note of an escape time: its conditions, or the reason why it is missing. */
#include "note.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SCALES_SHOWN = 6 };

void esc_note_append(esc_escape_times *times, const char *format, ...) {
  char *text = times->note;
  const size_t size = sizeof times->note, used = strlen(text);
  va_list arguments;
  va_start(arguments, format);
  const int separator = snprintf(text + used, size - used, "%s", used ? "; " : "");
  if (used + (size_t)separator < size)
    vsnprintf(text + used + separator, size - used - (size_t)separator, format, arguments);
  va_end(arguments);
}

void esc_state_print(int layers, const double *scale, char *text) {
  int used = snprintf(text, ESC_STATE_TEXT_SIZE, "s = (");
  for (int l = 0; l < layers && l < SCALES_SHOWN; l++)
    used += snprintf(text + used, (size_t)(ESC_STATE_TEXT_SIZE - used), "%s%.4g", l ? ", " : "",
                     scale[l]);
  snprintf(text + used, (size_t)(ESC_STATE_TEXT_SIZE - used),
           layers > SCALES_SHOWN ? ", ...)" : ")");
}
