/* SPDX-License-Identifier: Apache-2.0 */
/* Where a file is written: links are followed. Private to io.c. */
#ifndef ESC_IO_LOCATION_H
#define ESC_IO_LOCATION_H

#include <limits.h>
#include <stdbool.h>

#include "escapement/internal/status.h"

/* Resolved location of a file: an absolute directory without links, and a name in it. */
typedef struct esc_io_location {
  char directory[PATH_MAX];
  char name[NAME_MAX + 1];
} esc_io_location;

/* Splits `path` at its last slash; the directory is "." if there is none. False if either is too
 * long. */
bool esc_io_split(const char *path, char directory[PATH_MAX], char name[NAME_MAX + 1]);

/* Finds the location of `current`, which may be a link; `path` is for messages. */
esc_status esc_io_locate(const char *path, const char *current, esc_io_location *at);

/* The path of `name` in `directory`; false if it is too long. */
bool esc_io_join(char out[PATH_MAX], const char *directory, const char *name);

/* Resolves `path`; refuses anything but a regular file or a free name. `full` is its path. */
esc_status esc_io_find_target(const char *path, esc_io_location *at, char full[PATH_MAX]);

#endif
