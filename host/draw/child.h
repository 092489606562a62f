/* Child processes that do not outlive this one. */
#ifndef ESC_CHILD_H
#define ESC_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "escapement/internal/status.h"

typedef struct esc_child_spec {
  const char *program;    /* a path, or a name on $PATH */
  char *const *arguments; /* NULL behind them */
  const char *leave_out;  /* variables that begin so are not in its environment; NULL: all are */
  bool piped;             /* its standard input, and its output with its errors, are pipes */
  bool silent;            /* its standard output is /dev/null */
} esc_child_spec;

/* Starts a child, which gets TERM when this process ends in whatever way. *input and *output are
 * our ends of the pipes (of a piped one; they do not block), to be closed. *error is errno if the
 * program cannot be started, which is no failure here. */
esc_status esc_child_start(const esc_child_spec *spec, const char *verb, pid_t *child, int *input,
                           int *output, int *error);

/* Waits for its end; the status of waitpid. */
int esc_child_wait(pid_t child);

/* Starts a child (not a piped one) and waits for its end, the status of waitpid in *ended. What
 * asks this process to stop (signals.h) is relayed to it as one TERM from the first moment on, so
 * that it can save; INT of a terminal, which the child gets itself, is not. */
esc_status esc_child_run(const esc_child_spec *spec, const char *verb, int *ended, int *error);

#endif
