/* SPDX-License-Identifier: Apache-2.0 */
/* Worker processes: stopped by their parent only; they save and end when the parent dies. */
#ifndef ESC_WORKER_PROCESS_H
#define ESC_WORKER_PROCESS_H

#include <spawn.h>
#include <sys/types.h>

/* Starts `program` (NULL: the installed escapement, else that on $PATH) with the argument "worker",
 * in its own process group, so that a terminal's signals reach it only through its parent. Stop
 * signals are blocked until it installs handlers (base/signals.h). Returns 0 or a value of errno.
 */
int esc_worker_process_start(const char *program, const posix_spawn_file_actions_t *files,
                             pid_t *child);

/* Raises the worker's stop level (base/stop.h) to at least `level`. */
void esc_worker_process_stop(pid_t worker, int level);

#endif
