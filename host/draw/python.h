/* SPDX-License-Identifier: Apache-2.0 */
/* Drawing scripts, which travel inside the program, as separate processes. */
#ifndef ESC_PYTHON_H
#define ESC_PYTHON_H

#include "escapement/internal/status.h"

/* Path of the interpreter that the last esc_python_run used; "" before. */
const char *esc_python(void);

/* Loads `script` and all that it imports, and runs nothing of it; fails as esc_python_run does. */
esc_status esc_python_check(const char *script, const char *command);

/* Runs `script` with the first interpreter that can import matplotlib: $ESCAPEMENT_PYTHON and no
 * other if that is set, else python3 on $PATH, else /usr/bin/python3; isolated (-I) and without
 * PYTHON* in its environment, with `arguments` (up to 8, NULL behind them) and `input` on its
 * standard input. Its exit status 2 is ESC_BAD_INPUT with its last line on standard error; any
 * other but 0 ESC_LIBRARY_FAILED; without an interpreter too, with each that was tried and its
 * error. */
esc_status esc_python_run(const char *script, const char *command, const char *input,
                          char *const *arguments);

#endif
