/* Drawing scripts, which travel inside the program, as processes of their own. */
#ifndef ESC_PYTHON_H
#define ESC_PYTHON_H

#include "escapement/status.h"

/* The interpreter: $ESCAPEMENT_PYTHON, or Debian's, which has its matplotlib. */
const char *esc_python(void);

/* Runs `script` with `arguments` (up to 8, NULL behind them) and `input` on its standard input.
 * Its exit status 2 is ESC_BAD_INPUT with its last line on standard error; any other but 0
 * ESC_LIBRARY_FAILED. */
esc_status esc_python_run(const char *script, const char *verb, const char *input,
                          char *const *arguments);

#endif
