/* SPDX-License-Identifier: Apache-2.0 */
/* Dry run: the initial checks of a run, times measured over a few steps, escape steps forecast by
 * theory. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "escapement/internal/library.h"
#include "run/forecast.h"
#include "run/grid.h"
#include "run/parts.h"
#include "run/run.h"
#include "run/step_time.h"
#include "store/segments.h"
#include "store/store.h"

/* ---- existing files ---- */

static esc_status count_finished_in_files(esc_run *r) {
  esc_status status = ESC_OK;
  bool complete = false;
  int64_t in_parts = 0;
  ESC_TRY_ALLOCATE(r->segments = json_array()); /* earlier segments are in the result too */
  ESC_TRY(esc_run_read_reused(r, &complete));
  if (complete) esc_run_mark_reused(r, r->results);
  for (int b = 0; b < ESC_RUN_REUSED_MAX; b++) esc_run_mark_reused(r, r->reused[b]);
  if (r->options.resume && r->options.devices) ESC_TRY(esc_parts_inspect(r, &in_parts));
  if (r->options.resume && !r->options.devices) ESC_TRY(esc_parts_refuse(r));
  if (r->options.resume && !r->options.devices) ESC_TRY(esc_run_inspect_files(r, r->output));
  for (int64_t i = 0; i < r->plan.members; i++) r->finished_before += r->done[i];
  if (in_parts > r->finished_before)
    r->finished_before = in_parts; /* parts include the reused members */
done:
  return status;
}

/* The initial checks of a run, and the number of finished members. */
static esc_status inspect(esc_run *r) {
  esc_status status = ESC_OK;
  const bool has_output = r->output[0];
  if (has_output) ESC_TRY(esc_run_check_names(r));
  ESC_TRY_ALLOCATE(r->done = calloc((size_t)r->plan.members + 1, sizeof *r->done));
  if (has_output && !r->options.resume && !r->options.force && esc_io_exists(r->output)) {
    esc_log("%s already exists: the run will need --resume or --force", r->output);
    return ESC_OK;
  }
  if (r->options.from || (has_output && r->options.resume)) ESC_TRY(count_finished_in_files(r));
done:
  return status;
}

/* ---- sizes and times ---- */

/* Upper bound of the size of the result file. */
static esc_status estimate_result_bytes(esc_run *r, int64_t snapshots, esc_store_overheads *files,
                                        double *bytes) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  const bool whole = r->results != NULL; /* the run is complete */
  esc_results *const before = r->results;
  const int64_t finished_before = r->finished_before;
  r->results = NULL;
  ESC_TRY(esc_results_create(1, p->thresholds, p->shape.layers, &r->results));
  if (snapshots) ESC_TRY(esc_results_add_snapshots(r->results, 1));
  ESC_TRY(esc_results_add_weights(r->results, r->spec->record.weights, p->shape.width,
                                  p->shape.inputs));
  if (!r->segments) ESC_TRY_ALLOCATE(r->segments = json_array());
  for (int b = 0; b < ESC_RUN_REUSED_MAX && !whole; b++) {
    json_t *more = r->reused[b] ? esc_segments_from_results(r->reused[b]) : NULL;
    status = esc_segments_join(r->segments, more);
    json_decref(more);
    if (status != ESC_OK) goto done;
  }
  ESC_TRY(esc_run_segment_begin(r));
  ESC_TRY(esc_run_set_attributes(r));
  ESC_TRY(esc_store_estimate_size(r->results, r->plan.members, snapshots, files, bytes));
done:
  esc_results_free(r->results);
  r->results = before;
  r->finished_before = finished_before;
  return status;
}

/* Seconds of one network's snapshot, from one of each network in flight. */
static esc_status time_snapshot(const esc_run *r, double *seconds) {
  esc_status status = ESC_OK;
  const atomic_bool stop = false;
  void *engine = NULL;
  esc_recorder *recorder = NULL;
  int *slot = NULL;
  ESC_TRY_ALLOCATE(slot = calloc((size_t)r->setup.slots, sizeof *slot));
  ESC_TRY(r->engine->create(r->engine, &r->spec->problem, &r->setup, &engine));
  ESC_TRY(esc_recorder_create(&r->spec->problem, &r->spec->record, &r->plan, &r->setup,
                              r->engine == &esc_reference_engine, &recorder));
  for (int i = 0; i < r->setup.slots; i++) {
    slot[i] = i;
    ESC_TRY(esc_recorder_begin_member(recorder, i, r->plan.order[i]));
    ESC_TRY(r->engine->load(engine, i, &r->plan.member[r->plan.order[i]]));
  }
  ESC_TRY(r->engine->advance(engine, 0, &stop)); /* initializes the weights */
  ESC_TRY(esc_recorder_record(recorder, r->engine, engine, r->setup.slots, slot)); /* warms up */
  double before = 0, after = 0;
  const int64_t first = esc_recorder_count(recorder, &before);
  for (int i = 0; i < 5; i++)
    ESC_TRY(esc_recorder_record(recorder, r->engine, engine, r->setup.slots, slot));
  *seconds = 1 / (double)(esc_recorder_count(recorder, &after) - first);
  *seconds *= after - before;
done:
  esc_recorder_free(recorder);
  r->engine->destroy(engine);
  free(slot);
  return status;
}

/* Measured seconds of one network. */
typedef struct times {
  double step, snapshot;
} times;

/* Measurements that a run shares with earlier ones. */
typedef struct measured {
  const times *times;         /* of a run that costs as much, or NULL */
  esc_store_overheads *files; /* found so far */
} measured;

/* Cost of recording: time of the snapshots relative to the time of the steps. */
static esc_status measure_recording(const esc_run *r, const times *known, esc_dry_run *out) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  if (!esc_record_on(&r->spec->record) || r->plan.members == 0) return ESC_OK;
  out->samples = r->spec->record.samples;
  out->snapshots = esc_record_count(&r->spec->record, p->steps);
  out->snapshot_bytes =
      (double)r->plan.members * esc_recorder_estimate_member_bytes(p, &r->spec->record);
  if (known)
    out->seconds_per_snapshot = known->snapshot;
  else
    ESC_TRY(time_snapshot(r, &out->seconds_per_snapshot));
  out->recording_share = out->seconds_per_snapshot * (double)out->snapshots /
                         (out->seconds_per_step * (double)p->steps);
done:
  return status;
}

static esc_status measure(esc_run *r, measured known, esc_dry_run *out) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  const esc_step_timing what = {r->engine,    p, &r->setup, r->plan.member, r->plan.order,
                                omp_get_wtime};
  if (known.times)
    out->seconds_per_step = known.times->step;
  else if (r->plan.members > 0)
    ESC_TRY(esc_step_time_measure(&what, &out->seconds_per_step, r->engine_text,
                                  sizeof r->engine_text));
  ESC_TRY(measure_recording(r, known.times, out));
  out->seconds_max =
      out->seconds_per_step * (double)p->steps * (double)(r->plan.members - r->finished_before);
  ESC_TRY(estimate_result_bytes(r, out->snapshots, known.files, &out->result_bytes));
done:
  return status;
}

/* ---- entry points ---- */

static void fill_report(const esc_run *r, esc_dry_run *out) {
  out->members = r->plan.members;
  out->members_total = r->plan.total;
  out->members_kept = r->finished_before;
  out->slots = r->setup.slots;
  out->threads = r->setup.threads;
  out->host_bytes = r->bytes.host;
  out->device_bytes = r->bytes.device;
  out->weights_bytes =
      (double)r->plan.members * esc_weights_stored_bytes(&r->spec->problem, &r->spec->record);
  out->on_device = r->engine->device_memory != NULL;
  out->thresholds = r->spec->problem.thresholds;
  snprintf(out->backend, sizeof out->backend, "%s", r->engine->name);
  snprintf(out->engine, sizeof out->engine, "%s", r->engine_text);
  snprintf(out->output, sizeof out->output, "%s", r->output);
}

static esc_status forecast(const esc_run *r, esc_dry_run *out) {
  esc_status status = ESC_OK;
  esc_run_forecast found = {0};
  ESC_TRY(esc_run_forecast_create(r, &found));
  out->seconds_predicted = out->seconds_per_step * found.steps;
  out->cells = found.cells;
  out->cell = found.cell;
  out->threshold_step = found.threshold_step;
  found = (esc_run_forecast){0};
done:
  esc_run_forecast_free(&found);
  return status;
}

static esc_status estimate_costs(esc_run *r, measured known, esc_dry_run *out) {
  esc_status status = ESC_OK;
  ESC_TRY(measure(r, known, out));
  ESC_TRY(forecast(r, out));
  fill_report(r, out);
done:
  return status;
}

/* ---- points of a grid ---- */

enum { SWEPT_VALUE_BYTES = 64 }; /* of a member's value of a swept key in a file, text too */

/* Appends the cells of a point to those of the sweep. */
static esc_status add_cells(const esc_dry_run *point, int cohort, esc_dry_run *out) {
  esc_status status = ESC_OK;
  const size_t before = (size_t)out->cells, cells = before + (size_t)point->cells;
  const size_t steps = (size_t)point->thresholds;
  esc_forecast_cell *cell = realloc(out->cell, (cells + 1) * sizeof *cell);
  if (cell) out->cell = cell;
  double *step = realloc(out->threshold_step, (cells * steps + 1) * sizeof *step);
  if (step) out->threshold_step = step;
  ESC_TRY_ALLOCATE(cell);
  ESC_TRY_ALLOCATE(step);
  memcpy(cell + before, point->cell, (size_t)point->cells * sizeof *cell);
  memcpy(step + before * steps, point->threshold_step, (size_t)point->cells * steps * sizeof *step);
  out->cells = (int)cells;
  for (size_t i = before; i < cells; i++) cell[i].cohort = cohort;
  for (size_t i = 0; i < cells; i++)
    if (cell[i].threshold_step) cell[i].threshold_step = step + i * steps;
done:
  return status;
}

static double larger(double a, double b) { return a > b ? a : b; }

/* Adds a point's costs to those of the sweep. */
static void add_costs(const esc_dry_run *p, esc_dry_run *out) {
  const double steps =
      (double)out->members * out->seconds_per_step + (double)p->members * p->seconds_per_step;
  out->members += p->members;
  out->members_kept += p->members_kept;
  out->seconds_per_step = out->members ? steps / (double)out->members : 0;
  out->seconds_max += p->seconds_max;
  out->seconds_predicted += p->seconds_predicted;
  out->result_bytes += p->result_bytes;
  out->snapshot_bytes += p->snapshot_bytes;
  out->host_bytes = larger(out->host_bytes, p->host_bytes);
  out->device_bytes = larger(out->device_bytes, p->device_bytes);
  out->seconds_per_snapshot = larger(out->seconds_per_snapshot, p->seconds_per_snapshot);
  out->recording_share = larger(out->recording_share, p->recording_share);
  if (p->slots > out->slots) out->slots = p->slots;
  if (p->threads > out->threads) out->threads = p->threads;
  if (p->samples > out->samples) out->samples = p->samples;
  if (p->snapshots > out->snapshots) out->snapshots = p->snapshots;
}

/* Measuring takes a tenth of a second, and a grid may have thousands of points. `seconds`: of the
 * points before, those that cost as much have the same times. */
static const times *find_times(const esc_grid_run *g, int i, const times *seconds) {
  for (int k = 0; k < i; k++)
    if (esc_grid_points_cost_the_same(&g->point[k].run, &g->point[i].run)) {
      memcpy(g->point[i].run.engine_text, g->point[k].run.engine_text,
             sizeof g->point[i].run.engine_text);
      return &seconds[k];
    }
  return NULL;
}

static esc_status add_point(esc_grid_run *g, int i, times *seconds, esc_store_overheads *files,
                            esc_dry_run *out) {
  esc_status status = ESC_OK;
  esc_run *const r = &g->point[i].run;
  const esc_problem *p = &r->spec->problem;
  esc_dry_run point = {0};
  ESC_TRY(inspect(r));
  ESC_TRY(estimate_costs(r, (measured){find_times(g, i, seconds), files}, &point));
  seconds[i] = (times){point.seconds_per_step, point.seconds_per_snapshot};
  ESC_TRY(add_cells(&point, i, out));
  add_costs(&point, out);
  out->cohort[i] = (esc_cohort_cost){.point = strdup(g->point[i].label),
                                     .members = point.members,
                                     .members_kept = point.members_kept,
                                     .layers = p->shape.layers,
                                     .width = p->shape.width,
                                     .inputs = p->shape.inputs,
                                     .batch = p->batch,
                                     .slots = point.slots,
                                     .host_bytes = point.host_bytes,
                                     .device_bytes = point.device_bytes,
                                     .seconds_per_step = point.seconds_per_step,
                                     .seconds_max = point.seconds_max,
                                     .seconds_predicted = point.seconds_predicted};
  ESC_TRY_ALLOCATE(out->cohort[i].point);
  if (i + 1 < g->points) {
    snprintf(out->engine, sizeof out->engine, "%s", point.engine);
    goto done;
  }
  memcpy(out->backend, point.backend, sizeof out->backend);
  memcpy(out->engine, point.engine, sizeof out->engine);
  out->on_device = point.on_device;
  out->thresholds = point.thresholds;
done:
  esc_dry_run_free(&point);
  return status;
}

/* Members that are finished in the files of the whole run. */
static esc_status inspect_whole(esc_run *whole, bool *complete) {
  esc_status status = ESC_OK;
  const bool resumes = whole->output[0] && whole->options.resume;
  *complete = false;
  if (whole->output[0]) ESC_TRY(esc_run_check_names(whole));
  if (whole->output[0] && !resumes && !whole->options.force && esc_io_exists(whole->output)) {
    esc_log("%s already exists: the run will need --resume or --force", whole->output);
    whole->output[0] = 0;
    return ESC_OK;
  }
  if (whole->options.from || resumes) ESC_TRY(esc_run_read_reused(whole, complete));
  if (*complete) { /* its members are found point by point */
    whole->reused[0] = whole->results;
    whole->results = NULL;
  }
  if (resumes && !*complete) ESC_TRY(esc_points_check(whole->output, whole->spec));
  if (resumes && !*complete && !whole->options.devices) ESC_TRY(esc_parts_refuse(whole));
done:
  return status;
}

static esc_status dry_run_grid(esc_run *whole, esc_dry_run *out) {
  esc_status status = ESC_OK;
  bool complete = false;
  int64_t in_parts = 0;
  esc_grid_run g = {.points = 0};
  times *seconds = NULL;
  esc_store_overheads files = {0};
  ESC_TRY(inspect_whole(whole, &complete));
  ESC_TRY(esc_grid_run_create(whole, &g));
  ESC_TRY(esc_grid_run_check_false_escapes(&g));
  ESC_TRY_ALLOCATE(seconds = calloc((size_t)g.points, sizeof *seconds));
  ESC_TRY_ALLOCATE(out->cohort = calloc((size_t)g.points, sizeof *out->cohort));
  out->cohorts = g.points;
  for (int i = 0; i < g.points; i++) ESC_TRY(add_point(&g, i, seconds, &files, out));
  if (whole->options.resume && whole->options.devices && !complete)
    ESC_TRY(esc_parts_inspect(whole, &in_parts));
  if (in_parts > out->members_kept) out->members_kept = in_parts;
  out->members_total = whole->plan.total;
  out->result_bytes += (double)(out->members * whole->spec->grid->grid->keys) * SWEPT_VALUE_BYTES;
  snprintf(out->output, sizeof out->output, "%s",
           whole->options.output ? whole->options.output : "");
done:
  free(seconds);
  esc_store_overheads_free(&files);
  esc_grid_run_free(&g);
  return status;
}

/* ---- the sweep ---- */

esc_status esc_sweep_dry_run(const esc_spec *spec, const esc_run_options *options,
                             esc_dry_run *out) {
  esc_status status = ESC_OK;
  esc_run r;
  esc_store_overheads files = {0};
  const esc_library_scope scope = esc_library_enter();
  const esc_log_receiver to = {options->callbacks.message, options->callbacks.context};
  const esc_log_receiver before = esc_log_redirect(to);
  *out = (esc_dry_run){0};
  ESC_TRY(esc_run_prepare(spec, options, true, &r));
  if (spec->grid) {
    status = dry_run_grid(&r, out);
    goto done;
  }
  ESC_TRY(inspect(&r));
  ESC_TRY(esc_run_check_false_escapes(&r));
  ESC_TRY(estimate_costs(&r, (measured){NULL, &files}, out));
done:
  esc_store_overheads_free(&files);
  esc_run_free(&r);
  esc_log_redirect(before);
  esc_library_leave(scope);
  if (status != ESC_OK) esc_dry_run_free(out);
  return status;
}

void esc_dry_run_free(esc_dry_run *dry_run) {
  for (int i = 0; dry_run->cohort && i < dry_run->cohorts; i++) free(dry_run->cohort[i].point);
  free(dry_run->cohort);
  free(dry_run->cell);
  free(dry_run->threshold_step);
  *dry_run = (esc_dry_run){0};
}
