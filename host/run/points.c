/* SPDX-License-Identifier: Apache-2.0 */
#include "run/points.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/names.h"
#include "spec/grid_growth.h"
#include "spec/point_id.h"

void esc_point_print_path(const char *output, const char *resolved,
                          char path[ESC_POINT_PATH_SIZE]) {
  snprintf(path, ESC_POINT_PATH_SIZE, "%.4200s.point-%016" PRIx64, output, esc_point_id(resolved));
}

int64_t esc_point_shard(int64_t shard, int64_t shards, int64_t first) {
  return ((shard - first) % shards + shards) % shards;
}

/* Calls `visit` with the path and the point of each such file beside the output, until it fails. */
typedef esc_status visitor(void *context, const char *path, uint64_t id);

static esc_status visit_points(const char *output, visitor *visit, void *context) {
  esc_status status = ESC_OK;
  char name[ESC_POINT_PATH_SIZE], copy[ESC_POINT_PATH_SIZE], path[ESC_POINT_PATH_SIZE + 300];
  size_t whole = 0;
  uint64_t id = 0;
  snprintf(name, sizeof name, "%s", output);
  snprintf(copy, sizeof copy, "%s", output);
  const char *const base = basename(name), *const directory = dirname(copy);
  DIR *entries = opendir(directory);
  if (!entries)
    return ESC_FAIL(esc_io_status_of_errno(errno), "%s: %s", directory, strerror(errno));
  for (struct dirent *e; status == ESC_OK && (e = readdir(entries));) {
    if (!esc_names_parse_point(e->d_name, &whole, &id) || whole != strlen(base) ||
        strncmp(e->d_name, base, whole) != 0)
      continue;
    snprintf(path, sizeof path, "%.*s%s", (int)(strlen(output) - strlen(base)), output, e->d_name);
    status = visit(context, path, id);
  }
  closedir(entries);
  return status;
}

static esc_status note(void *context, const char *path, uint64_t id) {
  (void)path, (void)id;
  *(bool *)context = true;
  return ESC_OK;
}

esc_status esc_points_find(const char *output, bool *begun) {
  *begun = false;
  return visit_points(output, note, begun);
}

/* ---- points of the spec ---- */

static esc_status check_known(void *context, const char *path, uint64_t id) {
  if (esc_point_index_find(context, id) >= 0) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: belongs to a point that the sweep no longer has (`escapement info` prints "
                  "its spec); --resume may add seeds, scales, groups and points; choose another "
                  "output with -o, or start over with --force",
                  path);
}

esc_status esc_points_check(const char *output, const esc_spec *spec) {
  esc_status status = ESC_OK;
  esc_point_index known;
  ESC_TRY(esc_point_index_create(spec, &known));
  status = visit_points(output, check_known, &known);
done:
  esc_point_index_free(&known);
  return status;
}

/* ---- removal ---- */

static esc_status remove_file(void *context, const char *path, uint64_t id) {
  (void)context, (void)id;
  esc_io_remove(path);
  return ESC_OK;
}

esc_status esc_points_remove(const char *output) { return visit_points(output, remove_file, NULL); }
