/* Child processes that share this process' stop signals (signals.h). */
#ifndef ESC_CHILD_H
#define ESC_CHILD_H

#include <spawn.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct esc_child_options {
  const posix_spawn_file_actions_t *files; /* NULL: none */
  bool follower;                           /* it is this program, which follows its parent */
  bool watched;   /* signals that come here reach it until esc_child_wait */
  bool own_group; /* what a terminal sends to this process' group does not */
} esc_child_options;

/* Starts `program` (looked for on PATH if it has no slash); errno's value where that fails, else 0.
 */
int esc_child_start(const char *program, char *const *arguments, const esc_child_options *options,
                    pid_t *child);

/* Waits for the watched child: its wait status. */
int esc_child_wait(pid_t child);

#endif
