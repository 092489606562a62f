/* What a run prints: warnings, summary, dry run. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "run/forecast.h"
#include "run/run.h"
#include "run/step_time.h"
#include "store/segments.h"

/* Residuals above these shares of ledger_gross are more than rounding (README,
 * "Why to trust a number"). */
static const double ledger_bound_float = 1e-6, ledger_bound_double = 1e-14, lost_bound = 0.01;

/* The larger one; a NaN is larger than any number, so that it is seen. */
static double larger(double a, double b) { return isnan(a) || a > b ? a : b; }

/* Largest residual of an interface over the size of what it balances. */
static double ledger_residual_max(const esc_results *r) {
  const int64_t interfaces = r->layers - 1;
  double worst = 0;
  for (int64_t k = 0; k < r->members * interfaces; k++)
    if (r->status[k / interfaces] != ESC_MEMBER_DIVERGED && r->ledger_gross[k] != 0)
      worst = larger(worst, fabs(r->ledger_residual[k]) / r->ledger_gross[k]);
  return worst;
}

static double lost_updates_max(const esc_results *r) {
  double worst = 0;
  for (int64_t i = 0; i < r->members; i++) worst = larger(worst, r->lost_updates[i]);
  return worst;
}

void esc_run_warn(const esc_run *r) {
  const double residual = ledger_residual_max(r->results), lost = lost_updates_max(r->results);
  const bool exact = r->engine == &esc_reference_engine;
  const bool plain = r->spec->problem.update == ESC_UPDATE_PLAIN;
  if (r->progress.diverged)
    esc_log("warning: %lld members diverged (loss not finite): use a smaller train.rate",
            (long long)r->progress.diverged);
  if (!(lost <= lost_bound))
    esc_log("warning: up to %.1f%% of a member's weight updates were rounded away%s", 100 * lost,
            plain ? "; train.update=compensated keeps them"
                  : ": train.rate is too small for float; use a larger one or --backend reference");
  if (!(residual <= (exact ? ledger_bound_double : ledger_bound_float)))
    esc_log(
        "warning: imbalance ledger: residual %.2g (relative), more than rounding explains (bound "
        "%.0e)%s",
        residual, exact ? ledger_bound_double : ledger_bound_float,
        exact   ? ""
        : plain ? "; see train.update=compensated"
                : ": compare with --backend reference");
}

/* What the segments of a run that was not made in one piece come to. */
static void print_segments(const esc_run *r, const esc_segments_total *total) {
  const esc_progress *p = &r->progress;
  const size_t count = json_array_size(r->segments);
  if (count < 2) return;
  printf("in %zu segments from %s to %s; ", count, total->start, total->end);
  if (p->network_steps)
    printf("this one: %lld network-steps in %.1f s\n", (long long)p->network_steps, p->seconds);
  else
    printf("nothing was trained in this one\n");
}

static void print_text(const esc_run *r, const esc_segments_total *total, double rate,
                       double residual) {
  const esc_progress *p = &r->progress;
  printf("%lld members: %lld escaped, %lld censored, %lld diverged\n", (long long)p->members,
         (long long)p->escaped, (long long)p->censored, (long long)p->diverged);
  if (total->steps)
    printf("%lld network-steps in %.1f s: %.0f a second, %.1f GFLOP/s (%s%s%s)\n",
           (long long)total->steps, total->seconds, rate,
           rate * esc_flop_per_step(&r->spec->problem) / 1e9, r->engine->name,
           r->engine_text[0] ? ": " : "", r->engine_text);
  print_segments(r, total);
  printf("imbalance ledger: residual %.1e (relative); bound %.0e\n%s\n", residual,
         r->engine == &esc_reference_engine ? ledger_bound_double : ledger_bound_float, r->output);
}

esc_status esc_run_summary(const esc_run *r) {
  const esc_progress *p = &r->progress;
  const esc_segments_total total = esc_segments_sum(r->segments);
  const double rate = total.seconds > 0 ? (double)total.steps / total.seconds : 0;
  const double residual = ledger_residual_max(r->results);
  if (!r->ask.json) {
    print_text(r, &total, rate, residual);
    return ESC_OK;
  }
  json_t *json = json_object();
  json_object_set_new(json, "members", json_integer(p->members));
  json_object_set_new(json, "escaped", json_integer(p->escaped));
  json_object_set_new(json, "censored", json_integer(p->censored));
  json_object_set_new(json, "diverged", json_integer(p->diverged));
  json_object_set_new(json, "steps", json_integer(total.steps));
  json_object_set_new(json, "steps_made", json_integer(p->network_steps));
  json_object_set_new(json, "wall_s", esc_json_number(total.seconds));
  json_object_set_new(json, "members_kept", json_integer(r->done_before));
  json_object_set(json, "segments", r->segments);
  json_object_set_new(json, "network_steps_per_s", esc_json_number(rate));
  json_object_set_new(json, "flop_per_s",
                      esc_json_number(rate * esc_flop_per_step(&r->spec->problem)));
  json_object_set_new(json, "backend", json_string(r->engine->name));
  json_object_set_new(json, "engine", json_string(r->engine_text));
  json_object_set_new(json, "device", esc_json_text(r->device));
  json_object_set_new(json, "ledger_residual_max", esc_json_number(residual));
  json_object_set_new(json, "lost_updates_max", esc_json_number(lost_updates_max(r->results)));
  json_object_set_new(json, "output", esc_json_text(r->output));
  return esc_json_print(json);
}

/* Seconds of one network's snapshot, from one of each network in flight. */
static esc_status time_snapshot(esc_run *r, double *seconds) {
  esc_status status = ESC_OK;
  const atomic_bool stop = false;
  void *engine = NULL;
  esc_recorder *recorder = NULL;
  int *slot = NULL;
  ESC_TRY_ALLOCATE(slot = calloc((size_t)r->setup.slots, sizeof *slot));
  ESC_TRY(r->engine->create(&r->spec->problem, &r->setup, &engine));
  ESC_TRY(esc_recorder_create(&r->spec->problem, &r->spec->record, &r->plan, &r->setup,
                              r->engine == &esc_reference_engine, &recorder));
  for (int i = 0; i < r->setup.slots; i++) {
    slot[i] = i;
    ESC_TRY(esc_recorder_load(recorder, i, r->plan.order[i]));
    ESC_TRY(r->engine->load(engine, i, &r->plan.member[r->plan.order[i]]));
  }
  ESC_TRY(r->engine->advance(engine, 0, &stop)); /* draws the weights */
  ESC_TRY(esc_recorder_take(recorder, r->engine, engine, r->setup.slots, slot)); /* warms up */
  double before = 0, after = 0;
  const int64_t first = esc_recorder_taken(recorder, &before);
  for (int i = 0; i < 5; i++)
    ESC_TRY(esc_recorder_take(recorder, r->engine, engine, r->setup.slots, slot));
  *seconds = 1 / (double)(esc_recorder_taken(recorder, &after) - first);
  *seconds *= after - before;
done:
  esc_recorder_free(recorder);
  r->engine->destroy(engine);
  free(slot);
  return status;
}

/* What recording costs: time of a snapshot against that of the steps between two. */
typedef struct recording {
  int64_t snapshots; /* of a network at most */
  double bytes;      /* of all of them, at most, before compression */
  double seconds;    /* of one network's */
  double share;      /* of the training's time */
} recording;

static esc_status measure_recording(esc_run *r, double each, recording *out) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  *out = (recording){0};
  if (!esc_record_on(&r->spec->record) || r->plan.members == 0) return ESC_OK;
  out->snapshots = esc_record_count(&r->spec->record, p->steps);
  out->bytes = (double)r->plan.members * esc_recorder_member_bytes(p, &r->spec->record);
  ESC_TRY(time_snapshot(r, &out->seconds));
  out->share = out->seconds * (double)out->snapshots / (each * (double)p->steps);
done:
  return status;
}

/* A number with its unit. */
typedef struct quantity {
  char text[32];
} quantity;

static quantity bytes_of(double bytes) {
  static const char *const unit[] = {"bytes", "kB", "MB", "GB", "TB"};
  quantity q;
  int i = 0;
  while (bytes >= 999.5 && i < 4) {
    bytes /= 1000;
    i++;
  }
  snprintf(q.text, sizeof q.text, "%.3g %s", bytes, unit[i]);
  return q;
}

/* In the largest unit of which there is at least one. */
static quantity time_of(double seconds) {
  static const struct {
    double seconds;
    const char *name;
  } unit[] = {{365.25 * 86400, "years"},
              {86400, "days"},
              {3600, "hours"},
              {60, "minutes"},
              {1, "s"},
              {1e-3, "ms"},
              {1e-6, "us"}};
  const size_t units = sizeof unit / sizeof unit[0];
  quantity q;
  size_t i = 0;
  while (i + 1 < units && seconds < unit[i].seconds) i++;
  if (seconds == 0) i = 4;
  snprintf(q.text, sizeof q.text, "%.3g %s", seconds / unit[i].seconds, unit[i].name);
  return q;
}

static const char *plural(int64_t count) { return count == 1 ? "" : "s"; }

static void print_recording(const esc_record *record, const recording *c) {
  if (!c->snapshots) return;
  printf("record:  at most %lld snapshot%s a network, on an evaluation sample of %d\n",
         (long long)c->snapshots, plural(c->snapshots), record->samples);
  printf("         %s a snapshot: %s of the training time where no network escapes early\n",
         time_of(c->seconds).text, esc_percent_of(c->share).text);
  printf("         at most %s of memory for all snapshots\n", bytes_of(c->bytes).text);
}

static void print_dry_text(const esc_run *r, double each, double longest, double result) {
  const esc_problem *p = &r->spec->problem;
  printf("members: %lld of %lld networks of the sweep (%d group%s, %lld seed%s)\n",
         (long long)r->plan.members, (long long)r->plan.total, r->spec->groups,
         plural(r->spec->groups), (long long)r->spec->seeds, plural(r->spec->seeds));
  if (r->done_before)
    printf("         %lld finished already, %lld to train\n", (long long)r->done_before,
           (long long)(r->plan.members - r->done_before));
  printf("network: %d layers of width %d, %d input%s: %zu weights\n", p->shape.layers,
         p->shape.width, p->shape.inputs, plural(p->shape.inputs), esc_weight_count(p->shape));
  printf("backend: %s (%s), %d network%s at a time (--slots)\n", r->engine->name, r->engine_text,
         r->setup.slots, plural(r->setup.slots));
  printf("memory:  %s\n", bytes_of(r->bytes.host).text);
  if (r->engine->device_memory)
    printf("         %s on the device\n", bytes_of(r->bytes.device).text);
  printf("result:  at most %s in %s\n", bytes_of(result).text, r->output);
  printf("time:    %s for one step of one network, measured here\n", time_of(each).text);
  printf("         at most %s in all, if every network trains for train.steps = %lld\n",
         time_of(longest).text, (long long)p->steps);
}

esc_status esc_run_dry(esc_run *r) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  double each = 0, result = 0;
  recording cost;
  esc_run_forecast forecast = {0};
  if (r->plan.members > 0)
    ESC_TRY(esc_step_time(r->engine, p, &r->setup, r->plan.member, r->plan.order, omp_get_wtime,
                          &each, r->engine_text, sizeof r->engine_text));
  ESC_TRY(measure_recording(r, each, &cost));
  ESC_TRY(esc_run_forecast_create(r, &forecast));
  const double expected = each * forecast.steps;
  const double longest = each * (double)p->steps * (double)(r->plan.members - r->done_before);
  ESC_TRY(esc_run_result_bytes(r, cost.snapshots, &result));
  if (!r->ask.json) {
    print_dry_text(r, each, longest, result);
    print_recording(&r->spec->record, &cost);
    esc_run_forecast_print(r, &forecast);
    if (isfinite(expected))
      printf("  with these steps, the run takes about %s in all\n", time_of(expected).text);
    goto done;
  }
  json_t *json = json_object();
  json_object_set_new(json, "members", json_integer(r->plan.members));
  json_object_set_new(json, "members_total", json_integer(r->plan.total));
  json_object_set_new(json, "members_kept", json_integer(r->done_before));
  json_object_set_new(json, "backend", json_string(r->engine->name));
  json_object_set_new(json, "engine", json_string(r->engine_text));
  json_object_set_new(json, "networks_in_flight", json_integer(r->setup.slots));
  json_object_set_new(json, "memory_bytes", esc_json_number(r->bytes.host));
  json_object_set_new(json, "device_bytes", esc_json_number(r->bytes.device));
  json_object_set_new(json, "result_bytes_max", esc_json_number(result));
  json_object_set_new(json, "seconds_per_step", esc_json_number(each));
  json_object_set_new(json, "snapshots_max", json_integer(cost.snapshots));
  json_object_set_new(json, "snapshot_bytes_max", esc_json_number(cost.bytes));
  json_object_set_new(json, "seconds_per_snapshot", esc_json_number(cost.seconds));
  json_object_set_new(json, "recording_share", esc_json_number(cost.share));
  json_object_set_new(json, "seconds_max", esc_json_number(longest));
  json_object_set_new(json, "seconds_predicted", esc_json_number(expected));
  json_object_set_new(json, "groups", esc_run_forecast_json(r, &forecast));
  json_object_set_new(json, "output", esc_json_text(r->output));
  ESC_TRY(esc_json_print(json));
done:
  esc_run_forecast_free(&forecast);
  return status;
}
