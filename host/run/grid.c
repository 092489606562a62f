/* SPDX-License-Identifier: Apache-2.0 */
/* Trains the points of a grid one after another (grid.h). */
#include "run/grid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "base/names.h"
#include "run/parts.h"
#include "run/training.h"
#include "store/segments.h"

/* ---- messages of a point ---- */

typedef struct labelled {
  const char *label;
  esc_log_receiver to;
} labelled;

static void forward_message(void *context, const char *text) {
  static const char warning[] = "warning: ";
  const labelled *l = context;
  const bool warns = !strncmp(text, warning, sizeof warning - 1);
  const esc_log_receiver here = esc_log_redirect(l->to);
  esc_log("%s%s: %s", warns ? warning : "", l->label, text + (warns ? sizeof warning - 1 : 0));
  (void)esc_log_redirect(here);
}

static int64_t count_saved(const esc_grid_run *g) {
  const esc_run *r = &g->point[g->current].run;
  int64_t saved =
      r->results || r->journal ? esc_run_count_synced_members(r) + r->members_reused : 0;
  for (int i = 0; i < g->current; i++) saved += g->point[i].run.plan.members;
  return saved;
}

/* Message of a stopped run: the reason, what was saved, and how to continue. */
static esc_status explain_stop(const esc_grid_run *g, esc_status status) {
  const esc_run *whole = g->whole, *r = &g->point[g->current].run;
  const char *reason = status == ESC_INTERRUPTED ? "interrupted" : "stopped at --max-time";
  if (!whole->output[0])
    return ESC_FAIL(status, "%s: nothing was saved, because the run has no output", reason);
  const int64_t saved = count_saved(g);
  const int64_t in_flight = r->progress.in_flight ? esc_run_count_synced_networks(r) : 0;
  if (saved == 0 && in_flight == 0)
    return ESC_FAIL(status, "%s: no network had made a step; nothing was saved", reason);
  return ESC_FAIL(status,
                  "%s at point %d of %d (%.300s): %lld of %lld members and %lld networks in flight "
                  "are saved in %.2000s.point-*%s; continue with the same command and --resume",
                  reason, g->current + 1, g->points, g->point[g->current].label, (long long)saved,
                  (long long)whole->plan.members, (long long)in_flight, whole->output,
                  whole->reused[0] ? " and the earlier result" : "");
}

static esc_status explain_failure(const esc_grid_run *g, esc_status status) {
  char why[1600];
  if (status == ESC_INTERRUPTED || status == ESC_OUT_OF_TIME) return explain_stop(g, status);
  snprintf(why, sizeof why, "%s", esc_error_message());
  return ESC_FAIL(status, "%.300s: %s", g->point[g->current].label, why);
}

/* ---- training ---- */

static void add_progress(esc_grid_run *g) {
  const esc_run *r = &g->point[g->current].run;
  const esc_results *results = r->results;
  const esc_status_counts n = esc_results_count_statuses(results);
  esc_progress *sum = &g->before;
  double steps = 0;
  for (int64_t i = 0; i < results->members; i++) steps += (double)results->steps_run[i];
  sum->escaped += n.escaped;
  sum->censored += n.censored;
  sum->diverged += n.diverged;
  sum->members += results->members;
  sum->network_steps += r->progress.network_steps;
  sum->steps.made += (int64_t)steps;
  sum->steps.expected += steps;
  sum->seconds += r->progress.seconds;
  g->flop += steps * esc_flop_per_step(&r->spec->problem);
  g->whole->members_reused += r->members_reused;
}

static esc_status train_point(esc_grid_run *g) {
  esc_status status = ESC_OK;
  esc_run *const whole = g->whole, *const r = &g->point[g->current].run;
  bool complete = false;
  labelled messages = {.label = g->point[g->current].label};
  const double start = esc_training_now();
  if (r->plan.members == 0)
    return esc_results_create(0, r->spec->problem.thresholds, r->spec->problem.shape.layers,
                              &r->results);
  if (whole->options.seconds_max > 0)
    r->options.seconds_max = whole->options.seconds_max - g->spent;
  messages.to = esc_log_redirect((esc_log_receiver){forward_message, &messages});
  status = esc_run_execute(r, -1, &complete);
  (void)esc_log_redirect(messages.to);
  if (r->progress.network_steps > 0) g->spent += esc_training_now() - start;
  if (status != ESC_OK) goto done;
  whole->finished_before += complete ? r->plan.members : r->finished_before;
  if (r->engine_text[0]) memcpy(whole->engine_text, r->engine_text, sizeof whole->engine_text);
  esc_segments_set_point(r->segments, g->point[g->current].label);
  ESC_TRY(esc_segments_join(whole->segments, r->segments));
  add_progress(g);
done:
  esc_lock_release(r->lock);
  r->lock = NULL;
  return status;
}

/* Progress of a run that stops at the current point. */
static void add_current(esc_grid_run *g) {
  const esc_progress *p = &g->point[g->current].run.progress;
  esc_progress *sum = &g->whole->progress;
  *sum = g->before;
  sum->escaped += p->escaped;
  sum->censored += p->censored;
  sum->diverged += p->diverged;
  sum->running += p->running;
  sum->network_steps += p->network_steps;
  sum->seconds += p->seconds;
}

/* Whether --max-time is over before the current point begins. A point that was complete before does
 * not count, so that a resumed run makes steps however many there are. */
static bool is_out_of_time(const esc_grid_run *g) {
  const double seconds_max = g->whole->options.seconds_max;
  const bool has_members = g->point[g->current].run.plan.members > 0;
  return has_members && seconds_max > 0 && g->spent >= seconds_max;
}

static esc_status train_points(esc_grid_run *g) {
  esc_status status = ESC_OK;
  esc_run *const whole = g->whole;
  whole->finished_before = 0;
  ESC_TRY_ALLOCATE(whole->segments = json_array());
  ESC_TRY_ALLOCATE(whole->done = calloc((size_t)whole->plan.members + 1, sizeof *whole->done));
  for (g->current = 0; g->current < g->points; g->current++) {
    status = is_out_of_time(g) ? ESC_OUT_OF_TIME : train_point(g);
    if (status != ESC_OK) {
      add_current(g);
      status = explain_failure(g, status);
      goto done;
    }
  }
  memset(whole->done, true, (size_t)whole->plan.members);
  whole->progress = g->before;
  whole->progress.members = whole->plan.members;
  ESC_TRY(esc_segments_sort(&whole->segments));
done:
  return status;
}

/* ---- files ---- */

/* Files of a run without a grid at this output. */
static esc_status check_no_journal(const esc_run *whole) {
  char path[sizeof whole->output + 32];
  for (int i = 1; esc_names_suffixes[i]; i++) { /* 0 is the result's */
    snprintf(path, sizeof path, "%s%s", whole->output, esc_names_suffixes[i]);
    if (!strcmp(esc_names_suffixes[i], ".lock") || !esc_io_exists(path)) continue;
    if (!whole->options.force || whole->options.resume)
      return ESC_FAIL(ESC_BAD_INPUT,
                      "%s: belongs to a run without a grid; finish it with its own spec and "
                      "--resume, then add the grid to its result, or start over with --force",
                      path);
    esc_io_remove(path);
  }
  return ESC_OK;
}

/* Refuses files of another kind of run, or of points that the grid no longer has. */
static esc_status check_files(const esc_run *whole) {
  esc_status status = ESC_OK;
  const esc_run_options *o = &whole->options;
  bool begun = false;
  ESC_TRY(check_no_journal(whole));
  if (o->force && !o->resume) ESC_TRY(esc_points_remove(whole->output));
  if (o->force && !o->resume) ESC_TRY(esc_run_devices_clear(whole));
  ESC_TRY(esc_points_find(whole->output, &begun));
  if (begun && o->devices)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s.point-*: belong to a run started without --devices; continue it without "
                    "--devices, or start over with --force",
                    whole->output);
  if (!o->devices) ESC_TRY(esc_parts_refuse(whole));
  if (begun && !o->resume)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: the files of an interrupted run are beside it (%s.point-*); continue with "
                    "--resume, or start over with --force",
                    whole->output, whole->output);
  if (begun) ESC_TRY(esc_points_check(whole->output, whole->spec));
done:
  return status;
}

/* ---- the whole run ---- */

static esc_status finish(esc_grid_run *g) {
  esc_status status = ESC_OK;
  esc_run *const whole = g->whole;
  ESC_TRY(esc_grid_run_join(g));
  esc_run_phase_begin(whole, ESC_RUN_PHASE_SAVING);
  status = esc_run_publish(whole);
  if (status == ESC_OK && whole->output[0]) status = esc_points_remove(whole->output);
  esc_run_phase_end(whole, ESC_RUN_PHASE_SAVING);
done:
  return status;
}

static esc_status train(esc_run *whole) {
  esc_status status = ESC_OK;
  esc_grid_run g = {.points = 0};
  ESC_TRY(esc_grid_run_create(whole, &g));
  if (whole->output[0]) ESC_TRY(esc_run_check_names(&g.point[0].run));
  ESC_TRY(esc_grid_run_check_false_escapes(&g));
  esc_run_log_start(whole);
  if (whole->options.devices) {
    status = esc_run_train_on_devices(whole);
    goto done;
  }
  ESC_TRY(train_points(&g));
  if (whole->members_reused && !whole->options.quiet)
    esc_log("%lld of %lld members were reused from earlier results",
            (long long)whole->members_reused, (long long)whole->plan.members);
  ESC_TRY(finish(&g));
  if (g.before.steps.made > 0) whole->flop_per_step = g.flop / (double)g.before.steps.made;
done:
  esc_grid_run_free(&g);
  return status;
}

esc_status esc_grid_run_execute(esc_run *whole, int lock, bool *complete) {
  esc_status status = ESC_OK;
  *complete = false;
  if (whole->output[0]) {
    ESC_TRY(esc_run_check_names(whole));
    ESC_TRY(esc_run_lock(whole, lock));
  }
  ESC_TRY(esc_run_read_reused(whole, complete));
  if (*complete) ESC_TRY(esc_points_remove(whole->output));
  if (*complete) return esc_run_finish_complete(whole);
  if (whole->output[0]) ESC_TRY(check_files(whole));
  status = train(whole);
done:
  return status;
}
