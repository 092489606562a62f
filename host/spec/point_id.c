/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/point_id.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <xxhash.h>

/* Whether a line is outside the identity; *in_sweep: within the section `sweep`. */
static bool is_left_out(const char *line, bool *in_sweep) {
  if (*line != ' ') *in_sweep = !strncmp(line, "sweep:", strlen("sweep:"));
  return *in_sweep || !strncmp(line, "name:", strlen("name:")) ||
         !strncmp(line, "  false_escapes:", strlen("  false_escapes:"));
}

uint64_t esc_point_id(const char *resolved) {
  uint64_t id = 0;
  bool in_sweep = false;
  for (const char *line = resolved; *line;) {
    const size_t length = strcspn(line, "\n");
    if (!is_left_out(line, &in_sweep)) id = XXH3_64bits_withSeed(line, length, id);
    line += length + (line[length] == '\n');
  }
  return id;
}
