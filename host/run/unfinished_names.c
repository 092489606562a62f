/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the files of an unfinished run. */
#include <dirent.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/names.h"
#include "run/parts.h"
#include "run/unfinished.h"
#include "spec/grid.h"

bool esc_unfinished_exists(const char *path, char *output, size_t size) {
  char journal[ESC_PART_PATH_SIZE];
  const char *suffix = esc_names_sidecar_suffix(path);
  const size_t length = strlen(path) - (suffix ? strlen(suffix) : 0);
  int shards = 0;
  snprintf(output, size, "%.*s", (int)length, path);
  snprintf(journal, sizeof journal, "%.4090s.journal", output);
  if (esc_io_exists(journal)) return true;
  return esc_parts_count(output, &shards) == ESC_OK && shards > 0;
}

/* Whether a file's name is that of a point of the output `name`, or of a part of it: `length` bytes
 * without the suffix. */
static bool is_point_of(const char *entry, const char *name, size_t *length, uint64_t *id) {
  const size_t whole = strlen(name);
  size_t before;
  if (!esc_names_parse_point(entry, &before, id)) return false;
  const char *suffix = esc_names_sidecar_suffix(entry);
  *length = strlen(entry) - (suffix ? strlen(suffix) : 0);
  return before >= whole && !strncmp(entry, name, whole) &&
         (before == whole || entry[whole] == '.');
}

/* Counts each point once. */
static void count_point(uint64_t id, uint64_t seen[ESC_GRID_POINTS_MAX], int *begun) {
  for (int i = 0; i < *begun; i++)
    if (seen[i] == id) return;
  if (*begun < ESC_GRID_POINTS_MAX) seen[(*begun)++] = id;
}

static bool is_later(struct timespec a, struct timespec b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

bool esc_unfinished_find_point(const char *output, char *point, size_t size, int *begun) {
  char path[4096], copy[4096];
  uint64_t seen[ESC_GRID_POINTS_MAX];
  struct stat info;
  struct timespec newest = {0, 0};
  snprintf(path, sizeof path, "%s", output);
  snprintf(copy, sizeof copy, "%s", output);
  const char *name = basename(path);
  const size_t folder = strlen(output) - strlen(name); /* with its slash */
  DIR *entries = opendir(dirname(copy));
  *begun = 0;
  point[0] = 0;
  for (struct dirent *e; entries && (e = readdir(entries));) {
    uint64_t id;
    size_t length;
    if (!is_point_of(e->d_name, name, &length, &id)) continue;
    const char *suffix = e->d_name + length;
    const bool is_journal = !strcmp(suffix, ".journal");
    if (is_journal || !*suffix) count_point(id, seen, begun);
    if (!is_journal) continue;
    if (fstatat(dirfd(entries), e->d_name, &info, 0) != 0 || !is_later(info.st_mtim, newest))
      continue;
    newest = info.st_mtim;
    snprintf(point, size, "%.*s%.*s", (int)folder, output, (int)length, e->d_name);
  }
  if (entries) closedir(entries);
  return point[0];
}

bool esc_unfinished_whole(const char *output, char *whole, size_t size) {
  size_t length;
  int shard, shards;
  uint64_t id;
  if (!esc_names_parse_point(output, &length, &id)) length = strlen(output);
  snprintf(whole, size, "%.*s", (int)length, output);
  if (!esc_names_parse_part(whole, &length, &shard, &shards)) return false;
  whole[length] = 0;
  return true;
}

/* Parts and points are under the lock of the whole. */
esc_lock_state esc_unfinished_peek(const char *output) {
  char whole[4096];
  (void)esc_unfinished_whole(output, whole, sizeof whole);
  return esc_lock_peek(whole);
}
