/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the files that a run makes beside its result OUT.h5. A name is the
 * program's own only if it is exactly one of these; whatever else begins with OUT.h5 is somebody
 * else's file. */
#ifndef ESC_NAMES_H
#define ESC_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/* Behind OUT.h5: "" (the result itself), ".journal", ".snapshots", ".checkpoint",
 * ".checkpoint.previous", ".lock"; NULL ends the list. */
extern const char *const esc_names_suffixes[];

/* Most shards that OUT.h5.part-I-of-S can have. */
enum { ESC_PARTS_MAX = 64 };

/* The suffix of a run's own file at the end of `path`, other than ""; NULL if it has none. */
const char *esc_names_sidecar_suffix(const char *path);

/* If the last component of `path` is OUT.part-I-of-S and one of the suffixes: true, S in *shards
 * and the bytes of `path` before ".part-" in *whole. Numbers have no sign and no leading zero. */
bool esc_names_parse_part(const char *path, size_t *whole, int *shard, int *shards);

#endif
