#include "run/forecast.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"

enum { TRIED_MOST = 16, LINES_MOST = 24 };
static const double work_most = 1e9; /* operations: about half a second */

/* Forecasts of one cell's members as they come. */
typedef struct sample {
  int64_t first; /* of its members in the plan */
  esc_forecast forecast[TRIED_MOST];
} sample;

/* Members of a scale follow each other. */
static esc_status make_cells(const esc_run *r, esc_run_forecast *out, sample **samples) {
  esc_status status = ESC_OK;
  const esc_plan *p = &r->plan;
  const size_t most = (size_t)(p->cells < p->members ? p->cells : p->members) + 1;
  ESC_TRY_ALLOCATE(out->cell = calloc(most, sizeof *out->cell));
  ESC_TRY_ALLOCATE(*samples = calloc(most, sizeof **samples));
  for (int64_t i = 0; i < p->members; i++) {
    if (i == 0 || !esc_plan_is_same_cell(&p->member[i - 1], &p->member[i])) {
      (*samples)[out->cells].first = i;
      out->cell[out->cells++] = (esc_cell_forecast){.member = &p->member[i]};
    }
    out->cell[out->cells - 1].members++;
    out->cell[out->cells - 1].remaining += !(r->done && r->done[i]);
  }
done:
  return status;
}

static bool wants_more(const esc_cell_forecast *c) {
  if (c->tried == 0) return true;
  return !c->why && !esc_forecast_is_seedless(c->method) && c->tried < c->members &&
         c->tried < TRIED_MOST;
}

static void try_member(const esc_run *r, esc_cell_forecast *c, sample *s) {
  esc_forecast *f = &s->forecast[c->tried];
  const esc_member *member = &r->plan.member[s->first + c->tried];
  if (esc_forecast_member(&r->spec->problem, member, f) != ESC_OK) {
    f->method = ESC_FORECAST_NONE;
    f->why = "theory's integration failed";
  }
  c->tried++;
  c->method = f->method;
  c->why = f->why;
  c->late = c->late || f->late;
  c->own = f->own;
}

/* A member of every cell, then another of each, until the work is used up: by its count and
 * not by the clock, so that the forecast does not depend on the machine. */
static void try_members(const esc_run *r, esc_run_forecast *out, sample *samples) {
  const esc_problem *p = &r->spec->problem;
  double left = work_most;
  for (int pass = 0; pass < TRIED_MOST && left > 0; pass++) {
    int end = 0; /* cells of this pass */
    for (; end < out->cells && left > 0; end++) {
      const esc_cell_forecast *c = &out->cell[end];
      const char *why;
      if (wants_more(c))
        left -= esc_forecast_cost(p, c->member, esc_forecast_method_of(p, c->member, &why));
    }
#pragma omp parallel for schedule(dynamic, 1) num_threads(r->setup.threads)
    for (int i = 0; i < end; i++)
      if (wants_more(&out->cell[i])) try_member(r, &out->cell[i], &samples[i]);
  }
}

static int compare(const void *left, const void *right) {
  const double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

/* Step of the last threshold, where the member ends. */
static double end_of(const esc_forecast *f, int thresholds) {
  double last = 0;
  for (int i = 0; i < thresholds; i++) last = fmax(last, f->step[i]);
  return last;
}

static double quantile(int n, const double *sorted, double q) {
  const double at = q * (n - 1);
  const int i = (int)at;
  if (i + 1 >= n || !isfinite(sorted[i + 1])) return sorted[i + (at - i >= 0.5 && i + 1 < n)];
  return sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]);
}

static void summarise(const esc_problem *p, esc_cell_forecast *c, const sample *s) {
  double end[TRIED_MOST], one[TRIED_MOST];
  const double budget = (double)p->steps;
  if (c->tried == 0) c->why = "the time limit of forecasts was used up by other scales";
  if (c->why) {
    c->step = c->lower = c->upper = c->censored = c->steps = (double)NAN;
    return;
  }
  for (int i = 0; i < c->tried; i++) {
    end[i] = end_of(&s->forecast[i], p->thresholds);
    c->censored += esc_forecast_censored(&s->forecast[i], p->thresholds, p->steps) / c->tried;
    c->steps += fmin(end[i], budget) / c->tried;
  }
  qsort(end, (size_t)c->tried, sizeof *end, compare);
  c->step = quantile(c->tried, end, 0.5);
  c->lower = quantile(c->tried, end, 0.16);
  c->upper = quantile(c->tried, end, 0.84);
  for (int t = 0; t < p->thresholds; t++) {
    for (int i = 0; i < c->tried; i++) one[i] = s->forecast[i].step[t];
    qsort(one, (size_t)c->tried, sizeof *one, compare);
    c->threshold[t] = quantile(c->tried, one, 0.5);
  }
}

esc_status esc_run_forecast_create(const esc_run *r, esc_run_forecast *out) {
  esc_status status = ESC_OK;
  const esc_problem *p = &r->spec->problem;
  sample *samples = NULL;
  *out = (esc_run_forecast){.cells = 0};
  ESC_TRY(make_cells(r, out, &samples));
  try_members(r, out, samples);
  for (int i = 0; i < out->cells; i++) {
    esc_cell_forecast *c = &out->cell[i];
    summarise(p, c, &samples[i]);
    out->steps += (double)c->remaining * c->steps;
  }
done:
  free(samples);
  return status;
}

void esc_run_forecast_free(esc_run_forecast *forecast) { free(forecast->cell); }

esc_status esc_run_forecast_members(const esc_run *r, double **out) {
  esc_status status = ESC_OK;
  esc_run_forecast forecast = {0};
  double *steps = NULL;
  ESC_TRY(esc_run_forecast_create(r, &forecast));
  ESC_TRY_ALLOCATE(steps = malloc(((size_t)r->plan.members + 1) * sizeof *steps));
  for (int64_t i = 0, member = 0; i < forecast.cells; i++)
    for (int64_t k = 0; k < forecast.cell[i].members; k++) steps[member++] = forecast.cell[i].steps;
  *out = steps;
done:
  esc_run_forecast_free(&forecast);
  return status;
}

/* ---- text and JSON ---- */

static const char *method_name(esc_forecast_method method) {
  switch (method) {
    case ESC_FORECAST_LINEAR_FLOW: return "linear flow";
    case ESC_FORECAST_REDUCED_ODE: return "reduced ODE";
    case ESC_FORECAST_BLOCKS: return "block reduction";
    default: return NULL;
  }
}

/* "1-3", "2,4": layers of a set. */
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

static void print_cell(const esc_run *r, const esc_cell_forecast *c) {
  char layers[40];
  print_layers(c->member->small_layers, layers, sizeof layers);
  printf("  r=%-2d layers %-6s scale %-10.4g ", c->member->bottleneck, layers, c->member->scale);
  if (c->why)
    printf("no forecast: %s\n", c->why);
  else if (isinf(c->step))
    printf("no escape within %.3g steps; 100%% censored\n", 1e3 * (double)r->spec->problem.steps);
  else if (c->tried > 1)
    printf("step %.3g (%.3g to %.3g for 2 of 3 seeds); %s%.0f%% censored\n", c->step, c->lower,
           c->upper, c->late ? "at least " : "", 100 * c->censored);
  else
    printf("step %.3g; %s%.0f%% censored\n", c->step, c->late ? "at least " : "",
           100 * c->censored);
}

void esc_run_forecast_print(const esc_run *r, const esc_run_forecast *f) {
  bool late = false, stand_in = false;
  printf(
      "forecast from theory: step at which the loss has passed the last threshold; censored: not\n"
      "  passed within train.steps\n");
  for (int i = 0; i < f->cells && i < LINES_MOST; i++) print_cell(r, &f->cell[i]);
  if (f->cells > LINES_MOST)
    printf("  %d more scales are left out here; --json prints all\n", f->cells - LINES_MOST);
  for (int i = 0; i < f->cells; i++) {
    late = late || f->cell[i].late;
    stand_in = stand_in || (!f->cell[i].why && !f->cell[i].own);
  }
  if (late)
    printf(
        "  at least: a threshold is below the loss that the linear part of a network can reach, "
        "so\n  that its step is a lower bound\n");
  if (stand_in) printf("  forecast with networks of width 64 in place of the wider ones\n");
}

static json_t *cell_json(const esc_problem *p, const esc_cell_forecast *c) {
  json_t *object = json_object(), *layers = json_array(), *steps = json_array();
  const char *name = method_name(c->method);
  for (int l = 0; l < p->shape.layers; l++)
    if (c->member->small_layers >> l & 1) json_array_append_new(layers, json_integer(l + 1));
  for (int t = 0; t < p->thresholds && !c->why; t++)
    json_array_append_new(steps, esc_json_number(c->threshold[t]));
  json_object_set_new(object, "bottleneck", json_integer(c->member->bottleneck));
  json_object_set_new(object, "layers", layers);
  json_object_set_new(object, "scale", esc_json_number(c->member->scale));
  json_object_set_new(object, "members", json_integer(c->members));
  json_object_set_new(object, "members_forecast", json_integer(c->tried));
  json_object_set_new(object, "method", name && !c->why ? json_string(name) : json_null());
  json_object_set_new(object, "predicted_step", esc_json_number(c->step));
  json_object_set_new(object, "predicted_lower", esc_json_number(c->lower));
  json_object_set_new(object, "predicted_upper", esc_json_number(c->upper));
  json_object_set_new(object, "predicted_steps", steps);
  json_object_set_new(object, "censored_share", esc_json_number(c->censored));
  json_object_set_new(object, "lower_bound", json_boolean(c->late));
  json_object_set_new(object, "note", c->why ? json_string(c->why) : json_null());
  return object;
}

json_t *esc_run_forecast_json(const esc_run *r, const esc_run_forecast *f) {
  json_t *groups = json_array();
  for (int i = 0; i < f->cells; i++)
    json_array_append_new(groups, cell_json(&r->spec->problem, &f->cell[i]));
  return groups;
}
