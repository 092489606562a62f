/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the shards of a run with several devices: OUT.h5.part-I-of-S and what belongs to each.
 */
#include "run/parts.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "base/names.h"
#include "run/point_slice.h"
#include "run/points.h"

void esc_part_print_path(const char *output, int shard, int shards, char path[ESC_PART_PATH_SIZE]) {
  snprintf(path, ESC_PART_PATH_SIZE, "%s.part-%d-of-%d", output, shard, shards);
}

/* esc_names_parse_part for the files of a part, or of a point of a part. */
static bool parse_part(const char *entry, size_t *whole, int *shard, int *shards) {
  char name[ESC_PART_PATH_SIZE];
  size_t length = strlen(entry);
  uint64_t point;
  if (esc_names_parse_point(entry, &length, &point)) length = length < sizeof name ? length : 0;
  snprintf(name, sizeof name, "%.*s", (int)length, entry);
  return esc_names_parse_part(name, whole, shard, shards);
}

/* Sets there[S] for each number of shards S in the names of the parts beside `output`. */
static esc_status find_parts(const char *output, bool there[ESC_PARTS_MAX + 1]) {
  char path[ESC_PART_PATH_SIZE], copy[ESC_PART_PATH_SIZE];
  int shard = 0, shards = 0;
  size_t whole = 0;
  snprintf(path, sizeof path, "%s", output);
  snprintf(copy, sizeof copy, "%s", output);
  const char *name = basename(path), *directory = dirname(copy);
  DIR *entries = opendir(directory);
  if (!entries)
    return ESC_FAIL(esc_io_status_of_errno(errno), "%s: %s", directory, strerror(errno));
  for (struct dirent *e; (e = readdir(entries));)
    if (parse_part(e->d_name, &whole, &shard, &shards) && whole == strlen(name) &&
        !strncmp(e->d_name, name, whole))
      there[shards] = true;
  closedir(entries);
  return ESC_OK;
}

esc_status esc_parts_count(const char *output, int *shards) {
  esc_status status = ESC_OK;
  bool there[ESC_PARTS_MAX + 1] = {false};
  *shards = 0;
  ESC_TRY(find_parts(output, there));
  for (int s = 1; s <= ESC_PARTS_MAX; s++) {
    if (there[s] && *shards)
      return ESC_FAIL(ESC_BAD_INPUT,
                      "%s: the parts beside it belong to runs with %d and with %d shards; remove "
                      "them with --force (without --resume)",
                      output, *shards, s);
    if (there[s]) *shards = s;
  }
done:
  return status;
}

/* Deletes the files of one part, under its lock. */
static esc_status remove_part(const char *part, const esc_lock *held) {
  esc_status status = ESC_OK;
  esc_lock *lock = NULL;
  char path[ESC_PART_PATH_SIZE + 32];
  const esc_lock_request request = {.output = part, .inherited = -1, .log = esc_log, .held = held};
  ESC_TRY(esc_lock_acquire(&request, &lock));
  for (int i = 0; esc_names_suffixes[i]; i++) {
    snprintf(path, sizeof path, "%s%s", part, esc_names_suffixes[i]);
    if (strcmp(esc_names_suffixes[i], ".lock") != 0) esc_io_remove(path);
  }
  status = esc_points_remove(part);
done:
  esc_lock_release(lock);
  return status;
}

esc_status esc_parts_remove(const esc_run *run) {
  esc_status status = ESC_OK;
  bool there[ESC_PARTS_MAX + 1] = {false};
  char part[ESC_PART_PATH_SIZE];
  ESC_TRY(find_parts(run->output, there));
  for (int shards = 1; shards <= ESC_PARTS_MAX; shards++)
    for (int i = 0; there[shards] && i < shards; i++) {
      esc_part_print_path(run->output, i, shards, part);
      ESC_TRY(remove_part(part, run->lock));
    }
done:
  return status;
}

/* A part as its worker would have it, with what its earlier result holds. For close_part also after
 * a failure. */
static esc_status open_part(const esc_run *whole, const char *path, int shard, int shards,
                            esc_run *part, bool *complete) {
  esc_status status = ESC_OK;
  *part = (esc_run){.options = {.resume = true},
                    .spec = whole->spec,
                    .resolved = whole->resolved,
                    .engine = whole->engine,
                    .segments = whole->segments,
                    .shard = shard,
                    .shards = shards};
  snprintf(part->output, sizeof part->output, "%.4090s", path);
  ESC_TRY(esc_plan_create(part->spec, shard, shards, &part->plan));
  ESC_TRY(esc_run_set_identity(part));
  ESC_TRY_ALLOCATE(part->done = calloc((size_t)part->plan.members + 1, sizeof *part->done));
  ESC_TRY(esc_run_read_reused(part, complete));
done:
  return status;
}

static void close_part(esc_run *part) {
  esc_results_free(part->results);
  esc_results_free(part->reused[0]);
  esc_plan_free(&part->plan);
  free(part->identity);
  free(part->done);
}

/* Reads one part of a sweep without a grid, and adds its contents to *sum. */
static esc_status inspect_plain_part(const esc_run *whole, const char *path, int shard, int shards,
                                     esc_parts_contents *sum) {
  esc_status status = ESC_OK;
  bool complete = false;
  esc_run part;
  ESC_TRY(open_part(whole, path, shard, shards, &part, &complete));
  ESC_TRY(esc_run_inspect_files(&part, part.output));
  for (int b = 0; b < ESC_RUN_REUSED_MAX; b++) esc_run_mark_reused(&part, whole->reused[b]);
  for (int64_t i = 0; i < part.plan.members; i++) sum->finished += complete || part.done[i];
  sum->complete = complete;
  if (!complete) sum->in_flight += esc_run_count_networks_in_files(&part);
done:
  close_part(&part);
  return status;
}

/* Reads what a part's worker has of one point. `first`: its first member in the sweep. */
static esc_status inspect_point(const esc_run *part, const esc_point_source source[2], int point,
                                int64_t first, esc_parts_contents *sum) {
  esc_status status = ESC_OK;
  char path[ESC_POINT_PATH_SIZE];
  esc_run run = {.spec = esc_spec_point(part->spec, point),
                 .engine = part->engine,
                 .segments = part->segments};
  const int64_t shard = esc_point_shard(part->shard, part->shards, first);
  ESC_TRY_ALLOCATE(run.resolved = esc_spec_resolved(run.spec));
  for (int i = 0; i < 2; i++)
    ESC_TRY(esc_point_slice_create(&source[i], run.spec, run.resolved, &run.reused[i]));
  esc_point_print_path(part->output, run.resolved, path);
  ESC_TRY(esc_run_sync_files(path));
  status = inspect_plain_part(&run, path, (int)shard, (int)part->shards, sum);
done:
  for (int i = 0; i < 2; i++) esc_results_free(run.reused[i]);
  free(run.resolved);
  return status;
}

static esc_status inspect_points(const esc_run *whole, const esc_run *part,
                                 esc_parts_contents *sum) {
  esc_status status = ESC_OK;
  esc_point_source source[2] = {{0}, {0}};
  const int points = esc_spec_count_points(part->spec);
  ESC_TRY(esc_point_source_create(whole->output, whole->reused[0], &source[0]));
  ESC_TRY(esc_point_source_create(whole->options.from, whole->reused[1], &source[1]));
  for (int i = 0; i < points; i++)
    ESC_TRY(inspect_point(part, source, i, i * (part->plan.total / points), sum));
done:
  for (int i = 0; i < 2; i++) esc_point_source_free(&source[i]);
  return status;
}

/* The same for a part of a grid: its result, or the files of its points. */
static esc_status inspect_grid_part(const esc_run *whole, const char *path, int shard, int shards,
                                    esc_parts_contents *sum) {
  esc_status status = ESC_OK;
  bool complete = false;
  esc_run part;
  ESC_TRY(open_part(whole, path, shard, shards, &part, &complete));
  if (complete)
    sum->finished += part.plan.members;
  else
    ESC_TRY(inspect_points(whole, &part, sum));
  sum->complete = complete;
done:
  close_part(&part);
  return status;
}

static esc_status inspect_part(const esc_run *whole, const char *path, int shard, int shards,
                               esc_parts_contents *sum) {
  return whole->spec->grid ? inspect_grid_part(whole, path, shard, shards, sum)
                           : inspect_plain_part(whole, path, shard, shards, sum);
}

esc_status esc_parts_inspect(const esc_run *run, int64_t *finished) {
  esc_status status = ESC_OK;
  int shards = 0;
  esc_parts_contents sum = {0};
  char path[ESC_PART_PATH_SIZE];
  ESC_TRY(esc_parts_count(run->output, &shards));
  for (int s = 0; s < shards; s++) {
    esc_part_print_path(run->output, s, shards, path);
    ESC_TRY(inspect_part(run, path, s, shards, &sum));
  }
done:
  *finished = sum.finished;
  return status;
}

bool esc_part_is_complete(const esc_run *run, int shard, int shards) {
  esc_parts_contents part = {0};
  char path[ESC_PART_PATH_SIZE];
  esc_part_print_path(run->output, shard, shards, path);
  return inspect_part(run, path, shard, shards, &part) == ESC_OK && part.complete;
}

esc_parts_contents esc_parts_count_synced(const esc_run *run, int shards) {
  esc_parts_contents sum = {0};
  char path[ESC_PART_PATH_SIZE];
  for (int s = 0; s < shards; s++) {
    esc_parts_contents one = {0};
    esc_part_print_path(run->output, s, shards, path);
    if (esc_run_sync_files(path) != ESC_OK || inspect_part(run, path, s, shards, &one) != ESC_OK)
      continue;
    sum.finished += one.finished;
    sum.in_flight += one.in_flight;
  }
  return sum;
}

esc_status esc_parts_refuse(const esc_run *run) {
  esc_status status = ESC_OK;
  int begun = 0;
  if (run->options.force) return ESC_OK;
  ESC_TRY(esc_parts_count(run->output, &begun));
  if (begun)
    status =
        ESC_FAIL(ESC_BAD_INPUT,
                 "%s.part-*: belong to a run started with --devices; continue it with --devices "
                 "and --resume (for example --devices cpu --resume), or start over with --force",
                 run->output);
done:
  return status;
}

esc_status esc_run_devices_clear(const esc_run *run) { return esc_parts_remove(run); }
