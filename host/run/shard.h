/* SPDX-License-Identifier: Apache-2.0 */
/* The shard that a run trains, and placeholders in its output's name, from the options and the
 * environment of a Slurm array. */
#ifndef ESC_SHARD_H
#define ESC_SHARD_H

#include <stddef.h>
#include <stdint.h>

#include "escapement/internal/status.h"

/* Chooses *shard of *shards: `asked` ("I/N" or "%a/N") if it is not NULL; in a Slurm array, if
 * `output` has a %a, the task's number, and the number of shards from the files of other tasks or
 * from a complete array; else the whole sweep. ESC_BAD_INPUT if the number of shards is unknown. */
esc_status esc_shard_choose(const char *asked, const char *output, int64_t *shard, int64_t *shards);

/* Copies `path` with %a as the shard's number, %A and %j as Slurm's numbers of the array and the
 * job, which must be set. */
esc_status esc_shard_expand_path(const char *path, int64_t shard, char *out, size_t size);

#endif
