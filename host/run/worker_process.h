/* SPDX-License-Identifier: Apache-2.0 */
/* Worker processes that follow their parent: they are told to stop by it alone, and end, saved,
 * when it dies. */
#ifndef ESC_WORKER_PROCESS_H
#define ESC_WORKER_PROCESS_H

#include <spawn.h>
#include <sys/types.h>

/* Starts `program` (NULL: the installed escapement, else that on $PATH) with the argument "worker",
 * in a process group of its own: what a terminal sends it gets from its parent alone. Signals that
 * stop are blocked until it has handlers (base/signals.h). errno's value where that fails, else 0.
 */
int esc_worker_process_start(const char *program, const posix_spawn_file_actions_t *files,
                             pid_t *child);

/* Makes a follower's level of stopping (base/stop.h) at least that. */
void esc_worker_process_stop(pid_t follower, int level);

#endif
