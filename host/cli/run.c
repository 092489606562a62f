/* escapement run: spec -> plan -> training -> result file. */
#include "cli/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "cli/cli.h"
#include "device.h"
#include "progress.h"
#include "provenance.h"
#include "store/io.h"
#include "store/store.h"
#include "trace.h"

static atomic_bool stop;

static esc_status prepare(esc_run *r, int argc, char **argv, int first) {
  esc_status status = ESC_OK;
  r->ask.backend.device = (int)r->ask.device;
  if (first >= argc) return ESC_FAIL(ESC_BAD_INPUT, "run: needs a SPEC file; see --help");
  ESC_TRY(esc_run_choose_shard(r));
  ESC_TRY(esc_spec_load(argv[first], argc - first - 1, (const char *const *)argv + first + 1,
                        &r->spec));
  ESC_TRY(esc_backend_find(&r->ask.backend, &r->spec->problem, &r->engine));
  ESC_TRY_ALLOCATE(r->resolved = esc_spec_resolved(r->spec));
  ESC_TRY(esc_run_choose_output(r, argv[first]));
  ESC_TRY(esc_plan_create(r->spec, r->shard, r->shards, &r->plan));
  ESC_TRY(esc_plan_check_false_escapes(r->spec, &r->plan, r->warning));
  if (r->warning[0]) esc_note("warning: %s", r->warning);
  ESC_TRY(esc_run_size(r));
  if (r->engine->device_memory)
    ESC_TRY(esc_backend_cuda_name(r->setup.device, r->device, sizeof r->device));
  else
    esc_device_name(r->device, sizeof r->device);
done:
  return status;
}

static esc_status train(esc_run *r) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  esc_progress_bar bar;
  esc_progress_bar_init(&bar, r->ask.quiet);
  ESC_TRY(esc_results_create(r->plan.members, p->thresholds, p->shape.layers, &r->results));
  for (int i = 0; i < p->thresholds; i++) r->results->threshold[i] = p->threshold[i];
  ESC_TRY_ALLOCATE(r->done = calloc((size_t)r->plan.members + 1, sizeof *r->done));
  ESC_TRY(esc_run_open_files(r));
  esc_schedule schedule = {.engine = r->engine,
                           .setup = r->setup,
                           .stop = &stop,
                           .journal = r->journal,
                           .recorder = r->recorder,
                           .checkpoint = r->checkpoint,
                           .checkpoint_seconds = r->ask.checkpoint_seconds,
                           .seconds_max = r->ask.seconds_max,
                           .done = r->done,
                           .report = esc_progress_bar_report,
                           .context = &bar,
                           .warn = esc_note};
  status = esc_train(p, &r->plan, &schedule, r->results, &r->progress, r->engine_text);
  esc_progress_bar_finish(&bar);
done:
  return status;
}

static esc_status set_attributes(esc_run *r, const char *start_time) {
  esc_status status = ESC_OK;
  char text[1024] = "";
  size_t used = 0;
  ESC_TRY(esc_results_set(r->results, "name", r->spec->name));
  ESC_TRY(esc_results_set(r->results, "spec", r->resolved));
  ESC_TRY(esc_results_set(r->results, "backend", r->engine->name));
  ESC_TRY(esc_results_set(r->results, "engine", r->engine_text));
  ESC_TRY(esc_results_set(r->results, "precision", r->engine->precision));
  ESC_TRY(esc_results_set(r->results, "device", r->device));
  snprintf(text, sizeof text, "%lld/%lld", (long long)r->shard, (long long)r->shards);
  ESC_TRY(esc_results_set(r->results, "shard", text));
  snprintf(text, sizeof text, "%.3f", r->progress.seconds);
  ESC_TRY(esc_results_set(r->results, "wall_s", text));
  for (int i = 0; i < r->spec->problem.thresholds; i++)
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%.3g", i ? " " : "",
                             r->plan.false_escape[i]);
  ESC_TRY(esc_results_set(r->results, "false_escape_probability", text));
  ESC_TRY(esc_provenance(r->results, r->ask.argc, r->ask.argv, start_time));
done:
  return status;
}

/* Publishes the result. Whatever fails here, the members are in the journal. */
static esc_status publish(esc_run *r, const char *start_time) {
  char why[900];
  const bool appeared = !r->ask.force && esc_io_exists(r->output);
  esc_status status = set_attributes(r, start_time);
  if (status == ESC_OK && r->recorder) status = esc_recorder_fill(r->recorder, r->results);
  if (status == ESC_OK && !appeared) status = esc_store_write(r->output, r->results);
  if (status == ESC_OK && !appeared) {
    esc_run_close_files(r, true);
    return ESC_OK;
  }
  snprintf(why, sizeof why, "%s",
           appeared ? "appeared while this run was training" : esc_error_message());
  return ESC_FAIL(appeared ? ESC_BAD_INPUT : ESC_IO_FAILED,
                  "%s%s%s; all %lld members are safe in %s.journal, and the same command with "
                  "--resume%s publishes them",
                  appeared ? r->output : "", appeared ? ": " : "", why, (long long)r->plan.members,
                  r->output, appeared ? " --force" : "");
}

/* Whether what is at r->output is this very run's result, complete. */
static esc_status compare_existing(esc_run *r) {
  char shard[64];
  const char *const spec = esc_results_get(r->results, "spec");
  const char *const precision = esc_results_get(r->results, "precision");
  const char *const part = esc_results_get(r->results, "shard");
  const char *difference = NULL;
  snprintf(shard, sizeof shard, "%lld/%lld", (long long)r->shard, (long long)r->shards);
  if (!spec || strcmp(spec, r->resolved))
    difference = "another spec";
  else if (!part || strcmp(part, shard))
    difference = "another shard";
  else if (!precision || strcmp(precision, r->engine->precision))
    difference = "another precision (backend)";
  if (!difference && r->results->members == r->plan.members) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: holds the result of %s; -o names another file, --force replaces it",
                  r->output, difference ? difference : "another sweep");
}

/* Without --force an existing output is kept: with --resume it may be complete. */
static esc_status check_existing(esc_run *r, bool *complete) {
  esc_status status = ESC_OK;
  *complete = false;
  if (!esc_io_exists(r->output) || r->ask.force) return ESC_OK;
  if (!r->ask.resume)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: exists already; --force replaces it, -o names another",
                    r->output);
  ESC_TRY(esc_store_read(r->output, &r->results));
  ESC_TRY(compare_existing(r));
  for (int64_t i = 0; i < r->results->members; i++) {
    r->progress.escaped += r->results->status[i] == ESC_MEMBER_ESCAPED;
    r->progress.censored += r->results->status[i] == ESC_MEMBER_CENSORED;
    r->progress.diverged += r->results->status[i] == ESC_MEMBER_DIVERGED;
  }
  r->progress.members = r->results->members;
  *complete = true;
done:
  return status;
}

/* What is safe, and how to go on. */
static esc_status explain_end(const esc_run *r, esc_status status) {
  const char *end = status == ESC_INTERRUPTED ? "interrupted" : "stopped at --max-time";
  char finished[64] = "no member had finished", flying[4200] = "";
  int64_t saved = 0;
  for (int64_t i = 0; i < r->plan.members; i++) saved += r->done[i];
  const long long in_flight = (long long)r->progress.in_flight;
  if (saved == 0 && in_flight == 0)
    return ESC_FAIL(status, "%s: no network had made a step, so nothing is saved", end);
  if (saved)
    snprintf(finished, sizeof finished, "%lld of %lld members are safe in", (long long)saved,
             (long long)r->plan.members);
  if (in_flight)
    snprintf(flying, sizeof flying, "; %lld in flight are safe in %s.checkpoint", in_flight,
             r->output);
  return ESC_FAIL(status, "%s: %s%s%.4096s%s%s; the same command with --resume goes on", end,
                  finished, saved ? " " : "", saved ? r->output : "", saved ? ".journal" : "",
                  flying);
}

static esc_status execute(esc_run *r, int argc, char **argv, int first) {
  esc_status status = ESC_OK;
  bool complete = false;
  char start_time[32];
  esc_time_now(start_time);
  ESC_TRY(check_existing(r, &complete));
  if (complete) {
    esc_run_clear_files(r);
    if (r->ask.devices) esc_run_devices_clear(r);
    esc_note("%s is complete: nothing to do", r->output);
    return esc_run_summary(r);
  }
  if (r->ask.devices) return esc_run_devices(r, argc, argv, first, &stop);
  ESC_TRY(esc_run_devices_refuse(r));
  esc_signals_install(&stop);
  status = train(r);
  if (status == ESC_INTERRUPTED || status == ESC_OUT_OF_TIME) status = explain_end(r, status);
  if (status != ESC_OK) goto done;
  esc_trace_begin("store");
  status = publish(r, start_time);
  esc_trace_end();
  if (status != ESC_OK) goto done;
  esc_run_warn(r);
  ESC_TRY(esc_run_summary(r));
done:
  return status;
}

esc_status esc_verb_run(int argc, char **argv) {
  esc_status status = ESC_OK;
  esc_run r = {.ask = {.argc = argc, .argv = argv}};
  int first = 0;
  bool help = false;
  esc_run_follow_parent();
  ESC_TRY(esc_run_parse(&r.ask, argc, argv, &first, &help));
  if (help) return ESC_OK;
  ESC_TRY(prepare(&r, argc, argv, first));
  ESC_TRY(r.ask.dry_run ? esc_run_dry(&r) : execute(&r, argc, argv, first));
done:
  esc_run_close_files(&r, false);
  esc_recorder_free(r.recorder);
  esc_results_free(r.results);
  esc_plan_free(&r.plan);
  esc_spec_free(r.spec);
  free(r.resolved);
  free(r.done);
  return status;
}
