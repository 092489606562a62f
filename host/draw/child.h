/* SPDX-License-Identifier: Apache-2.0 */
/* Child processes that do not outlive this one. */
#ifndef ESC_CHILD_H
#define ESC_CHILD_H

#include <sys/types.h>

#include "escapement/internal/status.h"

typedef struct esc_child_spec {
  const char *program;    /* a path, or a name on $PATH */
  char *const *arguments; /* NULL behind them */
  const char *leave_out;  /* variables that begin so are not in its environment; NULL: all are */
} esc_child_spec;

/* Starts a child, which gets TERM when this process ends in whatever way. Its standard input, and
 * its standard output and error together, are pipes: *input and *output are our ends, which do not
 * block and are the caller's to close. *error is errno where the program cannot be started, which
 * is no failure here; then there are no ends. */
esc_status esc_child_start(const esc_child_spec *spec, const char *command, pid_t *child,
                           int *input, int *output, int *error);

/* Waits for its end; the status of waitpid. */
int esc_child_wait(pid_t child);

#endif
