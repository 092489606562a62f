/* escapement run: spec -> plan -> training -> result file. */
#include "run/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/registry.h"
#include "base/io.h"
#include "base/trace.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "machine/processor.h"
#include "run/forecast.h"
#include "run/provenance.h"
#include "store/segments.h"
#include "store/store.h"

static atomic_bool stop;

static esc_status prepare(esc_run *r, int argc, char **argv, int first) {
  esc_status status = ESC_OK;
  r->ask.backend.device = (int)r->ask.device;
  if (first >= argc) return ESC_FAIL(ESC_BAD_INPUT, "run: needs a SPEC file; see --help");
  ESC_TRY(esc_run_choose_shard(r));
  ESC_TRY(esc_spec_load(argv[first], argc - first - 1, (const char *const *)argv + first + 1,
                        &r->spec));
  ESC_TRY(esc_backend_find(&r->ask.backend, &r->spec->problem, &r->engine));
  if (r->ask.device_named) ESC_TRY(esc_backend_check_device(r->engine, r->ask.device));
  ESC_TRY_ALLOCATE(r->resolved = esc_spec_resolved(r->spec));
  ESC_TRY(esc_run_identify(r));
  ESC_TRY(esc_run_choose_output(r, argv[first]));
  ESC_TRY(esc_run_size(r)); /* before anything is allocated for each member */
  ESC_TRY(esc_plan_create(r->spec, r->shard, r->shards, &r->plan));
  if (r->engine->device_memory)
    ESC_TRY(esc_backend_cuda_name(r->setup.device, r->device, sizeof r->device));
  else
    esc_device_name(r->device, sizeof r->device);
done:
  return status;
}

/* What follows the training of a run: the bar, and the notes of its segment. */
typedef struct watching {
  esc_run *run;
  esc_progress_bar bar;
} watching;

static void report(void *context, const esc_progress *progress) {
  watching *w = context;
  esc_run *r = w->run;
  esc_progress_bar_report(&w->bar, progress);
  const double due = r->noted + fmax(1, 0.01 * r->noted);
  if (progress->seconds >= due && esc_run_segment_note(r, NULL) != ESC_OK)
    r->noted = progress->seconds; /* what matters more fails too, and says so */
}

/* How the training ended, for its segment. A failure keeps its own message. */
static esc_status end_segment(esc_run *r, esc_status status) {
  const char *const ended = status == ESC_OK            ? "finished"
                            : status == ESC_INTERRUPTED ? "interrupted"
                            : status == ESC_OUT_OF_TIME ? "max-time"
                                                        : "failed";
  if (status == ESC_OK) return esc_run_segment_note(r, ended);
  char why[1000];
  snprintf(why, sizeof why, "%s", esc_error_message());
  if (r->progress.network_steps > 0) (void)esc_run_segment_note(r, ended);
  return ESC_FAIL(status, "%s", why);
}

static void tell_what_is_kept(const esc_run *r) {
  if (r->based && !r->ask.quiet)
    esc_log("%lld of %lld members are taken from earlier results, the others are trained",
            (long long)r->based, (long long)r->plan.members);
}

static esc_status train(esc_run *r) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  watching watch = {.run = r};
  double *predicted = NULL;
  esc_progress_bar_init(&watch.bar, r->ask.quiet);
  ESC_TRY(esc_results_create(r->plan.members, p->thresholds, p->shape.layers, &r->results));
  for (int i = 0; i < p->thresholds; i++) r->results->threshold[i] = p->threshold[i];
  ESC_TRY_ALLOCATE(r->done = calloc((size_t)r->plan.members + 1, sizeof *r->done));
  ESC_TRY_ALLOCATE(r->segments = json_array());
  ESC_TRY(esc_run_open_files(r));
  tell_what_is_kept(r);
  if (!r->ask.quiet) ESC_TRY(esc_run_forecast_members(r, &predicted));
  ESC_TRY(esc_run_segment_begin(r));
  esc_schedule schedule = {.engine = r->engine,
                           .setup = r->setup,
                           .stop = &stop,
                           .journal = r->journal,
                           .recorder = r->recorder,
                           .checkpoint = r->checkpoint,
                           .checkpoint_seconds = r->ask.checkpoint_seconds,
                           .seconds_max = r->ask.seconds_max,
                           .done = r->done,
                           .predicted = predicted,
                           .report = report,
                           .context = &watch,
                           .warn = esc_log};
  status = esc_train(p, &r->plan, &schedule, r->results, &r->progress, r->engine_text);
  esc_progress_bar_finish(&watch.bar);
  status = end_segment(r, status);
done:
  free(predicted);
  return status;
}

esc_status esc_run_set_attributes(esc_run *r) {
  esc_status status = ESC_OK;
  char text[1024] = "", now[32];
  size_t used = 0;
  esc_time_now(now);
  ESC_TRY(esc_results_set(r->results, "name", r->spec->name));
  ESC_TRY(esc_results_set(r->results, "spec", r->resolved));
  ESC_TRY(esc_results_set(r->results, "backend", r->engine->name));
  ESC_TRY(esc_results_set(r->results, "engine", r->engine_text));
  ESC_TRY(esc_results_set(r->results, "precision", r->engine->precision));
  ESC_TRY(esc_results_set(r->results, "device", r->device));
  snprintf(text, sizeof text, "%lld/%lld", (long long)r->shard, (long long)r->shards);
  ESC_TRY(esc_results_set(r->results, "shard", text));
  for (int i = 0; i < r->spec->problem.thresholds; i++)
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%.3g", i ? " " : "",
                             r->plan.false_escape[i]);
  ESC_TRY(esc_results_set(r->results, "false_escape_probability", text));
  ESC_TRY(esc_provenance(r->results, r->ask.argc, r->ask.argv, now));
  ESC_TRY(esc_segments_store(r->segments, r->results));
done:
  return status;
}

/* Whether the output is another file than when the run began. */
static bool has_changed(const esc_run *r) {
  const esc_run_stamp now = esc_run_stamp_of(r->output);
  return !r->ask.force && memcmp(&now, &r->stamp, sizeof now) != 0;
}

/* What a result that could not be published leaves, by reading it again. */
static esc_status explain_unpublished(esc_run *r, const char *why, bool changed) {
  const int64_t here = esc_run_confirmed_members(r) + r->based;
  char safe[80];
  if (here == r->plan.members)
    snprintf(safe, sizeof safe, "all %lld members are safe", (long long)here);
  else
    snprintf(safe, sizeof safe, "%lld of %lld members are safe", (long long)here,
             (long long)r->plan.members);
  return ESC_FAIL(changed ? ESC_BAD_INPUT : ESC_IO_FAILED,
                  "%s%s%s; %s in %s%s.journal, and the same command with --resume%s publishes them",
                  changed ? r->output : "", changed ? ": " : "", why, safe,
                  r->stamp.inode ? "the earlier result and " : "", r->output,
                  changed && !r->stamp.inode ? " --force" : "");
}

/* Publishes the result. Whatever fails here, the members are in the journal. */
static esc_status publish(esc_run *r) {
  char why[900];
  const bool changed = has_changed(r);
  esc_status status = esc_run_set_attributes(r);
  if (status == ESC_OK && r->recorder) status = esc_recorder_fill(r->recorder, r->results);
  if (status == ESC_OK && !changed) status = esc_store_write(r->output, r->results);
  if (status == ESC_OK && !changed) {
    esc_run_close_files(r, true);
    return ESC_OK;
  }
  snprintf(why, sizeof why, "%s",
           changed ? r->stamp.inode ? "was changed while this run was training"
                                    : "appeared while this run was training"
                   : esc_error_message());
  return explain_unpublished(r, why, changed);
}

/* What is safe, by reading it again, and how to go on. */
static esc_status explain_end(const esc_run *r, esc_status status) {
  const char *end = status == ESC_INTERRUPTED ? "interrupted" : "stopped at --max-time";
  char finished[64] = "no member had finished", flying[4200] = "";
  int64_t done = -r->based; /* these are in the earlier result */
  for (int64_t i = 0; i < r->plan.members; i++) done += r->done[i];
  const int64_t saved = esc_run_confirmed_members(r);
  const int64_t in_flight = r->progress.in_flight ? esc_run_confirmed_networks(r) : 0;
  if (saved < done || in_flight < r->progress.in_flight)
    return ESC_FAIL(ESC_IO_FAILED,
                    "%s, but another program changed what was saved: %lld members are safe of %lld "
                    "that had finished, in %.1500s.journal, and %lld of %lld networks in flight; "
                    "the same command with --resume goes on from there",
                    end, (long long)saved, (long long)done, r->output, (long long)in_flight,
                    (long long)r->progress.in_flight);
  if (saved == 0 && in_flight == 0)
    return ESC_FAIL(status, "%s: no network had made a step, so nothing is saved", end);
  if (saved)
    snprintf(finished, sizeof finished, "%lld of %lld members are safe in", (long long)saved,
             (long long)(r->plan.members - r->based));
  if (in_flight)
    snprintf(flying, sizeof flying, "; %lld in flight are safe in %s.checkpoint",
             (long long)in_flight, r->output);
  return ESC_FAIL(status, "%s: %s%s%.4096s%s%s; the same command with --resume goes on", end,
                  finished, saved ? " " : "", saved ? r->output : "", saved ? ".journal" : "",
                  flying);
}

/* Behind what refuses the run or ends it at once, for it takes a tenth of a second. */
static esc_status check_false_escapes(esc_run *r) {
  const esc_status status = esc_plan_check_false_escapes(r->spec, &r->plan, r->warning);
  if (status == ESC_OK && r->warning[0] && !r->worker) esc_log("warning: %s", r->warning);
  return status;
}

static esc_status execute(esc_run *r, int argc, char **argv, int first) {
  esc_status status = ESC_OK;
  bool complete = false;
  ESC_TRY(esc_run_check_names(r));
  esc_signals_install(&stop); /* before there is a file that a stop would leave behind */
  ESC_TRY(esc_run_lock(r, &stop));
  ESC_TRY(esc_run_read_bases(r, &complete));
  if (complete) {
    ESC_TRY_ALLOCATE(r->segments = esc_segments_of(r->results));
    esc_run_clear_files(r);
    if (r->ask.devices) ESC_TRY(esc_run_devices_clear(r));
    if (!r->worker) esc_log("%s is complete: nothing to do", r->output);
    return esc_run_summary(r);
  }
  ESC_TRY(check_false_escapes(r));
  if (r->ask.devices) return esc_run_devices(r, argc, argv, first, &stop);
  if (r->ask.force && !r->ask.resume) ESC_TRY(esc_run_devices_clear(r));
  ESC_TRY(esc_run_devices_refuse(r));
  status = train(r);
  if (status == ESC_INTERRUPTED || status == ESC_OUT_OF_TIME) status = explain_end(r, status);
  if (status != ESC_OK) goto done;
  esc_trace_begin("store");
  esc_signals_save_begin();
  status = publish(r);
  esc_signals_save_end();
  esc_trace_end();
  if (status != ESC_OK) goto done;
  esc_run_warn(r);
  ESC_TRY(esc_run_summary(r));
done:
  return status;
}

esc_status esc_run_result_bytes(esc_run *r, int64_t snapshots, double *bytes) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  const bool whole = r->results != NULL; /* of a run that is complete */
  esc_results *const before = r->results;
  const int64_t done_before = r->done_before;
  r->results = NULL;
  ESC_TRY(esc_results_create(1, p->thresholds, p->shape.layers, &r->results));
  if (snapshots) ESC_TRY(esc_results_add_snapshots(r->results, 1));
  if (!r->segments) ESC_TRY_ALLOCATE(r->segments = json_array());
  for (int b = 0; b < ESC_RUN_BASES && !whole; b++) {
    json_t *more = r->base[b] ? esc_segments_of(r->base[b]) : NULL;
    status = esc_segments_join(r->segments, more);
    json_decref(more);
    if (status != ESC_OK) goto done;
  }
  ESC_TRY(esc_run_segment_begin(r));
  ESC_TRY(esc_run_set_attributes(r));
  ESC_TRY(esc_store_size(r->results, r->plan.members, snapshots, bytes));
done:
  esc_results_free(r->results);
  r->results = before;
  r->done_before = done_before;
  return status;
}

void esc_run_mark_base(esc_run *r, const esc_results *base) {
  for (int64_t i = 0; base && i < base->members; i++) {
    const esc_member_key key = {(uint64_t)base->seed[i], (uint64_t)base->small_layers[i],
                                base->scale[i]};
    const int64_t place = esc_plan_find(&r->plan, key);
    if (place >= 0) r->done[place] = true;
  }
}

/* The checks that the run itself would begin with, and what is finished already. */
static esc_status inspect(esc_run *r) {
  esc_status status = ESC_OK;
  bool complete = false;
  int64_t in_parts = 0;
  ESC_TRY(esc_run_check_names(r));
  ESC_TRY_ALLOCATE(r->done = calloc((size_t)r->plan.members + 1, sizeof *r->done));
  if (!r->ask.resume && !r->ask.force && esc_io_exists(r->output)) {
    esc_log("%s exists already: the run will need --resume or --force", r->output);
    return ESC_OK;
  }
  if (!r->ask.resume && !r->ask.from) return ESC_OK;
  ESC_TRY_ALLOCATE(r->segments = json_array()); /* those of earlier parts are in the result too */
  ESC_TRY(esc_run_read_bases(r, &complete));
  if (complete) esc_run_mark_base(r, r->results);
  for (int b = 0; b < ESC_RUN_BASES; b++) esc_run_mark_base(r, r->base[b]);
  if (r->ask.resume && r->ask.devices) ESC_TRY(esc_run_devices_inspect(r, &in_parts));
  if (r->ask.resume && !r->ask.devices) ESC_TRY(esc_run_devices_refuse(r));
  if (r->ask.resume && !r->ask.devices) ESC_TRY(esc_run_inspect_files(r, r->output));
  for (int64_t i = 0; i < r->plan.members; i++) r->done_before += r->done[i];
  if (in_parts > r->done_before) r->done_before = in_parts; /* parts hold those of the base too */
done:
  return status;
}

esc_status esc_verb_run(int argc, char **argv) {
  esc_status status = ESC_OK;
  esc_run r = {.ask = {.argc = argc, .argv = argv}};
  int first = 0;
  bool help = false;
  esc_signals_follow_parent();
  ESC_TRY(esc_run_parse(&r.ask, argc, argv, &first, &help));
  if (help) return ESC_OK;
  ESC_TRY(prepare(&r, argc, argv, first));
  if (r.ask.dry_run) ESC_TRY(inspect(&r));
  if (r.ask.dry_run) ESC_TRY(check_false_escapes(&r));
  ESC_TRY(r.ask.dry_run ? esc_run_dry(&r) : execute(&r, argc, argv, first));
done:
  esc_run_close_files(&r, false);
  esc_lock_release(r.lock);
  for (int i = 0; i < ESC_RUN_BASES; i++) esc_results_free(r.base[i]);
  json_decref(r.segments);
  esc_recorder_free(r.recorder);
  esc_results_free(r.results);
  esc_plan_free(&r.plan);
  esc_spec_free(r.spec);
  free(r.resolved);
  free(r.identity);
  free(r.done);
  return status;
}
