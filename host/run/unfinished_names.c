/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the files of an unfinished run. */
#include <dirent.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/names.h"
#include "run/parts.h"
#include "run/unfinished.h"

enum { POINT_DIGITS = 16, POINTS_MAX = 4096 };

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

/* Length of `path` without ".point-ID", ID of 16 hexadecimal digits; 0 where it ends otherwise. */
static size_t length_before_point(const char *path, size_t length) {
  static const char mark[] = ".point-";
  const size_t mark_size = sizeof mark - 1, suffix = mark_size + POINT_DIGITS;
  if (length <= suffix || strncmp(path + length - suffix, mark, mark_size) != 0) return 0;
  const size_t digits = strspn(path + length - POINT_DIGITS, "0123456789abcdef");
  return digits >= POINT_DIGITS ? length - suffix : 0;
}

/* The point in a file's name: its bytes without `suffix`; 0 where it is of no point of `name`. */
static size_t point_of_entry(const char *entry, const char *name, const char *suffix) {
  const size_t length = strlen(entry), cut = strlen(suffix), whole = strlen(name);
  if (length <= cut || strcmp(entry + length - cut, suffix) != 0) return 0;
  const size_t before = length_before_point(entry, length - cut);
  const bool is_ours =
      before >= whole && !strncmp(entry, name, whole) && (before == whole || entry[whole] == '.');
  return is_ours ? length - cut : 0;
}

/* Counts each point once. */
static void count_point(const char *entry, size_t length, uint64_t seen[POINTS_MAX], int *begun) {
  const uint64_t id = strtoull(entry + length - POINT_DIGITS, NULL, 16);
  for (int i = 0; i < *begun; i++)
    if (seen[i] == id) return;
  if (*begun < POINTS_MAX) seen[(*begun)++] = id;
}

static bool is_later(struct timespec a, struct timespec b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

bool esc_unfinished_find_point(const char *output, char *point, size_t size, int *begun) {
  char path[4096], copy[4096];
  uint64_t seen[POINTS_MAX];
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
    size_t length = point_of_entry(e->d_name, name, "");
    if (length) count_point(e->d_name, length, seen, begun);
    length = point_of_entry(e->d_name, name, ".journal");
    if (!length) continue;
    count_point(e->d_name, length, seen, begun);
    if (fstatat(dirfd(entries), e->d_name, &info, 0) != 0 || !is_later(info.st_mtim, newest))
      continue;
    newest = info.st_mtim;
    snprintf(point, size, "%.*s%.*s", (int)folder, output, (int)length, e->d_name);
  }
  if (entries) closedir(entries);
  return point[0];
}

bool esc_unfinished_whole(const char *output, char *whole, size_t size) {
  size_t length = strlen(output);
  int shard, shards;
  const size_t before = length_before_point(output, length);
  snprintf(whole, size, "%.*s", (int)(before ? before : length), output);
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
