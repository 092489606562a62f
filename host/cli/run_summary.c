/* SPDX-License-Identifier: Apache-2.0 */
/* Output of run: the summary, and the plan of a dry run. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/run.h"
#include "spec/spec.h"
#include "store/segments.h"

enum { FORECAST_LINES_MAX = 24 };

/* ---- summary ---- */

/* Totals of a run with several segments. */
static void print_segments(const esc_run_report *r, const json_t *segments,
                           const esc_segments_total *total) {
  const size_t count = json_array_size(segments);
  if (count < 2) return;
  printf("%zu segments from %s to %s; ", count, total->start, total->end);
  if (r->network_steps)
    printf("last segment: %lld network-steps in %.1f s\n", (long long)r->network_steps, r->seconds);
  else
    printf("no training in the last segment\n");
}

static double rate_of(const esc_segments_total *total) {
  return total->seconds > 0 ? (double)total->steps / total->seconds : 0;
}

static void print_text(const esc_run_report *r, const json_t *segments,
                       const esc_segments_total *total) {
  printf("%lld members: %lld escaped, %lld censored, %lld diverged\n", (long long)r->members,
         (long long)r->escaped, (long long)r->censored, (long long)r->diverged);
  if (total->steps)
    printf("%lld network-steps in %.1f s: %.0f per second, %.1f GFLOP/s (%s%s%s)\n",
           (long long)total->steps, total->seconds, rate_of(total),
           rate_of(total) * r->flop_per_step / 1e9, r->backend, r->engine[0] ? ": " : "",
           r->engine);
  print_segments(r, segments, total);
  if (isnan(r->ledger_bound))
    printf("imbalance ledger: not defined for train.optimizer: adam\n%s\n", r->output);
  else if (r->diverged == r->members)
    printf("imbalance ledger: none, because %s\n%s\n",
           r->members ? "every member diverged" : "there are no members", r->output);
  else
    printf("imbalance ledger: residual %.1e (relative); bound %.0e\n%s\n", r->ledger_residual_max,
           r->ledger_bound, r->output);
}

static json_t *summary_json(const esc_run_report *r, json_t *segments,
                            const esc_segments_total *total) {
  json_t *json = json_object();
  json_object_set_new(json, "members", json_integer(r->members));
  json_object_set_new(json, "escaped", json_integer(r->escaped));
  json_object_set_new(json, "censored", json_integer(r->censored));
  json_object_set_new(json, "diverged", json_integer(r->diverged));
  json_object_set_new(json, "steps", json_integer(total->steps));
  json_object_set_new(json, "steps_made", json_integer(r->network_steps));
  json_object_set_new(json, "wall_s", esc_json_number(total->seconds));
  json_object_set_new(json, "members_kept", json_integer(r->members_kept));
  json_object_set(json, "segments", segments);
  json_object_set_new(json, "network_steps_per_s", esc_json_number(rate_of(total)));
  json_object_set_new(json, "flop_per_s", esc_json_number(rate_of(total) * r->flop_per_step));
  json_object_set_new(json, "backend", json_string(r->backend));
  json_object_set_new(json, "engine", json_string(r->engine));
  json_object_set_new(json, "device", esc_json_text(r->device));
  json_object_set_new(json, "ledger_residual_max", esc_json_number(r->ledger_residual_max));
  json_object_set_new(json, "ledger_defined", json_boolean(!isnan(r->ledger_bound)));
  json_object_set_new(json, "lost_updates_max", esc_json_number(r->lost_updates_max));
  json_object_set_new(json, "output", esc_json_text(r->output));
  return json;
}

/* The summary of merge, for a run with --devices. */
static esc_status print_merged(const esc_run_request *request, const esc_run_report *r) {
  const esc_merge_summary summary = {r->members, r->escaped, r->censored, r->diverged,
                                     r->shards_merged};
  return esc_merge_print(r->output, &summary, request->json);
}

esc_status esc_run_print_summary(const esc_run_request *request, const esc_run_report *r,
                                 const esc_results *results) {
  esc_status status = ESC_OK;
  json_t *segments = NULL;
  if (r->shards_merged) return print_merged(request, r);
  ESC_TRY_ALLOCATE(segments = esc_segments_from_results(results));
  const esc_segments_total total = esc_segments_sum(segments);
  if (request->json)
    status = esc_json_print(summary_json(r, segments, &total));
  else
    print_text(r, segments, &total);
done:
  json_decref(segments);
  return status;
}

/* ---- dry run ---- */

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

/* A duration, in the largest unit with a value of at least 1. */
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

/* The networks of a sweep without a grid, or of each point. */
static void print_networks(const esc_spec *spec, const esc_dry_run *d) {
  const esc_shape s = spec->problem.shape;
  if (d->cohorts)
    printf("grid:    %d points, trained one after another\n", d->cohorts);
  else
    printf("network: %d layers of width %d, %d input%s: %zu weights\n", s.layers, s.width, s.inputs,
           plural(s.inputs), esc_weight_count(s));
}

static void print_cohort(const esc_cohort_cost *c) {
  printf("  %s\n    %lld member%s", c->point, (long long)c->members, plural(c->members));
  if (c->members_kept) printf(", %lld finished", (long long)c->members_kept);
  printf("; %d concurrently, %s; %s per step, at most %s", c->slots, bytes_of(c->host_bytes).text,
         time_of(c->seconds_per_step).text, time_of(c->seconds_max).text);
  if (isfinite(c->seconds_predicted)) printf(", expected %s", time_of(c->seconds_predicted).text);
  puts("");
}

static void print_cohorts(const esc_dry_run *d) {
  if (!d->cohorts) return;
  printf("cost by point of the grid:\n");
  for (int i = 0; i < d->cohorts && i < FORECAST_LINES_MAX; i++) print_cohort(&d->cohort[i]);
  if (d->cohorts > FORECAST_LINES_MAX)
    printf("  %d more points omitted; --json prints all\n", d->cohorts - FORECAST_LINES_MAX);
}

static void print_plan(const esc_spec *spec, const esc_dry_run *d) {
  const esc_problem *p = &spec->problem;
  printf("members: %lld of %lld networks of the sweep (%d group%s, %lld seed%s)\n",
         (long long)d->members, (long long)d->members_total, spec->groups, plural(spec->groups),
         (long long)spec->seeds, plural(spec->seeds));
  if (d->members_kept)
    printf("         %lld already finished, %lld to train\n", (long long)d->members_kept,
           (long long)(d->members - d->members_kept));
  print_networks(spec, d);
  printf("backend: %s (%s), %d network%s trained concurrently (--slots)\n", d->backend, d->engine,
         d->slots, plural(d->slots));
  printf("memory:  %s\n", bytes_of(d->host_bytes).text);
  if (d->on_device) printf("         %s on the device\n", bytes_of(d->device_bytes).text);
  printf("result:  at most %s in %s\n", bytes_of(d->result_bytes).text, d->output);
  printf("time:    %s per step of one network, measured on this machine\n",
         time_of(d->seconds_per_step).text);
  printf("         at most %s in total, if every network trains for train.steps",
         time_of(d->seconds_max).text);
  if (!d->cohorts) printf(" = %lld", (long long)p->steps);
  puts("");
}

static void print_recording(const esc_dry_run *d) {
  if (d->weights_bytes > 0)
    printf("weights: at most %s for record.weights, before compression\n",
           bytes_of(d->weights_bytes).text);
  if (!d->snapshots) return;
  printf("record:  at most %lld snapshot%s per network, on an evaluation sample of %d\n",
         (long long)d->snapshots, plural(d->snapshots), d->samples);
  printf("         %s per snapshot: %s of the training time if no network escapes early\n",
         time_of(d->seconds_per_snapshot).text, esc_percent_print(d->recording_share).text);
  printf("         at most %s of memory for all snapshots\n", bytes_of(d->snapshot_bytes).text);
}

/* "1-3", "2,4". */
static void print_layers(uint64_t set, char *text, size_t size) {
  size_t used = 0;
  text[0] = 0;
  for (int l = 0; l < ESC_LAYERS_MAX && used < size; l++) {
    int end = l;
    if (!(set >> l & 1)) continue;
    while (end + 1 < ESC_LAYERS_MAX && set >> (end + 1) & 1) end++;
    used += (size_t)snprintf(text + used, size - used, end > l ? "%s%d-%d" : "%s%d",
                             used ? "," : "", l + 1, end + 1);
    l = end;
  }
}

/* Expected share of censored members. If the step is a lower bound, so is the share; a share of 0
 * is then unknown. */
static const char *censored_text(const esc_forecast_cell *c, char text[48]) {
  if (c->is_lower_bound && c->censored < 0.005) return "censored share unknown";
  snprintf(text, 48, "%s%.0f%% censored", c->is_lower_bound ? "at least " : "", 100 * c->censored);
  return text;
}

static void print_cell(const esc_dry_run *d, int i, int64_t budget) {
  const esc_forecast_cell *const c = &d->cell[i];
  char layers[40], share[48];
  if (d->cohorts && (i == 0 || c->cohort != c[-1].cohort))
    printf("  %s\n", d->cohort[c->cohort].point);
  print_layers(c->small_layers, layers, sizeof layers);
  printf("  r=%-2d layers %-6s scale %-10.4g ", c->bottleneck, layers, c->scale);
  if (c->note)
    printf("no forecast: %s\n", c->note);
  else if (isinf(c->step))
    printf("no escape within %.3g steps; 100%% censored\n", 1e3 * (double)budget);
  else if (c->samples > 1)
    printf("step %.3g (%.3g to %.3g for 2 of 3 seeds); %s\n", c->step, c->lower, c->upper,
           censored_text(c, share));
  else
    printf("step %.3g; %s\n", c->step, censored_text(c, share));
}

static void print_forecast(const esc_dry_run *d, int64_t budget) {
  bool late = false, narrowed = false;
  printf(
      "forecast from theory: step at which the loss passes the last threshold; censored: not "
      "passed\n"
      "  within train.steps\n");
  for (int i = 0; i < d->cells && i < FORECAST_LINES_MAX; i++) print_cell(d, i, budget);
  if (d->cells > FORECAST_LINES_MAX)
    printf("  %d more scales omitted; --json prints all\n", d->cells - FORECAST_LINES_MAX);
  for (int i = 0; i < d->cells; i++) {
    late = late || d->cell[i].is_lower_bound;
    narrowed = narrowed || (!d->cell[i].note && !d->cell[i].is_full_width);
  }
  if (late)
    printf(
        "  at least: a threshold is below the smallest loss of the linear part of a network, so "
        "that\n"
        "  its step is a lower bound\n");
  if (narrowed) printf("  forecast of networks wider than 64: computed with width 64\n");
}

static json_t *cell_json(const esc_dry_run *d, const esc_forecast_cell *c) {
  json_t *object = json_object(), *layers = json_array(), *steps = json_array();
  for (int l = 0; l < ESC_LAYERS_MAX; l++)
    if (c->small_layers >> l & 1) json_array_append_new(layers, json_integer(l + 1));
  for (int t = 0; t < d->thresholds && !c->note; t++)
    json_array_append_new(steps, esc_json_number(c->threshold_step[t]));
  if (d->cohorts) json_object_set_new(object, "point", json_string(d->cohort[c->cohort].point));
  json_object_set_new(object, "bottleneck", json_integer(c->bottleneck));
  json_object_set_new(object, "layers", layers);
  json_object_set_new(object, "scale", esc_json_number(c->scale));
  json_object_set_new(object, "members", json_integer(c->members));
  json_object_set_new(object, "members_forecast", json_integer(c->samples));
  json_object_set_new(object, "method", c->method ? json_string(c->method) : json_null());
  json_object_set_new(object, "predicted_step", esc_json_number(c->step));
  json_object_set_new(object, "predicted_lower", esc_json_number(c->lower));
  json_object_set_new(object, "predicted_upper", esc_json_number(c->upper));
  json_object_set_new(object, "predicted_steps", steps);
  json_object_set_new(object, "censored_share", esc_json_number(c->censored));
  json_object_set_new(object, "lower_bound", json_boolean(c->is_lower_bound));
  json_object_set_new(object, "note", c->note ? json_string(c->note) : json_null());
  return object;
}

static json_t *cohort_json(const esc_cohort_cost *c) {
  json_t *object = json_object();
  json_object_set_new(object, "point", json_string(c->point));
  json_object_set_new(object, "members", json_integer(c->members));
  json_object_set_new(object, "members_kept", json_integer(c->members_kept));
  json_object_set_new(object, "networks_in_flight", json_integer(c->slots));
  json_object_set_new(object, "memory_bytes", esc_json_number(c->host_bytes));
  json_object_set_new(object, "device_bytes", esc_json_number(c->device_bytes));
  json_object_set_new(object, "seconds_per_step", esc_json_number(c->seconds_per_step));
  json_object_set_new(object, "seconds_max", esc_json_number(c->seconds_max));
  json_object_set_new(object, "seconds_predicted", esc_json_number(c->seconds_predicted));
  return object;
}

static void add_cohorts(json_t *json, const esc_dry_run *d) {
  json_t *points = json_array();
  for (int i = 0; i < d->cohorts; i++) json_array_append_new(points, cohort_json(&d->cohort[i]));
  json_object_set_new(json, "points", points);
}

static json_t *dry_json(const esc_dry_run *d) {
  json_t *json = json_object(), *groups = json_array();
  for (int i = 0; i < d->cells; i++) json_array_append_new(groups, cell_json(d, &d->cell[i]));
  json_object_set_new(json, "members", json_integer(d->members));
  json_object_set_new(json, "members_total", json_integer(d->members_total));
  json_object_set_new(json, "members_kept", json_integer(d->members_kept));
  json_object_set_new(json, "backend", json_string(d->backend));
  json_object_set_new(json, "engine", json_string(d->engine));
  json_object_set_new(json, "networks_in_flight", json_integer(d->slots));
  json_object_set_new(json, "memory_bytes", esc_json_number(d->host_bytes));
  json_object_set_new(json, "device_bytes", esc_json_number(d->device_bytes));
  json_object_set_new(json, "result_bytes_max", esc_json_number(d->result_bytes));
  json_object_set_new(json, "seconds_per_step", esc_json_number(d->seconds_per_step));
  json_object_set_new(json, "snapshots_max", json_integer(d->snapshots));
  json_object_set_new(json, "snapshot_bytes_max", esc_json_number(d->snapshot_bytes));
  json_object_set_new(json, "weights_bytes_max", esc_json_number(d->weights_bytes));
  json_object_set_new(json, "seconds_per_snapshot", esc_json_number(d->seconds_per_snapshot));
  json_object_set_new(json, "recording_share", esc_json_number(d->recording_share));
  json_object_set_new(json, "seconds_max", esc_json_number(d->seconds_max));
  json_object_set_new(json, "seconds_predicted", esc_json_number(d->seconds_predicted));
  json_object_set_new(json, "groups", groups);
  if (d->cohorts) add_cohorts(json, d);
  json_object_set_new(json, "output", esc_json_text(d->output));
  return json;
}

esc_status esc_run_print_dry(const esc_run_request *request, const esc_spec *spec,
                             const esc_dry_run *d) {
  if (request->json) return esc_json_print(dry_json(d));
  print_plan(spec, d);
  print_recording(d);
  print_cohorts(d);
  print_forecast(d, spec->problem.steps);
  if (isfinite(d->seconds_predicted))
    printf("  total time with these steps: about %s\n", time_of(d->seconds_predicted).text);
  return ESC_OK;
}
