#include "child.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "signals.h"

extern char **environ;

/* Signals wait while the child is being started: none is lost between its birth and the moment that
 * it is known here; a follower keeps them blocked until it has its own handlers. */
int esc_child_start(const char *program, char *const *arguments, const esc_child_options *options,
                    pid_t *child) {
  posix_spawnattr_t attributes;
  sigset_t before, blocked;
  char parent[24];
  snprintf(parent, sizeof parent, "%lld", (long long)getpid());
  esc_signals_block(&before, &blocked);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, (short)(POSIX_SPAWN_SETSIGMASK |
                                                (options->own_group ? POSIX_SPAWN_SETPGROUP : 0)));
  posix_spawnattr_setsigmask(&attributes, options->follower ? &blocked : &before);
  if (options->follower) setenv(esc_signals_parent_variable, parent, 1);
  const int failed = posix_spawnp(child, program, options->files, &attributes, arguments, environ);
  if (options->follower) unsetenv(esc_signals_parent_variable);
  posix_spawnattr_destroy(&attributes);
  if (failed) *child = 0;
  if (!failed && options->watched) esc_signals_set_child(*child, options->follower);
  sigprocmask(SIG_SETMASK, &before, NULL);
  return failed;
}

int esc_child_wait(pid_t child) {
  siginfo_t ignored;
  sigset_t before, blocked;
  int ended = 0;
  while (waitid(P_PID, (id_t)child, &ignored, WEXITED | WNOWAIT) < 0 && errno == EINTR) continue;
  /* Not reaped yet, so that its number is not another's while signals are passed on. */
  esc_signals_block(&before, &blocked);
  esc_signals_set_child(0, false);
  while (waitpid(child, &ended, 0) < 0 && errno == EINTR) continue;
  sigprocmask(SIG_SETMASK, &before, NULL);
  return ended;
}
