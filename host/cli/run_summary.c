/* What a run prints: warnings, summary, dry run. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/run.h"
#include "cli/run_forecast.h"
#include "segments.h"
#include "spec/text.h"

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
    esc_note("warning: %lld members diverged (loss not finite): use a smaller train.rate",
             (long long)r->progress.diverged);
  if (!(lost <= lost_bound))
    esc_note("warning: up to %.1f%% of a member's weight updates were rounded away%s", 100 * lost,
             plain
                 ? "; train.update=compensated keeps them"
                 : ": train.rate is too small for float; use a larger one or --backend reference");
  if (!(residual <= (exact ? ledger_bound_double : ledger_bound_float)))
    esc_note(
        "warning: the ledger is off by %.2g of what it balances, more than rounding explains%s",
        residual,
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
    printf("none of them now\n");
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
  printf("the ledger closes to %.1e of what it balances\n%s\n", residual, r->output);
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

/* Seconds of one network-step, from a few steps of the first members. */
static esc_status time_step(esc_run *r, double *seconds) {
  esc_status status = ESC_OK;
  const int64_t steps = 20;
  const atomic_bool stop = false;
  void *engine = NULL;
  ESC_TRY(r->engine->create(&r->spec->problem, &r->setup, &engine));
  r->engine->describe(engine, r->engine_text, sizeof r->engine_text);
  for (int i = 0; i < r->setup.slots; i++)
    ESC_TRY(r->engine->load(engine, i, &r->plan.member[r->plan.order[i]]));
  ESC_TRY(r->engine->advance(engine, 1, &stop)); /* draws the weights */
  const double start = omp_get_wtime();
  ESC_TRY(r->engine->advance(engine, steps, &stop));
  *seconds = (omp_get_wtime() - start) / (double)(steps * r->setup.slots);
done:
  r->engine->destroy(engine);
  return status;
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

static void print_recording(const esc_record *record, const recording *c) {
  if (!c->snapshots) return;
  printf(
      "record:  at most %lld snapshots a network on %d samples, %.3g us each: %s of the "
      "training's time\n",
      (long long)c->snapshots, record->samples, 1e6 * c->seconds, esc_percent_of(c->share).text);
  printf("         and at most %.3g MB of memory while they are kept\n", c->bytes / 1e6);
}

static void print_dry_text(const esc_run *r, double each, double longest, double result) {
  const esc_problem *p = &r->spec->problem;
  printf("members: %lld of %lld in %d groups, %lld seeds\n", (long long)r->plan.members,
         (long long)r->plan.total, r->spec->groups, (long long)r->spec->seeds);
  if (r->done_before)
    printf("         %lld of them are finished, %lld train\n", (long long)r->done_before,
           (long long)(r->plan.members - r->done_before));
  printf("network: %d layers, %d wide, %d inputs: %zu weights\n", p->shape.layers, p->shape.width,
         p->shape.inputs, esc_weight_offset(p->shape, p->shape.layers));
  printf("backend: %s (%s), %d networks in flight\n", r->engine->name, r->engine_text,
         r->setup.slots);
  printf("memory:  %.3g MB\n", r->bytes.host / 1e6);
  if (r->engine->device_memory) printf("device:  %.3g MB\n", r->bytes.device / 1e6);
  printf("result:  at most %.3g MB in %s\n", result / 1e6, r->output);
  printf("time:    %.3g us a network-step; at most %.3g s if no member escapes before step %lld\n",
         1e6 * each, longest, (long long)p->steps);
}

esc_status esc_run_dry(esc_run *r) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  double each = 0, result = 0;
  recording cost;
  esc_run_forecast forecast = {0};
  if (r->plan.members > 0) ESC_TRY(time_step(r, &each));
  ESC_TRY(measure_recording(r, each, &cost));
  ESC_TRY(esc_run_forecast_create(r, &forecast));
  const double expected = each * forecast.steps;
  const double longest = each * (double)p->steps * (double)(r->plan.members - r->done_before);
  ESC_TRY(esc_run_result_bytes(r, cost.snapshots, &result));
  if (!r->ask.json) {
    print_dry_text(r, each, longest, result);
    print_recording(&r->spec->record, &cost);
    esc_run_forecast_print(r, &forecast);
    if (isfinite(expected)) printf("         in all about %.3g s if that is right\n", expected);
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
