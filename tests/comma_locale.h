/* SPDX-License-Identifier: Apache-2.0 */
/* A locale whose decimal point is a comma, as a program around the library may have set it: one
 * that is installed, else one that localedef makes in the test's directory. */
#ifndef ESC_COMMA_LOCALE_H
#define ESC_COMMA_LOCALE_H

#include <locale.h>
#include <stdbool.h>

#include "scratch.h"

static inline bool set_comma_locale(void) {
  static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8",
                                      "comma"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (setlocale(LC_NUMERIC, names[i]) && !strcmp(localeconv()->decimal_point, ",")) return true;
  return false;
}

/* Skips the test where there is no such locale. */
static inline void enter_comma_locale(void) {
  char command[1200];
  if (set_comma_locale()) return;
  snprintf(command, sizeof command,
           "localedef --no-warnings=all -c -i de_DE -f UTF-8 %s >/dev/null 2>&1", scratch("comma"));
  setenv("LOCPATH", scratch_directory, 1);
  if (system(command) == -1 || !set_comma_locale()) {
    fprintf(stderr, "no locale with a decimal comma is installed, and localedef makes none\n");
    skip();
  }
}

static inline void leave_comma_locale(void) { setlocale(LC_NUMERIC, "C"); }

#endif
