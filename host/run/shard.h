/* SPDX-License-Identifier: Apache-2.0 */
/* Which shard of the sweep a run trains, and placeholders in its output's name, by what was asked
 * for and by the environment of a Slurm array. */
#ifndef ESC_SHARD_H
#define ESC_SHARD_H

#include <stddef.h>
#include <stdint.h>

#include "escapement/internal/status.h"

/* Chooses *shard of *shards: `asked` ("I/N" or "%a/N") if it is not NULL; in a Slurm array, if
 * `output` has a %a, the task's number and the number of shards that files of tasks beside it say,
 * or a whole array has; else the whole sweep. What leaves the number open is refused. */
esc_status esc_shard_choose(const char *asked, const char *output, int64_t *shard, int64_t *shards);

/* Copies `path` with %a as the shard's number, %A and %j as Slurm's of array and job, which have to
 * be there. */
esc_status esc_shard_expand_path(const char *path, int64_t shard, char *out, size_t size);

#endif
