/* SPDX-License-Identifier: Apache-2.0 */
/* Table of the environment variables that the library and the program read, for man pages and
 * completions. tests/guide compares it with the sources. */
#ifndef ESC_ENVIRONMENT_H
#define ESC_ENVIRONMENT_H

#include <stdbool.h>

typedef struct esc_environment_variable {
  const char *name, *help;
  bool internal; /* between processes of the program: not for users */
} esc_environment_variable;

extern const esc_environment_variable esc_environment[];
extern const int esc_environment_variables;

#endif
