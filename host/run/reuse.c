/* SPDX-License-Identifier: Apache-2.0 */
/* Reuse of members from earlier results of the same experiment. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "escapement/internal/observe.h"
#include "run/point_slice.h"
#include "run/run.h"
#include "spec/difference.h"
#include "store/segments.h"
#include "store/store.h"

esc_file_stamp esc_file_stamp_read(const char *path) {
  struct stat info;
  if (stat(path, &info) != 0) return (esc_file_stamp){0};
  return (esc_file_stamp){(int64_t)info.st_dev, (int64_t)info.st_ino, info.st_size,
                          info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

esc_status esc_run_identity_of(const char *path, const esc_results *r, char **out) {
  const char *spec = esc_results_attribute_text(r, "spec"),
             *shard = esc_results_attribute_text(r, "shard");
  const char *precision = esc_results_attribute_text(r, "precision");
  if (!spec || !shard || !precision)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: lacks the attribute spec, precision or shard, so its run is unknown; "
                    "choose another output with -o, or replace the file with --force",
                    path);
  if (asprintf(out, "%sprecision: %s\nshard: %s\n", spec, precision, shard) < 0)
    return ESC_FAIL(ESC_NO_MEMORY, "out of memory (identity of %s)", path);
  return ESC_OK;
}

/* Refuses results of a version that estimated S(0) by another method, without its error: the
 * members would not be those of a single run. */
esc_status esc_run_check_reused_version(const char *path, const esc_results *earlier) {
  for (int64_t i = 0; i < earlier->members; i++)
    if (isfinite(earlier->signal_initial_error[i]) || !isfinite(earlier->signal_initial[i]))
      return ESC_OK;
  if (earlier->members == 0) return ESC_OK;
  return ESC_FAIL(
      ESC_BAD_INPUT,
      "%s: was written by an earlier version (commit %s), which estimated signal_initial by "
      "another method, so no members can be added; choose another output with -o",
      path,
      esc_results_attribute_text(earlier, "commit") ? esc_results_attribute_text(earlier, "commit")
                                                    : "unknown");
}

/* Checks that rows and weights have the lengths of this run's. */
static esc_status check_shape(const esc_run *r, const char *path, const esc_results *earlier) {
  const esc_shape shape = r->spec->problem.shape;
  const bool has_weights = earlier->weights != 0;
  if (has_weights && (earlier->width != shape.width || earlier->inputs != shape.inputs))
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: holds weights of %d units and %d inputs, but its spec describes %d and %d",
                    path, earlier->width, earlier->inputs, shape.width, shape.inputs);
  return esc_results_check_layers(path, earlier, &r->spec->problem, esc_spec_layers_max(r->spec));
}

/* Reads the file at the output's name; the message for any other file states the remedy. */
static esc_status read_output(const char *path, esc_results **earlier) {
  char why[900];
  const esc_status status = esc_store_read(path, earlier);
  if (status != ESC_BAD_INPUT) return status;
  snprintf(why, sizeof why, "%s", esc_error_message());
  return ESC_FAIL(status, "%s; move the file away, then repeat the command", why);
}

/* Reads a result that has all or some of the members of this run. */
static esc_status read_earlier_output(esc_run *r, const char *path, esc_results **out,
                                      bool *complete) {
  esc_status status = ESC_OK;
  esc_results *earlier = NULL;
  char *identity = NULL;
  ESC_TRY(read_output(path, &earlier));
  ESC_TRY(esc_run_identity_of(path, earlier, &identity));
  ESC_TRY(esc_run_check_identity(r, path, (esc_identity){identity, earlier->members}));
  *complete = !strcmp(identity, r->identity) && earlier->members == r->plan.members;
  if (*complete || !r->spec->grid) /* slices of a growing grid are checked one by one */
    ESC_TRY(check_shape(r, path, earlier));
  if (!*complete) ESC_TRY(esc_run_check_reused_version(path, earlier));
  *out = earlier;
  earlier = NULL;
done:
  esc_results_free(earlier);
  free(identity);
  return status;
}

/* Replaces the result of a grid by its members at the point that is this sweep. */
static esc_status take_point(const esc_run *r, const char *path, esc_results **earlier) {
  esc_status status = ESC_OK;
  esc_results *slice = NULL;
  esc_point_source source = {0};
  ESC_TRY(esc_point_source_create(path, *earlier, &source));
  ESC_TRY(esc_point_slice_create(&source, r->spec, r->resolved, &slice));
  if (!slice)
    status = ESC_FAIL(ESC_BAD_INPUT, "--from %s: no point of its grid is this sweep", path);
  if (status != ESC_OK) goto done;
  esc_results_free(*earlier);
  *earlier = slice;
done:
  esc_point_source_free(&source);
  return status;
}

static esc_status check_precision(const esc_run *r, const char *path, const esc_results *earlier) {
  const char *precision = esc_results_attribute_text(earlier, "precision");
  if (precision && !strcmp(precision, r->engine->precision)) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "--from %s: its precision is %s, but this run has %s", path,
                  precision ? precision : "not given", r->engine->precision);
}

/* Refuses a result of another sweep than this one. The points of a grid are matched one by one. */
static esc_status match_from(const esc_run *r, const char *path, esc_results **earlier) {
  static const char *const allowed[] = {"name",        "init.file",    "escape.false_escapes",
                                        "sweep.seeds", "sweep.groups", NULL};
  esc_status status = ESC_OK;
  esc_spec_difference d;
  if (!esc_results_attribute_text(*earlier, "spec"))
    return ESC_FAIL(ESC_BAD_INPUT, "--from %s: lacks the attribute spec", path);
  if (r->spec->grid) return ESC_OK;
  if ((*earlier)->grid) ESC_TRY(take_point(r, path, earlier));
  ESC_TRY(check_precision(r, path, *earlier));
  if (esc_spec_differ(esc_results_attribute_text(*earlier, "spec"), r->resolved, allowed, &d))
    return ESC_FAIL(ESC_BAD_INPUT,
                    "--from %s: %s is %s in that file and %s in this run; only name, "
                    "escape.false_escapes, sweep.seeds and sweep.groups may differ",
                    path, d.key.text, d.first.text, d.second.text);
  status = check_shape(r, path, *earlier);
done:
  return status;
}

/* Reads the result of --from: any shard of the experiment, with any members. */
static esc_status read_from(esc_run *r, const char *path, esc_results **out) {
  esc_status status = ESC_OK;
  esc_results *earlier = NULL;
  ESC_TRY(esc_store_read(path, &earlier));
  ESC_TRY(match_from(r, path, &earlier));
  ESC_TRY(esc_run_check_reused_version(path, earlier));
  *out = earlier;
  earlier = NULL;
done:
  esc_results_free(earlier);
  return status;
}

static void count_statuses(esc_run *r) {
  const esc_status_counts n = esc_results_count_statuses(r->results);
  r->progress.escaped += n.escaped;
  r->progress.censored += n.censored;
  r->progress.diverged += n.diverged;
  r->progress.members = r->results->members;
}

esc_status esc_run_read_reused(esc_run *r, bool *complete) {
  esc_status status = ESC_OK;
  *complete = false;
  if (r->output[0] && esc_io_exists(r->output) && !r->options.force) {
    if (!r->options.resume)
      return ESC_FAIL(ESC_BAD_INPUT,
                      "%s: already exists; add members with --resume, replace it with --force, or "
                      "choose another output with -o",
                      r->output);
    r->output_stamp = esc_file_stamp_read(r->output);
    ESC_TRY(read_earlier_output(r, r->output, &r->reused[0], complete));
  }
  if (r->options.from && !*complete) ESC_TRY(read_from(r, r->options.from, &r->reused[1]));
  if (!*complete) goto done;
  r->results = r->reused[0];
  r->reused[0] = NULL;
  count_statuses(r);
done:
  return status;
}

/* ---- rows and snapshots ---- */

/* Entry `index` of each observable's array, in the order of a journal's observation. */
static void pack_observation(const esc_results *earlier, double *const *array, int64_t index,
                             double *to) {
  for (int o = 0; o < ESC_OBSERVABLES; o++) {
    const int length = esc_observable_length(earlier->layers, esc_observables[o].axis);
    memcpy(to, array[o] + index * length, (size_t)length * sizeof *to);
    to += length;
  }
}

/* Restores the snapshots of row i and its final one in the recorder. */
static void restore_snapshots(esc_run *r, const esc_results *earlier, int64_t i, int64_t index,
                              esc_journal_snapshot *buffer) {
  for (int64_t k = 0; k < earlier->snapshots && earlier->snapshot_step[k] <= earlier->steps_run[i];
       k++) {
    pack_observation(earlier, earlier->observable, i * earlier->snapshots + k, buffer->observation);
    buffer->step = earlier->snapshot_step[k];
    esc_recorder_restore_snapshot(r->recorder, index, buffer);
  }
  pack_observation(earlier, earlier->observable_end, i, buffer->observation);
  buffer->step = -1 - earlier->steps_run[i];
  esc_recorder_restore_snapshot(r->recorder, index, buffer);
}

/* *steps_reused: steps of the reused members. */
static esc_status copy_members(esc_run *r, const esc_results *earlier, int64_t *steps_reused) {
  esc_status status = ESC_OK;
  const int length = esc_observation_length(r->results->layers);
  char *row = NULL;
  esc_journal_snapshot *buffer = NULL;
  ESC_TRY_ALLOCATE(row = malloc(esc_results_row_size(earlier->thresholds, earlier->layers)));
  ESC_TRY_ALLOCATE(buffer = calloc(1, sizeof *buffer + (size_t)length * sizeof(double)));
  for (int64_t i = 0; i < earlier->members; i++) {
    const esc_member_key key = {(uint64_t)earlier->seed[i], (uint64_t)earlier->small_layers[i],
                                earlier->scale[i]};
    const int64_t index = esc_plan_find_member(&r->plan, key);
    if (index < 0 || r->done[index]) continue;
    esc_results_pack(earlier, i, row);
    esc_run_set_row(r, index, row);
    if (r->recorder) restore_snapshots(r, earlier, i, index, buffer);
    if (r->weight_recorder)
      ESC_TRY(esc_weight_recorder_restore_row(r->weight_recorder, index, earlier, i));
    r->members_reused++;
    *steps_reused += earlier->steps_run[i];
  }
done:
  free(row);
  free(buffer);
  return status;
}

esc_status esc_run_copy_reused(esc_run *r) {
  esc_status status = ESC_OK;
  for (int b = ESC_RUN_REUSED_MAX - 1; b >= 0; b--) {
    if (!r->reused[b]) continue;
    json_t *segments = esc_segments_from_results(r->reused[b]);
    int64_t steps_reused = 0, steps_total = 0;
    for (int64_t i = 0; i < r->reused[b]->members; i++) steps_total += r->reused[b]->steps_run[i];
    status = copy_members(r, r->reused[b], &steps_reused);
    /* --from: some members may not be reused. For shards no fraction is needed, because merging
     * counts repeated segments once. */
    if (b == 1 && r->shards == 1) esc_segments_scale(segments, steps_reused, steps_total);
    if (status == ESC_OK) status = esc_segments_join(r->segments, segments);
    json_decref(segments);
    if (status != ESC_OK) goto done;
    esc_results_free(r->reused[b]);
    r->reused[b] = NULL;
  }
done:
  return status;
}

void esc_run_mark_reused(esc_run *r, const esc_results *earlier) {
  for (int64_t i = 0; earlier && i < earlier->members; i++) {
    const esc_member_key key = {(uint64_t)earlier->seed[i], (uint64_t)earlier->small_layers[i],
                                earlier->scale[i]};
    const int64_t index = esc_plan_find_member(&r->plan, key);
    if (index >= 0) r->done[index] = true;
  }
}
