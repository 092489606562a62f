/* SPDX-License-Identifier: Apache-2.0 */
/* Training a sweep without a grid: spec -> plan -> training -> result file, or results in memory.
 */
#include "run/run.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/log.h"
#include "base/trace.h"
#include "escapement/internal/library.h"
#include "machine/processor.h"
#include "run/forecast.h"
#include "run/initial.h"
#include "run/points.h"
#include "store/segments.h"

/* ---- options ---- */

static esc_status check_options(const esc_run_options *o) {
  if (o->device >= 0 && o->devices)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "--device %d: cannot be combined with --devices; use one of them", o->device);
  if (o->devices && !o->output)
    return ESC_FAIL(
        ESC_BAD_INPUT,
        "--devices %.80s: needs an output file (-o), because each worker writes its part beside it",
        o->devices);
  if (o->resume && !o->output)
    return ESC_FAIL(ESC_BAD_INPUT, "resume: needs the output file (-o) of the run to continue");
  if (o->shards < 0 || o->shard < 0 || (o->shard > 0 && o->shard >= o->shards))
    return ESC_FAIL(ESC_BAD_INPUT, "shard %lld of %lld: must be from 0 to the number of shards - 1",
                    (long long)o->shard, (long long)o->shards);
  if (o->threads < 0 || o->slots < 0 || !(o->checkpoint_seconds >= 0) || !(o->seconds_max >= 0))
    return ESC_FAIL(ESC_BAD_INPUT, "threads, slots and times must not be negative");
  return o->devices ? esc_devices_check(o->devices) : ESC_OK;
}

/* Finds the engine for every device of --devices, without opening one: a worker opens its own. Two
 * kinds of GPU may lead to two paths, whose numbers cannot be merged. */
static esc_status find_engine_of_devices(esc_run *r, esc_backend_request request) {
  esc_status status = ESC_OK;
  const esc_engine_ops *first = NULL;
  for (const char *at = r->options.devices; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
    request.device = atoi(at); /* 0 for cpu */
    ESC_TRY(esc_backend_find(&request, &r->spec->problem, &r->engine));
    request.warn = NULL;
    if (first && strcmp(first->precision, r->engine->precision) != 0)
      return ESC_FAIL(
          ESC_BAD_INPUT,
          "--devices %.80s: these GPUs would train in different precisions (%s and %s); "
          "select a --path that all of them support",
          r->options.devices, first->precision, r->engine->precision);
    if (!first) first = r->engine;
  }
done:
  return status;
}

static esc_status choose_engine(esc_run *r) {
  esc_status status = ESC_OK;
  const esc_run_options *o = &r->options;
  const char *const backend = o->backend || !o->devices       ? o->backend
                              : strncmp(o->devices, "cpu", 3) ? "cuda"
                                                              : "cpu";
  const esc_backend_request request = {backend, o->path, o->precision,
                                       o->device > 0 ? o->device : 0, esc_log};
  if (o->devices)
    ESC_TRY(find_engine_of_devices(r, request));
  else
    ESC_TRY(esc_backend_find(&request, &r->spec->problem, &r->engine));
  if (o->device >= 0) ESC_TRY(esc_backend_check_device(r->engine, o->device));
  r->options.backend = backend;
done:
  return status;
}

/* Resolves an output that is a symbolic link, so that two names of one file share one journal. */
static esc_status resolve_output(esc_run *r) {
  esc_status status = ESC_OK;
  char target[PATH_MAX];
  struct stat info;
  const char *const wanted = r->options.output;
  if (!wanted) return ESC_OK;
  if (strlen(wanted) >= sizeof r->output - 32)
    return ESC_FAIL(ESC_BAD_INPUT, "-o: the path is longer than %zu bytes", sizeof r->output - 33);
  ESC_TRY(esc_io_check_writable(wanted));
  ESC_TRY(esc_io_resolve(wanted, target, sizeof target));
  const bool link = lstat(wanted, &info) == 0 && S_ISLNK(info.st_mode);
  snprintf(r->output, sizeof r->output, "%.4000s", link ? target : wanted);
done:
  return status;
}

/* From here on the run's spec is a copy that has the weights. */
static esc_status read_initial(esc_run *r) {
  esc_status status = ESC_OK;
  char checksum[ESC_CHECKSUM_TEXT_SIZE];
  ESC_TRY(esc_initial_networks_read(r->spec, checksum, &r->initial));
  r->started = *r->spec;
  memcpy(r->started.init.checksum, checksum, sizeof checksum);
  r->started.problem.initial = r->initial;
  r->spec = &r->started;
done:
  return status;
}

esc_status esc_run_prepare(const esc_spec *spec, const esc_run_options *options, bool dry,
                           esc_run *r) {
  esc_status status = ESC_OK;
  *r = (esc_run){.options = *options, .spec = spec, .shard = options->shard};
  r->supervises = options->devices && !dry;
  r->shards = options->shards ? options->shards : 1;
  r->stop = options->stop ? options->stop : &r->own_stop;
  ESC_TRY(check_options(options));
  ESC_TRY(choose_engine(r));
  if (spec->problem.scheme == ESC_SCHEME_FILE) ESC_TRY(read_initial(r));
  ESC_TRY_ALLOCATE(r->resolved = esc_spec_resolved(r->spec));
  ESC_TRY(esc_run_set_identity(r));
  ESC_TRY(resolve_output(r));
  ESC_TRY(esc_run_choose_resources(r)); /* before any allocation that grows with the members */
  ESC_TRY(esc_plan_create(spec, r->shard, r->shards, &r->plan));
  ESC_TRY(esc_initial_networks_check(r->spec, r->initial, &r->plan));
  if (r->engine->device_memory)
    ESC_TRY(esc_backend_cuda_name(r->setup.device, r->device, sizeof r->device));
  else
    esc_processor_name(r->device, sizeof r->device);
  if (r->engine->versions && !r->supervises)
    ESC_TRY(r->engine->versions(r->engine, r->libraries, sizeof r->libraries));
done:
  return status;
}

void esc_run_free(esc_run *r) {
  esc_run_close_files(r, false);
  esc_lock_release(r->lock);
  for (int i = 0; i < ESC_RUN_REUSED_MAX; i++) esc_results_free(r->reused[i]);
  json_decref(r->segments);
  esc_recorder_free(r->recorder);
  esc_weight_recorder_free(r->weight_recorder);
  esc_results_free(r->results);
  esc_plan_free(&r->plan);
  esc_initial_networks_free(r->initial);
  free(r->resolved);
  free(r->identity);
  free(r->done);
}

/* ---- training ---- */

/* Progress callback of the training: forwards the progress and updates the run's segment. */
static void report(void *context, const esc_progress *progress) {
  esc_run *r = context;
  const esc_run_callbacks *callbacks = &r->options.callbacks;
  if (callbacks->progress && !callbacks->progress(callbacks->context, progress))
    esc_stop_request(r->stop);
  esc_run_log_rates(r);
  const double due = r->segment_updated_at + fmax(1, 0.01 * r->segment_updated_at);
  if (progress->seconds >= due && esc_run_segment_update(r, NULL) != ESC_OK)
    r->segment_updated_at =
        progress->seconds; /* a failing journal is reported when a member is appended */
}

static void report_phase(void *context, esc_run_phase phase, bool begins) {
  if (begins)
    esc_run_phase_begin(context, phase);
  else
    esc_run_phase_end(context, phase);
}

/* A failing journal is reported when a member is appended. */
static void report_event(void *context, const esc_train_event *event) {
  if (event->kind == ESC_EVENT_CHECKPOINT)
    (void)esc_run_segment_mark_checkpoint(context, event->digest);
  esc_run_log_event(context, event);
}

/* Records the end of the training in the segment. A failure keeps its own message. */
static esc_status end_segment(esc_run *r, esc_status status) {
  const char *const ended = status == ESC_OK            ? "finished"
                            : status == ESC_INTERRUPTED ? "interrupted"
                            : status == ESC_OUT_OF_TIME ? "max-time"
                                                        : "failed";
  if (status == ESC_OK) return esc_run_segment_update(r, ended);
  char why[1000];
  snprintf(why, sizeof why, "%s", esc_error_message());
  if (r->progress.network_steps > 0) (void)esc_run_segment_update(r, ended);
  return ESC_FAIL(status, "%s", why);
}

static void log_reused_members(const esc_run *r) {
  if (r->members_reused && !r->options.quiet && !r->is_point)
    esc_log("%lld of %lld members are reused from earlier results; the others are trained",
            (long long)r->members_reused, (long long)r->plan.members);
}

static esc_status train(esc_run *r) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  double *predicted = NULL;
  ESC_TRY(esc_results_create(r->plan.members, p->thresholds, p->shape.layers, &r->results));
  for (int i = 0; i < p->thresholds; i++) r->results->threshold[i] = p->threshold[i];
  ESC_TRY_ALLOCATE(r->done = calloc((size_t)r->plan.members + 1, sizeof *r->done));
  ESC_TRY_ALLOCATE(r->segments = json_array());
  ESC_TRY(esc_run_open_files(r));
  if (r->recorder) esc_recorder_set_callbacks(r->recorder, &r->options.callbacks);
  log_reused_members(r);
  if (r->options.callbacks.progress) ESC_TRY(esc_run_forecast_members(r, &predicted));
  ESC_TRY(esc_run_segment_begin(r));
  esc_run_log_start(r);
  esc_schedule schedule = {.engine = r->engine,
                           .setup = r->setup,
                           .stop = &r->stop->requested,
                           .journal = r->journal,
                           .recorder = r->recorder,
                           .weight_recorder = r->weight_recorder,
                           .checkpoint = r->checkpoint,
                           .checkpoint_seconds = r->options.checkpoint_seconds,
                           .seconds_max = r->options.seconds_max,
                           .done = r->done,
                           .predicted = predicted,
                           .report = report,
                           .phase = report_phase,
                           .event = report_event,
                           .context = r,
                           .warn = esc_log};
  status = esc_schedule_train(p, &r->plan, &schedule, r->results, &r->progress, r->engine_text);
  status = end_segment(r, status);
done:
  free(predicted);
  return status;
}

esc_status esc_run_check_false_escapes(esc_run *r) {
  const esc_status status = esc_plan_check_false_escapes(r->spec, &r->plan, r->warning);
  if (status == ESC_OK && r->warning[0] && !r->is_worker) esc_log("warning: %s", r->warning);
  return status;
}

esc_status esc_run_finish_complete(esc_run *r) {
  esc_status status = ESC_OK;
  ESC_TRY_ALLOCATE(r->segments = esc_segments_from_results(r->results));
  if (!r->spec->grid) esc_run_remove_files(r);
  if (r->options.devices) ESC_TRY(esc_run_devices_clear(r));
  if (!r->is_worker && !r->is_point) esc_log("%s is complete: nothing to do", r->output);
done:
  return status;
}

/* Refuses to continue beside the files of a run with --devices or with a grid. */
static esc_status refuse_other_files(const esc_run *r) {
  esc_status status = ESC_OK;
  bool begun = false;
  ESC_TRY(esc_parts_refuse(r));
  ESC_TRY(esc_points_find(r->output, &begun));
  if (begun && r->options.force && !r->options.resume) return esc_points_remove(r->output);
  if (begun)
    status = ESC_FAIL(ESC_BAD_INPUT,
                      "%s.point-*: belong to a run with a grid; continue it with its spec and "
                      "--resume, choose another output with -o, or start over with --force",
                      r->output);
done:
  return status;
}

static esc_status train_here(esc_run *r) {
  esc_status status = ESC_OK;
  if (r->output[0] && r->options.force && !r->options.resume) ESC_TRY(esc_run_devices_clear(r));
  if (r->output[0] && !r->is_point) ESC_TRY(refuse_other_files(r));
  status = train(r);
  if (status == ESC_INTERRUPTED || status == ESC_OUT_OF_TIME)
    status = esc_run_explain_stop(r, status);
  if (status != ESC_OK) goto done;
  esc_trace_begin("store");
  esc_run_phase_begin(r, ESC_RUN_PHASE_SAVING);
  status = esc_run_publish(r);
  esc_run_phase_end(r, ESC_RUN_PHASE_SAVING);
  esc_trace_end();
  if (status == ESC_OK) esc_run_log_warnings(r);
done:
  return status;
}

esc_status esc_run_execute(esc_run *r, int lock, bool *complete) {
  esc_status status = ESC_OK;
  *complete = false;
  if (r->output[0]) {
    ESC_TRY(esc_run_check_names(r));
    ESC_TRY(esc_run_lock(r, lock));
  }
  ESC_TRY(esc_run_read_reused(r, complete));
  if (*complete) return esc_run_finish_complete(r);
  if (!r->is_point) ESC_TRY(esc_run_check_false_escapes(r));
  if (r->options.devices) esc_run_log_start(r);
  status = r->options.devices ? esc_run_train_on_devices(r) : train_here(r);
done:
  return status;
}
