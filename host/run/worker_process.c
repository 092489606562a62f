/* SPDX-License-Identifier: Apache-2.0 */
#include "run/worker_process.h"

#include <dlfcn.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/signals.h"

extern char **environ;

/* ../bin/escapement relative to the directory of the file that contains this code
 * (lib/libescapement.so or bin/escapement). */
static bool find_installed(char path[PATH_MAX]) {
  Dl_info here;
  char folder[PATH_MAX];
  if (!dladdr((void *)&esc_worker_process_start, &here) || !realpath(here.dli_fname, folder))
    return false;
  snprintf(path, PATH_MAX, "%.4000s/../bin/escapement", dirname(folder));
  return access(path, X_OK) == 0;
}

/* The environment with one more variable; the caller owns the array only. */
static char **extend_environment(char *variable) {
  size_t count = 0;
  while (environ[count]) count++;
  char **all = calloc(count + 2, sizeof *all);
  if (!all) return NULL;
  memcpy(all, environ, count * sizeof *all);
  all[count] = variable;
  return all;
}

int esc_worker_process_start(const char *program, const posix_spawn_file_actions_t *files,
                             pid_t *child) {
  posix_spawnattr_t attributes;
  sigset_t set;
  char parent[64], installed[PATH_MAX];
  char *const arguments[] = {(char *)"escapement", (char *)"worker", NULL};
  snprintf(parent, sizeof parent, "%s=%lld", esc_signals_parent_variable, (long long)getpid());
  char **environment = extend_environment(parent);
  if (!environment) return ENOMEM;
  if (!program) program = find_installed(installed) ? installed : "escapement";
  esc_signals_fill_set(&set);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setsigmask(&attributes, &set);
  const int failed = posix_spawnp(child, program, files, &attributes, arguments, environment);
  posix_spawnattr_destroy(&attributes);
  free(environment);
  if (failed) *child = 0;
  return failed;
}

void esc_worker_process_stop(pid_t worker, int level) {
  sigqueue(worker, esc_signals_level_signal(), (union sigval){.sival_int = level});
}
