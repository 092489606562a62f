/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the files that a run makes beside its result OUT.h5. Only exactly these names belong to
 * the program; other files that begin with OUT.h5 are the user's. */
#ifndef ESC_NAMES_H
#define ESC_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Behind OUT.h5: "" (the result itself), ".journal", ".snapshots", ".weights", ".checkpoint",
 * ".checkpoint.previous", ".lock"; NULL ends the list. */
extern const char *const esc_names_suffixes[];

/* Most shards that OUT.h5.part-I-of-S can have. */
enum { ESC_PARTS_MAX = 64 };

/* The suffix, other than "", with which `path` ends; NULL if there is none. */
const char *esc_names_sidecar_suffix(const char *path);

/* If the last component of `path` is OUT.part-I-of-S and one of the suffixes: true, S in *shards
 * and the bytes of `path` before ".part-" in *whole. Numbers have no sign and no leading zero. */
bool esc_names_parse_part(const char *path, size_t *whole, int *shard, int *shards);

/* The same for OUT.point-ID, the files of one point of a grid; ID has 16 hexadecimal digits. */
bool esc_names_parse_point(const char *path, size_t *whole, uint64_t *id);

#endif
