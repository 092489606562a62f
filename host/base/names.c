/* SPDX-License-Identifier: Apache-2.0 */
#include "base/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const esc_names_suffixes[] = {
    "", ".journal", ".snapshots", ".weights", ".checkpoint", ".checkpoint.previous", ".lock", NULL};

static bool ends_in(const char *text, const char *end) {
  const size_t length = strlen(text), tail = strlen(end);
  return length > tail && !strcmp(text + length - tail, end);
}

const char *esc_names_sidecar_suffix(const char *path) {
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  for (int i = 1; esc_names_suffixes[i]; i++)
    if (ends_in(name, esc_names_suffixes[i])) return esc_names_suffixes[i];
  return NULL;
}

/* Whether `text` is exactly ".part-I-of-S" and a suffix. */
static bool is_part(const char *text, int shard, int shards) {
  char expected[80];
  for (int i = 0; esc_names_suffixes[i]; i++) {
    snprintf(expected, sizeof expected, ".part-%d-of-%d%s", shard, shards, esc_names_suffixes[i]);
    if (!strcmp(text, expected)) return true;
  }
  return false;
}

bool esc_names_parse_part(const char *path, size_t *whole, int *shard, int *shards) {
  const char *slash = strrchr(path, '/'), *found = NULL;
  for (const char *at = slash ? slash : path; (at = strstr(at, ".part-")); at++) found = at;
  if (!found || found == (slash ? slash + 1 : path)) return false;
  if (sscanf(found, ".part-%9d-of-%9d", shard, shards) != 2) return false;
  if (*shard < 0 || *shard >= *shards || *shards > ESC_PARTS_MAX) return false;
  *whole = (size_t)(found - path);
  return is_part(found, *shard, *shards);
}

bool esc_names_parse_point(const char *path, size_t *whole, uint64_t *id) {
  static const char digits[] = "0123456789abcdef", mark[] = ".point-";
  enum { DIGITS = 16 };
  const char *slash = strrchr(path, '/'), *found = NULL;
  for (const char *at = slash ? slash : path; (at = strstr(at, mark)); at++) found = at;
  if (!found || found == (slash ? slash + 1 : path)) return false;
  const char *const number = found + sizeof mark - 1;
  if (strspn(number, digits) != DIGITS) return false;
  *whole = (size_t)(found - path);
  *id = strtoull(number, NULL, DIGITS);
  for (int i = 0; esc_names_suffixes[i]; i++)
    if (!strcmp(number + DIGITS, esc_names_suffixes[i])) return true;
  return false;
}
